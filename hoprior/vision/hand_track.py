"""A video's hand as one motion: sightings that belong together, the most likely motion through them, and a second look
where that motion says that the hand is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from hoprior.geometry.camera import mirrored_camera, project
from hoprior.geometry.rotations import rotmat_geodesic_distance, rotvec_to_rotmat
from hoprior.hand import HandModel, HandPose
from hoprior.hand.base import Side
from hoprior.hand.joint_order import joint_permutation
from hoprior.hand.motion import Motion, MotionConfig, Posture, Seen, most_likely_motion
from hoprior.hand.pose import mirror_points
from hoprior.hand.steadiness import filled, follows
from hoprior.vision.estimates.estimate import HandEstimate
from hoprior.vision.following import follow_hand, seen_near

SAME_TURN, SAME_PLACE = np.radians(40), 0.15
"""Sightings belong to a motion that they are turned from by less (rad), and whose joints are so near in the picture
(shares of the hand's longer side)."""
CUT, CUT_BESIDE, THUMBNAIL = 0.1, 4.0, (48, 27)
"""Mean change of grey (shares of white) from one frame to the next, at the size of a thumbnail, of another scene; and
how many times the middle change of the video it is."""
LOST = 0.1
"""Metres of uncertainty of the wrist's place from which nobody knows where a hand is."""


@dataclass(frozen=True, eq=False)
class HandTrack:
    """One hand in n frames of a video: metres in the camera's frame, radians, pixels; joints in hoprior's order.

    Attributes:
        seen: frames in which the hand was seen; in the others it is filled in.
        keypoints: where its joints were seen; NaN in frames in which it was not.
        confidence: of them; 0 there.
        K: the camera.
        pose: of the hand of `side`; one shape in all frames.
        spread: standard deviation of each joint's place beside the wrist, and of the wrist's own before the camera.
        cuts: frames with which another scene begins.
    """

    side: Side
    seen: Bool[np.ndarray, " n"]
    keypoints: Float[np.ndarray, "n 21 2"]
    confidence: Float[np.ndarray, "n 21"]
    K: Float[np.ndarray, "3 3"]
    pose: HandPose
    joints: Float[np.ndarray, "n 21 3"]
    spread: Float[np.ndarray, "n 21"]
    cuts: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.seen)

    @property
    def lost(self) -> Bool[np.ndarray, " n"]:
        """Frames in which nobody knows where the hand is, or whether it is there."""
        return self.spread[:, 0] > LOST


def track_hand(
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    seconds: Float[np.ndarray, " n"],
    side: Side,
    right: HandModel,
    *,
    focal: float | None = None,
    masks: Sequence[Bool[np.ndarray, "h w"] | None] = (),
    posture: Posture | None = None,
    config: MotionConfig | None = None,
    progress: Callable[[float], object] | None = None,
) -> HandTrack:
    """The motion of one hand of a video.

    Args:
        seconds: when each picture was taken, increasing.
        side: of the hand.
        right: the right hand's model; a left hand is tracked in the mirror.
        focal: pixels; a view of 53 degrees without.
        masks: of the hand, where they are known.
        posture: what pulls fingers to likely postures.
        progress: told the share that is done.

    Raises:
        HopriorError: no frame shows a hand of this side.
    """
    model = right if side == "right" else right.mirrored()
    tell = progress or (lambda share: None)
    found = follow_hand(images, side, model, focal, masks, lambda share: tell(0.7 * share))
    cuts = cuts_of(images)
    track = motion_of(found, seconds, side, right, cuts, posture, config)
    points = project(torch.from_numpy(track.joints), torch.from_numpy(track.K)[None])
    order = joint_permutation("mano", "mediapipe")
    missed = [k for k in range(len(track)) if not track.seen[k] and not track.lost[k]]
    again = list(found)
    for count, k in enumerate(missed):
        again[k] = seen_near(images[k], points[k, order].double().numpy(), side, model, focal) or found[k]
        tell(0.7 + 0.2 * (count + 1) / len(missed))
    agreed = [
        one if one is not None and (track.seen[k] or _agrees(one, track, k)) else None for k, one in enumerate(again)
    ]
    if any(one is not None and not track.seen[k] for k, one in enumerate(agreed)):
        track = motion_of(agreed, seconds, side, right, cuts, posture, config, together=True)
    return replace(track, notes=_notes(track))


def motion_of(
    found: Sequence[HandEstimate | None],
    seconds: Float[np.ndarray, " n"],
    side: Side,
    right: HandModel,
    cuts: Sequence[int] = (),
    posture: Posture | None = None,
    config: MotionConfig | None = None,
    together: bool = False,
) -> HandTrack:
    """The motion of one hand that was estimated in some of n frames, by whatever estimator, with one camera.

    Args:
        found: at least one estimate, of hands of `side`; frames in which it is turned or moved as no hand can be
            (`follows`) count as frames without one.
        cuts: frames with which another scene begins.
        together: whether all of them are known to be one motion.
    """
    known = [k for k, one in enumerate(found) if one is not None]
    first = found[known[0]]
    assert first is not None
    n = len(found)
    keypoints, confidence = torch.zeros(n, 21, 2), torch.zeros(n, 21)
    sizes = ((n, 15, 3), (n, 10), (n, 3), (n, 3))
    placed = HandPose(*(torch.full(size, torch.nan) for size in sizes))
    for k in known:
        one = found[k]
        assert one is not None
        pose = one.pose if side == "right" else one.pose.mirrored()
        placed.hand_pose[k], placed.betas[k] = pose.hand_pose[0], pose.betas[0]
        placed.global_orient[k], placed.transl[k] = pose.global_orient[0], pose.transl[0]
        keypoints[k], confidence[k] = one.keypoints, one.confidence
    seen = torch.tensor([one is not None for one in found])
    if not together:
        starts = [0, *cuts, n]
        for a, b in pairwise(starts):
            seen[a:b] &= torch.from_numpy(follows(placed[slice(a, b)], seconds[a:b]))
    for part in (placed.hand_pose, placed.betas, placed.global_orient, placed.transl):
        part[~seen] = torch.nan
    began, _ = filled(placed)
    K = first.K if side == "right" else mirrored_camera(first.K)
    across = torch.zeros(n, dtype=torch.bool)
    across[list(cuts)] = True
    sighted = Seen(
        began,
        K.expand(n, 3, 3),
        keypoints,
        torch.where(seen[:, None], confidence, 0.0),
        torch.from_numpy(np.asarray(seconds)),
        across,
    )
    return _track(most_likely_motion(right, sighted, config, posture), sighted, side, first.K, tuple(cuts))


def _track(motion: Motion, sighted: Seen, side: Side, K: torch.Tensor, cuts: tuple[int, ...]) -> HandTrack:
    seen = (sighted.confidence > 0).any(dim=1).numpy()
    joints = motion.joints if side == "right" else mirror_points(motion.joints)
    spread = torch.cat([motion.spread[:, :1], motion.spread_about_wrist[:, 1:]], dim=1)
    return HandTrack(
        side=side,
        seen=seen,
        keypoints=np.where(seen[:, None, None], sighted.keypoints.numpy(), np.nan),
        confidence=sighted.confidence.numpy(),
        K=K.numpy(),
        pose=motion.pose if side == "right" else motion.pose.mirrored(),
        joints=joints.numpy(),
        spread=spread.numpy(),
        cuts=cuts,
    )


def _agrees(one: HandEstimate, track: HandTrack, k: int) -> bool:
    """Whether a hand that was seen may be where the motion puts it."""
    turns = rotvec_to_rotmat(torch.cat([one.pose.global_orient, track.pose.global_orient[k : k + 1]]))
    turned = float(rotmat_geodesic_distance(turns[0], turns[1]))
    points = project(torch.from_numpy(track.joints[k : k + 1]), torch.from_numpy(track.K)[None])[0]
    extent = float((one.keypoints.amax(dim=0) - one.keypoints.amin(dim=0)).max())
    return turned < SAME_TURN and float((points - one.keypoints).norm(dim=-1).mean()) < SAME_PLACE * extent


def cuts_of(images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> tuple[int, ...]:
    """Frames with which another scene begins.

    Example:
        >>> dark, light = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 200, np.uint8)
        >>> cuts_of([dark, dark, light, light])
        (2,)
    """
    small = [
        np.asarray(Image.fromarray(image).convert("L").resize(THUMBNAIL, Image.Resampling.BOX)) for image in images
    ]
    change = np.array([np.abs(b.astype(float) - a).mean() / 255 for a, b in pairwise(small)])
    usual = float(np.median(change)) if len(change) else 0.0
    return tuple((np.flatnonzero((change > CUT) & (change > CUT_BESIDE * usual)) + 1).tolist())


def _notes(track: HandTrack) -> tuple[str, ...]:
    notes = []
    if track.cuts:
        shown = ", ".join(str(k) for k in track.cuts[:8])
        notes.append(
            f"another scene begins at {shown} (counted in the frames that were read): motion does not go on there"
        )
    filled_in = int((~track.seen).sum())
    if filled_in:
        notes.append(
            f"{filled_in} of {len(track)} frames show no such hand that fits its motion: it is filled in there"
        )
    lost = int(track.lost.sum())
    if lost:
        notes.append(
            f"in {lost} frames nobody knows where the hand is, to {100 * LOST:.0f} cm: it may not be in the picture"
        )
    return tuple(notes)
