"""Text features for the priors' conditions: MiniLM, which the shipped priors listen to, and open_clip's encoders.

`load_text_encoder("minilm").encode(["a mug"])` is `(1, 1, 384)`. A prior names the encoder it was trained with;
`encode_texts` sees to it that it hears no other.
"""

import hashlib
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hoprior.errors import HopriorError
from hoprior.priors.protocols import text_encoder_of

MINILM_FOLDER = Path(str(files("hoprior"))) / "assets" / "minilm"
MINILM_SHA256 = "0f82dcfae9334117aa19d318fd793ea1c9cc26c343aad7c584072eff06cd8732"
MINILM_MAX_TOKENS = 256
"""Upstream's limit; longer texts are cut."""
OPEN_CLIP_PREFIX = "open_clip/"
CLIP_ENVIRONMENT = "HOPRIOR_CLIP_CHECKPOINT"
CACHED_TEXTS = 4096

logger = logging.getLogger(__name__)


class TextEncoder(ABC):
    """Frozen text features, one token for each text; the same text is encoded once.

    Example:
        >>> class Lengths(TextEncoder):
        ...     def _encode_one(self, text):
        ...         return torch.tensor([[float(len(text))]])
        >>> Lengths("lengths", dim=1).encode(["a mug", "a cup of tea"]).flatten()
        tensor([ 5., 12.])
    """

    def __init__(self, name: str, dim: int, device: str | torch.device = "cpu") -> None:
        self.name = name
        self.dim = dim
        self.device = torch.device(device)
        self._cached = lru_cache(maxsize=CACHED_TEXTS)(self._encode_one)

    @abstractmethod
    def _encode_one(self, text: str) -> Float[Tensor, "tokens dim"]:
        """Features of one text. Texts are encoded one by one, so that what stands beside one cannot change it."""

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Float[Tensor, "b tokens dim"]:
        """Features of b texts, on the encoder's device.

        Raises:
            HopriorError: no text, or an empty one.
        """
        if isinstance(texts, str):
            texts = [texts]
        empty = [k for k, text in enumerate(texts) if not text.strip()]
        if empty or not texts:
            which = f"text {empty[0] + 1} of {len(texts)} is empty" if texts else "no text"
            raise HopriorError(f"{which}: nothing to encode; give words, or no text at all")
        return torch.stack([self._cached(" ".join(text.split())) for text in texts])


class MiniLMEncoder(TextEncoder):
    """all-MiniLM-L6-v2 (Wang et al. 2020; Reimers & Gurevych 2019): 384 unit-length features, mean over the tokens.

    It is sentence-transformers' model of that name, whose weights ship with hoprior in half precision: features differ
    from upstream's by at most 3e-4, of unit length. It is ready in a fraction of a second where importing
    sentence-transformers takes many.

    Args:
        device: where to encode.
        folder: with the shipped `model.safetensors` and `tokenizer.json`.
    """

    def __init__(self, device: str | torch.device = "cpu", folder: Path = MINILM_FOLDER) -> None:
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        super().__init__("minilm", dim=384, device=device)
        weights = folder / "model.safetensors"
        verify_sha256(weights, MINILM_SHA256)
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers must not depend on what is loaded
            self.model = _Bert()
        self.model.load_bert({name: tensor.float() for name, tensor in load_file(weights).items()})
        self.model.to(self.device).eval().requires_grad_(False)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MINILM_MAX_TOKENS)

    def _encode_one(self, text: str) -> Float[Tensor, "1 dim"]:
        tokens = torch.tensor([self.tokenizer.encode(text).ids], device=self.device)
        return nn.functional.normalize(self.model(tokens).mean(dim=1), dim=-1)


class _Bert(nn.Module):
    """BERT's encoder (Devlin et al. 2019) in MiniLM-L6's size; torch's encoder layer is its layer."""

    def __init__(self, vocabulary: int = 30522, positions: int = 256, dim: int = 384, heads: int = 12, depth: int = 6):
        super().__init__()
        self.word = nn.Embedding(vocabulary, dim)
        self.position = nn.Embedding(positions, dim)
        self.segment = nn.Embedding(2, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        layers = [
            nn.TransformerEncoderLayer(
                dim, heads, 4 * dim, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
            )
            for _ in range(depth)
        ]
        self.layers = nn.ModuleList(layers)

    def forward(self, tokens: Int[Tensor, "b tokens"]) -> Float[Tensor, "b tokens dim"]:
        x = self.word(tokens) + self.position.weight[: tokens.shape[1]] + self.segment.weight[0]
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x)
        return x

    def load_bert(self, weights: dict[str, Tensor]) -> None:
        """Takes the weights under the names that BERT's files have."""
        renamed = {
            f"{ours}.weight": weights[f"embeddings.{theirs}_embeddings.weight"]
            for ours, theirs in (("word", "word"), ("position", "position"), ("segment", "token_type"))
        }
        for kind in ("weight", "bias"):
            renamed[f"norm.{kind}"] = weights[f"embeddings.LayerNorm.{kind}"]
            for i in range(len(self.layers)):
                ours, theirs = f"layers.{i}", f"encoder.layer.{i}"
                attention = [weights[f"{theirs}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
                renamed[f"{ours}.self_attn.in_proj_{kind}"] = torch.cat(attention)
                for our_part, their_part in (
                    ("self_attn.out_proj", "attention.output.dense"),
                    ("norm1", "attention.output.LayerNorm"),
                    ("linear1", "intermediate.dense"),
                    ("linear2", "output.dense"),
                    ("norm2", "output.LayerNorm"),
                ):
                    renamed[f"{ours}.{our_part}.{kind}"] = weights[f"{theirs}.{their_part}.{kind}"]
        self.load_state_dict(renamed, assign=True)


def verify_sha256(path: Path, expected: str) -> None:
    """Raises HopriorError unless the file is there and is the very one that is meant."""
    if not path.is_file():
        raise HopriorError(f"{path}: there is no such file")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    found = digest.hexdigest()
    if found != expected:
        raise HopriorError(f"{path}: sha256 is {found}, not {expected}: the file is damaged or another one")


class OpenClipEncoder(TextEncoder):
    """The text tower of a CLIP model by open_clip: its pooled text features, to unit length.

    Args:
        model: open_clip's name of the architecture; `ViT-L-14` is what G-HOP uses.
        pretrained: open_clip's tag of the weights; it is part of the encoder's name.
        device: where to encode.
        checkpoint: local file of those weights, instead of open_clip's own download and cache. The environment
            variable HOPRIOR_CLIP_CHECKPOINT stands in for it.
    """

    def __init__(
        self,
        model: str,
        pretrained: str,
        device: str | torch.device = "cpu",
        checkpoint: str | Path | None = None,
    ) -> None:
        try:
            import open_clip
        except ImportError as error:
            raise HopriorError(
                f"text encoder {OPEN_CLIP_PREFIX}{model}: open_clip is not installed: pip install 'hoprior[clip]'"
            ) from error
        if model not in open_clip.list_models():
            raise HopriorError(f"text encoder {OPEN_CLIP_PREFIX}{model}: open_clip knows no such model")
        checkpoint = checkpoint or os.environ.get(CLIP_ENVIRONMENT)
        if checkpoint is not None and not Path(checkpoint).is_file():
            raise HopriorError(f"{checkpoint}: there is no such file; it should hold the weights of CLIP {model}")
        # OpenAI's weights want another activation than the architecture's config names; open_clip would only warn.
        quick_gelu = bool(open_clip.get_pretrained_cfg(model, pretrained).get("quick_gelu", False))
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers must not depend on what is loaded
            try:
                clip = open_clip.create_model(
                    model, pretrained=str(checkpoint or pretrained), force_quick_gelu=quick_gelu
                )
            except Exception as error:  # open_clip and its loaders raise of every kind, assertions among them
                source = checkpoint or f"the weights '{pretrained}'"
                raise HopriorError(
                    f"text encoder {OPEN_CLIP_PREFIX}{model}: {source} cannot be loaded: {error}"
                ) from error
        clip.visual = nn.Identity()  # two thirds of the memory, and no text goes through it
        self.model = clip.to(device).eval().requires_grad_(False)
        self.tokenizer = open_clip.get_tokenizer(model)
        dim = open_clip.get_model_config(model)["embed_dim"]
        super().__init__(f"{OPEN_CLIP_PREFIX}{model}/{pretrained}", dim=dim, device=device)

    def _encode_one(self, text: str) -> Float[Tensor, "1 dim"]:
        return self.model.encode_text(self.tokenizer([text]).to(self.device), normalize=True)


def load_text_encoder(
    name: str, device: str | torch.device = "cpu", checkpoint: str | Path | None = None
) -> TextEncoder:
    """The text encoder of a name, made once: `minilm`, or `open_clip/MODEL/PRETRAINED` (`open_clip/ViT-L-14/openai`).

    Args:
        name: as priors keep it in `text_encoder_name`.
        device: where to encode.
        checkpoint: local file of an open_clip model's weights.

    Raises:
        HopriorError: unknown name, or weights that are not to be had.

    Example:
        >>> load_text_encoder("minilm").encode(["a mug", "a hammer"]).shape
        torch.Size([2, 1, 384])
    """
    return _encoder(name, device, checkpoint, encoder_weights(name, checkpoint))


def encoder_weights(name: str, checkpoint: str | Path | None = None) -> str:
    """Which weights an encoder of this name has now: its name, and a local file's place, size and time if it has one.

    What was encoded by other weights must not stand beside what these encode.

    Example:
        >>> encoder_weights("minilm")
        'minilm'
    """
    file = checkpoint or os.environ.get(CLIP_ENVIRONMENT)
    if not name.startswith(OPEN_CLIP_PREFIX) or file is None or not Path(file).is_file():
        return name
    state = Path(file).stat()
    return f"{name} {Path(file).resolve()} {state.st_size} {state.st_mtime_ns}"


@lru_cache(maxsize=4)
def _encoder(name: str, device: str | torch.device, checkpoint: str | Path | None, _weights: str) -> TextEncoder:
    if name == "minilm":
        return MiniLMEncoder(device)
    match name.removeprefix(OPEN_CLIP_PREFIX).split("/") if name.startswith(OPEN_CLIP_PREFIX) else []:
        case [model, pretrained] if model and pretrained:
            return OpenClipEncoder(model, pretrained, device, checkpoint)
    raise HopriorError(f"text encoder '{name}' is unknown: use minilm, or {OPEN_CLIP_PREFIX}MODEL/PRETRAINED")


def encode_texts(
    prior: Any, texts: Sequence[str] | None, encoder: TextEncoder | None = None, device: str | torch.device = "cpu"
) -> Float[Tensor, "b tokens dim"] | None:
    """The condition that a prior takes of b texts: by its own encoder, or by `encoder`, which must be the same.

    Without texts it is None; for a prior that listens to none too, with a warning in the log.

    Args:
        prior: whose condition it is.
        texts: sentences, one a state.
        encoder: one that is loaded already.
        device: where to encode, and where the result is.

    Raises:
        HopriorError: `encoder` is not the prior's.

    Example:
        >>> class Low:  # listens to no text
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> encode_texts(Low(), None) is None
        True
    """
    if texts is None:
        return None
    wanted = text_encoder_of(prior)
    if wanted is None:
        logger.warning("%s listens to no text: it does not hear %r", type(prior).__name__, texts[0])
        return None
    if encoder is None:
        encoder = load_text_encoder(wanted, device)
    elif encoder.name != wanted:
        raise HopriorError(
            f"{type(prior).__name__} was trained with the text encoder '{wanted}', not '{encoder.name}': use '{wanted}'"
        )
    return encoder.encode(texts).to(device)
