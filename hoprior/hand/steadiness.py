"""A clip's hands as one motion: which frames' estimates belong to it, and where the hand is in the others.

An estimator that sees one frame at a time takes a palm for a back of the hand in some, and its hand is then turned
about by its whole self from one frame to the next. No hand does that, so such frames are told by their neighbours.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.rotations import rotmat_geodesic_distance, rotvec_to_rotmat
from hoprior.hand import HandPose

TURN_SLACK, TURN_SPEED = np.radians(20), np.radians(300)
"""Estimates of one hand differ by this much (rad) even where it rests, and it turns this fast (rad/s) at most."""
SHIFT_SLACK, SHIFT_SPEED = 0.08, 3.0
"""The same of its place, in shares of its distance from the camera: estimated depths are off in proportion."""
AGREED = 0.5
"""If fewer than this share of the estimates make one motion, which of them are wrong cannot be said."""


def follows(pose: HandPose, seconds: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which of n hands make one motion: the most that each follow from the one before as fast as hands move.

    Args:
        pose: placed in the camera's frame; a frame without a hand is NaN, and does not follow.
        seconds: when each was seen, increasing.

    Returns:
        All that are finite where no motion of at least half of them is found.
    """
    finite = _flat(pose).isfinite().all(dim=1).numpy()
    known = np.flatnonzero(finite)
    rotation, place = rotvec_to_rotmat(pose.global_orient[known]), pose.transl[known].numpy()
    turned = rotmat_geodesic_distance(rotation[:, None], rotation[None]).numpy()
    away = np.linalg.norm(place, axis=1)
    shifted = np.linalg.norm(place[:, None] - place[None], axis=2) / np.minimum(away[:, None], away[None])
    passed = np.abs(seconds[known][:, None] - seconds[known][None])
    possible = (turned < TURN_SLACK + TURN_SPEED * passed) & (shifted < SHIFT_SLACK + SHIFT_SPEED * passed)
    # The longest chain that ends at each; of equally long ones, the one that has moved least.
    length, moved, before = np.ones(len(known)), np.zeros(len(known)), np.full(len(known), -1)
    for j in range(len(known)):
        for i in np.flatnonzero(possible[:j, j]):
            longer = (length[i] + 1, -(moved[i] + turned[i, j] + shifted[i, j]))
            if longer > (length[j], -moved[j]):
                length[j], moved[j], before[j] = longer[0], -longer[1], i
    if not len(known) or length.max() < AGREED * len(known):
        return finite
    chain = np.zeros(len(finite), dtype=bool)
    last = max(range(len(known)), key=lambda j: (length[j], -moved[j]))
    while last >= 0:
        chain[known[last]] = True
        last = before[last]
    return chain


def filled(pose: HandPose) -> tuple[HandPose, Bool[Tensor, " n"]]:
    """Poses in which frames without a finite estimate lie between their neighbours', and which frames had their own.

    Before the first estimate and after the last the hand rests.

    Raises:
        HopriorError: no frame has a finite estimate.

    Example:
        >>> pose = HandPose.of(torch.stack([torch.zeros(15, 3), torch.full((15, 3), torch.nan), torch.zeros(15, 3)]))
        >>> between, own = filled(pose)
        >>> bool(between.hand_pose.isfinite().all()), own
        (True, tensor([ True, False,  True]))
    """
    flat = _flat(pose)
    finite = flat.isfinite().all(dim=1)
    if not finite.any():
        raise HopriorError("the hand estimates are NaN in every frame: run the estimator again")
    known = finite.nonzero()[:, 0].numpy()
    at = np.clip(np.arange(len(flat)), known[0], known[-1])
    between = np.stack([np.interp(at, known, column) for column in flat[known].double().numpy().T], axis=1)
    angles, betas, turns, transl = torch.from_numpy(between).to(flat).split([45, 10, 3, 3], dim=1)
    if len(known) > 1:
        rotations = Slerp(known, Rotation.from_rotvec(pose.global_orient[known].double().numpy()))
        turns = torch.from_numpy(rotations(at).as_rotvec()).to(flat)
    turns = torch.where(finite[:, None], pose.global_orient, turns)  # as they were given, beyond half a turn too
    return HandPose(angles.unflatten(1, (15, 3)), betas, turns, transl), finite


def _flat(pose: HandPose) -> Float[Tensor, "n 61"]:
    return torch.cat([pose.hand_pose.flatten(1), pose.betas, pose.global_orient, pose.transl], dim=1)
