"""Gradient descent of hands at an object, in batch: fingers and placement move, and no bone steps through a wall."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hoprior.common.adam import Adam, anneal
from hoprior.errors import HopriorError
from hoprior.hand.placement import displaced
from hoprior.physics.collision import SWEEP_CLEARANCE, CollisionGuard


@dataclass(frozen=True)
class GraspBatch:
    """b hands at an object: joint angles on the hand's axes, and where they are (object's frame, m)."""

    angles: Float[Tensor, "b 15 3"]
    T_object_hand: Float[Tensor, "b 4 4"]

    def __len__(self) -> int:
        return len(self.angles)

    def __getitem__(self, index: Any) -> "GraspBatch":
        return GraspBatch(self.angles[index], self.T_object_hand[index])


@dataclass(frozen=True)
class DescentConfig:
    """How hands descend.

    steps: of Adam, whose rates (rad, rad, m) fall to nothing along half a cosine.
    rate_angles, rate_turn, rate_move: of the joint angles, and of the placement: rad, rad and m a step.
    hold_position, hold_rotation: pull back to where the hands began, 1/m² and 1/rad².
    clearance: how far (m) bones stay from walls that they have not met.
    """

    steps: int
    rate_angles: float = 0.015
    rate_turn: float = 0.007
    rate_move: float = 0.0015
    hold_position: float = 8000.0
    hold_rotation: float = 80.0
    clearance: float = SWEEP_CLEARANCE

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise HopriorError(f"a descent of {self.steps} steps: use 0 for none, or more")


def descend(
    hands: GraspBatch,
    loss: Callable[[GraspBatch, float], Float[Tensor, " b"]],
    config: DescentConfig,
    walls: CollisionGuard | None = None,
    report: Callable[[float], None] = lambda share: None,
) -> GraspBatch:
    """The hands after `config.steps` steps down `loss(hands, share of the steps that are done)`.

    Args:
        walls: where given, a step that would bring a bone into the object is taken back.
        report: told the share of the steps that are done.

    Example:
        >>> start = GraspBatch(torch.zeros(1, 15, 3), torch.eye(4)[None])
        >>> def loss(hands, share):
        ...     return (hands.angles[:, 0, 1] - 0.05).square()  # one joint should bend by 0.05 rad
        >>> end = descend(start, loss, DescentConfig(steps=20))
        >>> bool(loss(end, 1.0) < 0.1 * loss(start, 0.0))
        True
    """
    angles = hands.angles.clone().requires_grad_()
    turn, move = (angles.new_zeros(len(hands), 3).requires_grad_() for _ in range(2))
    rates = ((angles, config.rate_angles), (turn, config.rate_turn), (move, config.rate_move))
    adam = Adam([{"params": [parameter], "lr": rate} for parameter, rate in rates])
    guard = None if walls is None else _StepGuard(walls, hands, config.clearance)
    for step in range(config.steps):
        moved = GraspBatch(angles, displaced(hands.T_object_hand, turn, move))
        hold = config.hold_position * move.square().sum(dim=1) + config.hold_rotation * turn.square().sum(dim=1)
        adam.zero_grad()
        (loss(moved, step / config.steps) + hold).sum().backward()
        if guard is None:
            adam.step()
        else:
            before = [parameter.detach().clone() for parameter in (angles, turn, move)]
            adam.step()
            guard.step_back((angles, turn, move), before)
        anneal(adam, step + 1, config.steps)
        report((step + 1) / config.steps)
    return GraspBatch(angles.detach(), displaced(hands.T_object_hand, turn, move).detach())


class _StepGuard:
    """Keeps fingers and palms out of walls that they were clear of when the descent began.

    Penetration pushes flesh to the nearer side, which in a thin wall is soon the wrong one.
    """

    def __init__(self, walls: CollisionGuard, hands: GraspBatch, clearance: float) -> None:
        self.walls, self.T_start, self.clearance = walls, hands.T_object_hand, clearance
        self.began_clear: Bool[Tensor, "b 6"] = walls.clear(hands.angles, hands.T_object_hand, clearance)

    @torch.no_grad()
    def step_back(self, parameters: Sequence[Tensor], before: Sequence[Tensor]) -> None:
        """Undoes of a step what enters a wall: a finger's bend, else the hand's move, else all of it."""
        (angles, turn, move), (old_angles, old_turn, old_move) = parameters, before
        fingers = self._entered(parameters)[:, :-1].repeat_interleave(3, dim=1)
        angles[fingers] = old_angles[fingers]
        hands = self._entered(parameters).any(dim=1)
        turn[hands], move[hands] = old_turn[hands], old_move[hands]
        hands = self._entered(parameters).any(dim=1)
        angles[hands] = old_angles[hands]

    def _entered(self, parameters: Sequence[Tensor]) -> Bool[Tensor, "b 6"]:
        angles, turn, move = parameters
        return self.began_clear & ~self.walls.clear(angles, displaced(self.T_start, turn, move), self.clearance)
