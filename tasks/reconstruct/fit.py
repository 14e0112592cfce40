"""How a scene is fitted to a clip: first the hands, then the object is carved, then everything together."""

import io
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.io import write_atomically
from hoprior.common.run_key import RunKey
from hoprior.datasets.clips.clip import Clip
from hoprior.geometry.state import HandObjectState
from hoprior.hand import HandModel
from hoprior.priors.guidance import SDSGuidance
from hoprior.rendering.soft import soft_renderer
from hoprior.rendering.volume import pixel_rays, render_mask
from hoprior.tasks.reconstruct.cavity import SURE, Hollow, hollow_in, hollow_out
from hoprior.tasks.reconstruct.config import FitConfig
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
from hoprior.tasks.reconstruct.pose_alignment import register
from hoprior.tasks.reconstruct.resume_key import key_of
from hoprior.tasks.reconstruct.scene import Scene, invert
from hoprior.tasks.reconstruct.visual_hull import Carver

logger = logging.getLogger(__name__)

Report = Callable[[str, float, dict[str, float]], object]
"""Told the stage, the share of the work that is done, and the losses."""

CHECKPOINT_SECONDS = 20.0
SHOWN_HELD = 0.9
"""Share of the push of prior and hand that surface withstands which lies open to the camera: pictures know better."""
CALM = 1.0
"""Steps of a level's cells are damped as if each had at least this share of the level's typical gradient."""


class Fit:
    """A fit of one clip that can be stopped, saved and taken up again.

    Args:
        clip: what was seen.
        model: the right hand.
        prior: what guides, or None; `cond` (1, tokens, dim) are its text features.
        shapes: weights and priors of shapes, which know vessels (see `cavity.py`).
        config: see `FitConfig`.
        seed: of all draws.
        device: where it computes.
        checkpoint: a file that is kept up to date, and taken up if it is there and of the same run.
        minutes: when so much time has passed, the remaining steps are left out; no limit if None.
    """

    def __init__(
        self,
        clip: Clip,
        model: HandModel,
        prior: Any,
        cond: Float[Tensor, "1 tokens dim"] | None,
        config: FitConfig,
        *,
        shapes: Sequence[tuple[float, Any]] = (),
        seed: int = 0,
        device: torch.device | str = "cpu",
        checkpoint: Path | None = None,
        minutes: float | None = None,
    ) -> None:
        self.clip, self.config = clip, config
        self.shapes = [(weight, shape) for weight, shape in shapes if weight]
        self.device = torch.device(device)
        self.cond = None if cond is None else cond.to(self.device)
        self.scene = Scene(clip, model)
        self.checkpoint, self.minutes = checkpoint, minutes
        self.generator = torch.Generator().manual_seed(seed)
        self.guidance = None
        if prior is not None:
            self.guidance = SDSGuidance(
                prior,
                max(1, round(config.steps * (1 - config.prior_start) / config.prior_every)),
                guidance_scale=config.guidance_scale,
                t_range=config.t_range,
                t_range_end=config.t_range_end,
                seed=seed,
            )
        self.key = key_of(clip, model, prior, self.shapes, cond, config, seed)
        self.render = soft_renderer(config.renderer)
        self.stage, self.step, self.spent = "hands", 0, 0.0
        self.began = time.monotonic()
        self.saved = self.began
        self.history: list[dict[str, float]] = []
        self.hollow = Hollow(0.0, torch.zeros(3))
        self.missed = 0.0

    def run(self, report: Report | None = None, say: Callable[[str], object] = logger.info) -> Scene:
        """Fits to the end, or until time is up; `say` is told if it goes on from the checkpoint, or why it does not."""
        if (start := self._resume()) is not None:
            say(start)
        report = report or (lambda stage, share, losses: None)
        if self.stage == "hands":
            self._fit_hands(report)
            report("carving the object", 0.12, {})
            self._guess_object()
            self.stage, self.step, self.saved = "all", 0, 0.0
        self._fit_all(report)
        return self.scene

    # The stages.

    def _fit_hands(self, report: Report) -> None:
        scene, config = self.scene.to(self.device), self.config
        optimizer = self._optimizer()
        for step in range(self.step, config.hand_steps):
            losses = self._hand_losses(step, torch.arange(len(scene), device=self.device))
            self._descend(optimizer, losses, step, config.hand_steps)
            report("fitting the hands", 0.12 * step / config.hand_steps, _plain(losses))
            if self._time_is_up(0.3):
                break
        self.scene = scene.cpu()

    def _guess_object(self) -> None:
        """Carves the object, and mends the poses by what is left, in turn."""
        config, carver = self.config, Carver.of(self.clip)
        self.missed = carver.carve(self.scene, config.resolution)
        for _ in range(config.rounds):
            steps, rate = config.register_steps, config.register_rate
            register(self.scene, self.clip, config.weights, steps, rate, self.generator)
            self.missed = carver.carve(self.scene, config.resolution)
        # What masks leave is what priors of shapes have learnt from; the fit rounds it.
        scene = self.scene.to(self.device)
        found = [(w, hollow_in(scene, scene.base, shape, self.cond)) for w, shape in self.shapes]
        self.scene = scene.cpu()
        if found:
            self.hollow = max(found, key=lambda each: each[0] * each[1].sure)[1]

    def _fit_all(self, report: Report) -> None:
        scene, config = self.scene.to(self.device), self.config
        sampler = RaySampler(self.clip, self.device, self.generator)
        optimizer = self._optimizer()
        if self._optimizer_state is not None:
            optimizer.load_state_dict(self._optimizer_state)
        hands: HandPictures | None = None
        shown: Tensor | None = None
        for step in range(self.step, config.steps):
            if hands is None or step % 20 == 0:
                hands = HandPictures.of(scene, config.hand_size, self.clip.object_mask.shape[-1])
            values = scene.distances()
            if shown is None or step % 40 == 0:
                shown = SHOWN_HELD * shown_cells(scene, values, sampler.object_mask)
            losses = self._object_losses(step, values, shown, sampler, hands)
            if step % config.hand_every == 0:
                losses |= self._hand_losses(step, self._draw_frames(config.hand_frames), config.hand_every)
            begins = round(config.steps * config.prior_start)
            if self.guidance is not None and step >= begins and step % config.prior_every == 0:
                losses["prior"] = self._prior_loss(held_where(values, shown))
            self._descend(optimizer, losses, step, config.steps)
            plain = _plain(losses)
            if step % 10 == 0:
                self.history.append({"step": step, **plain})
            report("fitting everything", 0.14 + 0.86 * step / config.steps, plain)
            self.step = step + 1
            self._save(optimizer)
            if self._time_is_up(1.0):
                break
        self._hollow_out()
        self.scene = scene.cpu()

    @torch.no_grad()
    def _hollow_out(self) -> None:
        """Takes out of the object the air that the priors of shapes know of, if they take it for a vessel."""
        scene = self.scene
        if self.hollow.sure > SURE:
            scene.set_object(hollow_out(scene, scene.distances(), self.hollow), scene.lower, scene.upper)

    # The losses of a step.

    def _hand_losses(self, step: int, index: Tensor, factor: float = 1.0) -> dict[str, Tensor]:
        """Losses of the hands alone; the mask of a few of the frames, every few steps."""
        weights, clip, config, scene = self.config.weights, self.clip, self.config, self.scene
        alone = self.stage == "hands"
        placed = scene.place(mesh=False)
        size = clip.object_mask.shape[-1]
        motion = motion_losses(scene)
        losses = {
            "keypoints": weights.keypoints
            * keypoint_loss(placed, clip.keypoints.to(self.device), clip.confidence.to(self.device), size),
            "estimate": weights.estimate * estimate_loss(scene, clip.has_hand.to(self.device)),
            "fingers": weights.smooth_fingers * motion.fingers,
            **self._relation_losses(motion),
            "focal": weights.focal * scene.log_focal.square(),
        }
        if not alone or step % config.hand_every == 0:
            index = self._draw_frames(config.hand_frames) if alone else index
            shown = clip.has_hand[index.cpu()].to(self.device)
            index = index[shown]
            if len(index):
                small = scene.place(index)
                scale = config.hand_size / size
                soft = self.render(small.verts_camera, scene.model.faces, small.intrinsics * scale, config.hand_size)
                hand, held = (
                    shrink(mask[index.cpu()], config.hand_size).to(self.device)
                    for mask in (clip.hand_mask, clip.object_mask)
                )
                losses["hand mask"] = weights.hand_mask * hand_mask_loss(soft.alpha, hand, held)
        return {name: factor * loss for name, loss in losses.items()}

    def _relation_losses(self, motion: Motion) -> dict[str, Tensor]:
        weights = self.config.weights
        return {
            "relation": weights.smooth_relation * motion.relation + weights.firm_relation * motion.firm,
            "camera": weights.smooth_camera * motion.camera,
        }

    def _object_losses(
        self,
        step: int,
        values: Float[Tensor, "D H W"],
        shown: Float[Tensor, "D H W"],
        sampler: RaySampler,
        hands: HandPictures,
    ) -> dict[str, Tensor]:
        weights, scene, config = self.config.weights, self.scene, self.config
        eikonal, curvature = surface_losses(scene, values)
        losses = {"eikonal": weights.eikonal * eikonal, "surface": weights.smooth_surface * curvature}
        index = self._draw_frames(config.frames)
        index = index[self.clip.has_object[index.cpu()].to(self.device)]
        if len(index):
            placed = scene.place(index)
            rays = sampler.draw(index, config.rays)
            origins, directions = pixel_rays(rays.pixels, placed.intrinsics, placed.T_object_camera)
            seen = render_mask(
                lambda points: scene.sdf(values, points),
                origins,
                directions,
                scene.lower,
                scene.upper,
                samples=config.samples,
                generator=self.generator,
            )
            alpha, depth = hands.at(index, rays.pixels)
            losses["mask"] = weights.mask * mask_loss(seen, alpha, depth, rays.object_mask, rays.hand_mask)
            losses["contour"] = weights.contour * contour_loss(seen.nearest, rays.on_contour)
            contact, penetration = contact_losses(scene, held_where(values, shown), placed, scene.model)
            losses["contact"] = weights.contact * contact
            losses["penetration"] = weights.penetration * penetration
        if step % config.hand_every:
            losses |= self._relation_losses(motion_losses(scene))
        return losses

    def _prior_loss(self, values: Float[Tensor, "D H W"]) -> Tensor:
        """The prior's guidance on the interaction grids of a few frames, in hand frames shifted at random."""
        assert self.guidance is not None
        scene, config = self.scene, self.config
        index = self._draw_frames(config.prior_frames)
        placed = scene.place(index, mesh=False)
        shift = config.jitter * torch.randn(len(index), 1, 3, generator=self.generator).to(self.device)
        T_object_hand = invert(placed.T_hand_object)
        moved = T_object_hand.clone()
        moved[:, :3, 3] = T_object_hand[:, :3, 3] + (T_object_hand[:, :3, :3] @ shift.mT)[..., 0]
        state = HandObjectState(lambda points: scene.sdf(values, points), moved, placed.hand.joints - shift)
        cond = None if self.cond is None else self.cond.expand(len(index), -1, -1)
        each = self.guidance(state, cond)
        return config.weights.prior * config.prior_every * each.mean() / 100

    # Steps.

    def _optimizer(self) -> torch.optim.Adam:
        scene, rate, pose = self.scene, self.config.learning_rate, self.config.pose_rate
        groups: list[dict[str, Any]] = [
            {"params": [scene.angles, scene.hand_turn], "lr": pose},
            {"params": [scene.object_turn], "lr": pose},
            {"params": [scene.hand_shift, scene.object_shift], "lr": pose / 5},
            {"params": [scene.betas], "lr": 4 * pose},
            {"params": [scene.log_focal], "lr": pose / 10},
        ]
        if len(scene.levels):
            # A step of a coarse level moves the surface as a whole, one of the finest may roughen it.
            groups += [{"params": [level], "lr": rate * 2.0**-k, "calm": True} for k, level in enumerate(scene.levels)]
        for group in groups:
            group.setdefault("calm", False)
            group["start"] = group["lr"]
        return torch.optim.Adam(groups, betas=(0.9, 0.98))

    def _descend(self, optimizer: torch.optim.Adam, losses: dict[str, Tensor], step: int, steps: int) -> None:
        """One step; the learning rates fall to a twentieth, as a cosine."""
        share = 0.05 + 0.95 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / steps)).item())
        for group in optimizer.param_groups:
            group["lr"] = group["start"] * share
            state = optimizer.state.get(group["params"][0])
            if group["calm"] and state:
                # Adam alone moves a cell as far for one stray ray in many steps as for a ray in each: spikes grow.
                group["eps"] = CALM * float(state["exp_avg_sq"].mean().sqrt()) + 1e-12
        optimizer.zero_grad(set_to_none=True)
        torch.stack([loss.reshape(()) for loss in losses.values()]).sum().backward()
        for parameter in self.scene.parameters():
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
        optimizer.step()

    def _draw_frames(self, count: int) -> Tensor:
        order = torch.randperm(len(self.scene), generator=self.generator)
        return order[: min(count, len(order))].sort().values.to(self.device)

    def _time_is_up(self, share: float) -> bool:
        if self.minutes is None:
            return False
        return self.spent + time.monotonic() - self.began > 60 * self.minutes * share

    # Checkpoints.

    _optimizer_state: dict[str, Any] | None = None

    def _save(self, optimizer: torch.optim.Adam) -> None:
        if self.checkpoint is None or time.monotonic() - self.saved < CHECKPOINT_SECONDS:
            return
        self.saved = time.monotonic()
        content = {
            "key": self.key.plain(),
            "step": self.step,
            "spent": self.spent + time.monotonic() - self.began,
            "scene": self.scene.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "history": self.history,
            "missed": self.missed,
            "hollow": [self.hollow.sure, *self.hollow.mouth.tolist()],
            "guidance_step": 0 if self.guidance is None else self.guidance.step,
        }
        # torch.save itself names a full disk "unexpected pos"; writing bytes raises what can be told.
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomically(self.checkpoint, lambda path: path.write_bytes(buffer.getvalue()))

    def _resume(self) -> str | None:
        """Takes up the checkpoint, if it is of this run and whole; says what came of it, None where there is none."""
        if self.checkpoint is None or not self.checkpoint.is_file():
            return None
        try:
            content = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
        except Exception as error:  # a damaged file raises whatever its bytes stumble over
            logger.warning("%s: cannot be read (%s: %s)", self.checkpoint, type(error).__name__, error)
            return f"started anew, because {self.checkpoint} is damaged"
        differing = self.key.differing(RunKey.read(content.get("key")) if isinstance(content, dict) else None)
        if differing:
            return f"started anew, because {differing}: {self.checkpoint} is of another run"
        state = content["scene"]
        self.scene.set_object(state["base"], state["lower"], state["upper"])
        self.scene.load_state_dict(state)
        self.stage, self.step, self.spent = "all", content["step"], content["spent"]
        self.history = content["history"]
        self.missed = content["missed"]
        sure, *mouth = content["hollow"]
        self.hollow = Hollow(sure, torch.tensor(mouth))
        self._optimizer_state = content["optimizer"]
        self.generator.set_state(content["generator"])
        if self.guidance is not None:
            self.guidance.step = content["guidance_step"]
        return f"resumed at step {self.step} of {self.config.steps}, from {self.checkpoint}"


def held_where(values: Float[Tensor, "D H W"], held: Float[Tensor, "D H W"]) -> Float[Tensor, "D H W"]:
    """The same values, whose gradient is scaled by 1 - `held`."""
    return values * (1 - held) + values.detach() * held


def _plain(losses: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(loss.detach()) for name, loss in losses.items()}
