"""How a scene goes downhill: Adam with a rate for each kind of parameter, which falls along the way."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.common.adam import Adam
from hoprior.common.schedule import cosine_decay
from hoprior.tasks.reconstruct.config import FitConfig
from hoprior.tasks.reconstruct.scene import Scene

ADAM_BETAS = (0.9, 0.98)
SHIFT_RATE = 1 / 5
"""Rate of shifts (m) beside that of turns (rad): a hand is about so many metres long."""
SHAPE_RATE, FOCAL_RATE = 4.0, 1 / 10
"""Rates of the hand's shape coefficients and of the focal length's logarithm, beside that of turns."""
LAST_RATE = 0.05
"""Share of the rates that is left at the end."""
TRACK_RATE_LEFT = 0.1
"""The same of tracks that are followed."""
ENOUGH_FRAMES = 6
"""Of more frames every other one is looked at, in turn."""
MIN_GRADIENT_SHARE = 1.0
"""Steps of a level's cells are damped as if each had at least this share of the level's typical gradient."""


def optimizer_of(scene: Scene, config: FitConfig) -> Adam:
    """An optimiser of everything that a scene has by now."""
    turn = config.pose_rate
    groups: list[dict[str, Any]] = [
        {"params": [scene.angles, scene.hand_turn], "lr": turn},
        {"params": [scene.object_turn], "lr": turn},
        {"params": [scene.hand_shift, scene.object_shift], "lr": turn * SHIFT_RATE},
        {"params": [scene.betas], "lr": SHAPE_RATE * turn},
        {"params": [scene.log_focal], "lr": turn * FOCAL_RATE},
    ]
    # A step of a coarse level moves the surface as a whole, one of the finest may roughen it.
    groups += [
        {"params": [level], "lr": config.learning_rate * 2.0**-k, "damped": True}
        for k, level in enumerate(scene.levels)
    ]
    for group in groups:
        group.setdefault("damped", False)
        group["start"] = group["lr"]
    return Adam(groups, betas=ADAM_BETAS)


def descend(optimizer: Adam, scene: Scene, losses: dict[str, Tensor], step: int, steps: int) -> None:
    """Step `step` of `steps` down the sum of the losses; the rates fall as a cosine."""
    share = cosine_decay(step, steps, LAST_RATE)
    for group in optimizer.param_groups:
        group["lr"] = group["start"] * share
        state = optimizer.state.get(group["params"][0])
        if group["damped"] and state:
            # Adam alone moves a cell as far for one stray ray in many steps as for a ray in each: spikes grow.
            group["eps"] = MIN_GRADIENT_SHARE * float(state["exp_avg_sq"].mean().sqrt()) + 1e-12
    optimizer.zero_grad()
    torch.stack([loss.reshape(()) for loss in losses.values()]).sum().backward()
    for parameter in scene.parameters():
        if parameter.grad is not None:
            parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
    optimizer.step()


def descend_tracks(
    groups: Sequence[tuple[float, list[Tensor]]],
    costs: Callable[[Int[Tensor, " j"]], Float[Tensor, " b"]],
    frames: int,
    steps: int,
    betas: tuple[float, float] = ADAM_BETAS,
    rate_left: float = TRACK_RATE_LEFT,
) -> None:
    """Moves many tracks of an object through a clip downhill, all at once; each by its own cost.

    Args:
        groups: rates of Adam, and what is moved by them.
        costs: of the tracks as they are, as some of the frames see them.
        frames: how many there are.
        steps: how many are taken; the rates fall as a cosine.
        betas: of Adam.
        rate_left: share of the rates that is left at the end.
    """
    optimizer = Adam([{"params": params} for _, params in groups], betas=betas)
    every = torch.arange(frames)
    for step in range(steps):
        share = cosine_decay(step, steps, rate_left)
        for group, (rate, _) in zip(optimizer.param_groups, groups, strict=True):
            group["lr"] = rate * share
        cost = costs(every[step % 2 :: 2] if frames > ENOUGH_FRAMES else every)
        optimizer.zero_grad()
        cost.sum().backward()
        optimizer.step()
