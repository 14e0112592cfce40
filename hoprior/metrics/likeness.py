"""How close generated grasps are to those that people were recorded making of the same object."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.arrays import as_array
from hoprior.errors import HopriorError
from hoprior.geometry.rotations import rigid_registration
from hoprior.hand.ik import PALM
from hoprior.hand.joint_order import JOINT_NAMES

LIKENESS_DISTANCE = 0.04
"""Grasps whose joints are closer than this on average (m) count as the same grasp."""
COMPARED_JOINTS = [k for k, name in enumerate(JOINT_NAMES) if name != "thumb1"]
"""All but the thumb's CMC, which hand models place differently within the flesh."""


class Likeness(NamedTuple):
    """Agreement of generated with recorded grasps.

    Attributes:
        nearest_cm: median distance of a generated grasp to its nearest recorded one.
        precision: share of generated grasps within 4 cm of a recorded one.
        coverage: share of recorded grasps with a generated one within 4 cm.
        fingers_cm: median difference of the fingers between a generated grasp and its nearest recorded one: mean
            distance of the joints once the palms (wrist and four knuckles) lie on each other.

    Example:
        >>> Likeness(nearest_cm=2.5, precision=0.9, coverage=0.6, fingers_cm=1.1)._asdict()["coverage"]
        0.6
    """

    nearest_cm: float
    precision: float
    coverage: float
    fingers_cm: float


def likeness(
    joints: Float[Tensor | np.ndarray, "n 21 3"],
    recorded: Float[Tensor | np.ndarray, "m 21 3"],
    *,
    leave_one_out: bool = False,
    distance: float = LIKENESS_DISTANCE,
) -> Likeness:
    """Likeness of generated to recorded grasps; both metres, in the object's frame, MANO's order of joints.

    With `d(i, k) = mean_j |x_ij - y_kj|`: `nearest = median_i min_k d`, `precision = mean_i [min_k d < distance]`,
    `coverage = mean_k [min_i d < distance]`.

    Args:
        leave_one_out: both are one set, and each grasp is compared with the others: how alike people are.
        distance: of two grasps that count as the same, metres.

    Raises:
        HopriorError: a set is empty, or not of 21 joints.

    Example:
        >>> from hoprior.hand import load_hand
        >>> apart = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
        >>> people = load_hand().joints_only(torch.zeros(2, 15, 3), transl=apart)
        >>> found = likeness(people[:1] + torch.tensor([0.0, 0.03, 0.0]), people)
        >>> round(found.nearest_cm, 2), found.precision, found.coverage, round(found.fingers_cm, 2)
        (3.0, 1.0, 0.5, 0.0)
    """
    sets = [as_array(a, np.float64) for a in (joints, recorded)]
    for name, points in zip(("generated", "recorded"), sets, strict=True):
        if points.ndim != 3 or points.shape[1:] != (21, 3) or not len(points):
            raise HopriorError(f"likeness: {name} joints have shape {points.shape}: give (n, 21, 3) with n > 0")
    between = distances(*sets)
    if leave_one_out:
        np.fill_diagonal(between, np.inf)
    nearest = between.min(axis=1)
    fingers = finger_distance(sets[0], sets[1][between.argmin(axis=1)])
    return Likeness(
        nearest_cm=100.0 * float(np.median(nearest)),
        precision=float((nearest < distance).mean()),
        coverage=float((between.min(axis=0) < distance).mean()),
        fingers_cm=100.0 * float(np.median(fingers)),
    )


def distances(joints: Float[np.ndarray, "n 21 3"], others: Float[np.ndarray, "m 21 3"]) -> Float[np.ndarray, "n m"]:
    """Of each hand to each other one, metres: the mean over the compared joints.

    Example:
        >>> distances(np.zeros((1, 21, 3)), np.full((2, 21, 3), [0.03, 0.0, 0.04])).round(3)
        array([[0.05, 0.05]])
    """
    apart = joints[:, None, COMPARED_JOINTS] - others[None, :, COMPARED_JOINTS]
    return np.asarray(np.linalg.norm(apart, axis=-1).mean(axis=-1))


def finger_distance(
    joints: Float[Tensor | np.ndarray, "n 21 3"], others: Float[Tensor | np.ndarray, "n 21 3"]
) -> Float[np.ndarray, " n"]:
    """Mean distance of the joints of pairs of hands, metres, palm upon palm (rigidly, by least squares).

    `mean_j |R x_j + t - y_j|` with the `R, t` that bring wrist and knuckles of x nearest to those of y.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> flat = hand.joints_only(torch.zeros(1, 15, 3))
        >>> bent = hand.joints_only(hand.angles_to_pose(torch.tensor([0.0, 0.5, 0.0]).expand(1, 15, 3)))
        >>> finger_distance(flat, flat + 0.1).round(6), bool(finger_distance(flat, bent) > 0.01)
        (array([0.]), True)
    """
    source, target = (torch.from_numpy(as_array(points, np.float64)) for points in (joints, others))
    rotation, transl = rigid_registration(source[:, PALM], target[:, PALM])
    moved = source @ rotation.mT + transl[:, None]
    return (moved - target).norm(dim=-1)[:, COMPARED_JOINTS].mean(dim=-1).numpy()
