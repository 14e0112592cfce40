"""Batches: what is in the cache, seen from the hand, balanced, and never an object in both splits."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from resumed_training import EPOCH, assert_resumes

from hoprior.datasets.samples.grids import PrepareConfig, prepare_all, prepare_object
from hoprior.datasets.samples.text_features import text_features
from hoprior.datasets.training.datamodule import PALM_CENTRE, Augmentation, GraspDataModule, displaced, object_grids
from hoprior.datasets.training.epochs import EpochOffsetSampler
from hoprior.datasets.training.grasp_table import GraspTable
from hoprior.datasets.training.held_out import held_out
from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec, sample_object_grid
from hoprior.geometry.state import HandObjectState, transform_points
from hoprior.language.phrases import GENERIC_TEXT

NAMES = tuple(["ball", "box", *(f"brick{i}" for i in range(6))])


class WordFeatures:
    """Stands in for a text encoder: the length of a text and of its last word."""

    name, dim = "minilm", 2

    def encode(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([[[float(len(t)), float(len(t.split()[-1]))]] for t in texts])


@pytest.fixture(autouse=True)
def no_text_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoprior.datasets.samples.text_features.load_text_encoder", lambda name: WordFeatures())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, stub_source: Any, tiny: PrepareConfig) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    prepare_all([stub_source(names=NAMES), stub_source(name="other", names=("box", "ball"), num=9)], folder, tiny)
    return folder


def module(cache: Path, **settings: Any) -> GraspDataModule:
    settings = {"grid_resolution": 6, "batch_size": 32, "batches_per_epoch": 3, "val_batches": 2} | settings
    data = GraspDataModule(cache, **settings)
    data.setup()
    return data


STILL: dict[str, Any] = {"rotation": 0.0, "translation": 0.0, "scale": (1.0, 1.0), "angles": 0.0}


def test_a_batch_is_the_direct_sampling_of_each_object(cache: Path) -> None:
    data = module(cache, **STILL)
    assert data.train_maker is not None
    table = data.train_maker.table
    for batch in data.train_dataloader():
        for i, owner in enumerate(batch["object_index"].tolist()):
            sdf = replace(table.sdf[owner], values=table.sdf[owner].values.float())
            state = HandObjectState(sdf, batch["T_object_hand"][i : i + 1], batch["joints_hand"][i : i + 1])
            direct = sample_object_grid(state, data.spec)
            torch.testing.assert_close(batch["object_sdf"][i : i + 1], direct, atol=1e-5, rtol=0)
            same = (table.T_object_hand - batch["T_object_hand"][i]).abs().flatten(1).amax(1) < 1e-6
            mine = (same & (table.object_index == owner)).nonzero()[:, 0]
            assert len(mine), "the pose is one of the object's own"
            torch.testing.assert_close(table.joints_hand[mine[0]], batch["joints_hand"][i], atol=1e-5, rtol=0)


def test_scaling_moves_the_surface_away_from_the_palm_in_proportion(stub_source: Any, tiny: PrepareConfig) -> None:
    source = stub_source()
    ball = prepare_object(source, source.objects()[0], replace(tiny, sdf_resolution=48), "k")
    T, spec = ball.grasps.T_object_hand[:3], GridSpec((0.09, 0.0, 0.03), 0.05, 5)
    scale = torch.tensor([0.8, 1.0, 1.3])
    grids = object_grids([ball.sdf] * 3, T, spec, scale).flatten(1)
    palm = transform_points(T, torch.tensor(PALM_CENTRE).expand(3, 1, 3))
    centre = palm[:, 0] * (1 - scale[:, None])
    points = transform_points(T, spec.points().expand(3, -1, -1))
    exact = (points - centre[:, None]).norm(dim=-1) - 0.03 * scale[:, None]
    near = exact.abs() < 0.03
    assert (grids - exact)[near].abs().max() < 0.002


def test_displacement_is_as_large_as_asked_and_about_the_palm() -> None:
    generator = torch.Generator().manual_seed(0)
    T = torch.eye(4).expand(4000, 4, 4)
    moved = displaced(T, Augmentation(rotation=0.1, translation=0.0), generator)
    palm = torch.tensor(PALM_CENTRE).expand(4000, 1, 3)
    torch.testing.assert_close(transform_points(moved, palm), palm, atol=1e-6, rtol=0)
    angle = torch.acos(((moved[:, 0, 0] + moved[:, 1, 1] + moved[:, 2, 2] - 1) / 2).clamp(-1, 1))
    assert angle.square().mean().sqrt().item() == pytest.approx(0.1 * 3**0.5, rel=0.05)
    shifted = displaced(T, Augmentation(rotation=0.0, translation=0.007), generator)[:, :3, 3]
    assert shifted.std(0).tolist() == pytest.approx([0.007] * 3, rel=0.06)


def test_augmented_joints_are_joints_of_a_hand(cache: Path) -> None:
    batch = next(iter(module(cache, angles=0.1).train_dataloader()))
    plain = next(iter(module(cache, **STILL).train_dataloader()))
    assert not torch.allclose(batch["joints_hand"], plain["joints_hand"], atol=1e-3)
    bones = (batch["joints_hand"][:, [1, 2, 3]] - batch["joints_hand"][:, [0, 1, 2]]).norm(dim=-1)
    torch.testing.assert_close(bones, bones[:1].expand_as(bones), atol=1e-5, rtol=0)


def test_no_object_is_in_both_splits(cache: Path) -> None:
    data = module(cache, val_fraction=0.4)
    assert data.train_maker is not None and data.val_maker is not None
    train, val = ({o.key for o in maker.table.objects} for maker in (data.train_maker, data.val_maker))
    assert len(val) == 4 and len(train) == 6 and not train & val


def test_the_split_depends_on_names_alone() -> None:
    keys = [f"myodm-{i}" for i in range(40)]
    assert held_out(keys, 0.1) == held_out(keys[::-1], 0.1)
    assert len(held_out(keys, 0.1)) == 4 and held_out(keys, 0.1) < held_out(keys, 0.3)


def test_the_same_seed_gives_the_same_batches_and_each_epoch_new_ones(cache: Path) -> None:
    first, again, other = (module(cache, seed=seed).train_dataloader() for seed in (3, 3, 4))
    epochs = [[b["object_sdf"] for b in loader] for loader in (first, again, other)]
    assert all(torch.equal(a, b) for a, b in zip(epochs[0], epochs[1], strict=True))
    assert not torch.equal(epochs[0][0], epochs[2][0]) and not torch.equal(epochs[0][0], epochs[0][1])
    assert not torch.equal(next(iter(first))["object_sdf"], epochs[0][0]), "the next epoch"


def test_validation_batches_never_change(cache: Path) -> None:
    loader = module(cache, val_fraction=0.3).val_dataloader()
    for a, b in zip(list(loader), list(loader), strict=True):
        assert all(torch.equal(a[k], b[k]) for k in a)


def test_draws_follow_the_weights(cache: Path) -> None:
    data = module(cache, recorded_fraction=0.25, source_weights={"other": 3.0}, val_fraction=0.0)
    assert data.train_maker is not None
    table = data.train_maker.table
    drawn = table.draw(40_000, torch.Generator().manual_seed(0))
    assert table.recorded[drawn].float().mean().item() == pytest.approx(0.25, abs=0.01)
    owner = table.object_index[drawn]
    source = torch.tensor([o.source == "other" for o in table.objects])
    assert source[owner].float().mean().item() == pytest.approx(0.75, abs=0.01)
    for name in ("other", "stub"):
        mine = [i for i, o in enumerate(table.objects) if o.source == name]
        share = torch.tensor([(owner == i).float().mean() for i in mine])
        assert (share / share.mean() - 1).abs().max() < 0.12, "objects of a source are drawn alike"


def test_recorded_only_and_a_source_left_out(cache: Path) -> None:
    data = module(cache, recorded_fraction=1.0, source_weights={"stub": 0.0}, val_fraction=0.0)
    assert data.train_maker is not None
    assert {o.source for o in data.train_maker.table.objects} == {"other"}
    assert all(batch["recorded"].all() for batch in data.train_dataloader())


def test_text_features_belong_to_their_grasp(cache: Path) -> None:
    data = module(cache)
    assert data.train_maker is not None
    table = data.train_maker.table
    index = torch.arange(0, len(table), 5)
    batch = data.train_maker(index)
    for i, k in enumerate(index.tolist()):
        assert batch["text"][i, 0, 0] == len(table.sentences[table.text_id[k]])
        assert batch["generic_text"][i, 0, 0] == len(GENERIC_TEXT)


def test_what_was_up_is_seen_from_the_hand(cache: Path) -> None:
    data = module(cache, **STILL)
    assert data.train_maker is not None
    table = data.train_maker.table
    table.up_object[:] = 0
    table.up_object[::2] = torch.tensor([0.0, 0.6, 0.8])
    batch = data.train_maker(torch.arange(len(table)))
    assert torch.equal(batch["up_known"], torch.arange(len(table)) % 2 == 0)
    back = torch.einsum("bij,bj->bi", batch["T_object_hand"][:, :3, :3], batch["up_hand"])
    torch.testing.assert_close(back, table.up_object, atol=1e-6, rtol=0)


def test_text_is_encoded_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(cache)

    def refuse(name: str) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr("hoprior.datasets.samples.text_features.load_text_encoder", refuse)
    module(cache)


def test_text_features_of_other_weights_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Weighted(WordFeatures):
        def __init__(self, path: Path) -> None:
            super().__init__()
            self.scale = float(path.read_text())

        def encode(self, texts: Any) -> torch.Tensor:
            return self.scale * super().encode(texts)

    weights = tmp_path / "clip.pt"
    name = "open_clip/ViT-L-14/openai"
    monkeypatch.setattr("hoprior.datasets.samples.text_features.load_text_encoder", lambda name: Weighted(weights))
    found = []
    for scale in ("1", "1", "2.0", "2.0"):
        if not weights.exists() or weights.read_text() != scale:
            weights.write_text(scale)
        monkeypatch.setenv("HOPRIOR_CLIP_CHECKPOINT", str(weights))
        found.append(text_features(tmp_path, ["a mug", "a cup"], name))
    assert torch.equal(found[0], found[1]) and torch.equal(2 * found[0], found[2]) and torch.equal(found[2], found[3])
    assert caplog.text.count("encoded anew, because the text encoder's weights differ") == 1


def test_damaged_text_features_are_made_again(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    module(cache)
    assert not caplog.records
    path = cache / "text-minilm.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:30])
    module(cache)
    assert path.read_bytes() == good
    assert "text-minilm.safetensors: cannot be read" in caplog.text and "encoded anew" in caplog.text


def test_a_missing_cache_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(HopriorError, match="hoprior data prepare"):
        GraspDataModule(tmp_path).setup()


def test_nothing_to_draw_is_a_clear_error(stub_source: Any, tiny: PrepareConfig) -> None:
    source = stub_source()
    shard = prepare_object(source, source.objects()[0], replace(tiny, background=replace(tiny.background, num=0)), "k")
    with pytest.raises(HopriorError, match="nothing to draw"):
        GraspTable([shard], recorded_fraction=0.0)
    with pytest.raises(HopriorError, match="mix weights"):
        GraspTable([shard], source_weights={"grab": 1.0})


def test_a_batch_of_64_is_made_in_time(cache: Path, torch_threads: Callable[[int], None]) -> None:
    data = module(cache, batch_size=64, grid_resolution=32, batches_per_epoch=4)
    torch_threads(1)
    spent = []
    start = time.process_time()
    for _ in data.train_dataloader():
        spent.append(time.process_time() - start)
        start = time.process_time()
    assert min(spent) < 0.3, "seconds of one core's time"


def test_a_resumed_training_has_the_batches_of_an_uninterrupted_one(cache: Path, tmp_path: Path) -> None:
    assert_resumes(lambda: module(cache, batches_per_epoch=EPOCH), tmp_path)


def test_without_a_trainer_epochs_count_themselves() -> None:
    sampler = EpochOffsetSampler(3)
    assert [list(sampler), list(sampler)] == [[0, 1, 2], [3, 4, 5]] and len(sampler) == 3
    sampler.set_epoch(7)
    assert list(sampler) == [21, 22, 23]


def test_processes_that_train_together_share_the_batches_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    shares = []
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        sampler = EpochOffsetSampler(4)
        shares.append([*sampler, *sampler])
    assert shares == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_a_validation_on_training_objects_says_so(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    module(cache, val_fraction=0.3)
    assert not caplog.records
    module(cache, val_fraction=0.01)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "no object is held out at a val_fraction of 0.01, so validation is on the training" in record.getMessage()
