"""Pinhole cameras: x right, y down, z away from the camera; metres in front, pixels on the picture."""

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.errors import HopriorError

ROUND_VIEW = 1.0
"""Focal length of a camera that nobody knows, in longer sides of its picture: a view of 53 degrees."""
NEAREST = 0.01
"""Depth (m) that points are moved to when they are nearer or behind the camera, so that projections stay finite."""


def intrinsics(size: tuple[int, int], focal: float | None = None) -> Float[Tensor, "3 3"]:
    """K of a picture of `size` (width, height), its principal point in the middle.

    Args:
        focal: pixels; `ROUND_VIEW` without.

    Example:
        >>> intrinsics((640, 480), focal=600.0)
        tensor([[600.,   0., 320.],
                [  0., 600., 240.],
                [  0.,   0.,   1.]])
    """
    f = ROUND_VIEW * max(size) if focal is None else focal
    return torch.tensor([[f, 0.0, size[0] / 2], [0.0, f, size[1] / 2], [0.0, 0.0, 1.0]])


def project(points_camera: Float[Tensor, "b n 3"], K: Float[Tensor, "#b 3 3"]) -> Float[Tensor, "b n 2"]:
    """Pixels of points.

    Example:
        >>> project(torch.tensor([[[0.1, 0.0, 0.5]]]), intrinsics((640, 480), focal=600.0)[None])
        tensor([[[440., 240.]]])
    """
    depth = points_camera[..., 2:].clamp(min=NEAREST)
    return points_camera[..., :2] / depth @ K[:, :2, :2].mT + K[:, None, :2, 2]


def project_pinhole(
    points_camera: Float[Tensor, "*b n 3"], camera: Float[Tensor, "*b 4"], nearest: float = NEAREST
) -> Float[Tensor, "*b n 2"]:
    """The same of cameras without skew, as fx, fy, cx, cy; points nearer than `nearest` (m) are seen at this depth.

    Example:
        >>> project_pinhole(torch.tensor([[0.1, 0.0, 0.5]]), torch.tensor([600.0, 600.0, 320.0, 240.0]))
        tensor([[440., 240.]])
    """
    depth = points_camera[..., 2:].clamp(min=nearest)
    return points_camera[..., :2] / depth * camera[..., None, :2] + camera[..., None, 2:]


def back_project(
    pixels: Float[Tensor, "b n 2"], depth: Float[Tensor, "b n"], K: Float[Tensor, "#b 3 3"]
) -> Float[Tensor, "b n 3"]:
    """The points at these depths (m) that are seen at these pixels.

    Example:
        >>> K = intrinsics((640, 480), focal=600.0)[None]
        >>> back_project(torch.tensor([[[440.0, 240.0]]]), torch.tensor([[0.5]]), K)
        tensor([[[0.1000, 0.0000, 0.5000]]])
    """
    plane = (pixels - K[:, None, :2, 2]) @ torch.linalg.inv(K[:, :2, :2]).mT
    return torch.cat([plane * depth[..., None], depth[..., None]], dim=-1)


def mirrored_camera(K: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
    """The camera that sees the mirror image y -> -y of a scene at the pixels where `K` sees the scene.

    Example:
        >>> K, point = intrinsics((640, 480))[None], torch.tensor([[[0.1, 0.2, 0.5]]])
        >>> torch.equal(project(point * torch.tensor([1.0, -1.0, 1.0]), mirrored_camera(K)), project(point, K))
        True
    """
    return K * K.new_tensor([1.0, -1.0, 1.0])


def translation_from_pixels(
    points: Float[Tensor, "b n 3"],
    pixels: Float[Tensor, "b n 2"],
    K: Float[Tensor, "#b 3 3"],
    weights: Float[Tensor, "b n"],
) -> Float[Tensor, "b 3"]:
    """Where to move points (metres, in the camera's axes) so that they are seen at these pixels.

    Linear least squares: with (a, b) the pixel on the plane z = 1, x + tx = a (z + tz), the same for y.

    Raises:
        HopriorError: too few points have weights, or all are seen at one pixel.

    Example:
        >>> K = intrinsics((640, 480))[None]
        >>> points = torch.tensor([[[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.1, 0.0]]])
        >>> pixels = project(points + torch.tensor([0.0, 0.0, 0.5]), K)
        >>> [round(x, 4) for x in translation_from_pixels(points, pixels, K, torch.ones(1, 3))[0].tolist()]
        [0.0, 0.0, 0.5]
    """
    plane = back_project(pixels, torch.ones_like(pixels[..., 0]), K)[..., :2]
    zero, one = torch.zeros_like(plane[..., 0]), torch.ones_like(plane[..., 0])
    rows = torch.cat(
        [torch.stack([one, zero, -plane[..., 0]], dim=-1), torch.stack([zero, one, -plane[..., 1]], dim=-1)], dim=1
    ).double()
    wanted = (plane * points[..., 2:] - points[..., :2]).mT.flatten(1).double()
    weight = weights.repeat(1, 2).double()[..., None]
    try:
        solution = torch.linalg.solve(rows.mT @ (weight * rows), rows.mT @ (weight * wanted[..., None]))
    except torch.linalg.LinAlgError as error:
        raise HopriorError("too few points are known, or all are seen at one pixel: give more of them") from error
    return solution[..., 0].to(points)
