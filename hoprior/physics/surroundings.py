"""What hands and their forearms keep off beside the object: a table, other things, a blade."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float
from torch import Tensor

from hoprior.geometry.sdf import SdfGrid, signed_distance
from hoprior.geometry.state import transform_points
from hoprior.hand.bones import FINGER_CHAINS
from hoprior.physics.bone_samples import BoneSamples
from hoprior.physics.posed import PosedHands

FOREARM_LENGTH = 0.26
"""From the wrist to the elbow (m), of a hand of average length."""
FOREARM_RADIUS = 0.04
"""Of the capsule (m) that stands for the forearm, which goes on straight where the hand ends."""
FOREARM_POINTS = 14
"""Along the capsule's axis, 2 cm apart: between two of them it is at most 1.3 mm thinner than it should be."""
BONE_RADIUS = 0.005
"""A thin board hides no vertex of a hand that it goes through; its bones are to be so far (m) from it."""
GAP = 0.002
"""Distance (m) that a descent keeps, so that what it leaves is free."""
SKIN_WEIGHT, BONE_WEIGHT, FOREARM_WEIGHT = 60_000.0, 60_000.0, 600_000.0
"""Of squared depths, 1/m²: skin weighs as it does in the object's own flesh; of the forearm there are few points."""
TOO_DEEP = 0.02
"""Depth (m) that counts as much as a finger in the way, so that a search finds the way out."""


@runtime_checkable
class Obstacle(Protocol):
    """Something that hands keep off."""

    def __call__(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """Signed distances (m) of points in the object's frame, negative in what is to be left free; differentiable."""
        ...

    def exact(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """The same as exactly as it is known, without a gradient."""
        ...

    def to(self, device: torch.device | str) -> "Obstacle":
        """The same on another device."""
        ...


@dataclass(frozen=True)
class Table:
    """All that is below a plane: `up` is a unit vector in the object's frame, `height` (m) is along it.

    Example:
        >>> table = Table(torch.tensor([0.0, 0.0, 1.0]), height=0.5)
        >>> table(torch.tensor([[[0.0, 0.0, 0.75]]]))
        tensor([[0.2500]])
    """

    up: Float[Tensor, " 3"]
    height: float

    def __call__(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """See `Obstacle`."""
        return points @ self.up - self.height

    exact = __call__

    def to(self, device: torch.device | str) -> "Table":
        """See `Obstacle`."""
        return replace(self, up=self.up.to(device))


@dataclass(frozen=True)
class Thing:
    """A mesh that is not touched, nor what is nearer to it than `margin` (m).

    Attributes:
        mesh: in the object's frame, metres; closed or not.
        grid: its signed distances where hands may get to.
    """

    mesh: trimesh.Trimesh
    grid: SdfGrid
    margin: float = 0.0

    def __call__(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """See `Obstacle`."""
        return self.grid(points) - self.margin

    def exact(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """See `Obstacle`."""
        flat = points.detach().reshape(-1, 3).cpu().double().numpy()
        # Where the grid says that it is far, it is.
        near = np.flatnonzero((self.grid(points.detach()).reshape(-1) < 3 * self.grid.cell).cpu().numpy())
        found = self.grid(points.detach()).reshape(-1).clone()
        if len(near):
            values = torch.from_numpy(signed_distance(self.mesh, flat[near])).to(found)
            found[torch.from_numpy(near).to(found.device)] = values
        return found.view(points.shape[:-1]) - self.margin

    def to(self, device: torch.device | str) -> "Thing":
        """See `Obstacle`."""
        return replace(self, grid=self.grid.to(device))


@dataclass(frozen=True)
class Part:
    """A part of the object's surface that is left free, and what is nearer to it than `margin` (m)."""

    grid: SdfGrid
    margin: float

    def __call__(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """See `Obstacle`."""
        return self.grid(points) - self.margin

    exact = __call__

    def to(self, device: torch.device | str) -> "Part":
        """See `Obstacle`."""
        return replace(self, grid=self.grid.to(device))


class Surroundings:
    """Obstacles for hands of a size: how deep hands or forearms are in them, and an energy that brings them out.

    Args:
        obstacles: at least one.
        size: the hand's length over that of the average hand.

    Example:
        >>> around = Surroundings([Table(torch.tensor([0.0, 0.0, 1.0]), height=0.0)])
        >>> T_object_hand = torch.eye(4).repeat(2, 1, 1)
        >>> T_object_hand[:, 2, 3] = torch.tensor([0.2, 0.01])  # flat hands over a table: high up, and too low
        >>> joints = torch.zeros(2, 21, 3)
        >>> around.misplaced(T_object_hand, joints) > 0
        tensor([False,  True])
    """

    def __init__(self, obstacles: Sequence[Obstacle], size: float = 1.0) -> None:
        self.obstacles, self.size = tuple(obstacles), size

    def to(self, device: torch.device | str) -> "Surroundings":
        """The same on another device."""
        return Surroundings([obstacle.to(device) for obstacle in self.obstacles], self.size)

    def distance(self, points: Float[Tensor, "b n 3"], exact: bool = False) -> Float[Tensor, "b n"]:
        """Signed distance (m) to the nearest of what is to be left free, at points in the object's frame."""
        each = [obstacle.exact(points) if exact else obstacle(points) for obstacle in self.obstacles]
        return torch.stack(each).amin(dim=0)

    def forearm(self, T_object_hand: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b n 3"]:
        """Points on the axes of the forearms, from the wrists on, in the object's frame (m)."""
        along = torch.linspace(0.0, self.size * FOREARM_LENGTH, FOREARM_POINTS, device=T_object_hand.device)
        return T_object_hand[:, None, :3, 3] - along[:, None] * T_object_hand[:, None, :3, 0]

    def energy(self, posed: PosedHands) -> Float[Tensor, " b"]:
        """Squared depths of skin, bones and forearms, weighed; differentiable in angles and placement."""
        bones = transform_points(posed.T_object_hand, BoneSamples.of(posed.joints_hand).points)
        skin = torch.relu(GAP - self.distance(posed.verts_object)).square().sum(dim=1)
        bone = torch.relu(self.size * BONE_RADIUS - self.distance(bones)).square().sum(dim=1)
        radius = self.size * FOREARM_RADIUS + GAP
        arm = torch.relu(radius - self.distance(self.forearm(posed.T_object_hand))).square().sum(dim=1)
        return SKIN_WEIGHT * skin + BONE_WEIGHT * bone + FOREARM_WEIGHT * arm

    @torch.no_grad()
    def depth(self, posed: PosedHands) -> Float[Tensor, " b"]:
        """How deep (m) hand or forearm are in what is to be left free; 0 if they are not."""
        bones = transform_points(posed.T_object_hand, BoneSamples.of(posed.joints_hand).points)
        each = (
            -self.distance(posed.verts_object, exact=True).amin(dim=1),
            self.size * BONE_RADIUS - self.distance(bones, exact=True).amin(dim=1),
            self.size * FOREARM_RADIUS - self.distance(self.forearm(posed.T_object_hand), exact=True).amin(dim=1),
        )
        return torch.stack(each).amax(dim=0).clamp(min=0.0)

    @torch.no_grad()
    def misplaced(
        self, T_object_hand: Float[Tensor, "b 4 4"], joints_hand: Float[Tensor, "b 21 3"]
    ) -> Float[Tensor, " b"]:
        """How many fingers of hands, of which only the joints are known, are in the way, and how deep; a palm or a
        forearm counts as all of its fingers."""
        fingers, palm, arm, depth = self._in_the_way(T_object_hand, joints_hand)
        return fingers.sum(dim=1) + len(FINGER_CHAINS) * (palm.float() + arm.float()) + depth / TOO_DEEP

    def room_for_palm(
        self, T_object_hand: Float[Tensor, "b 4 4"], joints_hand: Float[Tensor, "b 21 3"]
    ) -> Bool[Tensor, " b"]:
        """Whether palm and forearm are free, whatever fingers may do."""
        _, palm, arm, _ = self._in_the_way(T_object_hand, joints_hand)
        return ~palm & ~arm

    def _in_the_way(
        self, T_object_hand: Float[Tensor, "b 4 4"], joints_hand: Float[Tensor, "b 21 3"]
    ) -> tuple[Bool[Tensor, "b 5"], Bool[Tensor, " b"], Bool[Tensor, " b"], Float[Tensor, " b"]]:
        bones = self.distance(transform_points(T_object_hand, BoneSamples.of(joints_hand).points))
        depth = self.size * BONE_RADIUS - BoneSamples.least_by_bone(bones)
        arm = self.size * FOREARM_RADIUS - self.distance(self.forearm(T_object_hand)).amin(dim=1)
        deepest = torch.maximum(depth.amax(dim=1), arm).clamp(min=0.0)
        return depth[:, :-1] > 0, depth[:, -1] > 0, arm > 0, deepest
