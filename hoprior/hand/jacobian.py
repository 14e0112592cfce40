"""Closed-form derivatives of a hand's 21 joints in its parameters: the geometric Jacobian of the kinematic tree."""

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.constants import constant, places
from hoprior.hand.base import HandModel
from hoprior.hand.joint_order import PARENTS
from hoprior.hand.kinematics import bone_vectors

ANGLES, RIGID, SHAPE = slice(0, 45), slice(45, 51), slice(51, 61)
"""Columns: 15 joints x (twist, flexion, abduction); a rotation from the left about the wrist, then `transl`; betas."""


def _is_beyond(joint: int, other: int) -> bool:
    """Whether the first joint is the second, or lies beyond it."""
    return joint == other or (joint > 0 and _is_beyond(PARENTS[joint], other))


BEYOND = tuple(tuple(float(_is_beyond(joint, other)) for other in range(16)) for joint in range(16))
"""1 where the first joint is the second, or lies beyond it."""


def joint_jacobian(
    hand: HandModel,
    rotvec: Float[Tensor, "b 15 3"],
    turned: Float[Tensor, "b 16 3 3"],
    placed: Float[Tensor, "b 16 3"],
    points: Float[Tensor, "b 21 3"],
    with_betas: bool,
) -> Float[Tensor, "b 21 3 n"]:
    """Derivatives of the points at one pose, without how a model bends its fingertips with the pose (millimetres).

    Args:
        hand: the model whose pose it is.
        rotvec: axis-angle of the finger joints in the hand frame.
        turned: orientations of the bones, and `placed` the joints, from `forward_kinematics`.
        placed: see `turned`; the wrist is at the origin.
        points: all 21 joints.
        with_betas: also the columns of the shape.

    Returns:
        n = 51 columns (`ANGLES`, `RIGID`), or 61 with `SHAPE`.
    """
    columns = [_angle_columns(hand, rotvec, turned, placed, points), _rigid_columns(points)]
    if with_betas:
        columns.append(_shape_columns(hand, turned))
    return torch.cat(columns, dim=-1)


def _angle_columns(
    hand: HandModel, rotvec: Tensor, turned: Tensor, placed: Tensor, points: Tensor
) -> Float[Tensor, "b 21 3 45"]:
    # A change of an angle turns what lies beyond its joint about an axis that the parent bone carries.
    axes = turned[:, places(PARENTS[1:], turned)] @ left_jacobian(rotvec) @ hand.axes.mT
    moved = _moved_share(hand)
    # Exact for points that sit on one bone, as fingertips do, and close for others.
    arm = points[:, :, None] - placed[:, None, 1:]
    turn = axes.mT[:, None].expand(-1, points.shape[1], -1, -1, -1)
    swing = torch.cross(turn, arm[..., None, :].expand_as(turn), dim=-1) * moved[..., None, None]
    return swing.flatten(2, 3).mT


def _rigid_columns(points: Tensor) -> Float[Tensor, "b 21 3 6"]:
    unit = torch.eye(3, dtype=points.dtype, device=points.device).expand(*points.shape[:2], 3, 3)
    turn = torch.cross(unit, points[..., None, :].expand_as(unit), dim=-1).mT
    return torch.cat([turn, unit], dim=-1)


def _shape_columns(hand: HandModel, turned: Tensor) -> Float[Tensor, "b 21 3 10"]:
    bones = bone_vectors(hand.joint_shapedirs.permute(2, 0, 1)).reshape(10, 15, 3)
    moved = torch.einsum("bjcd,sjd->bjcs", turned[:, places(PARENTS[1:], turned)], bones)
    moved = moved.unflatten(1, (5, 3)).cumsum(dim=2).flatten(1, 2)
    joints = torch.cat([torch.zeros_like(moved[:, :1]), moved], dim=1)
    from_bone = hand.shapedirs[hand.tip_ids][:, None] - hand.joint_shapedirs
    on_bone = torch.einsum("bjcd,ijds->bijcs", turned, from_bone) + joints[:, None]
    tips = torch.einsum("ij,bijcs->bics", hand.weights[hand.tip_ids], on_bone)
    return torch.cat([joints, tips], dim=1)


def _moved_share(hand: HandModel) -> Float[Tensor, "21 15"]:
    """How much of a point follows a finger joint's rotation: 1 for joints beyond it, the skinning weight for tips."""
    beyond = constant(BEYOND, like=hand.weights)
    joints = beyond - torch.eye(16, dtype=beyond.dtype, device=beyond.device)
    return torch.cat([joints, hand.weights[hand.tip_ids] @ beyond])[:, 1:]


def left_jacobian(rotvec: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """J with exp(r + dr) = exp(J dr) exp(r) to first order, of SO(3)."""
    squared = rotvec.square().sum(dim=-1)[..., None, None]
    angle = squared.sqrt()
    small = angle < 1e-4
    safe = torch.where(small, torch.ones_like(angle), angle)
    first = torch.where(small, 0.5 - squared / 24, (1 - safe.cos()) / safe**2)
    second = torch.where(small, 1 / 6 - squared / 120, (safe - safe.sin()) / safe**3)
    x, y, z = rotvec.unbind(-1)
    o = torch.zeros_like(x)
    hat = torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=-1).unflatten(-1, (3, 3))
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) + first * hat + second * hat @ hat
