"""Classic measures of grasps by their contacts: Ferrari and Canny's quality, and agreement with recorded contact."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import ConvexHull, QhullError

from hoprior.physics.contact_map import Contact
from hoprior.physics.statics import friction_cones

FRICTION = 0.5
"""Coefficient where nothing is said: between skin's on dry plastic and on smooth metal."""


class WrenchQuality(NamedTuple):
    """Of the wrenches that contacts can give, each contact pushing with at most 1.

    Attributes:
        epsilon: Q1 of Ferrari and Canny (ICRA 1992): the radius of the largest ball about the origin that is inside
            their convex hull, which is the least disturbance that the grasp cannot resist; 0 without force closure.
        volume: of the hull; 0 where it is flat.
    """

    epsilon: float
    volume: float


def wrench_quality(wrenches: Float[np.ndarray, "n 6"]) -> WrenchQuality:
    """Q1 and the volume of the convex hull of wrenches.

    Example:
        >>> found = wrench_quality(np.concatenate([np.eye(6), -np.eye(6)]))  # a cross-polytope
        >>> round(found.epsilon, 4), round(found.volume, 4)  # 1/√6, 2⁶/6!
        (0.4082, 0.0889)
    """
    if len(wrenches) < 7:
        return WrenchQuality(0.0, 0.0)
    try:
        hull = ConvexHull(wrenches)
    except QhullError:  # they lie in a plane of fewer dimensions, so that something cannot be resisted at all
        return WrenchQuality(0.0, 0.0)
    return WrenchQuality(max(0.0, float(-hull.equations[:, -1].max())), float(hull.volume))


def contact_wrenches(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    center: Float[np.ndarray, " 3"],
    arm: float,
    friction: float = FRICTION,
) -> Float[np.ndarray, "m 6"]:
    """Forces along the edges of the contacts' friction cones, and their torques about `center`, over `arm`.

    Args:
        normals: of the object's surface, outwards.
        arm: length (m) at which a torque counts as much as a force: usually the object's greatest radius.

    Example:
        >>> contact_wrenches(np.array([[0.1, 0.0, 0.0]]), np.array([[1.0, 0.0, 0.0]]), np.zeros(3), arm=0.1).shape
        (6, 6)
    """
    cones = friction_cones(np.asarray(normals, dtype=float), friction)
    torques = np.cross((np.asarray(points, dtype=float) - center)[:, None], cones) / arm
    return np.concatenate([cones, torques], axis=2).reshape(-1, 6)


def grasp_quality(
    contacts: Sequence[Contact], center: Float[np.ndarray, " 3"], arm: float, friction: float = FRICTION
) -> WrenchQuality:
    """Q1 and its volume of the contacts of one grasp (`GraspResults.contact_maps`).

    Example:
        >>> grasp_quality([], np.zeros(3), arm=0.1)
        WrenchQuality(epsilon=0.0, volume=0.0)
    """
    if not contacts:
        return WrenchQuality(0.0, 0.0)
    points, normals = (np.stack([getattr(contact, name) for contact in contacts]) for name in ("point", "normal"))
    return wrench_quality(contact_wrenches(points, normals, center, arm, friction))


class ContactAgreement(NamedTuple):
    """Of vertices that touch, against those that touch in a recording; NaN where neither has any."""

    iou: float
    f1: float


def contact_agreement(found: Bool[np.ndarray, " v"], recorded: Bool[np.ndarray, " v"]) -> ContactAgreement:
    """Intersection over union, and F1, of two sets of vertices.

    Example:
        >>> contact_agreement(np.array([True, True, False]), np.array([False, True, True]))
        ContactAgreement(iou=0.3333333333333333, f1=0.5)
    """
    both, either = int((found & recorded).sum()), int((found | recorded).sum())
    if either == 0:
        return ContactAgreement(float("nan"), float("nan"))
    return ContactAgreement(both / either, 2 * both / (both + either))
