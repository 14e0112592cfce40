"""The two stages of a fit that descend, each as the losses of its steps: hands alone, then everything together."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.datasets.clips.clip import Clip
from hoprior.rendering.soft import soft_renderer
from hoprior.tasks.reconstruct.config import FitConfig
from hoprior.tasks.reconstruct.guides import InteractionGuide, PoseGuide
from hoprior.tasks.reconstruct.losses import (
    Motion,
    contact_losses,
    contour_loss,
    estimate_loss,
    hand_mask_loss,
    keypoint_loss,
    mask_loss,
    motion_losses,
    surface_losses,
)
from hoprior.tasks.reconstruct.observations import HandPictures, RaySampler, shown_cells, shrink
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.reconstruct.silhouettes import cast_rays

SHOWN_HELD = 0.9
"""Share of the push of prior and hand that surface withstands which lies open to the camera: pictures know better."""
PICTURES_EVERY, SHOWN_EVERY = 20, 40
"""Steps after which hands are drawn anew to hide the object, and it is asked anew which surface lies open."""
INTERACTION_UNIT = 100.0
"""The guidance loss of priors of hands at objects sums over a grid; it is divided by this before it is weighted."""


@runtime_checkable
class Stage(Protocol):
    """A stage as the loop sees it."""

    name: str
    steps: int

    def losses(self, step: int) -> dict[str, Tensor]:
        """The weighted losses of a step, by name."""
        ...

    def drawn(self) -> dict[str, Any]:
        """What was drawn some steps ago and is still used: a checkpoint keeps it."""
        ...

    def load_drawn(self, drawn: dict[str, Any]) -> None:
        """Goes on with what `drawn` gave."""
        ...


class HandStage:
    """Hands alone: keypoints, estimates, motion, masks, and priors of how fingers are bent.

    Args:
        scene: on the device where it is fitted.
        clip: what was seen.
        config: how finely.
        generator: of the frames that are looked at.
        poses: what guides the fingers, or None.
    """

    name = "fitting the hands"

    def __init__(
        self, scene: Scene, clip: Clip, config: FitConfig, generator: torch.Generator, poses: PoseGuide | None
    ) -> None:
        self.steps = config.hand_steps
        self.hands = HandLosses(scene, clip, config)
        self.config, self.generator, self.poses = config, generator, poses

    def losses(self, step: int) -> dict[str, Tensor]:
        """Those of all frames; the hand's mask in a few of them, every few steps."""
        config, scene = self.config, self.hands.scene
        index = draw_frames(scene, config.hand_frames, self.generator) if step % config.hand_every == 0 else None
        losses = self.hands(index)
        if self.poses is not None and step % config.prior_every == 0:
            losses["pose prior"] = config.weights.pose_prior * config.prior_every * self.poses.loss(scene)
        return losses

    def drawn(self) -> dict[str, Any]:
        """Nothing: each step draws its own."""
        return {}

    def load_drawn(self, drawn: dict[str, Any]) -> None:
        """Nothing."""


class SceneStage:
    """Object, hands, and where the object is in them, together.

    Args:
        scene: on the device where it is fitted, with a first guess of the object.
        clip: what was seen.
        config: how finely.
        generator: of frames, rays and shifts.
        interaction: what guides hand and object, or None.
        poses: what guides the fingers, or None.
    """

    name = "fitting everything"

    def __init__(
        self,
        scene: Scene,
        clip: Clip,
        config: FitConfig,
        generator: torch.Generator,
        interaction: InteractionGuide | None,
        poses: PoseGuide | None,
    ) -> None:
        self.steps = config.steps
        self.scene, self.config, self.generator = scene, config, generator
        self.interaction, self.poses = interaction, poses
        self.hands = HandLosses(scene, clip, config)
        self.has_object = clip.has_object.to(scene.lower.device)
        self.sampler = RaySampler(clip, scene.lower.device, generator)
        self.pictures: HandPictures | None = None
        self.shown: Tensor | None = None

    def losses(self, step: int) -> dict[str, Tensor]:
        """Those of a few frames' rays; of the hands every few steps, for all of these; of priors likewise."""
        config, scene = self.config, self.scene
        if self.pictures is None or step % PICTURES_EVERY == 0:
            self.pictures = HandPictures.of(scene, config.hand_size, self.sampler.size)
        values = scene.distances()
        if self.shown is None or step % SHOWN_EVERY == 0:
            self.shown = SHOWN_HELD * shown_cells(scene, values, self.sampler.masks[:, 0])
        losses = self._surface_losses(values) | self._ray_losses(values, self.shown, self.pictures)
        if step % config.hand_every == 0:
            found = self.hands(draw_frames(scene, config.hand_frames, self.generator))
            losses |= {name: config.hand_every * loss for name, loss in found.items()}
        else:
            losses |= relation_losses(motion_losses(scene), config)
        return losses | self._prior_losses(step, values, self.shown)

    def drawn(self) -> dict[str, Any]:
        """The pictures of the hands, and where the surface lies open."""
        pictures = None if self.pictures is None else [self.pictures.alpha, self.pictures.depth]
        return {"pictures": pictures, "shown": self.shown}

    def load_drawn(self, drawn: dict[str, Any]) -> None:
        """Goes on with them."""
        device = self.scene.lower.device
        if drawn["pictures"] is not None:
            alpha, depth = (each.to(device) for each in drawn["pictures"])
            self.pictures = HandPictures(alpha, depth, self.sampler.size)
        self.shown = None if drawn["shown"] is None else drawn["shown"].to(device)

    def _surface_losses(self, values: Float[Tensor, "D H W"]) -> dict[str, Tensor]:
        weights = self.config.weights
        eikonal, curvature = surface_losses(self.scene, values)
        return {"eikonal": weights.eikonal * eikonal, "surface": weights.smooth_surface * curvature}

    def _ray_losses(
        self, values: Float[Tensor, "D H W"], shown: Float[Tensor, "D H W"], pictures: HandPictures
    ) -> dict[str, Tensor]:
        """Of the masks, and of the contact, in a few of the frames that show the object."""
        weights, scene, config = self.config.weights, self.scene, self.config
        index = draw_frames(scene, config.frames, self.generator)
        index = index[self.has_object[index]]
        if not len(index):
            return {}
        placed = scene.place(index)
        rays = self.sampler.draw(index, config.rays)
        seen = cast_rays(scene, values, rays, placed.intrinsics, placed.T_object_camera, config.samples, self.generator)
        alpha, depth = pictures.at(index, rays.pixels)
        losses = {
            "mask": weights.mask * mask_loss(seen, alpha, depth, rays),
            "contour": weights.contour * contour_loss(seen.nearest, rays.on_contour),
        }
        contact, penetration = contact_losses(scene, held_where(values, shown), placed, scene.model)
        return losses | {"contact": weights.contact * contact, "penetration": weights.penetration * penetration}

    def _prior_losses(
        self, step: int, values: Float[Tensor, "D H W"], shown: Float[Tensor, "D H W"]
    ) -> dict[str, Tensor]:
        config, scene = self.config, self.scene
        losses: dict[str, Tensor] = {}
        if step % config.prior_every:
            return losses
        if self.interaction is not None and step >= round(config.steps * config.prior_start):
            index = draw_frames(scene, config.prior_frames, self.generator)
            each = self.interaction.loss(scene, held_where(values, shown), index, self.generator)
            losses["prior"] = config.weights.prior * config.prior_every * each / INTERACTION_UNIT
        if self.poses is not None:
            losses["pose prior"] = config.weights.pose_prior * config.prior_every * self.poses.loss(scene)
        return losses


class HandLosses:
    """Losses that concern the hands of a scene and no object."""

    def __init__(self, scene: Scene, clip: Clip, config: FitConfig) -> None:
        device = scene.lower.device
        self.scene, self.clip, self.config = scene, clip, config
        self.keypoints, self.confidence = clip.keypoints.to(device), clip.confidence.to(device)
        self.has_hand = clip.has_hand.to(device)
        self.render = soft_renderer(config.renderer)

    def __call__(self, masked: Tensor | None) -> dict[str, Tensor]:
        """Weighted losses of all frames, and of the hand's mask in the frames `masked`, if they show a hand."""
        weights, scene = self.config.weights, self.scene
        placed = scene.place(mesh=False)
        motion = motion_losses(scene)
        losses = {
            "keypoints": weights.keypoints
            * keypoint_loss(placed, self.keypoints, self.confidence, self.clip.object_mask.shape[-1]),
            "estimate": weights.estimate * estimate_loss(scene, self.has_hand),
            "fingers": weights.smooth_fingers * motion.fingers,
            **relation_losses(motion, self.config),
            "focal": weights.focal * scene.log_focal.square(),
        }
        index = masked if masked is None else masked[self.has_hand[masked]]
        if index is not None and len(index):
            losses["hand mask"] = weights.hand_mask * self._mask_loss(index)
        return losses

    def _mask_loss(self, index: Tensor) -> Float[Tensor, ""]:
        """Of the hand's mask, rendered with few pixels."""
        scene, clip, size = self.scene, self.clip, self.config.hand_size
        placed = scene.place(index)
        scale = size / clip.object_mask.shape[-1]
        soft = self.render(placed.verts_camera, scene.model.faces, placed.intrinsics * scale, size)
        masks = (clip.hand_mask, clip.object_mask, clip.known)
        hand, held, known = (shrink(mask[index.cpu()], size).to(index.device) for mask in masks)
        return hand_mask_loss(soft.alpha, hand, held, known)


def relation_losses(motion: Motion, config: FitConfig) -> dict[str, Tensor]:
    """How hand and object move, in the hand and before the camera, weighted."""
    weights = config.weights
    return {
        "relation": weights.smooth_relation * motion.relation + weights.firm_relation * motion.firm,
        "camera": weights.smooth_camera * motion.camera,
    }


def draw_frames(scene: Scene, count: int, generator: torch.Generator) -> Tensor:
    """At most `count` of a scene's frames, in order."""
    order = torch.randperm(len(scene), generator=generator)
    return order[: min(count, len(order))].sort().values.to(scene.lower.device)


def held_where(values: Float[Tensor, "D H W"], held: Float[Tensor, "D H W"]) -> Float[Tensor, "D H W"]:
    """The same values, whose gradient is scaled by 1 - `held`."""
    return values * (1 - held) + values.detach() * held
