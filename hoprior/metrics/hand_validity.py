"""Whether 21 joints can be a human hand's: the lengths of its bones, the limits of its joints, and both at once."""

from copy import deepcopy
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.hand import HandModel, fit_joints
from hoprior.hand.joint_order import JOINT_NAMES, PARENTS

SHAPE_SPREAD = 2.0
"""Standard deviations of the hand model's shapes that a bone may be away from the average. Two of them are hands of
16 to 21 cm from the wrist to the middle fingertip's end: adults from small to large."""
WIDENED = 1.0
"""Radians beyond the joint limits that the search for a hand's true angles may go."""
FLEXION = 1
"""Among twist, flexion, abduction."""

BONE_PARENTS: tuple[int, ...] = (
    *PARENTS[1:],
    *(JOINT_NAMES.index(name.replace("_tip", "3")) for name in JOINT_NAMES[len(PARENTS) :]),
)
"""Where the bone that ends in joint 1, 2, ... 20 starts; those of the MCPs start at the wrist."""


class HandValidity(NamedTuple):
    """Of n hands.

    Example:
        >>> ok = torch.ones(2)
        >>> hands = HandValidity(ok, flexion_excess=0 * ok, ik_residual=0.001 * ok, verts_hand=torch.zeros(2, 778, 3))
        >>> 1000 * hands.ik_residual  # mm
        tensor([1., 1.])
    """

    bones_in_range: Float[Tensor, " n"]
    """Share of a hand's bones whose length is a human's."""
    flexion_excess: Float[Tensor, " n"]
    """How far the finger joint that is worst is bent, or bent back, beyond its limit, radians."""
    ik_residual: Float[Tensor, " n"]
    """Mean distance (m) from the joints to those of the nearest human hand: any shape, within the joint limits."""
    verts_hand: Float[Tensor, "n V 3"]
    """The mesh of that nearest hand, in the frame of the joints."""


def bone_lengths(joints: Float[Tensor, "n 21 3"]) -> Float[Tensor, "n 20"]:
    """Length (m) of the bone that ends in each joint but the wrist, `|x_j - x_parent(j)|`; NaN where a joint is.

    Example:
        >>> joints = torch.zeros(1, 21, 3)
        >>> joints[0, 1] = torch.tensor([0.06, 0.08, 0.0])  # the index finger's knuckle, 10 cm from the wrist
        >>> bone_lengths(joints)[0, 0]
        tensor(0.1000)
    """
    return (joints[:, 1:] - joints[:, BONE_PARENTS]).norm(dim=-1)


def human_bone_lengths(
    hand: HandModel, spread: float = SHAPE_SPREAD
) -> tuple[Float[Tensor, "20"], Float[Tensor, "20"]]:
    """The shortest and the longest that each bone is (m) over a hand model's shapes, betas ~ N(0, 1).

    A length is linear in the betas to first order, so its standard deviation is the norm of its gradient:
    `length(0) -+ spread * |d length / d betas|`.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> shortest, longest = human_bone_lengths(hand)
        >>> average = bone_lengths(hand.joints_only(torch.zeros(1, 15, 3)))[0]
        >>> bool((shortest < average).all()), bool((average < longest).all())
        (True, True)
    """
    betas = hand.axes.new_zeros(1, 10).requires_grad_()
    flat = hand.axes.new_zeros(1, 15, 3)
    lengths = bone_lengths(hand.joints_only(flat, betas))[0]
    deviation = torch.stack([torch.autograd.grad(one, betas, retain_graph=True)[0].norm() for one in lengths])
    return lengths.detach() - spread * deviation, lengths.detach() + spread * deviation


@torch.no_grad()
def hand_validity(joints: Float[Tensor, "n 21 3"], hand: HandModel) -> HandValidity:
    """How human n sets of joints are (any frame, metres); joints that are NaN are left out.

    Flexion is read from a fit of the average hand whose limits are widened, so that it can show what exceeds them; 21
    joints say little of twist, and of abduction only at the knuckles. It is sensitive: joints that are right but for
    3 mm of noise a coordinate exceed the limits by 10 degrees. The residual comes from a fit within the limits.

    Raises:
        HopriorError: a hand with fewer than three joints.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> valid = hand_validity(hand.joints_only(torch.zeros(1, 15, 3)), hand)
        >>> float(valid.bones_in_range), float(valid.flexion_excess), bool(valid.ik_residual < 1e-3)
        (1.0, 0.0, True)
    """
    held = joints.isfinite().all(dim=-1)
    if bool((held.sum(dim=1) < 3).any()):
        raise HopriorError(
            f"hand {int((held.sum(dim=1) < 3).long().argmax())} has fewer than three joints: leave it out"
        )
    with torch.enable_grad():
        shortest, longest = human_bone_lengths(hand)
    lengths = bone_lengths(joints)
    in_range = ((lengths >= shortest) & (lengths <= longest)).float()
    in_range = torch.where(lengths.isnan(), torch.nan, in_range).nanmean(dim=1)

    wanted = torch.where(held[..., None], joints, 0.0)
    weights = held.to(joints)
    free = deepcopy(hand)
    free.angle_low, free.angle_high = hand.angle_low - WIDENED, hand.angle_high + WIDENED
    angles = hand.pose_to_angles(fit_joints(free, wanted, weights).pose.hand_pose)
    beyond = torch.maximum(hand.angle_low - angles, angles - hand.angle_high)[..., FLEXION]
    excess = beyond.max(dim=1).values.clamp(min=0)
    fitted = fit_joints(hand, wanted, weights, fit_betas=True)
    pose = fitted.pose
    verts = hand(pose.hand_pose, pose.betas, pose.global_orient, pose.transl).verts
    return HandValidity(in_range, excess, fitted.error, verts)
