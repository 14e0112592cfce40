"""What several looks at a hand say together, and which finds are one."""

from dataclasses import replace

import numpy as np
import pytest

from hoprior.vision.sightings import FoundHand, agreed, are_one, distinct, middle_of, overlap, unseen_yet

SQUARE = np.random.default_rng(0).uniform(0, 100, (21, 2))


def hand(points: np.ndarray = SQUARE, presence: float = 0.9, side_score: float = 1.0, spread: float = 0.0) -> FoundHand:
    return FoundHand(points, np.zeros((21, 3)), "right", side_score, presence, spread)


def test_certainty_is_one_where_nothing_speaks_against_a_hand_and_falls_with_all_that_does() -> None:
    assert hand(presence=1.0).certainty == pytest.approx(1.0)
    for less in (hand(presence=0.8), hand(side_score=0.8), hand(spread=0.02)):
        assert 0 < less.certainty < hand().certainty
    assert hand(spread=0.2).certainty == 0


def test_looks_that_agree_leave_a_hand_certain_and_others_do_not() -> None:
    rng = np.random.default_rng(1)
    same = [hand(SQUARE + rng.normal(0, 0.5, SQUARE.shape)) for _ in range(6)]
    other = [hand(SQUARE + rng.normal(0, 20, SQUARE.shape)) for _ in range(6)]
    assert agreed(hand(), same).certainty > 0.7
    assert agreed(hand(), other).certainty == 0
    assert middle_of([other[0], *same]) is not other[0]


def test_the_side_is_that_of_most_looks() -> None:
    left = replace(hand(), side="left", side_score=0.9)
    found = agreed(hand(side_score=0.6), [left, left, left])
    assert found.side == "left" and found.side_score == pytest.approx((0.4 + 3 * 0.9) / 4)


def test_spread_does_not_depend_on_the_size_of_the_hand() -> None:
    looks = [hand(SQUARE + d) for d in (1.0, -2.0)]
    large = [hand(7 * one.points) for one in looks]
    assert agreed(hand(7 * SQUARE), large).spread == pytest.approx(agreed(hand(), looks).spread)


@pytest.mark.parametrize("first", [0, 1])
def test_small_finds_do_not_veto_a_larger_and_surer_one(first: int) -> None:
    """A network likes a fingertip better than the hand; looks from elsewhere do not."""
    whole, fragment = hand(presence=0.95, spread=0.03), hand(0.2 * SQUARE + 40, presence=0.97, spread=0.09)
    finds = [whole, fragment]
    assert distinct([finds[first], finds[1 - first]]) == [whole]


def test_of_hands_that_overlap_the_surest_is_kept() -> None:
    finds = [hand(SQUARE + shift, presence) for shift, presence in ((0, 0.6), (5, 0.9), (300, 0.7))]
    assert [one.presence for one in distinct(finds)] == [0.9, 0.7]
    assert [one.presence for one in unseen_yet(finds)] == [0.9, 0.7]


def test_overlap_is_symmetric_and_of_a_box_with_itself_all() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        low, low2 = rng.uniform(0, 50, (2, 2))
        box, other = (low, low + rng.uniform(1, 60, 2)), (low2, low2 + rng.uniform(1, 60, 2))
        assert overlap(box, box, of_union=True) == pytest.approx(1)
        for of_union in (True, False):
            assert overlap(box, other, of_union) == pytest.approx(overlap(other, box, of_union))
        assert 0 <= overlap(box, other, of_union=True) <= overlap(box, other, of_union=False) <= 1 + 1e-9
    assert are_one(hand(), hand(SQUARE + 1)) and not are_one(hand(), hand(SQUARE + 90))
