"""Moving hands with objects, to be filmed: recorded motion of MyoDM, or a synthetic grasp on a path of its own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.datasets.myodm.source import MyoDM, display_name, fit_recorded, frames_in_contact, verb_of
from hoprior.datasets.procedural.families import FAMILIES
from hoprior.datasets.procedural.source import Procedural, family_named
from hoprior.errors import HopriorError
from hoprior.geometry.rotations import euler_to_rotmat, quat_wxyz_to_xyzw, rotvec_to_rotmat, unitquat_to_rotmat
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import rigid
from hoprior.hand import HandModel
from hoprior.language.phrases import sentence

BETAS_DEVIATION = 0.8
"""Of the first shape direction, whose spread is a little wide; the others are drawn as they are."""

FOLLOWED = 0.8
"""Share of a recorded path that the one who films follows, so that hand and object stay large in the picture."""


@dataclass(frozen=True)
class ClipScene:
    """n frames of a hand with a rigid object, metres; `T_world_object` is how it moves before a world that stands."""

    name: str
    text: str
    mesh: trimesh.Trimesh
    T_world_object: Float[Tensor, "n 4 4"]
    T_object_hand: Float[Tensor, "n 4 4"]
    angles: Float[Tensor, "n 15 3"]
    betas: Float[Tensor, " 10"]


def myodm_scene(folder: Path, sequence: str, frames: int, hand: HandModel) -> ClipScene:
    """A recorded sequence, from its first frame in contact to its last, thinned out to `frames`.

    Raises:
        HopriorError: no such folder or sequence, or the hand never touches the object for long enough.
    """
    source = MyoDM(folder)
    recorded = source.recorded()
    names = [str(name) for name in recorded["sequence_names"]]
    if sequence not in names:
        near = [name for name in names if name.startswith(sequence.split("_")[0])] or names[:8]
        raise HopriorError(f"--sequence '{sequence}' is not in {folder}: use for example {', '.join(near)}")
    mine = recorded["sequence"] == names.index(sequence)
    joints_object = torch.from_numpy(recorded["joints_object"][mine]).float()
    pose = torch.from_numpy(recorded["object_pose"][mine]).float()
    stem = sequence.split("_")[0]
    info = next(item for item in source.objects() if item.name == stem)
    mesh = source.mesh(info)
    touching = frames_in_contact(SdfGrid.from_mesh(mesh, resolution=64), joints_object, fingertips=2).nonzero()[:, 0]
    if len(touching) < 2:
        raise HopriorError(f"--sequence '{sequence}': the hand hardly touches the object: choose another sequence")
    keep = torch.linspace(float(touching[0]), float(touching[-1]), frames).round().long()
    grasps = fit_recorded(
        info,
        joints_object[keep],
        hand,
        text_id=torch.zeros(frames, dtype=torch.long),
        sequence_id=torch.zeros(frames, dtype=torch.long),
        sentences=(sentence(display_name(stem), verb_of(sequence)),),
        sequences=(sequence,),
    )
    rotation = unitquat_to_rotmat(quat_wxyz_to_xyzw(pose[keep, 3:]))
    place = pose[keep, :3]
    place = FOLLOWED * place.mean(dim=0) + (1 - FOLLOWED) * place
    return ClipScene(
        name=sequence,
        text=grasps.sentences[0],
        mesh=mesh,
        T_world_object=rigid(rotation, place),
        T_object_hand=grasps.T_object_hand,
        angles=grasps.angles,
        betas=torch.zeros(10),
    )


def procedural_scene(
    family: str, number: int, frames: int, hand: HandModel, turn: float = 120.0, slip: float = 4.0
) -> ClipScene:
    """A made object in a grasp by its family's rules, turned before the camera on a smooth path of its own.

    Args:
        family: "mug", "hammer" ...
        number: seed of the object, the grasp, the hand's shape and the path. Training uses the seed 0 unless told
            otherwise, so the objects of other numbers are new to priors.
        turn: degrees that the object turns from the first frame to the last.
        slip: degrees that it turns in the hand meanwhile, and as many half millimetres that it slides.

    Raises:
        HopriorError: there is no such family, or no grasp of this object closes well.
    """
    family_named(family)
    source = Procedural(len(FAMILIES), seed=number)
    info = next(item for item in source.objects() if item.category == family)
    mesh = source.mesh(info)
    grasps = source.grasps(info, mesh, SdfGrid.from_mesh(mesh, resolution=64), hand)
    if grasps is None:
        raise HopriorError(f"no grasp of the {family} number {number} closes well: choose another --number")
    rng = np.random.default_rng([number, 77])
    chosen = grasps[int(rng.integers(len(grasps)))]
    betas = torch.from_numpy(rng.normal(size=10)).float() * torch.tensor([BETAS_DEVIATION] + [1.0] * 9) * 0.5
    time = np.linspace(-1, 1, frames)
    yaw = np.radians(turn) / 2 * time
    pitch, roll = (np.radians(turn) / 6 * np.sin(rng.uniform(1, 2.5) * time + rng.uniform(0, 6)) for _ in range(2))
    turned = euler_to_rotmat("zyx", torch.from_numpy(np.stack([yaw, pitch, roll], axis=1)).float())
    moved = torch.from_numpy(0.03 * np.sin(rng.uniform(0.5, 1.5, 3) * time[:, None] + rng.uniform(0, 6, 3))).float()
    middle = torch.from_numpy(mesh.bounds.mean(axis=0)).float()
    axis = torch.from_numpy(rng.normal(size=3)).float()
    amount = torch.from_numpy(np.sin(2 * time + rng.uniform(0, 6)))[:, None].float()
    slipped = rigid(
        rotvec_to_rotmat(np.radians(slip) * amount * axis / axis.norm()),
        0.0005 * slip * amount * torch.from_numpy(rng.normal(size=3)).float(),
    )
    return ClipScene(
        name=f"{info.name}",
        text=chosen.text,
        mesh=mesh,
        T_world_object=rigid(turned, moved - (turned @ middle)),
        T_object_hand=chosen.T_object_hand @ slipped,
        angles=chosen.angles.expand(frames, -1, -1).clone(),
        betas=betas,
    )
