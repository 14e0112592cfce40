"""Refined hands: as Python objects, and as a folder of files that other programs read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, overload

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Int
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from hoprior.common.array_files import save_arrays
from hoprior.common.io import strict_json
from hoprior.errors import HopriorError
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.rendering import SKIN
from hoprior.rendering.overlay import overlay_sheets, page_count
from hoprior.results.folder import CONFIG_NAME, HAND_FRAME, ResultFolder, write_config
from hoprior.vision.estimates.kept import FOLDER

HANDS = ResultFolder("hand", unfinished=(FOLDER,))
FORMAT, INDEX_NAME = f"{HANDS.format_name}1", HANDS.index_name
PARAMETERS_NAME = "hands.npz"
MM_PER_M = 1000.0
FIRST_COLOUR = (0.62, 0.64, 0.68)

FRAMES = {
    "camera": "x right, y down, z away from the camera; metres; pixel = K (x/z, y/z, 1)",
    "hand_pose": (
        "axis times angle (radians) of joints 1 to 15 from the flat hand, in the axes of the hand frame, each relative"
        f" to its parent. Hand frame: {HAND_FRAME}"
    ),
    "global_orient": "axis times angle (radians): from the hand frame into the camera's",
    "transl": "the wrist in the camera's frame, metres",
    "betas": "shape coefficients of the named hand model",
    "presence": "of hands found in photos: the network's probability that it is one, mean over several looks",
    "certainty": "presence squared, less what these looks disagree on its joints and side; 0 to 1",
    "uncertainty_mm": "standard deviation of each joint's place over the samples; 0 where it was held",
    "glb": "geometries `refined` and `first`, metres, y up: the camera's frame turned about x by 180 degrees",
}


@dataclass(frozen=True, eq=False)
class RefinedHand:
    """One hand before and after, in the frame of its camera; metres, radians, pixels; joints in hoprior's order.

    Attributes:
        name: of the hand.
        side: "right" or "left".
        hand: name of the hand model.
        hand_pose, first_hand_pose: the refined one, and the estimate that it began with: axis-angle of the 15 finger
            joints. What has no `first_` beside it is of both.
        betas, global_orient, transl: the model's shape, and where the hand is before the camera.
        joints, first_joints, verts, first_verts: of both hands, in the camera's frame.
        faces: of both meshes.
        keypoints: where the picture has the joints, as the estimate says.
        occluded: the joints that the camera does not see.
        uncertainty_mm: how far a joint's places in the samples are apart.
        noise_level: n_r / T, 0 where nothing was to be refined.
        K, size: the camera's matrix, and its picture's width and height.
        text, source: what was asked; the file that the hand is from.
        photo: the picture, if there is one.
        notes: what one should know of this result, as sentences.
        presence: of a hand that was found in a photo: the network's probability that it is one.
        certainty: the same, less what looks from elsewhere disagree; below .45 it is unsure, and a note says so.
    """

    name: str
    side: str
    hand: str
    hand_pose: Float[np.ndarray, "15 3"]
    first_hand_pose: Float[np.ndarray, "15 3"]
    betas: Float[np.ndarray, " 10"]
    global_orient: Float[np.ndarray, " 3"]
    transl: Float[np.ndarray, " 3"]
    joints: Float[np.ndarray, "21 3"]
    first_joints: Float[np.ndarray, "21 3"]
    verts: Float[np.ndarray, "v 3"]
    first_verts: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    keypoints: Float[np.ndarray, "21 2"]
    occluded: Bool[np.ndarray, " 21"]
    uncertainty_mm: Float[np.ndarray, " 21"]
    noise_level: float
    K: Float[np.ndarray, "3 3"]
    size: tuple[int, int]
    text: str | None = None
    source: str | None = None
    photo: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    presence: float | None = None
    certainty: float | None = None

    @property
    def change_mm(self) -> Float[np.ndarray, " v"]:
        """How far each vertex moved."""
        return MM_PER_M * np.linalg.norm(self.verts - self.first_verts, axis=1)


@dataclass(frozen=True, eq=False)
class RefinedHands(Sequence[RefinedHand]):
    """The hands of a run, with what it was made from.

    Attributes:
        hands: in the order of what they are from.
        skipped: what could not be used, by name, and why.
        seed: of the random numbers.
        config: all settings of the run, as JSON and YAML have them.
        versions: of hoprior and of what it computed with.
        timings: seconds by stage.

    Example:
        >>> len(RefinedHands((), {"dark.jpg": "no hand was found"}))
        0
    """

    hands: tuple[RefinedHand, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.hands)

    def __iter__(self) -> Iterator[RefinedHand]:
        return iter(self.hands)

    @overload
    def __getitem__(self, index: int) -> RefinedHand: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RefinedHand, ...]: ...
    def __getitem__(self, index: int | slice) -> RefinedHand | tuple[RefinedHand, ...]:
        """One hand, or some of them."""
        return self.hands[index]

    def save(self, folder: str | Path) -> Path:
        """Writes `hand_000.glb` and so on, hands.npz, hands.json, config.yaml and the overlays: hands.png, and
        hands_2.png and so on where they are many.

        All files are complete before the first one stands in `folder`. The files of an earlier result are replaced;
        anything else that lies there is kept. Returns `folder`.

        Raises:
            HopriorError: see `ResultFolder.check_writable`; or there are no hands, or the disk is full.
        """
        if not self.hands:
            raise HopriorError(f"{folder}: there are no hands to save.")
        return HANDS.write(folder, self._write)

    def _write(self, folder: Path) -> None:
        names = HANDS.glb_names(len(self))
        for name, hand in zip(names, self, strict=True):
            (folder / name).write_bytes(_glb(hand))
        (folder / PARAMETERS_NAME).write_bytes(_npz(self.hands))
        write_config(folder, self.config)
        sheets = HANDS.sheet_names(page_count(len(self)))
        for name, sheet in zip(sheets, overlay_sheets(self.hands), strict=True):
            sheet.save(folder / name)
        index = {
            "format": FORMAT,
            "frames": FRAMES,
            "joint_names": JOINT_NAMES,
            "hands": [{"glb": name, **_describe(hand)} for name, hand in zip(names, self, strict=True)],
            "skipped": self.skipped,
            "seed": self.seed,
            "versions": self.versions,
            "timings": self.timings,
            "config": self.config,
            "files": [*names, INDEX_NAME, *sheets, PARAMETERS_NAME, CONFIG_NAME],
        }
        (folder / INDEX_NAME).write_text(strict_json(index), encoding="utf-8")


def _describe(hand: RefinedHand) -> dict[str, Any]:
    return {
        "name": hand.name,
        "source": hand.source,
        "side": hand.side,
        "hand": hand.hand,
        "text": hand.text,
        "hand_pose": hand.hand_pose,
        "first_hand_pose": hand.first_hand_pose,
        "betas": hand.betas,
        "global_orient": hand.global_orient,
        "transl": hand.transl,
        "joints": hand.joints,
        "first_joints": hand.first_joints,
        "keypoints": hand.keypoints,
        "occluded": hand.occluded,
        "uncertainty_mm": hand.uncertainty_mm,
        "noise_level": hand.noise_level,
        "presence": hand.presence,
        "certainty": hand.certainty,
        "mean_change_mm": hand.change_mm.mean(),
        "K": hand.K,
        "size": hand.size,
        "notes": hand.notes,
    }


def _npz(hands: Sequence[RefinedHand]) -> bytes:
    """The parameters of all hands, stacked; plain arrays."""
    stacked = (
        "hand_pose",
        "first_hand_pose",
        "betas",
        "global_orient",
        "transl",
        "joints",
        "first_joints",
        "keypoints",
        "occluded",
        "uncertainty_mm",
        "K",
        "size",
    )
    arrays = {name: np.stack([np.asarray(getattr(hand, name)) for hand in hands]) for name in stacked}
    arrays |= {name: np.array([getattr(hand, name) for hand in hands]) for name in ("name", "side")}
    buffer = BytesIO()
    save_arrays(buffer, arrays)
    return buffer.getvalue()


def _glb(hand: RefinedHand) -> bytes:
    """Both meshes; glTF's y is up and its viewers look along -z, as photos do in turned camera axes."""
    scene = trimesh.Scene()
    for name, verts, colour in (("refined", hand.verts, SKIN), ("first", hand.first_verts, FIRST_COLOUR)):
        mesh = trimesh.Trimesh(np.asarray(verts, dtype=float) * [1.0, -1.0, -1.0], hand.faces, process=False)
        _ = mesh.vertex_normals  # the exporter writes normals only where they are computed
        material = PBRMaterial(name=name, baseColorFactor=[*colour, 1.0], metallicFactor=0.0, roughnessFactor=0.7)
        mesh.visual = TextureVisuals(material=material)
        scene.add_geometry(mesh, node_name=name, geom_name=name)
    return trimesh.exchange.gltf.export_glb(scene)
