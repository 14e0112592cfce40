"""Collisions of a hand's bones with an object, and fingers that close until they would meet it."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.geometry.state import SignedDistance, transform_points
from hoprior.hand import HandModel
from hoprior.physics.bone_samples import BoneSamples

SWEEP_STEPS = 24
"""Poses between an open and a closed finger: a tip moves less than twice `SWEEP_CLEARANCE` and a wall from one to the
next, so it cannot step over a wall."""
SWEEP_CLEARANCE = 0.004
"""How far (m) a bone stays from the surface on its way; the rest of its flesh is pressed out later."""
THROUGH = 0.004
"""A bone deeper (m) than this on its way, and outside at its end, went through the object; less grazes it."""


class CollisionGuard:
    """Tells which bones of a hand are clear of an object, and brings fingers as near to it as they get.

    A thin wall hides no vertex: a finger through the side of a mug is out on both sides. Its bones are not.

    Example:
        >>> from hoprior.hand import load_hand
        >>> def ball(points):  # of 4 cm, 2 cm off the palm
        ...     return (points - torch.tensor([0.09, 0.0, 0.06])).norm(dim=-1) - 0.04
        >>> guard = CollisionGuard(load_hand(), ball)
        >>> fist, blocked = guard.close_fingers(guard.hand.angle_high[None], torch.eye(4)[None])
        >>> bool((fist < guard.hand.angle_high).any()), guard.clear(fist, torch.eye(4)[None], clearance=0.0).all()
        (True, tensor(True))
    """

    def __init__(self, hand: HandModel, sdf: SignedDistance) -> None:
        self.hand, self.sdf = hand, sdf

    @torch.no_grad()
    def clear(
        self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"], clearance: float = SWEEP_CLEARANCE
    ) -> Bool[Tensor, "b 6"]:
        """Whether the bones of each finger (in `FINGER_CHAINS`' order) and of the palm are clear of the object."""
        return self._least(angles, T_object_hand) > clearance

    @torch.no_grad()
    def close_fingers(
        self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"]
    ) -> tuple[Float[Tensor, "b 15 3"], Int[Tensor, " b"]]:
        """Each finger as far on its way from open to `angles` as it gets before its bones meet the object.

        An optimiser moves a bone that is inside to the nearer side, so that a finger which starts through a cup's wall
        stays through it. A finger that has come from outside is on the side that it can be on.

        Returns:
            The angles, and how many of each hand's fingers (and its palm) meet the object when it is open; these are
            left as given.
        """
        return self._closed(angles, self._swept(angles, T_object_hand))

    @torch.no_grad()
    def passed_through(
        self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"]
    ) -> Bool[Tensor, "b 5"]:
        """Which fingers are outside of the object, on its far side: on their way from open they went through it.

        Such a finger has a handle at its back.
        """
        return _passed(self._swept(angles, T_object_hand))

    @torch.no_grad()
    def with_fingers_before(
        self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"]
    ) -> Float[Tensor, "b 15 3"]:
        """The same hands, the fingers that passed through the object brought back to the side where they came from."""
        swept = self._swept(angles, T_object_hand)
        passed = _passed(swept).repeat_interleave(3, dim=1)[..., None]
        return torch.where(passed, self._closed(angles, swept)[0], angles)

    def _closed(
        self, angles: Float[Tensor, "b 15 3"], swept: Float[Tensor, "s b 6"]
    ) -> tuple[Float[Tensor, "b 15 3"], Int[Tensor, " b"]]:
        """`close_fingers`, of hands whose way is known."""
        clear = swept > SWEEP_CLEARANCE
        free = clear[..., :-1].int().cummin(dim=0).values.sum(dim=0)  # poses of each finger until it meets the object
        share = torch.where(free > 0, (free - 1) / (SWEEP_STEPS - 1), 1.0)
        share = share.repeat_interleave(3, dim=1)[..., None]
        opened = self._opened(angles)
        return opened + share * (angles - opened), (~clear[0]).sum(dim=1)

    def _opened(self, angles: Float[Tensor, "b 15 3"]) -> Float[Tensor, "b 15 3"]:
        opened = angles.clone()
        opened[:, :12, 1] = opened[:, :12, 1].clamp(max=0.0)
        opened[:, 12:] = self.hand.relaxed_angles[12:]
        return opened

    def _swept(self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"]) -> Float[Tensor, "s b 6"]:
        """The least distances (`_least`) of hands on their way from open to `angles`."""
        opened = self._opened(angles)
        shares = torch.linspace(0, 1, SWEEP_STEPS).tolist()
        return torch.stack([self._least(opened + share * (angles - opened), T_object_hand) for share in shares])

    def _least(self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 6"]:
        """The least signed distance of each finger's bones, and of the palm's."""
        joints = self.hand.joints_only(self.hand.angles_to_pose(angles))
        distance = self.sdf(transform_points(T_object_hand, BoneSamples.of(joints).points))
        return BoneSamples.least_by_bone(distance)


def _passed(swept: Float[Tensor, "s b 6"]) -> Bool[Tensor, "b 5"]:
    """`passed_through`, of hands whose way is known."""
    depth = -swept[..., :-1]
    return (depth.amax(dim=0) > THROUGH) & (depth[-1] < 0)
