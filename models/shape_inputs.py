"""What the prior of shapes is shown: an object's box, from where it was seen, and the hand that holds it."""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.regions import Regions
from hoprior.hand.joint_order import FINGERS, JOINT_NAMES, TIP_FINGERS
from hoprior.priors.records import ObjectView

MARGIN = 1.3
"""Sides of the box that is looked at, over what the object takes of it."""
SLENDER = 0.12
"""The box's sides are at least so much of its longest."""
WAYS = 5
"""Directions that it is told of: to the cameras, up in their pictures, and along the hand's fingers, out of its palm,
and to its thumb's side."""
FINGER_RADIUS, PALM_RADIUS = 0.0085, 0.0125
"""Of the capsules (m) that stand for a hand."""


class Box(NamedTuple):
    """A box along an object's own axes, the longest last: a blade gets as many cells across as along."""

    center: Float[Tensor, " 3"]
    """In the object's frame, m."""
    axes: Float[Tensor, "3 3"]
    """Its columns are the box's x, y and z in the object's frame."""
    half: Float[Tensor, " 3"]
    """Half its sides, m."""

    @property
    def scale(self) -> float:
        """The geometric mean of half its sides, m: the unit of distances."""
        return float(self.half.log().mean().exp())

    def points(self, resolution: int) -> Float[Tensor, "n 3"]:
        """Points of the object's frame, in the order of a flattened (z, y, x) tensor."""
        axis = torch.linspace(-1, 1, resolution, device=self.half.device)
        z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
        return (torch.stack([x, y, z], dim=-1).reshape(-1, 3) * self.half) @ self.axes.T + self.center

    def unit(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Points of the object's frame as the box has them, -1 .. 1 inside it."""
        return (points - self.center) @ self.axes / self.half


def box_around(points: Float[Tensor, "n 3"]) -> Box:
    """The box around points that fill an object, along its principal axes.

    Example:
        >>> fill = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.02, 0.3, 0.04])
        >>> box_around(fill).half.round(decimals=2)  # the longest side is the last
        tensor([0.0200, 0.0300, 0.1900])
    """
    mean = points.mean(dim=0)
    _, axes = torch.linalg.eigh((points - mean).T.double() @ (points - mean).double())
    axes = axes.to(points)
    along = points @ axes
    low, high = along.amin(dim=0), along.amax(dim=0)
    order = (high - low).argsort()
    axes, low, high = axes[:, order], low[order], high[order]
    half = MARGIN * (high - low) / 2
    return Box(axes @ (low + high) / 2, axes, half.clamp(min=SLENDER * float(half[2])).clamp(min=1e-3))


def tidied(values: Float[Tensor, "r r r"], box: Box) -> Float[Tensor, "r r r"]:
    """Distances to the surface of the largest part of an object on a box's grid, m.

    What carving and fits leave are distances near the surface only, and what they are elsewhere differs from clip to
    clip. Nearer than a cell they stay as they are.

    Raises:
        HopriorError: the grid has no inside.
    """
    parts = Regions.of((values < 0).cpu().numpy())
    if not len(parts):
        raise HopriorError("prior of shapes: the object's grid of distances has no inside")
    inside = parts.largest
    cell = (box.half.flip(0) * 2 / (len(values) - 1)).tolist()
    far = distance_transform_edt(~inside, sampling=cell) - distance_transform_edt(inside, sampling=cell)
    found = torch.from_numpy(far).to(values)
    own = torch.from_numpy(inside).to(values.device) == (values < 0)
    near = own & (values.abs() < min(cell)) & (found.abs() < 2 * max(cell))
    return torch.where(near, values, found - found.sign() * min(cell) / 2)


def _bones() -> list[tuple[int, int, float]]:
    """Ends and radii of the hand's capsules: from the wrist to each finger, along it, and across the knuckles."""
    found = []
    for finger in TIP_FINGERS:
        chain = [JOINT_NAMES.index(f"{finger}{k}") for k in (1, 2, 3)] + [JOINT_NAMES.index(f"{finger}_tip")]
        found += [(0, chain[0], PALM_RADIUS), *((a, b, FINGER_RADIUS) for a, b in pairwise(chain))]
    knuckles = [JOINT_NAMES.index(f"{finger}1") for finger in ("index", "middle", "ring", "pinky")]
    return found + [(a, b, PALM_RADIUS) for a, b in pairwise(knuckles)]


BONES = _bones()


def hand_distance(points: Float[Tensor, "n 3"], joints: Float[Tensor, "21 3"]) -> Float[Tensor, " n"]:
    """Signed distances (m) to a hand made of capsules between its joints; both in one frame.

    Example:
        >>> joints = torch.zeros(21, 3)  # a fist of no size
        >>> hand_distance(torch.tensor([[0.1, 0.0, 0.0]]), joints).round(decimals=2)
        tensor([0.0900])
    """
    first, second, radius = zip(*BONES, strict=True)
    start, way = joints[list(first)], joints[list(second)] - joints[list(first)]
    away = points[:, None] - start
    share = ((away * way).sum(dim=-1) / way.square().sum(dim=-1).clamp(min=1e-12)).clamp(0, 1)
    reach = (away - share[..., None] * way).norm(dim=-1)
    return (reach - torch.tensor(radius).to(reach)).amin(dim=1)


def hand_ways(joints: Float[Tensor, "21 3"]) -> Float[Tensor, "3 3"]:
    """Unit vectors along a hand's fingers, out of its palm and to its thumb's side, in the joints' frame.

    They are of a right hand; in a mirror they are the mirrored hand's.
    """
    index, middle, pinky = (joints[1 + 3 * FINGERS.index(finger)] for finger in ("index", "middle", "pinky"))
    fingers = F.normalize(middle - joints[0], dim=0)
    thumb = index - pinky
    thumb = F.normalize(thumb - (thumb @ fingers) * fingers, dim=0)
    return torch.stack([fingers, torch.linalg.cross(thumb, fingers), thumb])


def ways_of(view: ObjectView, box: Box) -> Float[Tensor, "5 3"]:
    """The directions (see `WAYS`) in the box's axes; zeros are what nobody knows."""
    none = torch.zeros_like(box.half)
    held = none.expand(3, 3) if view.joints is None else hand_ways(view.joints)
    seen = [none if way is None else way for way in (view.toward, view.up)]
    return torch.cat([torch.stack(seen), held]) @ box.axes
