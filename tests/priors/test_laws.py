"""What holds of every prior that is shipped, and of their weighted sums, whatever they look at."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import trimesh
from needs import PRETEND_DEVICE
from torch import Tensor

import hoprior
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.sdf import SdfGrid, SdfGridBatch
from hoprior.geometry.state import HandObjectState, RestPoses
from hoprior.hand.placement import LocalSearchConfig, random_placements
from hoprior.priors import tasks_for
from hoprior.priors.base import WeightedPrior, weighted_sum
from hoprior.priors.guidance import guidance_loss, score
from hoprior.priors.registry import load_prior
from hoprior.priors.text_encoders import encode_texts
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig
from hoprior.tasks.grasp.faults import FaultWeights

TESTS = Path(__file__).resolve().parents[1]
MUG = load_mesh(Path(hoprior.__file__).parent / "assets" / "meshes" / "mug.obj").solid
BRICK = trimesh.creation.box((0.05, 0.08, 0.14))
TEXTS = [
    "a hand holding a mug by the handle",
    "a hand holding a mug",
    "a hand holding a mug with a tripod grasp",
    "a hand holding a mug by the rim with a lateral grasp",
]
SHIPPED = ["contrastive", "grasp_type", "grid", "interaction", "parts", "pose", "shape_completion", "text_match"]
SUMS = [
    "contrastive:1,text_match:1,parts:3,grasp_type:4",
    "contrastive:1,grid:1.5,pose:0.5",
    "grasp_type:1,shape_completion:0.1",
]
ORDER = [2, 3, 0, 1]

PROMISED = {
    "contrastive": {"placement", "joints"},
    "grid": {"placement", "joints"},
    "grasp_type": {"joints"},
    "interaction": {"placement", "bend"},
    "parts": {"placement", "joints"},
    "pose": {"bend"},
    "shape_completion": {"distances"},
    "text_match": {"placement", "joints"},
}
"""In what each prior's guidance is differentiable, by the documentation of its `energy` or `encode`."""

every_prior = pytest.mark.parametrize("name", SHIPPED)
every_prior_and_sum = pytest.mark.parametrize("name", SHIPPED + SUMS)


@cache
def prior_of(name: str) -> Any:
    """A shipped prior, or the sum that "name:weight,name:weight" says."""
    if ":" not in name:
        return load_prior(name)
    terms = [item.split(":") for item in name.split(",")]
    return weighted_sum((float(weight), prior_of(term)) for term, weight in terms)


@cache
def sdf_of(name: str) -> SdfGrid:
    return SdfGrid.from_mesh({"mug": MUG, "brick": BRICK}[name], resolution=48)


def states(sdf: Any = None, num: int = 4) -> HandObjectState:
    """Hands around the mug, no two alike, on a table."""
    hand, generator = hoprior.load_hand(), torch.Generator().manual_seed(0)
    T = random_placements(MUG, num, generator)
    angles = hand.relaxed_angles + 0.2 * torch.rand(num, 15, 1, generator=generator) * torch.tensor([0.0, 1.0, 0.0])
    pose = hand.angles_to_pose(angles)
    rest = RestPoses(torch.tensor([[0.0, 0.0, 1.0]]), torch.zeros(1), torch.tensor([-0.05]))
    return HandObjectState(sdf_of("mug") if sdf is None else sdf, T, hand.joints_only(pose), rest, pose)


def told(prior: Any, texts: list[str]) -> Tensor | None:
    return None if prior.text_encoder_name is None else encode_texts(prior, texts)


def chosen(cond: Tensor | None, rows: list[int]) -> Tensor | None:
    return None if cond is None else cond[rows]


def liked(prior: Any, state: HandObjectState, cond: Tensor | None, **options: Any) -> Tensor:
    """Scores with common random numbers, so that a row's place in the batch must not matter."""
    return score(prior, state, cond, 2, generator=torch.Generator().manual_seed(0), **options)


def close(one: Tensor, other: Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(one, other, rtol=1e-4, atol=atol)


def one_for_each() -> SdfGridBatch:
    """A mug, a brick, a mug, a brick."""
    return SdfGridBatch.stack([sdf_of("mug"), sdf_of("brick")])[torch.tensor([0, 1, 0, 1])]


def plain(sdf: Any) -> Callable[[Tensor], Tensor]:
    """The same distances by a function that says no more of itself."""
    return lambda points: sdf(points)


def test_no_shipped_prior_is_left_out() -> None:
    assert set(SHIPPED) == {path.stem for path in (Path(hoprior.__file__).parent / "assets/priors").glob("*")}


@pytest.mark.parametrize("objects", ["one", "each", "function"])
@every_prior_and_sum
def test_a_row_does_not_depend_on_its_batch(name: str, objects: str) -> None:
    """Rows with four different texts: in another order, and each alone, they are liked as much."""
    prior = prior_of(name)
    sdf = {"one": sdf_of("mug"), "each": one_for_each(), "function": plain(one_for_each())}[objects]
    state, cond = states(sdf), told(prior, TEXTS)
    together = liked(prior, state, cond)
    close(liked(prior, state[ORDER], chosen(cond, ORDER)), together[ORDER])
    close(torch.cat([liked(prior, state[i], chosen(cond, [i])) for i in range(4)]), together)
    assert together.shape == (4,) and together.isfinite().all()


@every_prior_and_sum
def test_guidance_of_the_first_rows_does_not_see_the_others(name: str) -> None:
    prior, state = prior_of(name), states()
    cond = told(prior, TEXTS)

    def loss(rows: list[int]) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return guidance_loss(prior, state[rows], chosen(cond, rows), generator=generator, guidance_scale=2.0)

    close(loss([0, 1, 2, 3])[:2], loss([0, 1]), atol=1e-4)


@every_prior_and_sum
def test_a_text_is_that_of_its_row(name: str) -> None:
    prior, state = prior_of(name), states()
    cond = told(prior, TEXTS)
    together = liked(prior, state, cond)
    if cond is None:
        close(liked(prior, state, None), together)
        return
    of_one_text = torch.stack([liked(prior, state, cond[i : i + 1].expand(4, -1, -1)) for i in range(4)])
    close(of_one_text.diagonal(), together)
    assert (of_one_text[0] - of_one_text[2]).abs().max() > 1e-6  # and it is heard


@every_prior_and_sum
def test_gradients_are_where_they_are_promised_and_finite(name: str) -> None:
    prior, state = prior_of(name), states()
    assert state.hand_pose is not None
    raised = torch.zeros(1, requires_grad=True)
    leaves = {
        "placement": state.T_object_hand.clone().requires_grad_(),
        "joints": state.joints_hand.clone().requires_grad_(),
        "bend": state.hand_pose.clone().requires_grad_(),
        "distances": raised,
    }
    mug = sdf_of("mug")
    sdf = SdfGrid(mug.values + raised, mug.lower, mug.upper)
    moved = HandObjectState(sdf, leaves["placement"], leaves["joints"], state.rest, leaves["bend"])
    loss = guidance_loss(prior, moved, told(prior, TEXTS), generator=torch.Generator().manual_seed(0)).sum()
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    names = [term.split(":")[0] for term in name.split(",")]
    for (leaf, _), slope in zip(leaves.items(), found, strict=True):
        if any(leaf in PROMISED[term] for term in names):
            assert slope is not None and slope.abs().sum() > 0, leaf
        assert slope is None or slope.isfinite().all(), leaf


@pytest.mark.parametrize("form", ["batch", "function"])
@every_prior_and_sum
def test_the_form_of_distances_does_not_matter(name: str, form: str) -> None:
    """For grids but for rounding; a function's object is sampled anew by those that look at the whole of it."""
    prior, mug = prior_of(name), sdf_of("mug")
    cond = told(prior, TEXTS)
    whole = liked(prior, states(), cond)
    other = liked(prior, states(SdfGridBatch.stack([mug] * 4) if form == "batch" else plain(mug)), cond)
    terms = prior.terms if isinstance(prior, WeightedPrior) else [(1.0, prior)]
    looking = sum(
        weight
        for weight, term in terms
        if term in (prior_of("parts"), prior_of("shape_completion"), prior_of("interaction"))
    )
    close(other, whole, atol=0.25 * looking if form == "function" and looking else 1e-4)


@every_prior_and_sum
def test_of_no_states_there_are_no_scores(name: str) -> None:
    prior = prior_of(name)
    empty, cond = states()[[]], told(prior, TEXTS)
    assert len(empty) == 0 and liked(prior, empty, chosen(cond, [])).shape == (0,)
    assert liked(prior, empty, None).shape == (0,)


@every_prior_and_sum
def test_the_size_of_pieces_changes_nothing(name: str) -> None:
    prior = prior_of(name)
    cond = told(prior, TEXTS)
    close(liked(prior, states(one_for_each()), cond, batch_size=3), liked(prior, states(one_for_each()), cond))


@every_prior
def test_a_prior_that_was_saved_scores_alike(name: str, tmp_path: Path) -> None:
    prior = prior_of(name)
    prior.save_safetensors(tmp_path / "again.safetensors")
    again, cond = load_prior(tmp_path / "again.safetensors"), told(prior, TEXTS)
    assert type(again) is type(prior)
    assert torch.equal(liked(again, states(), cond), liked(prior, states(), cond))


def few_of_everything() -> GraspConfig:
    return GraspConfig(
        pool=32,
        denoised_alone=32,
        local_search=LocalSearchConfig(1),
        guiding=DescentConfig(2),
        refining=DescentConfig(1),
        faults=FaultWeights(simulate=False),
    )


@every_prior
def test_a_grasp_is_found_with_it_or_it_says_why_not(name: str) -> None:
    def grasps() -> Any:
        return hoprior.grasp(MUG, "a mug with a tripod grasp", 1, priors=[(1.0, name)], config=few_of_everything())

    if "grasp" not in tasks_for(hoprior.load_prior(name)):
        with pytest.raises(HopriorError, match=r"cannot serve grasp, which needs .* it serves reconstruct"):
            grasps()
    else:
        assert name in grasps()[0].scores


@PRETEND_DEVICE
def test_priors_on_another_device() -> None:
    """They answer there as here; what would stop at the first GPU stops."""
    code = (
        "import pretend_device; kept = pretend_device.install(); import test_laws\n"
        "with pretend_device.PretendDevice(): test_laws.answer_there()"
    )
    paths = [str(TESTS), str(TESTS / "priors"), str(Path(hoprior.__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == SHIPPED + SUMS


def answer_there() -> None:
    """Scores and guidance of every prior on the pretended device, which must be those of here; says their names."""
    for name in SHIPPED + SUMS:
        prior, state = prior_of(name), states()
        cond = told(prior, TEXTS)
        here = liked(prior, state, cond), guidance_loss(prior, state, cond, generator=torch.Generator().manual_seed(0))
        parts = [term for _, term in prior.terms] if isinstance(prior, WeightedPrior) else [prior]
        away = HandObjectState(
            state.sdf.to("pretend"),  # type: ignore[attr-defined]
            state.T_object_hand.to("pretend"),
            state.joints_hand.to("pretend"),
            RestPoses(*(part.to("pretend") for part in state.rest or ())),
            None if state.hand_pose is None else state.hand_pose.to("pretend"),
        )
        moved_cond = None if cond is None else cond.to("pretend")
        prior.to("pretend")
        there = (
            liked(prior, away, moved_cond),
            guidance_loss(prior, away, moved_cond, generator=torch.Generator().manual_seed(0)),
        )
        for one, other in zip(here, there, strict=True):
            assert other.device.type == "pretend", name
            close(one, other.cpu(), atol=1e-3)
        assert liked(prior, away[[]], None).device.type == "pretend", name
        for part in parts:
            part.to("cpu")
        print(name, flush=True)
