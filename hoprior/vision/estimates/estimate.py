"""One hand as some estimator saw it, in the frame of its camera; and how joints and pixels become that."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from hoprior.errors import HopriorError
from hoprior.geometry.camera import back_project, project, translation_from_pixels
from hoprior.hand import HandModel, HandPose, fit_joints
from hoprior.hand.base import Side
from hoprior.metrics.hand_validity import bone_lengths

ANGLE_PRIOR = 0.003
"""Of the fit to estimated joints, m/rad: they are good to millimetres, where recorded ones are good to less."""
BETAS_PRIOR = 0.01
"""Of the same fit, metres per standard deviation: an estimate's bone lengths say little of the shape."""
MIN_JOINTS = 6
"""Fewer joints leave a hand's place and turn open."""
DEPTH_WEIGHT = 0.2
"""Of squared misses in depth, beside those in the picture, of the same fit."""
DEPTH_ROUNDS, ROUND_STEPS = 6, 10
"""Times that joints are put on their pixels' rays and fitted again; steps of each such fit."""


@dataclass(frozen=True, eq=False)
class HandEstimate:
    """One hand in the frame of its camera: x right, y down, z away from it; metres.

    Attributes:
        name: of the hand; unique within a run.
        pose: a batch of one, of the hand of `side`.
        K: the camera's intrinsics, pixels.
        size: width and height of its picture, pixels.
        keypoints: where the 21 joints are seen, pixels, in hoprior's order.
        confidence: of the keypoints, 0 to 1; 0 for those that are not known.
        photo: the picture, upright.
        mask: where the hand is seen in it.
        objects: where something is in front of it.
        objects_complete: whether `objects` are all things that may be, so that nothing hides behind the background.
        occluded: joints that are known to be occluded; None to find out.
        guess: weight of the keypoints of occluded joints beside 1 of visible ones, of estimators that guess them well.
        text: what the hand does, where the file says it.
        source: the file.
        frame: number of the video's frame that it is of, where the file says it.
        presence: probability that it is a hand, of hands that were found in photos.
        certainty: the same, less what looks at it from elsewhere disagree (`FoundHand.certainty`).
    """

    name: str
    side: Side
    pose: HandPose
    K: Float[Tensor, "3 3"]
    size: tuple[int, int]
    keypoints: Float[Tensor, "21 2"]
    confidence: Float[Tensor, "21"]
    photo: np.ndarray | None = None
    mask: Bool[np.ndarray, "h w"] | None = None
    objects: Bool[np.ndarray, "h w"] | None = None
    objects_complete: bool = False
    occluded: Bool[Tensor, "21"] | None = None
    guess: float = 0.0
    text: str | None = None
    source: str | None = None
    notes: tuple[str, ...] = field(default=())
    presence: float | None = None
    certainty: float | None = None
    frame: int | None = None


@dataclass(frozen=True)
class Skipped:
    """A hand, or a file, that could not be used, and why."""

    name: str
    reason: str


def pose_from_joints(
    hand: HandModel,
    joints: Float[Tensor, "21 3"],
    confidence: Float[Tensor, "21"],
    K: Float[Tensor, "3 3"],
    keypoints: Float[Tensor, "21 2"] | None = None,
    scale_free: bool = False,
) -> HandPose:
    """A hand model's pose in the camera's frame, from 3D joints and, if there are any, the pixels they are seen at.

    Where there are pixels, the joints are moved along their pixels' rays to the depths that the fitted hand has, and
    fitted again: pixels are what an estimator knows best.

    Args:
        joints: metres, in the camera's axes; places of joints without confidence do not matter.
        keypoints: without them, `joints` are where the hand is.
        scale_free: whether the joints are to be scaled to the average hand first.

    Raises:
        HopriorError: fewer than `MIN_JOINTS` joints are known.

    Example:
        >>> from hoprior.hand import load_hand
        >>> from hoprior.geometry.camera import intrinsics
        >>> hand = load_hand()
        >>> before = torch.tensor([[0.0, 0.0, 0.5]])
        >>> joints = hand.joints_only(torch.zeros(1, 15, 3), transl=before)[0]
        >>> pose = pose_from_joints(hand, joints, torch.ones(21), intrinsics((640, 480)))
        >>> found = hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)[0]
        >>> bool((found - joints).norm(dim=1).max() < 0.005)
        True
    """
    weights = torch.where(joints.isfinite().all(dim=-1) & confidence.isfinite(), confidence, 0.0).clamp(min=0.0)
    if keypoints is not None:
        weights = torch.where(keypoints.isfinite().all(dim=-1), weights, 0.0)
    known = int((weights > 0).sum())
    if known < MIN_JOINTS:
        raise HopriorError(f"only {known} of 21 joints are known: a hand takes at least {MIN_JOINTS}")
    points = torch.where((weights > 0)[:, None], joints, 0.0)[None]
    if scale_free:
        points = points * _scale_to(hand, points, weights > 0)
    fit = fit_joints(hand, points, weights, fit_betas=True, angle_prior=ANGLE_PRIOR, betas_prior=BETAS_PRIOR)
    if keypoints is None:
        return fit.pose
    pixels = torch.where((weights > 0)[:, None], keypoints, 0.0)[None]
    for _ in range(DEPTH_ROUNDS):
        moved = translation_from_pixels(fit.joints, pixels, K[None], weights[None])
        on_rays = back_project(pixels, (fit.joints + moved[:, None])[..., 2], K[None])
        fit = fit_joints(
            hand,
            on_rays,
            weights,
            fit_betas=True,
            steps=ROUND_STEPS,
            angle_prior=ANGLE_PRIOR,
            betas_prior=BETAS_PRIOR,
            rays=normalize(on_rays, dim=-1),
            depth_weight=DEPTH_WEIGHT,
            start=replace(fit.pose, transl=fit.pose.transl + moved),
        )
    if bool((fit.joints[..., 2] <= 0).any()):
        raise HopriorError("the pixels put the hand behind the camera: are the joints in the order that is said?")
    return fit.pose


def seen_at(hand: HandModel, pose: HandPose, K: Float[Tensor, "3 3"]) -> Float[Tensor, "21 2"]:
    """The pixels of a pose's joints.

    Example:
        >>> from hoprior.hand import load_hand
        >>> from hoprior.geometry.camera import intrinsics
        >>> from dataclasses import replace
        >>> pose = replace(HandPose.of(torch.zeros(1, 15, 3)), transl=torch.tensor([[0.0, 0.0, 0.5]]))
        >>> seen_at(load_hand(), pose, intrinsics((640, 480)))[0].round()  # the wrist, in the middle
        tensor([320., 240.])
    """
    joints = hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    return project(joints, K[None])[0]


def _scale_to(hand: HandModel, joints: Float[Tensor, "1 21 3"], known: Bool[Tensor, "21"]) -> float:
    """The factor that gives joints the average hand's size, by the bones of which both ends are known."""
    average = bone_lengths(hand.joints_only(hand.axes.new_zeros(1, 15, 3)))[0]
    unknown = torch.where(known[:, None], 0.0, torch.nan)
    lengths = bone_lengths(joints + unknown)[0]
    both = lengths.isfinite() & (lengths > 0)
    return float(average[both].sum() / lengths[both].sum()) if bool(both.any()) else 1.0
