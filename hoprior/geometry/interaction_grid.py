"""What a grid prior's clean representation says in metres: an object's distances and a hand's joints."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.grid import GridSpec
from hoprior.geometry.lookup import trilinear_distance
from hoprior.geometry.state import HandObjectState


class InteractionGrid(NamedTuple):
    """An object's distances and a hand's joints, in metres, in the hand's frame.

    Example:
        >>> spec = GridSpec(center=(0.0, 0.0, 0.0), half_extent=0.1, resolution=8)
        >>> distance = spec.points().norm(dim=-1).reshape(1, 1, *spec.shape) - 0.05
        >>> state = InteractionGrid(distance, torch.zeros(1, 21, 3), spec).state()
        >>> round(float(state.sdf(torch.tensor([[[0.08, 0.0, 0.0]]]))), 2)
        0.03
    """

    object_sdf: Float[Tensor, "b 1 D H W"]
    """Signed distances within the VQ-VAE's truncation."""
    joints_hand: Float[Tensor, "b 21 3"]
    """All joints; with a field of 15 channels the fingertips, which it does not hold, are NaN."""
    spec: GridSpec

    def state(self) -> HandObjectState:
        """The same as a state: the object's frame is the hand's, its distance trilinear in the grid."""

        def sdf(points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
            center = torch.tensor(self.spec.center, dtype=points.dtype, device=points.device)
            half = center.new_full((3,), self.spec.half_extent)
            return trilinear_distance(self.object_sdf, (points - center) / half, half)[:, 0]

        eye = torch.eye(4, dtype=self.joints_hand.dtype, device=self.joints_hand.device)
        return HandObjectState(sdf, eye.expand(len(self.joints_hand), 4, 4), self.joints_hand)
