"""Preparation of a dataset into shards, and training batches that stream from them."""

import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from made_up_mano import made_up_mano, write_as_published, write_mano_folder
from recording_layouts import LAYOUTS, write_contactpose, write_dexycb, write_folder, write_grab
from recording_scenes import make_scene
from resumed_training import EPOCH, assert_resumes
from two_nodes import STARTED, TWO_NODES
from two_nodes import environment as of_cluster

from hoprior.cli.entry import main
from hoprior.common.jobs import run_jobs
from hoprior.datasets.recordings.hands import Hands
from hoprior.datasets.recordings.registry import open_dataset
from hoprior.datasets.recordings.source import Recorded, _restored
from hoprior.datasets.samples.background import BackgroundConfig
from hoprior.datasets.samples.cache import read_index, read_shard
from hoprior.datasets.samples.grids import PrepareConfig, prepare
from hoprior.datasets.streaming import pack as packing
from hoprior.datasets.streaming.datamodule import StreamedGrasps, opened
from hoprior.datasets.streaming.items import MEMBER, STEP, StreamSpec, decoded, encoded
from hoprior.datasets.streaming.pack import PackConfig, damaged_shards, pack, plan, read_manifest
from hoprior.datasets.training.datamodule import BatchMaker, object_grids
from hoprior.datasets.training.grasp_table import GraspTable
from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import load_hand
from hoprior.hand.pose import mirror_points

pytest.importorskip("webdataset")
REPOSITORY = Path(__file__).resolve().parents[2]


def hasty_background(num: int) -> BackgroundConfig:
    """Grasps that need not be good."""
    return BackgroundConfig(num=num, steps=2, batch=2)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HOPRIOR_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def mano(tmp_path_factory):
    return write_mano_folder(tmp_path_factory.mktemp("mano"))


@pytest.fixture(scope="module")
def dexycb(mano, tmp_path_factory):
    """A copy of DexYCB with one sequence, and its shards."""
    root = tmp_path_factory.mktemp("dexycb")
    scene = make_scene(Hands(mano), num=8)
    (root / "data").mkdir()
    write_dexycb(root / "data", scene)
    arguments = ["data", "prepare", "dexycb", str(root / "data"), "--out", str(root / "shards")]
    with mock.patch("hoprior.cli.data_prepare_recorded.BackgroundConfig", hasty_background):
        assert main([*arguments, "--mano-dir", str(mano), "--background", "4"]) == 0
    return root / "data", root / "shards", scene


def test_the_manifest_says_what_is_there_and_what_is_not(dexycb):
    _, shards, _ = dexycb
    manifest = read_manifest(shards)
    assert manifest["dataset"] == "dexycb" and manifest["protocol"] == "s1" and manifest["split"] == "train"
    assert manifest["licence"].startswith("CC BY-NC 4.0")
    assert manifest["categories"] == {"mug": 8} and manifest["objects"] == ["dexycb-025_mug"]
    assert manifest["items"] == sum(e["items"] for e in manifest["shards"]) > 8
    assert manifest["frames"]["kept"] == 8 and manifest["frames"]["skipped"] == {"no hand in the frame": 1}
    assert damaged_shards(shards) == []


def test_what_goes_in_comes_out(dexycb):
    """Joints and pose exactly; distances to a quarter of a millimetre where the crop has a point."""
    _, shards, _ = dexycb
    (entry,) = read_index(shards / "cache")
    shard = read_shard(shards / "cache" / entry["file"])
    spec = StreamSpec()
    rows = list(range(len(shard.grasps)))
    for row, item in zip(rows, encoded(shard, rows, spec), strict=True):
        grasp = decoded(*item)
        for name in ("joints_hand", "T_object_hand", "angles", "betas", "up_object"):
            assert torch.equal(grasp.tensors[name], shard.grasps.tensors()[name][row])
        truth = object_grids([shard.sdf], shard.grasps.T_object_hand[[row]], spec.grid)[0, 0]
        near = truth.abs() < 0.06
        assert (grasp.crop.values - truth)[near].abs().max() <= STEP / 2 + 1e-6
        assert (grasp.category, grasp.recorded) == ("mug", bool(shard.grasps.recorded[row]))


def test_hands_are_where_the_recording_has_them(dexycb):
    """From the dataset's files through the cache: the open hand's joints lie on the recorded ones."""
    _, shards, scene = dexycb
    (entry,) = read_index(shards / "cache")
    grasps = read_shard(shards / "cache" / entry["file"]).grasps
    recorded = grasps.joints_object[grasps.recorded]
    for frame in scene.frames:
        assert float((recorded - frame.joints_object).norm(dim=-1).mean(1).min()) < 0.012


def test_left_hands_are_mirrored_with_their_object(mano, tmp_path):
    scene = make_scene(Hands(mano), side="left", num=3, personal=True, betas=False)
    write_grab(tmp_path / "grab", scene)
    source = Recorded("grab", tmp_path / "grab", None, mano_dir=mano)
    names = [info.name for info in source.objects()]
    assert names == ["mug", "mug~left"]
    info = source.objects()[1]
    bounds = scene.mesh.bounds
    assert source.mesh(info).bounds[:, 1] == pytest.approx([-bounds[1, 1], -bounds[0, 1]], abs=1e-4)
    mesh = source.mesh(info)
    grasps = source.grasps(info, mesh, SdfGrid.from_mesh(mesh, 32, 0.06), load_hand("open"))
    assert len(grasps) == 3
    for frame in scene.frames:
        wanted = mirror_points(frame.joints_object)
        assert float((grasps.joints_object - wanted).norm(dim=-1).mean(1).min()) < 0.015
    assert torch.allclose(grasps.up_object.norm(dim=1), torch.ones(3), atol=1e-5)


def loaded(shards, **settings):
    chosen = {"batch_size": 6, "batches_per_epoch": 3, "grid_resolution": 12, "grid_half_extent": 0.12, "buffer": 20}
    data = StreamedGrasps(shards, **(chosen | settings))
    data.setup()
    return data


def test_batches_have_the_keys_and_shapes_of_the_caches(dexycb):
    _, shards, _ = dexycb
    (entry,) = read_index(shards / "cache")
    table = GraspTable([read_shard(shards / "cache" / entry["file"])])
    spec = GridSpec((0.09, 0.0, 0.03), 0.12, 12)
    text = torch.zeros(len(table.sentences), 1, 384)
    wanted = BatchMaker(table, spec, text, load_hand("open"))(torch.arange(6))
    data = loaded(shards, recorded_fraction=0.5)
    batches = list(data.train_dataloader())
    assert len(batches) == 3
    for batch in batches:
        assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {k: (v.shape, v.dtype) for k, v in wanted.items()}
    assert {bool(r) for batch in batches for r in batch["recorded"]} == {True, False}
    assert not torch.equal(batches[0]["object_sdf"], batches[1]["object_sdf"])


def test_without_augmentation_grids_are_the_caches(dexycb):
    """The crop's cells are finer than nothing: distances agree to what 9 mm cells allow."""
    _, shards, _ = dexycb
    (entry,) = read_index(shards / "cache")
    shard = read_shard(shards / "cache" / entry["file"])
    data = loaded(shards, rotation=0.0, translation=0.0, scale=(1.0, 1.0), angles=0.0)
    batch = next(iter(data.train_dataloader()))
    truth = object_grids([shard.sdf] * 6, batch["T_object_hand"], data.spec)
    near = truth.abs() < 0.04
    error = (batch["object_sdf"] - truth)[near].abs()
    assert float(error.mean()) < 0.001 and float(error.max()) < 0.008


def test_classes_are_balanced_and_sentences_replaced(dexycb, tmp_path):
    _, shards, _ = dexycb
    (entry,) = read_index(shards / "cache")
    ((key, _),) = encoded(read_shard(shards / "cache" / entry["file"]), [0], StreamSpec())
    (tmp_path / "better.json").write_text(json.dumps({key: "a right hand holding a mug by its body"}))
    mixture = f"root: {shards.parent}\nsentences: {tmp_path / 'better.json'}\ndatasets:\n  dexycb: {{shards: shards}}\n"
    (tmp_path / "mix.yaml").write_text(mixture)
    data = StreamedGrasps(mixture=tmp_path / "mix.yaml", batch_size=40, batches_per_epoch=1, grid_resolution=6)
    data.setup()
    texts = data.train_stream.build.text
    better = texts["a right hand holding a mug by its body"]
    batch = next(iter(data.train_dataloader()))
    assert 0 < int((batch["text"] == better).all(dim=(1, 2)).sum()) < 40


@pytest.mark.parametrize(
    ("part", "held"),
    [
        (
            "dexycb: {shards: shards, protocol: s3}",
            "'train' by 's1' of dexycb, the mixture asks for the split 'train' by 's3'",
        ),
        (
            "dexycb: {shards: shards, split: test}",
            "'train' by 's1' of dexycb, the mixture asks for the split 'test' by 's1'",
        ),
        ("grab: {shards: shards}", "of dexycb, the mixture asks for the split 'train' by 'objects' of grab"),
    ],
)
def test_a_mixture_gets_the_split_that_it_asks_for(dexycb, tmp_path, part, held):
    (tmp_path / "mix.yaml").write_text(f"root: {dexycb[1].parent}\ndatasets:\n  {part}\n")
    with pytest.raises(HopriorError, match=rf"shards: holds the split .*{held}"):
        StreamedGrasps(mixture=tmp_path / "mix.yaml").setup()


def items_of(shards):
    """What the recorded items of a set say."""
    urls = [str(shards / e["file"]) for e in read_manifest(shards)["shards"] if e["recorded"]]
    return [decoded(i["__key__"], i[MEMBER]) for i in opened(urls, repeat=False, buffer=0, seed=0)]


def test_sentences_of_a_model_come_into_the_shards(dexycb, mano, tmp_path, capsys):
    """What is known of the kept frames goes to `hoprior describe`, and what that writes into the items."""
    data, shards, scene = dexycb
    labels = json.loads((shards / "labels.json").read_text())
    assert len(labels) == 8
    key, label = next(iter(labels.items()))
    frame = scene.frames[int(key.rsplit("/", 1)[1])]
    assert label["object_category"] == "mug" and Path(label["image"]).is_file()
    left, top, right, bottom = label["hand_box"]
    x, y, z = frame.joints.T
    u, v = 600 * x / z + 320, 600 * y / z + 240
    # The box has some flesh around the joints, and none is outside of the picture.
    assert 0 <= left < float(u.min()) and float(u.max()) < right <= 640
    assert 0 <= top < float(v.min()) and float(v.max()) < bottom <= 480
    assert label["object_box"][0] < label["object_box"][2]
    more = {name: item | {"intention": "to drink"} for name, item in labels.items() if name != key}
    (tmp_path / "labels.json").write_text(json.dumps(more))
    described, out = str(tmp_path / "described.json"), tmp_path / "out"
    assert main(["describe", "--labels", str(tmp_path / "labels.json"), "--out", described]) == 0
    arguments = ["data", "prepare", "dexycb", str(data), "--out", str(out), "--mano-dir", str(mano)]
    assert main([*arguments, "--sentences", described]) == 0
    assert "sentences: 7 of 8 recorded grasps have one" in " ".join(capsys.readouterr().out.split())
    texts = [item.text for item in items_of(out)]
    assert len(texts) == 8 and sum(text.endswith("mug to drink.") for text in texts) == 7
    assert read_manifest(out)["frames"]["described"] == 7
    assert main([*arguments, "--sentences", described]) == 0
    assert main(arguments) == 0, "without the file, the template's words come back"
    assert not any("to drink" in text for text in read_manifest(out)["sentences"])


def test_sentences_of_something_else_are_refused(dexycb, mano, tmp_path, capsys):
    (tmp_path / "other.json").write_text(json.dumps({"photo.jpg": "A right hand holding a mug."}))
    arguments = ["data", "prepare", "dexycb", str(dexycb[0]), "--out", str(tmp_path / "out"), "--mano-dir", str(mano)]
    assert main([*arguments, "--sentences", str(tmp_path / "other.json")]) == 2
    assert "none of its 1 names is a frame of dexycb, the first is 'photo.jpg'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["hograspnet", "hoi4d", "grab", "ho3d_v2", "contactpose"])
def test_every_grasp_has_the_words_of_its_affordance(mano, tmp_path, name):
    """Kind of grasp, purpose and object, as far as a dataset tells them; different wordings in turn."""
    root, out = tmp_path / name, tmp_path / "out"
    layout = LAYOUTS[name]
    layout.write(root, make_scene(Hands(mano), num=6, **(layout.scene or {})))
    arguments = ["data", "prepare", name, str(root), "--out", str(out), "--split", "all", "--mano-dir", str(mano)]
    assert main(arguments) == 0
    texts = {item.text for item in items_of(out)}
    words = {
        "hograspnet": "precision sphere grasp",
        "hoi4d": "pouring from",
        "grab": "drinking from",
        "contactpose": "mug",
        "ho3d_v2": "mug",
    }
    assert len(texts) > 1 and all(words[name] in text.lower() for text in texts)


def test_shards_or_a_mixture(tmp_path):
    with pytest.raises(HopriorError, match="give either shards"):
        StreamedGrasps()
    with pytest.raises(HopriorError, match=r"manifest\.json: not there; `hoprior data prepare NAME ROOT"):
        StreamedGrasps(tmp_path).setup()


@pytest.mark.parametrize("mixed", [False, True])
def test_fit_streams(dexycb, tmp_path, capsys, mixed):
    """The command trains a prior from shards alone, or from a mixture of such."""
    (tmp_path / "mix.yaml").write_text(f"root: {dexycb[1].parent}\ndatasets:\n  dexycb: {{shards: shards}}\n")
    source = {"mixture": str(tmp_path / "mix.yaml")} if mixed else {"shards": str(dexycb[1])}
    config = {
        "model": {
            "class_path": "hoprior.models.contrastive.ContrastivePrior",
            "init_args": {"resolution": 8, "width": 8, "members": 1, "warmup_steps": 1},
        },
        "data": {
            "class_path": "hoprior.datasets.streaming.datamodule.StreamedGrasps",
            "init_args": source | {"batch_size": 8, "batches_per_epoch": 2, "recorded_fraction": 0.5},
        },
        "trainer": {"max_steps": 2, "accelerator": "cpu", "enable_progress_bar": False, "limit_val_batches": 0},
    }
    (tmp_path / "fit.yaml").write_text(json.dumps(config))
    assert main(["fit", "--config", str(tmp_path / "fit.yaml"), "--out", str(tmp_path / "run")]) == 0, (
        capsys.readouterr()
    )
    assert (tmp_path / "run" / "last.ckpt").is_file()


# ---- Killed, damaged, on several machines ----


def test_a_second_run_makes_nothing_again_and_a_damaged_shard_is_made_anew(dexycb, mano, tmp_path):
    shards = tmp_path / "copy"
    shutil.copytree(dexycb[1], shards)
    whole = {path.name: path.read_bytes() for path in (shards / "shards").glob("*.tar")}
    config = PackConfig()
    assert [step.reused for step in pack(shards / "cache", shards, config)] == [True, True]
    first = sorted((shards / "shards").glob("*.tar"))[0]
    first.write_bytes(first.read_bytes()[:1000])
    assert damaged_shards(shards) == [f"shards/{first.name}"]
    with pytest.raises(HopriorError, match="shards: a shard cannot be read"):
        list(loaded(shards, recorded_fraction=0.5).train_dataloader())
    assert sorted(step.reused for step in pack(shards / "cache", shards, config)) == [False, True]
    assert {path.name: path.read_bytes() for path in (shards / "shards").glob("*.tar")} == whole


def test_an_unfinished_set_has_no_manifest(dexycb, tmp_path, monkeypatch):
    shards = tmp_path / "copy"
    shutil.copytree(dexycb[1] / "cache", shards / "cache")
    made = packing.pack_group
    monkeypatch.setattr(packing, "pack_group", lambda *job: made(*job) if "background" in job[2].name else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(pack(shards / "cache", shards))
    with pytest.raises(HopriorError, match="not there"):
        read_manifest(shards)
    monkeypatch.undo()
    list(pack(shards / "cache", shards))
    assert damaged_shards(shards) == []


def test_one_bad_object_among_others_is_left_out_by_name(mano, tmp_path):
    root = tmp_path / "contactpose"
    write_contactpose(root, make_scene(Hands(mano), num=3, pca_components=15))
    other = root / "contactpose_data" / "full9_use" / "bowl"
    shutil.copytree(root / "contactpose_data" / "full1_handoff" / "mug", other)
    (other / "mug.ply").rename(other / "bowl.ply")
    (other / "bowl.ply").write_bytes(b"ply\nbroken")
    source = Recorded("contactpose", root, mano_dir=mano, notes=tmp_path / "notes")
    config = PrepareConfig(sdf_resolution=16, background=BackgroundConfig(num=0))
    steps = {step.object_key: step.skipped for step in prepare([source], tmp_path / "cache2", config)}
    assert steps["contactpose-mug"] == "" and "bowl.ply: is cut short" in steps["contactpose-bowl"]
    assert [entry["object"] for entry in read_index(tmp_path / "cache2")] == ["contactpose-mug"]


def test_files_are_named_by_what_is_in_them_not_by_where_they_go(dexycb, mano, tmp_path):
    sources = [Recorded("dexycb", dexycb[0], mano_dir=mano, notes=tmp_path / name) for name in ("one", "two")]
    assert len({source.fingerprint(source.objects()[0]) for source in sources}) == 1


def test_frames_added_since_are_seen(mano, tmp_path):
    """Deep in the folder, where the kept index does not look."""
    root, out = tmp_path / "dexycb", tmp_path / "shards"
    root.mkdir()
    write_dexycb(root, make_scene(Hands(mano), num=3))
    labels = sorted(root.glob("2020*/*/*/labels_*.npz"))
    held_back = labels[2].read_bytes()
    labels[2].unlink()
    arguments = ["data", "prepare", "dexycb", str(root), "--out", str(out), "--mano-dir", str(mano)]
    assert main(arguments) == 0 and read_manifest(out)["frames"]["kept"] == 2
    labels[2].write_bytes(held_back)
    assert main(arguments) == 0 and read_manifest(out)["frames"]["kept"] == 3


def prepared(root, out, mano, *options):
    arguments = ["data", "prepare", "dexycb", str(root), "--out", str(out), "--mano-dir", str(mano), *options]
    assert main(arguments) == 0
    (entry,) = read_index(out / "cache")
    return read_shard(out / "cache" / entry["file"]).grasps


def test_what_changed_since_is_prepared_anew_and_said(mano, tmp_path, capsys):
    root, out, models = tmp_path / "dexycb", tmp_path / "shards", tmp_path / "models"
    root.mkdir()
    shutil.copytree(mano, models)
    write_dexycb(root, make_scene(Hands(mano), num=3))
    first = prepared(root, out, models)
    assert "resumed" not in (said := capsys.readouterr().out) and "anew" not in said
    assert torch.equal(prepared(root, out, models).joints_hand, first.joints_hand)
    said = capsys.readouterr().out
    assert "resumed: 1 of 1 objects are there" in said and "resumed: 1 of 1 groups of shards are there" in said
    # An annotation that was mended in its place: same name, same folder.
    label = min(root.glob("2020*/*/*/labels_*.npz"))
    with np.load(label) as data:
        content = dict(data)
    np.savez_compressed(label, **{**content, "pose_y": content["pose_y"] + 0.001 * (np.arange(4) == 3)})
    moved = prepared(root, out, models)
    assert not torch.equal(moved.T_object_hand, first.T_object_hand)
    assert "started anew, because the data differ" in capsys.readouterr().out
    # Other MANO files in the same folder.
    arrays = made_up_mano()
    write_as_published(arrays | {"shapedirs": 2 * arrays["shapedirs"]}, models / "MANO_RIGHT.pkl")
    prepared(root, out, models)
    assert "started anew, because the data differ" in capsys.readouterr().out
    prepared(root, out, models, "--seed", "1")
    said = capsys.readouterr().out
    assert said.count("started anew, because the seed") == 2


def test_a_preparation_counts_its_own_frames_alone(mano, tmp_path):
    """Not those that an earlier one of other settings has left out or kept in the same folder."""
    root, out = tmp_path / "dexycb", tmp_path / "shards"
    root.mkdir()
    write_dexycb(root, make_scene(Hands(mano), num=4))
    counts = []
    for frames in (4, 2, 4):
        prepared(root, out, mano, "--frames", str(frames))
        labels = json.loads((out / "labels.json").read_text())
        counts.append((read_manifest(out)["frames"]["kept"], len(labels)))
    assert counts == [(4, 4), (2, 2), (4, 4)]


OPENED = []


@pytest.fixture(scope="module")
def files_opened():
    """What a function opens below a folder."""
    listening = []

    def hear(event, arguments):
        if listening and event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            OPENED.append(Path(os.fsdecode(arguments[0])))

    sys.addaudithook(hear)  # for as long as the process lives, so it hears only when it is told to

    def opened(function, root):
        OPENED.clear()
        listening.append(True)
        try:
            function()
        finally:
            listening.clear()
        return {path.resolve() for path in OPENED if path.resolve().is_relative_to(root.resolve()) and path.is_file()}

    return opened


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_every_file_that_a_frame_is_read_from_is_named(mano, tmp_path, files_opened, name):
    """Reading opens no annotation that `annotations` does not name: else a mended one would not be seen."""
    root, layout = tmp_path / "data", LAYOUTS[name]
    root.mkdir()
    layout.write(root, make_scene(Hands(mano), **{**(layout.scene or {}), "num": 2}), **layout.options[0])
    adapter = open_dataset(name, root, mano)
    listed = files_opened(lambda: [open_dataset(name, root, mano).index(refresh=True), adapter.indices("train")], root)
    read = files_opened(lambda: list(adapter.walk()), root)
    named = {path.resolve() for entry in adapter.index() for path in adapter.annotations(entry)}
    meshes = {path for path in read if path.suffix in (".obj", ".ply", ".mtl", ".stl")}
    # What objects are called is in the shards' keys as it is.
    names = {path for path in read if path.parent.name == "metaV2"}
    assert read - meshes - names - named <= listed
    assert named & (read | listed)


def test_a_machine_that_sees_other_frames_is_refused(mano, tmp_path):
    root = tmp_path / "dexycb"
    root.mkdir()
    write_dexycb(root, make_scene(Hands(mano), num=3))
    source = Recorded("dexycb", root, mano_dir=mano)
    sent = pickle.dumps(source)
    assert len(pickle.loads(sent).objects()) == 1
    assert pickle.loads(sent) is pickle.loads(sent), "all jobs of a process share what was opened"
    for path in root.glob("2020*/*/*/labels_000001.npz"):
        path.unlink()
    _restored.cache_clear()
    assert len(pickle.loads(sent).objects()) == 1, "the kept index is the one that was sent"
    _restored.cache_clear()
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(HopriorError, match=r"dexycb: this machine sees other frames there than the one that began"):
        pickle.loads(sent).objects()


def test_groups_follow_from_the_cache_alone(dexycb):
    _, shards, _ = dexycb
    assert plan(shards / "cache", PackConfig()) == plan(shards / "cache", PackConfig())
    other = plan(shards / "cache", PackConfig(spec=StreamSpec(resolution=20)))
    assert {g.name for g in other}.isdisjoint({g.name for g in plan(shards / "cache", PackConfig())})


def test_a_cluster_that_is_not_there():
    pytest.importorskip("ray")
    with pytest.raises(HopriorError, match=r"no Ray cluster at '127\.0\.0\.1:1'.*start one with `ray start --head`"):
        list(run_jobs(len, [("a",)], cluster="127.0.0.1:1"))


@pytest.mark.slow
def test_workers_of_a_cluster_that_are_killed(tmp_path: Path) -> None:
    """Once: the job is done by another. Always: a sentence, and no job's result is another's."""
    pytest.importorskip("ray")
    script = """
import os, signal, sys
import ray
from pathlib import Path
from hoprior.common.jobs import run_jobs
from hoprior.errors import HopriorError

def dies_once(k, folder):
    mark = Path(folder) / str(k)
    if k == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return k * k

def dies(k):
    os.kill(os.getpid(), signal.SIGKILL)

ray.init("local", num_cpus=1, object_store_memory=100_000_000, include_dashboard=False, log_to_driver=False)
found = {job[0]: result for job, result in run_jobs(dies_once, [(k, sys.argv[1]) for k in range(3)], cluster="auto")}
print(found == {k: k * k for k in range(3)})
try:
    list(run_jobs(dies, [(0,)], cluster="auto"))
except HopriorError as error:
    print(error)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    # To files: what Ray starts lives on for a while and would keep a pipe open.
    with (tmp_path / "out").open("w+") as out, (tmp_path / "err").open("w+") as err:
        status = subprocess.run(command, env=of_cluster(), stdout=out, stderr=err, timeout=400).returncode
    assert status == 0, (tmp_path / "err").read_text()[-3000:]
    true, said = (line for line in (tmp_path / "out").read_text().splitlines() if "raylet" not in line)
    assert true == "True" and said.startswith("a worker of the cluster was ended from outside")


@pytest.mark.slow
def test_a_killed_command_goes_on_where_it_stopped(mano, tmp_path):
    """All its processes are killed in the middle; the same command then ends with what an undisturbed run makes."""
    root = tmp_path / "folder"
    for k in range(6):
        write_folder(tmp_path / f"part{k}", make_scene(Hands(mano), num=6, seed=k))
        for kind, suffix in (("grasps", "npz"), ("objects", "ply")):
            (root / kind).mkdir(parents=True, exist_ok=True)
            (tmp_path / f"part{k}" / kind / f"mug.{suffix}").rename(root / kind / f"mug{k}.{suffix}")
    call = "import sys; from hoprior.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["data", "prepare", "folder", str(root), "--split", "all", "--mano-dir", str(mano), "--out"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", call, *arguments, str(killed), "--workers", "2"]
    process = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list((killed / "cache").glob("*.safetensors"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    made = {path.name: path.stat().st_mtime_ns for path in (killed / "cache").glob("*.safetensors")}
    assert len(made) < 6 and not (killed / "manifest.json").exists()
    assert main([*arguments, str(killed)]) == 0 and main([*arguments, str(whole)]) == 0
    assert {name: (killed / "cache" / name).stat().st_mtime_ns for name in made} == made
    assert damaged_shards(killed) == []
    first, second = ({e["file"]: e["sha256"] for e in read_manifest(place)["shards"]} for place in (killed, whole))
    assert first == second


@pytest.mark.slow
def test_two_machines_share_the_work(dexycb, mano, tmp_path):
    """A local cluster of two nodes makes the same shards as one process."""
    pytest.importorskip("ray")
    script = f"""
import sys
import hoprior.cli.data_prepare_recorded
from hoprior.cli.entry import main
from hoprior.datasets.samples.background import BackgroundConfig
hoprior.cli.data_prepare_recorded.BackgroundConfig = lambda num: BackgroundConfig(num=num, steps=2, batch=2)
{TWO_NODES}
sys.exit(main(["data", "prepare", "dexycb", {str(dexycb[0])!r}, "--out", {str(tmp_path / "out")!r},
    "--mano-dir", {str(mano)!r}, "--background", "4", "--cluster", "auto"]))
"""
    result = subprocess.run(
        [sys.executable, "-c", script], env=of_cluster(), capture_output=True, text=True, timeout=500
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert STARTED in result.stdout
    assert damaged_shards(tmp_path / "out") == []
    first, second = ({e["sha256"] for e in read_manifest(place)["shards"]} for place in (dexycb[1], tmp_path / "out"))
    assert first == second


@pytest.mark.slow
def test_memory_is_flat_over_a_long_stream(dexycb):
    """Twenty times as many batches take no more memory."""
    data = loaded(dexycb[1], batch_size=32, batches_per_epoch=20)
    for _ in data.train_dataloader():
        pass
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        for _ in data.train_dataloader():
            pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_training_has_the_batches_of_an_uninterrupted_one(dexycb, tmp_path, workers):
    settings = {"batches_per_epoch": EPOCH, "batch_size": 2, "recorded_fraction": 0.5, "workers": workers}
    assert_resumes(lambda: loaded(dexycb[1], **settings), tmp_path)


def test_the_same_seed_streams_the_same_batches(dexycb):
    first, again, other = (loaded(dexycb[1], seed=seed).train_dataloader() for seed in (3, 3, 4))
    epochs = [[batch["T_object_hand"] for _ in range(2) for batch in loader] for loader in (first, again, other)]
    assert all(torch.equal(a, b) for a, b in zip(epochs[0], epochs[1], strict=True))
    assert not torch.equal(epochs[0][0], epochs[2][0]) and not torch.equal(epochs[0][0], epochs[0][3])


def test_a_stream_without_validation_says_so(dexycb, caplog):
    loaded(dexycb[1])
    assert "no shard of the split 'val', so there is no validation" in caplog.text
