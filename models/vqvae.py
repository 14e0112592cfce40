"""The VQ-VAE of object distance grids: a signed distance grid in the hand's frame as a small latent grid, and back.

After G-HOP (Ye et al., CVPR 2024, section 3.1). The grid is folded into channels before the first convolution, so the
width stands where the grid is small: the embedded size encodes ten 32³ grids in milliseconds on a CPU.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.hand.landmarks import PALM_CENTRE
from hoprior.models.base import TrainedModule
from hoprior.models.networks.blocks import (
    ResBlock,
    Upsample,
    channels_last,
    conv3,
    depth_to_space,
    group_norm,
    space_to_depth,
    zeroed,
)
from hoprior.models.networks.patches import PatchComponents
from hoprior.models.networks.scalar_codes import ScalarCodes

FEW_CELLS = 5.0
"""Objects that reach into the grid by fewer cells than about this are no measure of an overlap."""


class Encoded(NamedTuple):
    """One pass through the quantiser."""

    codes: Float[Tensor, "b c D H W"]
    """The latents, each replaced by its code; gradients go straight through."""
    indices: Int[Tensor, "b D H W k"] | None
    """Which code; None where codes are not numbered (scalar quantisation)."""
    loss: Float[Tensor, ""]
    """Commitment of the latents to their codes; zero for scalar quantisation."""


class SdfVQVAE(TrainedModule):
    """Signed distances (metres) on a grid -> latents on a coarser grid -> signed distances.

    The latents that other models use are those *before* quantisation; `decode` quantises.

    Args:
        grid_center, grid_half_extent, grid_resolution: the grid in the hand's frame, metres (`GridSpec`).
        truncation: distances are clamped to ± this, metres; 0.04 is G-HOP's.
        fold: cells per axis that become channels before the first convolution.
        channels: width at each level of the networks; every level after the first halves the grid.
        res_blocks: residual blocks at each level.
        decoder_fold, decoder_channels, decoder_res_blocks: the same of the decoder; the encoder's where not given.
            Score distillation runs the encoder at every step, both ways, and never the decoder, which may be large.
        latent_channels: channels of the latent grid.
        codebook_size: codes of the vector quantiser; unused when `levels` is given.
        levels: quantise each latent channel to so many values instead (finite scalar quantisation, Mentzer et al.
            2023): no distance to thousands of codes, hence the choice for CPUs. One number for each channel.
        linear: a linear path beside each network, which begins at the principal components of the first batch's blocks.
        commitment: weight of the commitment loss (van den Oord et al. 2017, Eq. 3).
        surface_weight: how much more than elsewhere the error counts at the surface.
        surface_width: distance from the surface, metres, at which that extra weight has fallen to 1/e.
        overlap_weight: of 1 - IoU of what is inside, softly, beside the error of distances: the mean error is that of
            large things, and a spoon's IoU is lost to a millimetre.
        overlap_width: distance, metres, over which a point passes from inside to outside there.
        learning_rate, weight_decay, warmup_steps: of AdamW and its warm-up.
    """

    def __init__(
        self,
        grid_center: Sequence[float] = PALM_CENTRE,
        grid_half_extent: float = 0.14,
        grid_resolution: int = 32,
        truncation: float = 0.04,
        fold: int = 2,
        channels: Sequence[int] = (32, 96),
        res_blocks: int = 2,
        decoder_fold: int | None = None,
        decoder_channels: Sequence[int] | None = None,
        decoder_res_blocks: int | None = None,
        latent_channels: int = 8,
        codebook_size: int = 8192,
        levels: Sequence[int] | None = None,
        linear: bool = False,
        commitment: float = 0.25,
        surface_weight: float = 4.0,
        surface_width: float = 0.01,
        overlap_weight: float = 0.0,
        overlap_width: float = 0.002,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        warmup_steps: int = 100,
    ) -> None:
        super().__init__()
        x, y, z = grid_center
        self.spec = GridSpec((x, y, z), grid_half_extent, grid_resolution)
        self.truncation, self.fold, self.latent_channels = truncation, fold, latent_channels
        self.shrinkage = fold * 2 ** (len(channels) - 1)
        if grid_resolution % self.shrinkage:
            raise HopriorError(
                f"VQ-VAE: grid_resolution {grid_resolution} is no multiple of {self.shrinkage}, its shrinkage"
            )
        self.decoder_fold = decoder_fold or fold
        decoder_channels = decoder_channels or channels
        growth = self.decoder_fold * 2 ** (len(decoder_channels) - 1)
        if growth != self.shrinkage:
            raise HopriorError(
                f"VQ-VAE: the encoder shrinks the grid {self.shrinkage} times, the decoder grows it {growth} times: "
                "make fold * 2^(levels - 1) the same for both"
            )
        if levels is not None and len(levels) != latent_channels:
            raise HopriorError(f"VQ-VAE: {len(levels)} levels for {latent_channels} latent channels: give one each")
        self.encoder = _encoder(fold**3, channels, res_blocks, latent_channels)
        self.decoder = _decoder(
            latent_channels, decoder_channels, decoder_res_blocks or res_blocks, self.decoder_fold**3
        )
        channels_last(self)
        self.components = PatchComponents(self.shrinkage, latent_channels) if linear else None
        if linear:
            zeroed(self.encoder[-1])
            zeroed(self.decoder[-1])
        self.quantizer: nn.Module
        if levels is None:
            from vector_quantize_pytorch import VectorQuantize

            # Codes learned by gradient, as in G-HOP; running sums of them would outgrow half precision in empty space.
            self.quantizer = VectorQuantize(
                latent_channels, codebook_size, commitment_weight=commitment, learnable_codebook=True, ema_update=False
            )
        else:
            self.quantizer = ScalarCodes(levels)
        self.scalar = levels is not None
        self.surface_weight, self.surface_width = surface_weight, surface_width
        self.overlap_weight, self.overlap_width = overlap_weight, overlap_width

    @property
    def latent_spec(self) -> GridSpec:
        """The grid of the latent cells' centres: each latent cell stands for a block of `shrinkage`³ points."""
        cells = self.spec.resolution // self.shrinkage
        half_extent = 0.5 * (self.spec.resolution - self.shrinkage) * self.spec.cell
        return GridSpec(self.spec.center, half_extent, cells)

    def encode(self, sdf: Float[Tensor, "b 1 D H W"]) -> Float[Tensor, "b c d h w"]:
        """Latents before quantisation, float32, differentiable in the distances (metres, truncated here)."""
        unit = self.truncated(sdf)
        x = space_to_depth(unit, self.fold)
        z = self.encoder(x.contiguous(memory_format=torch.channels_last_3d)).float()
        if self.components is not None:
            return self.components.encode(unit) + z
        # Scalar quantisation has its codes in [-1, 1].
        return z.tanh() if self.scalar else z

    def truncated(self, sdf: Float[Tensor, "b 1 D H W"]) -> Float[Tensor, "b 1 D H W"]:
        """Signed distances (metres) in units of the truncation, -1 to 1."""
        return sdf.clamp(-self.truncation, self.truncation) / self.truncation

    def quantize(self, z: Float[Tensor, "b c d h w"]) -> Encoded:
        """The codes of latents."""
        tokens = rearrange(z, "b c d h w -> b (d h w) c")
        codes, indices, *loss = (self.quantizer(tokens), None) if self.scalar else self.quantizer(tokens)
        shape = {"d": z.shape[2], "h": z.shape[3]}
        numbered = None if indices is None else rearrange(indices, "b (d h w) -> b d h w 1", **shape)
        codes = rearrange(codes, "b (d h w) c -> b c d h w", **shape)
        return Encoded(codes, numbered, loss[0].sum() if loss else z.new_zeros(()))

    def decode(self, z: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b 1 D H W"]:
        """Signed distances in metres, within the truncation, of latents before quantisation."""
        return self.decode_codes(self.quantize(z).codes).clamp(-1, 1) * self.truncation

    def decode_codes(self, codes: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b 1 D H W"]:
        """Signed distances in units of the truncation, not clamped, of quantised latents."""
        x = self.decoder(codes.contiguous(memory_format=torch.channels_last_3d))
        decoded = depth_to_space(x, self.decoder_fold).float()
        return decoded if self.components is None else decoded + self.components.decode(codes)

    def forward(self, sdf: Float[Tensor, "b 1 D H W"]) -> Float[Tensor, "b 1 D H W"]:
        """Reconstruction in metres."""
        return self.decode(self.encode(sdf))

    def loss(self, sdf: Float[Tensor, "b 1 D H W"]) -> dict[str, Tensor]:
        """`loss` to descend, and its parts: `l1` (mean error, metres), `iou` of the insides, `commitment`."""
        target = self.truncated(sdf)
        quantized = self.quantize(self.encode(sdf))
        decoded = self.decode_codes(quantized.codes)
        error = (decoded - target).abs()
        weight = 1 + self.surface_weight * torch.exp(-target.abs() * (self.truncation / self.surface_width))
        reconstruction = (weight * error).sum() / weight.sum()
        if self.overlap_weight:
            sharpness = self.truncation / self.overlap_width
            missed = 1 - soft_iou((-sharpness * decoded).sigmoid(), (-sharpness * target).sigmoid())
            reconstruction = reconstruction + self.overlap_weight * missed.mean()
        return {
            "loss": reconstruction + quantized.loss,
            "l1": error.mean() * self.truncation,
            "commitment": quantized.loss,
        }

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """One step on `batch["object_sdf"]`."""
        self._begin(batch["object_sdf"])
        parts = self.loss(batch["object_sdf"])
        self.log_dict({f"train/{name}": value.detach() for name, value in parts.items()}, prog_bar=True)
        return parts["loss"]

    @torch.no_grad()
    def _begin(self, sdf: Float[Tensor, "b 1 D H W"]) -> None:
        """Gives the linear path its first components, those of the first batch of all processes."""
        components = self.components
        if components is None or components.begun:
            return
        components.begin(self.of_all_processes(self.truncated(sdf)))

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Reconstructions (b, 1, D, H, W), metres."""
        return self(batch["object_sdf"])

    def evaluate(self, batch: dict[str, Any], batch_idx: int, stage: str) -> None:
        """Logs the loss, its parts and the IoU of what is inside."""
        sdf = batch["object_sdf"]
        parts = self.loss(sdf)
        iou = inside_iou(self(sdf), sdf)
        held = ~iou.isnan()  # grids that the object does not reach say nothing
        metrics = {f"{stage}/{name}": value for name, value in parts.items()}
        self.log_dict(metrics, prog_bar=True, batch_size=len(sdf))
        if held.any():
            self.log(f"{stage}/iou", iou[held].mean(), prog_bar=True, batch_size=int(held.sum()))


def inside_iou(predicted: Float[Tensor, "b 1 D H W"], target: Float[Tensor, "b 1 D H W"]) -> Float[Tensor, " b"]:
    """Intersection over union of the cells with negative distance; NaN where both have none.

    Example:
        >>> one = torch.tensor([-1.0, 1.0, 1.0]).reshape(1, 1, 1, 1, 3)
        >>> inside_iou(torch.tensor([-1.0, -1.0, 1.0]).reshape(1, 1, 1, 1, 3), one)
        tensor([0.5000])
    """
    inside_predicted, inside_target = (predicted < 0).flatten(1), (target < 0).flatten(1)
    intersection = (inside_predicted & inside_target).sum(dim=1)
    return intersection / (inside_predicted | inside_target).sum(dim=1)


def soft_iou(predicted: Float[Tensor, "b 1 D H W"], target: Float[Tensor, "b 1 D H W"]) -> Float[Tensor, " b"]:
    """Intersection over union of shares that are inside (0 .. 1); near 1 where both have next to none."""
    intersection = torch.minimum(predicted, target).flatten(1).sum(dim=1)
    union = torch.maximum(predicted, target).flatten(1).sum(dim=1)
    return (intersection + FEW_CELLS) / (union + FEW_CELLS)


def _encoder(in_channels: int, channels: Sequence[int], res_blocks: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = [conv3(in_channels, channels[0])]
    for i, width in enumerate(channels):
        if i > 0:
            layers.append(conv3(channels[i - 1], width, stride=2))
        layers += [ResBlock(width, width) for _ in range(res_blocks)]
    return nn.Sequential(*layers, group_norm(channels[-1]), nn.SiLU(), nn.Conv3d(channels[-1], out_channels, 1))


def _decoder(in_channels: int, channels: Sequence[int], res_blocks: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = [conv3(in_channels, channels[-1])]
    for i, width in reversed(list(enumerate(channels))):
        layers += [ResBlock(width, width) for _ in range(res_blocks)]
        if i > 0:
            layers.append(Upsample(width, channels[i - 1]))
    return nn.Sequential(*layers, group_norm(channels[0]), nn.SiLU(), conv3(channels[0], out_channels))
