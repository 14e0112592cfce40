"""Where the joints of a hand model are, beside where the landmark network puts its landmarks.

Landmarks are not quite where joints are, and in like poses they miss alike, the more where the network has to guess: a
knuckle that is seen from the edge, or behind fingers. By how much was learnt on pictures of the open hand of which
every joint is known (`tools/learn_landmark_offsets.py`).
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from jaxtyping import Float

from hoprior.hand.base import Side
from hoprior.hand.joint_order import JOINT_NAMES

ASSET = "landmark_offsets.npz"
LAYERS = 3
KNUCKLES = tuple(JOINT_NAMES.index(f"{finger}1") for finger in ("index", "middle", "ring", "pinky"))
LEAST = 1e-6
"""Size of what has none."""
SHARE = 0.5
"""Of the offset that is learnt, which is made up for: renders are not photos. Of a half, three quarters and all, a half
was nearest on hands of photos with objects pasted over their joints (benchmarks/photo_refine.py covered)."""


@dataclass(frozen=True, eq=False)
class Upright:
    """A hand's own axes in a picture: its middle, its size (pixels), and the turn that puts knuckles over the wrist.

    Left hands are mirrored, so that all look like right ones.
    """

    middle: Float[np.ndarray, " 2"]
    size: float
    turn: Float[np.ndarray, "2 2"]
    mirror: Float[np.ndarray, " 2"]

    @classmethod
    def of(cls, points: Float[np.ndarray, "21 2"], side: Side) -> "Upright":
        """Of a hand's landmarks, pixels, in hoprior's order."""
        mirror = np.array([-1.0 if side == "left" else 1.0, 1.0])
        points = points * mirror
        x, y = points[list(KNUCKLES)].mean(axis=0) - points[0]
        length = max(float(np.hypot(x, y)), LEAST)
        turn = np.array([[x, -y], [y, x]]) / length
        middle = points.mean(axis=0)
        size = max(float(np.sqrt(np.square(points - middle).sum(axis=1).mean())), LEAST)
        return cls(middle, size, turn, mirror)

    def inside(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Points of the picture in these axes."""
        return (points * self.mirror - self.middle) @ self.turn / self.size

    def outside(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Points in these axes as pixels.

        Example:
            >>> points = np.random.default_rng(0).normal(size=(21, 2))
            >>> axes = Upright.of(points, "left")
            >>> bool(np.allclose(axes.outside(axes.inside(points)), points))
            True
        """
        return (self.size * points @ self.turn.T + self.middle) * self.mirror


@cache
def _weights() -> dict[str, np.ndarray]:
    with (files("hoprior") / "assets" / ASSET).open("rb") as stream, np.load(stream) as arrays:
        return {name: arrays[name].astype(np.float64) for name in arrays.files}


def offsets(inside: Float[np.ndarray, "21 2"]) -> Float[np.ndarray, "21 2"]:
    """How far joints are from a right hand's landmarks, both in the hand's own axes, as it was learnt."""
    weights = _weights()
    # Several networks, each from its own start: their mean errs less.
    x = (inside.ravel() - weights["mean"]) / weights["deviation"]
    for layer in range(LAYERS):
        x = np.einsum("...i,...io->...o", x, weights[f"weight{layer}"]) + weights[f"bias{layer}"]
        if layer < LAYERS - 1:
            x = x / (1 + np.exp(-x))
    return x.mean(axis=0).reshape(21, 2)


def joints_of(points: Float[np.ndarray, "21 2"], side: Side) -> Float[np.ndarray, "21 2"]:
    """Where the joints of a hand model likelier are than its landmarks; pixels, both in hoprior's order.

    Example:
        >>> points = np.random.default_rng(0).uniform(0, 200, (21, 2))
        >>> turned, mirrored = points[:, ::-1] * [-1, 1], points * [-1, 1] + [200, 0]
        >>> joints = joints_of(points, "right")
        >>> bool(np.allclose(joints_of(turned, "right"), joints[:, ::-1] * [-1, 1]))
        True
        >>> bool(np.allclose(joints_of(mirrored, "left"), joints * [-1, 1] + [200, 0]))
        True
    """
    axes = Upright.of(points, side)
    inside = axes.inside(points)
    return axes.outside(inside + SHARE * offsets(inside))
