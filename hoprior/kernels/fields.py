"""Signed distances of a grid at points, with their slopes in both: `geometry.lookup.trilinear_distance`, compiled."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from hoprior.kernels.arrays import Grid
from hoprior.kernels.compiling import kernel, source_digest
from hoprior.kernels.lookup import cell_of, distance
from hoprior.kernels.threads import in_shares

SOURCES = source_digest()
Points = Float32[np.ndarray, "n 3"]
Each = Float32[np.ndarray, " n"]


@kernel
def _look_up(grid: Grid, points: Points, found: Each, slopes: Points) -> str:
    """d(p), and its slope in p."""
    for i in range(len(points)):
        found[i], slopes[i, 0], slopes[i, 1], slopes[i, 2] = distance(grid, points[i, 0], points[i, 1], points[i, 2])
    return SOURCES


@kernel
def _spread(grid: Grid, points: Points, given: Each, slope: Float32[np.ndarray, " m"]) -> str:
    """The slope in each value: sum over points of given times the value's weight there."""
    row = grid.last[0] + 2
    layer = row * (grid.last[1] + 2)
    for i in range(len(points)):
        a, u, v, w = cell_of(grid, points[i, 0], points[i, 1], points[i, 2])
        near, far = given[i] * (1 - w), given[i] * w
        for corner, share in ((a, near), (a + layer, far)):
            slope[corner] += share * (1 - u) * (1 - v)
            slope[corner + 1] += share * u * (1 - v)
            slope[corner + row] += share * (1 - u) * v
            slope[corner + row + 1] += share * u * v
    return SOURCES


class DistanceAt(torch.autograd.Function):
    """`apply(values, lower, upper, points)`: distances (m) at points (n, 3), single precision on a CPU.

    `values` (D, H, W) fill the box between `lower` and `upper`; beyond it distances grow by how far a point is from it.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, lower: Tensor, upper: Tensor, points: Float[Tensor, "n 3"]
    ) -> Float[Tensor, " n"]:
        """Distances; their slopes are kept."""
        grid = Grid.of(values.detach(), lower, upper)
        places, found, slopes = points.detach().numpy(), torch.empty(len(points)), torch.empty(len(points), 3)

        def some(first: int, last: int) -> None:
            share = slice(first, last)
            _look_up(grid, places[share], found.numpy()[share], slopes.numpy()[share])

        in_shares(len(points), some)
        ctx.grid, ctx.places, ctx.slopes, ctx.shape = grid, places, slopes, values.shape
        return found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, given: Float[Tensor, " n"]) -> tuple[Tensor | None, None, None, Tensor | None]:
        """Slopes in values and points."""
        of_values, of_points = None, None
        if ctx.needs_input_grad[0]:
            of_values = torch.zeros(ctx.shape)
            _spread(ctx.grid, ctx.places, given.contiguous().numpy(), of_values.numpy().reshape(-1))
        if ctx.needs_input_grad[3]:
            of_points = given[:, None] * ctx.slopes
        return of_values, None, None, of_points
