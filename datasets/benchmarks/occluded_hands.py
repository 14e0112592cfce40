"""Held-out grasps seen by cameras that do not see all of them, and what an estimator would make of them.

The benchmark of `hoprior eval refine`. Grasps are of objects that the pose prior has not seen (`PoseTable.split`).
Cameras look at them from everywhere; which joints they see follows from rays against the hand's and the object's
meshes. The first estimates err as single-view estimators do (`EstimateNoise`), by as much as HaMeR does on HOGraspNet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import trimesh
from jaxtyping import Bool, Float
from torch import Tensor

from hoprior.datasets.myodm.source import MyoDM
from hoprior.datasets.samples.sample import GraspSet
from hoprior.datasets.synthetic.source import Synthetic
from hoprior.datasets.training.empty_hands import FreeHands
from hoprior.datasets.training.held_out import held_out
from hoprior.datasets.training.poses import PoseRow, free_rows, myodm_rows, read_poses, synthetic_rows
from hoprior.errors import HopriorError
from hoprior.geometry.camera import intrinsics
from hoprior.geometry.rotations import rotmat_to_rotvec, unitquat_to_rotmat
from hoprior.hand import HandModel, HandPose, load_hand
from hoprior.hand.bend import bent_towards
from hoprior.hand.joint_order import NEXT_JOINT
from hoprior.hand.landmarks import HAND_CENTRE
from hoprior.hand.occlusion import hidden_by_hand, hidden_by_mesh
from hoprior.language.schema import Affordance
from hoprior.language.template import describe

LEVELS: dict[str, tuple[int, int]] = {"low": (0, 5), "medium": (6, 10), "high": (11, 21)}
"""Occluded joints of 21 (Suzuki et al., Table 1)."""
SIZE, FOCAL = (640, 480), 600.0
DISTANCE = (0.4, 0.8)
"""From the camera to the hand's middle, metres."""
VIEWS_EACH = 8
"""Cameras that a grasp is tried with."""
MAX_ROUNDS = 400
OTHER_ANGLES = (0.2, 1.0, 0.4)
"""Errors of twist, flexion and abduction, in those of a flexion."""


@dataclass(frozen=True)
class EstimateNoise:
    """How a single-view estimate errs, in the anatomical angles of each joint (twist, flexion, abduction), radians.

    Numbers are such that the benchmark's hands start near HaMeR's errors on HOGraspNet, 7.7, 11.8 and 21.3 mm by level
    (Suzuki et al., Table 1).

    Attributes:
        visible: standard deviation of every flexion; abduction and twist err by `OTHER_ANGLES` of a flexion's error.
        base, occluded: additional one of rotations whose next joint is occluded: `base + occluded * share**3`, with
            the share of the 21 joints that are.
        common: part of its variance that a finger's joints have in common: hidden fingers are wrong as a whole.
        pull: share of the way to the relaxed hand that such rotations are off: estimators fall back to the mean.
    """

    visible: float = 0.205
    occluded: float = 12.5
    base: float = 0.1
    common: float = 0.6
    pull: float = 0.2

    def __call__(
        self,
        hand: HandModel,
        angles: Float[Tensor, "b 15 3"],
        occluded: Bool[Tensor, "b 21"],
        generator: torch.Generator,
    ) -> Float[Tensor, "b 15 3"]:
        """Estimated angles, within the joint limits."""
        scale = angles.new_tensor(OTHER_ANGLES)
        own = torch.randn(angles.shape, generator=generator)
        finger = torch.randn(len(angles), 5, 3, generator=generator).repeat_interleave(3, dim=1)
        everywhere = self.visible * torch.randn(angles.shape, generator=generator)
        share = occluded.float().mean(dim=1)[:, None, None]
        hidden = (self.base + self.occluded * share**3) * (self.common**0.5 * finger + (1 - self.common) ** 0.5 * own)
        pulled = angles + self.pull * (hand.relaxed_angles - angles)
        unseen = occluded[:, list(NEXT_JOINT), None]
        seen = angles + scale * everywhere
        estimated = torch.where(unseen, pulled + scale * (hidden + everywhere), seen)
        estimated = estimated.clamp(hand.angle_low, hand.angle_high)
        # Estimators put what they see where it is seen: hidden rotations are wrong in ways that keep it there.
        wanted = hand.joints_only(hand.angles_to_pose(seen))
        pose = HandPose.of(hand.angles_to_pose(estimated))
        settled = bent_towards(hand, pose, unseen[..., 0], wanted, (~occluded).float())
        return hand.pose_to_angles(settled).clamp(hand.angle_low, hand.angle_high)


@dataclass(frozen=True)
class OccludedHands:
    """b right hands in the frames of their cameras (x right, y down, z away), metres.

    Attributes:
        truth: the grasps; `first` what the estimator says.
        occluded: joints that the camera does not see.
        levels: names of `LEVELS`.
        texts: descriptions of the grasps; `wrong_texts` of grasps of other objects.
        alone: whether nothing but the hand itself hides its joints.
        joints: the true ones, where a recording has its own; those of `truth` without.
        meshes: what each hand holds, metres, where it is known; `T_camera_object` is where that is before the camera.
        affordances: what is known of each grasp in words, where it is.
    """

    truth: HandPose
    first: HandPose
    K: Float[Tensor, "b 3 3"]
    occluded: Bool[Tensor, "b 21"]
    levels: tuple[str, ...]
    texts: tuple[str, ...]
    wrong_texts: tuple[str, ...]
    objects: tuple[str, ...]
    alone: tuple[bool, ...]
    joints: Float[Tensor, "b 21 3"] | None = None
    meshes: tuple[trimesh.Trimesh | None, ...] = ()
    T_camera_object: Float[Tensor, "b 4 4"] | None = None
    affordances: tuple[Affordance, ...] = ()

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True)
class HeldOutGrasps:
    """The grasps of one held-out object, with what is said of each; without a mesh hands that hold nothing."""

    grasps: GraspSet
    mesh: trimesh.Trimesh | None
    affordances: tuple[Affordance, ...]


def held_out_grasps(
    myodm: Path | None,
    synthetic: Sequence[Path] = (),
    val_fraction: float = 0.1,
    poses: Path | None = None,
    free: Path | None = None,
) -> list[HeldOutGrasps]:
    """The objects that `PoseTable.split` keeps out of training.

    Args:
        poses: the table that the prior was trained on, whose objects decide; without it, the objects of the folders.
        free: joints of hands that hold nothing (`FreeHands`), of which blocks are held out.

    Raises:
        HopriorError: nothing is given, something is missing or damaged, or no object is held out.
    """
    if myodm is None and not synthetic and free is None:
        raise HopriorError("no hands to refine: give --myodm FOLDER, --synthetic FOLDER or --free FILE")
    sources: list[MyoDM | Synthetic] = []
    sources += [Synthetic(folder) for folder in synthetic]
    sources += [MyoDM(myodm)] if myodm else []
    empty = FreeHands(free).blocks(load_hand()) if free else []
    if poses is None:
        known = [info.key for source in sources for info in source.objects()]
        known += [hands.object.key for hands in empty]
    else:
        known = [row.object for row in read_poses(poses).rows]
    kept_out = held_out(known, val_fraction)
    held = []
    for source in sources:
        read = myodm_rows if isinstance(source, MyoDM) else synthetic_rows
        for grasps, rows, _ in read(source.folder, only=kept_out):
            held.append(HeldOutGrasps(grasps, source.mesh(grasps.object), _affordances(rows)))
    held += [HeldOutGrasps(hands, None, _affordances(rows)) for hands, rows, _ in free_rows(empty, only=kept_out)]
    if not held:
        raise HopriorError(f"no object is held out at a val_fraction of {val_fraction:g}: raise it, or give more data")
    return held


def _affordances(rows: Sequence[PoseRow]) -> tuple[Affordance, ...]:
    return tuple(row.affordance for row in rows)


def make_benchmark(
    held: Sequence[HeldOutGrasps], hand: HandModel, num: int, seed: int = 0, noise: EstimateNoise | None = None
) -> OccludedHands:
    """`num` hands, as many of each level of occlusion; objects take turns.

    Raises:
        HopriorError: the grasps do not give enough hands of some level.
    """
    generator = torch.Generator().manual_seed(seed)
    wanted = {name: num // len(LEVELS) + (k < num % len(LEVELS)) for k, name in enumerate(LEVELS)}
    poses: list[HandPose] = []
    angles, occluded, levels, affordances, objects, meshes, T_object_hand = [], [], [], [], [], [], []
    for turn in range(MAX_ROUNDS * len(held)):
        if not any(wanted.values()):
            break
        item = held[turn % len(held)]
        i = int(torch.randint(len(item.grasps), (), generator=generator))
        pose, hidden = _views(item, i, hand, generator)
        counts = hidden.sum(dim=1)
        # One view of each level at most, so that an object's easiest view does not fill it.
        for name, (low, high) in LEVELS.items():
            fitting = ((counts >= low) & (counts <= high)).nonzero()[:, 0]
            if not wanted[name] or not len(fitting):
                continue
            k = int(fitting[0])
            wanted[name] -= 1
            poses.append(pose[k])
            angles.append(item.grasps.angles[i])
            occluded.append(hidden[k])
            levels.append(name)
            affordances.append(item.affordances[i])
            objects.append(item.grasps.object.key)
            meshes.append(item.mesh)
            T_object_hand.append(item.grasps.T_object_hand[i])
    if any(wanted.values()):
        missing = ", ".join(f"{count} of level {name}" for name, count in wanted.items() if count)
        raise HopriorError(f"the held-out grasps do not show enough occlusion ({missing} missing): give more objects")
    truth = stacked(poses)
    texts = [describe(affordance) for affordance in affordances]
    hidden_all = torch.stack(occluded)
    estimated = (noise or EstimateNoise())(hand, torch.stack(angles), hidden_all, generator)
    T_camera_hand = truth.T_target_hand
    first = HandPose(hand.angles_to_pose(estimated), truth.betas, truth.global_orient, truth.transl)
    return OccludedHands(
        truth=truth,
        first=first,
        K=intrinsics(SIZE, FOCAL).expand(len(poses), 3, 3),
        occluded=hidden_all,
        levels=tuple(levels),
        texts=tuple(texts),
        wrong_texts=of_others(texts, objects),
        objects=tuple(objects),
        alone=tuple(mesh is None for mesh in meshes),
        meshes=tuple(meshes),
        T_camera_object=T_camera_hand @ torch.linalg.inv(torch.stack(T_object_hand)),
        affordances=tuple(affordances),
    )


def level_of(count: int) -> str:
    """The level of a hand of which so many joints are occluded."""
    return next(name for name, (low, high) in LEVELS.items() if low <= count <= high)


def _views(
    item: HeldOutGrasps, i: int, hand: HandModel, generator: torch.Generator
) -> tuple[HandPose, Bool[Tensor, "v 21"]]:
    """One grasp before `VIEWS_EACH` cameras, and what each does not see."""
    rotations = _random_rotations(VIEWS_EACH, generator)
    depth = DISTANCE[0] + (DISTANCE[1] - DISTANCE[0]) * torch.rand(VIEWS_EACH, generator=generator)
    centre = torch.stack([0.05 * (torch.rand(VIEWS_EACH, generator=generator) - 0.5)] * 2 + [depth], dim=1)
    transl = centre - rotations @ torch.tensor(HAND_CENTRE)
    hand_pose = hand.angles_to_pose(item.grasps.angles[i]).expand(VIEWS_EACH, -1, -1)
    betas = item.grasps.betas[i].expand(VIEWS_EACH, -1)
    pose = HandPose(hand_pose, betas, rotmat_to_rotvec(rotations), transl)
    output = hand(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    hidden = hidden_by_hand(hand, output.verts, output.joints)
    if item.mesh is None:
        return pose, hidden
    T_object_hand = item.grasps.T_object_hand[i]
    verts = torch.as_tensor(item.mesh.vertices, dtype=torch.float32)
    verts_hand = (verts - T_object_hand[:3, 3]) @ T_object_hand[:3, :3]
    verts_camera = verts_hand @ rotations.mT + transl[:, None]
    faces = torch.as_tensor(item.mesh.faces, dtype=torch.long)
    return pose, hidden | hidden_by_mesh(output.joints, verts_camera, faces)


def _random_rotations(count: int, generator: torch.Generator) -> Float[Tensor, "n 3 3"]:
    quaternions = torch.randn(count, 4, generator=generator)
    return unitquat_to_rotmat(quaternions / quaternions.norm(dim=1, keepdim=True))


def stacked(poses: Sequence[HandPose]) -> HandPose:
    """One batch of hands."""
    names = ("hand_pose", "betas", "global_orient", "transl")
    return HandPose(*(torch.cat([getattr(pose, name) for pose in poses]) for name in names))


def of_others(texts: Sequence[str], objects: Sequence[str]) -> tuple[str, ...]:
    """For each hand the text of the next one that is of another object, with another text."""
    wrong = []
    for i in range(len(texts)):
        others = [k for k in range(1, len(texts)) if objects[(i + k) % len(texts)] != objects[i]]
        k = next((k for k in others if texts[(i + k) % len(texts)] != texts[i]), 0)
        wrong.append(texts[(i + k) % len(texts)])
    return tuple(wrong)
