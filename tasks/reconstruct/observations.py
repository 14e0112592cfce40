"""What a fit looks at in a clip's pictures: rays of pixels with what the masks say there, and the hands as they are."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.datasets.clips.clip import Clip
from hoprior.geometry.camera import project_pinhole
from hoprior.rendering.soft import splat_mask
from hoprior.tasks.reconstruct.scene import NEAREST_SEEN, Scene

SHOWN_BAND = 0.02
"""Cells within so much (m) of the surface may be shown."""
SHOWN_FRAMES = 3
"""So many frames have to show a cell."""
FACING = 0.2
"""Cosine of the angle between the surface's normal and the ray to the camera from which it is faced."""


def evenly(index: Int[Tensor, " n"], count: int) -> Int[Tensor, " k"]:
    """At most so many of them, evenly.

    Example:
        >>> evenly(torch.arange(9), 3).tolist(), evenly(torch.arange(2), 3).tolist()
        ([0, 4, 8], [0, 1])
    """
    return index[torch.linspace(0, len(index) - 1, min(count, len(index))).round().long()]


def middle_rays(masks: Float[Tensor, "n s s"], intrinsics: Float[Tensor, "n 4"]) -> Float[Tensor, "n 2"]:
    """Where rays through the masks' middles are at a depth of one."""
    at = torch.arange(masks.shape[-1]) + 0.5
    v, u = torch.meshgrid(at, at, indexing="ij")
    area = masks.sum(dim=(1, 2)).clamp(min=1)
    pixel = torch.stack([(masks * each).sum(dim=(1, 2)) / area for each in (u, v)], dim=1)
    return (pixel - intrinsics[:, 2:]) / intrinsics[:, :2]


@dataclass(frozen=True)
class Rays:
    """Pixels of b frames and what the masks say there."""

    pixels: Float[Tensor, "b r 2"]
    object_mask: Float[Tensor, "b r"]
    hand_mask: Float[Tensor, "b r"]
    on_contour: Bool[Tensor, "b r"]
    known: Float[Tensor, "b r"]
    """1 where the masks say something."""


def own_outlines(clip: Clip, index: Int[Tensor, " k"]) -> list[Int[Tensor, "m 2"]]:
    """Pixels (row, column) of the object's own outline in the frames `index`: its mask's contour where neither the hand
    nor an edge of the picture is beside it."""
    others = torch.maximum(clip.hand_mask, 1 - clip.known)[index]
    near_others = F.max_pool2d(others[:, None], 9, stride=1, padding=4)[:, 0] > 0.5
    inside = (clip.object_mask[index] > 0.5).float()[:, None]
    edge = (F.max_pool2d(inside, 3, 1, 1) + F.max_pool2d(-inside, 3, 1, 1))[:, 0] > 0.5
    return [found.nonzero() for found in edge & ~near_others]


class RaySampler:
    """Draws pixels of crops: half of them on the object's own outline, half anywhere."""

    def __init__(self, clip: Clip, device: torch.device, generator: torch.Generator) -> None:
        self.masks = torch.stack([clip.object_mask, clip.hand_mask, clip.known], dim=1).to(device)
        self.generator, self.device, self.size = generator, device, clip.object_mask.shape[-1]
        self.contours = own_outlines(clip, torch.arange(len(clip)))

    def draw(self, index: Tensor, count: int) -> Rays:
        """`count` pixels of each of the frames `index`."""
        pixels, on_contour = [], []
        for i in index.tolist():
            anywhere = torch.rand(count, 2, generator=self.generator) * self.size
            contour, half = self.contours[i], count // 2
            is_edge = torch.zeros(count, dtype=torch.bool)
            if len(contour):
                chosen = contour[torch.randint(len(contour), (half,), generator=self.generator)].flip(1).float()
                anywhere[:half] = chosen + 0.5
                is_edge[:half] = True
            pixels.append(anywhere)
            on_contour.append(is_edge)
        found = torch.stack(pixels).to(self.device)
        unit = (found * 2 / self.size - 1)[:, :, None]
        # A frame at a time, in place: copies of whole masks would take longer than all look-ups.
        of_frames = zip(index.tolist(), unit.split(1), strict=True)
        found_in = [
            F.grid_sample(self.masks[i : i + 1], at, padding_mode="border", align_corners=False) for i, at in of_frames
        ]
        values = torch.cat(found_in)[..., 0]
        known = (values[:, 2] > 0.99).to(values)
        return Rays(found, values[:, 0], values[:, 1], torch.stack(on_contour).to(self.device), known)


@dataclass(frozen=True)
class HandPictures:
    """Masks and depths of the hands in all frames, as they were a few steps ago; no gradient."""

    alpha: Float[Tensor, "n s s"]
    depth: Float[Tensor, "n s s"]
    size: int

    @classmethod
    @torch.no_grad()
    def of(cls, scene: Scene, resolution: int, size: int) -> "HandPictures":
        """The hands at `resolution` pixels of crops of `size` pixels."""
        placed = scene.place()
        found = splat_mask(placed.verts_camera, scene.model.faces, placed.intrinsics * resolution / size, resolution)
        return cls(found.alpha, found.depth, size)

    def at(self, index: Tensor, pixels: Float[Tensor, "b r 2"]) -> tuple[Float[Tensor, "b r"], Float[Tensor, "b r"]]:
        """Coverage and depth at pixels of the crops."""
        unit = (pixels * 2 / self.size - 1)[:, :, None]
        alpha = F.grid_sample(self.alpha[index][:, None], unit, align_corners=False, padding_mode="border")
        depth = F.grid_sample(
            self.depth[index][:, None], unit, align_corners=False, padding_mode="border", mode="nearest"
        )
        return alpha[:, 0, :, 0], depth[:, 0, :, 0]


@torch.no_grad()
def shown_cells(
    scene: Scene, values: Float[Tensor, "D H W"], object_mask: Float[Tensor, "n s s"]
) -> Float[Tensor, "D H W"]:
    """1 where the object's surface lies open to the camera in several frames, 0 where no frame shows it.

    A cell is shown by a frame whose object mask has its pixel, and whose camera the surface there faces.
    """
    shown = torch.zeros_like(values)
    place = (values[1:-1, 1:-1, 1:-1].abs() < SHOWN_BAND).nonzero() + 1
    if not len(place):
        return shown
    z, y, x = place.unbind(dim=1)
    slope = torch.stack(
        [
            values[z, y, x + 1] - values[z, y, x - 1],
            values[z, y + 1, x] - values[z, y - 1, x],
            values[z + 1, y, x] - values[z - 1, y, x],
        ],
        dim=-1,
    )
    points = scene.lower + place.flip(1) * scene.cell
    shown[z, y, x] = shown_points(scene, points, F.normalize(slope, dim=-1), object_mask)
    return shown


@torch.no_grad()
def shown_points(
    scene: Scene, points: Float[Tensor, "p 3"], normal: Float[Tensor, "p 3"], object_mask: Float[Tensor, "n s s"]
) -> Float[Tensor, " p"]:
    """Likewise for points of the object's surface, in its frame, with their normals."""
    placed = scene.place(mesh=False)
    size = object_mask.shape[-1]
    count = torch.zeros(len(points), device=points.device)
    for i in range(len(object_mask)):
        T = placed.T_object_camera[i]
        ray = F.normalize(points - T[:3, 3], dim=-1)
        camera = (points - T[:3, 3]) @ T[:3, :3]
        pixel = project_pinhole(camera, placed.intrinsics[i], NEAREST_SEEN)
        unit = (pixel * 2 / size - 1)[None, None]
        seen = F.grid_sample(object_mask[i][None, None], unit, align_corners=False)[0, 0, 0]
        count += (seen > 0.5) & ((ray * normal).sum(dim=-1) < -FACING)
    return (count / SHOWN_FRAMES).clamp(max=1.0)


def shrink(masks: Float[Tensor, "b h w"], size: int) -> Float[Tensor, "b s s"]:
    """Masks at fewer pixels, means of what they were.

    Example:
        >>> shrink(torch.eye(4)[None], size=2)
        tensor([[[0.5000, 0.0000],
                 [0.0000, 0.5000]]])
    """
    return F.adaptive_avg_pool2d(masks[:, None], size)[:, 0]
