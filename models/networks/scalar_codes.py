"""Finite scalar quantisation of latents that are in [-1, 1] (Mentzer et al. 2023)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

MARGIN = 1e-3
"""Keeps what is at the rim of the range from being rounded beyond the last value."""


class ScalarCodes(nn.Module):
    """Each channel takes the nearest of its `levels` values; gradients go straight through.

    It is trained as vector-quantize-pytorch's `FSQ`, and gives the same to the bit when it is used, for which that
    library and what it loads need not be there.

    Example:
        >>> ScalarCodes([3, 5]).eval()(torch.tensor([[[0.4, 0.4], [0.6, 0.6]]]))
        tensor([[[0.0000, 0.5000],
                 [1.0000, 0.5000]]])
    """

    levels: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("levels", torch.tensor(list(levels), dtype=torch.int32), persistent=False)

    def forward(self, z: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """The codes of b times n latents."""
        if self.training:
            return self._trained(z)
        half = (self.levels - 1) * (1 + MARGIN) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        bounded = torch.clamp(z.float() + offset / half, min=-1.0, max=1.0) * half - offset
        rounded = bounded + (bounded.round() - bounded).detach()
        return (rounded / (self.levels // 2)).to(z.dtype)

    def _trained(self, z: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        from vector_quantize_pytorch import FSQ

        fsq = FSQ(self.levels.tolist(), return_indices=False, bound_hard_clamp=True).to(z.device)
        return fsq(z)[0]
