"""Skeletal fields hold squared distances, and give the joints back: exactly, under noise, at the edge of the grid."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.skeletal import joints_from_field, skeletal_field

CLAMP = 0.0048
SPECS = {
    "shipped size": GridSpec((0.09, 0.0, 0.03), 0.12, 16),
    "coarse": GridSpec((0.09, 0.0, 0.03), 0.12, 8),
    "the paper's": GridSpec((0.09, -0.02, 0.0), 0.30, 16),
}
SPEC = SPECS["shipped size"]


def joints_within(spec: GridSpec, count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    spread = 0.1 * (2 * torch.rand(count, 21, 3, generator=generator) - 1)
    return torch.tensor(spec.center) + spread


def test_field_is_the_truncated_squared_distance() -> None:
    joints = joints_within(SPEC, 2)
    field = skeletal_field(joints, SPEC, CLAMP)
    offset = SPEC.points()[None, None] - joints[:, 1:, None]
    expected = offset.square().sum(-1).clamp(max=CLAMP).view(2, 20, *SPEC.shape)
    torch.testing.assert_close(field, expected, atol=1e-8, rtol=0)


def test_fifteen_channels_are_the_joints_without_tips() -> None:
    joints = joints_within(SPEC, 2)
    torch.testing.assert_close(
        skeletal_field(joints, SPEC, CLAMP, channels=15), skeletal_field(joints, SPEC, CLAMP)[:, :15]
    )
    with pytest.raises(HopriorError, match="15 or 20"):
        skeletal_field(joints, SPEC, CLAMP, channels=21)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("channels", [15, 20])
def test_joints_come_back(spec: GridSpec, channels: int) -> None:
    joints = joints_within(spec, 16)
    found = joints_from_field(skeletal_field(joints, spec, CLAMP, channels), spec, CLAMP)
    assert found.shape == (16, channels, 3)
    assert (found - joints[:, 1 : channels + 1]).norm(dim=-1).max() < 1e-4


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_joints_come_back_wherever_they_are(seed: int) -> None:
    joints = joints_within(SPEC, 4, seed)
    found = joints_from_field(skeletal_field(joints, SPEC, CLAMP), SPEC, CLAMP)
    assert (found - joints[:, 1:]).norm(dim=-1).max() < 1e-4


@pytest.mark.parametrize(("noise", "mean", "worst"), [(0.02, 0.0004, 0.0015), (0.1, 0.0015, 0.005)])
def test_noise_moves_joints_by_millimetres(noise: float, mean: float, worst: float) -> None:
    """Noise of 2 % and 10 % of the clamp in every cell, cut off at both ends as a network's output is."""
    joints = joints_within(SPEC, 32)
    field = skeletal_field(joints, SPEC, CLAMP)
    noisy = field + noise * CLAMP * torch.randn(field.shape, generator=torch.Generator().manual_seed(1))
    error = (joints_from_field(noisy.clamp(0, CLAMP), SPEC, CLAMP) - joints[:, 1:]).norm(dim=-1)
    assert error.mean() < mean
    assert error.quantile(0.99) < worst


def test_joints_just_outside_the_grid_are_found() -> None:
    joints = torch.tensor(SPEC.center).expand(1, 21, 3).clone()
    joints[..., 0] += torch.linspace(0.12, 0.16, 21)
    found = joints_from_field(skeletal_field(joints, SPEC, CLAMP), SPEC, CLAMP)
    assert (found - joints[:, 1:]).norm(dim=-1).max() < 1e-3


def test_unseen_joints_stay_finite_and_near_the_grid() -> None:
    field = torch.full((1, 20, *SPEC.shape), CLAMP)
    found = joints_from_field(field, SPEC, CLAMP)
    assert found.isfinite().all()
    assert (found - torch.tensor(SPEC.center)).abs().max() < SPEC.half_extent + CLAMP**0.5 + 1e-6


def test_elements_and_channels_do_not_mix() -> None:
    field = skeletal_field(joints_within(SPEC, 3), SPEC, CLAMP)
    whole = joints_from_field(field, SPEC, CLAMP)
    torch.testing.assert_close(joints_from_field(field[1:2], SPEC, CLAMP), whole[1:2], atol=1e-6, rtol=0)
    swapped = joints_from_field(field.flip(1), SPEC, CLAMP)
    torch.testing.assert_close(swapped, whole.flip(1), atol=1e-6, rtol=0)


def test_both_ways_are_differentiable() -> None:
    joints = joints_within(SPEC, 1).requires_grad_()
    found = joints_from_field(skeletal_field(joints, SPEC, CLAMP), SPEC, CLAMP)
    (gradient,) = torch.autograd.grad(found[0, 4, 1], joints)
    expected = torch.zeros_like(gradient)
    expected[0, 5, 1] = 1
    # The way there and back is the identity, and so is its derivative.
    torch.testing.assert_close(gradient, expected, atol=2e-3, rtol=0)
