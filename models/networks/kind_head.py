"""Which kinds of grasp a sentence may mean that names none: "a hand holding a hammer"."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hoprior.language.taxonomy import TAXONOMY

KINDS = len(TAXONOMY)
KIND_PLACES = {kind.number: place for place, kind in enumerate(TAXONOMY)}
"""Place of each number of the taxonomy among what a sentence may mean."""
AS_SAID, NOTHING_SAID = KINDS, KINDS + 1
"""Places of the two other meanings: no more than the sentence itself says, and nothing of a grasp at all."""


KIND_EXAMPLES, SAID_EXAMPLES = 24, 256
"""Hands that are kept of each kind, and of those of which nobody knows the kind."""
EXAMPLES = KINDS * KIND_EXAMPLES + SAID_EXAMPLES
SEEN_SCALE = 0.015
"""How far (m) seen joints of an estimate are from those of a hand of the same kind. Of .01 to .06 it tells kinds apart
best, and hands of a known kind from others."""


class KindHead(nn.Module):
    """Text features -> log-odds of the kinds of grasp, of `AS_SAID` and of `NOTHING_SAID`; and what seen joints add.

    Args:
        text_dim: of the features; a text of several tokens is their mean.
        width, dropout: of the hidden layer.
    """

    kind_texts: Tensor
    """Features of a sentence of each kind alone, which stands for it."""
    examples: Tensor
    """Joints (hand frame, m) of hands of each kind in turn, then of those of which nobody knows the kind."""

    def __init__(self, text_dim: int, width: int, dropout: float) -> None:
        super().__init__()
        # Sentences are told apart by what is left of them without what all have in common.
        self.layers = nn.Sequential(
            nn.BatchNorm1d(text_dim, affine=False),
            nn.Dropout(dropout),
            nn.Linear(text_dim, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, KINDS + 2),
        )
        self.register_buffer("kind_texts", torch.zeros(KINDS, 1, text_dim))
        self.register_buffer("examples", torch.zeros(EXAMPLES, 21, 3))

    def forward(self, text: Float[Tensor, "b tokens dim"]) -> Float[Tensor, "b meanings"]:
        """The log-odds, unnormalised."""
        return self.layers(text.mean(dim=1))

    def seen(
        self, joints_hand: Float[Tensor, "b 21 3"], visible: Bool[Tensor, "b 21"]
    ) -> Float[Tensor, "b kinds_and_said"]:
        """Log-likelihood of the visible joints (hand frame, m) under each kind and under `AS_SAID`, but for a constant:
        a density around the examples."""
        squared = (joints_hand[:, None] - self.examples).square().sum(dim=-1)
        near = -(squared * visible[:, None]).sum(dim=-1) / (2 * SEEN_SCALE**2)
        of_kinds = near[:, :-SAID_EXAMPLES].unflatten(1, (KINDS, KIND_EXAMPLES))
        kinds = of_kinds.logsumexp(dim=2) - math.log(KIND_EXAMPLES)
        said = near[:, -SAID_EXAMPLES:].logsumexp(dim=1, keepdim=True) - math.log(SAID_EXAMPLES)
        return torch.cat([kinds, said], dim=1)
