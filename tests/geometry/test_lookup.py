"""Look-ups of fields in boxes: what they give at, between and beyond a box's points."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hoprior.geometry.lookup import resized, trilinear, trilinear_distance
from hoprior.geometry.sdf import SdfGrid

seeds = st.integers(0, 2**31 - 1)
HALF = torch.tensor([0.1, 0.2, 0.05])


@given(seed=seeds)
@settings(deadline=None, max_examples=10)
def test_points_of_the_grid_have_its_values_and_lines_between_them_are_straight(seed: int) -> None:
    fields = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(seed))
    axes = [torch.linspace(-1, 1, size) for size in (4, 5, 6)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)
    at_points = trilinear(fields, points.reshape(1, -1, 3).expand(2, -1, -1)).view_as(fields)
    torch.testing.assert_close(at_points, fields, rtol=0, atol=1e-5)
    between = trilinear(fields, ((points[:, :, 1:] + points[:, :, :-1]) / 2).reshape(1, -1, 3).expand(2, -1, -1))
    middles = (fields[..., 1:] + fields[..., :-1]) / 2
    torch.testing.assert_close(between.view_as(middles), middles, rtol=0, atol=1e-5)


@given(seed=seeds)
@settings(deadline=None, max_examples=10)
def test_beyond_the_box_a_distance_grows_by_the_way_to_it(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    field, points = torch.randn(1, 1, 4, 5, 6, generator=draw), torch.randn(1, 50, 3, generator=draw)
    nearest = torch.minimum(torch.maximum(points, -HALF), HALF)
    grown = trilinear_distance(field, points / HALF, HALF) - trilinear_distance(field, nearest / HALF, HALF)
    torch.testing.assert_close(grown[0], (points - nearest).norm(dim=-1), rtol=0, atol=1e-5)


@given(seed=seeds)
@settings(deadline=None, max_examples=10)
def test_an_object_s_grid_gives_the_same_distances(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    values, middle = torch.randn(4, 5, 6, generator=draw), torch.randn(3, generator=draw)
    points = middle + 0.3 * torch.randn(2, 20, 3, generator=draw)
    unit = ((points - middle) / HALF).reshape(1, -1, 3)
    found = trilinear_distance(values[None, None], unit, HALF).view(2, 20)
    torch.testing.assert_close(SdfGrid(values, middle - HALF, middle + HALF)(points), found, rtol=0, atol=1e-5)


@pytest.mark.parametrize("lookup", [trilinear, lambda field, unit: trilinear_distance(field, unit, HALF.double())])
def test_gradients_are_those_of_finite_differences(lookup) -> None:  # type: ignore[no-untyped-def]
    draw = torch.Generator().manual_seed(0)
    field = torch.randn(1, 1, 3, 3, 3, dtype=torch.float64, generator=draw, requires_grad=True)
    unit = (1.2 * torch.rand(1, 5, 3, dtype=torch.float64, generator=draw) + 0.1).requires_grad_()
    torch.autograd.gradcheck(lookup, (field, unit))


@given(seed=seeds, shape=st.tuples(*[st.integers(2, 9)] * 3), wanted=st.tuples(*[st.integers(2, 9)] * 3))
@settings(deadline=None, max_examples=20)
def test_a_field_is_resized_as_torch_does_it_with_the_same_slopes(
    seed: int, shape: tuple[int, int, int], wanted: tuple[int, int, int]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    field = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(wanted, generator=generator, dtype=torch.float64)
    ours = resized(field, wanted)
    theirs = torch.nn.functional.interpolate(field[None, None], size=wanted, mode="trilinear", align_corners=True)[0, 0]
    torch.testing.assert_close(ours, theirs)
    slopes = [torch.autograd.grad((found * weights).sum(), field)[0] for found in (ours, theirs)]
    torch.testing.assert_close(*slopes)
