"""Gradient descent of hands at an object, in batch: fingers and placement move, and no bone steps through a wall."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hoprior.common.adam import Adam, anneal
from hoprior.common.graphs import Step, can_replay, replayed
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


Loss = Callable[[GraspBatch, Any], Float[Tensor, " b"]]
"""Of hands, where a share of the steps is done: a number, or a tensor of it on a device that repeats steps."""


@dataclass(frozen=True)
class DescentConfig:
    """How hands descend.

    steps: of Adam, whose rates (rad, rad, m) fall to nothing along half a cosine.
    rate_angles, rate_turn, rate_move: of the joint angles, and of the placement: rad, rad and m a step.
    hold_position, hold_rotation, hold_angles: pull back to where the hands, and their joint angles, began, 1/m² and
        1/rad².
    clearance: how far (m) bones stay from walls that they have not met.
    """

    steps: int
    rate_angles: float = 0.015
    rate_turn: float = 0.007
    rate_move: float = 0.0015
    hold_position: float = 8000.0
    hold_rotation: float = 80.0
    hold_angles: float = 0.0
    clearance: float = SWEEP_CLEARANCE

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise HopriorError(f"a descent of {self.steps} steps: use 0 for none, or more")


def descend(
    hands: GraspBatch,
    loss: Loss,
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
    descent = TorchDescent(hands, loss, config, walls)
    while descent.step < config.steps:
        descent.advance(1)
        report(descent.step / config.steps)
    return descent.hands


class TorchDescent:
    """b hands on their way down a loss, step by step; `kernels.descent` does the same in compiled loops.

    Args:
        hands, loss, config, walls: see `descend`.
        repeats: whether all that changes in `loss` from step to step is on the hands' device: then a device that can
            repeat steps by itself (`common.graphs`) does so, and the loss is told its share in a tensor.
    """

    def __init__(
        self,
        hands: GraspBatch,
        loss: Loss,
        config: DescentConfig,
        walls: CollisionGuard | None = None,
        repeats: bool = False,
    ) -> None:
        self.loss, self.config, self.start, self.step = loss, config, hands, 0
        self.angles = hands.angles.clone().requires_grad_()
        self.turn, self.move = (self.angles.new_zeros(len(hands), 3).requires_grad_() for _ in range(2))
        self.guard = None if walls is None else _StepGuard(walls, hands, config.clearance)
        rates = (config.rate_angles, config.rate_turn, config.rate_move)
        self.on_device = repeats and can_replay(self.angles.device)
        self.adam = Adam(
            [{"params": [parameter], "lr": rate} for parameter, rate in zip(self._moving, rates, strict=True)],
            capturable=self.on_device,
        )
        self._again: Step | None = None
        if self.on_device:
            self._schedule = _Schedule(config, self.adam, self.angles)

    @property
    def hands(self) -> GraspBatch:
        """As they are now."""
        return GraspBatch(self.angles.detach(), displaced(self.start.T_object_hand, self.turn, self.move).detach())

    def advance(self, steps: int) -> None:
        """So many more steps."""
        if not self.on_device:
            for _ in range(steps):
                self._take(self.step / self.config.steps)
                self.step += 1
                anneal(self.adam, self.step, self.config.steps)
            return
        if self._again is None:
            self._again = replayed(self._take_on_device, [*self.adam.tensors(), self._schedule.step])
        for _ in range(steps):
            self._again()
            self.step += 1

    @property
    def _moving(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.angles, self.turn, self.move

    def _take_on_device(self) -> None:
        self._take(self._schedule.take(self.adam))

    def _take(self, share: float | Tensor) -> None:
        """A step where this share of the steps is done."""
        moved = GraspBatch(self.angles, displaced(self.start.T_object_hand, self.turn, self.move))
        hold = self.config.hold_position * self.move.square().sum(dim=1)
        hold = hold + self.config.hold_rotation * self.turn.square().sum(dim=1)
        hold = hold + self.config.hold_angles * (self.angles - self.start.angles).square().sum(dim=(1, 2))
        loss = (self.loss(moved, share) + hold).sum()
        slopes = torch.autograd.grad(loss, self._moving, allow_unused=True)
        for parameter, slope in zip(self._moving, slopes, strict=True):
            parameter.grad = slope
        if self.guard is None:
            self.adam.step()
        else:
            before = [parameter.detach().clone() for parameter in self._moving]
            self.adam.step()
            self.guard.step_back(self._moving, before)
        self.adam.zero_grad()


class _Schedule:
    """What changes from step to step of a descent, in tables on the device."""

    def __init__(self, config: DescentConfig, adam: Adam, like: Tensor) -> None:
        rows = []
        for step in range(config.steps):
            rows.append([step / config.steps, *(group["lr"] for group in adam.param_groups)])
            anneal(adam, step + 1, config.steps)
        self.table = torch.tensor(rows).to(like)
        self.step = torch.zeros(1, dtype=torch.long, device=like.device)

    def take(self, adam: Adam) -> Float[Tensor, ""]:
        """The share of the steps that are done; the rates go to Adam, and the count goes on."""
        # A step that is tried before it is recorded may be one beyond the last.
        row = self.step.clamp(max=len(self.table) - 1)
        share, *rates = self.table.index_select(0, row)[0].unbind()
        for group, rate in zip(adam.param_groups, rates, strict=True):
            group["lr"] = rate
        self.step.add_(1)
        return share


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
        angles.copy_(torch.where(fingers[..., None], old_angles, angles))
        hands = self._entered(parameters).any(dim=1, keepdim=True)
        turn.copy_(torch.where(hands, old_turn, turn))
        move.copy_(torch.where(hands, old_move, move))
        hands = self._entered(parameters).any(dim=1, keepdim=True)
        angles.copy_(torch.where(hands[..., None], old_angles, angles))

    def _entered(self, parameters: Sequence[Tensor]) -> Bool[Tensor, "b 6"]:
        angles, turn, move = parameters
        return self.began_clear & ~self.walls.clear(angles, displaced(self.T_start, turn, move), self.clearance)
