"""Which hand of a video is followed, which sightings are its motion's, and where scenes begin."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hand_estimates import estimate

from hoprior.errors import HopriorError
from hoprior.geometry.camera import mirrored_camera
from hoprior.hand import load_hand
from hoprior.hand.base import Side
from hoprior.vision.estimates import HandEstimate
from hoprior.vision.following import UNSURE, chosen_of
from hoprior.vision.hand_track import HandTrack, cuts_of, motion_of
from hoprior.vision.sightings import FoundHand

SHAPE = np.random.default_rng(0).uniform(0, 100, (21, 2))


def found(x: float, side: Side, sure: float = 0.9) -> FoundHand:
    return FoundHand(SHAPE + np.array([x, 0.0]), np.zeros((21, 3)), side, sure, 0.95)


def test_the_hand_that_is_seen_most_surely_is_followed() -> None:
    frames = [[found(0, "right"), found(600, "left", 0.6)], [found(10, "right")], [], [found(20, "right")]]
    chosen = chosen_of(frames)
    assert (chosen.side, chosen.others, chosen.asked) == ("right", 1, 4)
    assert chosen_of(frames, "left").side == "left"


def test_of_two_hands_that_are_said_to_be_of_one_side_the_less_sure_is_of_the_other() -> None:
    frames = [
        [found(0, "left", 0.99), found(600, "left", 0.7)],
        [found(600, "left", 0.6)],
        [found(600, "right", 0.9)],
    ] * 2
    assert chosen_of(frames).side == "right"


def test_a_side_that_sightings_contradict_is_a_guess() -> None:
    doubtful = chosen_of([[found(0, "left")], [found(5, "right")], [found(0, "left")], [found(5, "right")]])
    assert doubtful.balance < UNSURE < chosen_of([[found(0, "left")]] * 4).balance


def test_without_any_hand_one_sentence_says_so() -> None:
    with pytest.raises(HopriorError, match=r"no hand is found in 3 frames.*--side"):
        chosen_of([[], [], []])


def test_scenes_begin_where_pictures_change_and_not_where_they_flicker() -> None:
    rng = np.random.default_rng(1)
    first, second = (rng.integers(0, 255, (36, 64, 3), dtype=np.uint8) for _ in range(2))
    assert cuts_of([first, first, second, second, second]) == (2,)
    moving = [np.roll(first, 3 * k, axis=1) for k in range(6)]
    assert cuts_of(moving) == ()
    assert cuts_of([first]) == ()


def still(count: int, side: Side = "right") -> list[HandEstimate | None]:
    """A hand that rests; a left one is the right one in a mirror."""
    one = estimate()
    if side == "left":
        one = replace(one, side="left", pose=one.pose.mirrored(), K=mirrored_camera(one.K))
    return [one] * count


def tracked(hands: list[HandEstimate | None], side: Side = "right", **more: object) -> HandTrack:
    return motion_of(hands, np.arange(len(hands)) / 15, side, load_hand(), **more)  # type: ignore[arg-type]


def test_a_hand_in_the_mirror_moves_as_a_mirror_image() -> None:
    right, left = tracked(still(6)), tracked(still(6, "left"), "left")
    np.testing.assert_allclose(left.joints * [1, -1, 1], right.joints, atol=1e-5)
    np.testing.assert_allclose(left.spread, right.spread, rtol=1e-3)


def test_a_sighting_that_no_hand_could_turn_to_counts_as_none() -> None:
    hands = still(9)
    one = hands[4]
    assert one is not None
    about = torch.tensor([[0.0, 0.0, np.pi / 2]], dtype=one.pose.global_orient.dtype)
    hands[4] = replace(one, pose=replace(one.pose, global_orient=one.pose.global_orient + about))
    track = tracked(hands)
    assert track.seen.tolist() == [k != 4 for k in range(9)]
    assert np.isnan(track.keypoints[4]).all() and np.isfinite(track.joints).all()
    np.testing.assert_allclose(track.joints[4], track.joints[3], atol=2e-3)


def test_after_a_cut_a_hand_may_be_elsewhere() -> None:
    hands = still(12)
    one = hands[0]
    assert one is not None
    moved = torch.tensor([[0.3, 0.0, 0.2]])
    away = replace(one, pose=replace(one.pose, transl=one.pose.transl + moved))
    hands[8:] = [away] * 4
    assert not tracked(hands).seen[8]
    assert tracked(hands, cuts=(8,)).seen.all()


def test_long_after_a_hand_was_seen_nobody_knows_where_it_is() -> None:
    hands = [*still(4), *[None] * 30]
    track = tracked(hands)
    assert not track.lost[:5].any() and track.lost[-1]
    assert (np.diff(track.spread[4:, 0]) > 0).all()
