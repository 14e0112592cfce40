"""A shape as a code and back: an encoder of distances, and a decoder by way of three planes of features.

The decoder makes three planes from the code (Chan et al., CVPR 2022, "triplanes"); a point reads each at its shadow,
and a small network turns what it read into a distance. Convolutions in planes cost little, so that planes can be fine
where a grid of as many cells a side could not.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hoprior.geometry.shape_box import REACH
from hoprior.models.networks.blocks import ResBlock, channels_last, conv3, group_norm, space_to_depth

NEAR = 0.2
"""Distances that are seen in full contrast, over the box's scale."""
FAR = 1.0
"""Distances beyond which the encoder sees no difference."""


class ShapeEncoder(nn.Module):
    """Distances on 32³ points of a box -> a code of deviation 1 a number.

    Args:
        width: of the first features.
        code: numbers in a code.
    """

    def __init__(self, width: int, code: int) -> None:
        super().__init__()
        wide = (width, 2 * width, 3 * width)
        self.layers = nn.Sequential(
            conv3(16, wide[0], 2),
            ResBlock(wide[0], wide[0]),
            conv3(wide[0], wide[1], 2),
            ResBlock(wide[1], wide[1]),
            group_norm(wide[1]),
            nn.SiLU(),
            nn.Conv3d(wide[1], wide[2] // 4, 1),
            nn.Flatten(),
            nn.Linear(64 * (wide[2] // 4), code),
        )
        # Codes that a denoiser is to learn are of mean 0 and deviation 1.
        self.even = nn.BatchNorm1d(code, affine=False)
        channels_last(self)

    def forward(self, field: Float[Tensor, "b 1 r r r"]) -> Float[Tensor, "b code"]:
        """The codes of shapes whose distances are over their box's scale."""
        seen = torch.cat([(field / NEAR).clamp(-1, 1), (field / FAR).clamp(-1, 1)], dim=1)
        return self.even(self.layers(space_to_depth(seen, 2)).float())


class PlaneBlock(nn.Module):
    """A plane twice as fine: nearest neighbours, then two convolutions."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm = group_norm(out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """The finer plane."""
        x = self.first(F.silu(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        return x + self.second(F.silu(self.norm(x)))


class PlaneDecoder(nn.Module):
    """A code -> three planes of 64² features; points -> distances over the box's scale.

    Args:
        code: numbers in a code.
        channels: of the planes of 4², 8², 16², 32² and 64² features.
        hidden: width of the network that reads them.
    """

    def __init__(self, code: int, channels: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.channels = channels
        self.start = nn.Linear(code, 3 * channels[0] * 16)
        self.finer = nn.Sequential(*(PlaneBlock(a, b) for a, b in pairwise(channels)))
        self.read = nn.Sequential(
            nn.Linear(3 * channels[-1] + 3, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 1),
        )

    def planes(self, code: Float[Tensor, "b code"]) -> Float[Tensor, "b 3 c s s"]:
        """The planes across z, y and x."""
        start = self.start(code).view(-1, self.channels[0], 4, 4)
        return self.finer(start).unflatten(0, (len(code), 3))

    def distance(self, planes: Float[Tensor, "b 3 c s s"], places: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """Distances at places of the box (x, y, z in -1 .. 1)."""
        x, y, z = (places / REACH).unbind(dim=-1)
        shadows = torch.stack([torch.stack([x, y], -1), torch.stack([x, z], -1), torch.stack([y, z], -1)], dim=1)
        read = F.grid_sample(
            planes.flatten(0, 1), shadows.flatten(0, 1)[:, :, None].to(planes.dtype), align_corners=False,
            padding_mode="border",
        )  # fmt: skip
        features = read[..., 0].unflatten(0, (-1, 3)).flatten(1, 2).transpose(1, 2)
        return self.read(torch.cat([features, places.to(features.dtype)], dim=-1))[..., 0]

    def forward(self, code: Float[Tensor, "b code"], places: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """Distances of coded shapes at places."""
        return self.distance(self.planes(code), places)
