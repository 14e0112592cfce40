"""Text features of a cache's sentences, encoded once and kept beside the shards."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hoprior.common.io import write_atomically
from hoprior.common.run_key import RunKey
from hoprior.errors import HopriorError
from hoprior.priors.text_encoders import encoder_weights, load_text_encoder

logger = logging.getLogger(__name__)


def text_features(
    folder: Path, sentences: Sequence[str], encoder_name: str = "minilm"
) -> Float[Tensor, "k tokens dim"]:
    """Features of each sentence; those that `folder` does not know yet are encoded and added to it.

    Features of other weights of the encoder are encoded anew, and that is said in the log. A folder that cannot be
    written, or whose file is damaged, costs the encoding again and nothing else.
    """
    path = Path(folder) / f"text-{encoder_name.replace('/', '_')}.safetensors"
    made_of = RunKey.of({"the text encoder's weights": encoder_weights(encoder_name)})
    known = _kept(path, made_of)
    missing = [text for text in dict.fromkeys(sentences) if text not in known]
    if missing:
        features = load_text_encoder(encoder_name).encode(missing).cpu()
        known.update({text: feature.clone() for text, feature in zip(missing, features, strict=True)})
        _keep(path, known, made_of)
    return torch.stack([known[text] for text in sentences])


def _kept(path: Path, made_of: RunKey) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            # Earlier versions did not say it, and had no other weights than the name's own.
            written = (file.metadata() or {}).get("made_of")
            if written is not None and (differing := made_of.differing(RunKey.read(written))):
                logger.warning("%s: encoded anew, because %s", path, differing)
                return {}
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        return {}
    except (OSError, SafetensorError) as error:  # cut short or damaged, which a file that can be made again may be
        logger.warning("%s: cannot be read (%s): its sentences are encoded anew", path, error)
        return {}


def _keep(path: Path, known: dict[str, Tensor], made_of: RunKey) -> None:
    try:
        write_atomically(path, lambda temporary: temporary.write_bytes(save(known, {"made_of": made_of.text()})))
    except HopriorError as error:
        logger.warning("text features are not kept, and will be encoded anew: %s", error)
