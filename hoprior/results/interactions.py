"""Sampled hands with the objects they hold: as Python objects, and as a folder of files that other programs read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int
from PIL import Image

from hoprior.common.io import strict_json
from hoprior.errors import HopriorError
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.rendering.rasterizer import OBJECT_GREY, SKIN
from hoprior.rendering.sheet import MAX_CELLS, VIEW_SIZE, Cell, draw_sheet, metrics_caption
from hoprior.results.folder import CONFIG_NAME, HAND_FRAME, ResultFolder, scene_glb, write_config
from hoprior.results.samples import Samples, draws_text

SAMPLES = ResultFolder("sample")
FORMAT = f"{SAMPLES.format_name}1"
REJECTED_NAME = "samples_rejected.png"

FRAMES = {
    "hand frame": f"of each sample, metres: {HAND_FRAME}",
    "joints_hand": (
        "21 joints in the hand frame, metres, in the order of `joint_names`, as the prior sampled them; where it has no"
        " fingertips they are the fitted hand's"
    ),
    "fitted_joints_hand": "the same of the hand model that was fitted to them, whose mesh is in the GLB",
    "hand_pose": (
        "of the fitted hand: axis times angle (radians) of joints 1 to 15 from the flat hand, in the axes of the hand"
        " frame, each relative to its parent"
    ),
    "betas": "of the fitted hand: shape coefficients of the named hand model",
    "global_orient": "of the fitted hand: turns it about its wrist into the hand frame, axis times angle, radians",
    "transl": "of the fitted hand: where its wrist is in the hand frame, metres",
    "glb": "geometries `hand` and `object` in the hand frame, metres",
}

MEASURES = {
    "field_residual": "root mean square of the sampled hand field minus that of its joints, as a share of its clamp",
    "bone_error": "mean over the bones of |length / the fitted hand's - 1|",
    "ik_error_cm": "mean distance of the fitted hand's joints from the sampled ones; it stays within joint limits",
    "object_size_cm": "longest side of the object's bounding box in the hand frame",
    "object_volume_cm3": "of the object's mesh",
    "object_pieces": "pieces of the object that are left, a centimetre or two apart at most",
    "object_cut": "1 where the object reaches the end of the prior's grid and is closed there, else 0",
    "gap_cm": "distance from the hand's nearest vertex to the object's surface; 0 where they touch",
    "max_depth_cm": "how deep the hand's deepest vertex is in the object",
    "volume_cm3": "of the intersection, in voxels of 5 mm",
    "bones_through": "bones of the hand, of 19, that cross the object's surface",
}
"""What each of a sample's measures is; the name ends in the unit."""


@dataclass(frozen=True, eq=False)
class InteractionSample:
    """One hand with the object that it holds, in the hand frame; metres and radians.

    Attributes:
        hand, side: name of the hand model, "open" or "mano"; "right" or "left".
        joints_hand: as the prior sampled them.
        fitted_joints_hand, verts_hand: of the hand model that was fitted to them.
        hand_pose, betas, global_orient, transl: its parameters; the last two place it in the hand frame, where it lies
            but for what the bones' lengths differ.
        object_mesh: closed, wound outwards.
        measures: how valid the sample is; `MEASURES` says what each is.

    Example:
        >>> still, joints, verts = np.zeros((15, 3)), np.zeros((21, 3)), np.zeros((778, 3))
        >>> shape, nowhere, held = np.zeros(10), np.zeros(3), trimesh.creation.box()
        >>> one = InteractionSample("open", "right", joints, joints, verts, still, shape, nowhere, nowhere, held)
        >>> one.hand_pose.shape, one.object_mesh.is_watertight
        ((15, 3), True)
    """

    hand: str
    side: str
    joints_hand: Float[np.ndarray, "21 3"]
    fitted_joints_hand: Float[np.ndarray, "21 3"]
    verts_hand: Float[np.ndarray, "v 3"]
    hand_pose: Float[np.ndarray, "15 3"]
    betas: Float[np.ndarray, " 10"]
    global_orient: Float[np.ndarray, " 3"]
    transl: Float[np.ndarray, " 3"]
    object_mesh: trimesh.Trimesh
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RejectedDraw:
    """A draw that was thrown away, in the hand frame; metres.

    Attributes:
        reason: what was wrong with it, in a few words.
        side: "right" or "left".
        verts_hand: of the fitted hand.
        object_mesh: None where there was none.

    Example:
        >>> RejectedDraw("without an object", "right", np.zeros((778, 3)), None).reason
        'without an object'
    """

    reason: str
    side: str
    verts_hand: Float[np.ndarray, "v 3"]
    object_mesh: trimesh.Trimesh | None


@dataclass(frozen=True, eq=False)
class InteractionSamples(Samples[InteractionSample]):
    """Samples of one text, in the order of their draws, with what they were made from.

    Attributes:
        samples: those that were kept.
        faces: of every sample's `verts_hand`.
        text, sentence, seed: what was asked, what the prior was told of it, with which random numbers.
        asked: how many samples were wanted; there are fewer where too many draws were implausible.
        draws: how many were drawn.
        rejected: how many of them were thrown away for which reason.
        config: all settings of the run, as JSON and YAML have them.
        versions: of hoprior and of what it computed with.
        timings: seconds by stage.
        shown_rejected: draws that were thrown away, where these were asked for.

    Example:
        >>> faces = np.zeros((0, 3), dtype=int)
        >>> none = InteractionSamples((), faces, "a mug", "a hand holding a mug", 8, 40, {"too small": 40})
        >>> none.accepted_share, none.summary()
        (0.0, '0 of 8 samples; 0 of 40 draws were plausible (40 too small)')
    """

    faces: Int[np.ndarray, "f 3"]
    text: str
    sentence: str
    asked: int
    draws: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    shown_rejected: tuple[RejectedDraw, ...] = ()

    @property
    def accepted_share(self) -> float:
        """Share of the draws that were plausible."""
        return 1 - sum(self.rejected.values()) / self.draws

    def summary(self) -> str:
        """ "5 of 8 samples; 5 of 40 draws were plausible (30 broken into pieces, 5 too small)"."""
        return draws_text("samples", len(self), self.asked, self.draws, self.rejected)

    def save(self, folder: str | Path) -> Path:
        """Writes `sample_000.glb` and so on, samples.json, samples.png and config.yaml; metres. Draws that were thrown
        away are in samples_rejected.png, where they were asked for.

        All files are complete before the first one stands in `folder`. The files of earlier samples are replaced;
        anything else that lies there is kept. Returns `folder`.

        Raises:
            HopriorError: see `ResultFolder.check_writable`; or there are no samples, or the disk is full.
        """
        if not self.samples:
            raise HopriorError(f"{folder}: there are no samples to save: ask for at least one.")
        return SAMPLES.write(folder, self._write)

    def _write(self, folder: Path) -> None:
        names = SAMPLES.glb_names(len(self))
        for name, sample in zip(names, self, strict=True):
            (folder / name).write_bytes(scene_glb(sample.verts_hand, self.faces, sample.object_mesh))
        write_config(folder, self.config)
        sample_sheet(self).save(folder / SAMPLES.sheet_name)
        shown = [REJECTED_NAME] if self.shown_rejected else []
        if shown:
            rejected_sheet(self).save(folder / REJECTED_NAME)
        index = {
            "format": FORMAT,
            "text": self.text,
            "sentence": self.sentence,
            "seed": self.seed,
            "asked": self.asked,
            "draws": self.draws,
            "accepted_share": self.accepted_share,
            "rejected": self.rejected,
            "unit": {"name": "m", "metres_per_unit": 1.0},
            "frames": FRAMES,
            "measures": MEASURES,
            "joint_names": JOINT_NAMES,
            "samples": [
                {"index": i, "glb": name, **_describe(sample)}
                for i, (name, sample) in enumerate(zip(names, self, strict=True))
            ],
            "versions": self.versions,
            "timings": self.timings,
            "config": self.config,
            "files": [*names, SAMPLES.index_name, SAMPLES.sheet_name, *shown, CONFIG_NAME],
        }
        (folder / SAMPLES.index_name).write_text(strict_json(index), encoding="utf-8")


def _describe(sample: InteractionSample) -> dict[str, Any]:
    names = ("hand", "side", "joints_hand", "fitted_joints_hand", "hand_pose", "betas", "global_orient", "transl")
    return {name: getattr(sample, name) for name in (*names, "measures")}


def sample_sheet(results: InteractionSamples, max_samples: int = MAX_CELLS, view_size: int = VIEW_SIZE) -> Image.Image:
    """A picture of the first `max_samples` samples, two views of `view_size` pixels for each."""
    cells = [
        Cell(
            meshes=[
                (sample.verts_hand, results.faces, SKIN),
                (sample.object_mesh.vertices, sample.object_mesh.faces, OBJECT_GREY),
            ],
            rotation=np.eye(3),
            side=sample.side,
            label=f"IK {sample.measures['ik_error_cm']:.2f} cm",
            remark=metrics_caption(sample.measures),
        )
        for sample in results[:max_samples]
    ]
    shown = f"{len(results)} samples of {results.draws} draws"
    return draw_sheet(f"“{results.text}”", shown, cells, view_size)


def rejected_sheet(results: InteractionSamples, view_size: int = VIEW_SIZE) -> Image.Image:
    """A picture of the first draws that were thrown away, each with the reason."""
    cells = []
    for draw in results.shown_rejected[:MAX_CELLS]:
        meshes = [(draw.verts_hand, results.faces, SKIN)]
        if draw.object_mesh is not None:
            meshes.append((draw.object_mesh.vertices, draw.object_mesh.faces, OBJECT_GREY))
        cells.append(Cell(meshes, np.eye(3), draw.side, draw.reason, ""))
    shown = f"thrown away: {sum(results.rejected.values())} of {results.draws} draws"
    return draw_sheet(f"“{results.text}”", shown, cells, view_size)
