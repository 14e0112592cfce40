"""What is wrong with joints that are said to be a hand's: their unit, their order, their side.

None of it asks how the hand lies: bones keep their lengths, and fingers bend to the palm, in any frame.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.units import number_text
from hoprior.hand import HandModel
from hoprior.hand.frame import INDEX_MCP, MIDDLE_MCP, PINKY_MCP
from hoprior.hand.joint_order import JOINT_ORDERS, reorder_joints
from hoprior.metrics.hand_validity import bone_lengths

SIZE_RANGE = (0.7, 1.4)
"""Hand's bones relative to the open hand's, on average: from a child of six to the largest adults."""
BONE_RANGE = (0.35, 2.8)
"""One bone relative to the open hand's, at average size: models disagree on where knuckles are."""
ODD_BONES = 0.1
"""Share of bones outside `BONE_RANGE` up to which joints are a hand's."""
UNITS = {1000.0: "millimetres", 100.0: "centimetres", 10.0: "decimetres", 39.37: "inches"}
BETTER = 0.6
"""A mistake is suspected if without it the error is this share of what it was, or less."""


class Fault(NamedTuple):
    """What was measured, and a clause that says what is wrong with it; empty if nothing is."""

    value: float
    suspect: str


def average_bones(hand: HandModel) -> Float[Tensor, "20"]:
    """Lengths of the bones of a hand of average shape, metres.

    Example:
        >>> from hoprior.hand import load_hand
        >>> lengths = average_bones(load_hand())
        >>> bool(lengths.min() > 0.01), bool(lengths.max() < 0.12)
        (True, True)
    """
    return bone_lengths(hand.joints_only(hand.axes.new_zeros(1, 15, 3)))[0]


def unit_fault(joints: Float[Tensor, "n 21 3"], bones: Float[Tensor, "20"]) -> Fault:
    """How large hands are beside one with such bones; and in which unit their joints are if not in metres.

    Args:
        joints: in hoprior's order; NaN where one is not known.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> unit_fault(1000 * hand.joints_only(torch.zeros(1, 15, 3)), average_bones(hand)).suspect[:55]
        "unit: the hand's joints are in millimetres, not metres "
    """
    lengths = bone_lengths(joints)
    known = lengths.isfinite()
    ratio = float((lengths.nan_to_num().sum(1) / torch.where(known, bones, 0.0).sum(1)).nanmedian())
    low, high = SIZE_RANGE
    if low <= ratio <= high:
        return Fault(ratio, "")
    seen = f"hands are {number_text(ratio)} times the size of a human's"
    for factor, unit in UNITS.items():
        if low <= ratio / factor <= high:
            return Fault(ratio, f"unit: the hand's joints are in {unit}, not metres ({seen})")
        if low <= ratio * factor <= high:
            return Fault(
                ratio, f"unit: the hand's joints were divided by {number_text(factor, 4)} once too often ({seen})"
            )
    return Fault(ratio, seen)


def order_fault(
    listed: Float[Tensor, "n 21 3"], bones: Float[Tensor, "20"], order: str = "mano", said: str | None = None
) -> Fault:
    """The share of bones that are far too long or too short; and in which order the joints are if not in `order`.

    Args:
        listed: as the file lists them; NaN where one is not known.
        said: what to call `order`.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> joints = reorder_joints(hand.joints_only(torch.zeros(1, 15, 3)), "mano", "interhand")
        >>> order_fault(joints, average_bones(hand), "openpose").suspect[:66]
        'joint order: the joints are listed as interhand do, not as openpos'
    """

    def odd(name: str) -> float:
        ratio = bone_lengths(reorder_joints(listed, name)) / bones
        ratio = ratio / ratio.nanmedian(dim=1, keepdim=True).values
        return float(((ratio < BONE_RANGE[0]) | (ratio > BONE_RANGE[1])).float().mean())

    share = odd(order)
    if share <= ODD_BONES:
        return Fault(share, "")
    suspect = f"{share:.0%} of the bones have no human's length"
    orders = {name: odd(name) for name in ("mano", "openpose", "interhand")}
    best = min(orders, key=lambda name: orders[name])
    if orders[best] < BETTER * share:
        same = [name for name, listing in JOINT_ORDERS.items() if listing == JOINT_ORDERS[best]]
        names = " or ".join(same[:3])
        suspect = f"joint order: the joints are listed as {names} do, not as {said or order} does ({suspect})"
    return Fault(share, suspect)


def palm_side(joints: Float[Tensor, "n 21 3"]) -> Float[Tensor, " n"]:
    """How far fingers bend, as a share of their length, to the side that is the palm's if the hand is a right one.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> joints = hand.joints_only(hand.angles_to_pose(hand.relaxed_angles[None]))
        >>> palm_side(joints) > 0, palm_side(joints * torch.tensor([1.0, -1.0, 1.0])) > 0  # and in the mirror
        (tensor([True]), tensor([False]))
    """
    x = joints[:, MIDDLE_MCP] - joints[:, 0]
    out_of_palm = torch.cross(joints[:, INDEX_MCP] - joints[:, PINKY_MCP], x, dim=1)
    out_of_palm = out_of_palm / out_of_palm.norm(dim=1, keepdim=True)
    knuckles = joints[:, [1, 4, 7, 10]]
    tips = joints[:, [17, 18, 20, 19]]
    bend = ((tips - knuckles) * out_of_palm[:, None]).sum(-1).mean(1)
    return bend / x.norm(dim=1)
