"""Rigid transforms, as 4x4 matrices; `rigid` and `transform_points` are in `state.py`."""

from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.state import rigid


def rotate_about(
    centre: Float[Tensor, " 3"], turn: Float[Tensor, "b 3"], shift: Float[Tensor, "b 3"] | None = None
) -> Float[Tensor, "b 4 4"]:
    """Turns by axis-angles (radians) about a point, which then moves by `shift`, if it is given.

    Example:
        >>> import torch
        >>> T = rotate_about(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([[0.0, 0.0, torch.pi]]))
        >>> [round(x, 3) for x in T[0, :3, 3].tolist()]
        [2.0, 0.0, 0.0]
    """
    rotation = rotvec_to_rotmat(turn)
    return rigid(rotation, (centre if shift is None else centre + shift) - rotation @ centre)


def invert(T: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4 4"]:
    """The inverse of rigid transforms.

    Example:
        >>> import torch
        >>> T = rotate_about(torch.tensor([0.1, 0.0, 0.0]), torch.tensor([[0.0, 0.0, 1.0]]))
        >>> torch.allclose(invert(T) @ T, torch.eye(4), atol=1e-6)
        True
    """
    rotation = T[:, :3, :3].mT
    return rigid(rotation, -(rotation @ T[:, :3, 3:])[..., 0])


def mirrored_transform(T: Float[Tensor, "*b 4 4"]) -> Float[Tensor, "*b 4 4"]:
    """The same transform between two frames, each in the mirror y -> -y.

    Example:
        >>> import torch
        >>> T = rotate_about(torch.zeros(3), torch.tensor([[0.0, 0.0, 0.5]]), torch.tensor([[0.1, 0.2, 0.3]]))
        >>> mirrored_transform(T)[0, :3, 3]
        tensor([ 0.1000, -0.2000,  0.3000])
        >>> torch.equal(mirrored_transform(mirrored_transform(T)), T)
        True
    """
    sign = T.new_tensor([1.0, -1.0, 1.0, 1.0])
    return sign[:, None] * T * sign + 0.0  # no negative zeros: results are read by people


def mirrored_in_picture(T_camera_hand: Float[Tensor, "*b 4 4"]) -> Float[Tensor, "*b 4 4"]:
    """A hand's frame before a camera whose picture is mirrored, x -> -x, with the hand's own frame in y -> -y.

    Example:
        >>> import torch
        >>> T = torch.eye(4)
        >>> T[:3, 3] = torch.tensor([0.1, 0.2, 0.3])
        >>> mirrored_in_picture(T)[:, 3], torch.equal(mirrored_in_picture(mirrored_in_picture(T)), T)
        (tensor([-0.1000,  0.2000,  0.3000,  1.0000]), True)
    """
    across = T_camera_hand.new_tensor([-1.0, 1.0, 1.0, 1.0])
    return across[:, None] * T_camera_hand * T_camera_hand.new_tensor([1.0, -1.0, 1.0, 1.0]) + 0.0
