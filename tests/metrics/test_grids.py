"""Metrics of objects on grids (hoprior.metrics.grids): balls and boxes whose numbers are known."""

import math

import pytest
import torch
import trimesh
from torch import Tensor

from hoprior.geometry.grid import GridSpec
from hoprior.metrics.grids import (
    inside_volumes,
    intersection_volumes,
    largest_part_shares,
    refined,
    subcell_iou,
    surface,
    surface_clouds,
    surface_distance,
)

SPEC = GridSpec((0.02, -0.01, 0.03), 0.1, 24)


def ball(radius: float, center: tuple[float, float, float] = SPEC.center) -> Tensor:
    return ((SPEC.points() - torch.tensor(center)).norm(dim=1) - radius).view(1, 1, *SPEC.shape)


def test_refinement_keeps_the_points_and_is_linear_between() -> None:
    plane = (SPEC.points() @ torch.tensor([1.0, 2.0, -0.5])).view(SPEC.shape)
    fine = refined(plane, 4)
    torch.testing.assert_close(fine[::4, ::4, ::4], plane)
    expected = SPEC.with_resolution(4 * (SPEC.resolution - 1) + 1).points() @ torch.tensor([1.0, 2.0, -0.5])
    torch.testing.assert_close(fine.flatten(), expected, rtol=1e-4, atol=1e-6)


def test_a_ball_has_its_volume_and_nothing_has_none() -> None:
    both = torch.cat([ball(0.05), torch.ones(1, 1, *SPEC.shape)])
    full, empty = inside_volumes(both, SPEC).tolist()
    assert full == pytest.approx(4 / 3 * math.pi * 0.05**3, rel=0.02)
    assert empty == 0


def test_iou_sees_less_than_a_cell() -> None:
    smaller, larger = ball(0.05), ball(0.052)  # a quarter of a cell
    assert subcell_iou(smaller, larger).item() == pytest.approx((0.05 / 0.052) ** 3, abs=0.01)
    assert subcell_iou(larger, larger).item() == 1
    assert subcell_iou(ball(0.02), ball(0.02, (0.09, 0.05, 0.1))).item() == 0
    assert subcell_iou(torch.ones(1, 1, *SPEC.shape), torch.ones(1, 1, *SPEC.shape)).isnan().all()


def test_surfaces_are_as_far_apart_as_they_are() -> None:
    first, second = surface(ball(0.05)[0], SPEC), surface(ball(0.053)[0], SPEC)
    assert first is not None and second is not None
    assert surface_distance(first, second) == pytest.approx(0.003, rel=0.05)
    assert surface_distance(first, first) < 1e-7
    assert surface(torch.ones(1, *SPEC.shape), SPEC) is None


def test_clouds_lie_on_the_surface_and_are_the_same_each_time() -> None:
    sdf = torch.cat([ball(0.05), torch.ones(1, 1, *SPEC.shape)])
    clouds = surface_clouds(sdf, SPEC, 200)
    radius = (clouds[0] - torch.tensor(SPEC.center)).norm(dim=1)
    assert (radius - 0.05).abs().max() < 0.001
    assert clouds[1].isnan().all()
    assert torch.equal(surface_clouds(sdf, SPEC, 200)[0], clouds[0])


def test_parts_are_counted_by_volume() -> None:
    x, y, z = SPEC.center
    two = torch.minimum(ball(0.03, (x - 0.05, y, z)), ball(0.02, (x + 0.05, y, z)))
    shares = largest_part_shares(torch.cat([two, ball(0.05), torch.ones(1, 1, *SPEC.shape)]))
    assert shares[0].item() == pytest.approx(27 / (27 + 8), abs=0.02)
    assert shares[1].item() == 1 and shares[2].isnan()


def test_an_intersection_is_what_hand_and_object_share() -> None:
    box = trimesh.creation.box((0.04, 0.04, 0.04))
    box.apply_translation(SPEC.center)
    verts = torch.tensor(box.vertices, dtype=torch.float32)[None].repeat(3, 1, 1)
    verts[1] += torch.tensor([0.0, 0.0, 0.04])
    verts[2] += 1.0  # beyond the grid
    half_space = (SPEC.points()[:, 2] - SPEC.center[2]).view(1, 1, *SPEC.shape)
    volumes = intersection_volumes(verts, torch.tensor(box.faces), half_space.expand(3, -1, -1, -1, -1), SPEC)
    assert volumes.tolist() == pytest.approx([32.0, 0.0, 0.0], abs=1e-4)
