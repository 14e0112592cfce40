"""Mends the poses of frames by the object: what moves is hand and object, until a shape that stays fits all masks.

Estimated hands are several degrees off from frame to frame. A far end of the object then misses itself, and carving by
all frames leaves nothing of it. A shape that is right in the mean tells which frame is off by how much.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hoprior.common.adam import Adam
from hoprior.common.schedule import cosine_decay
from hoprior.datasets.clips.clip import Clip
from hoprior.tasks.reconstruct.descent import ADAM_BETAS, LAST_RATE, SHIFT_RATE
from hoprior.tasks.reconstruct.losses import LossWeights, estimate_loss, keypoint_loss, motion_losses
from hoprior.tasks.reconstruct.observations import RaySampler
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.reconstruct.silhouettes import Misses, cast_rays

RAYS, SAMPLES = 96, 40
LAST_STEPS = 10
"""How far each frame is off is measured in so many of the last steps."""
USUAL_MISS, OUTLIER = 0.001, 2.0
"""Frames that are off by so many times what is usual, or at least what poses that are right miss (m), are of no use."""
SILHOUETTE_SLACK = 0.006
"""Rays that miss what they should meet by more (m) pull with a constant force: a wrong shape is no reason to tear."""
SILHOUETTE_WEIGHT = 30.0
"""How much rays count beside the losses of hands and motion."""


def register(
    scene: Scene, clip: Clip, weights: LossWeights, steps: int, rate: float, generator: torch.Generator
) -> Float[Tensor, " n"]:
    """Moves hands and object (not their shapes) in `steps` of Adam, so that the object lies in its masks.

    Args:
        scene: with an object; its poses are changed.
        clip: what was seen.
        weights: of the losses of keypoints, estimates and motion, which hold the poses meanwhile.
        steps: how many.
        rate: of turns (rad); a fifth of it for shifts (m).
        generator: of the rays.

    Returns:
        By how much (m) each frame's rays miss the object at the end, on average; NaN without a mask.
    """
    index = clip.has_object.nonzero()[:, 0]
    left = torch.full((len(clip),), torch.nan)
    if not len(index):
        return left
    history: list[Tensor] = []
    sampler = RaySampler(clip, torch.device("cpu"), generator)
    values, size = scene.distances().detach(), clip.object_mask.shape[-1]
    turns, shifts = [scene.hand_turn, scene.object_turn], [scene.hand_shift, scene.object_shift]
    optimizer = Adam([{"params": turns}, {"params": shifts}], betas=ADAM_BETAS)
    for step in range(steps):
        share = cosine_decay(step, steps, LAST_RATE)
        for group, factor in zip(optimizer.param_groups, (1.0, SHIFT_RATE), strict=True):
            group["lr"] = factor * rate * share
        placed, rays = scene.place(mesh=False), sampler.draw(index, RAYS)
        seen = cast_rays(
            scene, values, rays, placed.intrinsics[index], placed.T_object_camera[index], SAMPLES, generator
        )
        missed = Misses.of(seen, rays)
        history.append(missed.of_frames())
        motion = motion_losses(scene)
        loss = (
            SILHOUETTE_WEIGHT * missed.cost(SILHOUETTE_SLACK).mean() / SILHOUETTE_SLACK
            + weights.keypoints * keypoint_loss(placed, clip.keypoints, clip.confidence, size)
            + weights.estimate * estimate_loss(scene, clip.has_hand)
            + weights.smooth_relation * motion.relation
            + weights.firm_relation * motion.firm
            + weights.smooth_camera * motion.camera
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    left[index] = torch.stack(history[-LAST_STEPS:]).mean(dim=0)
    return left


def agreeing(missed: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Frames whose masks show the object about where the others have it, by how much (m) they miss it."""
    usual = max(float(missed.nanmedian()), USUAL_MISS)
    return missed <= OUTLIER * usual
