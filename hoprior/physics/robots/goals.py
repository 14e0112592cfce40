"""Where a person's fingers are on an object: what a robot's fingers are to keep."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from hoprior.geometry.state import SignedDistance
from hoprior.hand.joint_order import JOINT_NAMES, TIP_FINGERS
from hoprior.physics.contact_map import ContactMap

NEAR_WEIGHT = 0.25
"""Of a fingertip that does not touch, against one that does."""
NEAR, NEAR_STEPS = 0.02, 3
"""A fingertip that is so near (m) to the object is to touch it, too; and steps to the surface."""
KNUCKLES = {"thumb": 13, "index": 1, "middle": 4, "ring": 10, "pinky": 7}
"""Joints, by their numbers, from which fingers start."""


@dataclass(frozen=True, eq=False)
class FingerGoal:
    """What one finger is to do; metres, in the object's frame.

    Attributes:
        point: where it presses most; of one that does not touch, the surface near its tip, or the tip.
        normal: of the object's surface there, outwards; zero where there is none near.
        points: all places where bones of the finger press.
        knuckle: where the finger starts.
        touching: whether the person's touches.
    """

    finger: str
    point: Float[np.ndarray, " 3"]
    normal: Float[np.ndarray, " 3"]
    points: Float[np.ndarray, "n 3"]
    knuckle: Float[np.ndarray, " 3"]
    touching: bool

    @property
    def weight(self) -> float:
        """How much it counts."""
        return 1.0 if self.touching else NEAR_WEIGHT


def goals_of(
    touch: ContactMap, joints: Float[np.ndarray, "21 3"], sdf: SignedDistance, fingers: Sequence[str]
) -> tuple[FingerGoal, ...]:
    """Goals of the fingers of these names, from a person's contacts and joints, in the frame of the object's `sdf`."""
    goals = []
    for finger in TIP_FINGERS:
        if finger not in fingers:
            continue
        tip, knuckle = joints[JOINT_NAMES.index(f"{finger}_tip")], joints[KNUCKLES[finger]]
        own = [contact for contact in touch.contacts if contact.finger == finger]
        # A fingertip is what a robot's finger has, too; other bones stand in where it does not touch.
        outer = [contact for contact in own if contact.bone.endswith("3")] or own
        if outer:
            most = max(outer, key=lambda contact: contact.pressure_share)
            points = np.array([contact.point for contact in own])
            goals.append(FingerGoal(finger, most.point, most.normal, points, knuckle, True))
        else:
            point, normal = _surface_near(sdf, np.asarray(tip, dtype=float))
            goals.append(FingerGoal(finger, point, normal, np.zeros((0, 3)), knuckle, False))
    return tuple(goals)


def distances(
    sdf: SignedDistance, places: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """Signed distances of points, and how they change with these.

    Example:
        >>> distances(lambda points: points.norm(dim=-1) - 1, np.array([[0.0, 2.0, 0.0]]))
        (array([1.]), array([[0., 1., 0.]]))
    """
    points = torch.tensor(places[None], dtype=torch.float32, requires_grad=True)
    found = sdf(points)
    (gradient,) = torch.autograd.grad(found.sum(), points)
    return found[0].detach().double().numpy(), gradient[0].double().numpy()


def gaps(sdf: SignedDistance, places: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """Signed distances of points alone."""
    with torch.no_grad():
        return sdf(torch.tensor(places[None], dtype=torch.float32))[0].double().numpy()


def _surface_near(sdf: SignedDistance, tip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distance, _ = distances(sdf, tip[None])
    if distance[0] > NEAR:
        return tip, np.zeros(3)
    point = tip
    for _ in range(NEAR_STEPS):
        gap, slope = distances(sdf, point[None])
        normal = slope[0] / max(float(np.linalg.norm(slope[0])), 1e-9)
        point = point - gap[0] * normal
    return point, normal
