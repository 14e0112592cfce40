"""What is measured on a robot's grasp: how deep it is in the object and in itself, and whose contacts it keeps."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from hoprior.geometry.state import SignedDistance
from hoprior.physics.robots.fit import RobotPose
from hoprior.physics.robots.goals import FingerGoal, gaps
from hoprior.physics.robots.kinematics import PlacedLinks, RobotHand

TOUCHING = 0.003
"""m between a point and the object that touches it: points are some millimetres from each other."""
KEPT = 0.01
"""m between a person's contact and the robot's that keeps it."""
CELL = 0.002
"""m, of the lattice on which overlaps are counted."""
GOOD_DEPTH, GOOD_SELF, GOOD_OVERLAP = 0.002, 0.001, 1e-6
"""m in the object, m in itself and m³ of overlap, of a grasp that is as good as any; through a thin wall, only the last
tells."""


@dataclass(frozen=True, eq=False)
class RobotMeasures:
    """One robot's grasp, measured; metres.

    Attributes:
        depth: of the hand's deepest point in the object; 0 where none is.
        overlap: m³ of the object that are in the hand's convex shapes.
        self_depth: of its links in each other.
        kept: of each finger that touches in the person's grasp, how far the robot's contact is from the person's
            nearest one; infinite where the robot's finger does not touch.
        around_depth: as `depth`, in what lies around the object; None where nothing is known of that.
    """

    depth: float
    overlap: float
    self_depth: float
    kept: dict[str, float]
    around_depth: float | None = None

    @property
    def fingers_kept(self) -> int:
        """How many fingers touch within `KEPT` of where the person's do."""
        return sum(away <= KEPT for away in self.kept.values())

    @property
    def clear(self) -> bool:
        """Whether it is neither in the object, what is around it nor in itself, within what is measured."""
        deepest = max(self.depth, self.around_depth or 0.0)
        return deepest <= GOOD_DEPTH and self.self_depth <= GOOD_SELF and self.overlap <= GOOD_OVERLAP


def measure(
    hand: RobotHand,
    sdf: SignedDistance,
    pose: RobotPose,
    goals: tuple[FingerGoal, ...],
    around: SignedDistance | None = None,
) -> RobotMeasures:
    """Measures a pose; `sdf`, goals and signed distances to what is `around` the object in the object's frame."""
    T, placed = pose.T_object_base, hand.place(pose.driven)
    places = placed.points(hand.point_link, hand.points) @ T[:3, :3].T + T[:3, 3]
    apart = gaps(sdf, places)
    fingers = {finger.name: finger for finger in hand.fingers}
    kept: dict[str, float] = {}
    for goal in goals:
        if goal.touching:
            own = np.isin(hand.point_link, fingers[goal.finger].links) & (apart < TOUCHING)
            away = np.linalg.norm(places[own][:, None] - goal.points[None], axis=2)
            kept[goal.finger] = float(away.min()) if own.any() else float("inf")
    overlap = _overlap(hand, placed, sdf, T, places)
    around_depth = None
    if around is not None:
        corners = placed.points(*hand.corners) @ T[:3, :3].T + T[:3, 3]
        around_depth = max(0.0, -float(gaps(around, np.concatenate([places, corners])).min()))
    return RobotMeasures(max(0.0, -float(apart.min())), overlap, hand.self_depth(pose.driven), kept, around_depth)


def _overlap(
    hand: RobotHand, placed: PlacedLinks, sdf: SignedDistance, T: Float[np.ndarray, "4 4"], places: np.ndarray
) -> float:
    """m³, on a lattice over the hand."""
    axes = [np.arange(low, high, CELL) for low, high in zip(places.min(axis=0), places.max(axis=0), strict=True)]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = gaps(sdf, lattice) < 0
    if not inside.any():
        return 0.0
    held = (lattice[inside] - T[:3, 3]) @ T[:3, :3]
    return float(inside_hulls(hand, placed, held).sum()) * CELL**3


def inside_hulls(hand: RobotHand, placed: PlacedLinks, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Which points, in the base's frame, are in the shapes that collide."""
    found = np.zeros(len(points), dtype=bool)
    for shape in hand.shapes:
        rows, under = shape.under(placed, points)
        found[rows] |= (under >= 0).all(axis=1)
    return found
