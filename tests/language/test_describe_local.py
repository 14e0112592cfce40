"""Affordances by models that run here: tiny ones of the architectures that the paper used, never trained."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from hoprior.errors import HopriorError
from hoprior.language.describe.chat import AnswerCache
from hoprior.language.describe.crop import View
from hoprior.language.describe.local import LocalChat
from hoprior.language.describe.steps import Describer
from hoprior.language.schema import Affordance

transformers = pytest.importorskip("transformers", reason="local models need the extra vlm")

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
QWEN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MISTRAL_TEMPLATE = "<s>{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}"
TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}


def tokenizer(specials: tuple[str, ...], template: str, **names: str) -> Any:
    """One token for each byte, and the special ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*specials, *alphabet])}
    bytewise = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bytewise, additional_special_tokens=list(specials), chat_template=template, **names
    )


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2.5-VL of 50,000 weights."""
    folder = tmp_path_factory.mktemp("qwen")
    text = tokenizer(SPECIALS, QWEN_TEMPLATE, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    processor = transformers.Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=4 * 56 * 56),
        tokenizer=text,
        video_processor=transformers.Qwen2VLVideoProcessor(),
        chat_template=QWEN_TEMPLATE,
    )
    processor.save_pretrained(folder)
    mrope = {"type": "mrope", "mrope_section": [1, 1, 2]}
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 32}
    config = transformers.Qwen2_5_VLConfig(
        text_config={**TEXT, **ids, "vocab_size": len(text), "rope_scaling": mrope},
        vision_config={**vision, "fullatt_block_indexes": [1], "window_size": 56},
        image_token_id=SPECIALS.index("<|image_pad|>"),
        vision_start_token_id=SPECIALS.index("<|vision_start|>"),
        vision_end_token_id=SPECIALS.index("<|vision_end|>"),
    )
    torch.manual_seed(0)
    transformers.Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Mistral of 30,000 weights."""
    folder = tmp_path_factory.mktemp("mistral")
    text = tokenizer(("<s>", "</s>"), MISTRAL_TEMPLATE, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    text.save_pretrained(folder)
    config = transformers.MistralConfig(**TEXT, vocab_size=len(text), bos_token_id=0, eos_token_id=1, pad_token_id=1)
    torch.manual_seed(0)
    transformers.MistralForCausalLM(config).save_pretrained(folder)
    return folder


class Recorded:
    """Puts words into a model's mouth and keeps what it was asked."""

    def __init__(self, chat: LocalChat, says: str) -> None:
        self.chat, self.says = chat, says
        self.asked: list[dict[str, Any]] = []

    def __call__(self, **inputs: Any) -> torch.Tensor:
        """In the place of `generate`."""
        self.asked.append(inputs)
        tokenizer = getattr(self.chat.processor, "tokenizer", self.chat.processor)
        return torch.cat([inputs["input_ids"], tokenizer(self.says, return_tensors="pt")["input_ids"]], dim=1)

    def prompt(self, i: int) -> str:
        """What was asked, special tokens too."""
        return self.chat.processor.batch_decode(self.asked[i]["input_ids"])[0]


def view() -> View:
    return View(Image.new("RGB", (80, 60), (200, 120, 40)), hand=(1.0, 2.0, 30.0, 40.0))


def test_a_vision_model_answers_by_its_own_template(qwen: Path) -> None:
    chat = LocalChat(str(qwen), sees=True, device="cpu", max_new_tokens=5)
    assert type(chat.model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    first = chat.answer("What is it?", view().image)
    assert first == chat.answer("What is it?", view().image)  # greedy
    assert "What is it?" not in first and "<|" not in first
    dark = Image.new("RGB", (80, 60))
    inputs = [chat._inputs("What is it?", image) for image in (view().image, dark)]
    logits = [chat.model(**one).logits[0, -1] for one in inputs]
    assert not torch.allclose(*logits)  # it sees


def test_a_model_that_talks_nonsense_is_given_up(qwen: Path) -> None:
    chat = LocalChat(str(qwen), sees=True, device="cpu", max_new_tokens=4)
    with pytest.raises(HopriorError, match="none of 3 answers could be used, the last because"):
        Describer(chat).extract(view(), ["object_category"])


def test_both_steps(qwen: Path, mistral: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The models read and write tokens; what they say is put into their mouths, as they have learnt nothing."""
    eyes = LocalChat(str(qwen), sees=True, device="cpu")
    pen = LocalChat(str(mistral), sees=False, device="cpu")
    answer = {"object_category": "mug", "object_shape": "round", "interaction": "holding", "intention": "to lift it"}
    sentence = "A right hand holds a small round mug in a medium wrap to lift it."
    seen, written = Recorded(eyes, json.dumps(answer) + "<|im_end|>"), Recorded(pen, sentence + "</s>")
    monkeypatch.setattr(eyes.model, "generate", seen)
    monkeypatch.setattr(pen.model, "generate", written)
    found = Describer(eyes, pen)(view(), Affordance(object_size="small", grasp=3))
    assert found.text == sentence
    assert found.affordance == Affordance("mug", "round", "small", "holding", "to lift it", 3)
    assert seen.prompt(0).startswith("<|im_start|>user\n<|vision_start|><|image_pad|>")
    assert seen.prompt(0).endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert "pixel_values" in seen.asked[0] and "hand is in the box from (1, 2) to (30, 40)" in seen.prompt(0)
    assert written.prompt(0).startswith("<s>[INST] This is known") and written.prompt(0).endswith("[/INST]")
    assert "- grasp: medium wrap" in written.prompt(0)


def test_a_language_model_writes_and_takes_no_image(mistral: Path) -> None:
    chat = LocalChat(str(mistral), sees=False, device="cpu", max_new_tokens=5)
    assert isinstance(chat.answer("Say something."), str)
    with pytest.raises(HopriorError, match="takes no images"):
        chat.answer("What is it?", view().image)


def test_answers_of_other_weights_are_not_taken(mistral: Path, tmp_path: Path) -> None:
    """A folder may hold another model tomorrow, a finer-tuned one."""
    folder = Path(shutil.copytree(mistral, tmp_path / "model"))
    cache, places = AnswerCache(tmp_path / "answers"), []
    for change in (False, False, True):
        if change:
            weights = next(folder.glob("*.safetensors"))
            os.utime(weights, ns=(1, weights.stat().st_mtime_ns + 1))
        places.append(cache.path(LocalChat(str(folder), sees=False, device="cpu"), "Say something.", None, None))
    assert places[0] == places[1] != places[2]


def test_a_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(HopriorError, match="cannot be loaded here"):
        LocalChat(str(tmp_path), sees=False, device="cpu")
