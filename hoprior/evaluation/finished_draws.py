"""Draws of a prior as `hoprior run generate` gives them: brought together by contact, and drawn again where broken."""

from collections.abc import Callable, Sequence

import torch

from hoprior.evaluation.drawn_grids import DrawsGrids, DrawsInteractions, joined
from hoprior.evaluation.prior_quality import Sample
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import HandModel
from hoprior.priors.registry import kept_priors
from hoprior.priors.text_encoders import encode_texts
from hoprior.tasks.generate.interactions import Sampler
from hoprior.tasks.generate.plausibility import Candidate
from hoprior.tasks.generate.request import GenerateConfig, object_condition

MOST_SEEDS = 100_003
"""More than there are draws in a set, so that no two sets share a draw's noise."""
CELLS = 64
"""Of a drawn object's longest side, where its distances are measured."""


def finished_sampler(
    prior: DrawsInteractions,
    hand: HandModel,
    config: GenerateConfig,
    guidance_scale: float,
    device: torch.device,
    report: Callable[[int], object] | None = None,
) -> Sample:
    """Samples of a prior, one for each text, each the first plausible draw, or the last where none is.

    Args:
        prior: what draws.
        hand: the model of the hands.
        config: how draws are made and judged.
        guidance_scale: of classifier-free guidance.
        device: where the prior computes.
        report: hears of each sample.
    """

    def sample(texts: Sequence[str], seed: int) -> InteractionGrid:
        cond = encode_texts(prior, texts, device=device)
        parts = []
        with kept_priors():  # the judge is the same for all
            for k, text in enumerate(texts):
                told = None if cond is None else cond[k : k + 1]
                noise = MOST_SEEDS * seed + k
                of_object = object_condition(prior, text, device)
                sampler = Sampler(prior, told, hand, noise, device, config, guidance_scale, text, of_object)
                kept, tried = sampler.run(1, lambda stage, share: None)
                parts.append(as_grid((kept or tried)[-1], prior))
                if report:
                    report(1)
        return joined(parts)

    return sample


def as_grid(draw: Candidate, prior: DrawsGrids) -> InteractionGrid:
    """A draw on the grid of its prior; of a draw without an object, a grid without one."""
    spec, limit = prior.spec, prior.truncation
    if draw.object_mesh is None:
        distances = torch.full((1, 1, *spec.shape), limit)
    else:
        distances = SdfGrid.from_mesh(draw.object_mesh, CELLS)(spec.points()).view(1, 1, *spec.shape)
    return InteractionGrid(distances.clamp(-limit, limit), draw.joints_hand[None].cpu(), spec)
