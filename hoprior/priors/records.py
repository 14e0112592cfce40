"""What capabilities of priors take and give (`hoprior.priors.protocols`)."""

from typing import NamedTuple

import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.interaction_grid import InteractionGrid


class ObjectView(NamedTuple):
    """How an object was seen and held, in its own frame; None is what nobody knows.

    Example:
        >>> import torch
        >>> ObjectView(up=torch.tensor([0.0, 0.0, 1.0])).joints is None
        True
    """

    toward: Float[Tensor, " 3"] | None = None
    """Mean of the unit vectors to the cameras."""
    up: Float[Tensor, " 3"] | None = None
    """Mean of the unit vectors that point up in their pictures."""
    joints: Float[Tensor, "21 3"] | None = None
    """The right hand's, m."""


class InteractionDraws(NamedTuple):
    """Draws of hands with objects, as they come: nothing is checked or thrown away.

    Example:
        >>> import torch
        >>> from hoprior.geometry.grid import GridSpec
        >>> spec = GridSpec(center=(0.1, 0.0, 0.05), half_extent=0.12, resolution=8)
        >>> grid = InteractionGrid(torch.ones(2, 1, *spec.shape), torch.zeros(2, 21, 3), spec)
        >>> InteractionDraws(grid).drawn_joints, len(grid.state())
        (20, 2)
    """

    grid: InteractionGrid
    """Distances and joints in the right hand's frame, m."""
    residual: Float[Tensor, " n"] | None = None
    """How far each draw's hand is from one that a hand can be, 0 to 1; None if the prior cannot say."""
    drawn_joints: int = 20
    """How many of the joints after the wrist were drawn: 20, or 15 where the fingertips have to be found."""
    meshes: tuple[trimesh.Trimesh, ...] | None = None
    """The objects' surfaces in the hand's frame, m, where the prior draws them finer than the grid."""
    hand_pose: Float[Tensor, "n 15 3"] | None = None
    """How the hands are bent, of a prior that draws it itself; the open hand's, radians."""


class HandDraws(NamedTuple):
    """Right hands at an object, as they were drawn.

    Example:
        >>> import torch
        >>> len(HandDraws(torch.eye(4).repeat(3, 1, 1), torch.zeros(3, 15, 3)).hand_pose)
        3
    """

    T_object_hand: Float[Tensor, "n 4 4"]
    """From the hand's frame to the object's, m."""
    hand_pose: Float[Tensor, "n 15 3"]
    """How they are bent; the open hand's, radians."""
