"""The orders in which projects list the 21 joints of a hand, and the way between them.

Inside hoprior the order is MANO's: wrist, then three joints of index, middle, pinky, ring and thumb from the palm
outwards, then the tips of thumb, index, middle, ring and pinky.
"""

from typing import cast

from jaxtyping import Shaped
from torch import Tensor

from hoprior.errors import HopriorError

FINGERS = ("index", "middle", "pinky", "ring", "thumb")
"""Order of the fingers' joints 1..15; the tips have an order of their own."""

TIP_FINGERS = ("thumb", "index", "middle", "ring", "pinky")

JOINT_NAMES: tuple[str, ...] = (
    "wrist",
    *(f"{finger}{k}" for finger in FINGERS for k in (1, 2, 3)),
    *(f"{finger}_tip" for finger in TIP_FINGERS),
)
"""Names of the 21 joints in hoprior's order; joint 1 of a finger is its MCP, of the thumb its CMC."""

TIPS = slice(16, 21)
THUMB_CMC = JOINT_NAMES.index("thumb1")
"""A joint that skeletons and skins have in different places."""

PARENTS: tuple[int, ...] = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
"""Parent of each of the 16 joints that rotate."""

NEXT_JOINT: tuple[int, ...] = tuple(
    JOINT_NAMES.index(f"{name[:-1]}{int(name[-1]) + 1}" if name[-1] != "3" else f"{name[:-1]}_tip")
    for name in JOINT_NAMES[1:16]
)
"""The joint that each of the 15 finger rotations moves first: the next one on its finger."""

_FINGER_BY_FINGER = (
    "wrist",
    *(f"{finger}{k}" for finger in TIP_FINGERS for k in ("1", "2", "3", "_tip")),
)
_TIPS_FIRST_WRIST_LAST = (*(f"{finger}{k}" for finger in TIP_FINGERS for k in ("_tip", "3", "2", "1")), "wrist")

JOINT_ORDERS: dict[str, tuple[str, ...]] = {
    "mano": JOINT_NAMES,
    # smplx.MANO's own 16 joints followed by its tips, and HO3D's handJoints3D.
    "smplx": JOINT_NAMES,
    "ho3d": JOINT_NAMES,
    # Wrist, then each finger from the palm to its tip.
    "openpose": _FINGER_BY_FINGER,
    "mediapipe": _FINGER_BY_FINGER,
    "freihand": _FINGER_BY_FINGER,
    "manopth": _FINGER_BY_FINGER,
    "dexycb": _FINGER_BY_FINGER,
    "hamer": _FINGER_BY_FINGER,
    # InterHand2.6M lists each finger from its tip to the palm, and the wrist last.
    "interhand": _TIPS_FIRST_WRIST_LAST,
}
"""Joint names in the order of each convention."""


def joint_permutation(source: str, target: str = "mano") -> list[int]:
    """Indices p such that `joints_source[..., p, :]` is in the target's order.

    Raises:
        HopriorError: an order that is not in `JOINT_ORDERS`.

    Example:
        >>> joint_permutation("mediapipe")[:5]
        [0, 5, 6, 7, 9]
        >>> [JOINT_ORDERS["mediapipe"][k] for k in joint_permutation("mediapipe")[:4]]
        ['wrist', 'index1', 'index2', 'index3']
    """
    for order in (source, target):
        if order not in JOINT_ORDERS:
            raise HopriorError(f"joint order '{order}' is unknown: use one of {', '.join(sorted(JOINT_ORDERS))}")
    names = JOINT_ORDERS[source]
    return [names.index(name) for name in JOINT_ORDERS[target]]


def reorder_joints(joints: Shaped[Tensor, "*b 21 k"], source: str, target: str = "mano") -> Shaped[Tensor, "*b 21 k"]:
    """Joints listed in the order `source`, listed in the order `target`; any k values a joint.

    Raises:
        HopriorError: an order that is not in `JOINT_ORDERS`.

    Example:
        >>> import torch
        >>> joints = torch.rand(2, 21, 3)
        >>> as_mano = reorder_joints(joints, "openpose")
        >>> as_mano.shape, torch.equal(reorder_joints(as_mano, "mano", "openpose"), joints)
        (torch.Size([2, 21, 3]), True)
    """
    return cast(Tensor, joints[..., joint_permutation(source, target), :])
