"""Fréchet distance between two sets of grasps, in a fixed feature: where eight joints are."""

import numpy as np
from jaxtyping import Float
from scipy.linalg import sqrtm
from torch import Tensor

from hoprior.common.arrays import as_array
from hoprior.errors import HopriorError
from hoprior.hand.joint_order import JOINT_NAMES

FEATURE_JOINTS = (0, JOINT_NAMES.index("index1"), JOINT_NAMES.index("pinky1"), 16, 17, 18, 19, 20)
"""The wrist and two knuckles, which say where the palm is and how it is turned, and the five tips."""
LEAST_GRASPS = 3 * len(FEATURE_JOINTS) + 1
"""Fewer grasps have no covariance of full rank."""


def frechet_distance(
    joints: Float[Tensor | np.ndarray, "n 21 3"], others: Float[Tensor | np.ndarray, "m 21 3"]
) -> float:
    """How far two sets of grasps of one object are apart as normal distributions, cm (Dowson and Landau, 1982).

    `sqrt(|μ - ν|² + tr(S + T - 2 (S T)^½))` with the means and covariances of the feature: the places of wrist, index
    and little finger's knuckles and the five tips in the object's frame, cm, 24 numbers. 0 for the same set. It shrinks
    as sets grow: compare sets of one size.

    Args:
        joints, others: metres, in the object's frame, at least 25 grasps each.

    Raises:
        HopriorError: a set is smaller, or not of 21 joints.

    Example:
        >>> some = np.random.default_rng(0).normal(size=(40, 21, 3))
        >>> round(frechet_distance(some, some), 3), round(frechet_distance(some, some + [0.01, 0, 0]), 3)  # cm √8
        (0.0, 2.828)
    """
    sets = []
    for points in (as_array(joints, np.float64), as_array(others, np.float64)):
        if points.ndim != 3 or points.shape[1:] != (21, 3) or len(points) < LEAST_GRASPS:
            raise HopriorError(
                f"frechet_distance: joints have shape {points.shape}: give (n, 21, 3) with n of at least {LEAST_GRASPS}"
            )
        sets.append(100.0 * points[:, FEATURE_JOINTS].reshape(len(points), -1))
    (mean, spread), (other_mean, other_spread) = ((s.mean(axis=0), np.cov(s, rowvar=False)) for s in sets)
    shared = np.real(np.trace(np.asarray(sqrtm(spread @ other_spread))))
    squared = float(np.square(mean - other_mean).sum() + np.trace(spread) + np.trace(other_spread) - 2 * shared)
    return float(np.sqrt(max(squared, 0.0)))
