"""The most likely motion of a hand: what was seen is found again, and what was not is filled in and known less."""

from dataclasses import replace

import pytest
import torch

from hoprior.geometry.camera import intrinsics, project
from hoprior.hand import HandModel, HandPose, load_hand
from hoprior.hand.motion import Motion, MotionConfig, Seen, most_likely_motion
from hoprior.hand.steadiness import filled

FPS, N = 15.0, 16


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return load_hand()


@pytest.fixture(scope="module")
def moving(hand: HandModel) -> HandPose:
    """A hand of one shape that turns, closes and goes by, 45 cm away."""
    time = torch.arange(N) / FPS
    angles = hand.relaxed_angles + 0.5 * torch.sin(3 * time)[:, None, None] * torch.tensor([0.0, 1.0, 0.1])
    angles = angles.clamp(hand.angle_low, hand.angle_high)
    turn = torch.stack([1.2 + 0.3 * time, 0.2 * time, 0.8 * time], dim=1)
    place = torch.stack([0.1 * time - 0.05, 0.03 * torch.sin(2 * time), 0.45 + 0 * time], dim=1)
    return HandPose(hand.angles_to_pose(angles), torch.full((N, 10), 0.3), turn, place)


def joints_of(hand: HandModel, pose: HandPose) -> torch.Tensor:
    return hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)


def seen_by(hand: HandModel, pose: HandPose, unseen: list[int], noise: float = 0.0) -> Seen:
    """What an estimator says: noisy poses and pixels, none in some frames."""
    random = torch.Generator().manual_seed(3)
    K = intrinsics((640, 480)).expand(N, 3, 3)
    rough = replace(
        pose,
        global_orient=pose.global_orient + noise * torch.randn(N, 3, generator=random),
        hand_pose=hand.within_limits(pose.hand_pose + noise * torch.randn(N, 15, 3, generator=random))[0],
    )
    pixels = project(joints_of(hand, pose), K) + 40 * noise * torch.randn(N, 21, 2, generator=random)
    confidence = torch.ones(N, 21)
    confidence[unseen] = 0.0
    gone = torch.isin(torch.arange(N), torch.tensor(unseen))
    parts = [rough.hand_pose, rough.betas, rough.global_orient, rough.transl]
    lost = HandPose(*(torch.where(gone.view(-1, *[1] * (x.ndim - 1)), torch.nan, x) for x in parts))
    return Seen(filled(lost)[0], K, pixels, confidence, torch.arange(N) / FPS)


def error(hand: HandModel, found: Motion, pose: HandPose) -> torch.Tensor:
    """How far joints are off beside the wrist, (n, 21), m."""
    true = joints_of(hand, pose)
    return ((found.joints - found.joints[:, :1]) - (true - true[:, :1])).norm(dim=-1)


def test_a_motion_that_is_seen_is_found_again(hand: HandModel, moving: HandPose) -> None:
    """To what is said of how sure sightings are."""
    found = most_likely_motion(hand, seen_by(hand, moving, []), MotionConfig(pixel=0.01, depth=0.003))
    assert error(hand, found, moving).mean() < 0.002
    found = most_likely_motion(hand, seen_by(hand, moving, []))
    assert error(hand, found, moving).mean() < 0.008
    assert (found.pose.betas == found.pose.betas[:1]).all(), "one hand has one shape"
    assert found.fit.max() < 0.5


def test_noise_is_smoothed_away(hand: HandModel, moving: HandPose) -> None:
    seen = seen_by(hand, moving, [], noise=0.1)
    found = most_likely_motion(hand, seen)
    before, true = joints_of(hand, seen.pose), joints_of(hand, moving)

    def jerk(joints: torch.Tensor) -> float:
        return float((joints - true).diff(n=2, dim=0).norm(dim=-1).mean())

    assert jerk(found.joints) < 0.3 * jerk(before)
    assert error(hand, found, moving).mean() < ((before - before[:, :1]) - (true - true[:, :1])).norm(dim=-1).mean()


def test_what_is_not_seen_is_filled_in_and_known_less(hand: HandModel, moving: HandPose) -> None:
    gap = list(range(5, 11))
    found = most_likely_motion(hand, seen_by(hand, moving, gap, noise=0.03))
    spread = found.spread_about_wrist[:, 1:].mean(dim=1)
    assert spread[gap].min() > spread[[0, 1, 2, 13, 14, 15]].max()
    assert spread[7] > spread[5] and spread[8] > spread[10], "the less the farther from what was seen"
    assert error(hand, found, moving)[gap].mean() < 0.02
    assert found.fit[gap].isnan().all()


def test_joints_that_are_not_seen_are_known_less(hand: HandModel, moving: HandPose) -> None:
    whole = seen_by(hand, moving, [], noise=0.03)
    finger = [2, 3, 17]
    hidden = whole.confidence.clone()
    hidden[:, finger] = 0.0
    sure, unsure = (most_likely_motion(hand, replace(whole, confidence=one)) for one in (whole.confidence, hidden))
    assert (unsure.spread_about_wrist[:, finger] > 1.2 * sure.spread_about_wrist[:, finger]).all()
    torch.testing.assert_close(unsure.spread_about_wrist[:, 5], sure.spread_about_wrist[:, 5], rtol=0.1, atol=0.0)


def test_one_wild_sighting_hardly_moves_the_others(hand: HandModel, moving: HandPose) -> None:
    seen = seen_by(hand, moving, [])
    wild = seen.keypoints.clone()
    wild[8] = wild[8] + 80.0
    found = most_likely_motion(hand, replace(seen, keypoints=wild))
    assert error(hand, found, moving).mean() < 0.008
    assert found.fit[8] > 3 * found.fit[4]


def test_a_cut_parts_the_motion(hand: HandModel, moving: HandPose) -> None:
    """What is seen after a cut says nothing of the frames before it."""
    seen = seen_by(hand, moving, [6, 7])
    cut = torch.arange(N) == 8
    whole, parted = most_likely_motion(hand, seen), most_likely_motion(hand, replace(seen, cut=cut))
    assert (parted.spread[7] > 1.2 * whole.spread[7]).all()
    torch.testing.assert_close(parted.spread[3], whole.spread[3], rtol=0.25, atol=0.0)


def test_a_prior_of_postures_bends_what_is_not_seen(hand: HandModel, moving: HandPose) -> None:
    whole = seen_by(hand, moving, [])
    hidden = whole.confidence.clone()
    finger, rotations = [2, 3, 17], [0, 1, 2]
    hidden[:, finger] = 0.0
    hidden[:, 1] = 0.0
    seen = replace(whole, confidence=hidden)
    wanted = hand.angles_to_pose(hand.relaxed_angles + torch.tensor([0.0, 0.5, 0.0]))
    config = MotionConfig()

    def pull(hand_pose: torch.Tensor) -> torch.Tensor:
        return (hand_pose - wanted) / config.posture**2

    plain, bent = most_likely_motion(hand, seen), most_likely_motion(hand, seen, config, pull)
    away = [(one.pose.hand_pose[:, rotations] - wanted[rotations]).norm(dim=-1).mean() for one in (plain, bent)]
    assert away[1] < 0.7 * away[0]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_frames_are_a_motion_too(hand: HandModel, moving: HandPose, n: int) -> None:
    seen = seen_by(hand, moving, [])
    few = Seen(seen.pose[:n], seen.K[:n], seen.keypoints[:n], seen.confidence[:n], seen.seconds[:n])
    found = most_likely_motion(hand, few)
    assert len(found.pose) == n and found.joints.isfinite().all() and found.spread.isfinite().all()
