"""Connected parts of grids and surfaces, and turns about a point."""

import numpy as np
import torch
import trimesh

from hoprior.geometry.camera import project, project_pinhole
from hoprior.geometry.regions import Regions, large_parts
from hoprior.geometry.state import transform_points
from hoprior.geometry.transforms import invert, rotate_about


def test_parts_share_faces_or_corners() -> None:
    cells = np.zeros((3, 3, 3), dtype=bool)
    cells[0, 0, :2] = cells[1, 1, 2] = True
    apart, joined = Regions.of(cells), Regions.of(cells, corners=True)
    assert apart.cells.tolist() == [2, 1] and joined.cells.tolist() == [3]
    assert apart.largest.sum() == 2 and apart.largest[0, 0, 0] and (joined.largest == cells).all()
    assert len(Regions.of(np.zeros((2, 2), dtype=bool))) == 0


def test_the_first_of_equal_parts_is_the_largest() -> None:
    assert Regions.of(np.array([True, False, True])).largest.tolist() == [True, False, False]


def test_crumbs_of_a_surface_are_left_out() -> None:
    body, half, crumb = (
        trimesh.creation.box((size,) * 3, transform=trimesh.transformations.translation_matrix([place, 0, 0]))
        for size, place in ((1.0, 0.0), (0.8, 2.0), (0.2, 4.0))
    )
    found = large_parts(trimesh.util.concatenate([body, half, crumb]), 0.1)
    np.testing.assert_allclose(found.volume, body.volume + half.volume)


def test_a_turn_about_a_point_leaves_it_where_it_is_and_shifts_it() -> None:
    generator = torch.Generator().manual_seed(0)
    centre, turn, shift = (torch.randn(shape, generator=generator) for shape in ((3,), (4, 3), (4, 3)))
    points = centre.expand(4, 1, 3)
    torch.testing.assert_close(transform_points(rotate_about(centre, turn), points), points)
    moved = transform_points(rotate_about(centre, turn, shift), points)
    torch.testing.assert_close(moved, points + shift[:, None])
    T = rotate_about(centre, turn, shift)
    torch.testing.assert_close(invert(T) @ T, torch.eye(4).expand(4, 4, 4), atol=1e-5, rtol=0)


def test_four_numbers_project_as_their_matrix_does() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2, 7, 3, generator=generator) + torch.tensor([0.0, 0.0, 4.0])
    camera = torch.tensor([[500.0, 400.0, 120.0, 130.0], [300.0, 310.0, 90.0, 80.0]])
    K = torch.zeros(2, 3, 3)
    K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2], K[:, 2, 2] = *camera.T, torch.ones(2)
    torch.testing.assert_close(project_pinhole(points, camera), project(points, K))
    # One camera, without a batch.
    torch.testing.assert_close(project_pinhole(points[0], camera[0]), project(points, K)[0])
