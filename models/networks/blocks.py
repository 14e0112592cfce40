"""The 3D building blocks that the VQ-VAE and the U-Net share: folding, residual blocks, attention, resampling."""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from hoprior.models.networks.norms import QuickGroupNorm

GROUP_CHANNELS = 16
"""Channels in a normalisation group, at most: 32 groups of few channels are slow and gain nothing at these widths."""


def space_to_depth(x: Float[Tensor, "b c D H W"], factor: int) -> Float[Tensor, "b cf D2 H2 W2"]:
    """Moves each block of factor³ cells into channels, where they cost a convolution factor³ less; nothing is lost.

    Example:
        >>> grid = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
        >>> deep = space_to_depth(grid, factor=2)
        >>> deep.shape, torch.equal(depth_to_space(deep, factor=2), grid)
        (torch.Size([1, 8, 1, 1, 1]), True)
    """
    return rearrange(x, "b c (d i) (h j) (w k) -> b (c i j k) d h w", i=factor, j=factor, k=factor)


def depth_to_space(x: Float[Tensor, "b cf D2 H2 W2"], factor: int) -> Float[Tensor, "b c D H W"]:
    """The inverse of `space_to_depth`."""
    return rearrange(x, "b (c i j k) d h w -> b c (d i) (h j) (w k)", i=factor, j=factor, k=factor)


def timestep_embedding(t: Float[Tensor, " b"], dim: int, max_period: float = 10_000.0) -> Float[Tensor, "b {dim}"]:
    """Sinusoids of a timestep (Vaswani et al. 2017, section 3.5), cosines first.

    Example:
        >>> timestep_embedding(torch.zeros(1), dim=4)
        tensor([[1., 1., 0., 0.]])
    """
    half = dim // 2
    frequencies = torch.exp(-math.log(max_period) * torch.arange(half, device=t.device) / half)
    angles = t[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def zeroed(module: nn.Module) -> nn.Module:
    """The module with all its parameters at zero, so that a residual branch begins as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def conv3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv3d:
    """A 3³ convolution that keeps (or with stride 2 halves) the grid."""
    return nn.Conv3d(in_channels, out_channels, 3, stride=stride, padding=1)


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with groups of `GROUP_CHANNELS`, or of the largest divisor below.

    Example:
        >>> group_norm(32).num_groups, group_norm(24).num_groups
        (2, 2)
    """
    size = next(n for n in range(min(GROUP_CHANNELS, channels), 0, -1) if channels % n == 0)
    return QuickGroupNorm(channels // size, channels)


class ResBlock(nn.Module):
    """GroupNorm, SiLU, convolution, twice, with a skip; a time embedding scales and shifts the second norm."""

    def __init__(self, in_channels: int, out_channels: int, embed_dim: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm_in = group_norm(in_channels)
        self.conv_in = conv3(in_channels, out_channels)
        self.norm_out = group_norm(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = zeroed(conv3(out_channels, out_channels))
        self.embed = nn.Linear(embed_dim, 2 * out_channels) if embed_dim else None
        self.skip = nn.Conv3d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(
        self, x: Float[Tensor, "b c_in D H W"], embedding: Float[Tensor, "b e"] | None = None
    ) -> Float[Tensor, "b c_out D H W"]:
        h = self.norm_out(self.conv_in(F.silu(self.norm_in(x))))
        if self.embed is not None:
            assert embedding is not None, "this block was made for a time embedding"
            scale, shift = self.embed(F.silu(embedding))[..., None, None, None].to(h.dtype).chunk(2, dim=1)
            h = h * (1 + scale) + shift
        return self.skip(x) + self.conv_out(self.dropout(F.silu(h)))


class Attention(nn.Module):
    """Multi-head attention of tokens to themselves, or to a context."""

    def __init__(self, dim: int, head_dim: int, context_dim: int | None = None) -> None:
        super().__init__()
        self.heads = max(1, dim // head_dim)
        inner = self.heads * head_dim
        self.query = nn.Linear(dim, inner, bias=False)
        self.key_value = nn.Linear(context_dim or dim, 2 * inner, bias=False)
        self.out = zeroed(nn.Linear(inner, dim))

    def forward(
        self, tokens: Float[Tensor, "b n c"], context: Float[Tensor, "b m k"] | None = None
    ) -> Float[Tensor, "b #n c"]:
        """New features of each token; one row for all of them where they cannot differ."""
        source = tokens if context is None else context
        if source.shape[1] == 1 and not torch.is_grad_enabled():
            # All attention goes to the one token, whatever is asked. (In training every parameter stays in the graph.)
            return self.out(self.key_value(source).chunk(2, dim=-1)[1])
        query = rearrange(self.query(tokens), "b n (h d) -> b h n d", h=self.heads)
        key, value = rearrange(self.key_value(source), "b m (two h d) -> two b h m d", two=2, h=self.heads)
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.out(rearrange(attended, "b h n d -> b n (h d)"))


class TransformerBlock(nn.Module):
    """Self-attention over the cells of a grid, cross-attention to the text's tokens, and a feed-forward layer."""

    def __init__(self, channels: int, context_dim: int, head_dim: int, expansion: int) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(channels)
        self.attend_self = Attention(channels, head_dim)
        self.norm_cross = nn.LayerNorm(channels)
        self.attend_cross = Attention(channels, head_dim, context_dim)
        self.norm_feed = nn.LayerNorm(channels)
        self.feed = nn.Sequential(
            nn.Linear(channels, expansion * channels),
            nn.GELU(),
            zeroed(nn.Linear(expansion * channels, channels)),
        )

    def forward(self, x: Float[Tensor, "b c D H W"], context: Float[Tensor, "b m k"]) -> Float[Tensor, "b c D H W"]:
        depth, height, _ = x.shape[2:]
        # Channels-last memory is already a row of tokens: neither rearrangement copies.
        tokens = rearrange(x, "b c d h w -> b (d h w) c")
        tokens = tokens + self.attend_self(self.norm_self(tokens))
        tokens = tokens + self.attend_cross(self.norm_cross(tokens), context)
        tokens = tokens + self.feed(self.norm_feed(tokens))
        return rearrange(tokens, "b (d h w) c -> b c d h w", d=depth, h=height)


class Upsample(nn.Module):
    """Twice the grid by repetition, then a convolution that smooths the steps."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = conv3(in_channels, out_channels)

    def forward(self, x: Float[Tensor, "b c_in D H W"]) -> Float[Tensor, "b c_out D2 H2 W2"]:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


def channels_last(module: nn.Module) -> None:
    """Stores the 3D convolutions' weights as the kernels want them, once instead of at every call."""
    for parameter in module.parameters():
        if parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)


def count_parameters(parameters: Iterable[nn.Parameter]) -> int:
    """How many numbers there are in them."""
    return sum(parameter.numel() for parameter in parameters)
