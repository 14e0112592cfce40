"""How long, how finely and by what a scene is fitted to a clip."""

from dataclasses import dataclass, field

from hoprior.errors import ArgumentError
from hoprior.tasks.reconstruct.losses import LossWeights

COUNTS = (
    "hand_steps",
    "steps",
    "frames",
    "rays",
    "samples",
    "resolution",
    "hand_every",
    "hand_frames",
    "hand_size",
    "prior_every",
    "prior_frames",
)
"""Settings that are at least 1."""


@dataclass(frozen=True)
class FitConfig:
    """How long and how finely a scene is fitted.

    Attributes:
        hand_steps: of the first stage, hands alone.
        rounds: how often the object is carved again after the poses were mended by it, in `register_steps` at
            `register_rate` (rad; a fifth of it for shifts, m).
        steps: of the last stage, everything together.
        frames: how many frames a step looks at.
        rays: of each of them.
        samples: along each ray.
        resolution: the object's box has about this many cells cubed.
        hand_every: the hand's mask is rendered every so many steps, of `hand_frames` frames at `hand_size` pixels.
        prior_every, prior_frames: priors are asked every so many steps, of so many frames.
        prior_start: share of the steps after which those of hands at objects begin.
        guidance_scale, t_range, t_range_end: of score distillation.
        pose_range: noise (fractions of T) at which denoisers are asked that look at nothing but how fingers are bent,
            if they do not say it themselves (`PriorInfo.noise_range`).
        jitter: metres by which the prior's grid is shifted at random.
        learning_rate: of the coarsest level of the object's distances (m), halved for each finer one.
        pose_rate: of angles and turns (rad); a fifth of it for shifts (m).
        stand_ins: where the shape that frames show is not to be trusted, things of its kind, or plain solids, are tried
            in its place; without priors they are not.
        renderer: back end of the hand's mask, "torch" or "pytorch3d".
        weights: of the losses.
    """

    hand_steps: int = 240
    rounds: int = 3
    register_steps: int = 60
    register_rate: float = 2e-3
    steps: int = 300
    frames: int = 12
    rays: int = 384
    samples: int = 48
    resolution: int = 64
    hand_every: int = 4
    hand_frames: int = 2
    hand_size: int = 64
    prior_every: int = 2
    prior_frames: int = 4
    prior_start: float = 0.1
    guidance_scale: float = 2.0
    t_range: tuple[float, float] = (0.8, 0.95)
    t_range_end: tuple[float, float] = (0.7, 0.9)
    pose_range: tuple[float, float] = (0.05, 0.3)
    jitter: float = 0.005
    learning_rate: float = 8e-4
    pose_rate: float = 4e-3
    stand_ins: bool = True
    renderer: str = "torch"
    weights: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise ArgumentError(f"config.{name}", getattr(self, name), "is too small: use at least 1")


PRESETS = {
    "fast": FitConfig(hand_steps=120, frames=5, rays=192, samples=40, resolution=48),
    "default": FitConfig(),
    "best": FitConfig(hand_steps=400, frames=24, rays=512, samples=64, resolution=80),
}
"""Slower ones look at more of the clip in a step, not for longer: what is left to learn from after some hundred
steps is the estimates' errors, and contact, which bends a surface to a hand that is a little off."""
