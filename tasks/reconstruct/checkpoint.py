"""The file from which an interrupted fit goes on, and what it must have been made of for that."""

import io
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.io import write_atomically
from hoprior.common.run_key import RunKey
from hoprior.common.torch_files import read_torch_file
from hoprior.datasets.clips.clip import Clip
from hoprior.errors import HopriorError
from hoprior.hand import HandModel
from hoprior.tasks.reconstruct.config import FitConfig
from hoprior.tasks.reconstruct.known_object import KnownObject

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 5.0
"""Time between two writings of the file: as much is lost where nobody says that the end comes."""


@dataclass(frozen=True)
class FitState:
    """All that a fit goes on from, in what torch loads without running code."""

    stage: str
    """Which is under way: "hands", "carving" (which begins anew), or "all"."""
    step: int
    """How many of its steps are done."""
    spent: float
    """Seconds that the fit has taken so far."""
    scene: dict[str, Any]
    optimizer: dict[str, Any]
    generator: Tensor
    drawn: dict[str, Any]
    """What the stage had drawn some steps ago, and goes on using."""
    interaction: dict[str, Any] | None
    poses: dict[str, Any] | None
    """Of the guides, if there are any."""
    history: list[dict[str, float]]
    hull_gap: float
    """By how much (m) the masks miss each other where they were carved; 0 if they meet."""
    hollow: list[float]
    """How sure a mouth is, and its direction."""
    rough: bool
    """Whether the masks contradict each other by the hands' motion."""
    turn_share: float
    """Of the hands' turns, what the object is taken to make."""
    miss: float
    """By how much (m) rays of the masks miss what was carved, in the median frame; NaN of a known object."""
    ruggedness: float
    """Of what was carved."""
    mesh_miss: float | None
    """By how much (m) a known object misses its masks, as it was found."""


class Checkpoint:
    """A file that is kept up to date, no oftener than every `CHECKPOINT_SECONDS`.

    Args:
        path: of the file; None for none.
        key: what the run follows from.
    """

    def __init__(self, path: Path | None, key: RunKey) -> None:
        self.path, self.key = path, key
        self.written = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to write."""
        return self.path is not None and time.monotonic() - self.written >= CHECKPOINT_SECONDS

    def write(self, state: FitState) -> None:
        """Writes the file, whole.

        Raises:
            HopriorError: it cannot be written.
        """
        assert self.path is not None
        # torch.save itself names a full disk "unexpected pos"; writing bytes raises what can be told.
        buffer = io.BytesIO()
        content = {item.name: _on_cpu(getattr(state, item.name)) for item in fields(state)}
        torch.save({"key": self.key.plain(), **content}, buffer)
        write_atomically(self.path, lambda path: path.write_bytes(buffer.getvalue()))
        self.written = time.monotonic()

    def read(self) -> tuple[FitState | None, str | None]:
        """The state in the file, if it is of this run and whole; and why not. None of both where there is no file."""
        if self.path is None or not self.path.is_file():
            return None, None
        try:
            content = read_torch_file(self.path)
        except HopriorError as error:
            logger.warning("%s", error)
            return None, f"{self.path} is damaged"
        differing = self.key.differing(RunKey.read(content.get("key")) if isinstance(content, dict) else None)
        if differing:
            return None, f"{differing}: {self.path} is of another run"
        del content["key"]
        if set(content) != {item.name for item in fields(FitState)}:
            return None, f"{self.path} is damaged"
        return FitState(**content), None


def key_of(
    clip: Clip,
    model: HandModel,
    priors: Sequence[tuple[float, Any]],
    cond: Float[Tensor, "1 tokens dim"] | None,
    config: FitConfig,
    seed: int,
    known: KnownObject | None = None,
) -> RunKey:
    """Everything that a fit follows from, but for the device and the time it has: a run may go on elsewhere."""
    return RunKey.of(
        {
            "the clip": [clip.name, clip.hand, clip.side, clip.frame, clip.fps, clip.image],
            "the hands": [clip.hand_pose, clip.has_hand, clip.keypoints, clip.confidence],
            "the masks": [clip.object_mask, clip.hand_mask, clip.known, clip.has_object],
            "the cameras": clip.intrinsics,
            "the text": cond,
            "the priors": list(priors),
            "the settings": config,
            "the seed": seed,
            "the object's mesh": known and [known.mesh.mesh.vertices, known.mesh.mesh.faces, known.sized, known.rigid],
            "the hand model": model,
            "the version of hoprior": version("hoprior"),
        }
    )


def _on_cpu(value: Any) -> Any:
    """Plain values with all their tensors on the CPU, so that a machine without the device can read them."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {key: _on_cpu(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_on_cpu(each) for each in value)
    return value
