"""What priors may be able to draw: hands with objects, either alone, and either for what is given of the other."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.sdf import SdfGrid
from hoprior.priors.records import HandDraws, InteractionDraws

Cond_contra = TypeVar("Cond_contra", contravariant=True)
Generator: TypeAlias = torch.Generator | Sequence[torch.Generator] | None
"""Source of noise: one for a batch, one for each of its elements, or torch's default generator."""


@runtime_checkable
class SamplesInteractions(Protocol[Cond_contra]):
    """Draws hands together with the objects they hold."""

    def sample_interactions(
        self,
        cond: Cond_contra | None,
        num: int,
        *,
        steps: int,
        guidance_scale: float,
        generator: Generator = None,
        progress: Callable[[float], object] | None = None,
    ) -> InteractionDraws:
        """`num` draws, told one row of `cond` each; draw i depends neither on `num` nor on the others.

        Args:
            steps: of the sampler.
            guidance_scale: of classifier-free guidance; 1 is none.
            progress: told the share of the work that is done.
        """
        ...


@runtime_checkable
class SamplesHands(Protocol[Cond_contra]):
    """Draws hands for an object that is there."""

    def sample_hands_at(
        self,
        sdf: SdfGrid,
        cond: Cond_contra | None,
        num: int,
        *,
        steps: int,
        guidance_scale: float,
        generator: Generator = None,
        progress: Callable[[float], object] | None = None,
    ) -> HandDraws:
        """`num` right hands at an object, told one sentence; the other arguments of `sample_interactions`."""
        ...


@runtime_checkable
class SamplesObjects(Protocol[Cond_contra]):
    """Draws objects without hands."""

    def sample_objects(
        self,
        cond: Cond_contra | None,
        num: int,
        *,
        steps: int,
        guidance_scale: float,
        generator: Generator = None,
        progress: Callable[[float], object] | None = None,
    ) -> Sequence[trimesh.Trimesh]:
        """`num` surfaces, each in a frame of its own, +z up (m); the arguments of `sample_interactions`."""
        ...


@runtime_checkable
class CompletesObjects(Protocol[Cond_contra]):
    """Draws objects that have a surface where a part of one was seen."""

    def complete_objects(
        self,
        seen: Float[Tensor, "n 3"],
        cond: Cond_contra | None,
        num: int,
        *,
        steps: int,
        guidance_scale: float,
        generator: Generator = None,
        progress: Callable[[float], object] | None = None,
    ) -> Sequence[trimesh.Trimesh]:
        """`num` surfaces in the frame of the points `seen` (m, +z up), the best fit first."""
        ...


@runtime_checkable
class SamplesHandPoses(Protocol[Cond_contra]):
    """Draws bent hands."""

    def sample_hand_poses(
        self,
        cond: Cond_contra | None,
        num: int,
        *,
        steps: int,
        guidance_scale: float,
        generator: Generator = None,
        progress: Callable[[float], object] | None = None,
    ) -> Float[Tensor, "n 15 3"]:
        """Axis-angles (radians, from the flat right hand) of `num` hands; the arguments of `sample_interactions`."""
        ...
