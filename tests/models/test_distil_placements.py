"""Small networks that answer nearly as priors of placements do: `tools/distil_placements.py`, and the shipped ones."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

import hoprior
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState
from hoprior.hand.placement import random_placements
from hoprior.models.contrastive import ContrastivePrior
from hoprior.models.text_match import TextMatchPrior
from hoprior.priors.text_encoders import load_text_encoder

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "distil_placements.py"
MUG = ROOT / "hoprior" / "assets" / "meshes" / "mug.obj"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The tool, with few placements of each object."""
    spec = importlib.util.spec_from_file_location("distil_placements", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.RANDOM, module.CLIMBED = 192, 16
    return module


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior of two networks that differ and whose joints are moved, in a file."""
    torch.manual_seed(0)
    prior = ContrastivePrior(width=8, members=2, dropout=0.0)
    for net in prior.members:
        torch.nn.init.normal_(net.logit.weight, std=0.5)
        torch.nn.init.normal_(net.joints.weight, std=0.02)
    path = tmp_path_factory.mktemp("teacher") / "two.safetensors"
    prior.save_safetensors(path)
    return path


@pytest.fixture(scope="module")
def labels(tool: ModuleType, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the prior sees and says at three objects."""
    folder = tmp_path_factory.mktemp("labels")
    run(tool, "label", teacher, folder, "--num", 3)
    return folder


def run(tool: ModuleType, *words: object) -> None:
    """The command."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.argv", ["distil_placements.py", *map(str, words)])
        tool.main()


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def test_what_is_labelled_is_kept(tool: ModuleType, teacher: Path, labels: Path) -> None:
    files = sorted(labels.iterdir())
    assert len(files) == 3
    written = [path.stat().st_mtime_ns for path in files]
    run(tool, "label", teacher, labels, "--num", 3)
    assert [path.stat().st_mtime_ns for path in files] == written
    fields, logits, _ = tool.read(files)
    two = ContrastivePrior.from_safetensors(teacher)
    with torch.no_grad():
        assert (two.judged_fields(tool.unit_of(fields) * two.truncation)[0] - logits).abs().max() < 0.05


def test_a_small_network_answers_as_the_mean_of_two(
    tool: ModuleType, teacher: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "with.safetensors"
    run(tool, "train", teacher, labels, out, "--quick", 8, 16, "--epochs", 30, "--batch", 32)
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines() if "loss" in line]
    before, prior = ContrastivePrior.from_safetensors(teacher), ContrastivePrior.from_safetensors(out)
    fields, logits, joints = tool.read(sorted(labels.glob("*.npz")))
    with torch.no_grad():
        seen = tool.unit_of(fields) * prior.truncation
        whole, own = prior.judged_fields(seen), before.judged_fields(seen)
        quick, where = prior.quick_look().judged_fields(seen)
    assert len(prior.members) == 2 and torch.allclose(whole[0], own[0], atol=0.02), "its own networks are as they were"
    assert correlation(quick, logits) > 0.9
    assert (where - joints).norm(dim=-1).mean() < 0.005


def test_a_small_body_gives_the_features_of_words(tool: ModuleType, labels: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    words = TextMatchPrior(width=8, dropout=0.0)
    for layer in (words.members[0].turn, words.members[0].joints):
        torch.nn.init.normal_(layer.weight, std=0.02)
    words.save_safetensors(tmp_path / "words.safetensors")
    out = tmp_path / "with.safetensors"
    run(tool, "train", tmp_path / "words.safetensors", labels, out, "--quick", 8, 16, "--epochs", 30, "--batch", 32)
    prior = TextMatchPrior.from_safetensors(out)
    unit = tool.unit_of(tool.read(sorted(labels.glob("*.npz")))[0])
    said = load_text_encoder("minilm").encode(["cut with the knife"]).mean(dim=1).expand(len(unit), 1, -1)
    with torch.no_grad():
        (whole, *_), (quick, *_) = (one.members[0](unit, said) for one in (prior, prior.quick_look()))
    assert correlation(whole[:, 0], quick[:, 0]) > 0.8, "of untrained words, whose features differ little"


def test_only_priors_of_placements_are_distilled(tool: ModuleType, labels: Path, tmp_path: Path) -> None:
    from hoprior.priors.installed import shipped_files

    with pytest.raises(HopriorError, match="holds a PosePrior: only priors of placements"):
        run(tool, "train", shipped_files()["pose"], labels, tmp_path / "out.safetensors")


def test_the_shipped_priors_have_quick_looks_that_judge_alike() -> None:
    """At a mug of no training, of which the best by the quick look are the best by the prior."""
    surface = load_mesh(MUG)
    sdf, hand = SdfGrid.from_mesh(surface), hoprior.load_hand()
    T = random_placements(surface.solid, 256, torch.Generator().manual_seed(3))
    joints = hand.joints_only(hand.angles_to_pose(hand.relaxed_angles[None])).expand(len(T), -1, -1)
    state = HandObjectState(sdf, T, joints)
    for name in ("contrastive", "text_match"):
        prior = hoprior.load_prior(name)
        assert isinstance(prior, (ContrastivePrior, TextMatchPrior))
        cond = load_text_encoder("minilm").encode(["drink from the mug"]).expand(len(T), -1, -1)
        with torch.no_grad():
            (whole, expected), (quick, where) = (
                one.placement_energy(state, cond if name == "text_match" else None)
                for one in (prior, prior.quick_look())
            )
        assert correlation(whole, quick) > 0.98, name
        assert (expected - where).norm(dim=-1).mean() < 0.003, name
        best = set(whole.argsort()[:32].tolist())
        assert len(best & set(quick.argsort()[:32].tolist())) >= 24, name
        parameters = [sum(p.numel() for p in one.members.parameters()) for one in (prior, prior.quick_look())]
        assert parameters[1] < 0.7 * parameters[0], name
