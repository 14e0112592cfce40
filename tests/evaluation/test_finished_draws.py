"""Draws that are measured as `hoprior run generate` gives them."""

import torch
import trimesh

import hoprior
from hoprior.evaluation.finished_draws import as_grid, finished_sampler
from hoprior.evaluation.prior_quality import measure_set
from hoprior.hand import load_hand
from hoprior.models.interaction_prior import InteractionPrior
from hoprior.priors.registry import load_prior
from hoprior.tasks.generate.plausibility import Candidate
from hoprior.tasks.generate.request import GenerateConfig

HAND = load_hand()
QUICK = GenerateConfig(steps=10, hands=2, judge=None, draws_each=2)
WORDS = ["a right hand holding a bottle", "a right hand holding a ball"]


def shipped() -> InteractionPrior:
    prior = load_prior("interaction")
    assert isinstance(prior, InteractionPrior)
    return prior


def test_a_draw_lies_on_the_grid_where_it_lies_in_the_hand() -> None:
    prior, joints = shipped(), torch.zeros(21, 3)
    centre = torch.tensor(prior.spec.center) + torch.tensor([0.02, 0.0, -0.01])
    ball = trimesh.creation.icosphere(radius=0.03)
    ball.apply_translation(centre.numpy())
    found = as_grid(Candidate(None, {}, joints, object_mesh=ball), prior)
    away = (prior.spec.points() - centre).norm(dim=1) - 0.03
    expected = away.clamp(-prior.truncation, prior.truncation).view(1, 1, *prior.spec.shape)
    assert (found.object_sdf - expected).abs().max() < 0.002
    nothing = as_grid(Candidate("no object", {}, joints), prior)
    assert (nothing.object_sdf == prior.truncation).all()


def test_finished_draws_are_one_for_each_text_and_repeat_with_the_seed() -> None:
    prior, heard = shipped(), []
    sample = finished_sampler(prior, HAND, QUICK, 1.0, torch.device("cpu"), heard.append)
    found = sample(WORDS, 3)
    assert len(found.object_sdf) == 2 and heard == [1, 1]
    row = measure_set(found, HAND).row
    assert row["empty"] == 0.0 and row["volume_cm3"] is not None and row["volume_cm3"] < 8.0
    again, other = sample(WORDS[:1], 3), sample(WORDS[:1], 4)
    assert torch.equal(again.object_sdf[0], found.object_sdf[0])
    assert not torch.equal(other.object_sdf[0], found.object_sdf[0])


def test_they_are_the_draws_of_generate() -> None:
    """Of a use, too, of which the object is told by its name alone."""
    prior, text = shipped(), "a hand pouring from a teapot"
    found = finished_sampler(prior, HAND, QUICK, 1.0, torch.device("cpu"))([text], 0)
    given = hoprior.generate(text, 1, priors=[(1.0, prior)], seed=0, config=QUICK)[0]
    candidate = Candidate(None, {}, torch.from_numpy(given.joints_hand), object_mesh=given.object_mesh)
    expected = as_grid(candidate, prior)
    torch.testing.assert_close(found.object_sdf, expected.object_sdf, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.joints_hand, expected.joints_hand, atol=1e-4, rtol=0)
