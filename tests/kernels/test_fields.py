"""Distances at points, compiled, against torch's, in values and in slopes of the grid and of the points."""

import pytest
import torch

from hoprior.geometry.lookup import trilinear_distance

pytest.importorskip("numba")
from hoprior.kernels.fields import DistanceAt

LOWER, UPPER = torch.tensor([-0.1, -0.05, 0.02]), torch.tensor([0.06, 0.05, 0.1])


def by_torch(values: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    half = (UPPER - LOWER) / 2
    return trilinear_distance(values[None, None], (points[None] - LOWER) / half - 1, half)[0, 0]


def drawn(num: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Values of a grid whose sides differ, and points in its box and beyond."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(5, 7, 9, generator=generator) / 10
    points = LOWER + (UPPER - LOWER) * (torch.rand(num, 3, generator=generator) * 1.6 - 0.3)
    return values.requires_grad_(), points.requires_grad_()


def test_values_and_slopes_are_torchs() -> None:
    found = []
    for look_up in (lambda v, p: DistanceAt.apply(v, LOWER, UPPER, p), by_torch):
        values, points = drawn()
        distance = look_up(values, points)
        given = torch.randn(len(points), generator=torch.Generator().manual_seed(1))
        found.append((distance.detach(), *torch.autograd.grad((distance * given).sum(), (values, points))))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5)


def test_the_box_s_own_corners_have_their_values() -> None:
    values, _ = drawn()
    corners = torch.stack([LOWER, UPPER, torch.stack([UPPER[0], LOWER[1], UPPER[2]])])
    found = DistanceAt.apply(values, LOWER, UPPER, corners)
    torch.testing.assert_close(found, torch.stack([values[0, 0, 0], values[-1, -1, -1], values[-1, 0, -1]]))


@pytest.mark.parametrize("needed", ["values", "points"])
def test_only_the_slope_that_is_asked_for_is_made(needed: str) -> None:
    values, points = drawn()
    fixed = points.detach() if needed == "values" else values.detach()
    given = (values, fixed) if needed == "values" else (fixed, points)
    DistanceAt.apply(given[0], LOWER, UPPER, given[1]).sum().backward()
    ours = values.grad if needed == "values" else points.grad
    values, points = drawn()
    by_torch(values, points).sum().backward()
    theirs = values.grad if needed == "values" else points.grad
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5)
