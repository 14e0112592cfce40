"""Hands that go down an energy and are guided by priors on the way: by compiled kernels, or with torch."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.state import HandObjectState
from hoprior.hand.placement import displaced
from hoprior.kernels.choice import why_torch
from hoprior.physics.collision import CollisionGuard
from hoprior.physics.contact import ContactEnergy
from hoprior.physics.soft_tissue import FleshEnergy
from hoprior.tasks.grasp.descent import DescentConfig, GraspBatch, TorchDescent
from hoprior.tasks.grasp.terms import HeldGuidance

if TYPE_CHECKING:
    from hoprior.kernels.descent import CompiledDescent

Looks = Callable[[GraspBatch], tuple[HandObjectState, Tensor | None]]
"""What priors are shown of hands, and the sentence's features for each."""
REPORTED = 10
"""Steps between reports of a descent that no prior guides."""


def descend_guided(
    hands: GraspBatch,
    energy: ContactEnergy | FleshEnergy,
    guidance: HeldGuidance,
    looks: Looks,
    config: DescentConfig,
    walls: CollisionGuard | None = None,
    soft_start: float = 1.0,
    report: Callable[[float], None] = lambda share: None,
) -> GraspBatch:
    """The hands after a descent of the energy and the guidance.

    Args:
        looks: asked only if there is a guide.
        soft_start: share of `ContactEnergy`'s hardness to begin with; it grows evenly. `FleshEnergy` has none.
        config, walls, report: see `descend`.
    """
    by_kernels = why_torch(energy) is None
    way = (_ByKernels if by_kernels else _ByTorch)(hands, energy, guidance, looks, config, walls, soft_start)
    while way.step < config.steps:
        steps = min(guidance.steps_held or REPORTED, config.steps - way.step)
        way.advance(steps)
        report(way.step / config.steps)
    return way.hands


@dataclass(frozen=True, eq=False)
class _Guided(ABC):
    """A guided descent, step by step; see `descend_guided`."""

    start: GraspBatch
    energy: ContactEnergy | FleshEnergy
    guidance: HeldGuidance
    looks: Looks
    config: DescentConfig
    walls: CollisionGuard | None
    soft_start: float

    @cached_property
    @abstractmethod
    def descent(self) -> Any:
        """What takes the steps."""

    @property
    @abstractmethod
    def hands(self) -> GraspBatch:
        """As they are now."""

    @property
    def step(self) -> int:
        """Steps that are done."""
        return int(self.descent.step)

    @abstractmethod
    def advance(self, steps: int) -> None:
        """So many more steps, for which what priors say now is held."""


class _ByTorch(_Guided):
    """A guided descent in torch."""

    @cached_property
    def descent(self) -> TorchDescent:
        return TorchDescent(self.start, self._loss, self.config, self.walls, repeats=True)

    @property
    def hands(self) -> GraspBatch:
        return self.descent.hands

    def advance(self, steps: int) -> None:
        if self.guidance.guides:
            with torch.no_grad():
                self.guidance.ask(lambda: self.looks(self.hands), steps)
        self.descent.advance(steps)

    def _loss(self, moved: GraspBatch, share: Any) -> Float[Tensor, " b"]:
        if isinstance(self.energy, ContactEnergy):
            hardness = self.soft_start + (1 - self.soft_start) * share
            contact = self.energy(moved.angles, moved.T_object_hand, hardness)
        else:
            contact = self.energy(moved.angles, moved.T_object_hand)
        return contact + self.guidance.along(self.looks(moved)[0]) if self.guidance.guides else contact


class _ByKernels(_Guided):
    """A guided descent in compiled loops."""

    @cached_property
    def descent(self) -> "CompiledDescent":
        # Not before it is needed: loading the compiler takes a second.
        from hoprior.kernels.arrays import Pace
        from hoprior.kernels.descent import CompiledDescent

        config = self.config
        pace = Pace(
            config.steps,
            config.rate_angles,
            config.rate_turn,
            config.rate_move,
            self.soft_start if isinstance(self.energy, ContactEnergy) else 1.0,
            self.walls is not None,
            config.clearance,
        )
        start = self.start
        holds = config.hold_position, config.hold_rotation, config.hold_angles
        return CompiledDescent(self.energy, start.angles, start.T_object_hand, pace, *holds)

    @property
    def hands(self) -> GraspBatch:
        return GraspBatch(self.descent.angles, displaced(self.start.T_object_hand, *self.descent.turn_and_move))

    def advance(self, steps: int) -> None:
        slopes: dict[str, Tensor] = {}
        if self.guidance.guides:
            with torch.no_grad():
                slopes = self.guidance.slopes(*self.looks(self.hands), steps)
        self.descent.advance(steps, slopes)
