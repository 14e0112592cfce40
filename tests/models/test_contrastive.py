"""The contrastive prior: an energy of placements and joints, differentiable, learnable, saved and loaded whole."""

from pathlib import Path

import pytest
import torch
from scipy.stats import spearmanr

from hoprior.errors import HopriorError
from hoprior.geometry.state import HandObjectState, RestPoses, rigid
from hoprior.hand import load_hand
from hoprior.models.base import with_modules
from hoprior.models.contrastive import ContrastivePrior
from hoprior.models.networks.placement_encoder import JOINTS_SEEN
from hoprior.priors.guidance import guidance_loss, score
from hoprior.priors.registry import load_prior

HAND = load_hand()


def ball(points: torch.Tensor) -> torch.Tensor:
    return points.norm(dim=-1) - 0.03


def states(num: int = 3, rest: RestPoses | None = None, seed: int = 0) -> HandObjectState:
    generator = torch.Generator().manual_seed(seed)
    T = rigid(
        torch.eye(3).expand(num, 3, 3),
        -torch.tensor([0.09, 0.0, 0.04]) + 0.02 * torch.randn(num, 3, generator=generator),
    )
    joints = HAND.joints_only(HAND.angles_to_pose(HAND.relaxed_angles[None])).expand(num, -1, -1)
    return HandObjectState(ball, T, joints, rest)


@pytest.fixture(scope="module")
def prior() -> ContrastivePrior:
    torch.manual_seed(0)
    made = ContrastivePrior(width=8, members=2).eval()
    for net in made.members:
        torch.nn.init.normal_(net.joints.weight, std=0.05)  # type: ignore[union-attr]
    return made


def test_energy_is_differentiable_in_placement_and_joints(prior: ContrastivePrior) -> None:
    state = states()
    T, joints = state.T_object_hand.clone().requires_grad_(), state.joints_hand.clone().requires_grad_()
    prior.energy(HandObjectState(ball, T, joints)).sum().backward()
    assert T.grad is not None and T.grad[:, :3].abs().sum() > 0
    assert joints.grad is not None and joints.grad[:, JOINTS_SEEN].abs().sum() > 0
    assert joints.grad[:, 13].abs().sum() == 0  # the thumb's CMC is placed differently by every data set


def test_priors_together_answer_with_their_mean(prior: ContrastivePrior, tmp_path: Path) -> None:
    torch.manual_seed(1)
    other = ContrastivePrior(width=8, members=2).eval()
    rest = RestPoses(torch.eye(3)[2:], torch.zeros(1), torch.full((1,), -1.0))
    state = states(3, rest)
    both = ContrastivePrior.together([prior, other]).eval()
    assert len(both.members) == 4 and len(both.up_nets) == 2
    energies, joints = zip(*(p.placement_energy(state) for p in (prior, other)), strict=True)
    energy, expected = both.placement_energy(state)
    assert torch.allclose(energy, (energies[0] + energies[1]) / 2, atol=1e-5)
    assert torch.allclose(expected, (joints[0] + joints[1]) / 2, atol=1e-6)
    both.save_safetensors(tmp_path / "both.safetensors")
    again = ContrastivePrior.from_safetensors(tmp_path / "both.safetensors")
    assert torch.allclose(again.placement_energy(state)[0], energy, atol=0.02)
    with pytest.raises(HopriorError, match="different grids"):
        ContrastivePrior.together([prior, ContrastivePrior(width=8, half_extent=0.1)])


def test_elements_do_not_depend_on_each_other(prior: ContrastivePrior) -> None:
    state = states(3)
    one = HandObjectState(ball, state.T_object_hand[1:2], state.joints_hand[1:2])
    assert torch.allclose(prior.energy(state)[1:2], prior.energy(one), atol=1e-5)


def test_proposed_joints_have_the_least_energy(prior: ContrastivePrior) -> None:
    state = states()
    proposed = HandObjectState(ball, state.T_object_hand, prior.propose_joints(state))
    assert (prior.energy(proposed) <= prior.energy(state) + 1e-6).all()
    energy, joints = prior.placement_energy(state)
    assert torch.equal(joints, proposed.joints_hand)
    assert torch.allclose(prior.energy(proposed), energy, atol=1e-5)


def test_score_is_the_negative_energy(prior: ContrastivePrior) -> None:
    state = states()
    with torch.no_grad():
        assert torch.equal(score(prior, state), -prior.energy(state))
    assert torch.equal(guidance_loss(prior, state), prior.energy(state))


def test_which_way_up_matters_and_certainty_is_the_limit_of_a_mixture(prior: ContrastivePrior) -> None:
    up, down = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.0, 0.0, -1.0]])
    base = torch.tensor([-1.0])  # far beneath
    sure, turned = RestPoses(up, torch.zeros(1), base), RestPoses(down, torch.zeros(1), base)
    mixed = RestPoses(torch.cat([up, down]), torch.tensor([0.0, -50.0]), base.expand(2))
    assert torch.allclose(prior.energy(states(rest=sure)), prior.energy(states(rest=mixed)), atol=1e-5)
    assert not torch.allclose(prior.energy(states(rest=sure)), prior.energy(states(rest=turned)))


def test_hands_do_not_reach_through_the_table(prior: ContrastivePrior) -> None:
    up = torch.tensor([[0.0, 0.0, 1.0]])

    def energy(base: float) -> torch.Tensor:
        return prior.energy(states(rest=RestPoses(up, torch.zeros(1), torch.tensor([base]))))

    lowest = (states().T_object_hand[:, None, 2, 3] + states().joints_hand[:, JOINTS_SEEN, 2]).amin(dim=1)
    clear, risen = energy(-1.0), energy(float(lowest.max()) + 0.02)
    assert torch.allclose(clear, energy(-0.5)) and (risen > clear + 3).all()


def test_a_few_steps_separate_two_kinds_of_placement() -> None:
    torch.manual_seed(0)
    prior = ContrastivePrior(width=8, members=1, dropout=0.0)
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(prior.parameters(), 3e-3)
    losses = []
    prior.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    for _ in range(25):
        recorded = torch.arange(16) % 2 == 0
        side = torch.where(recorded, 0.05, -0.05)[:, None, None, None, None]
        field = side + 0.005 * torch.randn(16, 1, 16, 16, 16, generator=generator)
        batch = {
            "object_sdf": field,
            "recorded": recorded,
            "joints_hand": torch.zeros(16, 21, 3),
            "up_hand": torch.zeros(16, 3),
            "up_known": torch.zeros(16, dtype=torch.bool),
        }
        loss = prior.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_weights_travel(prior: ContrastivePrior, tmp_path: Path) -> None:
    prior.save_safetensors(tmp_path / "c.safetensors")
    again = ContrastivePrior.from_safetensors(tmp_path / "c.safetensors")
    assert torch.allclose(prior.energy(states()), again.energy(states()), rtol=0.02, atol=0.02)
    assert again.spec == prior.spec


def test_a_quick_look_is_of_the_small_network_and_leaves_the_prior_whole() -> None:
    torch.manual_seed(0)
    prior, state = ContrastivePrior(width=8, members=2, quick=(8, 16)).eval(), states()
    assert prior.quick is not None
    before, look = prior.energy(state), prior.quick_look()
    assert list(look.members) == [prior.quick] and look.quick_look() is look
    assert not torch.allclose(look.energy(state), before, atol=1e-3)
    assert torch.equal(prior.energy(state), before) and len(prior.members) == 2
    alone = ContrastivePrior(width=8, members=2).eval()
    assert alone.quick_look() is alone


def test_the_shipped_one_and_its_networks_like_the_same_placements() -> None:
    shipped = load_prior("contrastive")
    assert isinstance(shipped, ContrastivePrior) and len(shipped.members) == 8
    state = states(200, seed=3)
    whole = shipped.placement_energy(state)[0].detach().numpy()
    agreed = []
    for net in shipped.members:
        one = with_modules(shipped, members=torch.nn.ModuleList([net]))
        agreed.append(spearmanr(whole, one.placement_energy(state)[0].detach().numpy()).statistic)
    assert min(agreed) > 0.85
