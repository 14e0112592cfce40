"""Soft masks of meshes, differentiable in the vertices: one interface, a back end in plain torch, one in pytorch3d.

After SoftRas (Liu et al., ICCV 2019, Eqs. 1-3): a triangle covers a pixel with the sigmoid of the signed squared
distance to its edge, and a pixel is covered unless no triangle covers it.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from hoprior.errors import HopriorError

BACKENDS = ("torch", "pytorch3d")
EDGE = 0.4
"""Pixels from the edge at which a triangle covers three quarters (inside) or a quarter (outside)."""
REACH = 1.6
"""Pixels beyond which a triangle covers nothing."""
FAR = 1e3
"""Depth where there is no mesh, metres."""


class SoftMask(NamedTuple):
    """Coverage in 0 to 1, and the depth of the nearest triangle (metres, no gradient); `FAR` beside the mesh."""

    alpha: Float[Tensor, "b h w"]
    depth: Float[Tensor, "b h w"]


@runtime_checkable
class SoftRenderer(Protocol):
    """Meshes in cameras' frames (+z forward, +x right, +y down) to soft masks."""

    def __call__(
        self,
        verts: Float[Tensor, "b v 3"],
        faces: Int[Tensor, "f 3"],
        intrinsics: Float[Tensor, "b 4"],
        size: int,
    ) -> SoftMask:
        """Square masks of `size` pixels through fx, fy, cx, cy."""
        ...


def soft_renderer(backend: str = "torch") -> SoftRenderer:
    """A back end by name.

    Raises:
        HopriorError: it is unknown or not installed.

    Example:
        >>> soft_renderer("torch").__name__
        'render_soft_mask'
    """
    if backend == "torch":
        return render_soft_mask
    if backend == "pytorch3d":
        try:
            from pytorch3d import _C  # noqa: F401
        except ImportError as error:
            reason = " ".join(str(error).split())[:120]
            raise HopriorError(
                f"renderer 'pytorch3d' cannot be loaded ({reason}): pip install 'hoprior[pytorch3d]' brings it with the"
                " torch that it is compiled for; --config.renderer torch needs neither"
            ) from error
        return render_with_pytorch3d
    raise HopriorError(f"renderer '{backend}' is unknown: use one of {', '.join(BACKENDS)}")


def render_soft_mask(
    verts: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], intrinsics: Float[Tensor, "b 4"], size: int
) -> SoftMask:
    """The back end in plain torch: only pixels near a triangle that faces the camera are looked at, all at once.

    Example:
        >>> corners = torch.tensor([[[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [0.0, 1.0, 1.0]]])
        >>> mask = render_soft_mask(corners, torch.tensor([[0, 2, 1]]), torch.tensor([[8.0, 8.0, 8.0, 8.0]]), size=16)
        >>> mask.alpha.shape, round(float(mask.depth[0, 6, 8]), 3)
        (torch.Size([1, 16, 16]), 1.0)
    """
    screen = verts[..., :2] / verts[..., 2:].clamp(min=1e-3) * intrinsics[:, None, :2] + intrinsics[:, None, 2:]
    corners, depths = screen[:, faces].flatten(0, 1), verts[:, faces, 2].mean(dim=-1).flatten()
    picture = torch.arange(len(verts), device=verts.device).repeat_interleave(len(faces))
    with torch.no_grad():
        low = (corners.amin(dim=1) - REACH).floor().clamp(0, size).long()
        high = (corners.amax(dim=1) + REACH).ceil().clamp(0, size).long()
        a, b, c = verts[:, faces].flatten(0, 1).unbind(dim=1)
        turned_away = (torch.linalg.cross(b - a, c - a) * a).sum(dim=-1) >= 0
        high[turned_away | (depths <= 1e-3)] = 0
        spans = (high - low).clamp(min=0)
        count = spans.prod(dim=1)
        triangle = torch.repeat_interleave(torch.arange(len(count), device=verts.device), count)
        place = torch.arange(len(triangle), device=verts.device) - (count.cumsum(0) - count)[triangle]
        column = low[triangle, 0] + place % spans[triangle, 0]
        row = low[triangle, 1] + place // spans[triangle, 0]
        pixel = (picture[triangle] * size + row) * size + column
        centre = torch.stack([column, row], dim=-1).to(verts) + 0.5
    signed = _signed_square(corners[triangle], centre)
    covered = torch.sigmoid(signed * (1.0986 / EDGE**2))  # ln 3 at one pixel
    total = torch.zeros(len(verts) * size * size, dtype=verts.dtype, device=verts.device)
    log_free = total.index_add(0, pixel, torch.log1p(-covered.clamp(max=1 - 1e-4)))
    depth = torch.full_like(total, FAR)
    front = covered.detach() > 0.5
    depth = depth.scatter_reduce(0, pixel[front], depths.detach()[triangle[front]], "amin")
    shape = (len(verts), size, size)
    # The faces that are turned away would cover the same pixels once more.
    return SoftMask(1 - (2 * log_free).exp().reshape(shape), depth.reshape(shape))


@torch.no_grad()
def splat_mask(
    verts: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], intrinsics: Float[Tensor, "b 4"], size: int
) -> SoftMask:
    """Masks and depths without a gradient, much faster: each triangle is a dot of three by three pixels.

    For meshes whose triangles are about a pixel large, as a hand's in a small picture.
    """
    middle = verts[:, faces].mean(dim=2)
    pixel = middle[..., :2] / middle[..., 2:].clamp(min=1e-3) * intrinsics[:, None, :2] + intrinsics[:, None, 2:]
    column, row = pixel.floor().long().unbind(dim=-1)
    seen = (column >= 0) & (column < size) & (row >= 0) & (row < size) & (middle[..., 2] > 1e-3)
    place = (torch.arange(len(verts), device=verts.device)[:, None] * size + row) * size + column
    depth = torch.full((len(verts) * size * size,), FAR, dtype=verts.dtype, device=verts.device)
    depth = depth.scatter_reduce(0, place[seen], middle[..., 2][seen], "amin").reshape(-1, 1, size, size)
    hit = (depth < FAR).to(verts)
    # A dot's neighbours are covered where most of what is around them is, so that the outline does not grow.
    alpha = (avg_pool2d(hit, 3, stride=1, padding=1) > 0.5).to(verts).maximum(hit)
    nearest = -max_pool2d(-depth, 3, stride=1, padding=1)
    return SoftMask(alpha[:, 0], torch.where(alpha > 0.5, nearest, torch.full_like(nearest, FAR))[:, 0])


def _signed_square(corners: Float[Tensor, "k 3 2"], point: Float[Tensor, "k 2"]) -> Float[Tensor, " k"]:
    """Squared distance from points to triangles' edges, positive inside."""
    edge = corners.roll(-1, dims=1) - corners
    away = point[:, None] - corners
    along = ((away * edge).sum(-1) / edge.square().sum(-1).clamp(min=1e-8)).clamp(0, 1)
    square = (away - along[..., None] * edge).square().sum(-1).amin(dim=1)
    side = edge[..., 0] * away[..., 1] - edge[..., 1] * away[..., 0]
    inside = (side >= 0).all(dim=1) | (side <= 0).all(dim=1)
    return torch.where(inside, square, -square)


def render_with_pytorch3d(
    verts: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], intrinsics: Float[Tensor, "b 4"], size: int
) -> SoftMask:
    """The same masks by pytorch3d's rasteriser, whose axes point left and up."""
    from pytorch3d.renderer import PerspectiveCameras
    from pytorch3d.renderer.mesh.rasterizer import MeshRasterizer, RasterizationSettings
    from pytorch3d.structures import Meshes

    flipped = verts * verts.new_tensor([-1.0, -1.0, 1.0])
    # Its distances are in units of half the picture, squared.
    sigma = (EDGE * 2 / size) ** 2 / 1.0986
    cameras: Any = PerspectiveCameras(
        focal_length=intrinsics[:, :2],
        principal_point=intrinsics[:, 2:],
        in_ndc=False,
        image_size=torch.full((len(verts), 2), size, device=verts.device),
        device=verts.device,
    )
    settings = RasterizationSettings(
        image_size=size, blur_radius=(REACH * 2 / size) ** 2, faces_per_pixel=48, perspective_correct=False
    )
    found = MeshRasterizer(cameras, settings)(Meshes(flipped, faces.expand(len(verts), -1, -1)))
    covered = torch.sigmoid(-found.dists / sigma) * (found.pix_to_face >= 0)
    log_free = torch.log1p(-covered.clamp(max=1 - 1e-4)).sum(dim=-1)
    front = (found.pix_to_face >= 0) & (found.dists <= 0)
    depth = torch.where(front, found.zbuf, torch.full_like(found.zbuf, FAR)).amin(dim=-1)
    return SoftMask(1 - log_free.exp(), depth.detach())
