"""The points in a hand's bones that trained priors are fed with.

They are part of the weights of `parts` and `grasp_type`: other points would make other inputs, and these priors wrong
without a word. What an energy wants to know of bones it samples itself (`hoprior.physics.bone_samples`), with
constants of its own that may be tuned.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.constants import places

FINGER_CHAINS: tuple[tuple[int, ...], ...] = (
    (1, 2, 3, 17),
    (4, 5, 6, 18),
    (7, 8, 9, 20),
    (10, 11, 12, 19),
    (13, 14, 15, 16),
)
"""Joints of index, middle, pinky, ring and thumb, each from its base to its tip."""
BONE_STARTS: tuple[int, ...] = tuple(joint for chain in FINGER_CHAINS for joint in chain[:-1])
BONE_ENDS: tuple[int, ...] = tuple(joint for chain in FINGER_CHAINS for joint in chain[1:])
"""The joints between which the 15 bones of the fingers are."""
KNUCKLES: tuple[int, ...] = (1, 4, 7, 10)
"""The MCP joints of index, middle, pinky and ring."""
PALM_SHARES: tuple[float, ...] = (0.35, 0.6, 0.85)
"""Where between the wrist and the knuckles points of the palm are."""
NUM_BONE_POINTS = 20 + len(BONE_STARTS) + len(KNUCKLES) * len(PALM_SHARES)


def bone_points(joints_hand: Float[Tensor, "b 21 3"]) -> Float[Tensor, "b 47 3"]:
    """All joints but the wrist, the middles of the fingers' bones, and points of the palm (hand frame, m).

    Example:
        >>> bone_points(torch.zeros(1, 21, 3)).shape
        torch.Size([1, 47, 3])
    """
    starts, ends = (joints_hand[:, places(each, joints_hand)] for each in (BONE_STARTS, BONE_ENDS))
    middles = (starts + ends) / 2
    palm = [share * joints_hand[:, places(KNUCKLES, joints_hand)] for share in PALM_SHARES]
    return torch.cat([joints_hand[:, 1:], middles, *palm], dim=1)
