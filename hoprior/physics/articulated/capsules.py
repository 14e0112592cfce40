"""Capsules that a hand's skin is nearest to: what its bodies collide with."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

PULL = 0.15
"""How strongly a capsule's ends are drawn to where they are expected, against the distance of one point of the skin."""
LEAST_RADIUS = 0.003


class Capsule(NamedTuple):
    """All points that are within `radius` of the segment from `start` to `end`; metres."""

    start: Float[np.ndarray, " 3"]
    end: Float[np.ndarray, " 3"]
    radius: float

    def distance(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Signed distances of points to its surface, negative inside.

        Example:
            >>> Capsule(np.zeros(3), np.array([0.1, 0.0, 0.0]), 0.01).distance(np.array([[0.05, 0.03, 0.0]])).round(3)
            array([0.02])
        """
        along = self.end - self.start
        share = ((points - self.start) @ along / max(float(along @ along), 1e-12)).clip(0, 1)
        return np.linalg.norm(points - self.start - share[:, None] * along, axis=1) - self.radius

    def moved(self, by: Float[np.ndarray, " 3"]) -> "Capsule":
        """The same, elsewhere."""
        return Capsule(self.start + by, self.end + by, self.radius)


def fit_capsule(
    skin: Float[np.ndarray, "n 3"], start: Float[np.ndarray, " 3"], end: Float[np.ndarray, " 3"]
) -> Capsule:
    """The capsule whose surface is nearest to points of the skin, by least squares, from about `start` to about `end`.

    Example:
        >>> around = np.linspace(0, 6.2, 40)
        >>> ring = np.stack([np.zeros(40), 0.01 * np.cos(around), 0.01 * np.sin(around)], axis=1)
        >>> skin = np.concatenate([ring, ring + [0.02, 0, 0], ring + [0.04, 0, 0]])
        >>> round(fit_capsule(skin, np.array([0.0, 0.002, 0.0]), np.array([0.04, 0.0, 0.001])).radius, 3)
        0.01
    """
    expected = np.concatenate([start, end])
    pull = PULL * np.sqrt(len(skin) / 6)
    first = float(np.abs(Capsule(start, end, 0.0).distance(skin)).mean())

    def off(values: np.ndarray) -> np.ndarray:
        distance = Capsule(values[:3], values[3:6], values[6]).distance(skin)
        return np.concatenate([distance, pull * (values[:6] - expected)])

    found = least_squares(off, np.concatenate([expected, [max(first, LEAST_RADIUS)]]), x_scale=0.01).x
    return Capsule(found[:3], found[3:6], max(float(found[6]), LEAST_RADIUS))
