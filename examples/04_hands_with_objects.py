"""A prior that draws hands together with what they hold: here a relaxed hand with a ball of some size in it."""

from collections.abc import Callable, Sequence

import torch

import hoprior
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.priors import InteractionDraws


class Balls:
    """Balls of 3 to 4 cm radius that lie in the palm; another prior hears the text."""

    text_encoder_name = None
    grid = GridSpec(center=(0.1, 0.0, 0.05), half_extent=0.12, resolution=32)  # metres, the right hand's frame

    def sample_interactions(
        self,
        cond: torch.Tensor | None,
        num: int,
        *,
        steps: int,
        guidance_scale: float,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        progress: Callable[[float], object] | None = None,
    ) -> InteractionDraws:
        streams = generator if isinstance(generator, Sequence) else [generator] * num  # draw i has noise of its own
        radius = torch.stack([0.03 + 0.01 * torch.rand((), generator=stream) for stream in streams])
        center = torch.stack([torch.full((num,), 0.097), torch.zeros(num), 0.02 + radius], dim=1)
        sdf = (self.grid.points() - center[:, None]).norm(dim=-1) - radius[:, None]
        hand = hoprior.load_hand()
        joints = hand.joints_only(hand.angles_to_pose(1.3 * hand.relaxed_angles.expand(num, -1, -1)))
        return InteractionDraws(InteractionGrid(sdf.reshape(num, 1, *self.grid.shape), joints, self.grid))


class Small:
    """Likes small objects: how deep the point 5 cm before the palm is inside, in cm. It judges what `Balls` draws."""

    def energy(self, state: hoprior.HandObjectState, cond: torch.Tensor | None = None) -> torch.Tensor:
        return -100 * state.object_sdf_at(torch.tensor([[0.097, 0.0, 0.05]], device=state.device))[:, 0]


samples = hoprior.generate("a ball", 4, priors=[(1.0, Balls()), (1.0, Small())])
print(samples.summary())
print("sizes, cm:", [round(sample.measures["object_size_cm"], 1) for sample in samples.samples])
