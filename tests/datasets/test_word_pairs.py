"""Pairs of sentences for the prior of words: each fits its grasp, or another of the same object, put alike."""

from dataclasses import replace
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest
import torch
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from resumed_training import EPOCH, assert_resumes

from hoprior.datasets.samples.cache import read_index, read_shard, write_shard
from hoprior.datasets.samples.grids import PrepareConfig, prepare_all
from hoprior.datasets.samples.sample import ObjectInfo
from hoprior.datasets.synthetic.objects import Graspable
from hoprior.datasets.training.labelled_placements import Parts, nearness_of_parts, placed
from hoprior.datasets.training.word_pairs import OTHERS, WordPairsModule
from hoprior.errors import HopriorError
from hoprior.geometry.state import transform_points
from hoprior.hand import load_hand
from hoprior.language.captions import SAYINGS, sayings
from hoprior.language.labels import GraspLabel
from hoprior.language.taxonomy import TAXONOMY


@given(
    st.sampled_from(["mug", "scissors", "large cube"]),
    st.sampled_from(["", "handle", "blades"]),
    st.sampled_from([0, *(kind.number for kind in TAXONOMY)]),
    st.sampled_from(["", "use", "move"]),
)
def test_sayings_are_as_many_and_say_what_is_known(category: str, part: str, kind: int, intention: str) -> None:
    said = sayings(category, GraspLabel(kind, part, intention), "a hand at rest")
    assert len(said) == SAYINGS and not any("{" in text for text in said)
    assert bool(part) == any(f"the {part}" in text for text in said if part)
    assert ("a hand at rest" in said) and (len(set(said)) > 1) == bool(part or kind or intention)


def test_short_words_are_put_as_people_type_them() -> None:
    said = sayings("mug", GraspLabel(14, "handle", "use"), "a hand drinking from a mug")
    assert "a hand holding by the handle" in said
    assert "a hand holding a tripod grasp" in said
    assert "a hand using a mug by the handle" in said
    assert "a hand drinking from a mug" in said


class Letters:
    """Stands in for a text encoder: how often each of some letters stands in a text."""

    name, dim = "minilm", 26

    def encode(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([[[float(text.count(letter)) for letter in ascii_lowercase]] for text in texts])


@pytest.fixture
def cache(tmp_path: Path, stub_source: Any, tiny: PrepareConfig, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Objects whose grasps are by turns of two kinds."""
    monkeypatch.setattr("hoprior.datasets.samples.text_features.load_text_encoder", lambda name: Letters())
    prepare_all([stub_source()], tmp_path, tiny)
    labels = (GraspLabel(14, "handle", "use"), GraspLabel(1, "body", "hold"), GraspLabel())
    for entry in read_index(tmp_path):
        shard = read_shard(tmp_path / entry["file"])
        label_id = torch.where(shard.grasps.recorded, torch.arange(len(shard.grasps)) % 2, 2)
        write_shard(tmp_path, replace(shard, grasps=replace(shard.grasps, labels=labels, label_id=label_id)))
    return tmp_path


def test_pairs_fit_and_miss(cache: Path) -> None:
    module = WordPairsModule(cache, batch_size=64, val_fraction=0.0, grid_resolution=8)
    module.setup()
    pairs = module.train_batches
    assert pairs is not None
    batch = pairs[0]
    assert batch["text"].shape == (64, 1, 26) and batch["other_texts"].shape == (64, OTHERS, 1, 26)
    assert batch["recorded"].all() and batch["object_sdf"].shape == (64, 1, 8, 8, 8)
    same = (batch["text"][:, None] == batch["other_texts"]).flatten(2).all(2).float().mean()
    assert 0.4 < same < 0.6  # the other grasp is drawn evenly from an object whose grasps are of two kinds
    again = pairs[0]
    assert torch.equal(batch["text"], again["text"]) and torch.equal(batch["object_sdf"], again["object_sdf"])
    assert not torch.equal(batch["text"], pairs[1]["text"])


def test_objects_held_out_are_in_no_training_batch(cache: Path) -> None:
    module = WordPairsModule(cache, val_fraction=0.34, grid_resolution=8)
    module.setup()
    assert module.train_batches is not None and module.val_batches_of is not None
    train, val = ({info.key for info in pairs.table.objects} for pairs in (module.train_batches, module.val_batches_of))
    assert len(train) == 2 and len(val) == 1 and not train & val


def test_no_source_is_left(cache: Path) -> None:
    with pytest.raises(HopriorError, match="source_weights leave none"):
        WordPairsModule(cache, source_weights={"stub": 0.0}).setup()


def dumbbell() -> Graspable:
    """Two balls: "left" is the one with x < 0."""
    balls = (trimesh.creation.icosphere(2, radius=0.03).apply_translation((x, 0, 0)) for x in (-0.1, 0.1))
    mesh = trimesh.util.concatenate(list(balls))
    side = (mesh.triangles_center[:, 0] > 0).astype(int)
    info = ObjectInfo("dumbbell_0", "dumbbell", "parts", "CC0", "made-up", "a hand holding a dumbbell")
    names = ("left", "right")
    return Graspable(info, mesh, side, names, mesh, None, (), (), (0.1, 0.3), True, lambda rule: None)


def test_placements_are_at_the_part_of_their_label() -> None:
    hand = load_hand()
    grasps = placed(dumbbell(), 40, hand, seed=0)
    assert grasps is not None and not grasps.recorded.any()
    middle = transform_points(grasps.T_object_hand, torch.tensor([[0.09, 0.0, 0.03]]).expand(len(grasps), 1, 3))[
        :, 0, 0
    ]
    right = torch.tensor([sample.label.part == "right" for sample in grasps])
    assert len(grasps) == 40 and 10 < right.sum() < 30
    assert ((middle > 0) == right).float().mean() > 0.95
    again = placed(dumbbell(), 40, hand, seed=0)
    assert again is not None and torch.equal(again.T_object_hand, grasps.T_object_hand)


def test_between_parts_the_label_is_either() -> None:
    """A rod whose halves are two parts: labels are sure at its ends and mixed at its middle."""
    rod = trimesh.creation.cylinder(radius=0.012, height=0.4, sections=16).subdivide().subdivide().subdivide()
    halves = (rod.triangles_center[:, 2] > 0).astype(int)
    thing = replace(dumbbell(), mesh=rod, solid=rod, face_part=halves)
    hand = load_hand()
    grasps = placed(thing, 1500, hand, seed=0)
    assert grasps is not None
    near = nearness_of_parts(thing, grasps.T_object_hand, hand)
    up = torch.tensor([sample.label.part == "right" for sample in grasps]).double()
    share = near[:, 1] / near.sum(dim=1)
    assert up[share < 0.1].mean() < 0.05 and up[share > 0.9].mean() > 0.95
    assert 0.3 < up[(share - 0.5).abs() < 0.15].mean() < 0.7


def test_an_object_of_one_part_has_no_placements_to_tell_apart() -> None:
    thing = replace(dumbbell(), part_names=("body",))
    assert placed(thing, 40, load_hand(), seed=0) is None


def test_placements_are_told_apart_from_placements(cache: Path) -> None:
    """Labelled placements join the batches; other background grasps, which have no words, never do."""
    for entry in read_index(cache):
        shard = read_shard(cache / entry["file"])
        grasps = shard.grasps
        labels = (*grasps.labels, GraspLabel(part="rim"))
        ids = grasps.tensors()["label_id"].clone()
        first = (~grasps.recorded).nonzero()[0, 0]
        ids[first] = len(labels) - 1
        write_shard(cache, replace(shard, grasps=replace(grasps, labels=labels, label_id=ids)))
    module = WordPairsModule(cache, batch_size=64, val_fraction=0.0, grid_resolution=8)
    module.setup()
    assert module.train_batches is not None
    batch = module.train_batches[0]
    share = batch["recorded"].float().mean()
    assert 0.3 < share < 0.9
    alone = ~batch["recorded"]
    assert (batch["other_texts"][alone] == batch["text"][alone][:, None]).all()  # one an object: its own words


def test_parts_of_families_fill_a_cache(tmp_path: Path, tiny: PrepareConfig) -> None:
    source = Parts(3, placements=12)
    prepare_all([source], tmp_path, tiny)
    for entry in read_index(tmp_path):
        grasps = read_shard(tmp_path / entry["file"]).grasps
        placements = [sample for sample in grasps if sample.label.part]
        assert placements and not any(sample.recorded for sample in placements)
        assert all(sample.text.endswith(f"by the {sample.label.part}") for sample in placements)
    assert {entry["source"] for entry in read_index(tmp_path)} == {"parts"}


def test_a_resumed_training_has_the_batches_of_an_uninterrupted_one(cache: Path, tmp_path: Path) -> None:
    assert_resumes(lambda: WordPairsModule(cache, batch_size=4, grid_resolution=4, batches_per_epoch=EPOCH), tmp_path)


def test_a_validation_on_training_objects_says_so(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    module = WordPairsModule(cache, val_fraction=0.01, grid_resolution=4)
    module.setup()
    assert "no object is held out at a val_fraction of 0.01" in caplog.text
    # These are not varied, no more than others are: losses of one epoch and the next can be compared.
    assert all(bool((batch["scale"] == 1).all()) for batch in module.val_dataloader())
