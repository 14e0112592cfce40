"""Rotations of a finger's joint as three hinges, one after the other: flexion, abduction, twist.

A pose of hoprior turns a joint about one axis. Simulators have hinges, so each joint becomes three of them, about its
anatomical axes. Their order keeps them away from where such angles are not unique: abduction, in the middle, would have
to be 90 degrees, and no joint comes near that.
"""

import itertools

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat

HINGE_NAMES = ("flexion", "abduction", "twist")
"""In the order in which they turn, from the palm outwards."""
HINGE_AXES = (1, 2, 0)
"""The rows of a hand model's `axes` that these are."""
RANGE_STEPS = 7
"""Poses along each side of a joint's limits from which the hinges' ranges are found."""


def hinges_of(hand_pose: Float[Tensor, "*b 15 3"], axes: Float[Tensor, "15 3 3"]) -> Float[Tensor, "*b 15 3"]:
    """Angles of the hinges (`HINGE_NAMES`) that turn the joints as `hand_pose` does, radians.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> bent = hand.angles_to_pose(torch.tensor([0.0, 1.2, 0.0]).expand(15, 3))
        >>> hinges_of(bent, hand.axes)[0].round(decimals=3) + 0.0
        tensor([1.2000, 0.0000, 0.0000])
    """
    first, second, third = axes[:, HINGE_AXES[0]], axes[:, HINGE_AXES[1]], axes[:, HINGE_AXES[2]]
    across = torch.cross(first, second, dim=-1)
    handed = (across * third).sum(dim=-1)  # -1 where the three axes are a left-handed frame
    frame = torch.stack([first, second, across], dim=-2)
    turned = frame @ rotvec_to_rotmat(hand_pose) @ frame.mT
    return torch.stack(
        [
            torch.atan2(-turned[..., 1, 2], turned[..., 2, 2]),
            torch.asin(turned[..., 0, 2].clamp(-1, 1)),
            handed * torch.atan2(-turned[..., 0, 1], turned[..., 0, 0]),
        ],
        dim=-1,
    )


def pose_of(hinges: Float[Tensor, "*b 15 3"], axes: Float[Tensor, "15 3 3"]) -> Float[Tensor, "*b 15 3"]:
    """The `hand_pose` that hinges' angles stand for; undoes `hinges_of`.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand, angles = load_hand(), torch.full((15, 3), 0.3)
        >>> torch.allclose(hinges_of(pose_of(angles, hand.axes), hand.axes), angles, atol=1e-5)
        True
    """
    turned = [rotvec_to_rotmat(hinges[..., k, None] * axes[:, row]) for k, row in enumerate(HINGE_AXES)]
    return rotmat_to_rotvec(turned[0] @ turned[1] @ turned[2])


def hinge_ranges(
    low: Float[Tensor, "15 3"], high: Float[Tensor, "15 3"], axes: Float[Tensor, "15 3 3"]
) -> tuple[Float[np.ndarray, "15 3"], Float[np.ndarray, "15 3"]]:
    """The least ranges of the hinges that hold all poses within a hand's limits (twist, flexion, abduction).

    They are a little wider than these: a joint that bends and spreads at once turns its hinges farther than one that
    does either.
    """
    shares = torch.linspace(0, 1, RANGE_STEPS).tolist()
    poses = []
    for share in itertools.product(shares, repeat=3):
        poses.append(torch.einsum("ja,jac->jc", low + torch.tensor(share) * (high - low), axes))
    found = hinges_of(torch.stack(poses), axes)
    return found.amin(dim=0).double().numpy(), found.amax(dim=0).double().numpy()
