"""The prior of words: silent without words, differentiable with them, able to learn what a sentence says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import hoprior
from hoprior.geometry.state import HandObjectState, rigid
from hoprior.hand import load_hand
from hoprior.models.networks.placement_encoder import JOINTS_SEEN
from hoprior.models.text_match import TextMatchPrior

HAND = load_hand()


def ball(points: Tensor) -> Tensor:
    return points.norm(dim=-1) - 0.03


def states(num: int = 3) -> HandObjectState:
    generator = torch.Generator().manual_seed(0)
    move = -torch.tensor([0.09, 0.0, 0.04]) + 0.02 * torch.randn(num, 3, generator=generator)
    joints = HAND.joints_only(HAND.angles_to_pose(HAND.relaxed_angles[None])).expand(num, -1, -1)
    return HandObjectState(ball, rigid(torch.eye(3).expand(num, 3, 3), move), joints)


def texts(num: int, seed: int = 1) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(num, 1, 16, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.fixture
def prior() -> Iterator[TextMatchPrior]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = TextMatchPrior(width=8, members=2, text_dim=16, dropout=0.0, resolution=8).eval()
        for net in made.members:
            for layer in (net.joints, net.turn, net.shift):
                torch.nn.init.normal_(layer.weight, std=0.5)  # type: ignore[union-attr,arg-type]
        yield made


def test_without_a_sentence_it_says_nothing(prior: TextMatchPrior) -> None:
    state = states()
    assert torch.equal(prior.energy(state), torch.zeros(3))
    energy, joints = prior.placement_energy(state)
    assert torch.equal(energy, torch.zeros(3)) and torch.equal(joints, state.joints_hand)


def test_energy_is_differentiable_in_placement_and_joints(prior: TextMatchPrior) -> None:
    state = states()
    T, joints = state.T_object_hand.clone().requires_grad_(), state.joints_hand.clone().requires_grad_()
    prior.energy(HandObjectState(ball, T, joints), texts(3)).sum().backward()
    assert T.grad is not None and T.grad[:, :3].abs().sum() > 0
    assert joints.grad is not None and joints.grad[:, JOINTS_SEEN].abs().sum() > 0


def test_elements_do_not_depend_on_each_other(prior: TextMatchPrior) -> None:
    state, cond = states(3), texts(3)
    one = HandObjectState(ball, state.T_object_hand[1:2], state.joints_hand[1:2])
    assert torch.allclose(prior.energy(state, cond)[1:2], prior.energy(one, cond[1:2]), atol=1e-5)


def test_a_sentence_shifts_the_joints_of_others(prior: TextMatchPrior) -> None:
    """The energy of joints that were shifted is lower than that of joints that were not, by what they were shifted."""
    state, cond = states(), texts(3)
    shifted = HandObjectState(ball, state.T_object_hand, prior.propose_joints(state, cond))
    assert (shifted.joints_hand - state.joints_hand).abs().amax() > 1e-3
    assert (prior.energy(shifted, cond) < prior.energy(state, cond)).all()


def test_no_sentence_shouts(prior: TextMatchPrior) -> None:
    for net in prior.members:
        torch.nn.init.normal_(net.look.weight, std=100.0)  # type: ignore[union-attr]
    energy, _ = prior.placement_energy(states(), texts(3))
    assert (energy.abs() <= prior.bound).all()


def test_it_learns_which_sentence_fits(prior: TextMatchPrior) -> None:
    """Two placements, two sentences, and fingers that are bent as the sentence says."""
    state, said = states(2), texts(2)
    field = torch.stack([ball(grid) for grid in _points(prior, state)])[:, None]
    bent = state.joints_hand + torch.tensor([-0.01, 0.02]).view(2, 1, 1)
    batch = {
        "object_sdf": field,
        "text": said,
        "other_texts": said.flip(0)[:, None],
        "joints_hand": bent,
        "recorded": torch.ones(2).bool(),
    }
    adam = torch.optim.Adam(prior.parameters(), lr=3e-3)
    prior.train()
    prior.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    for step in range(150):
        loss = prior.training_step(batch, step)
        adam.zero_grad()
        loss.backward()
        adam.step()
    prior.eval()
    right, _ = prior.placement_energy(state, said)
    wrong, _ = prior.placement_energy(state, said.flip(0))
    assert (right < wrong - 2).all()


def _points(prior: TextMatchPrior, state: HandObjectState) -> Tensor:
    from hoprior.geometry.state import transform_points

    n = prior.spec.resolution
    points = transform_points(state.T_object_hand, prior.spec.points().expand(len(state), -1, -1))
    return points.view(len(state), n, n, n, 3)


def test_saved_and_loaded_whole(prior: TextMatchPrior, tmp_path: Path) -> None:
    prior.save_safetensors(tmp_path / "words.safetensors")
    again = hoprior.load_prior(tmp_path / "words.safetensors")
    state, cond = states(), texts(3)
    assert torch.allclose(again.energy(state, cond), prior.energy(state, cond), rtol=0.02, atol=0.02)  # type: ignore[attr-defined]
    assert again.text_encoder_name == "minilm"
