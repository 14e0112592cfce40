"""Draws of a prior, and recorded grasps as it could say them at best, on one grid."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.datasets.benchmarks.recorded_grids import RecordedGrids
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.geometry.skeletal import FIELD_JOINTS
from hoprior.priors.protocols import SamplesInteractions

BATCH = 32


@runtime_checkable
class DrawsGrids(Protocol):
    """What is asked of a prior whose draws are measured."""

    @property
    def spec(self) -> GridSpec:
        """Of the grid on which its draws are compared."""
        ...

    @property
    def truncation(self) -> float:
        """Distances (m) beyond which it sees no difference."""
        ...

    @property
    def hand_joints(self) -> int:
        """How many joints it draws after the wrist, 20 or 15."""
        ...


@runtime_checkable
class DrawsInteractions(DrawsGrids, SamplesInteractions[Any], Protocol):
    """A prior that draws hands with objects, and whose draws are measured."""


@runtime_checkable
class EncodesGrids(DrawsGrids, Protocol):
    """A prior of which one can see what its representation loses."""

    def encode_grids(
        self, object_sdf: Float[Tensor, "b 1 D H W"], joints_hand: Float[Tensor, "b 21 3"]
    ) -> Float[Tensor, "b *shape"]:
        """Clean representations of distances and joints."""
        ...

    def decode(self, x0: Float[Tensor, "b *shape"]) -> InteractionGrid:
        """The inverse of `encode_grids`."""
        ...


def as_interactions(prior: DrawsGrids, truth: RecordedGrids) -> InteractionGrid:
    """Recorded grasps as the prior could say them at best: truncated, and without joints that its field lacks."""
    limit = prior.truncation
    joints = truth.joints_hand.new_full(truth.joints_hand.shape, torch.nan)
    joints[:, 0] = truth.joints_hand[:, 0]
    held = FIELD_JOINTS[prior.hand_joints]
    joints[:, held] = truth.joints_hand[:, held]
    return InteractionGrid(truth.object_sdf.clamp(-limit, limit), joints, prior.spec)


@torch.no_grad()
def decoded(prior: EncodesGrids, truth: RecordedGrids) -> InteractionGrid:
    """Recorded grasps through the prior's latents and fields, and back: what perfect samples would look like."""
    device = getattr(prior, "null_text", truth.joints_hand).device
    batches = zip(truth.object_sdf.split(BATCH), truth.joints_hand.split(BATCH), strict=True)
    return joined([prior.decode(prior.encode_grids(sdf.to(device), joints.to(device))) for sdf, joints in batches])


def joined(parts: Sequence[InteractionGrid]) -> InteractionGrid:
    """Batches as one, on the CPU."""
    return InteractionGrid(
        torch.cat([part.object_sdf.float().cpu() for part in parts]),
        torch.cat([part.joints_hand.float().cpu() for part in parts]),
        parts[0].spec,
    )
