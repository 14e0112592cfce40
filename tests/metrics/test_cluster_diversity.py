"""Entropy and size of clusters of grasps whose kinds are known."""

import math

import pytest
import torch

from hoprior.errors import ArgumentError
from hoprior.metrics.diversity import cluster_diversity


def kinds(counts: list[int], width: float = 0.0) -> torch.Tensor:
    """So many grasps of each kind; kinds are a metre apart, and the joints of one are off by `width` to either side."""
    middles = torch.repeat_interleave(torch.arange(float(len(counts))), torch.tensor(counts))
    joints = middles[:, None, None].expand(-1, 21, 3).clone()
    joints[::2, :, 0] += width
    joints[1::2, :, 0] -= width
    return joints


@pytest.mark.parametrize("number", [1, 2, 5, 20])
def test_kinds_that_are_alike_in_number_have_the_logarithm_of_theirs(number: int) -> None:
    assert cluster_diversity(kinds([4] * number), number).entropy == pytest.approx(math.log(number), abs=1e-9)


def test_one_kind_that_has_most_has_less_entropy() -> None:
    shares = [0.7, 0.1, 0.1, 0.1]
    expected = -sum(share * math.log(share) for share in shares)
    assert cluster_diversity(kinds([14, 2, 2, 2]), 4).entropy == pytest.approx(expected)


def test_the_size_is_how_far_grasps_are_from_their_kind() -> None:
    found = cluster_diversity(kinds([6, 6, 6], width=0.02), 3)
    assert found.cluster_size_cm == pytest.approx(2.0) and found.entropy == pytest.approx(math.log(3))


def test_order_and_place_do_not_matter() -> None:
    joints = kinds([6, 4, 2], width=0.01)
    other = joints[torch.randperm(12, generator=torch.Generator().manual_seed(0))] + 0.5
    one, moved = cluster_diversity(joints, 3), cluster_diversity(other, 3)
    assert one.entropy == pytest.approx(moved.entropy) and one.cluster_size_cm == pytest.approx(moved.cluster_size_cm)


def test_more_clusters_than_grasps_are_refused() -> None:
    with pytest.raises(ArgumentError, match="number of grasps, 6"):
        cluster_diversity(kinds([3, 3]))
