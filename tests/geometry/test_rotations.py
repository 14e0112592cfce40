"""Rotations are RoMa's, value and gradient, to the bit; registrations find the motion that was made."""

import math
from collections.abc import Callable

import pytest
import roma
import torch
from torch import Tensor

from hoprior.geometry import rotations

ANGLES = (0.0, 1e-9, 1e-5, 0.1, 1.0, math.pi - 1e-4, math.pi, 4.0)


def _rotvecs(dtype: torch.dtype) -> Tensor:
    """(9, 8, 3): axes, among them those of the frame, and angles from none to more than half a turn."""
    axes = torch.cat([torch.eye(3), torch.randn(6, 3, generator=torch.Generator().manual_seed(0))]).to(dtype)
    return axes[:, None] / axes.norm(dim=1)[:, None, None] * torch.tensor(ANGLES, dtype=dtype)[:, None]


def _six(dtype: torch.dtype) -> Tensor:
    return torch.randn(9, 8, 3, 2, generator=torch.Generator().manual_seed(1), dtype=dtype)


def _quaternions(dtype: torch.dtype) -> Tensor:
    found = torch.randn(9, 8, 4, generator=torch.Generator().manual_seed(2), dtype=dtype)
    return found / found.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("rotvec_to_rotmat", _rotvecs),
        ("rotmat_to_rotvec", lambda dtype: roma.rotvec_to_rotmat(_rotvecs(dtype))),
        ("rotmat_to_unitquat", lambda dtype: roma.rotvec_to_rotmat(_rotvecs(dtype))),
        ("unitquat_to_rotvec", _quaternions),
        ("unitquat_to_rotmat", _quaternions),
        ("quat_wxyz_to_xyzw", _quaternions),
        ("special_gramschmidt", _six),
    ],
)
def test_values_and_gradients_are_romas(name: str, made: Callable[[torch.dtype], Tensor], dtype: torch.dtype) -> None:
    ours, theirs = (made(dtype).requires_grad_() for _ in range(2))
    mine, other = getattr(rotations, name)(ours), getattr(roma, name)(theirs)
    close = {"rtol": 0, "atol": 8 * torch.finfo(dtype).eps, "equal_nan": True}
    torch.testing.assert_close(mine, other, **close)
    direction = torch.randn(mine.shape, generator=torch.Generator().manual_seed(3), dtype=dtype)
    for value, at in ((mine, ours), (other, theirs)):
        (value * direction).sum().backward()
        assert at.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad, **close | {"rtol": 8 * torch.finfo(dtype).eps})
    single, flat = made(dtype)[0, 3], made(dtype)[0, 3][None]
    assert torch.equal(getattr(rotations, name)(single), getattr(rotations, name)(flat)[0])


def test_distances_and_euler_angles_are_romas() -> None:
    first = roma.rotvec_to_rotmat(_rotvecs(torch.float64))
    second = roma.random_rotmat(8, dtype=torch.float64)
    there = rotations.rotmat_geodesic_distance(first, second)
    assert torch.allclose(there, roma.rotmat_geodesic_distance(first, second), atol=1e-12)
    angles = torch.randn(20, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    for axes in ("zyx", "xyz", "yxz"):
        assert torch.allclose(rotations.euler_to_rotmat(axes, angles), roma.euler_to_rotmat(axes, angles), atol=1e-12)


def test_registration_finds_the_motion_that_was_made_and_never_a_mirror() -> None:
    generator = torch.Generator().manual_seed(5)
    rotation = roma.random_rotmat(12, dtype=torch.float64)
    shift, points = (torch.randn(12, n, 3, generator=generator, dtype=torch.float64) for n in (1, 6))
    points[6:, :, 2] *= 1e-9  # flat ones, whose mirror fits as well
    moved = points @ rotation.mT + shift
    R, t = rotations.rigid_registration(points, moved, torch.rand(12, 6, generator=generator).double())
    assert torch.allclose(R, rotation, atol=1e-8) and torch.allclose(t, shift[:, 0], atol=1e-8)
    R, t, s = rotations.similarity_registration(points, 3 * points @ rotation.mT + shift)
    assert torch.allclose(R, rotation, atol=1e-8) and torch.allclose(s, s.new_tensor(3.0))
    assert torch.allclose(t, shift[:, 0], atol=1e-8)
    noisy = moved + 0.3 * torch.randn(moved.shape, generator=generator, dtype=torch.float64)
    for weights in (None, torch.rand(12, 6, generator=generator).double()):
        R, t = rotations.rigid_registration(points[:6], noisy[:6], None if weights is None else weights[:6])
        other, there = roma.rigid_points_registration(points[:6], noisy[:6], None if weights is None else weights[:6])
        assert torch.allclose(R, other, atol=1e-6) and torch.allclose(t, there, atol=1e-6)
        assert torch.allclose(torch.linalg.det(R), R.new_ones(6))
