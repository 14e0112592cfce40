"""Points in a hand's bones, dense enough that no wall of an object fits between two of them."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.constants import constant, places
from hoprior.hand.bones import BONE_ENDS, BONE_STARTS, FINGER_CHAINS, KNUCKLES

POINTS_PER_BONE = 10
LAST_BONE_SHARE = 0.75
"""Where a finger's last point is along its last bone, which ends on the fingertip's skin."""
BONE_SHARES = (
    *[tuple(k / POINTS_PER_BONE for k in range(POINTS_PER_BONE))] * 2,
    tuple(LAST_BONE_SHARE * k / (POINTS_PER_BONE - 1) for k in range(POINTS_PER_BONE)),
)
"""Where along the three bones of a finger its points are; the next bone's first is at the joint between them."""
PALM_BONE_SHARES = (0.35, 0.6, 0.85)
"""Where between the wrist and the knuckles the palm's points are."""
FINGERS_SHARES, PALM_SHARES = BONE_SHARES * len(FINGER_CHAINS), (PALM_BONE_SHARES,) * len(KNUCKLES)
"""Those of all bones."""


class BoneSamples(NamedTuple):
    """Points in the bones of b hands, in the frame of the joints that they are taken from.

    Example:
        >>> from hoprior.hand import load_hand
        >>> samples = BoneSamples.of(load_hand().joints_only(torch.zeros(1, 15, 3)))
        >>> samples.points.shape, BoneSamples.least_by_bone(samples.points.norm(dim=-1) - 0.5).shape
        (torch.Size([1, 162, 3]), torch.Size([1, 6]))
    """

    fingers: Float[Tensor, "b 150 3"]
    """30 a finger from its base outwards, in `FINGER_CHAINS`' order."""
    palm: Float[Tensor, "b 12 3"]
    """From the wrist to the knuckles."""

    @classmethod
    def of(cls, joints: Float[Tensor, "b 21 3"]) -> "BoneSamples":
        """The samples of b hands."""
        wrist, knuckles = joints[:, :1].expand(-1, len(KNUCKLES), -1), joints[:, places(KNUCKLES, joints)]
        return cls(finger_samples(joints), _between(wrist, knuckles, PALM_SHARES))

    @property
    def points(self) -> Float[Tensor, "b 162 3"]:
        """All of them, the fingers' first."""
        return torch.cat([self.fingers, self.palm], dim=1)

    @staticmethod
    def least_by_bone(values: Float[Tensor, "b 162"]) -> Float[Tensor, "b 6"]:
        """The least of values at `points`, for each finger and for the palm."""
        fingers, palm = values.split([len(BONE_STARTS) * POINTS_PER_BONE, len(KNUCKLES) * len(PALM_BONE_SHARES)], dim=1)
        least = [*fingers.unflatten(1, (len(FINGER_CHAINS), -1)).amin(dim=2).unbind(dim=1), palm.amin(dim=1)]
        return torch.stack(least, dim=1)


def finger_samples(joints: Float[Tensor, "b 21 3"]) -> Float[Tensor, "b 150 3"]:
    """The fingers' points alone; see `BoneSamples`.

    Example:
        >>> from hoprior.hand import load_hand
        >>> finger_samples(load_hand().joints_only(torch.zeros(2, 15, 3))).shape
        torch.Size([2, 150, 3])
    """
    starts, ends = (joints[:, places(each, joints)] for each in (BONE_STARTS, BONE_ENDS))
    return _between(starts, ends, FINGERS_SHARES)


def _between(
    start: Float[Tensor, "b k 3"], end: Float[Tensor, "b k 3"], shares: tuple[tuple[float, ...], ...]
) -> Float[Tensor, "b n 3"]:
    """Points at each start's own shares of the way to its end, one bone after the other."""
    share = constant(shares, like=start)[..., None]
    return (start[:, :, None] + share * (end - start)[:, :, None]).flatten(1, 2)
