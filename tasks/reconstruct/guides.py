"""Which prior does what in a fit, and how those that guide it are asked.

Priors that complete shapes are asked once for the object itself (`cavity.py`). Priors that look at nothing but how
fingers are bent guide the hands, in both stages; the others guide hand and object together, in the last one.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.state import HandObjectState
from hoprior.geometry.transforms import invert
from hoprior.hand import HandPose
from hoprior.priors.base import weighted_sum
from hoprior.priors.guidance import SDSGuidance, sum_terms
from hoprior.priors.protocols import CompletesShape, info_of
from hoprior.tasks.reconstruct.config import FitConfig
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.shared import reads_pose_alone

Terms = list[tuple[float, Any]]


class Roles(NamedTuple):
    """Weighted priors by what they are asked for."""

    interaction: Terms
    """Guide hand and object together."""
    pose: Terms
    """Guide the fingers alone."""
    shape: Terms
    """Complete the object."""


def roles_of(terms: Iterable[tuple[float, Any]]) -> Roles:
    """Each prior in its one role."""
    roles = Roles([], [], [])
    for weight, prior in terms:
        if isinstance(prior, CompletesShape):
            roles.shape.append((weight, prior))
        elif reads_pose_alone(prior):
            roles.pose.append((weight, prior))
        else:
            roles.interaction.append((weight, prior))
    return roles


class InteractionGuide:
    """Score distillation, or the energy, of priors of hands at objects, on a few frames of a scene.

    Args:
        terms: weights and priors, at least one.
        cond: text features, or None.
        config: how often in a fit it is asked, and at which noise.
        seed: of the noise.
    """

    def __init__(self, terms: Terms, cond: Float[Tensor, "1 tokens dim"] | None, config: FitConfig, seed: int) -> None:
        self.cond, self.jitter = cond, config.jitter
        self.reads_pose = any("hand_pose" in info_of(prior).reads for _, prior in terms)
        self.guidance = SDSGuidance(
            weighted_sum(terms),
            max(1, round(config.steps * (1 - config.prior_start) / config.prior_every)),
            guidance_scale=config.guidance_scale,
            t_range=config.t_range,
            t_range_end=config.t_range_end,
            seed=seed,
        )

    def loss(
        self, scene: Scene, values: Float[Tensor, "D H W"], index: Tensor, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """The mean guidance loss of the frames `index`, in hand frames shifted at random by `jitter`.

        Args:
            values: the object's distances.
            generator: of the shifts.
        """
        placed = scene.place(index, mesh=False)
        shift = self.jitter * torch.randn(len(index), 1, 3, generator=generator).to(values.device)
        T_object_hand = invert(placed.T_hand_object)
        moved = T_object_hand.clone()
        moved[:, :3, 3] = T_object_hand[:, :3, 3] + (T_object_hand[:, :3, :3] @ shift.mT)[..., 0]
        # Joints are those of the pose, but for the shift, of which priors of bent fingers see nothing.
        state = HandObjectState(
            lambda points: scene.sdf(values, points),
            moved,
            placed.hand.joints - shift,
            hand_pose=placed.hand_pose if self.reads_pose else None,
        )
        return self.guidance(state, _expanded(self.cond, index)).mean()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return _kept(self.guidance)

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave."""
        _taken_up(self.guidance, state)


class PoseGuide:
    """The same of priors that look at nothing but how fingers are bent.

    It draws its frames by a generator of its own: with and without it, everything else in a fit is drawn alike.

    Args:
        terms: weights and priors, at least one.
        cond: text features, or None.
        config: how often in a fit it is asked, and at which noise, unless a prior says so itself.
        seed: of frames and noise.
    """

    def __init__(self, terms: Terms, cond: Float[Tensor, "1 tokens dim"] | None, config: FitConfig, seed: int) -> None:
        self.cond, self.frames = cond, config.prior_frames
        asked = -(-config.hand_steps // config.prior_every) + -(-config.steps // config.prior_every)
        self.guidances = [
            SDSGuidance(
                weighted_sum([(weight, prior)]),
                asked,
                guidance_scale=config.guidance_scale,
                t_range=info_of(prior).noise_range or config.pose_range,
                seed=seed,
            )
            for weight, prior in terms
        ]
        self.generator = torch.Generator().manual_seed(seed)

    def loss(self, scene: Scene) -> Float[Tensor, ""]:
        """The mean guidance loss of a few frames' poses, drawn anew each time."""
        order = torch.randperm(len(scene), generator=self.generator)
        angles = scene.hand_angles()
        index = order[: self.frames].sort().values.to(angles.device)
        pose = HandPose.of(scene.model.angles_to_pose(angles[index]))
        cond = _expanded(self.cond, index)
        return sum_terms(guidance(pose, cond).mean() for guidance in self.guidances)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "frames": self.generator.get_state(),
            "guidances": [_kept(guidance) for guidance in self.guidances],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave."""
        self.generator.set_state(state["frames"])
        for guidance, kept in zip(self.guidances, state["guidances"], strict=True):
            _taken_up(guidance, kept)


def _expanded(cond: Float[Tensor, "1 tokens dim"] | None, index: Tensor) -> Float[Tensor, "b tokens dim"] | None:
    return None if cond is None else cond.expand(len(index), -1, -1)


def _kept(guidance: SDSGuidance) -> dict[str, Any]:
    return {"step": guidance.step, "noise": guidance.generator.get_state()}


def _taken_up(guidance: SDSGuidance, state: dict[str, Any]) -> None:
    guidance.step = state["step"]
    guidance.generator.set_state(state["noise"])
