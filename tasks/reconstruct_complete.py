"""What no mask shows: that a vessel is hollow. A prior of shapes knows whether, and where its mouth is.

Any prior with a method `complete(sdf, cond, toward, mirrored)`, as `hoprior.models.shape.ShapePrior` has, is taken.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt, label
from torch import Tensor

from hoprior.tasks.reconstruct_carve import lattice
from hoprior.tasks.reconstruct_scene import Scene

HOLLOW_SHARE = 0.15
"""An object is a vessel if so much of its inside is taken for air."""
WALL = 0.004
"""Thickness (m) of a vessel's walls: masks do not show it either."""
NECK = 0.007
"""What is thinner than twice this (m), as a handle is, has no hollow of its own."""
LID = 0.03
"""The hollow is carried on through its mouth by so much (m), where a fit has rounded the rim."""
TAPER = 0.2
"""It narrows on its way by so much, since the mouth's direction errs by some degrees."""
FINER = 2
"""Walls need so many times more cells than the outside."""


class Hollow(NamedTuple):
    """What a prior says of the air in an object."""

    share: float
    """Of the object's inside."""
    mouth: Float[Tensor, " 3"]
    """Unit vector out of the mouth, in the object's frame."""


@torch.no_grad()
def hollow_in(scene: Scene, values: Float[Tensor, "D H W"], prior: Any, cond: Tensor | None) -> Hollow:
    """Asks a prior of the air in an object of which the scene's cameras left the distances `values`."""
    axes = [torch.linspace(float(scene.lower[k]), float(scene.upper[k]), values.shape[2 - k]) for k in range(3)]
    points = lattice(axes).to(values.device)
    camera = scene.place(mesh=False).T_object_camera[:, :3, 3] - (scene.lower + scene.upper) / 2
    toward = (camera / camera.norm(dim=1, keepdim=True)).mean(dim=0)
    found = prior.complete(scene.grid(values), cond, toward, mirrored=True).at(points)
    inside = found.known & (found.filled < 0)
    air = found.known & (found.hollow < 0)
    within = air & inside
    # The air goes on through the mouth: on that side it lies outside of the object. One answer shows little of it.
    beyond = air & ~inside
    if not within.any() or not beyond.any():
        return Hollow(0.0, torch.zeros_like(toward))
    mouth, middle = ((points * each.sum(dim=0)[:, None]).sum(dim=0) / each.sum() for each in (beyond, within))
    return Hollow(float(within.sum() / inside.sum()), F.normalize(mouth - middle, dim=0))


@torch.no_grad()
def hollow_out(scene: Scene, values: Float[Tensor, "D H W"], hollow: Hollow) -> Float[Tensor, "D2 H2 W2"]:
    """Distances on a finer grid of the same box, with what lies deeper than a wall taken out, and the lid with it."""
    shape = [FINER * (size - 1) + 1 for size in values.shape]
    fine = F.interpolate(values[None, None], size=shape, mode="trilinear", align_corners=True)
    cell = scene.cell / FINER
    # What a fit leaves inside are not distances: only the surface has to be right for masks.
    depth = torch.from_numpy(distance_transform_edt((fine[0, 0] < 0).cpu().numpy())).to(fine)[None, None]
    depth = F.avg_pool3d((depth - 0.5).clamp(min=0) * cell, 3, stride=1, padding=1)
    parts, count = label((depth[0, 0] > NECK).cpu().numpy())
    if not count:
        return values
    body = parts == 1 + int(np.bincount(parts.ravel())[1:].argmax())
    grown = torch.from_numpy(body).to(fine)[None, None]
    for _ in range(round((NECK - WALL) / cell) + 1):
        grown = F.max_pool3d(grown, 3, stride=1, padding=1)
    air = torch.where(grown > 0, WALL - depth, torch.full_like(fine, WALL))
    steps = torch.arange(0, LID + cell, cell)
    unit = torch.stack(
        torch.meshgrid(*(torch.linspace(-1, 1, size, device=fine.device) for size in shape), indexing="ij")[::-1],
        dim=-1,
    )
    swept = air
    for step in steps[1:].tolist():
        moved = unit - step * hollow.mouth.to(unit) * 2 / (scene.upper - scene.lower)
        swept = torch.minimum(swept, F.grid_sample(air, moved[None], align_corners=True) + TAPER * step)
    return torch.maximum(fine, -swept)[0, 0]
