"""Hands that were seen in a photo: where, how surely, and which of them are one hand.

The landmark network says of everything how likely it is a hand, and says .9 of a cushion's seam. What tells hands from
other things better: a hand looks the same from a crop that is turned, shifted, scaled or mirrored, whereas the
joints of what is none are somewhere else each time, and it is now a right one, now a left one. `FoundHand.certainty`
is made of all three.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from hoprior.hand.base import Side

NO_HAND = 0.12
"""Spread of the looks (shares of the hand's longer side) at which what is seen is no hand, however likely each is."""
NO_SIDE = 0.6
"""What is left of the certainty of a hand that is as much a right as a left one."""
SAME_HAND, INSIDE = 0.35, 0.5
"""Overlap of boxes (of the union; of the smaller one) from which two finds are of one thing."""
SAME_POINTS = 0.1
"""Mean distance of joints (shares of the hand's longer side) up to which two looks see the same hand."""

Corners: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Smallest and largest pixel coordinates of a box."""


@dataclass(frozen=True, eq=False)
class FoundHand:
    """A hand in a photo; points in MediaPipe's order.

    Attributes:
        points: pixels.
        world: metres, about the hand's middle: x right, y down, z away from the camera; to an unknown scale in depth.
        presence: probability that it is a hand, as the network says; the mean over its looks.
        spread: how far other looks put its joints from here, in shares of the hand's longer side; 0 after one look.
    """

    points: Float[np.ndarray, "21 2"]
    world: Float[np.ndarray, "21 3"]
    side: Side
    side_score: float
    presence: float
    spread: float = 0.0

    @property
    def box(self) -> Corners:
        """Smallest and largest pixel coordinates."""
        return self.points.min(axis=0), self.points.max(axis=0)

    @property
    def length(self) -> float:
        """The longer side of its box, pixels."""
        low, high = self.box
        return float((high - low).max())

    @property
    def right(self) -> float:
        """Probability that it is a right hand."""
        return self.side_score if self.side == "right" else 1 - self.side_score

    @property
    def certainty(self) -> float:
        """Presence, less what its looks disagree on its joints and its side: 1 is a hand, 0 none.

        Presence counts twice: a bent arm looks the same from everywhere, and the network half believes that it is none.
        """
        sided = NO_SIDE + (1 - NO_SIDE) * (2 * self.side_score - 1)
        return self.presence**2 * max(0.0, 1 - self.spread / NO_HAND) * sided

    def distance(self, other: "FoundHand") -> float:
        """Mean distance of another hand's joints, in shares of the longer side."""
        return float(np.linalg.norm(self.points - other.points, axis=1).mean()) / max(self.length, 1e-9)


def agreed(hand: FoundHand, looks: Sequence[FoundHand]) -> FoundHand:
    """A hand, as it and other looks at it see it together: presence, side and spread over all of them."""
    every = [hand, *looks]
    right = float(np.mean([one.right for one in every]))
    side: Side = "right" if right >= 0.5 else "left"
    return replace(
        hand,
        side=side,
        side_score=max(right, 1 - right),
        presence=float(np.mean([one.presence for one in every])),
        spread=float(np.mean([hand.distance(one) for one in looks])) if looks else 0.0,
    )


def middle_of(looks: Sequence[FoundHand]) -> FoundHand:
    """The look that is nearest to all others."""
    return min(looks, key=lambda one: sum(one.distance(other) for other in looks))


def distinct(hands: Iterable[FoundHand]) -> list[FoundHand]:
    """Hands without those that lie on a surer one, the surest first."""
    kept: list[FoundHand] = []
    for hand in sorted(hands, key=lambda hand: -hand.certainty):
        if not any(are_one(hand, other) for other in kept):
            kept.append(hand)
    return kept


def are_one(hand: FoundHand, other: FoundHand) -> bool:
    """Whether two finds are of one thing: their boxes are much the same, or one is a part of the other."""
    of_union = overlap(hand.box, other.box, of_union=True)
    return bool(of_union >= SAME_HAND or overlap(hand.box, other.box, of_union=False) >= INSIDE)


def unseen_yet(hands: Iterable[FoundHand]) -> list[FoundHand]:
    """Hands without those whose joints are where a likelier one's are, the likeliest first."""
    kept: list[FoundHand] = []
    for hand in sorted(hands, key=lambda hand: -hand.presence):
        if all(other.distance(hand) >= SAME_POINTS for other in kept):
            kept.append(hand)
    return kept


def overlap(box: Corners, other: Corners, of_union: bool) -> Float[np.ndarray, "*n"]:
    """What boxes share, of their union or of the smaller one; corners are (*n, 2), one or many.

    Example:
        >>> overlap((np.zeros(2), np.ones(2)), (np.zeros((2, 2)), np.array([[1.0, 4.0], [0.5, 1.0]])), of_union=True)
        array([0.25, 0.5 ])
    """
    (low, high), (low2, high2) = box, other
    shared = np.prod(np.clip(np.minimum(high, high2) - np.maximum(low, low2), 0, None), axis=-1)
    area, area2 = np.prod(high - low, axis=-1), np.prod(high2 - low2, axis=-1)
    whole = area + area2 - shared if of_union else np.minimum(area, area2)
    return np.asarray(shared / np.maximum(whole, 1e-9))
