"""How good a generative model's samples are as a set: coverage, matching distance, nearest-neighbour tests, effects.

Achlioptas et al., Learning Representations and Generative Models for 3D Point Clouds, ICML 2018 (coverage, MMD); Yang
et al., PointFlow, ICCV 2019 (1-nearest-neighbour accuracy). All of them take matrices of distances, so that shapes,
hands or anything else can be compared.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from scipy.stats import binomtest, bootstrap
from torch import Tensor

from hoprior.common.arrays import as_array
from hoprior.errors import HopriorError

CONFIDENCE = 0.95
BOOTSTRAP_RESAMPLES = 2000


def chamfer_distances(
    first: Float[Tensor, "n p 3"], second: Float[Tensor, "m q 3"] | None = None
) -> Float[Tensor, "n m"]:
    """Chamfer distance of each cloud of one set to each of another (m²): PointFlow's Eq. 17, with means for sums.

    `CD(X, Y) = mean_x min_y |x - y|² + mean_y min_x |x - y|²`. A cloud with NaNs is an empty shape: infinitely far
    from every shape that is there, and no distance from another empty one.

    Args:
        second: another set; the first one itself without, at half the cost.

    Example:
        >>> apart = chamfer_distances(torch.zeros(1, 4, 3), torch.tensor([0.3, 0.4, 0.0]).expand(1, 4, 3))
        >>> apart.round(decimals=3)  # 0.5² m² one way, and as much the other
        tensor([[0.5000]])
    """
    trees = [_tree(cloud) for cloud in first]
    others = trees if second is None else [_tree(cloud) for cloud in second]

    def row(i: int) -> list[float]:
        first_j = i + 1 if second is None else 0
        return [0.0] * first_j + [_chamfer(trees[i], other) for other in others[first_j:]]

    # Queries release the interpreter's lock.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        distances = torch.tensor(list(pool.map(row, range(len(trees)))))
    return distances if second is not None else distances + distances.T


def _tree(cloud: Float[Tensor, "p 3"]) -> cKDTree | None:
    return cKDTree(as_array(cloud, np.float64)) if bool(cloud.isfinite().all()) and len(cloud) else None


def _chamfer(one: cKDTree | None, other: cKDTree | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    return sum(float(np.square(a.query(b.data)[0]).mean()) for a, b in ((one, other), (other, one)))


def joint_distances(first: Float[Tensor, "n 21 3"], second: Float[Tensor, "m 21 3"]) -> Float[Tensor, "n m"]:
    """Mean distance of the joints (m) of each hand of one set to those of each of another, in the hand's frame.

    `mean_j |x_j - y_j|`. The wrist, the frame's origin, does not count, nor do joints that are NaN in any hand: fields
    of 15 channels hold no fingertips.

    Example:
        >>> hands = torch.stack([torch.zeros(21, 3), torch.tensor([0.03, 0.04, 0.0]).expand(21, 3)])
        >>> joint_distances(hands, hands)
        tensor([[0.0000, 0.0500],
                [0.0500, 0.0000]])
    """
    held = (first.isfinite().all(dim=2).all(dim=0) & second.isfinite().all(dim=2).all(dim=0)).nonzero()[:, 0]
    held = held[held > 0]
    if not len(held):
        raise HopriorError("hands to compare have no joint in common: all of them are NaN in one of the hands")
    total = torch.zeros(len(first), len(second), dtype=first.dtype)
    for joint in held.tolist():
        total += (first[:, None, joint] - second[None, :, joint]).norm(dim=-1)
    return total / len(held)


def coverage(distances: Float[Tensor, "g r"]) -> float:
    """Share of the reference samples that are the nearest one of any generated sample (Achlioptas et al., Sec. 3).

    `|{argmin_r d(g, r) : g generated}| / |{r}|`.

    Args:
        distances: of each generated sample to each reference sample; a row without a finite distance matches none.

    Example:
        >>> coverage(torch.tensor([[0.1, 0.5, 0.9, 0.8], [0.2, 0.1, 0.7, 0.6]]))  # two samples reach two of four
        0.5
    """
    matches = distances[distances.isfinite().any(dim=1)].argmin(dim=1)
    return len(matches.unique()) / distances.shape[1]


def minimum_matching_distance(distances: Float[Tensor, "g r"]) -> float:
    """Mean over the reference samples of the distance to the nearest generated one (Achlioptas et al., Sec. 3).

    `mean_r min_g d(g, r)`, in the unit of `distances`; infinite where a reference has nothing to match.

    Example:
        >>> distances = torch.tensor([[1.0, 5.0], [2.0, 3.0]])  # of each sample (row) to each reference (column)
        >>> minimum_matching_distance(distances)
        2.0
    """
    return float(distances.min(dim=0).values.mean())


def nearest_neighbour_accuracy(
    generated: Float[Tensor, "g g"], between: Float[Tensor, "g r"], reference: Float[Tensor, "r r"]
) -> float:
    """Share of samples whose nearest other sample is of their own set (PointFlow, Eq. 18).

    `(sum_g [NN(g) is generated] + sum_r [NN(r) is a reference]) / (|{g}| + |{r}|)`.

    0.5 where the two sets cannot be told apart, 1 where they are apart, and 0 for a set against its own copy. Nearest
    neighbours at the same distance share the vote, so that the order of the samples does not matter. A sample that is
    infinitely far from all others is told apart.

    Args:
        generated, between, reference: distances within the generated set, to the reference, and within the reference.

    Example:
        >>> x, copy, far = (torch.tensor([[0.0], [1.0], [2.0]]) + shift for shift in (0.0, 0.1, 9.0))
        >>> def accuracy(y):
        ...     return nearest_neighbour_accuracy(torch.cdist(x, x), torch.cdist(x, y), torch.cdist(y, y))
        >>> accuracy(copy), accuracy(far)
        (0.0, 1.0)
    """
    own = torch.block_diag(torch.ones_like(generated), torch.ones_like(reference)).bool()
    distances = torch.cat([torch.cat([generated, between], dim=1), torch.cat([between.T, reference], dim=1)])
    distances = distances.clone().fill_diagonal_(torch.inf)
    nearest = distances.min(dim=1, keepdim=True).values
    tied = (distances == nearest).fill_diagonal_(False)
    share = (tied & own).sum(dim=1) / tied.sum(dim=1).clamp(min=1)
    return float(torch.where(nearest[:, 0].isinf(), 1.0, share).mean())


class Recognition(NamedTuple):
    """How often a nearest-neighbour classifier names what was asked for."""

    accuracy: float
    low: float
    high: float
    """Wilson's interval of the accuracy, at 95 %."""
    chance: float
    """What drawing a reference blindly would give."""


def recognition(
    distances: Float[Tensor, "n r"], labels: Sequence[str], reference_labels: Sequence[str]
) -> Recognition | None:
    """Accuracy of a nearest-neighbour classifier; None for no samples. Tied neighbours: the first counts.

    `mean_i [reference_labels[argmin_r d(i, r)] = labels[i]]`.

    Args:
        distances: of each sample to each reference.
        labels: what each sample should be named; reference_labels: what each reference is.

    Example:
        >>> distances = torch.tensor([[0.1, 0.9], [0.8, 0.2]])
        >>> found = recognition(distances, ["mug", "mug"], reference_labels=["mug", "knife"])
        >>> found.accuracy, found.chance, round(found.low, 2), round(found.high, 2)
        (0.5, 0.5, 0.09, 0.91)
    """
    if not len(labels):
        return None
    found = [reference_labels[k] for k in distances.argmin(dim=1).tolist()]
    right = sum(name == wanted for name, wanted in zip(found, labels, strict=True))
    interval = binomtest(right, len(labels)).proportion_ci(CONFIDENCE, method="wilson")
    chance = sum(list(reference_labels).count(wanted) for wanted in labels) / (len(labels) * len(reference_labels))
    return Recognition(right / len(labels), float(interval.low), float(interval.high), chance)


def mean_absolute_distances(
    first: Float[Tensor, "n *shape"], second: Float[Tensor, "m *shape"]
) -> Float[Tensor, "n m"]:
    """Mean absolute difference of each grid of one set to each of another, in their unit.

    `mean_k |x_k - y_k|` over the grids' points k.

    Example:
        >>> mean_absolute_distances(torch.zeros(1, 2, 2), torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[2.5000]])
    """
    flat = first.flatten(1)
    return torch.cdist(flat, second.flatten(1).to(flat), p=1) / flat.shape[1]


class Effect(NamedTuple):
    """A difference between two groups."""

    difference: float
    """Of the means, in the unit of the values."""
    d: float
    """Cohen's d: the difference in pooled standard deviations. 0.2 is small, 0.5 medium, 0.8 large (Cohen 1988)."""
    low: float
    high: float
    """Bootstrap interval of d (BCa, Efron 1987), at 95 %."""
    num: tuple[int, int]


def cohens_d(first: Float[np.ndarray, "*b n"], second: Float[np.ndarray, "*b m"], axis: int = -1) -> np.ndarray:
    """(second mean - first mean) / pooled standard deviation (Cohen 1988, Eq. 2.5.1); NaN where that is 0.

    Example:
        >>> cohens_d(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]))  # one apart, and each spreads by one
        array(1.)
    """
    n, m = first.shape[axis], second.shape[axis]
    pooled = ((n - 1) * first.var(axis, ddof=1) + (m - 1) * second.var(axis, ddof=1)) / (n + m - 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        d = (second.mean(axis) - first.mean(axis)) / np.sqrt(pooled)
    return np.where(pooled > 0, d, np.nan)


def effect(
    first: Float[Tensor, " n"], second: Float[Tensor, " m"], *, paired: bool = False, seed: int = 0
) -> Effect | None:
    """How much larger the second group's values are, with a confidence interval.

    None where it is not defined: fewer than three values in a group, values that are NaN, or groups without spread.

    Args:
        paired: value i of both groups belongs together (made from the same noise, say): they are resampled together.
        seed: of the bootstrap.

    Example:
        >>> with_prior = effect(torch.arange(10.0), torch.arange(10.0) + 5.0)
        >>> with_prior.difference, round(with_prior.d, 2), with_prior.low > 0
        (5.0, 1.65, True)
    """
    a, b = (as_array(values, np.float64) for values in (first, second))
    if min(len(a), len(b)) < 3 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return None
    if paired and np.array_equal(a, b):
        return Effect(0.0, 0.0, 0.0, 0.0, (len(first), len(second)))  # every resample says so: no interval to estimate
    found = bootstrap(
        (a, b),
        cohens_d,
        n_resamples=BOOTSTRAP_RESAMPLES,
        paired=paired,
        vectorized=True,
        confidence_level=CONFIDENCE,
        method="BCa",
        random_state=np.random.default_rng(seed),  # its name before scipy 1.15, which later versions know too
    ).confidence_interval
    difference = float(b.mean() - a.mean())
    return Effect(difference, float(cohens_d(a, b)), float(found.low), float(found.high), (len(first), len(second)))
