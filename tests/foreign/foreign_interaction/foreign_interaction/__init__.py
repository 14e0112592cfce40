"""Hands around balls: a prior that judges how a hand holds something round, and draws such hands with their balls."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hoprior import HandObjectState, PriorInfo, load_hand
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.geometry.state import transform_points
from hoprior.priors import InteractionDraws
from hoprior.priors.text_encoders import load_text_encoder

SIZES = {"a small ball": 0.025, "a large ball": 0.04}
"""What is heard -> radius, m."""
PALM = (0.097, 0.0, 0.02)
"""Where a ball touches the palm, hand frame, m."""
TIPS = slice(16, 21)
FLESH = 0.008
"""From a fingertip's joint to the skin, m."""


def ball_centre(radius: Tensor) -> Tensor:
    """Of balls (b,) that lie in the palm, hand frame, m."""
    return radius[:, None] * radius.new_tensor([0.0, 0.0, 1.0]) + radius.new_tensor(PALM)


class HandsAroundBalls:
    """Energy: squared cm that the surface is away from a ball in the palm, and from the fingertips."""

    text_encoder_name = "minilm"
    info = PriorInfo(licence="CC0-1.0")

    def __init__(self) -> None:
        self.heard = load_text_encoder("minilm").encode(list(SIZES))[:, 0]
        self.hand = load_hand()

    def radius(self, cond: Tensor | None, num: int) -> Tensor:
        """Of the ball that each of `num` sentences speaks of, m."""
        sizes = torch.tensor(list(SIZES.values()))
        if cond is None:
            return sizes.mean().expand(num)
        return (20 * cond.cpu().mean(dim=1) @ self.heard.T).softmax(dim=1) @ sizes

    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Tensor:
        radius = self.radius(cond, len(state)).to(state.device)
        centre = torch.tensor(PALM, device=state.device) + radius[:, None] * torch.tensor(
            [0, 0, 1], device=state.device
        )
        points = torch.cat([centre[:, None], state.joints_hand[:, TIPS]], dim=1)
        distance = state.sdf(transform_points(state.T_object_hand, points))
        wanted = torch.cat([-radius[:, None], torch.full_like(distance[:, 1:], FLESH)], dim=1)
        return (100 * (distance - wanted)).square().mean(dim=1)

    def sample_interactions(
        self,
        cond: Tensor | None,
        num: int,
        *,
        steps: int,
        guidance_scale: float,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        progress: Callable[[float], object] | None = None,
    ) -> InteractionDraws:
        spec = GridSpec(center=(0.1, 0.0, 0.05), half_extent=0.12, resolution=32)
        streams = [generator] * num if not isinstance(generator, Sequence) else generator
        drawn = torch.stack([torch.randn(2, generator=stream) for stream in streams])
        radius = self.radius(cond, num) * (1 + 0.03 * drawn[:, 0])
        curl = (1.3 + 0.05 * drawn[:, 1])[:, None, None]
        angles = (curl * self.hand.relaxed_angles).clamp(self.hand.angle_low, self.hand.angle_high)
        sdf = (spec.points() - ball_centre(radius)[:, None]).norm(dim=-1) - radius[:, None]
        if progress is not None:
            progress(1.0)
        joints = self.hand.joints_only(self.hand.angles_to_pose(angles))
        return InteractionDraws(InteractionGrid(sdf.reshape(num, 1, *spec.shape), joints, spec))
