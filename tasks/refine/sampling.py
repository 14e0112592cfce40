"""How a pose is refined: its occluded joints drawn from a prior, its visible ones held.

After the affordance-guided diffusion prior (Suzuki et al., Sec. 2.2, Fig. 3): the pose is noised to a level n_r that
grows with the number of occluded joints and denoised under the description, with a robust fit of the visible joints'
projections at every step. All hands of a batch, and all samples of each, go through the network together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.common.adam import Adam
from hoprior.errors import ArgumentError
from hoprior.hand import HandModel, HandPose
from hoprior.priors.diffusion import add_noise, guided_noise, noise_from_x0, x0_from_noise
from hoprior.priors.guidance import SDSGuidance
from hoprior.priors.protocols import DenoisesHandPoses
from hoprior.tasks.refine.judging import JudgeConfig, Judging
from hoprior.tasks.refine.observations import (
    HandViews,
    VisibleFit,
    free_rotations,
    occlusion_consistency,
    weighted_mean,
)

Mode = Literal["denoise", "sds"]
Bent = Callable[[Int[Tensor, " n"], Float[Tensor, "n 15 3"], Bool[Tensor, "n 15 1"], int], Float[Tensor, "n 15 3"]]
"""Poses of some rows of a batch, bent in their free rotations towards what judges like better, at a step."""

HOLD_STEPS = 5
"""Gauss-Newton steps that bring visible joints back to where they are seen, at the end."""
SDS_T_RANGE, SDS_T_RANGE_END = (0.02, 0.98), (0.02, 0.3)
"""Fractions of T that distillation draws timesteps from at its start, below n_r, and at its end."""


@dataclass(frozen=True)
class RefineConfig:
    """How poses are refined.

    Attributes:
        mode: "denoise" for guided denoising, "sds" for score distillation.
        steps: of denoising, from the prior's T to 0, of which those below n_r are done; or of distillation.
        samples: drawn for each hand; their mean is the refined pose, their spread its uncertainty.
        guidance_scale: of classifier-free guidance; 1 is none. Half of it, between what hands do and what this hand is
            said to do, came nearest to the truth on MyoDM: descriptions are never quite right.
        noise_low, noise_high: n_r, in thousandths of T, for one occluded joint and for all 21 (the paper's range).
        fit_steps: Gauss-Newton steps of the fit of visible joints, at each step of denoising.
        unseen: whether samples that bring hidden joints into sight count less, where a picture tells.
        pixel_scale: error of a projection beyond which it counts less, in sizes of the hand's box.
        chunk: most poses in the network at a time.
        sds_rate: step of distillation's Adam, radians.
        sds_weight: of the prior beside the visible joints' fit.
        judge: how priors that judge hands at objects have their say, where it is known what is held.
    """

    mode: Mode = "denoise"
    steps: int = 50
    samples: int = 8
    guidance_scale: float = 0.5
    noise_low: int = 100
    noise_high: int = 1000
    fit_steps: int = 1
    unseen: bool = True
    pixel_scale: float = 0.03
    chunk: int = 1024
    sds_rate: float = 0.02
    sds_weight: float = 1.0
    judge: JudgeConfig = field(default_factory=JudgeConfig)

    def __post_init__(self) -> None:
        if self.mode not in ("denoise", "sds"):
            raise ArgumentError("config.mode", self.mode, "is unknown: use denoise or sds")
        for name in ("steps", "samples", "chunk"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"config.{name}", getattr(self, name), "is too few: use at least 1")
        if not 0 < self.noise_low <= self.noise_high <= 1000:
            problem = f"and config.noise_high={self.noise_high}: 0 < noise_low <= noise_high <= 1000"
            raise ArgumentError("config.noise_low", self.noise_low, problem)


@dataclass(frozen=True)
class RefinedPoses:
    """What refinement makes of b hands: their poses, and how far the samples are apart.

    `spread` is the standard deviation of a joint's place over the samples, metres; `noise_level` is n_r / T.
    """

    pose: HandPose
    spread: Float[Tensor, "b 21"]
    noise_level: Float[Tensor, " b"]


def noise_levels(occluded: Bool[Tensor, "b 21"], config: RefineConfig) -> Float[Tensor, " b"]:
    """n_r / T of each hand, linear in its number of occluded joints (paper, Sec. 3).

    Example:
        >>> occluded = torch.zeros(2, 21, dtype=torch.bool)
        >>> occluded[1] = True
        >>> noise_levels(occluded, RefineConfig())
        tensor([0.1000, 1.0000])
    """
    share = occluded.float().sum(dim=1) / occluded.shape[1]
    return (config.noise_low + share * (config.noise_high - config.noise_low)) / 1000.0


def refine_poses(
    prior: DenoisesHandPoses,
    hand: HandModel,
    views: HandViews,
    cond: Float[Tensor, "b tokens dim"] | Float[Tensor, "b s tokens dim"] | None,
    config: RefineConfig,
    seed: int = 0,
    progress: Callable[[float], object] | None = None,
    judging: Judging | None = None,
) -> RefinedPoses:
    """Refines b hands; a hand's result depends neither on the others nor on how many there are.

    Args:
        prior: denoiser of hand poses.
        hand: the right hand's model.
        cond: text features, one row a hand or one a draw (`words.told`), NaN for a hand of which nothing is said; None
            for the unconditional prior.
        progress: told the share that is done.
        judging: priors that say which of a hand's draws fit what it holds.

    Raises:
        ArgumentError: there are judges, and nothing that they could choose from or bend.
    """
    if judging is not None and config.mode == "sds":
        problem = "makes one draw of a hand, where judges choose among several: use denoise, or leave the judges out"
        raise ArgumentError("config.mode", config.mode, problem)
    if judging is not None and config.samples == 1 and not judging.config.rate:
        problem = "leaves judges nothing to choose from: use more, or a config.judge.rate above 0"
        raise ArgumentError("config.samples", config.samples, problem)
    if cond is not None and cond.ndim == 3:
        cond = cond[:, None]
    proxy = DeviceProxy(prior)
    streams = [torch.Generator().manual_seed(seed) for _ in range(len(views))]
    levels = noise_levels(views.occluded, config)
    if config.mode == "sds":
        hand_pose = _distilled(proxy, hand, views, None if cond is None else cond[:, 0], config, seed, progress)[
            :, None
        ]
    else:
        hand_pose = _denoised(proxy, hand, views, cond, config, streams, levels, progress, judging)
    return _gathered(hand, views, hand_pose, levels, config, judging)


class DeviceProxy:
    """A prior on whatever device it is, for hands and cameras that are on the CPU.

    Rows of a condition that are NaN have no text: they get the null condition.
    """

    def __init__(self, prior: DenoisesHandPoses) -> None:
        self._prior, self._device = prior, prior.alphas_cumprod.device
        self.alphas_cumprod = prior.alphas_cumprod.cpu()

    def encode(self, state: HandPose) -> Float[Tensor, "b 15 d"]:
        return self._prior.encode(state.to(self._device)).cpu()

    def decode(self, x0: Float[Tensor, "b 15 d"]) -> HandPose:
        hand_pose = self._prior.decode(x0.to(self._device)).hand_pose
        assert hand_pose is not None, "what a denoiser of hand poses decodes says how hands are bent"
        return HandPose.of(hand_pose.cpu())

    def predict_noise(
        self, x_t: Float[Tensor, "b 15 d"], t: Int[Tensor, " b"], cond: Float[Tensor, "b tokens dim"] | None
    ) -> Float[Tensor, "b 15 d"]:
        return self.predict_noise_guided(x_t, t, cond, 1.0)

    def predict_noise_guided(
        self,
        x_t: Float[Tensor, "b 15 d"],
        t: Int[Tensor, " b"],
        cond: Float[Tensor, "b tokens dim"] | None,
        scale: float,
    ) -> Float[Tensor, "b 15 d"]:
        x_t, t = x_t.to(self._device), t.to(self._device)
        if cond is None:
            return self._prior.predict_noise(x_t, t, None).cpu()
        cond = cond.to(self._device)
        told = ~cond.isnan().flatten(1).any(dim=1)
        if told.all():
            return guided_noise(self._prior, x_t, t, cond, scale).cpu()
        noise = torch.empty_like(x_t)
        noise[~told] = self._prior.predict_noise(x_t[~told], t[~told], None)
        if told.any():
            noise[told] = guided_noise(self._prior, x_t[told], t[told], cond[told], scale)
        return noise.cpu()


def _gathered(
    hand: HandModel,
    views: HandViews,
    hand_pose: Float[Tensor, "b s 15 3"],
    levels: Float[Tensor, " b"],
    config: RefineConfig,
    judging: Judging | None,
) -> RefinedPoses:
    """The samples' mean within the joint limits, and their spread; what was visible is as it was."""
    samples = hand_pose.shape[1]
    free = free_rotations(views.occluded)[..., None]
    first = views.pose.hand_pose
    shares = occlusion_consistency(hand, views, hand_pose) if config.unseen else torch.ones(hand_pose.shape[:3])
    counts = None if judging is None else judging.weights(hand, views.pose, hand_pose)
    mean = hand.within_limits(weighted_mean(hand_pose, shares, first, counts))[0]
    fit = VisibleFit(hand, views, config.pixel_scale)
    bound = fit.constrained.nonzero()[:, 0]
    if config.fit_steps and len(bound):
        held = fit.project_to_observations(torch.where(free, mean, first)[bound], bound, HOLD_STEPS)
        mean = mean.index_copy(0, bound, hand.within_limits(held)[0])
    pose = HandPose(torch.where(free, mean, first), views.pose.betas, views.pose.global_orient, views.pose.transl)
    each = views.pose[torch.arange(len(views)).repeat_interleave(samples)]
    joints = hand.joints_only(hand_pose.flatten(0, 1), each.betas, each.global_orient, each.transl)
    joints = joints.unflatten(0, (len(views), samples))
    spread = joints.var(dim=1, unbiased=False).sum(dim=-1).sqrt()
    return RefinedPoses(pose, spread, torch.where(free.any(dim=1)[:, 0], levels, 0.0))


def _denoised(
    prior: DeviceProxy,
    hand: HandModel,
    views: HandViews,
    cond: Float[Tensor, "b s tokens dim"] | None,
    config: RefineConfig,
    streams: list[torch.Generator],
    levels: Float[Tensor, " b"],
    progress: Callable[[float], object] | None,
    judging: Judging | None = None,
) -> Float[Tensor, "b s 15 3"]:
    """Samples of each hand by guided denoising."""
    with torch.no_grad():
        x_first = prior.encode(views.pose)
    shape = (config.samples, *x_first.shape[1:])
    draws = torch.stack([torch.randn(shape, generator=stream) for stream in streams])
    noise = draws.flatten(0, 1).to(x_first)
    repeated = views.repeated(config.samples)
    start = x_first.repeat_interleave(config.samples, dim=0)
    cond_each = None if cond is None else cond.expand(-1, config.samples, -1, -1).flatten(0, 1)
    level = levels.repeat_interleave(config.samples)
    owner = torch.arange(len(views)).repeat_interleave(config.samples)
    guided, size = judging is not None and judging.config.rate > 0, config.chunk
    if guided:
        # A hand's draws are judged together, so that noise is dealt to them in one order.
        size = max(config.chunk // config.samples, 1) * config.samples
    parts = []
    for first in range(0, len(start), size):
        rows = slice(first, first + size)
        bent = partial(judging.bent, hand, views.pose, owner[rows]) if judging is not None and guided else None
        denoiser = _Denoiser(prior, hand, repeated[rows], None if cond_each is None else cond_each[rows], config, bent)

        def tell(share: float, done: int = first, count: int = len(start[rows])) -> None:
            if progress is not None:
                progress((done + share * count) / len(start))

        parts.append(denoiser.run(start[rows], noise[rows], level[rows], tell))
    return torch.cat(parts).unflatten(0, (len(views), config.samples))


class _Denoiser:
    """Guided denoising (DDIM, Song et al. 2021) of one batch, each hand from its own noise level."""

    def __init__(
        self,
        prior: DeviceProxy,
        hand: HandModel,
        views: HandViews,
        cond: Float[Tensor, "b tokens dim"] | None,
        config: RefineConfig,
        bent: Bent | None = None,
    ) -> None:
        self.prior, self.hand, self.views, self.cond, self.config = prior, hand, views, cond, config
        self.bent = bent
        self.free = free_rotations(views.occluded)[..., None]
        self.fit = VisibleFit(hand, views, config.pixel_scale)

    @torch.no_grad()
    def run(
        self,
        x_first: Float[Tensor, "b 15 d"],
        noise: Float[Tensor, "b 15 d"],
        level: Float[Tensor, " b"],
        tell: Callable[[float], object],
    ) -> Float[Tensor, "b 15 3"]:
        """Poses denoised from `level` (fractions of T), in which the visible rotations are those of `x_first`."""
        alphas_cumprod = self.prior.alphas_cumprod
        total = len(alphas_cumprod)
        grid = torch.linspace(1.0, 0.0, self.config.steps + 1)
        # Rows of both are written in place, and `x_first` is the caller's.
        x = x_first.clone()
        x0 = x_first.clone()
        begun = torch.zeros(len(x), dtype=torch.bool)
        for k in range(self.config.steps):
            high, low = float(grid[k]), float(grid[k + 1])
            starts = ~begun & (level > low)
            t_now = torch.minimum(level, torch.full_like(level, high)).mul(total).round().long().clamp(1, total) - 1
            x = torch.where(starts[:, None, None], add_noise(alphas_cumprod, x_first, noise, t_now), x)
            begun |= starts
            rows = begun.nonzero()[:, 0]
            if len(rows):
                t_next = round(low * total) - 1
                x[rows], x0[rows] = self._step(x[rows], x_first[rows], noise[rows], t_now[rows], t_next, rows)
            tell((k + 1) / self.config.steps)
        return torch.where(self.free, self.prior.decode(x0).hand_pose, self.views.pose.hand_pose)

    def _step(
        self, x: Tensor, x_first: Tensor, noise: Tensor, t: Int[Tensor, " b"], t_next: int, rows: Int[Tensor, " b"]
    ) -> tuple[Tensor, Tensor]:
        """One step of some hands to `t_next` (-1: clean): the noisy poses, and the clean ones they tend to."""
        alphas_cumprod, free = self.prior.alphas_cumprod, self.free[rows]
        x = torch.where(free, x, add_noise(alphas_cumprod, x_first, noise, t))
        cond = None if self.cond is None else self.cond[rows]
        noise_hat = guided_noise(self.prior, x, t, cond, self.config.guidance_scale)
        x0 = torch.where(free, x0_from_noise(alphas_cumprod, x, noise_hat, t), x_first)
        x0 = self._fitted(self._judged(x0, rows, t_next + 1), rows)
        if t_next < 0:
            return x0, x0
        noise_hat = noise_from_x0(alphas_cumprod, x, x0, t)
        return add_noise(alphas_cumprod, x0, noise_hat, torch.full_like(t, t_next)), x0

    def _judged(self, x0: Float[Tensor, "b 15 d"], rows: Int[Tensor, " b"], step: int) -> Float[Tensor, "b 15 d"]:
        """The clean poses after a step towards what judges like better, in the free rotations alone."""
        if self.bent is None:
            return x0
        free = self.free[rows]
        moved = self.bent(rows, self.prior.decode(x0).hand_pose, free, step)
        return torch.where(free, self.prior.encode(HandPose.of(moved)), x0)

    def _fitted(self, x0: Float[Tensor, "b 15 d"], rows: Int[Tensor, " b"]) -> Float[Tensor, "b 15 d"]:
        """The clean poses after some steps towards the visible joints, in the free rotations alone."""
        bound = self.fit.constrained[rows].nonzero()[:, 0]
        if not self.config.fit_steps or not len(bound):
            return x0
        hand_pose = self.prior.decode(x0[bound]).hand_pose
        moved = self.prior.encode(
            HandPose.of(self.fit.project_to_observations(hand_pose, rows[bound], self.config.fit_steps))
        )
        return x0.index_copy(0, bound, torch.where(self.free[rows[bound]], moved, x0[bound]))


def _distilled(
    prior: DeviceProxy,
    hand: HandModel,
    views: HandViews,
    cond: Float[Tensor, "b tokens dim"] | None,
    config: RefineConfig,
    seed: int,
    progress: Callable[[float], object] | None,
) -> Float[Tensor, "b 15 3"]:
    """Poses by score distillation: Adam on the free rotations, against the prior's loss and the visible joints' fit."""
    free = free_rotations(views.occluded)[..., None]
    fit, rows = VisibleFit(hand, views, config.pixel_scale), torch.arange(len(views))
    first = views.pose.hand_pose.detach()
    change = torch.zeros_like(first, requires_grad=True)
    optimizer = Adam([{"params": [change]}], lr=config.sds_rate, betas=(0.9, 0.99))
    guidance = SDSGuidance(
        prior,
        config.steps,
        guidance_scale=config.guidance_scale,
        t_range=SDS_T_RANGE,
        t_range_end=SDS_T_RANGE_END,
        weight="x0",
        seed=seed,
    )
    for step in range(config.steps):
        hand_pose = first + torch.where(free, change, 0.0)
        loss = config.sds_weight * guidance(HandPose.of(hand_pose), cond).sum() + fit(hand_pose, rows).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if progress is not None:
            progress((step + 1) / config.steps)
    return (first + torch.where(free, change, 0.0)).detach()
