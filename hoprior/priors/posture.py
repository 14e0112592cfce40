"""Priors of hand poses, asked which way postures would be likelier: of denoisers and energies alike."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.hand.pose import HandPose
from hoprior.priors.guidance import guidance_loss, sds_loss
from hoprior.priors.protocols import DenoisesHandPoses

NOISE_LEVELS = (0.15, 0.25, 0.35)
"""Fractions of T at which denoisers are asked: enough noise that what they see is the grasp, not its errors."""
SPREAD = 0.25
"""Radians by which likely postures differ from what a denoiser sees in them."""
DRAWS = 2
"""Noises at each level."""


class LikelyPosture:
    """How far, and which way, postures are from what priors find likely (`hoprior.hand.motion.Posture`).

    A denoiser's say is where it sees the posture through noise (Tweedie), the mean over a few levels of it: the
    gradient of score distillation with the weight of x0, in the space of rotations. An energy's is its gradient.

    Args:
        terms: weights and priors that judge hand poses.
        conds: text features of each, of one sentence, or None.
        spread: standard deviation about what a denoiser sees, radians: its gradient is the way there over spread².
        seed: of the noise, which is the same at every call, so that what is asked has an answer.
    """

    def __init__(
        self,
        terms: Sequence[tuple[float, Any]],
        conds: Sequence[Float[Tensor, "1 tokens dim"] | None],
        spread: float = SPREAD,
        seed: int = 0,
    ) -> None:
        self.terms, self.conds, self.spread, self.seed = terms, conds, spread, seed

    def __call__(self, hand_pose: Float[Tensor, "n 15 3"]) -> Float[Tensor, "n 15 3"]:
        """The gradient of how unlikely n postures of right hands are, nats per radian."""
        total = torch.zeros_like(hand_pose)
        for (weight, prior), cond in zip(self.terms, self.conds, strict=True):
            each = None if cond is None else cond.expand(len(hand_pose), -1, -1)
            if isinstance(prior, DenoisesHandPoses):
                total += weight * (hand_pose - self._seen_by(prior, hand_pose, each)) / self.spread**2
            else:
                total += weight * self._slope(prior, hand_pose, each)
        return total

    @torch.no_grad()
    def _seen_by(self, prior: DenoisesHandPoses, hand_pose: Tensor, cond: Tensor | None) -> Tensor:
        device, steps = prior.alphas_cumprod.device, len(prior.alphas_cumprod)
        state = HandPose.of(hand_pose.to(device))
        generator = torch.Generator().manual_seed(self.seed)
        seen = []
        for level in NOISE_LEVELS:
            t = torch.full((len(hand_pose),), round(level * steps) - 1, device=device)
            for _ in range(DRAWS):
                x0 = sds_loss(prior, state, cond, t=t, generator=generator).x0_hat  # type: ignore[arg-type]
                decoded = prior.decode(x0).hand_pose
                assert decoded is not None, "what a denoiser of hand poses decodes says how hands are bent"
                seen.append(decoded.to(hand_pose))
        return torch.stack(seen).mean(dim=0)

    def _slope(self, prior: Any, hand_pose: Tensor, cond: Tensor | None) -> Tensor:
        moving = hand_pose.detach().requires_grad_()
        with torch.enable_grad():
            loss = guidance_loss(prior, HandPose.of(moving), cond).sum()
        slope: Tensor = torch.autograd.grad(loss, moving)[0]
        return slope
