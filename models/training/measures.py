"""Figures of training that a library has, which is loaded when the first is asked for."""

from jaxtyping import Float, Int
from torch import Tensor


def binary_auroc(scores: Float[Tensor, " n"], labels: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """The area under the receiver operating characteristic: how often a 1 has the higher score of a pair.

    Example:
        >>> import torch
        >>> binary_auroc(torch.tensor([0.1, 0.2, 0.9]), torch.tensor([0, 1, 1]))
        tensor(1.)
    """
    from torchmetrics.functional.classification import binary_auroc as torchmetrics_auroc

    return torchmetrics_auroc(scores, labels)
