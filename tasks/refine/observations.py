"""What a camera tells of a hand while its hidden joints are drawn: visible ones stay where they are seen, and hidden
ones stay out of sight."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.geometry.camera import back_project, project
from hoprior.hand import HandModel, HandPose
from hoprior.hand.bend import bent_towards
from hoprior.hand.joint_order import NEXT_JOINT
from hoprior.hand.occlusion import hidden_by_hand, on_mask, outside_mask

PLACE_SCALE = 0.01
"""Metres that a visible joint may move by at the cost of one unit of its projection's fit."""
STRICTNESS = 4
"""Power of the share of a finger's hidden joints that a sample leaves out of sight, which is its weight."""
ENOUGH = 0.25
"""Mean weight of the samples below which the first estimate takes part: none of them explains what is seen."""
CHAIN = 3
"""Rotations of a finger."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Where a hand is not seen: outside a picture of `size` (width, height; None if that is not known), outside the
    hand's `mask` if there is one, and where `objects` are in front of it.

    `complete` says that `objects` has all of them, so that nothing hides behind the background.
    """

    size: tuple[int, int] | None
    mask: Bool[np.ndarray, "h w"] | None = None
    objects: Bool[np.ndarray, "h w"] | None = None
    complete: bool = False

    def unseen(self, pixels: Float[Tensor, "n 2"]) -> Bool[Tensor, " n"]:
        """Pixels at which the picture shows something else than the hand, or nothing."""
        if self.mask is not None:
            return outside_mask(pixels, self.mask)
        return self._covered(pixels)

    def may_hide(self, pixels: Float[Tensor, "n 2"]) -> Bool[Tensor, " n"]:
        """Pixels at which a joint may be that is not seen: the same, without the background where that is known."""
        return self._covered(pixels) if self.complete else self.unseen(pixels)

    def _covered(self, pixels: Float[Tensor, "n 2"]) -> Bool[Tensor, " n"]:
        """Pixels beyond the picture, or on an object in front of the hand."""
        covered = torch.zeros(len(pixels), dtype=torch.bool)
        if self.size is not None:
            limit = torch.tensor(self.size).to(pixels) - 0.5
            covered |= ((pixels < -0.5) | (pixels > limit)).any(dim=-1)
        if self.objects is not None:
            covered |= on_mask(pixels, self.objects)
        return covered


@dataclass(frozen=True)
class HandViews:
    """b right hands before their cameras (left ones mirrored, with their cameras), metres and pixels.

    `confidence` weighs the keypoints, 0 for unknown ones; `occluded` are the joints that a camera does not see.
    `pictures` say where hands are not seen; None where nobody knows why joints are occluded. `guesses` are the weights
    of the keypoints of occluded joints, beside 1 of visible ones, as far as their estimator is known to guess well;
    without them such keypoints say nothing.
    """

    pose: HandPose
    K: Float[Tensor, "b 3 3"]
    keypoints: Float[Tensor, "b 21 2"]
    confidence: Float[Tensor, "b 21"]
    occluded: Bool[Tensor, "b 21"]
    pictures: tuple[Picture | None, ...] = ()
    guesses: Float[Tensor, " b"] | None = None

    def __len__(self) -> int:
        return len(self.pose)

    def repeated(self, times: int) -> "HandViews":
        """Each hand `times` times, one after the other."""
        return self[torch.arange(len(self)).repeat_interleave(times)]

    def __getitem__(self, index: slice | Int[Tensor, " k"]) -> "HandViews":
        """The chosen hands."""
        chosen = range(len(self))[index] if isinstance(index, slice) else index.tolist()
        return HandViews(
            self.pose[index],
            self.K[index],
            self.keypoints[index],
            self.confidence[index],
            self.occluded[index],
            tuple(self.pictures[i] for i in chosen) if self.pictures else (),
            None if self.guesses is None else self.guesses[index],
        )


def free_rotations(occluded: Bool[Tensor, "b 21"]) -> Bool[Tensor, "b 15"]:
    """Rotations that no visible joint tells of: those whose next joint is occluded.

    Example:
        >>> occluded = torch.arange(21)[None] == 17  # the index finger's tip
        >>> free_rotations(occluded).nonzero()
        tensor([[0, 2]])
    """
    return occluded[:, list(NEXT_JOINT)]


class VisibleFit:
    """How far poses are from what the camera sees of them: visible joints' projections (robust, Geman-McClure 1987)
    and, because a projection says nothing of depth, their places; guesses at occluded joints in the picture alone.

    `constrained` says of which hands a free rotation moves a visible joint; the others need no fit.
    """

    def __init__(self, hand: HandModel, views: HandViews, pixel_scale: float) -> None:
        self.hand, self.views = hand, views
        self.first = hand.joints_only(
            views.pose.hand_pose, views.pose.betas, views.pose.global_orient, views.pose.transl
        )
        extent = (views.keypoints.amax(dim=1) - views.keypoints.amin(dim=1)).amax(dim=1).clamp(min=1.0)
        self.sigma = pixel_scale * extent
        self.weight = torch.where(views.occluded, 0.0, views.confidence)
        guesses = torch.zeros(len(views)) if views.guesses is None else views.guesses
        self.guess = torch.where(views.occluded, guesses[:, None] * views.confidence, 0.0)
        self.free = free_rotations(views.occluded)
        self.seen_at = self._on_rays()
        self.constrained = (_moved_by(self.free) & (self.weight + self.guess > 0)).any(dim=1)

    def _on_rays(self) -> Float[Tensor, "b 21 3"]:
        """The first estimate's joints moved onto the rays of their keypoints, those that are far off by less."""
        views = self.views
        far = (project(self.first, views.K) - views.keypoints).square().sum(dim=-1) / self.sigma[:, None].square()
        on_ray = back_project(views.keypoints, self.first[..., 2], views.K)
        return self.first + (on_ray - self.first) / (1 + far)[..., None]

    def __call__(self, hand_pose: Float[Tensor, "b 15 3"], rows: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Of each hand, in units of the scales."""
        pose = self.views.pose[rows]
        joints = self.hand.joints_only(hand_pose, pose.betas, pose.global_orient, pose.transl)
        miss = project(joints, self.views.K[rows]) - self.views.keypoints[rows]
        squared = miss.square().sum(dim=-1) / self.sigma[rows, None].square()
        moved = (joints - self.first[rows]).square().sum(dim=-1) / PLACE_SCALE**2
        robust = squared / (1 + squared)
        return (self.weight[rows] * (robust + moved) + self.guess[rows] * robust).sum(dim=1)

    def project_to_observations(
        self, hand_pose: Float[Tensor, "b 15 3"], rows: Int[Tensor, " b"], steps: int = 1
    ) -> Float[Tensor, "b 15 3"]:
        """Poses whose visible joints are back where they are seen, by Gauss-Newton steps in the free rotations alone,
        which stay as near to `hand_pose` as that allows."""
        pose = replace(self.views.pose[rows], hand_pose=hand_pose)
        seen_at, weight, guess = self.seen_at[rows], self.weight[rows], self.guess[rows]
        return bent_towards(self.hand, pose, self.free[rows], seen_at, weight, steps, guess)


def _moved_by(free: Bool[Tensor, "b 15"]) -> Bool[Tensor, "b 21"]:
    """Joints that some free rotation moves: those beyond it on its finger."""
    moved = torch.zeros(len(free), 21, dtype=torch.bool, device=free.device)
    for first in range(0, len(NEXT_JOINT), CHAIN):
        beyond = free[:, first : first + CHAIN].cumsum(dim=1) > 0
        for k in range(CHAIN):
            moved[:, NEXT_JOINT[first + k]] = beyond[:, k]
    return moved


@torch.no_grad()
def occlusion_consistency(
    hand: HandModel, views: HandViews, hand_pose: Float[Tensor, "b s 15 3"]
) -> Float[Tensor, "b s 15"]:
    """For each rotation of each sample, the share of its finger's hidden joints that would not be seen in the picture.

    One where nobody knows why joints are hidden, and for fingers of which none is.
    """
    b, s = hand_pose.shape[:2]
    shares = torch.ones(b, s, len(NEXT_JOINT))
    known = [i for i, picture in enumerate(views.pictures) if picture is not None and bool(views.occluded[i].any())]
    for i in known:
        picture, pose = views.pictures[i], views.pose[torch.tensor([i]).expand(s)]
        assert picture is not None
        output = hand(hand_pose[i], pose.betas, pose.global_orient, pose.transl)
        pixels = project(output.joints, views.K[i : i + 1])
        unseen = hidden_by_hand(hand, output.verts, output.joints) | picture.may_hide(pixels.flatten(0, 1)).unflatten(
            0, (s, 21)
        )
        # A joint that no keypoint is known of may be anywhere.
        hidden = views.occluded[i] & (views.confidence[i] > 0)
        of_finger = torch.tensor(NEXT_JOINT).unflatten(0, (-1, CHAIN))
        count = hidden[of_finger].sum(dim=-1)
        stay = (hidden & unseen)[:, of_finger].sum(dim=-1)
        share = torch.where(count > 0, stay / count.clamp(min=1), 1.0)
        shares[i] = share.repeat_interleave(CHAIN, dim=-1)
    return shares


def weighted_mean(
    hand_pose: Float[Tensor, "b s 15 3"],
    shares: Float[Tensor, "b s 15"],
    first: Float[Tensor, "b 15 3"],
    counts: Float[Tensor, "b s"] | None = None,
) -> Float[Tensor, "b 15 3"]:
    """The samples' mean, finger by finger, of those that leave hidden joints hidden; the first estimate, which does,
    stands in where hardly any sample does. `counts`, 1 in the mean over a hand's samples, is how much each counts."""
    weight = shares.to(hand_pose)[..., None] ** STRICTNESS
    if counts is not None:
        weight = weight * counts.to(hand_pose)[..., None, None]
    total = weight.mean(dim=1)
    mean = (weight * hand_pose).mean(dim=1) / total.clamp(min=1e-6)
    trust = (total / ENOUGH).clamp(max=1.0)
    return trust * mean + (1 - trust) * first
