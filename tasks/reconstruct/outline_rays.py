"""Rays through the outlines of an object's masks, which pass a known surface by nothing where it is placed rightly."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.datasets.clips.clip import Clip
from hoprior.geometry.sdf import SdfGrid
from hoprior.tasks.reconstruct.observations import own_outlines
from hoprior.tasks.reconstruct.visual_hull import Carver

REACH = 0.03
"""Metres up to which misses count."""
SAMPLES, FINER = 20, 7
"""Points of a ray at which the surface is looked for; and between these, about the nearest of them."""
FEW = 8
"""An outline of fewer pixels tells nothing."""
INSIDE_REACH, HALVINGS = 0.02, 4
"""How far (m) the edge of what rays go through is looked for, by halving this so often."""
THIN = 0.35
"""Of a lattice's cell: a wall may be lost between its points, so what is so near counts as gone through."""
ASIDE, LEAST_SLOPE = 0.002, 0.5
"""Through an edge rays leave a surface faster than they go deep: depths are divided by how fast, as rays so far (m)
outwards show, and at least by so much."""


@dataclass(frozen=True)
class OutlineRays:
    """Rays of k frames through pixels of the object's own outline, as directions of depth one before the camera.

    The outline is where neither a hand nor the picture's edge is beside the mask. Surface that lies too near is as
    wrong there as surface that lies too far; points and pixels (`FrameViews`) notice both later.
    """

    directions: Float[Tensor, "k m 3"]
    outwards: Float[Tensor, "k m 3"]
    """Out of the mask, in the picture's plane; of length one."""
    tells: Float[Tensor, " k"]
    """1 where a frame has an outline."""
    exact: bool
    """Whether a ray through a surface misses it by how far its edge is in the picture's plane, or by how deep it goes.
    Depths are cheaper and have fewer valleys, but draw surfaces nearer: a mug's wall is never deep."""

    @classmethod
    def of(
        cls,
        clip: Clip,
        carver: Carver,
        intrinsics: Float[Tensor, "k 4"],
        index: Int[Tensor, " k"],
        count: int,
        seed: int,
        exact: bool = False,
    ) -> "OutlineRays":
        """`count` pixels of each of the frames `index`."""
        rng = np.random.default_rng(seed)
        pixels, outwards, tells = [], [], []
        for i, outline in zip(index.tolist(), own_outlines(clip, index), strict=True):
            contour = outline if len(outline) >= FEW else torch.zeros(1, 2, dtype=torch.long)
            drawn = contour[torch.from_numpy(rng.integers(len(contour), size=count))]
            pixels.append(drawn.flip(1) + 0.5)
            outwards.append(_uphill(carver.edges[i, 1], drawn))
            tells.append(float(len(outline) >= FEW))
        found = (torch.stack(pixels) - intrinsics[:, None, 2:]) / intrinsics[:, None, :2]
        return cls(F.pad(found, (0, 1), value=1.0), F.pad(torch.stack(outwards), (0, 1)), torch.tensor(tells), exact)

    def misses(
        self,
        distance: SdfGrid,
        turn: Float[Tensor, "b j 3 3"],
        place: Float[Tensor, "b j 3"],
        size: Float[Tensor, " b"],
        middle: Float[Tensor, " 3"],
        radius: float,
        index: Int[Tensor, " j"],
    ) -> Float[Tensor, " b"]:
        """By how much (m) rays of the frames `index` pass b placed surfaces, or go through them, in the mean.

        Args:
            distance: to the surface, in its own frame and size.
            turn: from its frame to the camera's.
            place: of its middle before the camera, m.
            size: how many times as large it is.
            middle: in its own frame.
            radius: how far it reaches from there.
            index: of these frames.
        """
        scale = size[:, None, None, None]
        along = self.directions[index] @ turn / scale
        origin = middle - (place[:, :, None] @ turn) / scale

        def at(along: Float[Tensor, "b j m 3"], depth: Float[Tensor, "b j m s"]) -> Float[Tensor, "b j m s"]:
            points = origin[:, :, :, None] + depth[..., None] * along[:, :, :, None]
            return distance(points.flatten(1, 3)).reshape(depth.shape) * scale

        def nearest_on(
            along: Float[Tensor, "b j m 3"], about: Float[Tensor, "b j m 1"], wide: Tensor, samples: int
        ) -> Float[Tensor, "b j m 1"]:
            depth = about + wide * torch.linspace(-1, 1, samples)
            return depth.gather(3, at(along, depth).argmin(dim=3, keepdim=True))

        aside = (self.outwards[index] / place[:, :, 2, None, None]) @ turn / scale
        with torch.no_grad():
            reach = (radius * size)[:, None, None, None]
            about = place[:, :, 2, None, None].expand(*along.shape[:3], 1)

            def inside(offset: Float[Tensor, "b j m 1"]) -> Bool[Tensor, "b j m 1"]:
                moved = along + offset * aside
                return at(moved, nearest_on(moved, about, reach, SAMPLES)) < THIN * distance.cell * scale

            inner = _last_inside(inside, about) if self.exact else torch.zeros_like(about)
            moved, step = along + inner * aside, 2 * reach / (SAMPLES - 1)
            nearest = nearest_on(moved, nearest_on(moved, about, reach, SAMPLES), step, FINER)
            slope = torch.ones_like(about)
            if self.exact:
                beyond = moved + ASIDE * aside
                left = at(beyond, nearest_on(beyond, nearest, step, FINER)) - at(moved, nearest)
                slope = (left / ASIDE).clamp(LEAST_SLOPE, 1.0)
        passed = at(along + inner * aside, nearest)
        passed = torch.where(passed < 0, passed / slope, passed) - inner
        passed = passed[..., 0].abs().clamp(max=REACH).mean(dim=2)
        return (passed * self.tells[index]).sum(dim=1) / self.tells[index].sum().clamp(min=1)


def _last_inside(inside: Callable[[Tensor], Tensor], like: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Up to which offset (m) something is still `inside`, by halving; 0 where it is not so to begin with."""
    inner = torch.zeros_like(like)
    outer = torch.where(inside(inner), INSIDE_REACH, 0.0)
    for _ in range(HALVINGS):
        middle = (inner + outer) / 2
        still = inside(middle)
        inner, outer = torch.where(still, middle, inner), torch.where(still, outer, middle)
    return inner


def _uphill(values: Float[Tensor, "s s"], cells: Int[Tensor, "m 2"]) -> Float[Tensor, "m 2"]:
    """The direction (x, y) in which values of a picture grow at some of its cells (row, column)."""
    last = len(values) - 1

    def around(axis: int) -> Tensor:
        step = torch.tensor([axis == 0, axis == 1]).long()
        after, before = ((cells + sign * step).clamp(0, last) for sign in (1, -1))
        return values[after[:, 0], after[:, 1]] - values[before[:, 0], before[:, 1]]

    return F.normalize(torch.stack([around(1), around(0)], dim=1), dim=1)
