"""What priors look at: where the object is around the hand, where the hand's joints are, and how they are bent."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.common.constants import constant
from hoprior.errors import HopriorError

SignedDistance = Callable[[Float[Tensor, "b n 3"]], Float[Tensor, "b n"]]
"""Signed distance in metres, negative inside, of points in the object's frame; differentiable in the points.

One that has a method `of_rows(rows)`, as grids have, says by it how some of the b rows of points are looked up.
"""


class RestPoses(NamedTuple):
    """The ways up in which an object may stand: people reach for it from above or from the side.

    One set for all hands of a state, or one set for each.

    Example:
        >>> rest = RestPoses(torch.tensor([[0.0, 0.0, 1.0]]), torch.zeros(1), torch.tensor([-0.05]))
        >>> rest.up_object.shape, rest.log_prob.exp()
        (torch.Size([1, 3]), tensor([1.]))
    """

    up_object: Float[Tensor, "*b k 3"]
    """Unit vectors against gravity, in the object's frame."""
    log_prob: Float[Tensor, "*b k"]
    """Log-probability of each; they sum to one in probability."""
    base: Float[Tensor, "*b k"]
    """Height of the table along each `up_object`, in the object's frame (m): of the object's lowest point."""

    def likeliest_up(self) -> Float[Tensor, " 3"]:
        """The direction that is most probably up, of one set for all hands."""
        return self.up_object[int(self.log_prob.argmax())]

    def mirrored(self) -> "RestPoses":
        """The same in the mirror y -> -y."""
        return self._replace(up_object=self.up_object * self.up_object.new_tensor([1.0, -1.0, 1.0]))


@runtime_checkable
class Articulated(Protocol):
    """Anything that says how b hands are bent: `HandPose`, or a `HandObjectState` with a `hand_pose`."""

    @property
    def hand_pose(self) -> Float[Tensor, "b 15 3"] | None:
        """Axis-angle of the 15 finger joints from the flat hand, in the axes of the right hand's frame, radians."""
        ...


@dataclass(frozen=True)
class HandObjectState:
    """b hands at objects, in metres.

    `sdf` may look up one object for the whole batch or another object for each element.
    `T_object_hand` maps the canonical right-hand frame (docs/conventions.md) into the object's frame.
    `joints_hand` are the 21 joints in the canonical hand frame; the wrist is at the origin.
    `rest` says which way up the objects may have stood when the hand reached for them; None where nobody knows.
    `hand_pose` is how the joints are bent (axis-angle from the flat hand, radians), for priors of articulation; the
    caller sees to it that `joints_hand` are the joints of this pose. None where only the joints are known.

    Example:
        >>> def ball(points):  # of 3 cm, in the middle of the object's frame
        ...     return points.norm(dim=-1) - 0.03
        >>> state = HandObjectState(ball, torch.eye(4).repeat(2, 1, 1), torch.zeros(2, 21, 3))
        >>> len(state), state.object_sdf_at(torch.tensor([[0.05, 0.0, 0.0]])).shape
        (2, torch.Size([2, 1]))
    """

    sdf: SignedDistance
    T_object_hand: Float[Tensor, "b 4 4"]
    joints_hand: Float[Tensor, "b 21 3"]
    rest: RestPoses | None = None
    hand_pose: Float[Tensor, "b 15 3"] | None = None

    def __len__(self) -> int:
        return len(self.T_object_hand)

    def __getitem__(self, index: int | slice | list[int] | Tensor) -> "HandObjectState":
        """The chosen hands at their objects; an integer keeps a batch of one.

        Raises:
            HopriorError: a hand is chosen twice, and the distances are a function that cannot be asked so.
        """
        rows = torch.arange(len(self), device=self.device)[[index] if isinstance(index, int) else index]
        rest = self.rest
        if rest is not None and rest.up_object.dim() == 3:
            rest = RestPoses(*(part[rows] for part in rest))
        return HandObjectState(
            _of_rows(self.sdf, rows, len(self)),
            self.T_object_hand[rows],
            self.joints_hand[rows],
            rest,
            None if self.hand_pose is None else self.hand_pose[rows],
        )

    @property
    def device(self) -> torch.device:
        """Where the hands are."""
        return self.T_object_hand.device

    def object_sdf_at(self, points_hand: Float[Tensor, "n 3"]) -> Float[Tensor, "b n"]:
        """The object's signed distance at points that are fixed in the hand's frame."""
        return self.sdf(transform_points(self.T_object_hand, points_hand.expand(len(self), -1, -1)))

    def detach(self) -> "HandObjectState":
        """The same state, cut from the graph."""
        hand_pose = None if self.hand_pose is None else self.hand_pose.detach()
        return replace(
            self,
            T_object_hand=self.T_object_hand.detach(),
            joints_hand=self.joints_hand.detach(),
            hand_pose=hand_pose,
        )


def _of_rows(sdf: SignedDistance, rows: Int[Tensor, " k"], count: int) -> SignedDistance:
    """Distances of some of `count` rows, of which a function may look up another object each."""
    if hasattr(sdf, "of_rows"):
        return sdf.of_rows(rows)
    if len(rows.unique()) < len(rows):
        raise HopriorError(
            "state: a hand is chosen twice while the distances are a plain function: use an SdfGrid or SdfGridBatch"
        )

    def distance(points: Float[Tensor, "k n 3"]) -> Float[Tensor, "k n"]:
        everywhere = points.new_zeros(count, *points.shape[1:]).index_copy(0, rows, points)
        return sdf(everywhere)[rows]

    return distance


def rigid(rotation: Float[Tensor, "*b 3 3"], translation: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 4 4"]:
    """Homogeneous transform from a rotation matrix and a translation.

    Example:
        >>> rigid(torch.eye(3), torch.tensor([0.1, 0.0, 0.0]))
        tensor([[1.0000, 0.0000, 0.0000, 0.1000],
                [0.0000, 1.0000, 0.0000, 0.0000],
                [0.0000, 0.0000, 1.0000, 0.0000],
                [0.0000, 0.0000, 0.0000, 1.0000]])
    """
    bottom = constant((0.0, 0.0, 0.0, 1.0), like=rotation)
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    return torch.cat([top, bottom.expand(*top.shape[:-2], 1, 4)], dim=-2)


def transform_points(T_to_from: Float[Tensor, "*b 4 4"], points: Float[Tensor, "*b n 3"]) -> Float[Tensor, "*b n 3"]:
    """Points of the `from` frame in the `to` frame.

    Example:
        >>> transform_points(rigid(torch.eye(3), torch.tensor([0.1, 0.0, 0.0])), torch.tensor([[0.0, 0.2, 0.0]]))
        tensor([[0.1000, 0.2000, 0.0000]])
    """
    return points @ T_to_from[..., :3, :3].transpose(-1, -2) + T_to_from[..., None, :3, 3]
