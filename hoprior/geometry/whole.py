"""The whole objects of a state, for priors that look at more of them than what is around the hand."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid, SdfGridBatch
from hoprior.geometry.state import HandObjectState, SignedDistance, transform_points

RESOLUTION, COARSE = 48, 24
"""Points per axis of the cube that an unknown object is sampled on, and of those in which it is looked for."""
MARGIN = 0.1
"""The first cube reaches so much farther (m) than the surface is from the hand."""
DOUBLINGS = 4
"""How often that cube may grow until the object is in it."""
SLACK = 1.1
"""Sides of the cube that is sampled, over the object's longest."""
POINTS_AT_ONCE = 2**20


class WholeObject(NamedTuple):
    """One object, and which hands of a state are at it."""

    grid: SdfGrid
    rows: Int[Tensor, " k"]


@torch.no_grad()
def whole_objects(state: HandObjectState) -> list[WholeObject]:
    """The objects of a state; each of its hands is at one of them.

    Grids are taken as they are. Other signed distances are asked for the object at each hand, which may be another one
    for each: its cube is found from the hand, and sampled, so that a hand's answer never depends on the others.

    Raises:
        HopriorError: a signed distance that is no grid, and has no surface near a hand.
    """
    rows, sdf = torch.arange(len(state), device=state.device), state.sdf
    if isinstance(sdf, SdfGrid):
        return [WholeObject(sdf, rows)]
    if isinstance(sdf, SdfGridBatch):
        return [WholeObject(sdf.grid(k), rows[sdf.index == k]) for k in sdf.index.unique().tolist()]
    return [WholeObject(grid, rows[i : i + 1]) for i, grid in enumerate(_sampled(state))]


def _sampled(state: HandObjectState) -> list[SdfGrid]:
    """The object at each hand on a grid of its own."""
    sdf = state.sdf
    center = transform_points(state.T_object_hand, state.joints_hand).mean(dim=1)
    half = sdf(center[:, None])[:, 0].abs() + MARGIN
    for _ in range(DOUBLINGS):
        near = _near(sdf, center, half)
        faces = [near.select(axis, end) for axis in (1, 2, 3) for end in (0, -1)]
        wanting = torch.stack([face.flatten(1).any(dim=1) for face in faces]).any(dim=0) | ~near.flatten(1).any(dim=1)
        if not wanting.any():
            break
        half = torch.where(wanting, 2 * half, half)
    # Twice, since the first cube's cells are as large as the object may be small.
    for _ in range(2):
        center, half = _tightened(_near(sdf, center, half), center, half)
    values = _on_cube(sdf, center, SLACK * half, RESOLUTION)
    corner = SLACK * half[:, None].expand(-1, 3)
    return [SdfGrid(*of_one) for of_one in zip(values, center - corner, center + corner, strict=True)]


def _on_cube(
    sdf: SignedDistance, center: Float[Tensor, "b 3"], half: Float[Tensor, " b"], resolution: int
) -> Float[Tensor, "b r r r"]:
    """Distances on the (z, y, x) points of a cube for each row, that reaches `half` (m) to each side."""
    axis = torch.linspace(-1, 1, resolution, device=center.device)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    unit = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    pieces = unit.split(max(1, POINTS_AT_ONCE // len(center)))
    values = torch.cat([sdf(center[:, None] + half[:, None, None] * piece) for piece in pieces], dim=1)
    return values.view(-1, resolution, resolution, resolution)


def _near(sdf: SignedDistance, center: Float[Tensor, "b 3"], half: Float[Tensor, " b"]) -> Tensor:
    """Which points (b, z, y, x) of the cubes are inside, or within a cell of the surface: so none of it is missed."""
    return _on_cube(sdf, center, half, COARSE) < (2 * half / (COARSE - 1))[:, None, None, None]


def _tightened(
    near: Tensor, center: Float[Tensor, "b 3"], half: Float[Tensor, " b"]
) -> tuple[Float[Tensor, "b 3"], Float[Tensor, " b"]]:
    """The cubes around what is near.

    Raises:
        HopriorError: of some row nothing is.
    """
    if not near.flatten(1).any(dim=1).all():
        raise HopriorError("state: its signed distance has no surface near a hand: is it in metres, negative inside?")
    along = torch.stack([near.any(dim=3).any(dim=2), near.any(dim=3).any(dim=1), near.any(dim=2).any(dim=1)], dim=1)
    steps = torch.arange(COARSE, device=near.device)
    low = torch.where(along, steps, COARSE).amin(dim=2).flip(1)  # x, y, z
    high = torch.where(along, steps, -1).amax(dim=2).flip(1)
    cell = (2 * half / (COARSE - 1))[:, None]
    moved = center - half[:, None] + cell * (low + high) / 2
    return moved, (cell * (high - low) / 2).amax(dim=1).clamp(min=1e-3)
