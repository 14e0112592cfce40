"""What a hand model takes and gives: poses and meshes, batched."""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from hoprior.geometry.state import rigid


class HandOutput(NamedTuple):
    """Vertices and the 21 joints (docs/conventions.md: MANO's order, tips last) of b hands, metres."""

    verts: Float[Tensor, "b v 3"]
    joints: Float[Tensor, "b 21 3"]


@dataclass(frozen=True)
class HandPose:
    """The parameters of b hands of one side.

    `hand_pose` is the axis-angle of the 15 finger joints from the flat hand, in the axes of the hand frame (radians);
    `global_orient` and `transl` map the hand frame into a target frame, turning about the wrist (radians, metres).
    `betas` are a shape of the hand model that they belong to.

    Example:
        >>> poses = HandPose.zeros(3)
        >>> len(poses), len(poses[0]), poses.hand_pose.shape, poses.transl.shape
        (3, 1, torch.Size([3, 15, 3]), torch.Size([3, 3]))
    """

    hand_pose: Float[Tensor, "b 15 3"]
    betas: Float[Tensor, "b 10"]
    global_orient: Float[Tensor, "b 3"]
    transl: Float[Tensor, "b 3"]

    @staticmethod
    def of(hand_pose: Float[Tensor, "b 15 3"]) -> "HandPose":
        """Hands of average shape in the hand frame, bent as given; the gradient flows.

        Example:
            >>> pose = HandPose.of(torch.full((2, 15, 3), 0.1))
            >>> pose.betas.shape, bool(pose.transl.any())
            (torch.Size([2, 10]), False)
        """
        zeros = HandPose.zeros(len(hand_pose), hand_pose.dtype, hand_pose.device)
        return replace(zeros, hand_pose=hand_pose)

    def __len__(self) -> int:
        return len(self.hand_pose)

    @property
    def device(self) -> torch.device:
        """Where the hands are."""
        return self.hand_pose.device

    @property
    def T_target_hand(self) -> Float[Tensor, "b 4 4"]:
        """Where the hand frame is in the target frame.

        Example:
            >>> replace(HandPose.zeros(1), transl=torch.tensor([[0.1, 0.2, 0.3]])).T_target_hand[0, :3, 3]
            tensor([0.1000, 0.2000, 0.3000])
        """
        return rigid(rotvec_to_rotmat(self.global_orient), self.transl)

    def __getitem__(self, index: int | slice | list[int] | Tensor) -> "HandPose":
        """The chosen hands; an integer keeps a batch of one."""
        if isinstance(index, int):
            index = [index]
        return HandPose(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @staticmethod
    def zeros(batch: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> "HandPose":
        """`batch` flat hands of average shape in the hand frame."""
        zeros = torch.zeros(batch, 15, 3, dtype=dtype, device=device)
        return HandPose(zeros, torch.zeros(batch, 10, dtype=dtype, device=device), zeros[:, 0], zeros[:, 1])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "HandPose":
        """The same hands on another device or in another precision."""
        return HandPose(**{f.name: getattr(self, f.name).to(device=device, dtype=dtype) for f in fields(self)})

    def detach(self) -> "HandPose":
        """The same hands, cut from the graph."""
        return HandPose(**{f.name: getattr(self, f.name).detach() for f in fields(self)})

    def mirrored(self) -> "HandPose":
        """The same hands in the mirror y -> -y: a right hand's pose becomes the left's, and the other way round.

        Example:
            >>> pose = HandPose.of(torch.tensor([0.1, 0.2, 0.3]).repeat(1, 15, 1))
            >>> pose.mirrored().hand_pose[0, 0]
            tensor([-0.1000,  0.2000, -0.3000])
            >>> torch.equal(pose.mirrored().mirrored().hand_pose, pose.hand_pose)
            True
        """
        return replace(
            self,
            hand_pose=mirror_rotvec(self.hand_pose),
            global_orient=mirror_rotvec(self.global_orient),
            transl=mirror_points(self.transl),
        )


def mirror_points(points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """Points, or directions, in the mirror y -> -y.

    Example:
        >>> mirror_points(torch.tensor([0.1, 0.2, 0.3]))
        tensor([ 0.1000, -0.2000,  0.3000])
    """
    return points * points.new_tensor([1.0, -1.0, 1.0])


def mirror_rotvec(rotvec: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """Rotations in the mirror y -> -y: an axis is a pseudo-vector, so x and z change sign instead of y.

    Example:
        >>> mirror_rotvec(torch.tensor([0.1, 0.2, 0.3]))
        tensor([-0.1000,  0.2000, -0.3000])
    """
    return rotvec * rotvec.new_tensor([-1.0, 1.0, -1.0])


def mirrored_in_camera(pose: HandPose) -> HandPose:
    """Hands placed in a camera's frame, seen in a picture that is turned left to right: the other hand's poses.

    Example:
        >>> right = HandPose.zeros(1, torch.float32)
        >>> left = mirrored_in_camera(replace(right, transl=torch.tensor([[0.1, 0.2, 0.5]])))
        >>> left.transl
        tensor([[-0.1000,  0.2000,  0.5000]])
    """
    mirrored = pose.mirrored()
    flip_x, flip_y = torch.diag(torch.tensor([-1.0, 1.0, 1.0])), torch.diag(torch.tensor([1.0, -1.0, 1.0]))
    rotation = flip_x @ rotvec_to_rotmat(pose.global_orient) @ flip_y
    return replace(mirrored, global_orient=rotmat_to_rotvec(rotation), transl=pose.transl @ flip_x)
