"""Metrics of sets of samples (hoprior.metrics.generation): answers that are known without computing."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.metrics.generation import (
    chamfer_distances,
    cohens_d,
    coverage,
    effect,
    joint_distances,
    mean_absolute_distances,
    minimum_matching_distance,
    nearest_neighbour_accuracy,
    recognition,
)


def points(count: int, seed: int, dim: int = 2) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def accuracy(generated: Tensor, reference: Tensor) -> float:
    return nearest_neighbour_accuracy(
        *(torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist") for a, b in
          ((generated, generated), (generated, reference), (reference, reference)))
    )  # fmt: skip


def test_sets_from_one_distribution_cannot_be_told_apart() -> None:
    first, second = points(400, 0), points(400, 1)
    assert abs(accuracy(first, second) - 0.5) < 0.05
    # Of n reference points, n random ones hit a share that has nothing to do with the distribution, about 0.6.
    assert 0.5 < coverage(torch.cdist(first, second)) < 0.7


def test_a_set_against_its_own_copy_is_never_right() -> None:
    first = points(30, 0)
    assert accuracy(first, first.clone()) == 0.0
    assert coverage(torch.cdist(first, first)) == 1.0
    assert minimum_matching_distance((first[:, None] - first[None]).norm(dim=-1)) == 0.0


def test_sets_that_are_apart_are_told_apart() -> None:
    first, second = points(20, 0), points(20, 1) + 100
    assert accuracy(first, second) == 1.0
    assert minimum_matching_distance(torch.cdist(first, second)) > 100


def test_a_collapsed_generator_covers_one_sample() -> None:
    reference = points(50, 0)
    collapsed = reference[3:4].expand(50, -1)
    assert coverage(torch.cdist(collapsed, reference)) == 1 / 50
    # 49 of its 50 copies are as near as the one real sample; each real sample's nearest is decided as before.
    assert accuracy(collapsed, reference) > 0.5


def test_ties_share_the_vote_whatever_the_order() -> None:
    same = torch.zeros(3, 2, dtype=torch.float64)
    assert accuracy(same, same) == pytest.approx(2 / 5)  # of five equally near, two are of one's own set
    first = torch.tensor([[0.0, 0], [1, 0], [2, 0]], dtype=torch.float64)
    second = first + 0.5
    assert accuracy(first.flip(0), second) == pytest.approx(accuracy(first, second))


@given(st.integers(0, 1000))
def test_matching_and_accuracy_do_not_depend_on_the_order(seed: int) -> None:
    first, second = points(8, seed), points(9, seed + 1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    assert accuracy(first[order], second) == accuracy(first, second)
    assert coverage(torch.cdist(first[order], second)) == coverage(torch.cdist(first, second))


def test_chamfer_is_the_formula() -> None:
    first, second = points(2 * 7, 0, 3).view(2, 7, 3), points(3 * 5, 1, 3).view(3, 5, 3)
    square = (first[:, None, :, None] - second[None, :, None]).square().sum(-1)
    expected = square.min(dim=3).values.mean(dim=2) + square.min(dim=2).values.mean(dim=2)
    torch.testing.assert_close(chamfer_distances(first, second).double(), expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(chamfer_distances(first), chamfer_distances(first, first))
    assert not chamfer_distances(first).diagonal().any()


def test_points_moved_by_a_centimetre_are_two_square_centimetres_away() -> None:
    apart = torch.arange(10.0)[None, :, None] * torch.tensor([1.0, 0, 0])
    distance = chamfer_distances(apart, apart + torch.tensor([0.0, 0.01, 0]))
    assert distance.item() == pytest.approx(2e-4, rel=1e-3)


def test_empty_shapes_match_nothing_and_are_told_apart() -> None:
    reference = torch.rand(6, 10, 3, generator=torch.Generator().manual_seed(0))
    some = reference.clone()
    some[0], some[1] = torch.nan, torch.nan
    between, within = chamfer_distances(some, reference), chamfer_distances(some)
    assert between[:2].isinf().all() and within[0, 1] == 0 and within[0, 2].isinf()
    assert coverage(between) == 4 / 6
    # The two empty ones find each other; the two reference shapes without a copy find others, of either set.
    none = torch.full_like(reference, torch.nan)
    assert coverage(chamfer_distances(none, reference)) == 0.0
    assert minimum_matching_distance(chamfer_distances(none, reference)) == float("inf")
    own = chamfer_distances(reference)
    assert nearest_neighbour_accuracy(chamfer_distances(none), chamfer_distances(none, reference), own) == 1.0
    alone = none[:1]
    assert nearest_neighbour_accuracy(chamfer_distances(alone), chamfer_distances(alone, reference), own) == 1.0


def test_joint_distances_leave_out_the_wrist_and_what_is_not_held() -> None:
    joints = torch.rand(4, 21, 3)
    moved = joints + torch.tensor([0.03, 0.04, 0.0])
    torch.testing.assert_close(joint_distances(joints, moved).diagonal(), torch.full((4,), 0.05))
    joints[:, 16:], moved[:, 0] = torch.nan, 5.0
    torch.testing.assert_close(joint_distances(joints, moved).diagonal(), torch.full((4,), 0.05))
    with pytest.raises(HopriorError, match="no joint in common"):
        joint_distances(torch.full((1, 21, 3), torch.nan), moved)


def test_recognition_counts_and_states_chance() -> None:
    references = torch.tensor([[0.0], [1.0], [10.0]])
    names = ["mug", "mug", "pen"]
    found = recognition(
        mean_absolute_distances(torch.tensor([[0.2], [9.0], [8.0], [0.9]]), references),
        ["mug", "pen", "mug", "mug"],
        names,
    )
    assert found is not None and found.accuracy == 0.75
    assert found.chance == pytest.approx((3 * 2 / 3 + 1 / 3) / 4)
    assert 0 < found.low < 0.75 < found.high < 1
    assert recognition(torch.zeros(0, 3), [], names) is None


def test_blind_guessing_is_recognised_at_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    names = [f"family {k % 5}" for k in range(50)]
    found = recognition(torch.rand(2000, 50, generator=generator), names * 40, names)
    assert found is not None and found.low < found.chance < found.high and found.chance == pytest.approx(0.2)


def test_cohens_d_is_the_shift_in_standard_deviations() -> None:
    values = np.random.default_rng(0).normal(size=500)
    unit = (values - values.mean()) / values.std(ddof=1)
    assert cohens_d(unit, unit + 0.8) == pytest.approx(0.8)
    assert cohens_d(unit, unit - 0.8) == pytest.approx(-0.8)
    assert np.isnan(cohens_d(np.ones(4), np.zeros(4)))


def test_an_effect_is_within_its_interval_and_no_effect_has_zero_in_it() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(60, generator=generator)
    other = torch.randn(60, generator=generator)
    large = effect(first, other + 1)
    assert large is not None and large.low < large.d < large.high and large.low > 0 and large.num == (60, 60)
    none = effect(first, other)
    assert none is not None and none.low < 0 < none.high
    # The same noise in both groups: pairs tell a small shift that separate groups do not.
    shifted = first + 0.3 + 0.01 * other
    paired, separate = effect(first, shifted, paired=True), effect(first, shifted)
    assert paired is not None and separate is not None
    assert paired.d == separate.d and paired.low > 0 > separate.low
    assert effect(first, other + 1) == large


def test_pairs_that_are_equal_have_no_effect() -> None:
    found = effect(torch.arange(5.0), torch.arange(5.0), paired=True)
    assert found is not None and (found.d, found.low, found.high) == (0, 0, 0)


def test_an_effect_that_is_not_defined_is_none() -> None:
    assert effect(torch.ones(5), torch.ones(5)) is None
    assert effect(torch.rand(2), torch.rand(5)) is None
    assert effect(torch.tensor([1.0, torch.nan, 2.0]), torch.rand(3)) is None


def test_effects_of_rows_are_those_of_each_alone() -> None:
    rng = np.random.default_rng(0)
    first, other = rng.normal(0, [[1], [5]], (2, 40)), rng.normal([[1], [2]], [[2], [1]], (2, 30))
    alone = [float(cohens_d(first[k], other[k])) for k in range(2)]
    assert np.allclose(cohens_d(first, other), alone)


def test_three_of_each_are_enough_for_an_effect() -> None:
    found = effect(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([3.0, 4.0, 5.5]))
    assert found is not None and found.num == (3, 3)


def test_joints_in_double_precision_are_compared_in_it() -> None:
    joints = torch.rand(2, 21, 3, dtype=torch.float64)
    assert joint_distances(joints, joints + 1e-12).dtype == torch.float64
    assert float(joint_distances(joints, joints + 1e-12).diagonal().max()) > 0
