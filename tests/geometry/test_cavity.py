"""Cavities: what of an object is one, that turning it changes nothing, and how deep places lie."""

import math

import numpy as np
import pytest
import torch
import trimesh

from hoprior.geometry import cavity
from hoprior.geometry.cavity import CavityGrid, line_coverage
from hoprior.geometry.sdf import SdfGrid

RADIUS, WALL, HEIGHT = 0.04, 0.003, 0.1


def cup(height: float = HEIGHT, radius: float = RADIUS) -> trimesh.Trimesh:
    """A cup that stands on z = 0, with a handle's ring at +x."""
    outer = trimesh.creation.cylinder(radius, height, sections=48)
    inner = trimesh.creation.cylinder(radius - WALL, height, sections=48)
    inner.apply_translation([0, 0, WALL])
    ring = trimesh.creation.torus(0.025, 0.005, 48, 24)
    ring.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    ring.apply_translation([radius + 0.018, 0, 0])
    ring = trimesh.boolean.difference([ring, trimesh.creation.cylinder(radius - WALL / 2, 2 * height)])
    body = trimesh.boolean.difference([outer, inner])
    mug = trimesh.boolean.union([body, ring])
    mug.apply_translation([0, 0, height / 2])
    return mug


def cavities(mesh: trimesh.Trimesh, **options: float) -> CavityGrid:
    return CavityGrid.of(SdfGrid.from_mesh(mesh, resolution=64), **options)


def points(*places: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor([places])


def test_a_cups_inside_is_a_cavity_and_its_handles_hole_is_none() -> None:
    depth = cavities(cup())
    assert depth(points((0, 0, 0.02), (0.02, 0.01, 0.05))).amin() > 0.03
    around_the_handle = points((0.055, 0, 0.05), (0.06, 0.004, 0.05), (0.058, 0, 0.06))
    outside = points((0, 0, 0.12), (-0.06, 0, 0.05), (0, 0.05, 0.02), (1.0, 1.0, 1.0))
    assert depth(around_the_handle).abs().max() == 0
    assert depth(outside).abs().max() == 0


def test_depth_is_the_way_to_the_mouth() -> None:
    depth = cavities(cup())
    below = torch.tensor([0.02, 0.04, 0.06, 0.08])
    told = depth(torch.stack([torch.zeros(4), torch.zeros(4), HEIGHT - below], dim=1)[None])[0]
    assert torch.allclose(told, below, atol=0.006)


def test_its_slope_leads_out_of_the_mouth() -> None:
    at = points((0.02, 0.0, 0.05), (-0.01, 0.02, 0.04)).requires_grad_()
    cavities(cup())(at).sum().backward()
    assert at.grad is not None and (at.grad[0, :, 2] < -0.5).all()


@pytest.mark.parametrize("axis", [(1, 0, 0), (0.3, 0.8, 0.5), (1, 1, 1)])
def test_turning_and_moving_an_object_changes_no_depth(axis: tuple[float, float, float]) -> None:
    T = trimesh.transformations.rotation_matrix(1.1, axis)
    T[:3, 3] = [0.3, -0.1, 0.2]
    turned = cup()
    turned.apply_transform(T)
    places = np.random.default_rng(0).uniform([-0.05, -0.05, 0.0], [0.08, 0.05, 0.12], (400, 3))
    moved = trimesh.transform_points(places, T)
    # Within a cell of the walls either side is right.
    clear = np.abs(trimesh.proximity.signed_distance(cup(), places)) > 0.006
    before = cavities(cup())(torch.from_numpy(places[clear]).float()[None])
    after = cavities(turned)(torch.from_numpy(moved[clear]).float()[None])
    assert (before > 0.02).sum() > 20
    assert (before - after).abs().max() < 0.009


def test_a_cork_reaches_above_the_mouth_and_nowhere_else() -> None:
    corked = cavities(cup(), cork=0.03)
    above = points((0, 0, HEIGHT + 0.01), (0.01, 0.01, HEIGHT + 0.02), (0, 0, HEIGHT - 0.03))
    assert torch.allclose(corked(above)[0], torch.tensor([0.02, 0.01, 0.06]), atol=0.006)
    elsewhere = points((0, 0, HEIGHT + 0.04), (0.06, 0, HEIGHT + 0.01), (0, 0, -0.01), (0.055, 0, 0.05))
    assert corked(elsewhere).abs().max() == 0


def test_solids_loops_and_pipes_have_no_cavity() -> None:
    for mesh in (
        trimesh.creation.box((0.06, 0.05, 0.1)),
        trimesh.creation.torus(0.05, 0.01),
        trimesh.creation.annulus(0.03, 0.035, 0.05),
    ):
        assert cavities(mesh).deepest == 0


def test_shallow_hollows_are_no_vessels_and_wide_mouths_can_be_left_out() -> None:
    assert cavities(cup(height=0.02)).deepest == 0
    bowl = cup(radius=0.08)
    assert cavities(bowl).deepest > 0.07
    assert cavities(bowl, widest=0.11).deepest == 0
    assert cavities(cup(), widest=0.11).deepest > 0.07


def test_lines_through_a_closed_box_all_meet_it_and_those_beside_a_wall_do_not_all() -> None:
    solid = np.zeros((9, 9, 9), dtype=bool)
    solid[:, :, 0] = True
    covered = line_coverage(solid, lines=16)
    assert covered[4, 4, 0] == 1 and 0 < covered[4, 4, 4] < 1
    for side in (0, -1):
        solid[side] = solid[:, side] = solid[:, :, side] = True
    assert (line_coverage(solid, lines=16) == 1).all()


def test_a_hollow_without_a_way_out_is_as_deep_as_can_be() -> None:
    solid = np.zeros((24, 24, 24), dtype=bool)
    solid[4:20, 4:20, 4:20] = True
    solid[9:15, 9:15, 9:15] = False
    depth = cavity._depths(solid, 0.004, widest=math.inf)
    assert (depth[9:15, 9:15, 9:15] == np.float32(cavity.DEEPEST)).all() and not depth[0].any()
