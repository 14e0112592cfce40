"""The denoiser: a 3D U-Net over the interaction grid that reads the text by cross-attention.

After G-HOP (Ye et al., CVPR 2024, section 3.1), whose network is the U-Net of latent diffusion in three dimensions. The
embedded size works on an 8³ grid, where convolutions and attention are both cheap on a CPU.
"""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hoprior.models.networks.blocks import (
    ResBlock,
    TransformerBlock,
    Upsample,
    channels_last,
    conv3,
    group_norm,
    timestep_embedding,
    zeroed,
)


class Level(nn.Module):
    """Residual blocks at one resolution, each followed by attention where `context_dim` is given."""

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        context_dim: int | None,
        embed_dim: int,
        head_dim: int,
        expansion: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResBlock(c, out_channels, embed_dim, dropout) for c in in_channels)
        self.attentions = nn.ModuleList(
            TransformerBlock(out_channels, context_dim, head_dim, expansion)
            for _ in in_channels
            if context_dim is not None
        )

    def forward(
        self,
        x: Float[Tensor, "b c_in D H W"],
        embedding: Float[Tensor, "b e"],
        context: Float[Tensor, "b m k"],
        skips: list[Tensor] | None = None,
    ) -> list[Tensor]:
        """What each block gives, the level's result last; `skips` join the blocks' inputs, last first."""
        outputs = []
        for i, block in enumerate(self.blocks):
            x = block(x if skips is None else torch.cat([x, skips.pop()], dim=1), embedding)
            if self.attentions:
                x = self.attentions[i](x, context)
            outputs.append(x)
        return outputs


class UNet3D(nn.Module):
    """Predicts a grid from a noisy grid, a timestep and text tokens.

    Args:
        in_channels: channels of the noisy grid.
        out_channels: channels of the prediction.
        channels: width at each level; every level halves the grid.
        res_blocks: residual blocks at each level on the way down; the way up has as many.
        expansion: of the attention blocks' feed-forward layers.
        skip_all: the stem and the halvings give skips too, so the way up has one block more at each level; so it is in
            latent diffusion (Rombach et al. 2022) and in G-HOP.
        attention: for each level, whether its blocks attend to themselves and to the text; the middle always does.
        context_dim: features of a text token.
        head_dim: features of an attention head.
        middle_blocks: residual blocks at the smallest grid between the two ways.
        dropout: probability, inside the residual blocks.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int],
        res_blocks: Sequence[int],
        attention: Sequence[bool],
        context_dim: int,
        head_dim: int = 32,
        middle_blocks: int = 1,
        expansion: int = 2,
        skip_all: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not len(channels) == len(res_blocks) == len(attention):
            raise ValueError(
                f"channels, res_blocks and attention name {len(channels)}, {len(res_blocks)} and "
                f"{len(attention)} levels: give one entry a level"
            )
        embed_dim = 4 * channels[0]
        self.time_dim = channels[0]
        self.embed_time = nn.Sequential(nn.Linear(self.time_dim, embed_dim), nn.SiLU(), nn.Linear(embed_dim, embed_dim))
        # Encoders differ in the scale of their features; MiniLM's have unit length, thus 0.05 each.
        self.norm_text = nn.LayerNorm(context_dim)
        self.embed_text = nn.Linear(context_dim, embed_dim)
        self.stem = conv3(in_channels, channels[0])

        self.down, self.shrink, self.up, self.grow = (nn.ModuleList() for _ in range(4))
        level = partial(Level, embed_dim=embed_dim, head_dim=head_dim, expansion=expansion, dropout=dropout)
        self.skip_all = skip_all
        width = channels[0]
        for i, (level_width, count, attend) in enumerate(zip(channels, res_blocks, attention, strict=True)):
            level_context = context_dim if attend else None
            widths_in = [width] + [level_width] * (count - 1)
            self.down.append(level(widths_in, level_width, context_dim=level_context))
            # Each block on the way up takes a skip beside its own input, the last skip first.
            widths_up = [2 * level_width] * count + [level_width + width] * skip_all
            self.up.append(level(widths_up, level_width, context_dim=level_context))
            if i + 1 < len(channels):
                self.shrink.append(conv3(level_width, level_width, stride=2))
                self.grow.append(Upsample(channels[i + 1], level_width))
            width = level_width
        self.middle = level([width] * middle_blocks, width, context_dim=context_dim)
        self.head = nn.Sequential(group_norm(channels[0]), nn.SiLU(), zeroed(conv3(channels[0], out_channels)))
        channels_last(self)

    def forward(
        self,
        x: Float[Tensor, "b c_in D H W"],
        t: Float[Tensor, " b"],
        context: Float[Tensor, "b tokens dim"],
    ) -> Float[Tensor, "b c_out D H W"]:
        """The prediction, in the dtype that autocast gives; `t` in steps of the noise schedule."""
        context = self.norm_text(context)
        embedding = self.embed_time(timestep_embedding(t, self.time_dim)) + self.embed_text(context.mean(dim=1))
        h = self.stem(x.contiguous(memory_format=torch.channels_last_3d))
        skips: list[Tensor] = [h] if self.skip_all else []
        for i, level in enumerate(self.down):
            outputs = level(h, embedding, context)
            skips += outputs
            h = outputs[-1]
            if i < len(self.shrink):
                h = self.shrink[i](h)
                skips += [h] if self.skip_all else []
        for output in self.middle(h, embedding, context):
            h = output
        for i, level in reversed(list(enumerate(self.up))):
            h = level(h, embedding, context, skips)[-1]
            if i > 0:
                h = self.grow[i - 1](h)
        return self.head(h)
