"""Hands that go down an energy and are guided by priors on the way: by compiled kernels, or with torch."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.state import HandObjectState
from hoprior.hand.placement import displaced
from hoprior.kernels.choice import why_torch
from hoprior.physics.collision import CollisionGuard
from hoprior.physics.contact import ContactEnergy
from hoprior.physics.soft_tissue import FleshEnergy
from hoprior.tasks.grasp.descent import DescentConfig, GraspBatch, descend
from hoprior.tasks.grasp.terms import HeldGuidance

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
    if why_torch(energy) is None:
        return _by_kernels(hands, energy, guidance, looks, config, walls, soft_start, report)

    def loss(moved: GraspBatch, share: float) -> Float[Tensor, " b"]:
        if isinstance(energy, ContactEnergy):
            contact = energy(moved.angles, moved.T_object_hand, soft_start + (1 - soft_start) * share)
        else:
            contact = energy(moved.angles, moved.T_object_hand)
        return contact + guidance(*looks(moved)) if guidance.guides else contact

    return descend(hands, loss, config, walls, report)


def _by_kernels(
    hands: GraspBatch,
    energy: ContactEnergy | FleshEnergy,
    guidance: HeldGuidance,
    looks: Looks,
    config: DescentConfig,
    walls: CollisionGuard | None,
    soft_start: float,
    report: Callable[[float], None],
) -> GraspBatch:
    # Not before it is needed: loading the compiler takes a second.
    from hoprior.kernels.arrays import Pace
    from hoprior.kernels.descent import CompiledDescent

    pace = Pace(
        config.steps,
        config.rate_angles,
        config.rate_turn,
        config.rate_move,
        soft_start if isinstance(energy, ContactEnergy) else 1.0,
        walls is not None,
        config.clearance,
    )
    descent = CompiledDescent(
        energy, hands.angles, hands.T_object_hand, pace, config.hold_position, config.hold_rotation
    )

    def moved() -> GraspBatch:
        return GraspBatch(descent.angles, displaced(hands.T_object_hand, *descent.turn_and_move))

    while descent.step < config.steps:
        steps = min(guidance.steps_held or REPORTED, config.steps - descent.step)
        with torch.no_grad():
            slopes = guidance.slopes(*looks(moved()), steps) if guidance.guides else {}
        descent.advance(steps, slopes)
        report(descent.step / config.steps)
    return moved()
