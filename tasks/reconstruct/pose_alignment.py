"""Mends the poses of frames by the object: what moves is hand and object, until a shape that stays fits all masks.

Estimated hands are several degrees off from frame to frame. A far end of the object then misses itself, and carving by
all frames leaves nothing of it. A shape that is right in the mean tells which frame is off by how much.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from hoprior.common.schedule import cosine_decay
from hoprior.datasets.clips.clip import Clip
from hoprior.rendering.volume import pixel_rays, render_mask
from hoprior.tasks.reconstruct.descent import ADAM_BETAS, LAST_RATE, SHIFT_RATE
from hoprior.tasks.reconstruct.losses import LossWeights, estimate_loss, keypoint_loss, motion_losses
from hoprior.tasks.reconstruct.observations import RaySampler
from hoprior.tasks.reconstruct.scene import Scene

RAYS, SAMPLES = 96, 40
SILHOUETTE_SLACK = 0.006
"""Rays that miss what they should meet by more (m) pull with a constant force: a wrong shape is no reason to tear."""
SILHOUETTE_WEIGHT = 30.0
"""How much rays count beside the losses of hands and motion."""


def register(
    scene: Scene, clip: Clip, weights: LossWeights, steps: int, rate: float, generator: torch.Generator
) -> None:
    """Moves hands and object (not their shapes) in `steps` of Adam, so that the object lies in its masks.

    Args:
        scene: with an object; its poses are changed.
        clip: what was seen.
        weights: of the losses of keypoints, estimates and motion, which hold the poses meanwhile.
        steps: how many.
        rate: of turns (rad); a fifth of it for shifts (m).
        generator: of the rays.
    """
    index = clip.has_object.nonzero()[:, 0]
    if not len(index):
        return
    sampler = RaySampler(clip, torch.device("cpu"), generator)
    values, size = scene.distances().detach(), clip.object_mask.shape[-1]
    turns, shifts = [scene.hand_turn, scene.object_turn], [scene.hand_shift, scene.object_shift]
    optimizer = torch.optim.Adam([{"params": turns}, {"params": shifts}], betas=ADAM_BETAS)
    for step in range(steps):
        share = cosine_decay(step, steps, LAST_RATE)
        for group, factor in zip(optimizer.param_groups, (1.0, SHIFT_RATE), strict=True):
            group["lr"] = factor * rate * share
        placed, rays = scene.place(mesh=False), sampler.draw(index, RAYS)
        origins, directions = pixel_rays(rays.pixels, placed.intrinsics[index], placed.T_object_camera[index])
        seen = render_mask(
            lambda points: scene.sdf(values, points),
            origins,
            directions,
            scene.lower,
            scene.upper,
            samples=SAMPLES,
            generator=generator,
        )
        missed = missed_by(seen.nearest, rays.object_mask, rays.on_contour)
        known = ((rays.hand_mask < 0.5) | (rays.object_mask > 0.5)).to(missed)
        motion = motion_losses(scene)
        loss = (
            SILHOUETTE_WEIGHT
            * (F.huber_loss(missed, torch.zeros_like(missed), delta=SILHOUETTE_SLACK, reduction="none") * known).mean()
            / SILHOUETTE_SLACK
            + weights.keypoints * keypoint_loss(placed, clip.keypoints, clip.confidence, size)
            + weights.estimate * estimate_loss(scene, clip.has_hand)
            + weights.smooth_relation * motion.relation
            + weights.firm_relation * motion.firm
            + weights.smooth_camera * motion.camera
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def missed_by(nearest: Float[Tensor, "b r"], mask: Float[Tensor, "b r"], on_contour: Tensor) -> Float[Tensor, "b r"]:
    """By how much (m) rays miss what they should: contours graze, what is inside the mask hits, the rest passes.

    Example:
        >>> nearest, mask = torch.tensor([[0.01, 0.01, -0.02]]), torch.tensor([[1.0, 0.0, 0.0]])
        >>> missed_by(nearest, mask, on_contour=torch.tensor([[False, False, True]]))
        tensor([[0.0100, 0.0000, 0.0200]])
    """
    return torch.where(on_contour, nearest.abs(), torch.where(mask > 0.5, torch.relu(nearest), torch.relu(-nearest)))
