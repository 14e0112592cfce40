"""How much grasps of one object differ from each other."""

import torch
from jaxtyping import Float
from torch import Tensor


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
