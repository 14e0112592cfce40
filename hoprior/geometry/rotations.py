"""Rotations as matrices, rotation vectors and unit quaternions (x, y, z, w), batched and differentiable.

The formulae, and the order of their operations, are those of RoMa (Brégier, "Deep Regression on Manifolds", 3DV 2021;
Copyright (c) 2020 NAVER Corp., BSD-3-Clause: assets/LICENSE-roma-BSD-3-Clause.txt), against which the tests hold them.
RoMa itself loads torch's compiler when it is imported, which takes longer than
all that a prior needs to be ready.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

SMALL_ANGLE = 1e-6
"""Radians below which a rotation is its first-order approximation."""
AXES = "xyz"


def rotvec_to_rotmat(rotvec: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rodrigues' formula: rotation vectors (axis times angle, radians) as matrices.

    Example:
        >>> rotvec_to_rotmat(torch.tensor([0.0, 0.0, torch.pi / 2])).round()[:, 0]
        tensor([0., 1., 0.])
    """
    theta = torch.norm(rotvec, dim=-1)
    # Clamped since the branch that is not taken must have a finite gradient, too.
    kx, ky, kz = (rotvec / torch.clamp_min(theta[..., None], SMALL_ANGLE)).unbind(-1)
    sin, versine = torch.sin(theta), 1 - torch.cos(theta)
    xs, ys, zs = kx * sin, ky * sin, kz * sin
    xy, xz, yz = kx * ky * versine, kx * kz * versine, ky * kz * versine
    xx, yy, zz = kx**2 * versine, ky**2 * versine, kz**2 * versine
    rows = [1 - yy - zz, xy - zs, xz + ys, xy + zs, 1 - xx - zz, -xs + yz, xz - ys, xs + yz, 1 - xx - yy]
    x, y, z = rotvec.unbind(-1)
    one = torch.ones_like(x)
    first_order = torch.stack([one, -z, y, z, one, -x, -y, x, one], dim=-1)
    found = torch.where((theta < SMALL_ANGLE)[..., None], first_order, torch.stack(rows, dim=-1))
    return found.reshape(*rotvec.shape, 3)


def rotmat_to_rotvec(rotation: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """Rotation matrices as rotation vectors, radians, no longer than pi.

    Example:
        >>> rotmat_to_rotvec(torch.diag(torch.tensor([1.0, -1.0, -1.0]))).abs()  # half a turn has two signs
        tensor([3.1416, 0.0000, 0.0000])
    """
    return unitquat_to_rotvec(rotmat_to_unitquat(rotation))


def rotmat_to_unitquat(rotation: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 4"]:
    """Rotation matrices as unit quaternions (x, y, z, w), of either sign (Markley 2008, Eqs. 7 to 9).

    Each row of 4 q q^T is the quaternion times one of its parts; the row of the largest part is brought to unit length.

    Example:
        >>> rotmat_to_unitquat(torch.eye(3))
        tensor([0., 0., 0., 1.])
    """
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in rotation.mT.unbind(-2))
    rows = [1 + a - e - i, b + d, c + g, f - h]
    rows += [d + b, 1 + e - i - a, f + h, g - c]
    rows += [g + c, h + f, 1 + i - a - e, b - d]
    rows += [f - h, g - c, b - d, 1 + a + e + i]
    products = torch.stack(rows, dim=-1).unflatten(-1, (4, 4))
    largest = products.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    row = torch.gather(products, -2, largest[..., None, None].expand(*largest.shape, 1, 4))[..., 0, :]
    return row / torch.norm(row, dim=-1, keepdim=True)


def unitquat_to_rotvec(quaternion: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3"]:
    """Unit quaternions (x, y, z, w) as rotation vectors, radians, no longer than pi.

    Example:
        >>> unitquat_to_rotvec(torch.tensor([0.0, 0.0, 0.0, -1.0])) + 0.0  # no turn at all
        tensor([0., 0., 0.])
    """
    sign = (quaternion[..., 3] > 0).to(quaternion.dtype) * 2.0 - 1.0
    quaternion = quaternion * sign[..., None]
    half_angle = torch.atan2(torch.norm(quaternion[..., :3], dim=-1), quaternion[..., 3])
    return (2.0 * _inverse_sinc(half_angle))[..., None] * quaternion[..., :3]


def unitquat_to_rotmat(quaternion: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3 3"]:
    """Unit quaternions (x, y, z, w) as matrices.

    Example:
        >>> torch.equal(unitquat_to_rotmat(torch.tensor([0.0, 0.0, 0.0, 1.0])), torch.eye(3))
        True
    """
    x, y, z, w = quaternion.unbind(-1)
    x2, y2, z2, w2 = x * x, y * y, z * z, w * w
    xy, zw, xz, yw, yz, xw = x * y, z * w, x * z, y * w, y * z, x * w
    rows = [x2 - y2 - z2 + w2, 2 * (xy - zw), 2 * (xz + yw)]
    rows += [2 * (xy + zw), -x2 + y2 - z2 + w2, 2 * (yz - xw)]
    rows += [2 * (xz - yw), 2 * (yz + xw), -x2 - y2 + z2 + w2]
    return torch.stack(rows, dim=-1).reshape(*quaternion.shape[:-1], 3, 3)


def quat_wxyz_to_xyzw(quaternion: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """Quaternions that are written w first as hoprior has them, w last.

    Example:
        >>> quat_wxyz_to_xyzw(torch.tensor([1.0, 0.1, 0.2, 0.3]))
        tensor([0.1000, 0.2000, 0.3000, 1.0000])
    """
    return torch.cat((quaternion[..., 1:], quaternion[..., 0, None]), dim=-1)


def euler_to_rotmat(axes: str, angles: Float[Tensor, "*b n"]) -> Float[Tensor, "*b 3 3"]:
    """Turns by `angles` (radians) about the fixed axes of `axes`, one after the other: "zyx" turns about z first.

    Example:
        >>> euler_to_rotmat("zx", torch.tensor([torch.pi / 2, torch.pi / 2])).round()[:, 0].tolist()  # x -> y -> z
        [0.0, 0.0, 1.0]
    """
    found = torch.eye(3, dtype=angles.dtype, device=angles.device)
    for axis, angle in zip(axes, angles.unbind(-1), strict=True):
        unit = torch.eye(3, dtype=angles.dtype, device=angles.device)[AXES.index(axis)]
        found = rotvec_to_rotmat(angle[..., None] * unit) @ found
    return found


def rotmat_geodesic_distance(first: Float[Tensor, "*#b 3 3"], second: Float[Tensor, "*#b 3 3"]) -> Float[Tensor, "*b"]:
    """The angle, radians, between rotations whose batches broadcast; exact for small angles, as an arc cosine is not.

    Example:
        >>> round(float(rotmat_geodesic_distance(torch.eye(3), rotvec_to_rotmat(torch.tensor([0.3, 0.0, 0.0])))), 4)
        0.3
    """
    chord = torch.norm(second - first, dim=[-1, -2]) / (2 * math.sqrt(2))
    return 2.0 * torch.asin(torch.clamp_max(chord, 1.0))


def special_gramschmidt(columns: Float[Tensor, "*b 3 n"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation whose first axis is the first of `columns`, and whose second is nearest to the second of them.

    Zhou et al. 2019, Eq. 17: the continuous representation of rotations by six numbers.

    Example:
        >>> special_gramschmidt(torch.tensor([[2.0, 1.0], [0.0, 3.0], [0.0, 0.0]])).diagonal()
        tensor([1., 1., 1.])
    """
    x, y = columns[..., 0], columns[..., 1]
    x = x / torch.norm(x, dim=-1, keepdim=True)
    y = y - torch.sum(x * y, dim=-1, keepdim=True) * x
    y = y / torch.norm(y, dim=-1, keepdim=True)
    return torch.stack((x, y, torch.cross(x, y, dim=-1)), dim=-1)


def rigid_registration(
    x: Float[Tensor, "*b n 3"], y: Float[Tensor, "*b n 3"], weights: Float[Tensor, "*b n"] | None = None
) -> tuple[Float[Tensor, "*b 3 3"], Float[Tensor, "*b 3"]]:
    """Rotation R and translation t by which points come nearest to others: y ~ R x + t (Umeyama 1991).

    Args:
        x, y: points that belong together, in any unit.
        weights: how much each counts, positive; all alike without.

    Example:
        >>> points = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
        >>> rigid_registration(points, points + 1)[1]
        tensor([1., 1., 1.])
    """
    x_mean, y_mean, covariance = _moments(x, y, _shares(x, weights))
    rotation = nearest_rotation(covariance)
    return rotation, y_mean - (rotation @ x_mean[..., None])[..., 0]


def similarity_registration(
    x: Float[Tensor, "*b n 3"], y: Float[Tensor, "*b n 3"]
) -> tuple[Float[Tensor, "*b 3 3"], Float[Tensor, "*b 3"], Float[Tensor, "*b"]]:
    """Rotation R, translation t and scale s by which points come nearest to others: y ~ s R x + t (Umeyama 1991).

    Example:
        >>> points = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
        >>> similarity_registration(points, 2 * points)[2]
        tensor(2.)
    """
    share = _shares(x, None)
    x_mean, y_mean, covariance = _moments(x, y, share)
    rotation = nearest_rotation(covariance)
    spread = (share[..., None] * (x - x_mean[..., None, :]).square()).sum(dim=(-2, -1))
    scale = (rotation * covariance).sum(dim=(-2, -1)) / spread
    return rotation, y_mean - scale[..., None] * (rotation @ x_mean[..., None])[..., 0], scale


def nearest_rotation(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation with the smallest squared difference from a matrix, found in double precision.

    Example:
        >>> nearest_rotation(torch.diag(torch.tensor([3.0, 2.0, 0.1]))).diagonal()
        tensor([1., 1., 1.])
    """
    u, _, vt = torch.linalg.svd(matrix.double())
    sign = torch.linalg.det(u) * torch.linalg.det(vt)
    ones = torch.ones_like(sign)
    return (u * torch.stack((ones, ones, sign), dim=-1)[..., None, :] @ vt).to(matrix.dtype)


def _shares(x: Float[Tensor, "*b n 3"], weights: Float[Tensor, "*b n"] | None) -> Float[Tensor, "*b n"]:
    weights = torch.ones_like(x[..., 0]) if weights is None else weights
    return weights / weights.sum(dim=-1, keepdim=True)


def _moments(
    x: Float[Tensor, "*b n 3"], y: Float[Tensor, "*b n 3"], share: Float[Tensor, "*b n"]
) -> tuple[Float[Tensor, "*b 3"], Float[Tensor, "*b 3"], Float[Tensor, "*b 3 3"]]:
    """Both means, and the covariance of y (rows) with x."""
    x_mean, y_mean = ((share[..., None] * points).sum(dim=-2) for points in (x, y))
    covariance = ((y - y_mean[..., None, :]) * share[..., None]).mT @ (x - x_mean[..., None, :])
    return x_mean, y_mean, covariance


def _inverse_sinc(x: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """x / sin(x), by its Taylor series where that is nearer in the first derivative."""
    small = torch.abs(x) < 2.0 * torch.finfo(x.dtype).eps ** (1 / 6)
    denominator = torch.where(small, torch.ones_like(x), torch.sin(x))
    return torch.where(small, 1 + x**2 / 6 + 7 * x**4 / 360, x / denominator)
