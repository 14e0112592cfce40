"""What rays of a clip's pixels see of a scene's object, and by how much they miss what the masks say of them."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from hoprior.rendering.volume import VolumeMask, pixel_rays, render_mask
from hoprior.tasks.reconstruct.observations import Rays
from hoprior.tasks.reconstruct.scene import Scene


def cast_rays(
    scene: Scene,
    values: Float[Tensor, "D H W"],
    rays: Rays,
    intrinsics: Float[Tensor, "b 4"],
    T_object_camera: Float[Tensor, "b 4 4"],
    samples: int,
    generator: torch.Generator,
) -> VolumeMask:
    """The object of the distances `values` along rays of b frames.

    Args:
        scene: whose box the distances fill.
        intrinsics, T_object_camera: of the frames.
        samples: along each ray, shifted at random by `generator`.
    """
    origins, directions = pixel_rays(rays.pixels, intrinsics, T_object_camera)
    return render_mask(
        lambda points: scene.sdf(values, points),
        origins,
        directions,
        scene.lower,
        scene.upper,
        samples=samples,
        generator=generator,
    )


class Misses(NamedTuple):
    """By how much rays of b frames miss what they should."""

    metres: Float[Tensor, "b r"]
    known: Float[Tensor, "b r"]
    """0 where nobody knows what they should meet: beyond the picture, and behind a hand."""

    @classmethod
    def of(cls, seen: VolumeMask, rays: Rays) -> "Misses":
        """Of what rays see."""
        known = rays.known * ((rays.hand_mask < 0.5) | (rays.object_mask > 0.5))
        return cls(missed_by(seen.nearest, rays.object_mask, rays.on_contour), known)

    def cost(self, slack: float) -> Float[Tensor, "b r"]:
        """Half the squared misses (m²), linear beyond `slack` (m); 0 where nothing is known."""
        nothing = torch.zeros_like(self.metres)
        return F.huber_loss(self.metres, nothing, delta=slack, reduction="none") * self.known

    def of_frames(self) -> Float[Tensor, " b"]:
        """The mean of each frame's known rays, metres; no gradient."""
        return (self.metres * self.known).detach().sum(dim=1) / self.known.sum(dim=1).clamp(min=1)


def missed_by(nearest: Float[Tensor, "b r"], mask: Float[Tensor, "b r"], on_contour: Tensor) -> Float[Tensor, "b r"]:
    """By how much (m) rays miss what they should: contours graze, what is inside the mask hits, the rest passes.

    Example:
        >>> nearest, mask = torch.tensor([[0.01, 0.01, -0.02]]), torch.tensor([[1.0, 0.0, 0.0]])
        >>> missed_by(nearest, mask, on_contour=torch.tensor([[False, False, True]]))
        tensor([[0.0100, 0.0000, 0.0200]])
    """
    return torch.where(on_contour, nearest.abs(), torch.where(mask > 0.5, torch.relu(nearest), torch.relu(-nearest)))
