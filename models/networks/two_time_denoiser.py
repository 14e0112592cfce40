"""A denoiser of two things with a noise level each, so that either can be drawn alone, or given the other.

After UniDiffuser (Bao et al., ICML 2023): one network learns the joint distribution, both marginals and both
conditionals, as the two times go from nothing known (T) to all known (0).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hoprior.models.networks.blocks import timestep_embedding, zeroed
from hoprior.models.networks.pose_denoiser import ResidualMLP

TIME = 128
"""Numbers that tell a time."""


class TwoTimeDenoiser(nn.Module):
    """Two noisy vectors, how noisy each is, and words -> what the prior predicts of both.

    Args:
        first, second: lengths of the vectors.
        text_dim: of the text's features.
        width, blocks, expansion, dropout: of the residual network.
    """

    def __init__(
        self, first: int, second: int, text_dim: int, width: int, blocks: int, expansion: int, dropout: float
    ) -> None:
        super().__init__()
        self.sizes = (first, second)
        self.embed = nn.Linear(first + second, width)
        self.embed_times = nn.Sequential(nn.Linear(2 * TIME, width), nn.SiLU(), nn.Linear(width, width))
        self.embed_text = nn.Sequential(nn.LayerNorm(text_dim), nn.Linear(text_dim, width))
        self.blocks = nn.ModuleList(ResidualMLP(width, expansion * width, dropout) for _ in range(blocks))
        self.head = nn.Sequential(nn.LayerNorm(width), zeroed(nn.Linear(width, first + second)))

    def forward(
        self,
        x: Float[Tensor, "b d"],
        times: Float[Tensor, "b 2"],
        text: Float[Tensor, "b tokens text_dim"],
    ) -> Float[Tensor, "b d"]:
        """The prediction for both vectors, one after the other; `times` in steps of the noise schedule."""
        time = torch.cat([timestep_embedding(t, TIME) for t in times.unbind(dim=1)], dim=1)
        condition = self.embed_times(time) + self.embed_text(text.mean(dim=1))
        h = self.embed(x)
        for block in self.blocks:
            h = block(h, condition)
        return self.head(h)
