"""Priors from outside that do something wrong: each is named in one sentence, and spoils no other."""

import logging
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
import trimesh
from safetensors.torch import save_file
from torch import Tensor

import hoprior
from hoprior.cli.entry import main
from hoprior.errors import HopriorError
from hoprior.geometry.state import HandObjectState
from hoprior.hand.placement import LocalSearchConfig
from hoprior.priors import pretrained
from hoprior.priors.base import weighted_sum
from hoprior.priors.guidance import SDSGuidance, guidance_loss, score, sds_loss
from hoprior.priors.registry import SHIPPED_FOLDER, available_priors, load_prior
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig

GROUP = pretrained.ENTRY_POINT_GROUP


class Answers:
    """An energy of no base class of ours, which answers whatever it was made to."""

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        self.answer = answer

    def energy(self, state: Tensor, cond: Tensor | None = None, /) -> Any:
        return self.answer(state)


class Finds:
    """A denoiser that finds whatever noise it was made to."""

    alphas_cumprod = torch.linspace(0.99, 0.01, 100)

    def __init__(self, noise: Callable[[Tensor], Tensor]) -> None:
        self.noise = noise

    def encode(self, state: Tensor) -> Tensor:
        return state

    def predict_noise(self, x_t: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
        return self.noise(x_t)


def test_answers_of_the_right_shape_are_taken_as_they_are() -> None:
    """Infinity is an answer: some states cannot be."""
    state = torch.arange(4.0)
    prior = Answers(lambda x: torch.where(x > 2, torch.inf, x))
    for said in (guidance_loss(prior, state), SDSGuidance(prior, 2)(state), -score(prior, state, batch_size=3)):
        assert said.tolist() == [0.0, 1.0, 2.0, torch.inf]


@pytest.mark.parametrize(
    ("answer", "gives"),
    [
        (lambda x: x.sum(), r"the shape \(\) for 3 states"),
        (lambda x: x[:, None], r"the shape \(3, 1\) for 3 states"),
        (lambda x: x[:1], r"the shape \(1,\) for 3 states"),
        (lambda x: torch.cat([x, x]), r"the shape \(6,\) for 3 states"),
        (lambda x: x.tolist(), "list"),
        (lambda x: None, "NoneType"),
    ],
)
@pytest.mark.parametrize("ask", [guidance_loss, score, lambda prior, state: SDSGuidance(prior, 1)(state)])
def test_energies_of_a_wrong_shape_are_refused_by_the_name_of_their_class(
    ask: Callable[..., Tensor], answer: Callable[[Tensor], Any], gives: str
) -> None:
    for prior in (Answers(answer), weighted_sum([(1.0, Answers(lambda x: x)), (0.5, Answers(answer))])):
        with pytest.raises(HopriorError, match=rf"^Answers\.energy gives {gives}: it must give [^.]*[^.]$"):
            ask(prior, torch.ones(3))


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize("noise", [lambda x: x[:, :1], lambda x: x.sum(dim=1), lambda x: x[:1]])
@pytest.mark.parametrize("ask", [sds_loss, guidance_loss, score])
def test_noises_of_a_wrong_shape_are_refused(ask: Callable[..., Any], noise: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(HopriorError, match=r"^Finds\.predict_noise gives the shape .* the two must be equal$"):
        ask(Finds(noise), torch.ones(2, 3))


@pytest.mark.parametrize(
    ("prior", "says"),
    [(Answers(lambda x: 0 * x / (x - 1)), r"Answers\.energy"), (Finds(lambda x: x / 0 * 0), r"Finds\.predict_noise")],
)
def test_what_is_no_number_ranks_nothing_and_begins_no_descent(prior: Any, says: str) -> None:
    state = torch.ones(2) if isinstance(prior, Answers) else torch.ones(2, 3)
    for terms in (prior, weighted_sum([(1.0, prior)])):
        for ask in (score, SDSGuidance(terms, 3)):
            with pytest.raises(HopriorError, match=rf"^{says} gives NaN for 2 of 2 states: .*leave this prior out$"):
                ask(*((terms, state) if ask is score else (state,)))  # type: ignore[operator]


def test_only_the_first_step_of_a_descent_is_looked_at() -> None:
    """Looking makes a GPU wait, and a descent that has begun with numbers is the optimiser's to watch."""
    answers = iter([1.0, torch.nan])
    guidance = SDSGuidance(Answers(lambda x: x * next(answers)), 2)
    assert guidance(torch.ones(1)).tolist() == [1.0]
    assert guidance(torch.ones(1)).isnan().all()


def test_priors_of_two_text_encoders_do_not_mix_and_are_both_named() -> None:
    one, other = Answers(torch.sum), Finds(torch.sum)
    one.text_encoder_name, other.text_encoder_name = "minilm", "own"  # type: ignore[attr-defined]
    with pytest.raises(HopriorError, match=r"Answers hears 'minilm' and Finds hears 'own': "):
        weighted_sum([(1.0, one), (1.0, Answers(torch.sum)), (1.0, other)])


class Distribution:
    """As much of an installed package as an entry point knows."""

    def __init__(self, name: str) -> None:
        self.name = name


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Registers priors as (package, name, value), and makes modules of a text each importable."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(*entries: tuple[str, str, str], **modules: str) -> None:
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
            monkeypatch.delitem(sys.modules, name, raising=False)
        made = []
        for package, name, value in entries:
            entry = EntryPoint(name, value, GROUP)
            vars(entry)["dist"] = Distribution(package)
            made.append(entry)
        monkeypatch.setattr(pretrained, "entry_points", lambda group: made)

    return install


GOOD = "class Good:\n    def energy(self, state, cond=None):\n        return state\n"


def test_a_broken_package_spoils_no_other_and_is_named(
    install: Callable[..., None], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    install(
        ("far", "broken", "far_broken:Prior"),
        ("far", "absent", "far_absent:Prior"),
        ("far", "unnamed", "far_good:Nonesuch"),
        ("far", "good", "far_good:Good"),
        far_broken="raise RuntimeError('no licence\\nserver')\n",
        far_good=GOOD,
    )
    with caplog.at_level(logging.WARNING):
        found = available_priors()
    assert "good" in found and "grid" in found and not {"broken", "absent", "unnamed"} & set(found)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3 and said[1].startswith(
        "prior 'broken' (far): 'far_broken:Prior' cannot be imported (RuntimeError: no licence server): "
    )
    for name in ("broken", "absent", "unnamed"):
        with pytest.raises(HopriorError, match=f"^prior '{name}': cannot be made"):
            load_prior(name)
    assert main(["priors"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert (
        "good grasp, refine, reconstruct; hears no text; no weights licence: not stated far_good.Good, of far" in words
    )
    assert "broken cannot be loaded: 'far_broken:Prior' cannot be imported (RuntimeError: no licence server)" in words


def test_a_name_of_two_packages_is_nobodys(install: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    install(("far", "same", "far_good:Good"), ("near", "same", "near_good:Good"), far_good=GOOD, near_good=GOOD)
    sentence = r"the name is registered by far \(far_good\.Good\) and near \(near_good\.Good\): load one by its class"
    with pytest.raises(HopriorError, match=f"^prior 'same': {sentence}"):
        load_prior("same")
    assert type(load_prior("near_good.Good")).__module__ == "near_good"
    assert "same" not in available_priors() and "grid" in available_priors()
    assert "the name is registered by far" in caplog.text
    # Found twice, as by an editable install beside another, it is still one.
    install(("far", "same", "far_good:Good"), ("far", "same", "far_good:Good"))
    assert type(load_prior("same")).__module__ == "far_good"


def test_a_package_does_not_take_a_shipped_name(
    install: Callable[..., None], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    install(("far", "contrastive", "far_good:Good"), far_good=GOOD)
    assert type(load_prior("contrastive")).__module__ == "hoprior.models.contrastive"
    assert "prior 'contrastive' is hoprior's own" in caplog.text
    assert available_priors()["contrastive"] == "hoprior.models.contrastive.ContrastivePrior"
    assert main(["priors"]) == 0
    assert "load this one as 'far_good.Good'" in " ".join(capsys.readouterr().out.split())


def test_a_package_may_take_the_old_name_of_a_shipped_prior(install: Callable[..., None]) -> None:
    install(("far", "words", "far_good:Good"), far_good=GOOD)
    assert type(load_prior("words")).__module__ == "far_good"


@pytest.mark.parametrize("kind", ["safetensors", "ckpt"])
def test_weights_whose_class_has_moved_away_are_refused(
    install: Callable[..., None], tmp_path: Path, kind: str
) -> None:
    install(("far", "moved", "far_moved:Prior"), ("far", "broken", "far_broken:Prior"), far_moved=GOOD,
            far_broken="1 / 0\n")  # fmt: skip
    for class_path, says in (
        ("hoprior.models.grid_prior.NoLongerPrior", "which this version does not have"),
        ("hoprior.no_longer.GridPrior", "which this version does not have"),
        ("far_moved.Prior", "which this version does not have"),
        ("far_moved.Good", "which is neither hoprior's nor registered"),
        ("far_broken.Prior", r"whose module cannot be imported \(ZeroDivisionError: division by zero\)"),
    ):
        header = {"class_path": class_path, "config": "{}"}
        path = tmp_path / f"old.{kind}"
        if kind == "ckpt":
            torch.save({"hoprior": header, "state_dict": {}}, path)
        else:
            save_file({"a": torch.zeros(1)}, path, header)
        with pytest.raises(HopriorError, match=rf"old\.{kind}: names the class '{class_path}', {says}"):
            load_prior(path)


def test_an_old_class_path_leads_to_the_class_where_it_is(tmp_path: Path) -> None:
    prior = load_prior("text_match")
    header = pretrained.read_header(SHIPPED_FOLDER / "text_match.safetensors")
    tensors = {name: tensor.half() for name, tensor in prior.state_dict().items()}  # type: ignore[attr-defined]
    save_file(tensors, tmp_path / "old.safetensors", header | {"class_path": "hoprior.models.words.WordsPrior"})
    assert type(load_prior(tmp_path / "old.safetensors")) is type(prior)


class Handy:
    """An energy of hands at objects that can all that a search asks for, and answers one question wrongly."""

    def __init__(self, method: str, answer: Callable[[HandObjectState], Any]) -> None:
        self.wrong, self.answer = method, answer

    def said(self, method: str, state: HandObjectState, right: Any) -> Any:
        return self.answer(state) if method == self.wrong else right

    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Any:
        return self.said("energy", state, state.joints_hand.sum(dim=(1, 2)))

    def posture_energy(self, state: HandObjectState, cond: Tensor | None) -> Any:
        return self.said("posture_energy", state, state.joints_hand.sum(dim=(1, 2)))

    def placement_energy(self, state: HandObjectState, cond: Tensor | None = None) -> Any:
        return self.said("placement_energy", state, (state.joints_hand.sum(dim=(1, 2)), state.joints_hand))

    def propose_joints(self, state: HandObjectState, cond: Tensor | None = None, generator: Any = None) -> Any:
        return self.said("propose_joints", state, state.joints_hand)

    def propose_placements(self, surface: Tensor, normals: Tensor, cond: Tensor | None, generator: Any) -> Any:
        return torch.zeros(len(surface), 3) if self.wrong == "propose_placements" else None


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize(
    ("method", "answer", "says"),
    [
        ("energy", lambda state: torch.zeros(len(state), 1), r"gives the shape \(\d+, 1\) for \d+ states"),
        ("posture_energy", lambda state: torch.zeros(len(state), 1), r"gives the shape \(\d+, 1\) for \d+ states"),
        ("posture_energy", lambda state: None, "gives NoneType"),
        ("posture_energy", lambda state: state.joints_hand.sum(dim=(1, 2)) * torch.nan, r"gives NaN for \d+ of \d+"),
        ("placement_energy", lambda state: torch.zeros(len(state)), "gives Tensor"),
        ("placement_energy", lambda state: (torch.zeros(1), state.joints_hand), r"gives the shape \(1,\) for energies"),
        ("placement_energy", lambda state: (torch.zeros(len(state)), None), "gives NoneType for joints"),
        ("propose_joints", lambda state: state.joints_hand[:, 1:], r"gives the shape \(\d+, 20, 3\)"),
        ("propose_placements", lambda state: None, r"gives the shape \(\d+, 3\)"),
    ],
)
def test_a_wrong_answer_is_told_by_the_method_that_somebody_wrote(
    method: str, answer: Callable[[HandObjectState], Any], says: str
) -> None:
    descent = DescentConfig(steps=1)
    config = GraspConfig(
        pool=16, local_search=LocalSearchConfig(iterations=1, proposals=2), guiding=descent, refining=descent
    )
    can = trimesh.creation.cylinder(0.03, 0.1, sections=16)
    with pytest.raises(HopriorError, match=rf"^Handy\.{method} {says}[^.]*$"):
        hoprior.grasp(can, num=1, priors=[(1.0, Handy(method, answer))], config=config, device="cpu")


def test_priors_that_judge_nothing_neither_guide_nor_rank() -> None:
    class Draws:
        def sample_hand_poses(self, cond: Any, num: int, **settings: Any) -> Tensor:
            return torch.zeros(num, 15, 3)

    for ask in (score, guidance_loss):
        with pytest.raises(HopriorError, match=r"^Draws judges nothing: it needs `energy`, or `encode`"):
            ask(Draws(), torch.zeros(2, 3))
