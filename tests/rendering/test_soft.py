"""Differentiable masks: of meshes, against a z-buffer and against pytorch3d; of implicit surfaces, against geometry."""

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.rendering.pinhole import project, visible_faces, visible_points
from hoprior.rendering.soft import FAR, render_soft_mask, soft_renderer, splat_mask
from hoprior.rendering.volume import composite, pixel_rays, render_mask

SIZE = 48
INTRINSICS = torch.tensor([[80.0, 84.0, 22.0, 26.0]])
BALL = trimesh.creation.icosphere(subdivisions=3, radius=0.1)
FACES = torch.from_numpy(np.asarray(BALL.faces, dtype=np.int64))


def verts(shift: float = 0.0) -> Tensor:
    return torch.tensor(BALL.vertices + np.array([0.02 + shift, -0.01, 0.5]), dtype=torch.float32)[None]


def hard_mask() -> Tensor:
    faces = visible_faces(verts()[0].double().numpy(), FACES.numpy(), INTRINSICS[0].double().numpy(), (SIZE, SIZE))
    return torch.from_numpy(faces >= 0).float()


def test_the_soft_mask_is_the_hard_one_but_for_the_edge() -> None:
    found = render_soft_mask(verts(), FACES, INTRINSICS, SIZE)
    assert ((found.alpha[0] > 0.5).float() - hard_mask()).abs().sum() <= 0.08 * hard_mask().sum()
    assert found.depth[0][hard_mask() > 0].min() == pytest.approx(0.4, abs=0.01)
    assert (found.depth[0][found.alpha[0] < 0.1] == FAR).all()


def test_the_splatted_mask_is_the_hard_one_but_for_the_edge() -> None:
    found = splat_mask(verts(), FACES, INTRINSICS, SIZE)
    assert (found.alpha[0] - hard_mask()).abs().sum() <= 0.12 * hard_mask().sum()


def test_pytorch3d_renders_the_same() -> None:
    pytest.importorskip("pytorch3d", reason="the extra pytorch3d is not installed")
    ours = render_soft_mask(verts(), FACES, INTRINSICS.round(), SIZE)
    theirs = soft_renderer("pytorch3d")(verts(), FACES, INTRINSICS.round(), SIZE)
    assert (ours.alpha - theirs.alpha).abs().mean() < 0.01
    assert ((ours.alpha > 0.5) == (theirs.alpha > 0.5)).float().mean() > 0.98


def test_an_unknown_renderer_is_refused() -> None:
    with pytest.raises(HopriorError, match="unknown: use one of torch, pytorch3d"):
        soft_renderer("opengl")


def test_the_mask_pulls_a_mesh_to_where_it_should_be() -> None:
    target = render_soft_mask(verts(), FACES, INTRINSICS, SIZE).alpha
    shift = torch.tensor(0.012, requires_grad=True)
    moved = verts() + torch.stack([shift, torch.zeros(()), torch.zeros(())])
    (render_soft_mask(moved, FACES, INTRINSICS, SIZE).alpha - target).abs().mean().backward()
    assert shift.grad is not None and shift.grad > 0


def ball(points: Tensor) -> Tensor:
    return points.norm(dim=-1) - 0.1


def camera() -> tuple[Tensor, Tensor, Tensor]:
    """Rays of all pixels of a camera half a metre from a ball; and how far each passes its centre."""
    row, column = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    pixels = torch.stack([column, row], dim=-1).reshape(1, -1, 2)
    T = torch.eye(4)[None].clone()
    T[:, 2, 3] = -0.5
    origins, directions = pixel_rays(pixels, INTRINSICS, T)
    passed = torch.linalg.cross(directions, origins.expand_as(directions)).norm(dim=-1) / directions.norm(dim=-1)
    return origins, directions, passed


@pytest.mark.parametrize("width", [0.002, 0.008])
def test_a_surface_covers_half_of_a_grazing_ray_whatever_its_width(width: float) -> None:
    origins, directions, passed = camera()
    corner = torch.full((3,), 0.15)
    found = render_mask(ball, origins, directions, -corner, corner, samples=96, width=width)
    expected = (passed < 0.1).float()
    sure = (passed - 0.1).abs() > 2 * width
    assert (found.alpha - expected)[sure].abs().max() < 0.05
    middle = passed < 0.02
    assert found.depth[middle].mean() == pytest.approx(0.4, abs=0.006)
    assert found.nearest[passed > 0.1].min() > -0.002


def test_what_is_behind_is_hidden() -> None:
    one = torch.ones(3)
    seen = composite(one, torch.tensor([0.4, 0.6, 0.6]), torch.tensor([1.0, 1.0, 0.0]), 0.5 * one)
    torch.testing.assert_close(seen, torch.tensor([1.0, 0.0, 1.0]), atol=1e-3, rtol=0)


def test_points_are_seen_on_the_near_side_only() -> None:
    intrinsics = INTRINSICS[0].double().numpy()
    points = verts()[0].double().numpy()
    seen = visible_points(points, points, FACES.numpy(), intrinsics, (SIZE, SIZE))
    near = points[:, 2] < 0.47
    assert seen[near].mean() > 0.9 and not seen[points[:, 2] > 0.51].any()
    np.testing.assert_allclose(project(np.array([[0.0, 0.0, 2.0]]), intrinsics), [[22.0, 26.0]])
