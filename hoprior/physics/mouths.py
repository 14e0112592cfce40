"""The mouths of vessels, which fingers keep out of: what one drinks or pours from."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.geometry.cavity import CavityGrid
from hoprior.geometry.rest_pose import UPRIGHT_COSINE
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import RestPoses
from hoprior.hand.bones import FINGER_CHAINS
from hoprior.physics.bone_samples import BoneSamples, finger_samples

WIDEST_MOUTH = 0.11
"""Mouths at least this wide (m) are no matter of fingers: hands do not reach around a bowl or a pan, and people hold it
by its rim, with a finger or the thumb inside."""
CORK = 0.03
"""How far (m) above a mouth fingers are too near to it: a tip that hovers over a cup is hardly better than in it."""
UPRIGHT_SHARE = 0.95
"""Probability that a vessel stands with its mouth up, where it can."""
ALLOWED = 0.005
"""Depth (m) in a mouth and its cork up to which a bone is taken for outside: grids are coarse."""


@dataclass(frozen=True)
class PluggedSdf:
    """The signed distance (m) of an object whose mouths are closed, at points in its frame.

    In a mouth it falls by the way to its opening, so that what is inside is drawn out where it can get out.
    """

    sdf: SdfGrid
    depth: CavityGrid

    def __call__(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """min(d, allowed - depth)."""
        return torch.minimum(self.sdf(points), ALLOWED - self.depth(points))


class VesselMouths:
    """What is in the mouths of an object, or right above them; how deep, in metres, `depth` tells.

    Args:
        sdf: the object's signed distances.
        rest: the ways it may stand, if they are known.

    Attributes:
        plugged: the object's distances as if its mouths were closed.
        rest: the same, of a vessel with its mouth up where it can stand so.
    """

    def __init__(self, sdf: SdfGrid, rest: RestPoses | None = None) -> None:
        self.sdf, self.depth = sdf, CavityGrid.of(sdf, WIDEST_MOUTH, CORK)
        self.plugged = PluggedSdf(sdf, self.depth)
        self.way_out = self.depth.way_out()
        self.rest, self.stands = _mouth_up(rest, self.way_out)

    @property
    def any(self) -> bool:
        """Whether the object has a mouth at all."""
        return self.depth.deepest > 0

    @torch.no_grad()
    def beneath(self, joints_object: Float[Tensor, "b 21 3"]) -> Float[Tensor, " b"]:
        """The share of each palm that is beneath a vessel which stands, where the table is."""
        if self.stands is None:
            return joints_object.new_zeros(len(joints_object))
        up, base = (each.to(joints_object.device) for each in self.stands)
        return (BoneSamples.of(joints_object).palm @ up < base).float().mean(dim=1)

    @torch.no_grad()
    def fingers_inside(self, joints_object: Float[Tensor, "b 21 3"]) -> Int[Tensor, " b"]:
        """How many fingers of each hand, the thumb among them, have a bone in a mouth or right above it."""
        depth = self.depth(finger_samples(joints_object))
        return (depth.unflatten(1, (len(FINGER_CHAINS), -1)).amax(dim=2) > ALLOWED).sum(dim=1)


def _mouth_up(
    rest: RestPoses | None, way_out: Float[Tensor, " 3"] | None
) -> tuple[RestPoses | None, tuple[Float[Tensor, " 3"], Float[Tensor, ""]] | None]:
    """The ways to stand of a vessel, whose mouth is up where it can stand so; and that way: what is up, and the table.

    Where no pose has the mouth up, or nothing is known of poses, they stay as they are, and there is no such way.
    """
    if rest is None or way_out is None:
        return rest, None
    cosine = rest.up_object @ way_out.to(rest.up_object.device)
    up = cosine > UPRIGHT_COSINE
    if not up.any():
        return rest, None
    best = int(cosine.argmax())
    stands = rest.up_object[best], rest.base[best]
    if up.all():
        return rest, stands
    # The poses with the mouth up share `UPRIGHT_SHARE`, the others what is left, as before among themselves.
    log_prob = rest.log_prob.clone()
    for poses, share in ((up, UPRIGHT_SHARE), (~up, 1 - UPRIGHT_SHARE)):
        log_prob[poses] += math.log(share) - rest.log_prob[poses].logsumexp(dim=0)
    return rest._replace(log_prob=log_prob), stands
