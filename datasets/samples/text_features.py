"""Text features of a cache's sentences, encoded once and kept beside the shards."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save
from torch import Tensor

from hoprior.common.io import write_atomically
from hoprior.errors import HopriorError
from hoprior.priors.text_encoders import load_text_encoder


def text_features(
    folder: Path, sentences: Sequence[str], encoder_name: str = "minilm"
) -> Float[Tensor, "k tokens dim"]:
    """Features of each sentence; those that `folder` does not know yet are encoded and added to it.

    A folder that cannot be written, or whose file is damaged, costs the encoding again and nothing else.
    """
    path = Path(folder) / f"text-{encoder_name.replace('/', '_')}.safetensors"
    try:
        known = load_file(path)
    except Exception:  # missing, cut short or damaged: all the same to a file that can be made again
        known = {}
    missing = [text for text in dict.fromkeys(sentences) if text not in known]
    if missing:
        features = load_text_encoder(encoder_name).encode(missing).cpu()
        known.update({text: feature.clone() for text, feature in zip(missing, features, strict=True)})
        _keep(path, known)
    return torch.stack([known[text] for text in sentences])


def _keep(path: Path, known: dict[str, Tensor]) -> None:
    try:
        write_atomically(path, lambda temporary: temporary.write_bytes(save(known)))
    except HopriorError:
        return
