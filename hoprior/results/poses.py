"""Sampled hand poses: as Python objects, and as a folder of files that other programs read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from hoprior.common.io import strict_json
from hoprior.errors import HopriorError
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.rendering.rasterizer import SKIN
from hoprior.rendering.sheet import MAX_CELLS, VIEW_SIZE, Cell, draw_sheet
from hoprior.results.folder import CONFIG_NAME, HAND_FRAME, ResultFolder, scene_glb, write_config
from hoprior.results.samples import Samples

POSES = ResultFolder("pose")
FORMAT = f"{POSES.format_name}1"

FRAMES = {
    "hand frame": f"of each sample, metres: {HAND_FRAME}",
    "hand_pose": (
        "axis times angle (radians) of joints 1 to 15 from the flat hand, in the axes of the hand frame, each relative"
        " to its parent"
    ),
    "betas": "shape coefficients of the named hand model; zeros: the average hand",
    "joints_hand": "21 joints in the hand frame, metres, in the order of `joint_names`",
    "glb": "geometry `hand` in the hand frame, metres",
}
MEASURES = {
    "aperture_cm": "distance from the thumb's tip to the index finger's",
    "beyond_limits_deg": "how far the joint that the prior bent worst was beyond its limit, before it was brought back",
}
"""What each of a sample's measures is; the name ends in the unit."""


@dataclass(frozen=True, eq=False)
class PoseSample:
    """One hand in its hand frame; metres and radians.

    Attributes:
        hand, side: name of the hand model, "open" or "mano"; "right" or "left".
        hand_pose, betas: axis-angle of the 15 finger joints, within the model's limits (rad); the model's shape.
        joints_hand, verts_hand: of that hand.
        measures: `MEASURES` says what each is.

    Example:
        >>> still, joints, verts = np.zeros((15, 3)), np.zeros((21, 3)), np.zeros((778, 3))
        >>> PoseSample("open", "right", still, np.zeros(10), joints, verts, {"aperture_cm": 5.0}).measures
        {'aperture_cm': 5.0}
    """

    hand: str
    side: str
    hand_pose: Float[np.ndarray, "15 3"]
    betas: Float[np.ndarray, " 10"]
    joints_hand: Float[np.ndarray, "21 3"]
    verts_hand: Float[np.ndarray, "v 3"]
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class PoseSamples(Samples[PoseSample]):
    """Hands of one text, in the order of their draws, with what they were made from.

    Attributes:
        samples: in the order of their draws.
        faces: of every sample's `verts_hand`.
        text, sentence, seed: what was asked, what the prior was told of it, with which random numbers.
        config: all settings of the run, as JSON and YAML have them.
        versions: of hoprior and of what it computed with.
        timings: seconds by stage.

    Example:
        >>> joints, verts = np.zeros((21, 3)), np.zeros((3, 3))
        >>> flat = PoseSample("open", "right", np.zeros((15, 3)), np.zeros(10), joints, verts, {"aperture_cm": 5.0})
        >>> PoseSamples((flat, flat), np.array([[0, 1, 2]]), "a ball", "a hand holding a ball").summary()
        '2 hands; thumb to index 5.0 cm (5.0 to 5.0)'
    """

    faces: Int[np.ndarray, "f 3"]
    text: str
    sentence: str
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)

    def summary(self) -> str:
        """ "8 hands; thumb to index 5.1 cm (3.9 to 6.4)"."""
        aperture = [sample.measures["aperture_cm"] for sample in self]
        mean, low, high = np.mean(aperture), min(aperture), max(aperture)
        return f"{len(self)} hands; thumb to index {mean:.1f} cm ({low:.1f} to {high:.1f})"

    def save(self, folder: str | Path) -> Path:
        """Writes `pose_000.glb` and so on, poses.json, poses.png and config.yaml; metres. Returns `folder`.

        All files are complete before the first one stands in `folder`. The files of earlier poses are replaced;
        anything else that lies there is kept.

        Raises:
            HopriorError: see `ResultFolder.check_writable`; or there are no poses, or the disk is full.
        """
        if not self.samples:
            raise HopriorError(f"{folder}: there are no poses to save: ask for at least one.")
        return POSES.write(folder, self._write)

    def _write(self, folder: Path) -> None:
        names = POSES.glb_names(len(self))
        for name, sample in zip(names, self, strict=True):
            (folder / name).write_bytes(scene_glb(sample.verts_hand, self.faces))
        write_config(folder, self.config)
        pose_sheet(self).save(folder / POSES.sheet_name)
        index = {
            "format": FORMAT,
            "text": self.text,
            "sentence": self.sentence,
            "seed": self.seed,
            "unit": {"name": "m", "metres_per_unit": 1.0},
            "frames": FRAMES,
            "measures": MEASURES,
            "joint_names": JOINT_NAMES,
            "poses": [
                {"index": i, "glb": name, **_described(sample)}
                for i, (name, sample) in enumerate(zip(names, self, strict=True))
            ],
            "versions": self.versions,
            "timings": self.timings,
            "config": self.config,
            "files": [*names, POSES.index_name, POSES.sheet_name, CONFIG_NAME],
        }
        (folder / POSES.index_name).write_text(strict_json(index), encoding="utf-8")


def _described(sample: PoseSample) -> dict[str, Any]:
    return {name: value for name, value in asdict(sample).items() if name != "verts_hand"}


def pose_sheet(results: PoseSamples, max_samples: int = MAX_CELLS, view_size: int = VIEW_SIZE) -> Image.Image:
    """A picture of the first `max_samples` hands, two views of `view_size` pixels for each."""
    cells = [
        Cell(
            meshes=[(sample.verts_hand, results.faces, SKIN)],
            rotation=np.eye(3),
            side=sample.side,
            label=f"thumb to index {sample.measures['aperture_cm']:.1f} cm",
            remark="",
        )
        for sample in results[:max_samples]
    ]
    return draw_sheet(f"“{results.text}”", f"{len(results)} hands", cells, view_size)
