"""Marching cubes puts surfaces where the zero level is, in the grid's frame, with normals outwards."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.isosurface import marching_cubes

SPEC = GridSpec((0.1, -0.2, 0.3), 0.1, 48)
CENTER, RADIUS = (0.12, -0.21, 0.29), 0.05


def sphere_grid(spec: GridSpec) -> Tensor:
    return ((spec.points() - torch.tensor(CENTER)).norm(dim=-1) - RADIUS).view(spec.shape)


def test_sphere_comes_back_within_a_fraction_of_a_cell() -> None:
    mesh = marching_cubes(sphere_grid(SPEC), SPEC)
    radius = np.linalg.norm(mesh.vertices - np.array(CENTER), axis=1)
    assert np.abs(radius - RADIUS).max() < 0.05 * SPEC.cell
    assert mesh.is_watertight
    # A positive volume means that the normals point outwards.
    assert mesh.volume == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.01)


def test_axes_are_not_swapped() -> None:
    half = torch.tensor([0.02, 0.04, 0.07])
    offset = (SPEC.points() - torch.tensor(SPEC.center)).abs() - half
    grid = (offset.clamp(min=0).norm(dim=-1) + offset.amax(dim=-1).clamp(max=0)).view(SPEC.shape)
    mesh = marching_cubes(grid, SPEC)
    np.testing.assert_allclose(mesh.extents, 2 * half.numpy(), atol=SPEC.cell / 2)
    np.testing.assert_allclose(mesh.bounds.mean(axis=0), SPEC.center, atol=1e-4)


def test_level_moves_the_surface() -> None:
    mesh = marching_cubes(sphere_grid(SPEC), SPEC, level=0.01)
    radius = np.linalg.norm(mesh.vertices - np.array(CENTER), axis=1)
    np.testing.assert_allclose(radius, RADIUS + 0.01, atol=0.05 * SPEC.cell)


def test_grid_without_a_surface_is_an_error() -> None:
    with pytest.raises(HopriorError, match="no surface in the grid"):
        marching_cubes(torch.ones(SPEC.shape), SPEC)


def test_grid_of_another_shape_is_an_error() -> None:
    with pytest.raises(HopriorError, match="shape"):
        marching_cubes(torch.ones(4, 4, 4), SPEC)
