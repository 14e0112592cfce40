"""A linear path from blocks of a grid to latents and back: their principal components."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


class PatchComponents(nn.Module):
    """Blocks of `size`³ values as `components` coefficients, and back; what it begins at is learnt on.

    Distances are nearly flat within a block, which a few components say exactly, and a network that has to find so
    takes long: what is beside this path learns only what is not linear.

    Args:
        size: values along each axis of a block.
        components: coefficients of a block.
    """

    begun: Tensor

    def __init__(self, size: int, components: int) -> None:
        super().__init__()
        self.size = size
        self.take = nn.Conv3d(1, components, size, stride=size)
        self.give = nn.ConvTranspose3d(components, 1, size, stride=size)
        self.register_buffer("begun", torch.tensor(False))

    @torch.no_grad()
    def begin(self, x: Float[Tensor, "b 1 D H W"]) -> None:
        """Takes the principal components of a batch's blocks, the largest first, each with its range brought to ±1."""
        s = self.size
        blocks = rearrange(x.float(), "b 1 (d i) (h j) (w k) -> (b d h w) (i j k)", i=s, j=s, k=s)
        middle = blocks.mean()
        components = torch.linalg.svd(blocks - middle, full_matrices=False).Vh[: self.take.out_channels]
        # Most blocks are empty space, and rare ones the thin walls: nothing is clipped.
        reach = ((blocks - middle) @ components.T).abs().amax(dim=0).clamp(min=1e-6)
        filters = rearrange(components, "c (i j k) -> c 1 i j k", i=s, j=s, k=s)
        wide = reach.reshape(-1, 1, 1, 1, 1)
        self.take.weight.copy_(filters / wide)
        self.take.bias.copy_(-middle * filters.sum(dim=(1, 2, 3, 4)) / reach)  # type: ignore[union-attr]
        self.give.weight.copy_(filters * wide)
        self.give.bias.fill_(middle)  # type: ignore[union-attr]
        self.begun.fill_(True)

    def encode(self, x: Float[Tensor, "b 1 D H W"]) -> Float[Tensor, "b c d h w"]:
        """Coefficients of each block, float32: half precision would cost what the path is there for."""
        with torch.autocast(x.device.type, enabled=False):
            return self.take(x.float())

    def decode(self, z: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b 1 D H W"]:
        """The grid of coefficients, float32."""
        with torch.autocast(z.device.type, enabled=False):
            return self.give(z.float())
