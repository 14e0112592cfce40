"""MyoDM: recorded manipulation of 50 objects, as joints of a human hand in the object's frame.

The motion was retargeted from GRAB to a 29-degree-of-freedom hand (robohive, Apache-2.0; GRAB itself is licensed for
non-commercial use). This reads the prepared form: `grasps.npz` (joints_object (n,21,3) in metres, sequence (n,),
sequence_names `{object}_{verb}`) beside `objects/*.ply` in metres. `myodm_raw.py` makes that form from a release.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.common.array_files import read_arrays
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.datasets.samples.skin import posed_set
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.rotations import quat_wxyz_to_xyzw, unitquat_to_rotmat
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import HandModel, fit_joints
from hoprior.hand.joint_order import THUMB_CMC, TIPS
from hoprior.language.phrases import sentence

LICENCE = "Apache-2.0 release (robohive, object_sim); motion retargeted from GRAB (non-commercial)"

DISPLAY_NAMES = {
    "alarmclock": "alarm clock",
    "fryingpan": "frying pan",
    "gamecontroller": "game controller",
    "hand": "model of a hand",
    "lightbulb": "light bulb",
    "mouse": "computer mouse",
    "piggybank": "piggy bank",
    "stanfordbunny": "bunny",
    "train": "toy train",
    "airplane": "toy airplane",
    "duck": "toy duck",
    "elephant": "toy elephant",
    "waterbottle": "water bottle",
    "wineglass": "wine glass",
}
SIZED = re.compile(r"(cube|cylinder|pyramid|sphere|torus)(large|medium|small)")


def display_name(name: str) -> str:
    """What a person would call an object of the release: "cubelarge" -> "large cube"."""
    if match := SIZED.fullmatch(name):
        return f"{match[2]} {match[1]}"
    return DISPLAY_NAMES.get(name, name)


def verb_of(sequence: str) -> str:
    """ "mug_drink3" -> "drink"."""
    return re.sub(r"\d+$", "", sequence.split("_", 1)[1])


def frames_in_contact(
    sdf: SdfGrid, joints_object: Float[Tensor, "n 21 3"], distance: float = 0.015, fingertips: int = 3
) -> Bool[Tensor, " n"]:
    """Which frames have at least `fingertips` fingertips within `distance` (m) of the object's surface."""
    return (sdf(joints_object[:, TIPS]).abs() < distance).sum(1) >= fingertips


def diverse_subset(joints: Float[Tensor, "n 21 3"], num: int) -> Int[Tensor, " k"]:
    """Indices of at most `num` hands that are far from each other (farthest-point sampling, mean joint distance).

    Starts at the hand nearest to the mean of all, so that one frame of a sequence is its most typical one.
    """
    flat = joints.flatten(1)
    chosen = [int((flat - flat.mean(0)).norm(dim=1).argmin())]
    distance = (joints - joints[chosen[0]]).norm(dim=-1).mean(1)
    while len(chosen) < min(num, len(joints)):
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (joints - joints[chosen[-1]]).norm(dim=-1).mean(1))
    return torch.tensor(sorted(chosen))


@dataclass(frozen=True)
class MyoDM:
    """The prepared release in `folder`.

    A frame is a grasp when `min_fingertips` fingertips are within `contact_distance` (m) of the surface; the frames
    before that approach the object. Sequences with fewer than `min_frames` such frames are tried again with two
    fingertips (a pinch of a small object never has three). Of each sequence at most `frames_per_sequence` frames
    are kept, far from each other.
    """

    folder: Path
    min_fingertips: int = 3
    contact_distance: float = 0.015
    frames_per_sequence: int = 48
    min_frames: int = 5
    name: str = "myodm"

    def __post_init__(self) -> None:
        for part in ("grasps.npz", "objects"):
            if not (Path(self.folder) / part).exists():
                raise HopriorError(
                    f"{Path(self.folder) / part}: not there; --myodm takes a folder with grasps.npz and objects/*.ply"
                )

    def objects(self) -> list[ObjectInfo]:
        """Every object that has a mesh, by name."""
        paths = sorted((Path(self.folder) / "objects").glob("*.ply"))
        names = [(path.stem, display_name(path.stem), path) for path in paths]
        return [ObjectInfo(stem, shown, self.name, LICENCE, str(path), sentence(shown)) for stem, shown, path in names]

    def fingerprint(self, info: ObjectInfo) -> str:
        """Changes when anything changes that `grasps` depends on."""
        digest = hashlib.sha256(repr(self).encode())
        for path in (Path(self.folder) / "grasps.npz", Path(info.mesh)):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def mesh(self, info: ObjectInfo) -> trimesh.Trimesh:
        """The object's mesh in metres."""
        return load_mesh(info.mesh).mesh

    def recorded(self) -> dict[str, np.ndarray]:
        """The arrays of `grasps.npz`: n frames of named sequences, each with a frame at least.

        Raises:
            HopriorError: the file is missing, damaged, or its arrays do not fit each other.
        """
        path = Path(self.folder) / "grasps.npz"
        advice = "prepare the release again"
        data = read_arrays(path, ("sequence_names", "sequence", "joints_object", "object_pose"), advice=advice)
        n, shapes = len(data["sequence"]) if data["sequence"].ndim == 1 else -1, {k: v.shape for k, v in data.items()}
        numbers = all(data[name].dtype.kind in "fiu" for name in ("sequence", "joints_object", "object_pose"))
        if not numbers or shapes["joints_object"] != (n, 21, 3) or shapes["object_pose"] != (n, 7):
            raise HopriorError(f"{path}: arrays of the shapes {shapes} do not fit each other: {advice}")
        if set(np.unique(data["sequence"])) != set(range(data["sequence_names"].size)):
            raise HopriorError(f"{path}: has sequences without frames, or frames without one: {advice}")
        return data

    def joints(self, info: ObjectInfo, sdf: SdfGrid) -> dict[str, Float[Tensor, "n 21 3"]]:
        """Recorded grasps by sequence: joints in the object's frame."""
        data = self.recorded()
        names = [str(name) for name in data["sequence_names"]]
        of_object = {i: name for i, name in enumerate(names) if name.split("_")[0] == info.name}
        sequence = data["sequence"]
        recorded = {name: torch.from_numpy(data["joints_object"][sequence == i]) for i, name in of_object.items()}
        found = {}
        for name, joints in recorded.items():
            touching = frames_in_contact(sdf, joints, self.contact_distance, self.min_fingertips)
            if touching.sum() < self.min_frames:
                touching = frames_in_contact(sdf, joints, self.contact_distance, min(2, self.min_fingertips))
            if touching.any():
                joints = joints[touching]
                found[name] = joints[diverse_subset(joints, self.frames_per_sequence)]
        return found

    def up_at_rest(self) -> dict[str, Float[Tensor, " 3"]]:
        """By sequence, which direction of the object's frame is up in its first frame, before anyone lifts it."""
        data = self.recorded()
        first = [int(np.flatnonzero(data["sequence"] == i)[0]) for i in range(len(data["sequence_names"]))]
        wxyz = torch.from_numpy(data["object_pose"][first, 3:]).float()
        names = [str(name) for name in data["sequence_names"]]
        R_world_object = unitquat_to_rotmat(quat_wxyz_to_xyzw(wxyz))
        return dict(zip(names, R_world_object[:, 2], strict=True))

    def grasps(self, info: ObjectInfo, mesh: trimesh.Trimesh, sdf: SdfGrid, hand: HandModel) -> GraspSet | None:
        """The recorded grasps of an object as poses of `hand`, or None where no frame is in contact."""
        recorded = self.joints(info, sdf)
        if not recorded:
            return None
        sentences = tuple(dict.fromkeys(sentence(info.category, verb_of(name)) for name in recorded))
        counts = torch.tensor([len(joints) for joints in recorded.values()])
        up = self.up_at_rest()
        text_of = torch.tensor([sentences.index(sentence(info.category, verb_of(name))) for name in recorded])
        return fit_recorded(
            info,
            torch.cat(list(recorded.values())),
            hand,
            text_id=text_of.repeat_interleave(counts),
            sequence_id=torch.arange(len(counts)).repeat_interleave(counts),
            sentences=sentences,
            sequences=tuple(recorded),
            up_object=torch.stack([up[name] for name in recorded]).repeat_interleave(counts, dim=0),
        )


def fit_recorded(
    info: ObjectInfo,
    joints_object: Float[Tensor, "n 21 3"],
    hand: HandModel,
    *,
    text_id: Int[Tensor, " n"],
    sequence_id: Int[Tensor, " n"],
    sentences: tuple[str, ...],
    sequences: tuple[str, ...],
    up_object: Float[Tensor, "n 3"] | None = None,
) -> GraspSet:
    """Recorded joints as poses of a hand model, by inverse kinematics; the thumb's CMC is left out of the fit."""
    weights = torch.ones(21)
    weights[THUMB_CMC] = 0.0
    with torch.enable_grad():
        pose = fit_joints(hand, joints_object, weights=weights).pose.detach()
    return posed_set(
        info,
        hand,
        hand.pose_to_angles(pose.hand_pose),
        pose.T_target_hand,
        recorded=True,
        text_id=text_id,
        sequence_id=sequence_id,
        sentences=sentences,
        sequences=sequences,
        up_object=up_object,
    )
