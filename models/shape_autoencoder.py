"""The autoencoder of whole shapes: an object in its box as one short code, and back.

One code stands for the whole object, so that what is decoded is one thing by construction where a grid of local latents
has to agree with itself. After DeepSDF (Park et al., CVPR 2019) with an encoder in place of a search for the code.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.shape_box import REACH, ShapeBox
from hoprior.models.base import TrainedModule
from hoprior.models.networks.triplanes import PlaneDecoder, ShapeEncoder

CONTRASTS = (0.2, 0.04)
"""Errors of distances beyond these (over the box's scale) do not count: the whole shape, and its walls."""
COARSE, FINE = 24, 96
"""Points an axis at which a decoded shape is looked at, first everywhere, then near its surface."""
CHUNK = 1 << 17
"""Places decoded at a time."""


class ShapeAutoencoder(TrainedModule):
    """Signed distances in an object's box as a code of `code` numbers, and distances of a code at any place.

    Distances are over the box's scale (`hoprior.geometry.shape_box`).

    Args:
        code: numbers in a code, each of mean 0 and deviation 1 over the training shapes.
        code_noise: deviation of the noise on codes in training, so that codes nearby mean shapes nearby.
        encoder_width: of the encoder's first features.
        plane_channels: of the planes of 4², 8², ... 64² features.
        hidden: width of the network that reads the planes.
        learning_rate, weight_decay, warmup_steps: of AdamW.
    """

    def __init__(
        self,
        code: int = 128,
        code_noise: float = 0.1,
        encoder_width: int = 32,
        plane_channels: Sequence[int] = (64, 48, 32, 24, 16),
        hidden: int = 96,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        warmup_steps: int = 100,
    ) -> None:
        super().__init__()
        self.code, self.code_noise = code, code_noise
        self.encoder = ShapeEncoder(encoder_width, code)
        self.decoder = PlaneDecoder(code, tuple(plane_channels), hidden)

    def encode(self, field: Float[Tensor, "b 1 r r r"]) -> Float[Tensor, "b code"]:
        """The codes of shapes, from their distances at `ShapeBox.lattice(FIELD_RESOLUTION)`; differentiable."""
        return self.encoder(field)

    @torch.no_grad()
    def decode(self, code: Float[Tensor, " code"], resolution: int = FINE) -> Float[Tensor, "r r r"]:
        """Distances of one shape on `resolution`³ points from -REACH to REACH (z, y, x).

        Far from the surface they are those of a coarser grid: nothing is decided there.
        """
        planes = self.decoder.planes(code[None])

        def look(points: np.ndarray) -> Tensor:
            places = torch.from_numpy(points).to(planes)
            parts = [self.decoder.distance(planes, some[None])[0] for some in places.split(CHUNK)]
            return torch.cat(parts).float()

        coarse = look(ShapeBox.lattice(COARSE)).view(1, 1, COARSE, COARSE, COARSE)
        size = (resolution, resolution, resolution)
        values = torch.nn.functional.interpolate(coarse, size=size, mode="trilinear", align_corners=True).flatten()
        # A wall may be thinner than a coarse cell: what is nearer than a cell to any surface is looked at.
        cell = 2 * REACH / (COARSE - 1)
        least = -torch.nn.functional.max_pool3d(-coarse.abs(), 3, 1, 1)
        near = torch.nn.functional.interpolate(least, size=size, mode="nearest").flatten() < cell
        rows = near.nonzero()[:, 0]
        values[rows] = look(ShapeBox.lattice(resolution)[rows.cpu().numpy()])
        return values.view(size)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """One step on `field`, `places` and `distance` (`ShapeBatches`)."""
        if not any(parameter.requires_grad for parameter in self.encoder.parameters()):
            self.encoder.eval()  # a decoder that learns on is to know the codes that others use
        code = self.encode(batch["field"])
        code = code + self.code_noise * torch.randn_like(code)
        loss = self._error(code, batch).mean()
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def _error(self, code: Float[Tensor, "b code"], batch: dict[str, Any]) -> Float[Tensor, "b n"]:
        """Of clamped distances (Park et al. 2019, Eq. 4), over each contrast, their mean."""
        found, true = self.decoder(code, batch["places"]).float(), batch["distance"]
        each = [(found.clamp(-limit, limit) - true.clamp(-limit, limit)).abs() / limit for limit in CONTRASTS]
        return torch.stack(each).mean(dim=0)

    def evaluate(self, batch: dict[str, Any], batch_idx: int, stage: str) -> None:
        """Logs the error, and the overlap of the inside (IoU) at the batch's places, on shapes held out."""
        code = self.encode(batch["field"])
        found, true = self.decoder(code, batch["places"]) < 0, batch["distance"] < 0
        both, either = (found & true).sum(1), (found | true).sum(1).clamp(min=1)
        self.log(f"{stage}/loss", self._error(code, batch).mean(), prog_bar=True, batch_size=len(code))
        self.log(f"{stage}/iou", (both / either).mean(), prog_bar=True, batch_size=len(code))
