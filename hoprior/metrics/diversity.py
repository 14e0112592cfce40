"""How much grasps of one object differ from each other."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.cluster.vq import kmeans2
from torch import Tensor

from hoprior.errors import ArgumentError

CLUSTERS, RESTARTS = 20, 5
"""Of HALO's protocol; and how often k-means starts, of which the tightest is kept."""


def diversity_cm(verts: Float[Tensor, "n V 3"]) -> float:
    """Standard deviation over grasps of each coordinate of each vertex (metres in), averaged over all, in cm.

    `mean_{v,c} sqrt(mean_i (verts[i, v, c] - mean_i verts[i, v, c])²)`. In the object's frame it is about
    placements, in the hand's frame about fingers. 0 for copies of one grasp. The deviation is the population's, so that
    one grasp has none. G-HOP (Ye et al., CVPR 2024, Sec. 4.3) takes 100 grasps.

    Example:
        >>> two = torch.tensor([[[0.0, 0.0, 0.0]], [[0.06, 0.06, 0.06]]])  # two hands of one vertex
        >>> round(diversity_cm(two), 3), diversity_cm(two[:1])
        (3.0, 0.0)
    """
    return 100.0 * float(torch.as_tensor(verts).detach().double().std(dim=0, correction=0).mean())


class ClusterDiversity(NamedTuple):
    """How evenly grasps fill the kinds that they fall into, and how wide each kind is.

    Attributes:
        entropy: of the shares of grasps by cluster, nats; ln 20 = 3.0 where all of 20 clusters have as many.
        cluster_size_cm: mean distance of a grasp to its cluster's middle: mean over joints of how far they are apart.
    """

    entropy: float
    cluster_size_cm: float


def cluster_diversity(joints: Float[Tensor, "n 21 3"], clusters: int = CLUSTERS, seed: int = 0) -> ClusterDiversity:
    """Entropy and cluster size of grasps (joints in metres), by k-means over their joints (HALO, 3DV 2021, Sec. 5).

    Both depend on how many grasps there are: compare sets of one size.

    Raises:
        ArgumentError: fewer grasps than clusters.

    Example:
        >>> kinds = torch.arange(4.0)[:, None, None].expand(4, 21, 3).repeat(5, 1, 1)  # four kinds, five of each
        >>> found = cluster_diversity(kinds, clusters=4)
        >>> round(found.entropy, 4), found.cluster_size_cm  # ln 4
        (1.3863, 0.0)
    """
    points = torch.as_tensor(joints).detach().double().cpu().numpy()
    if not 1 <= clusters <= len(points):
        raise ArgumentError("clusters", clusters, f"is not from 1 to the number of grasps, {len(points)}")
    flat, generator = points.reshape(len(points), -1), np.random.default_rng(seed)
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for _ in range(RESTARTS):
        middles, label = kmeans2(flat, clusters, minit="++", missing="warn", seed=generator)
        spread = float(((flat - middles[label]) ** 2).sum())
        if best is None or spread < best[0]:
            best = (spread, middles, label)
    assert best is not None
    _, middles, label = best
    share = np.bincount(label, minlength=clusters) / len(label)
    share = share[share > 0]
    apart = np.linalg.norm((points - middles[label].reshape(points.shape)), axis=-1)
    return ClusterDiversity(float(-(share * np.log(share)).sum()) + 0.0, 100.0 * float(apart.mean()))
