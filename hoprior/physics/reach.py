"""From rest to lift: fingers open, the hand comes straight at the object, the fingers close, the hand rises.

Ways are looked for backwards, from the grasp: of many directions, and of many ways to hold the fingers, those on which
neither skin nor bones go into the object deeper than they are in it in the grasp itself.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.state import SignedDistance, rigid, transform_points
from hoprior.hand import HandModel
from hoprior.physics.bone_samples import BoneSamples

DISTANCE = 0.15
"""How far (m) the hand is backed off; more than a finger is long."""
LIFT = 0.1
"""How far (m) it rises with the object."""
DIRECTIONS = 64
OPENINGS = (1.0, 0.5, 0.25, 0.0)
"""How far all fingers are opened on the first look, of what takes them from the grasp to straight."""
OPEN_BY = 0.3
"""Share of the way back in which fingers open."""
STARTS = (0.3, 0.0)
"""Share of the way back in which the hand stays where it is: fingers close when it has come, or as it comes."""
ROUNDS, TRIES, KEPT = 14, 96, 12
"""Of the search where no straight way is free: rounds, new ways in each, and of how many they are variations."""
SPREAD = {"away": 0.35, "turn": 0.4, "opened": 0.35}
"""Standard deviations of the variations in the first round: of a direction, of a turn (rad), of fingers' openings."""
COARSE_STEPS, FINE_STEPS, LIFT_STEPS = 18, 41, 9
SKIN_STRIDE = 6
"""Every so many vertices of the skin are asked on the coarse look."""
LEAST_DEPTH, BONE_GAP = 0.002, 0.004
"""Skin may be this deep (m) in the object, as flesh gives way, and bones have to be so far from it; or what the grasp
itself has, where it is deeper or nearer."""
SLACK = 0.001
"""A way is free if it is by no more than this (m) worse than allowed."""
FINE_LOOKS = 6
"""So many of the best ways are looked at closely."""
SECONDS = 1.8, 1.0
"""Of the way, and of the lift."""


@dataclass(frozen=True, eq=False)
class Reach:
    """One grasp carried out, as k frames; metres and radians, in the object's frame as it lies before it is lifted.

    Attributes:
        time: of each frame, seconds.
        phase: "approach", "close" or "lift" of each; where fingers close as the hand comes, little is left of "close".
        T_object_hand: the wrist.
        hand_pose: the fingers, as in a grasp; the first frame is the pre-grasp.
        object_shift: how far the object has been carried.
        direction: the way in which the hand comes, a unit vector.
        depth: how much deeper than allowed the hand goes into the object on its way at worst; 0 or less if it does not.
        free: whether the way is free of collisions.
    """

    time: Float[np.ndarray, " k"]
    phase: tuple[str, ...]
    T_object_hand: Float[np.ndarray, "k 4 4"]
    hand_pose: Float[np.ndarray, "k 15 3"]
    object_shift: Float[np.ndarray, "k 3"]
    direction: Float[np.ndarray, " 3"]
    depth: float
    free: bool


class _Ways(NamedTuple):
    """n ways back from a grasp: unit vectors away, turns on the way, fingers' openings, and when the hand starts."""

    away: Float[Tensor, "n 3"]
    turn: Float[Tensor, "n 3"]
    opened: Float[Tensor, "n 5"]
    start: Float[Tensor, " n"]

    def rows(self, rows: Tensor) -> "_Ways":
        """Some of them."""
        return _Ways(*(value[rows] for value in (self.away, self.turn, self.opened, self.start)))


def reach(
    hand: HandModel,
    sdf: SignedDistance,
    hand_pose: Float[Tensor, "15 3"],
    T_object_hand: Float[Tensor, "4 4"],
    up: Float[Tensor, " 3"] | None = None,
    seed: int = 0,
) -> Reach:
    """A way to a grasp, and up from there.

    Args:
        sdf: signed distance to the object.
        hand_pose, T_object_hand: the grasp.
        up: in the object's frame; the hand then rather does not come from below, and lifts that way. +z without.
        seed: of the search.

    Example:
        >>> from hoprior.hand import load_hand
        >>> def ball(points):  # of 3 cm, before the palm
        ...     return (points - torch.tensor([0.09, 0.0, 0.05])).norm(dim=-1) - 0.03
        >>> hand = load_hand()
        >>> way = reach(hand, ball, hand.angles_to_pose(0.5 * hand.angle_high), torch.eye(4))
        >>> way.free, way.phase[0], way.phase[-1], bool(way.T_object_hand[0, 2, 3] < 0)
        (True, 'approach', 'lift', True)
    """
    up = torch.tensor([0.0, 0.0, 1.0]) if up is None else up.float() / up.norm()
    search = _Search(hand, sdf, hand_pose.float(), T_object_hand.float(), up)
    ways, excess = search.first_look()
    generator = torch.Generator().manual_seed(seed)
    best: Reach | None = None
    for round_number in range(ROUNDS + 1):
        best = search.closely(ways, excess, best)
        if best.free or round_number == ROUNDS:
            break
        least = excess.argsort()[:KEPT]
        new = _varied(ways.rows(least), 0.85**round_number, generator)
        ways = _Ways(*(torch.cat(pair) for pair in zip(ways.rows(least), new, strict=True)))
        excess = torch.cat([excess[least], search.excess(new, COARSE_STEPS, SKIN_STRIDE)])
    assert best is not None
    return best


def _varied(ways: _Ways, scale: float, generator: torch.Generator) -> _Ways:
    rows = torch.randint(len(ways.away), (TRIES,), generator=generator)
    base = ways.rows(rows)

    def noise(like: Tensor, name: str) -> Tensor:
        return scale * SPREAD[name] * torch.randn(like.shape, generator=generator)

    away = base.away + noise(base.away, "away")
    starts = torch.tensor(STARTS)[torch.randint(len(STARTS), (TRIES,), generator=generator)]
    return _Ways(
        away / away.norm(dim=1, keepdim=True),
        base.turn + noise(base.turn, "turn"),
        (base.opened + noise(base.opened, "opened")).clamp(0, 1),
        torch.where(torch.rand(TRIES, generator=generator) < 0.3, starts, base.start),
    )


class _Search:
    """What is asked of ways to one grasp."""

    def __init__(self, hand: HandModel, sdf: SignedDistance, hand_pose: Tensor, place: Tensor, up: Tensor) -> None:
        self.hand, self.sdf, self.hand_pose, self.place, self.up = hand, sdf, hand_pose, place, up
        self.angles = hand.pose_to_angles(hand_pose)
        self.straight = self.angles.clone()
        self.straight[:12, 1] = self.straight[:12, 1].clamp(max=0.0)
        self.straight[12:] = hand.relaxed_angles[12:]
        self.bones = BoneSamples.of(hand.joints_only(hand_pose[None])).points.shape[1]
        points = transform_points(place[None], self._points(hand_pose[None], 1))
        self.middle = points[0, -self.bones :].mean(dim=0)
        distance = sdf(points)[0]
        # Skin may be as deep on the way as in the grasp, and bones as near.
        self.skin_least = min(float(distance[: -self.bones].min()), -LEAST_DEPTH)
        self.bone_least = min(float(distance[-self.bones :].min()), BONE_GAP)

    def first_look(self) -> tuple[_Ways, Float[Tensor, " n"]]:
        """Straight ways from all directions, with all fingers opened alike; by how much each is too deep."""
        directions, excess, ways = all_around(DIRECTIONS), [], []
        for opening in OPENINGS:
            for start in STARTS:
                one = _Ways(directions[:1], torch.zeros(1, 3), torch.full((1, 5), opening), torch.tensor([start]))
                poses, shares = self._fingers(one, COARSE_STEPS)
                points = transform_points(self.place.expand(COARSE_STEPS, 4, 4), self._points(poses[0], SKIN_STRIDE))
                shift = shares[0, None, :, None] * DISTANCE * directions[:, None]
                moved = points[None] + shift[:, :, None]
                excess.append(self._worst(moved.flatten(0, 1)).unflatten(0, (DIRECTIONS, -1)).amax(dim=1))
                ways.append(
                    _Ways(
                        directions,
                        torch.zeros(DIRECTIONS, 3),
                        one.opened.expand(DIRECTIONS, 5),
                        one.start.expand(DIRECTIONS),
                    )
                )
        return _Ways(*(torch.cat(values) for values in zip(*ways, strict=True))), torch.cat(excess)

    def excess(self, ways: _Ways, steps: int, stride: int) -> Float[Tensor, " n"]:
        """By how much (m) the worst of each way is deeper than it may be."""
        poses, places = self.frames(ways, steps)
        points = transform_points(places.flatten(0, 1), self._points(poses.flatten(0, 1), stride))
        return self._worst(points).unflatten(0, (len(ways.away), steps)).amax(dim=1)

    def frames(self, ways: _Ways, steps: int) -> tuple[Float[Tensor, "n s 15 3"], Float[Tensor, "n s 4 4"]]:
        """Fingers and wrists from the grasp back."""
        poses, shares = self._fingers(ways, steps)
        rotation = rotvec_to_rotmat(shares[..., None] * ways.turn[:, None])
        shift = self.middle - rotation @ self.middle + shares[..., None] * DISTANCE * ways.away[:, None]
        return poses, rigid(rotation, shift) @ self.place

    def closely(self, ways: _Ways, excess: Float[Tensor, " n"], best: Reach | None) -> Reach:
        """The best of a few ways and of an earlier one, with all the skin and in small steps."""
        back = -(self.place[:3, 0] + self.place[:3, 2])
        # Of ways that are free: hands open, from behind the palm, not from below, as people come.
        liking = ways.away @ (back / back.norm()) - 2 * torch.relu(-0.1 - ways.away @ self.up)
        cost = 1000 * torch.relu(excess - SLACK / 2) - 0.3 * liking - 0.2 * ways.opened.mean(dim=1)
        for row in cost.argsort()[:FINE_LOOKS]:
            found = self._carried_out(ways.rows(row[None]))
            if best is None or found.depth < best.depth:
                best = found
            if best.free:
                break
        assert best is not None
        return best

    def _carried_out(self, way: _Ways) -> Reach:
        depth = float(self.excess(way, FINE_STEPS, 1)[0])
        poses, places = (value[0].flip(0) for value in self.frames(way, FINE_STEPS))
        rise = torch.linspace(0, LIFT, LIFT_STEPS)[1:, None] * self.up
        held = rigid(torch.eye(3).expand(len(rise), 3, 3), rise) @ self.place
        coming = FINE_STEPS - int((torch.linspace(0, 1, FINE_STEPS) <= way.start).sum())
        return Reach(
            time=np.concatenate(
                [np.linspace(0, SECONDS[0], FINE_STEPS), SECONDS[0] + np.linspace(0, SECONDS[1], LIFT_STEPS)[1:]]
            ),
            phase=("approach",) * coming + ("close",) * (FINE_STEPS - coming) + ("lift",) * len(rise),
            T_object_hand=torch.cat([places, held]).double().numpy(),
            hand_pose=torch.cat([poses, self.hand_pose.expand(len(rise), 15, 3)]).double().numpy(),
            object_shift=torch.cat([torch.zeros(FINE_STEPS, 3), rise]).double().numpy(),
            direction=-way.away[0].double().numpy(),
            depth=depth,
            free=depth <= SLACK,
        )

    def _fingers(self, ways: _Ways, steps: int) -> tuple[Float[Tensor, "n s 15 3"], Float[Tensor, "n s"]]:
        """Poses from the grasp back, and how far of its way the hand has gone in each."""
        share = torch.linspace(0, 1, steps).expand(len(ways.away), steps)
        gone = ((share - ways.start[:, None]) / (1 - ways.start[:, None])).clamp(min=0)
        opened = (share / OPEN_BY).clamp(max=1)[:, :, None] * ways.opened[:, None]
        opened = opened.repeat_interleave(3, dim=2)[..., None]
        return self.hand.angles_to_pose(self.angles + opened * (self.straight - self.angles)), gone

    def _points(self, poses: Float[Tensor, "b 15 3"], stride: int) -> Float[Tensor, "b p 3"]:
        """Skin, every so many of its vertices, then points in bones, in the hand's frame."""
        output = self.hand(poses)
        return torch.cat([output.verts[:, ::stride], BoneSamples.of(output.joints).points], dim=1)

    def _worst(self, points: Float[Tensor, "b p 3"]) -> Float[Tensor, " b"]:
        distance = self.sdf(points)
        skin = self.skin_least - distance[:, : -self.bones].amin(dim=1)
        return torch.maximum(skin, self.bone_least - distance[:, -self.bones :].amin(dim=1))


def all_around(count: int) -> Float[Tensor, "n 3"]:
    """Unit vectors spread evenly over all directions (Fibonacci's spiral)."""
    k = torch.arange(count) + 0.5
    z, angle = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    return torch.stack([(1 - z * z).sqrt() * angle.cos(), (1 - z * z).sqrt() * angle.sin(), z], dim=1).float()
