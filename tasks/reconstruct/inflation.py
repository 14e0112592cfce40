"""How deep an object reaches where no view tells: about as deep as it is wide, there.

Views that hardly turn bound an object beside the line of sight and not along it: their masks leave a long wedge. Its
middle is right, since the object turned about it; its depth is taken from its outline, as a drawing of an outline is
blown up (Igarashi et al., "Teddy", SIGGRAPH 1999). Cups, bottles and balls come out round.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt, gaussian_filter, maximum_filter
from torch import Tensor

from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import transform_points
from hoprior.geometry.transforms import invert

FLAT_ARC, FULL_ARC = 60.0, 80.0
"""Degrees between views up to which depth is a guess, and from which views bound it."""
ROUND_ARC = 20.0
"""Degrees up to which nothing is known of an edge's form, and it is taken as round."""
ROUND, BLUNT = 2.0, 4.0
"""Powers of the superellipse that a cross-section is taken for: an ellipse's, and a blunt one's at `FLAT_ARC`."""
PIXELS, DEPTHS = 96, 96
"""Of the picture and the rays from the middle of all views."""
CENTRE_TRUST = 2.0
"""The wedge's middle is believed, and not the hand's depth, half way from `ROUND_ARC` to `FLAT_ARC`."""
CENTRE_SMOOTHING = 1 / 12
"""Standard deviation of the middle surface's smoothing, in sides of the picture."""


@dataclass(frozen=True)
class Inflation:
    """Bounds of an object's depth, seen from the middle of all views.

    Attributes:
        T_view_object: from the object's frame into the middle view's.
        low, high: corners of its picture, in tangents of the angle from its axis.
        half_depth: half the depth that the object may have at each pixel, m; 0 beside it.
        centre: depth of its middle there, m.
    """

    T_view_object: Float[Tensor, "4 4"]
    low: Float[Tensor, " 2"]
    high: Float[Tensor, " 2"]
    half_depth: Float[Tensor, "h w"]
    centre: Float[Tensor, "h w"]

    @classmethod
    def of(
        cls, hull: SdfGrid, T_object_camera: Float[Tensor, "n 4 4"], held: Float[Tensor, " 3"]
    ) -> "Inflation | None":
        """Of a visual hull as the cameras left it; None if it has no inside, or they bound its depth themselves.

        `held` is a point of the object's frame at the depth of which the object lies if the views do not tell.
        """
        inside = (hull.values < 0).nonzero().flip(1)
        if not len(inside):
            return None
        points = hull.lower + hull.cell * inside
        middle = _middle(points)
        toward, arc = middle_view(T_object_camera, middle)
        if arc >= FULL_ARC:
            return None
        T = _looking(middle, toward, float((T_object_camera[:, :3, 3] - middle).norm(dim=1).mean()))
        low, high, step, rays, depth = _rays(transform_points(T, points))
        hit = (hull(transform_points(invert(T[None])[0], rays.reshape(-1, 3))) < 0).view(rays.shape[:3]).float()
        told = hit.sum(dim=0)
        shown = (told > 0).numpy()
        if not shown.any():
            return None
        # Where the hull is deep, it tells the middle best.
        centre = ((hit * depth[:, None, None]).sum(dim=0) / told.clamp(min=1)).numpy()
        weight, spread = shown * told.numpy(), CENTRE_SMOOTHING * PIXELS
        known = np.maximum(gaussian_filter(weight, spread), 1e-9)
        share = float(np.clip((arc - ROUND_ARC) / (FLAT_ARC - ROUND_ARC), 0, 1))
        hand_depth = float(transform_points(T, held[None])[0, 2])
        trusted = min(1.0, CENTRE_TRUST * share)
        smooth = trusted * gaussian_filter(centre * weight, spread) / known + (1 - trusted) * hand_depth
        pixel = step * float((smooth * weight).sum() / weight.sum())
        stretch = (FULL_ARC - FLAT_ARC) / (FULL_ARC - max(arc, FLAT_ARC))
        half = half_depths(shown, ROUND + share * (BLUNT - ROUND)) * pixel * stretch
        return cls(T, low, high, torch.from_numpy(half).float(), torch.from_numpy(smooth).float())

    def __call__(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """By how much (m) points of the object's frame are too deep or not deep enough; negative within bounds."""
        seen = transform_points(self.T_view_object, points)
        tangent = seen[:, :2] / seen[:, 2:].clamp(min=1e-3)
        unit = 2 * (tangent - self.low) / (self.high - self.low) - 1
        both = torch.stack([self.half_depth, self.centre])[None]
        half, centre = F.grid_sample(both, unit[None, None], align_corners=False, padding_mode="border")[0, :, 0]
        return (seen[:, 2] - centre).abs() - half


def views_are_flat(T_object_camera: Float[Tensor, "n 4 4"], inside: Float[Tensor, "p 3"], arc: float) -> bool:
    """Whether cameras see an object, of which `inside` are points, from within `arc` degrees around it."""
    return bool(len(inside)) and middle_view(T_object_camera, _middle(inside))[1] < arc


def _middle(points: Float[Tensor, "p 3"]) -> Float[Tensor, " 3"]:
    return (points.amin(dim=0) + points.amax(dim=0)) / 2


def middle_view(
    T_object_camera: Float[Tensor, "n 4 4"], middle: Float[Tensor, " 3"]
) -> tuple[Float[Tensor, " 3"], float]:
    """The direction from an object's middle that halves the widest angle between cameras, and that angle, degrees."""
    toward = F.normalize(T_object_camera[:, :3, 3] - middle, dim=1)
    cosine = toward @ toward.T
    first, second = divmod(int(cosine.argmin()), len(toward))
    arc = float(torch.rad2deg(torch.acos(cosine[first, second].clamp(-1, 1))))
    return F.normalize(toward[first] + toward[second], dim=0), arc


def half_depths(shown: np.ndarray, power: float) -> np.ndarray:
    """Half the depth at each pixel of an outline, in pixels: a superellipse across the widest disc that covers it."""
    edge = distance_transform_edt(np.pad(shown, 1))[1:-1, 1:-1]
    radius = np.maximum(edge, _covering_radius(edge))
    soft = gaussian_filter(shown.astype(float), 1.5)
    radius = np.where(shown, gaussian_filter(radius, 1.5) / np.maximum(soft, 1e-9), 0)
    inward = np.clip(edge / np.maximum(radius, 1e-9), 0, 1)
    return radius * (1 - (1 - inward) ** power) ** (1 / power)


def _covering_radius(edge: np.ndarray) -> np.ndarray:
    """The radius of the largest disc inside an outline that covers each pixel, from the distances to its edge."""
    radius = np.zeros_like(edge)
    ridge = (edge > 0) & (edge >= maximum_filter(edge, 3) - 0.3)
    places = np.argwhere(ridge)
    for y, x in places[np.argsort(edge[ridge])]:
        reach = edge[y, x]
        rows, columns = (slice(max(0, int(at - reach)), int(at + reach) + 2) for at in (y, x))
        part = radius[rows, columns]
        j, i = np.ogrid[: part.shape[0], : part.shape[1]]
        part[np.hypot(j + rows.start - y, i + columns.start - x) < reach] = reach
    return radius


def _looking(middle: Float[Tensor, " 3"], toward: Float[Tensor, " 3"], distance: float) -> Float[Tensor, "4 4"]:
    """From the object's frame into that of a camera that looks at its middle from the direction `toward`."""
    across = torch.eye(3)[int(toward.abs().argmin())]
    x = F.normalize(torch.linalg.cross(across, -toward), dim=0)
    rotation = torch.stack([x, torch.linalg.cross(-toward, x), -toward])
    T = torch.eye(4)
    T[:3, :3], T[:3, 3] = rotation, -rotation @ (middle + distance * toward)
    return T


def _rays(
    seen: Float[Tensor, "n 3"],
) -> tuple[Float[Tensor, " 2"], Float[Tensor, " 2"], float, Float[Tensor, "d h w 3"], Float[Tensor, " d"]]:
    """Corners of a picture around points of a view's frame, a pixel's size, points of its rays, and their depths."""
    tangent = seen[:, :2] / seen[:, 2:].clamp(min=1e-3)
    low, high = tangent.amin(dim=0), tangent.amax(dim=0)
    step = float((high - low).max()) / (PIXELS - 4) + 1e-9
    low = low - 2 * step
    counts = ((high - low) / step).ceil().long() + 2
    high = low + step * counts
    u, v = (low[k] + step * (torch.arange(int(counts[k])) + 0.5) for k in range(2))
    depth = torch.linspace(float(seen[:, 2].min()), float(seen[:, 2].max()), DEPTHS)
    z, y, x = torch.meshgrid(depth, v, u, indexing="ij")
    return low, high, step, torch.stack([x * z, y * z, z], dim=-1), depth
