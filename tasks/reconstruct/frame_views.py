"""What frames show of something that is placed before their cameras, for many placements at once."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.datasets.clips.clip import CROP_SIZE, Clip
from hoprior.rendering.soft import FAR, splat_mask
from hoprior.tasks.reconstruct.observations import own_outlines
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.reconstruct.visual_hull import Carver, where_seen

HAND_CELL = 4
"""Pixels of a crop in one of the hand's depth."""
REACH, DEPTH_SLACK = 0.03, 0.01
"""Metres up to which misses count; and by which something may lie before a seen hand for nothing."""


@dataclass(frozen=True)
class FrameViews:
    """What k frames show.

    Attributes:
        edges: signed distances (pixels) to the edge of both masks together, and of the hand's alone.
        known: 1 where the masks say something; beyond an edge that cuts through what they show, they do not.
        hand_depth: of the hand, `FAR` beside it and where none was seen; m.
        pixels: of the object's mask, half of them of its own outline.
    """

    edges: Float[Tensor, "k 2 s s"]
    known: Float[Tensor, "k s s"]
    hand_depth: Float[Tensor, "k h h"]
    pixels: Float[Tensor, "k m 2"]
    intrinsics: Float[Tensor, "k 4"]
    T_camera_hand: Float[Tensor, "k 4 4"]

    @classmethod
    @torch.no_grad()
    def of(
        cls, scene: Scene, clip: Clip, carver: Carver, index: Int[Tensor, " k"], seed: int, count: int
    ) -> "FrameViews":
        """Of the frames `index`, with `count` pixels of each one's mask."""
        placed = scene.place(index)
        cells = CROP_SIZE // HAND_CELL
        depth = splat_mask(placed.verts_camera, scene.model.faces, placed.intrinsics / HAND_CELL, cells).depth
        depth = torch.where(clip.has_hand[index][:, None, None], depth, torch.full_like(depth, FAR))
        rng = np.random.default_rng(seed)
        drawn = []
        for i, contour in zip(index.tolist(), own_outlines(clip, index), strict=True):
            inside = (clip.object_mask[i] > 0.5).nonzero()
            outline = contour if len(contour) else inside
            each = [some[torch.from_numpy(rng.integers(len(some), size=count // 2))] for some in (inside, outline)]
            drawn.append(torch.cat(each).flip(1).float() + 0.5)
        edges, known, pixels = carver.edges[index][:, [0, 2]], clip.known[index], torch.stack(drawn)
        return cls(edges, known, depth, pixels, placed.intrinsics, placed.T_camera_hand)

    def __len__(self) -> int:
        return len(self.pixels)

    def misses(
        self, camera: Float[Tensor, "b k p 3"], spacing: Float[Tensor, " b"], index: Int[Tensor, " j"]
    ) -> Float[Tensor, "b j"]:
        """By how much (m) points of b surfaces before the cameras disagree with the frames `index`, each.

        Pixels count as covered by a point that is nearer than `spacing` (m): else small surfaces, whose points lie more
        densely, would seem to cover more.
        """
        return torch.stack([self._missed(camera[:, i], spacing, i) for i in index.tolist()], dim=1)

    def _missed(self, camera: Float[Tensor, "b p 3"], spacing: Float[Tensor, " b"], i: int) -> Float[Tensor, " b"]:
        """Surface beside both masks or before the hand, and pixels of the object's mask that it does not cover."""
        seen = where_seen(self.edges[i], self.known[i], camera, self.intrinsics[i])
        either, hand = seen.edges
        beside = torch.relu(either + seen.beyond) * seen.metres * seen.known
        behind = F.grid_sample(
            self.hand_depth[i][None, None], seen.unit, mode="nearest", padding_mode="border", align_corners=False
        )[0, 0]
        before = torch.where((behind > 0) & (behind < FAR / 2), behind - camera[..., 2] - DEPTH_SLACK, -behind)
        before = torch.minimum(torch.relu(before), torch.relu(-hand) * seen.metres)
        apart = torch.cdist(self.pixels[i].expand(len(camera), -1, -1), seen.pixel).amin(dim=2)
        uncovered = torch.relu(apart * seen.metres.mean(dim=1, keepdim=True) - spacing[:, None])
        return torch.stack([each.clamp(max=REACH).mean(dim=1) for each in (beside, before, uncovered)]).sum(dim=0)
