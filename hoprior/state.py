"""The state every hand-object prior looks at: where the object is around the hand, and where the hand's joints are."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

SignedDistance = Callable[[Float[Tensor, "b n 3"]], Float[Tensor, "b n"]]
"""Signed distance in metres, negative inside, of points in the object's frame; differentiable in the points."""


@dataclass(frozen=True)
class HandObjectState:
    """b hands at objects, in metres.

    `sdf` may look up one object for the whole batch or another object for each element.
    `T_object_hand` maps the canonical right-hand frame (docs/conventions.md) into the object's frame.
    `joints_hand` are the 21 joints in the canonical hand frame; the wrist is at the origin.
    """

    sdf: SignedDistance
    T_object_hand: Float[Tensor, "b 4 4"]
    joints_hand: Float[Tensor, "b 21 3"]

    def __len__(self) -> int:
        return len(self.T_object_hand)

    def object_sdf_at(self, points_hand: Float[Tensor, "n 3"]) -> Float[Tensor, "b n"]:
        """The object's signed distance at points that are fixed in the hand's frame."""
        return self.sdf(transform_points(self.T_object_hand, points_hand.expand(len(self), -1, -1)))

    def detach(self) -> "HandObjectState":
        """The same state, cut from the graph."""
        return replace(self, T_object_hand=self.T_object_hand.detach(), joints_hand=self.joints_hand.detach())


def rigid(rotation: Float[Tensor, "*b 3 3"], translation: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 4 4"]:
    """Homogeneous transform from a rotation matrix and a translation."""
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=rotation.dtype, device=rotation.device)
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    return torch.cat([top, bottom.expand(*top.shape[:-2], 1, 4)], dim=-2)


def transform_points(T_to_from: Float[Tensor, "*b 4 4"], points: Float[Tensor, "*b n 3"]) -> Float[Tensor, "*b n 3"]:
    """Points of the `from` frame in the `to` frame."""
    return points @ T_to_from[..., :3, :3].transpose(-1, -2) + T_to_from[..., None, :3, 3]
