"""Cavities of an object: hollows that open to one side, as a cup's does, and how deep every place in them lies.

Of a point in a cup every line hits the cup on at least one side: what leaves by the mouth ends, the other way, in the
bottom. Of a point in a handle's loop, between the legs of tongs or under a bag's strap some lines miss on both sides.
No name and no direction is needed to tell them apart, and it does not matter how the object is turned.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation, distance_transform_edt, label, maximum
from skimage.graph import MCP_Geometric
from torch import Tensor

from hoprior.geometry.lookup import trilinear
from hoprior.geometry.sdf import SdfGrid

LINES = 64
"""Lines through each place, evenly over all directions."""
MISSES = 0.02
"""Share of the lines that may miss in a cavity: grids are coarse, spouts and lips have notches."""
BLOCKING = math.sqrt(3) / 2
"""Distance from the surface, in cells, up to which a place counts as solid: no line slips through a thin wall."""
AROUND = 4
"""Cells around the solid that are looked at: above a wide mouth nearly level lines that miss are few."""
SHALLOW = 0.025
"""What is nowhere deeper (m) is no vessel: a plate, a spoon, a dent, the foot of a cup."""
MOUTH_LAYER = 0.01
"""Depth (m) down to which a cavity's cross-section is its mouth's."""
CLEAR_WAY = 0.7
"""Length of the mean way out, 1 where all places lead the same way, from which on there is one."""
DEEPEST = 0.1
"""Depth (m) of what is closed all around, and the greatest that is told."""


@dataclass(frozen=True)
class CavityGrid:
    """How deep places lie in an object's cavities; look-ups are trilinear and differentiable in the points.

    Attributes:
        depth: (z, y, x), metres of way, around walls, from a place to where its cavity opens, and `cork` more; straight
            above the mouth what is left of `cork`; 0 elsewhere.
        lower, upper: positions of the first and the last of them in the object's frame, metres.
    """

    depth: Float[Tensor, "D H W"]
    lower: Float[Tensor, " 3"]
    upper: Float[Tensor, " 3"]

    @classmethod
    def of(cls, sdf: SdfGrid, widest: float = math.inf, cork: float = 0.0) -> "CavityGrid":
        """The cavities of the object whose signed distances these are.

        Args:
            widest: cavities with a mouth this wide (m) or wider are left out. A mouth is as wide as the disc that has
                the mean area of the cavity's first centimetre.
            cork: how far (m) above their mouths cavities are taken to reach.
        """
        solid = sdf.values.cpu().numpy() < BLOCKING * sdf.cell
        depth = _depth_of(np.packbits(solid).tobytes(), solid.shape, sdf.cell, widest, cork)
        return cls(torch.tensor(depth, device=sdf.values.device), sdf.lower, sdf.upper)

    @property
    def deepest(self) -> float:
        """Metres."""
        return float(self.depth.max())

    def way_out(self) -> Float[Tensor, " 3"] | None:
        """The unit vector (object's frame) along which the cavities' places lead out; None where it is unclear."""
        # Away from walls, where depths are not those of places.
        inside = -torch.nn.functional.max_pool3d(-self.depth[None, None], 3, stride=1, padding=1)[0, 0] > 0
        if not inside.any():
            return None
        slopes = torch.stack(torch.gradient(self.depth, spacing=self.cell), dim=-1)[inside].mean(dim=0)
        way = -slopes.flip(0)  # x, y, z
        return way / way.norm() if float(way.norm()) > CLEAR_WAY else None

    @property
    def cell(self) -> float:
        """Size of a cell, metres."""
        return float(self.upper[0] - self.lower[0]) / (self.depth.shape[2] - 1)

    def __call__(self, points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b"]:
        """Depth (m) at points in the object's frame."""
        # The grid reaches beyond the object, so that its outermost values are 0.
        # One element of the batch a thread: as `SdfGrid` looks up.
        batch = points.reshape(len(points) if points.dim() == 3 else 1, -1, 3)
        unit = 2 * (batch - self.lower) / (self.upper - self.lower) - 1
        return trilinear(self.depth.expand(len(batch), 1, -1, -1, -1), unit)[:, 0].reshape(points.shape[:-1])


@lru_cache(maxsize=8)  # an object that is grasped once is mostly grasped again, and looking for cavities takes long
def _depth_of(packed: bytes, shape: tuple[int, ...], cell: float, widest: float, cork: float) -> np.ndarray:
    """Depths everywhere, of a solid as `np.packbits` has it; not to be written to."""
    solid = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=math.prod(shape)).reshape(shape).astype(bool)
    depth = np.zeros(shape, dtype=np.float32)
    box = _box_around(solid)
    depth[box] = _depths(solid[box], cell, widest)
    if cork > 0 and depth.any():
        depth = _corked(depth, solid, cell, cork)
    # In walls, the depth of the nearer side: look-ups near a wall must not mix with it what is no place at all.
    _, nearest = distance_transform_edt(solid[box], return_indices=True)
    depth[box] = depth[box][tuple(nearest)]
    return depth


def _box_around(solid: Bool[np.ndarray, "D H W"]) -> tuple[slice, ...]:
    """The solid's box and `AROUND` cells around it: no cavity reaches far beyond the hull."""
    spans = []
    for axis in range(3):
        filled = np.flatnonzero(solid.any(axis=tuple({0, 1, 2} - {axis})))
        spans.append(slice(max(0, filled[0] - AROUND), filled[-1] + 1 + AROUND) if len(filled) else slice(0, 0))
    return tuple(spans)


def _depths(solid: Bool[np.ndarray, "d h w"], cell: float, widest: float) -> Float[np.ndarray, "d h w"]:
    """Depths in the box of a solid."""
    enclosed = ~solid & (line_coverage(solid) >= 1 - MISSES)
    if not enclosed.any():
        return np.zeros(solid.shape, dtype=np.float32)
    # Ways out end at the first place outside: no others need be walked through.
    outside = ~solid & ~enclosed & binary_dilation(enclosed, np.ones((3, 3, 3)))
    way = MCP_Geometric(np.where(enclosed | outside, 1.0, -1.0), sampling=(cell,) * 3)
    ways, _ = way.find_costs(np.argwhere(outside))
    # Ways begin at the first place outside, which a rim that blocks lines has moved out.
    depth = np.clip(ways - (1 + BLOCKING) * cell, 0.0, DEEPEST)
    depth = _of_vessels(np.where(enclosed, depth, 0.0), cell, widest)
    return depth.astype(np.float32)


def _corked(
    depth: Float[np.ndarray, "D H W"], solid: Bool[np.ndarray, "D H W"], cell: float, cork: float
) -> Float[np.ndarray, "D H W"]:
    """Depths that begin `cork` above the mouths, along each cavity's way out there."""
    hollow, number = label(depth > 0, structure=np.ones((3, 3, 3)))
    corked = np.where(depth > 0, depth + cork, 0.0)
    for k in range(1, number + 1):
        mouth = np.argwhere((hollow == k) & (depth <= MOUTH_LAYER))
        beneath = np.argwhere((hollow == k) & (depth > MOUTH_LAYER) & (depth < SHALLOW))
        if not len(mouth) or not len(beneath):
            continue  # it is closed all around
        way = mouth.mean(axis=0) - beneath.mean(axis=0)
        way /= max(float(np.linalg.norm(way)), 1e-6)
        for height in np.arange(cell / 2, cork, cell / 2):
            above = mouth + np.round(way * height / cell).astype(int)
            above = tuple(above[((above >= 0) & (above < solid.shape)).all(axis=1)].T)
            free = ~solid[above] & (depth[above] == 0)
            corked[above] = np.where(free, np.maximum(corked[above], cork - height), corked[above])
    return corked.astype(np.float32)


def _of_vessels(depth: Float[np.ndarray, "d h w"], cell: float, widest: float) -> Float[np.ndarray, "d h w"]:
    """The depths without those of hollows that are nowhere deeper than `SHALLOW`, or have a wider mouth."""
    hollow, number = label(depth > 0, structure=np.ones((3, 3, 3)))
    hollows = range(number + 1)
    greatest = np.asarray(maximum(depth, hollow, hollows))
    under_mouth = np.bincount(hollow[depth <= MOUTH_LAYER], minlength=number + 1) * cell**3 / MOUTH_LAYER
    width = 2 * np.sqrt(under_mouth / np.pi)
    return np.where(((greatest > SHALLOW) & (width < widest))[hollow], depth, 0.0)


def line_coverage(solid: Bool[np.ndarray, "d h w"], lines: int = LINES) -> Float[np.ndarray, "d h w"]:
    """For every cell, the share of `lines` lines through it that meet the solid on at least one side."""
    hits = np.zeros(solid.shape, dtype=np.int32)
    for direction in _directions(lines):
        hits += _line_meets(solid, direction)
    return hits / lines


def _directions(lines: int) -> Float[np.ndarray, "lines 3"]:
    """Evenly over half a sphere, by the golden angle."""
    height = (np.arange(lines) + 0.5) / lines
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(lines)
    radius = np.sqrt(1 - height**2)
    return np.stack([height, radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def _line_meets(solid: Bool[np.ndarray, "d h w"], direction: Float[np.ndarray, " 3"]) -> Bool[np.ndarray, "d h w"]:
    """For every cell, whether the line through it along `direction` meets the solid.

    The grid is sheared so that the line runs along one of its axes.
    """
    main = int(np.abs(direction).argmax())
    order = (main, *(axis for axis in range(3) if axis != main))
    cells = solid.transpose(order)
    slopes = direction[list(order[1:])] / direction[main]
    steps = np.arange(len(cells))
    shifts = np.round(steps[:, None] * slopes).astype(int)
    shifts -= shifts.min(axis=0)
    height, width = cells.shape[1:]
    sheared = np.zeros((len(cells), *(np.array([height, width]) + shifts.max(axis=0))), dtype=bool)
    for layer, (down, right), into in zip(cells, shifts, sheared, strict=True):
        into[down : down + height, right : right + width] = layer
    met: np.ndarray = np.any(sheared, axis=0)
    found = np.empty_like(cells)
    for k, (down, right) in enumerate(shifts):
        found[k] = met[down : down + height, right : right + width]
    return found.transpose(np.argsort(order))
