"""A robot's hand laid to where a person's fingers are: base and joints by least squares, from several starts.

Each finger's pad to the place where the person's presses, against the surface; no point of the hand in the object, no
link in another, joints within their limits. SciPy's trust-region solver does the descent.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from hoprior.geometry.state import SignedDistance
from hoprior.hand.jacobian import left_jacobian
from hoprior.physics.robots.fingers import RobotFinger
from hoprior.physics.robots.goals import FingerGoal, distances
from hoprior.physics.robots.kinematics import PlacedLinks, RobotHand

CLOSURES = (0.15, 0.3, 0.45, 0.6)
"""Of the fingers at the starts."""
TILTS = 4
"""Starts beside those, turned about the goals at random."""
TILT = 0.5
"""rad, of those turns, by standard deviation."""
ROUNDS, STEPS = 7, 6
"""How often the points that touch are chosen anew, and evaluations in between."""
CONTACT_SCALE, DEPTH_SCALE, SELF_SCALE = 0.004, 0.0015, 0.0015
"""m that count as one."""
NORMAL_WEIGHT, POSTURE_WEIGHT = 0.6, 0.05
CLEARANCE = 0.0003
"""How far (m) shapes are to stay off the object."""
KNUCKLE_WEIGHT = 0.3
"""Of a knuckle at the start, against a fingertip."""
PAD_COSINE = 0.1
"""What looks away from where its finger bends to by more than this touches nothing."""
FACING = 0.006
"""m that a point may be farther off if it looks straight at the surface instead of along it."""
SELF_ROWS, WALL_ROWS = 12, 40
"""Residuals of links in each other, and of the object's surface in links, the deepest first."""


@dataclass(frozen=True, eq=False)
class RobotPose:
    """A robot's hand at an object.

    Attributes:
        T_object_base: of its base link, metres.
        driven: values of its driven joints, rad or m.
        cost: the lower, the nearer to what was asked.
    """

    T_object_base: Float[np.ndarray, "4 4"]
    driven: Float[np.ndarray, " d"]
    cost: float = 0.0


class Pads(NamedTuple):
    """Of one finger, numbers of the hand's points that may touch: pads of its outermost links."""

    finger: RobotFinger
    points: Int[np.ndarray, " p"]


def pads_of(hand: RobotHand, finger: RobotFinger) -> Pads:
    """The points of a finger's last links on the side that it bends to."""
    placed = hand.place(hand.closed(0.4))
    own = np.flatnonzero(np.isin(hand.point_link, finger.distal))
    links = hand.point_link[own]
    places = placed.points(links, hand.points[own])
    # The way in which they go where all joints close.
    ways = placed.velocities(links, places) @ hand.closing
    outer = ways.mean(axis=0) / max(float(np.linalg.norm(ways.mean(axis=0))), 1e-9)
    normals = np.einsum("nij,nj->ni", placed.rotations[links], hand.normals[own])
    chosen = own[normals @ outer > PAD_COSINE]
    return Pads(finger, chosen if len(chosen) else own)


def fit_hand(
    hand: RobotHand,
    sdf: SignedDistance,
    goals: tuple[FingerGoal, ...],
    keep: int = 3,
    seed: int = 0,
    surface: Float[np.ndarray, "s 3"] | None = None,
) -> list[RobotPose]:
    """The best poses of a robot's hand for a person's grasp, best first, at most `keep` that differ.

    Args:
        sdf: signed distance to the object, in whose frame the goals are.
        surface: points all over the object. Where walls are thinner than fingers, points of the hand are on either side
            and none is inside: it is the wall that is in the finger.
    """
    fit = _Fit(hand, sdf, goals, surface)
    found = [fit.descend(start) for start in fit.starts(np.random.default_rng(seed))]
    found.sort(key=lambda pose: pose.cost)
    chosen: list[RobotPose] = []
    for pose in found:
        if all(_differ(pose, other) for other in chosen) and len(chosen) < keep:
            chosen.append(pose)
    return chosen


def fit_starts(hand: RobotHand, sdf: SignedDistance, goals: tuple[FingerGoal, ...], seed: int = 0) -> list[RobotPose]:
    """What `fit_hand` starts from."""
    return _Fit(hand, sdf, goals).starts(np.random.default_rng(seed))


def _differ(one: RobotPose, other: RobotPose) -> bool:
    shift = float(np.linalg.norm(one.T_object_base[:3, 3] - other.T_object_base[:3, 3]))
    return shift > 0.004 or bool(np.abs(one.driven - other.driven).max() > 0.1)


class _Fit:
    def __init__(
        self,
        hand: RobotHand,
        sdf: SignedDistance,
        goals: tuple[FingerGoal, ...],
        surface: Float[np.ndarray, "s 3"] | None = None,
    ) -> None:
        self.surface = np.zeros((0, 3)) if surface is None else surface
        self.hand, self.sdf, self.goals = hand, sdf, goals
        fingers = {finger.name: finger for finger in hand.fingers}
        self.pads = [pads_of(hand, fingers[goal.finger]) for goal in goals]
        weights = np.array([goal.weight for goal in goals])
        self.center = np.average([goal.point for goal in goals], axis=0, weights=weights)
        self.reach = np.maximum(hand.high - hand.low, 1e-6)

    def starts(self, generator: np.random.Generator) -> list[RobotPose]:
        """Hands closed by several shares, fingertips and knuckles laid on the person's."""
        weights = np.concatenate([[goal.weight, KNUCKLE_WEIGHT] for goal in self.goals])
        asked = np.concatenate([[goal.point, goal.knuckle] for goal in self.goals])
        found = []
        for share in CLOSURES:
            driven = self.hand.closed(share)
            placed = self.hand.place(driven)
            own = np.concatenate([[self._pad_middle(pads, placed), self._root(pads, placed)] for pads in self.pads])
            found.append((_aligned(own, asked, weights), driven))
        starts = list(found)
        for k in range(TILTS):
            T, driven = found[k % len(found)]
            turn = Rotation.from_rotvec(generator.normal(scale=TILT, size=3)).as_matrix()
            tilted = T.copy()
            tilted[:3, :3] = turn @ T[:3, :3]
            tilted[:3, 3] = self.center + turn @ (T[:3, 3] - self.center)
            starts.append((tilted, driven))
        return [RobotPose(T, driven) for T, driven in starts]

    def _pad_middle(self, pads: Pads, placed: PlacedLinks) -> np.ndarray:
        return placed.points(self.hand.point_link[pads.points], self.hand.points[pads.points]).mean(axis=0)

    def _root(self, pads: Pads, placed: PlacedLinks) -> np.ndarray:
        return placed.origins[pads.finger.links[0]]

    def descend(self, start: RobotPose) -> RobotPose:
        """From one start to the best pose near it."""
        T, driven = start.T_object_base, np.clip(start.driven, self.hand.low, self.hand.high)
        posture = driven.copy()
        inside = 1e-6 * self.reach
        low = np.concatenate([np.full(6, -np.inf), self.hand.low - inside])
        high = np.concatenate([np.full(6, np.inf), self.hand.high + inside])
        scale = np.concatenate([np.full(3, 0.01), np.full(3, 0.15), np.where(self.reach < 0.1, 0.01, 0.3)])
        cost = np.inf
        for number in range(ROUNDS):
            touching = self._touching(T, driven)
            # At first fingers find their places, then the hand leaves the object.
            push = min(1.0, 0.2 + 0.25 * number)
            step = _Step(self, T, touching, posture, push)
            solved = least_squares(
                step.values, np.concatenate([np.zeros(6), driven]), step.slopes, (low, high),
                x_scale=scale, max_nfev=STEPS, method="trf",
            )  # fmt: skip
            T, driven = step.base(solved.x), np.clip(solved.x[6:], self.hand.low, self.hand.high)
            cost = float(solved.cost)
        return RobotPose(T, driven, cost)

    def _touching(self, T: np.ndarray, driven: np.ndarray) -> Int[np.ndarray, " f"]:
        """Of each finger, the number of the point that is to touch: near the goal, and looking at the surface."""
        placed, found = self.hand.place(driven), []
        for goal, pads in zip(self.goals, self.pads, strict=True):
            links = self.hand.point_link[pads.points]
            places = placed.points(links, self.hand.points[pads.points]) @ T[:3, :3].T + T[:3, 3]
            normals = np.einsum("nij,nj->ni", placed.rotations[links], self.hand.normals[pads.points]) @ T[:3, :3].T
            away = np.linalg.norm(places - goal.point, axis=1) + FACING * (1 + normals @ goal.normal)
            found.append(pads.points[int(away.argmin())])
        return np.array(found)


class _Step:
    """Residuals about one place of the base: x is its shift, its turn about the goals' middle, and the joints."""

    def __init__(self, fit: _Fit, T: np.ndarray, touching: np.ndarray, posture: np.ndarray, push: float) -> None:
        self.fit, self.T, self.touching, self.posture, self.push = fit, T, touching, posture, push
        self._at: np.ndarray | None = None

    def base(self, x: np.ndarray) -> Float[np.ndarray, "4 4"]:
        """Where the base is."""
        turn = Rotation.from_rotvec(x[3:6]).as_matrix()
        T, center = self.T.copy(), self.fit.center
        T[:3, :3] = turn @ T[:3, :3]
        T[:3, 3] = center + x[:3] + turn @ (self.T[:3, 3] - center)
        return T

    def values(self, x: np.ndarray) -> np.ndarray:
        """Residuals."""
        self._compute(x)
        return self._values

    def slopes(self, x: np.ndarray) -> np.ndarray:
        """Their Jacobian."""
        if self._at is None or not np.array_equal(x, self._at):
            self._compute(x)
        return self._slopes

    def _compute(self, x: np.ndarray) -> None:
        fit, hand = self.fit, self.fit.hand
        driven, T = x[6:], self.base(x)
        placed = hand.place(driven)
        left = left_jacobian(torch.from_numpy(x[3:6].copy())).numpy()
        moving = _Moving(placed, T, left, fit.center + x[:3])
        links = hand.point_link
        local = placed.points(links, hand.points)
        places = local @ T[:3, :3].T + T[:3, 3]
        distance, gradient = distances(fit.sdf, places)
        gap = distance - CLEARANCE
        deep = gap < 0
        values, slopes = [], []
        count = 6 + len(driven)
        # In the object: a row for every point, empty where it is outside.
        own = np.zeros((len(places), count))
        own[deep] = moving.along(links[deep], local[deep], places[deep], gradient[deep])
        scale = self.push / DEPTH_SCALE
        values.append(np.where(deep, scale * gap, 0.0))
        slopes.append(scale * own)
        # Pads at their goals, looking at the surface.
        for goal, point in zip(fit.goals, self.touching, strict=True):
            thrice, weight = np.repeat(point, 3), np.sqrt(goal.weight)
            rows = moving.along(links[thrice], local[thrice], places[thrice], np.eye(3))
            values.append(weight / CONTACT_SCALE * (places[point] - goal.point))
            slopes.append(weight / CONTACT_SCALE * rows)
            if goal.normal.any():
                link = links[point]
                normal = T[:3, :3] @ placed.rotations[link] @ hand.normals[point]
                turning = np.concatenate([np.zeros((3, 3)), moving.left, T[:3, :3] @ placed.turning[link]], axis=1)
                values.append(NORMAL_WEIGHT * weight * (normal + goal.normal))
                slopes.append(-NORMAL_WEIGHT * weight * np.cross(normal, turning, axisb=0).T)
        # In itself.
        meetings = sorted(hand.meetings(driven, placed), key=lambda meeting: -meeting.depth)[:SELF_ROWS]
        rows, depths = np.zeros((SELF_ROWS, count)), np.zeros(SELF_ROWS)
        for k, meeting in enumerate(meetings):
            depths[k], rows[k, 6:] = meeting.depth / SELF_SCALE, meeting.slope / SELF_SCALE
        values.append(depths)
        slopes.append(rows)
        # Walls in fingers.
        rows, depths = np.zeros((WALL_ROWS, count)), np.zeros(WALL_ROWS)
        found = self._walls(placed, T)
        if found is not None:
            kept, place, deepest, out = found
            moves = moving.along(kept, (place - T[:3, 3]) @ T[:3, :3], place, out)
            depths[: len(kept)], rows[: len(kept)] = scale * deepest, scale * moves
        values.append(depths)
        slopes.append(rows)
        values.append(POSTURE_WEIGHT * (driven - self.posture) / fit.reach)
        slopes.append(np.concatenate([np.zeros((len(driven), 6)), np.diag(POSTURE_WEIGHT / fit.reach)], axis=1))
        self._at, self._values, self._slopes = x.copy(), np.concatenate(values), np.concatenate(slopes)

    def _walls(
        self, placed: PlacedLinks, T: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
        """Of the object's points that are deepest in links: the link, the place, how deep, and the way out of it."""
        near = (self.fit.surface - T[:3, 3]) @ T[:3, :3]
        links, places, depths, ways = [], [], [], []
        for shape in self.fit.hand.shapes:
            boxed, under = shape.under(placed, near)
            if len(boxed) == 0:
                continue
            face, depth = under.argmin(axis=1), under.min(axis=1)
            inside = depth > 0
            links += [shape.link] * int(inside.sum())
            places.append(self.fit.surface[boxed[inside]])
            depths.append(depth[inside])
            ways.append(shape.normals[face[inside]] @ placed.rotations[shape.link].T @ T[:3, :3].T)
        if not links:
            return None
        deep = np.concatenate(depths)
        order = np.argsort(-deep)[:WALL_ROWS]
        return np.array(links)[order], np.concatenate(places)[order], deep[order], np.concatenate(ways)[order]


class _Moving(NamedTuple):
    """A bent hand at one place: how its points move with the variables of a step.

    `left` takes a change of the turn's vector to an angular velocity, about the goals' middle, moved: `middle`.
    """

    placed: PlacedLinks
    T: Float[np.ndarray, "4 4"]
    left: Float[np.ndarray, "3 3"]
    middle: Float[np.ndarray, " 3"]

    def along(
        self,
        links: Int[np.ndarray, " n"],
        local: Float[np.ndarray, "n 3"],
        places: Float[np.ndarray, "n 3"],
        ways: Float[np.ndarray, "n 3"],
    ) -> Float[np.ndarray, "n v"]:
        """How fast points, `local` to the base and at `places`, move along directions, for each variable."""
        turned = np.cross(places - self.middle, ways) @ self.left
        bent = np.einsum("ni,nid->nd", ways @ self.T[:3, :3], self.placed.velocities(links, local))
        return np.concatenate([ways, turned, bent], axis=1)


def _aligned(own: np.ndarray, asked: np.ndarray, weights: np.ndarray) -> Float[np.ndarray, "4 4"]:
    """The rigid motion that brings points nearest to others (Kabsch)."""
    shares = weights / weights.sum()
    middle, wanted = shares @ own, shares @ asked
    turn, _ = Rotation.align_vectors(asked - wanted, own - middle, weights=shares)
    T = np.eye(4)
    T[:3, :3] = turn.as_matrix()
    T[:3, 3] = wanted - T[:3, :3] @ middle
    return T
