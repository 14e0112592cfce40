"""Laws of the prior's grid: the order of its axes, and that only the object's place in the hand's frame matters."""

import json
import math

import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec, sample_object_grid
from hoprior.geometry.state import HandObjectState, rigid

SPEC = GridSpec(center=(0.09, -0.01, 0.03), half_extent=0.12, resolution=9)


def box_distance(points: Tensor) -> Tensor:
    """A box with three different sides, off the origin, so that no axis can pass for another."""
    q = (points - torch.tensor([0.02, -0.01, 0.005])).abs() - torch.tensor([0.06, 0.03, 0.015])
    return q.clamp(min=0).norm(dim=-1) + q.amax(dim=-1).clamp(max=0)


def poses(seed: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rotation = roma.rotvec_to_rotmat(2 * torch.randn(count, 3, generator=generator))
    return rigid(rotation, 0.1 * torch.randn(count, 3, generator=generator))


def state_at(T_object_hand: Tensor, sdf=box_distance) -> HandObjectState:
    return HandObjectState(sdf, T_object_hand, torch.zeros(len(T_object_hand), 21, 3))


def test_tensor_axes_are_z_y_x() -> None:
    points = SPEC.points().reshape(*SPEC.shape, 3)
    step = torch.tensor(SPEC.cell)
    torch.testing.assert_close(points[3, 4, 6] - points[3, 4, 5], torch.stack([step, 0 * step, 0 * step]))
    torch.testing.assert_close(points[3, 5, 5] - points[3, 4, 5], torch.stack([0 * step, step, 0 * step]))
    torch.testing.assert_close(points[4, 4, 5] - points[3, 4, 5], torch.stack([0 * step, 0 * step, step]))


def test_first_and_last_points_lie_on_the_faces() -> None:
    points = SPEC.points().reshape(*SPEC.shape, 3)
    torch.testing.assert_close(points[0, 0, 0], torch.tensor(SPEC.lower))
    torch.testing.assert_close(points[-1, -1, -1], torch.tensor(SPEC.center) + SPEC.half_extent)
    torch.testing.assert_close(points[4, 4, 4], torch.tensor(SPEC.center))


def test_spec_survives_json_and_resampling() -> None:
    assert GridSpec(**json.loads(json.dumps(SPEC.config()))) == SPEC
    finer = SPEC.with_resolution(17)
    assert (finer.center, finer.half_extent) == (SPEC.center, SPEC.half_extent)
    assert math.isclose(finer.cell, SPEC.cell / 2)
    torch.testing.assert_close(finer.points().view(17, 17, 17, 3)[::2, ::2, ::2].reshape(-1, 3), SPEC.points())


@pytest.mark.parametrize(
    "wrong", [{"center": (0.0, 0.0)}, {"half_extent": 0.0}, {"half_extent": -0.1}, {"resolution": 1}]
)
def test_impossible_specs_are_refused(wrong: dict) -> None:
    with pytest.raises(HopriorError, match="grid"):
        GridSpec(**{"center": (0, 0, 0), "half_extent": 0.1, "resolution": 8} | wrong)


def test_grid_holds_the_distance_at_each_point() -> None:
    T_object_hand = poses(0, 3)
    grid = sample_object_grid(state_at(T_object_hand), SPEC)
    assert grid.shape == (3, 1, 9, 9, 9)
    for i, (z, y, x) in enumerate([(0, 3, 8), (5, 1, 2), (8, 8, 0)]):
        point_hand = torch.tensor(SPEC.lower) + SPEC.cell * torch.tensor([x, y, z])
        point_object = T_object_hand[i, :3, :3] @ point_hand + T_object_hand[i, :3, 3]
        torch.testing.assert_close(grid[i, 0, z, y, x], box_distance(point_object), atol=1e-6, rtol=0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_moving_hand_and_object_together_changes_nothing(seed: int) -> None:
    T_object_hand, T_world_object = poses(seed, 2), poses(seed + 1, 1)
    grid = sample_object_grid(state_at(T_object_hand), SPEC)

    def moved_sdf(points_world: Tensor) -> Tensor:
        T_object_world = torch.linalg.inv(T_world_object[0])
        return box_distance(points_world @ T_object_world[:3, :3].T + T_object_world[:3, 3])

    moved = sample_object_grid(state_at(T_world_object @ T_object_hand, moved_sdf), SPEC)
    torch.testing.assert_close(moved, grid, atol=2e-6, rtol=0)


def test_each_element_sees_only_its_own_pose() -> None:
    T_object_hand = poses(5, 4)
    whole = sample_object_grid(state_at(T_object_hand), SPEC)
    for i in range(4):
        torch.testing.assert_close(sample_object_grid(state_at(T_object_hand[i : i + 1]), SPEC), whole[i : i + 1])


def test_gradient_reaches_the_pose() -> None:
    T_object_hand = poses(6, 1).double().requires_grad_()
    spec = SPEC.with_resolution(3)

    def smooth(points: Tensor) -> Tensor:
        return (points.square().sum(-1) + 1e-3).sqrt()

    def grid_of(T: Tensor) -> Tensor:
        state = HandObjectState(smooth, T, torch.zeros(1, 21, 3, dtype=torch.float64))
        return sample_object_grid(state, spec)

    assert torch.autograd.gradcheck(grid_of, T_object_hand)
