"""A robot's hand on its way: fingers open, the base comes straight at the object, fingers close, the hand rises.

Directions are looked for backwards from the grasp, as those of people's hands are (`hoprior.physics.reach`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from hoprior.geometry.state import SignedDistance
from hoprior.physics.reach import DISTANCE, LIFT, SECONDS, SLACK, all_around
from hoprior.physics.robots.fingers import RobotFinger
from hoprior.physics.robots.fit import RobotPose
from hoprior.physics.robots.goals import gaps
from hoprior.physics.robots.kinematics import RobotHand

DIRECTIONS = 96
OPENINGS = (0.0, 0.5, 1.0)
"""How much farther than needed all fingers are opened, of what takes them from there to open."""
ROUNDS, TRIES = 5, 24
"""Of the search where no way of the first look is free, and new ways in each."""
SPREAD, NARROWER = 0.3, 0.75
"""Standard deviation of directions and openings in the first round, and what it is multiplied by in each."""
OPEN_STEPS = 12
OPEN_CLEARANCE = 0.003
"""m between an open finger and the object."""
APPROACH_STEPS, CLOSE_STEPS, LIFT_STEPS = 16, 8, 6
NEAR, FINE_STEP, COARSE_STEP = 0.04, 0.0025, 0.01
"""m from the grasp up to which the way is looked at finely, and steps there and beyond."""
CLOSE_SHARE = 0.35
"""Of the way's seconds, in which fingers close."""
LEAST_DEPTH = 0.001
"""m that shapes may be in the object on the way, or what they are in the grasp."""
BELOW_WEIGHT = 0.002
"""m of depth that coming straight from below counts as."""
NATURAL_WEIGHT = 0.001
"""m of depth that coming from where the base is not counts as."""


@dataclass(frozen=True, eq=False)
class RobotWay:
    """A grasp carried out, as k frames, in the object's frame as it lies before it is lifted; metres and radians.

    Attributes:
        time: seconds.
        phase: "approach", "close" or "lift" of each.
        T_object_base: where the hand's base is.
        T_base_link: where each link is in the base's frame.
        joints: of all joints; the first frame is the pre-grasp.
        object_shift: how far the object has been carried.
        direction: the way in which the hand comes, a unit vector.
        depth: how much deeper than allowed the hand goes into the object at worst; 0 or less if it does not.
        free: whether the way is free of collisions.
    """

    time: Float[np.ndarray, " k"]
    phase: tuple[str, ...]
    T_object_base: Float[np.ndarray, "k 4 4"]
    T_base_link: Float[np.ndarray, "k l 4 4"]
    joints: Float[np.ndarray, "k j"]
    object_shift: Float[np.ndarray, "k 3"]
    direction: Float[np.ndarray, " 3"]
    depth: float
    free: bool


def find_way(
    hand: RobotHand, sdf: SignedDistance, pose: RobotPose, up: Float[np.ndarray, " 3"] | None = None
) -> RobotWay:
    """A way to a grasp and up from there; the least deep one where none is free.

    Args:
        sdf: signed distance to the object.
        up: in the object's frame: hands rather do not come from below, and lift that way. +z without.
    """
    up = np.array([0.0, 0.0, 1.0]) if up is None else up / np.linalg.norm(up)
    search = _Search(hand, sdf, pose, up)
    for share in OPENINGS:
        search.look(all_around(DIRECTIONS).double().numpy(), np.full(len(hand.low), share))
    generator = np.random.default_rng(0)
    for number in range(ROUNDS):
        if search.excess <= SLACK:
            break
        spread = SPREAD * NARROWER**number
        away, opening = search.away, search.opening
        for _ in range(TRIES):
            tried = away + generator.normal(scale=spread, size=3)
            # Fingers open by themselves: all joints of one by the same share.
            varied = opening.copy()
            for own in search.fingers:
                varied[own] = np.clip(varied[own] + generator.normal(scale=spread), 0.0, 1.0)
            search.look((tried / np.linalg.norm(tried))[None], varied)
    return _frames(hand, pose, search.start_of(search.opening), search.away, up, search.excess)


class _Search:
    """The best way to one grasp so far: where from, how far opened, and how much deeper than allowed."""

    def __init__(self, hand: RobotHand, sdf: SignedDistance, pose: RobotPose, up: np.ndarray) -> None:
        self.hand, self.sdf, self.pose, self.up = hand, sdf, pose, up
        self.needed = opened(hand, sdf, pose)
        self.fingers = [joints_of(hand, finger) for finger in hand.fingers]
        self.allowed = min(-LEAST_DEPTH, float(_gaps(hand, sdf, pose, pose.driven).min()))
        behind = pose.T_object_base[:3, 3] - _places(hand, pose, pose.driven)[_pads(hand)].mean(axis=0)
        self.behind = behind / max(float(np.linalg.norm(behind)), 1e-9)
        self.cost, self.excess = np.inf, np.inf
        self.away: np.ndarray = self.up
        self.opening: np.ndarray = np.zeros(len(hand.low))

    def start_of(self, opening: np.ndarray) -> np.ndarray:
        """Driven joints of fingers that are opened farther than needed by a share of what can be."""
        return self.needed + opening * (self.hand.closed(0.0) - self.needed)

    def look(self, directions: Float[np.ndarray, "n 3"], opening: Float[np.ndarray, " d"]) -> None:
        """Looks at ways from some directions with fingers opened in one way, and keeps the best."""
        hand, pose, start = self.hand, self.pose, self.start_of(opening)
        closing = min(
            float(_gaps(hand, self.sdf, pose, start + share * (pose.driven - start)).min())
            for share in np.linspace(0, 1, CLOSE_STEPS + 1)[1:]
        )
        places = _places(hand, pose, start)
        # Fine near the object, where walls and handles are thinner than a centimetre.
        shifts = np.concatenate([np.arange(0.0, NEAR, FINE_STEP), np.arange(NEAR, DISTANCE, COARSE_STEP), [DISTANCE]])
        for away in directions:
            moved = places[None] + (shifts[:, None] * away)[:, None]
            excess = self.allowed - min(closing, float(gaps(self.sdf, moved.reshape(-1, 3)).min()))
            cost = max(excess, 0.0) + BELOW_WEIGHT * max(-float(away @ self.up), 0.0)
            cost += NATURAL_WEIGHT * (1 - float(away @ self.behind))
            if cost < self.cost - 1e-6:
                self.cost, self.excess, self.away, self.opening = cost, excess, away, opening


def opened(hand: RobotHand, sdf: SignedDistance, pose: RobotPose) -> Float[np.ndarray, " d"]:
    """Driven joints with every finger opened by as little as takes it off the object, or as far as it goes."""
    found = pose.driven.copy()
    ends = hand.closed(0.0)
    for finger in hand.fingers:
        own = joints_of(hand, finger) & (hand.closing != 0)
        of_finger = np.isin(hand.point_link, finger.links)
        best, chosen = -np.inf, found
        for share in np.linspace(0, 1, OPEN_STEPS + 1):
            tried = np.where(own, pose.driven + share * (ends - pose.driven), found)
            gap = float(_gaps(hand, sdf, pose, tried)[of_finger].min())
            if gap > best + 2e-4:
                best, chosen = gap, tried
            if gap > OPEN_CLEARANCE:
                break
        found = chosen
    return found


def joints_of(hand: RobotHand, finger: RobotFinger) -> np.ndarray:
    """Which driven joints move a finger alone."""
    moving = [k for k, link in enumerate(hand.description.links) if link.joint is not None]
    own = np.array([k in finger.links for k in moving])
    return np.abs(hand.description.coupling[own]).max(axis=0) > 0


def _pads(hand: RobotHand) -> np.ndarray:
    return np.isin(hand.point_link, [link for finger in hand.fingers for link in finger.distal])


def _places(hand: RobotHand, pose: RobotPose, driven: np.ndarray) -> np.ndarray:
    T = pose.T_object_base
    return hand.place(driven).points(hand.point_link, hand.points) @ T[:3, :3].T + T[:3, 3]


def _gaps(hand: RobotHand, sdf: SignedDistance, pose: RobotPose, driven: np.ndarray) -> np.ndarray:
    return gaps(sdf, _places(hand, pose, driven))


def _frames(
    hand: RobotHand, pose: RobotPose, start: np.ndarray, away: np.ndarray, up: np.ndarray, excess: float
) -> RobotWay:
    coming, lifting = SECONDS
    close_at = coming * (1 - CLOSE_SHARE)
    time = np.concatenate(
        [
            np.linspace(0, close_at, APPROACH_STEPS),
            np.linspace(close_at, coming, CLOSE_STEPS + 1)[1:],
            np.linspace(coming, coming + lifting, LIFT_STEPS + 1)[1:],
        ]
    )
    counts = (APPROACH_STEPS, CLOSE_STEPS, LIFT_STEPS)
    phase = tuple(np.repeat(("approach", "close", "lift"), counts).tolist())
    back = np.concatenate([np.linspace(1, 0, APPROACH_STEPS), np.zeros(CLOSE_STEPS + LIFT_STEPS)])
    closed = np.concatenate([np.zeros(APPROACH_STEPS), np.linspace(0, 1, CLOSE_STEPS + 1)[1:], np.ones(LIFT_STEPS)])
    raised = np.concatenate([np.zeros(APPROACH_STEPS + CLOSE_STEPS), np.linspace(0, 1, LIFT_STEPS + 1)[1:]])
    shift = LIFT * raised[:, None] * up
    T = np.tile(pose.T_object_base, (len(time), 1, 1))
    T[:, :3, 3] += DISTANCE * back[:, None] * away + shift
    driven = start + closed[:, None] * (pose.driven - start)
    joints = np.stack([hand.description.all_joints(values) for values in driven])
    links = np.tile(np.eye(4), (len(time), len(hand.description.links), 1, 1))
    for at, values in zip(links, driven, strict=True):
        placed = hand.place(values)
        at[:, :3, :3], at[:, :3, 3] = placed.rotations, placed.origins
    return RobotWay(time, phase, T, links, joints, shift, -away, excess, bool(excess <= SLACK))
