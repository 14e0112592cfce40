"""Models that run here, by transformers: Qwen2.5-VL for step 1, Mistral for step 2, or others of their kinds.

Weights come from the hub or a local folder, and no code does (`trust_remote_code` stays off).
"""

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from hoprior.common.compute import torch_device
from hoprior.errors import HopriorError
from hoprior.language.schema import Json

VISION_MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
LANGUAGE_MODEL = "mistralai/Mistral-7B-Instruct-v0.3"
"""What the paper's authors used."""


def weights_of(name: str, model: Any) -> str:
    """What changes when other weights come under the same name: a folder's files, or the hub's revision."""
    if not Path(name).is_dir():
        return str(getattr(model.config, "_commit_hash", None) or "")
    states = sorted((path.name, path.stat()) for path in Path(name).iterdir() if path.is_file())
    return " ".join(f"{file} {state.st_size} {state.st_mtime_ns}" for file, state in states)


class LocalChat:
    """A chat model on this machine, greedy, with the chat template that it came with.

    It cannot be held to a schema; what it says is checked, and asked for again, by `ask`.

    Args:
        model: name on the hub, or a folder.
        sees: whether it takes images.
        device: "auto", "cpu", "cuda" ...; half precision on GPUs.
        max_new_tokens: of an answer.
    """

    def __init__(self, model: str, sees: bool, device: str = "auto", max_new_tokens: int = 256) -> None:
        try:
            import transformers
        except ImportError as error:
            raise HopriorError("local models need transformers: pip install 'hoprior[vlm]'") from error
        self.name, self.sees, self.max_new_tokens = model, sees, max_new_tokens
        self.device = torch_device(device)
        dtype = torch.float32 if self.device.type == "cpu" else torch.bfloat16
        reader: Any = transformers.AutoProcessor if sees else transformers.AutoTokenizer
        kind: Any = transformers.AutoModelForImageTextToText if sees else transformers.AutoModelForCausalLM
        try:
            self.processor: Any = reader.from_pretrained(model)
            self.model: Any = kind.from_pretrained(model, dtype=dtype)
        except (OSError, ValueError, ImportError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise HopriorError(f"model '{model}': cannot be loaded here ({reason})") from error
        self.weights = weights_of(model, self.model)
        self.model.to(self.device).eval().requires_grad_(False)

    @torch.no_grad()
    def answer(self, prompt: str, image: Image.Image | None = None, schema: Json | None = None) -> str:
        """See `Chat`.

        Raises:
            HopriorError: an image for a model that sees none, or not enough memory.
        """
        if image is not None and not self.sees:
            raise HopriorError(f"model '{self.name}' takes no images: name one that does for step 1")
        inputs = self._inputs(prompt, image).to(self.device)
        asked = inputs["input_ids"].shape[1]
        try:
            tokens = self.model.generate(**inputs, max_new_tokens=self.max_new_tokens, do_sample=False)
        except torch.OutOfMemoryError as error:
            raise HopriorError(
                f"model '{self.name}': the memory of {self.device} is not enough: use a smaller model or an endpoint"
            ) from error
        return self.processor.batch_decode(tokens[:, asked:], skip_special_tokens=True)[0].strip()

    def _inputs(self, prompt: str, image: Image.Image | None) -> Any:
        """The message in the model's own template, as tokens and, where it has one, pixels."""
        content: Any = prompt
        if self.sees:
            content = [{"type": "text", "text": prompt}]
            if image is not None:
                content.insert(0, {"type": "image", "image": image})
        return self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
