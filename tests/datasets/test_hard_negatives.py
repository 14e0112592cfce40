"""Mining of hard negatives (datasets/training/hard_negatives.py, hoprior data mine)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hoprior.cli.entry import main
from hoprior.datasets.samples.cache import read_index, read_shard
from hoprior.datasets.samples.grids import PrepareConfig, prepare_all
from hoprior.datasets.training.datamodule import GraspDataModule
from hoprior.datasets.training.hard_negatives import Mined, MiningConfig, folds_of, mine_round
from hoprior.errors import HopriorError
from hoprior.geometry.state import HandObjectState

SMALL = MiningConfig(folds=2, pool=64, num=5)


class FromAbove:
    """Likes palms that look down; expects the fingers as they are."""

    def placement_energy(self, state: HandObjectState, cond: object = None) -> tuple[Tensor, Tensor]:
        return 10 * state.T_object_hand[:, 2, 2], state.joints_hand


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, stub_source: Any, tiny: PrepareConfig) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    prepare_all([stub_source(), stub_source(name="other", names=("ball",))], folder, tiny)
    return folder


def mined(cache: Path, out: Path, config: MiningConfig = SMALL) -> tuple[list[Mined], list[list[str]]]:
    """The steps of a round, and the objects that each prior was trained without."""
    trained: list[list[str]] = []

    def train_without(folder: Path, objects: Sequence[str]) -> FromAbove:
        trained.append(list(objects))
        return FromAbove()

    return list(mine_round(cache, out, train_without, config, "mined 1")), trained


def test_every_object_gets_what_a_prior_that_has_not_seen_it_likes(cache: Path, tmp_path: Path) -> None:
    steps, trained = mined(cache, tmp_path)
    keys = [entry["object"] for entry in read_index(cache)]
    assert sorted(key for fold in trained for key in fold) == sorted(keys) == sorted(step.object_key for step in steps)
    for before, after in zip(read_index(cache), read_index(tmp_path), strict=True):
        old, new = read_shard(cache / before["file"]).grasps, read_shard(tmp_path / after["file"]).grasps
        assert len(new) == len(old) + SMALL.num and after["background"] == before["background"] + SMALL.num
        assert torch.equal(new.T_object_hand[: len(old)], old.T_object_hand)
        added = [new[i] for i in range(len(old), len(new))]
        assert all(not sample.recorded and sample.sequence == "mined 1" for sample in added)
        palms = torch.stack([sample.T_object_hand[2, 2] for sample in added])
        assert palms.mean() < -0.7  # random ones are 0 on average


def test_a_round_goes_on_where_it_stopped(cache: Path, tmp_path: Path) -> None:
    mined(cache, tmp_path)
    lost = tmp_path / read_index(tmp_path)[0]["file"]
    before = read_shard(lost).grasps.tensors()
    lost.unlink()
    steps, trained = mined(cache, tmp_path)
    assert [step.reused for step in steps].count(False) == 1 and len(trained) == 1
    after = read_shard(lost).grasps.tensors()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_other_training_mines_anew(cache: Path, tmp_path: Path, stub_source: Any, tiny: PrepareConfig) -> None:
    """The prior that chooses follows from its configuration, its steps and all objects that it has learnt from."""

    def again(cache: Path, config: MiningConfig = SMALL, **training: Any) -> tuple[int, list[str]]:
        heard: list[str] = []
        by = {"the steps": 3, "the prior's configuration": b"width: 8", **training}
        steps = mine_round(cache, tmp_path / "out", lambda *_: FromAbove(), config, "mined 1", by, heard.append)
        return sum(step.reused for step in steps), heard

    assert again(cache) == (0, [])
    assert again(cache) == (4, ["resumed: 4 of 4 objects are there"])
    assert again(cache, **{"the steps": 4}) == (0, ["started anew, because the steps differ"])
    changed = {"the prior's configuration": b"width: 9", "the steps": 4}
    assert again(cache, **changed) == (0, ["started anew, because the prior's configuration differs"])
    assert again(cache, replace(SMALL, pool=65), **changed) == (0, ["started anew, because the settings differ"])
    # One more object in the cache: the priors that judge the others have learnt from another set.
    grown = tmp_path / "grown"
    sources = [stub_source(), stub_source(name="other", names=("ball", "box"))]
    prepare_all(sources, grown, tiny)
    kept, (said,) = again(grown)
    assert kept == 0 and said.startswith("started anew, because the") and "the other objects" in said


def test_other_sources_are_copied(cache: Path, tmp_path: Path) -> None:
    _, trained = mined(cache, tmp_path, MiningConfig(folds=2, pool=64, num=5, sources=("other",)))
    assert all(key.startswith("other") for keys in trained for key in keys)
    added = {e["source"]: e["background"] for e in read_index(tmp_path)}
    before = {e["source"]: e["background"] for e in read_index(cache)}
    assert added["other"] == before["other"] + 5
    assert all(added[name] == before[name] for name in before if name != "other")


def test_folds_do_not_depend_on_the_order() -> None:
    keys = [f"object-{i}" for i in range(10)]
    folds = folds_of(keys, 3)
    assert folds == folds_of(keys[::-1], 3) and sorted(map(len, folds)) == [3, 3, 4]


def test_objects_left_out_are_in_no_split(cache: Path) -> None:
    left_out = read_index(cache)[0]["object"]
    module = GraspDataModule(cache, without=[left_out], grid_resolution=4, val_fraction=0.5)
    module.setup()
    assert module.train_maker is not None and module.val_maker is not None
    seen = {info.key for maker in (module.train_maker, module.val_maker) for info in maker.table.objects}
    assert left_out not in seen and len(seen) == len(read_index(cache)) - 1


def test_the_command_trains_mines_and_says_where(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And leaves its caches alone: no prior, whose file would tell when and where it was trained."""
    out = tmp_path / "mined"
    command = ["data", "mine", "--cache", str(cache), "--out", str(out), "--rounds", "1", "--folds", "2"]
    command += ["--steps", "2", "--pool", "16", "--num", "3"]
    (out / ".hoprior-priors-0.tmp").mkdir(parents=True)  # of a run that was killed
    assert main(command) == 0
    assert "train with" in capsys.readouterr().out
    assert len(read_index(out / "round1")) == len(read_index(cache))
    made = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert {path.parent for path in made} == {out / "round1"} and [path.name for path in out.iterdir()] == ["round1"]
    assert main(command) == 0
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == made


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--folds", "1"], "--folds is 1"),
        (["--num", "0"], "--num is 0"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--sources", "[nobody]"], "names nobody"),
        (["--prior_config", "missing.yaml"], "missing.yaml"),
    ],
)
def test_nonsense_is_refused(
    cache: Path, tmp_path: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "mine", "--cache", str(cache), "--out", str(tmp_path), *options]) == 2
    assert sentence in capsys.readouterr().err


def test_a_cache_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HopriorError, match="hoprior data prepare"):
        mined(tmp_path / "nothing", tmp_path / "out")
