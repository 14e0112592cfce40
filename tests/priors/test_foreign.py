"""Every prior at every task, those of other packages as well: a task uses it, or refuses it in one sentence.

The packages lie in tests/foreign and are installed as anybody's would be. A third prior, `LowHands`, has nothing of
ours at all: it only has the method that the protocol asks for.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from hand_estimates import estimate
from held_box import QUICK, film_box

import hoprior
from hoprior.cli.entry import main
from hoprior.errors import HopriorError
from hoprior.hand.placement import LocalSearchConfig
from hoprior.priors import DenoisesHandPoses, SamplesInteractions, tasks_for
from hoprior.priors.installed import shipped_files
from hoprior.priors.registry import available_priors
from hoprior.priors.usable import TASKS
from hoprior.tasks.generate import GenerateConfig
from hoprior.tasks.generate.plausibility import Plausible
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig
from hoprior.tasks.grasp.faults import FaultWeights
from hoprior.tasks.refine import HeldObject, RefineConfig

TEXT = "a hand holding a mug by the handle with a tripod grasp"
INDEX = ("index2", "index3", "index_tip")
SEARCH = GraspConfig(
    pool=16,
    denoised_alone=16,
    local_search=LocalSearchConfig(1, 2),
    guiding=DescentConfig(steps=2),
    refining=DescentConfig(steps=1),
    score_timesteps=1,
    faults=FaultWeights(simulate=False),
)
ANYTHING = Plausible(*[1e9] * 2, 0.0, 1e9, 0.05, *[1e9] * 3)
FOREIGN = ("foreign_poses", "foreign_interaction")


class LowHands:
    """Likes wrists that are low at the object."""

    def energy(self, state, cond=None):  # type: ignore[no-untyped-def]
        return 10 * state.T_object_hand[:, 2, 3]


def made(name: str) -> Any:
    return LowHands() if name == "LowHands" else hoprior.load_prior(name)


def grasp(prior: Any, _: Path | None = None) -> np.ndarray:
    mesh = trimesh.creation.cylinder(0.03, 0.1, sections=16)
    results = hoprior.grasp(mesh, TEXT, 1, priors=[(1.0, prior)], config=SEARCH, device="cpu")
    return results[0].verts_object


def generate(prior: Any, _: Path | None = None) -> np.ndarray:
    config = GenerateConfig(steps=2, plausible=ANYTHING)
    draw: Callable[..., Any] = hoprior.generate if isinstance(prior, SamplesInteractions) else hoprior.generate_poses
    return draw(TEXT, 1, priors=[(1.0, prior)], config=config, device="cpu").samples[0].verts_hand


def refine(prior: Any, _: Path | None = None) -> np.ndarray:
    place = torch.eye(4)
    place[2, 3] = 0.5
    judged = HeldObject(trimesh.creation.icosphere(subdivisions=2, radius=0.04), place)
    draws, held = ([], None) if isinstance(prior, DenoisesHandPoses) else ([(1.0, "foreign_poses")], judged)
    hands = hoprior.refine(
        estimate(hidden=INDEX),
        TEXT,
        priors=[*draws, (1.0, prior)],
        config=RefineConfig(steps=2, samples=2),
        device="cpu",
        held=held,
    )
    return hands.hands[0].joints


def reconstruct(prior: Any, clip: Path | None = None) -> np.ndarray:
    assert clip is not None
    config = replace(QUICK, hand_steps=2, steps=4, prior_start=0.0, prior_every=1)
    return hoprior.reconstruct(clip, TEXT, priors=[(1.0, prior)], config=config, device="cpu").verts_hand


RUN: dict[str, Callable[[Any, Path | None], np.ndarray]] = {
    "grasp": grasp,
    "generate": generate,
    "refine": refine,
    "reconstruct": reconstruct,
}
FITTED = ("pose", *FOREIGN)
"""Priors whose reconstructions run in any case."""
SLOW = {("grid", "grasp")} | {(name, "reconstruct") for name in (*shipped_files(), "LowHands") if name not in FITTED}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filmed clip of a hand with a box."""
    return film_box(tmp_path_factory.mktemp("clips") / "box")


@pytest.mark.parametrize(
    ("name", "task"),
    [
        pytest.param(name, task, marks=[pytest.mark.slow] if (name, task) in SLOW else [])
        for name in [*shipped_files(), *FOREIGN, "LowHands"]
        for task in TASKS
    ],
)
def test_a_task_uses_a_prior_or_refuses_it_in_one_sentence(foreign: None, clip: Path, name: str, task: str) -> None:
    prior = made(name)
    if task in tasks_for(prior):
        assert np.isfinite(RUN[task](prior, clip)).all()
        return
    with pytest.raises(HopriorError) as caught:
        RUN[task](prior, clip)
    sentence = str(caught.value)
    assert type(prior).__name__ in sentence and "\n" not in sentence and not sentence.endswith(".")
    assert all(other in sentence for other in tasks_for(prior)), "it says what the prior is for"


def test_foreign_priors_are_found_listed_and_loaded_by_name(foreign: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert available_priors()["foreign_poses"] == "foreign_poses.CurledHands"
    assert tasks_for(hoprior.load_prior("foreign_poses")) == tuple(TASKS)
    assert tasks_for(hoprior.load_prior("foreign_interaction")) == tuple(TASKS)
    assert main(["priors"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert (
        "foreign_interaction grasp, generate, refine, reconstruct; hears minilm; no weights licence: CC0-1.0" in words
    )
    assert "foreign_poses.CurledHands, of foreign-poses" in words


def test_an_interaction_prior_of_another_package_draws_what_the_words_say(foreign: None) -> None:
    """Draws pass the limits of plausible hands and objects, and larger balls are larger."""
    sizes = []
    for words in ("a hand holding a small ball", "a hand holding a large ball"):
        samples = hoprior.generate(words, 3, priors=[(1.0, "foreign_interaction")], device="cpu")
        assert samples.draws == 3 and not samples.rejected
        sizes.append([float(np.ptp(one.object_mesh.vertices, axis=0).max()) for one in samples.samples])
    assert max(sizes[0]) < min(sizes[1])


def test_its_energy_prefers_hands_around_balls_to_hands_elsewhere(foreign: None) -> None:
    prior = hoprior.load_prior("foreign_interaction")
    drawn = prior.sample_interactions(None, 4, steps=1, guidance_scale=1.0)  # type: ignore[attr-defined]
    state = drawn.grid.state()
    elsewhere = state.T_object_hand.clone()
    elsewhere[:, 2, 3] -= 0.03
    away = replace(state, T_object_hand=elsewhere)
    assert (hoprior.score(prior, state) > hoprior.score(prior, away)).all()


def test_a_pose_prior_of_another_package_draws_hands_as_wide_as_it_says(foreign: None) -> None:
    prior = hoprior.load_prior("foreign_poses")
    config = GenerateConfig(steps=50)
    drawn = hoprior.generate_poses("a hand", 64, priors=[(1.0, prior)], config=config, device="cpu").samples
    poses = torch.from_numpy(np.stack([one.hand_pose for one in drawn])).flatten(1)
    relaxed = prior.mean  # type: ignore[union-attr]
    along = (poses - relaxed) @ (relaxed / relaxed.norm())
    assert abs(float(along.mean())) < 0.2 and 0.2 < float(along.std()) < 0.5


@pytest.mark.parametrize("name", [*FOREIGN, "foreign_interaction.HandsAroundBalls"])
def test_the_command_line_takes_them(foreign: None, tmp_path: Path, name: str) -> None:
    mesh = tmp_path / "cylinder.ply"
    trimesh.creation.cylinder(0.03, 0.1, sections=16).export(mesh)
    options = [f"--config.{key}={getattr(SEARCH, key)}" for key in ("pool", "denoised_alone")]
    options += ["--config.local_search.iterations=1", "--config.local_search.proposals=2"]
    options += ["--config.guiding.steps=2", "--config.refining.steps=1", "--config.faults.simulate=false"]
    command = ["run", "grasp", "--mesh", str(mesh), "--num", "1", "--prior", f"{name}:1,contrastive:0.5"]
    assert main([*command, "--device", "cpu", "--out", str(tmp_path / "out"), *options]) == 0
    assert json.loads((tmp_path / "out" / "grasps.json").read_text())["config"]["priors"][0] == [1.0, name]


def test_the_command_line_generates_with_them(foreign: None, tmp_path: Path) -> None:
    for name in FOREIGN:
        out = tmp_path / name
        command = ["run", "generate", "--text", "a hand holding a ball", "--num", "1", "--prior", name]
        assert main([*command, "--device", "cpu", "--config.steps", "2", "--out", str(out)]) == 0
        assert any(out.glob("*.json"))
