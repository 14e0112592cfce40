"""What no mask shows: that a vessel is hollow. A prior of shapes knows whether, and where its mouth is.

Any prior that `hoprior.priors.CompletesShape` describes is taken.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from hoprior.geometry.regions import Regions
from hoprior.geometry.state import transform_points
from hoprior.geometry.transforms import invert
from hoprior.priors.asking import shaped
from hoprior.priors.protocols import CompletesShape
from hoprior.priors.records import ObjectView
from hoprior.tasks.reconstruct.scene import Scene

MIN_OPENING_CONFIDENCE = 0.5
"""An object is a vessel if its mouth is so sure: opening the wrong end costs twice what a closed one does."""
WALL_THICKNESS = 0.004
"""Thickness (m) of a vessel's walls: masks do not show it either."""
MIN_BODY_HALF_THICKNESS = 0.007
"""What is thinner than twice this (m), as a handle is, has no hollow of its own."""
OPENING_REACH = 0.03
"""The hollow is carried on through its mouth by so much (m), where a fit has rounded the rim."""
OPENING_TAPER = 0.2
"""It narrows on its way by so much, since the mouth's direction errs by some degrees."""
MIN_SPREAD_DIFFERENCE = 0.25
"""A body's axis is known if along it the body's spread differs by so much (of itself) from those across."""
EDGE_ROUNDING = 0.003
"""Where hollow and outside meet, edges thinner than a quarter of this (m) are taken off: cells cannot hold them."""
WALL_REFINEMENT = 2
"""Walls need so many times more cells than the outside."""


class Hollow(NamedTuple):
    """What a prior says of the air in an object."""

    sure: float
    """That there is a mouth, and there: 0 to 1."""
    mouth: Float[Tensor, " 3"]
    """Unit vector out of the mouth, in the object's frame."""


@torch.no_grad()
def filmed(scene: Scene) -> ObjectView:
    """From where an object was seen, and the hand that holds it, in the middle frame."""
    placed = scene.place(mesh=False)
    T_object_camera, middle = placed.T_object_camera, len(scene) // 2
    toward = F.normalize(T_object_camera[:, :3, 3] - (scene.lower + scene.upper) / 2, dim=1)
    joints = transform_points(invert(placed.T_hand_object[middle : middle + 1]), placed.hand.joints[middle][None])[0]
    return ObjectView(toward.mean(dim=0), -T_object_camera[:, :3, 1].mean(dim=0), joints)


@torch.no_grad()
def hollow_in(scene: Scene, values: Float[Tensor, "D H W"], prior: CompletesShape, cond: Tensor | None) -> Hollow:
    """Asks a prior of the air in an object of which the scene's cameras left the distances `values`."""
    completion = prior.complete(scene.grid(values), cond, filmed(scene), True)
    mouth = shaped(prior, "complete", completion.mouth, None, 3, what="mouths").mean(dim=0)
    return Hollow(float(mouth.norm()), F.normalize(mouth, dim=0))


def along_axis(points: Float[Tensor, "n 3"], mouth: Float[Tensor, " 3"]) -> Float[Tensor, " 3"]:
    """A mouth's direction brought to the axis, of those of a body that `points` fill, that is nearest to it.

    What a vessel is made on, a wheel or a lathe, is round about its axis. A fit knows the axis by few degrees, and the
    prior which of its ends is open. Of a body as long as wide nobody knows an axis: the direction stays.

    Example:
        >>> long = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.01, 0.01, 1.0])
        >>> along_axis(long, torch.tensor([0.1, 0.0, 0.9])).round(decimals=1).abs()
        tensor([0., 0., 1.])
    """
    away = (points - points.mean(dim=0)).double()
    variance, axes = torch.linalg.eigh(away.T @ away / len(points))
    spread, axes = variance.sqrt().float(), axes.T.to(mouth)
    which = int((axes @ mouth).abs().argmax())
    others = torch.cat([spread[:which], spread[which + 1 :]])
    known = float(((spread[which] - others).abs().min() / spread[which] / MIN_SPREAD_DIFFERENCE).clamp(max=1))
    return F.normalize((1 - known) * mouth + known * (axes[which] @ mouth).sign() * axes[which], dim=0)


@torch.no_grad()
def hollow_out(scene: Scene, values: Float[Tensor, "D H W"], hollow: Hollow) -> Float[Tensor, "D2 H2 W2"]:
    """Distances on a finer grid of the same box, with what lies deeper than a wall taken out, and the lid with it."""
    shape = [WALL_REFINEMENT * (size - 1) + 1 for size in values.shape]
    fine = F.interpolate(values[None, None], size=shape, mode="trilinear", align_corners=True)
    cell = scene.cell / WALL_REFINEMENT
    # What a fit leaves inside are not distances: only the surface has to be right for masks.
    depth = torch.from_numpy(distance_transform_edt((fine[0, 0] < 0).cpu().numpy())).to(fine)[None, None]
    depth = F.avg_pool3d((depth - 0.5).clamp(min=0) * cell, 3, stride=1, padding=1)
    parts = Regions.of((depth[0, 0] > MIN_BODY_HALF_THICKNESS).cpu().numpy())
    if not len(parts):
        return values
    body = parts.largest
    mouth = along_axis(torch.from_numpy(np.argwhere(body)).to(fine).flip(1) * cell, hollow.mouth.to(fine))
    grown = torch.from_numpy(body).to(fine)[None, None]
    for _ in range(round((MIN_BODY_HALF_THICKNESS - WALL_THICKNESS) / cell) + 1):
        grown = F.max_pool3d(grown, 3, stride=1, padding=1)
    air = torch.where(grown > 0, WALL_THICKNESS - depth, torch.full_like(fine, WALL_THICKNESS))
    steps = torch.arange(0, OPENING_REACH + cell, cell)
    unit = torch.stack(
        torch.meshgrid(*(torch.linspace(-1, 1, size, device=fine.device) for size in shape), indexing="ij")[::-1],
        dim=-1,
    )
    swept = air
    for step in steps[1:].tolist():
        moved = unit - step * mouth * 2 / (scene.upper - scene.lower)
        swept = torch.minimum(swept, F.grid_sample(air, moved[None], align_corners=True) + OPENING_TAPER * step)
    return without_thin_edges(fine, -swept)[0, 0]


def without_thin_edges(
    distance: Float[Tensor, "*d"], other: Float[Tensor, "*d"], width: float = EDGE_ROUNDING
) -> Float[Tensor, "*d"]:
    """The larger of two distances, and more where they are alike: a polynomial smooth maximum.

    Of what lies in both, the surfaces stay where the other is more than `width` away; edges between them are rounded.

    Example:
        >>> without_thin_edges(torch.tensor([0.01, -0.01]), torch.tensor([-0.01, -0.01])).round(decimals=4)
        tensor([ 0.0100, -0.0092])
    """
    alike = (1 - (distance - other).abs() / width).clamp(min=0)
    return torch.maximum(distance, other) + width / 4 * alike.square()
