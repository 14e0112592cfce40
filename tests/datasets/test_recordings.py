"""Every adapter on fixtures in its dataset's official layout: what goes in comes out, splits, damage, self-check."""

import contextlib
import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import torch
from made_up_mano import write_mano_folder
from open_layouts import LAYOUTS
from recording_layouts import dump, write_dexycb, write_ho3d
from recording_scenes import make_scene

from hoprior.cli.entry import main
from hoprior.datasets.recordings.adapter import FrameSkipped
from hoprior.datasets.recordings.check import check_dataset
from hoprior.datasets.recordings.hands import Hands
from hoprior.datasets.recordings.index import SPLITS
from hoprior.datasets.recordings.record import RecordedSample
from hoprior.datasets.recordings.registry import ADAPTERS, open_dataset
from hoprior.datasets.recordings.self_check import self_check
from hoprior.datasets.recordings.source import Recorded
from hoprior.errors import HopriorError
from hoprior.geometry.state import rigid

TOLERANCE = 1e-4
"""Metres."""
CASES = [
    (name, side, k) for name, layout in LAYOUTS.items() for side in layout.sides for k in range(len(layout.options))
]
every_case = pytest.mark.parametrize(("name", "side", "option"), CASES)
every_dataset = pytest.mark.parametrize("name", LAYOUTS)
every_dataset_but_hug = pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "hug"])
"""1M-HUGs has no meshes, and views in folders of any depth."""
QUICK = ("dexycb", "grab", "contactpose", "mow")
"""Of every kind of parameters one: mistakes with the others are tried in the slow tests."""


def each_dataset(but=()):
    """All datasets, most of them in the slow tests."""
    names = [name for name in LAYOUTS if name not in but]
    return pytest.mark.parametrize(
        "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]
    )


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HOPRIOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("HOPRIOR_MANO_DIR", raising=False)


@pytest.fixture(scope="module")
def mano(tmp_path_factory):
    return write_mano_folder(tmp_path_factory.mktemp("mano"))


@pytest.fixture(scope="module")
def fixtures(mano, tmp_path_factory):
    """Written once; tests that damage files get copies."""
    hands, made = Hands(mano), {}

    def get(name, side="right", option=0):
        if (name, side, option) not in made:
            layout = LAYOUTS[name]
            scene = make_scene(hands, side=side, **(layout.scene or {}))
            root = tmp_path_factory.mktemp(name) / "data"
            root.mkdir()
            layout.write(root, scene, **layout.options[option])
            made[name, side, option] = root, scene
        return made[name, side, option]

    return get


@pytest.fixture
def copied(fixtures, tmp_path):
    def get(name, side="right", option=0):
        root, scene = fixtures(name, side, option)
        shutil.copytree(root, tmp_path / "copy")
        return tmp_path / "copy", scene

    return get


def samples_of(adapter):
    return [sample for _, sample in adapter.walk() if isinstance(sample, RecordedSample)]


def nearest(scene, sample):
    """The frame that a sample is of."""
    return min(scene.frames, key=lambda f: float((f.joints_object - sample.joints_object).norm()))


# ---- What goes in comes out ----


@every_case
def test_round_trip(fixtures, mano, name, side, option):
    root, scene = fixtures(name, side, option)
    samples = samples_of(open_dataset(name, root, mano))
    assert {id(nearest(scene, s)) for s in samples} == {id(f) for f in scene.frames}
    for sample in samples:
        frame = nearest(scene, sample)
        assert sample.side == side
        assert torch.allclose(sample.joints_object, frame.joints_object, atol=TOLERANCE)
        assert torch.allclose(sample.T_hand_object @ sample.T_object_hand, torch.eye(4), atol=1e-5)
        if sample.reading is not None:
            assert torch.allclose(sample.T_object_hand, frame.T_object_hand, atol=TOLERANCE)
            assert torch.allclose(sample.pose.hand_pose, frame.pose.hand_pose, atol=1e-3)
            assert torch.allclose(sample.joints_of_model(), sample.joints, atol=TOLERANCE)
        surface = sample.object.surface()
        if name == "hug":  # whose object is what its views saw of it
            continue
        assert np.allclose(surface.bounds, scene.mesh.bounds, atol=TOLERANCE)
        assert surface.volume == pytest.approx(scene.mesh.volume, rel=1e-3)


JOINTS_WITHOUT_MANO = [name for name in LAYOUTS if not ADAPTERS[name].needs_mano and name != "folder"]


@pytest.mark.parametrize("name", JOINTS_WITHOUT_MANO)
def test_joints_are_read_without_mano(fixtures, name, tmp_path):
    root, scene = fixtures(name)
    for sample in samples_of(open_dataset(name, root, tmp_path)):
        frame = nearest(scene, sample)
        assert torch.allclose(sample.joints_object, frame.joints_object, atol=TOLERANCE)
        assert sample.pose is None
        # Another hand model: its palm lies on the joints' to a few degrees and millimetres.
        assert torch.allclose(sample.T_object_hand[:3, 3], frame.T_object_hand[:3, 3], atol=0.01)
        assert torch.allclose(sample.T_object_hand[:3, :3], frame.T_object_hand[:3, :3], atol=0.15)


def test_parameters_alone_need_mano(fixtures, tmp_path):
    root, _ = fixtures("hoi4d")
    adapter = open_dataset("hoi4d", root, tmp_path)
    with pytest.raises(HopriorError, match=r"MANO_RIGHT\.pkl: no such file: get it from"):
        _ = samples_of(adapter)[0].joints


def test_a_hand_of_another_size_than_mano(fixtures, copied, mano):
    """HOGraspNet divides MANO by a scale of its own."""
    root, _ = copied("hograspnet")
    for path in root.glob("labeling_data/*/*/annotation/*/*.json"):
        text = path.read_text(encoding="utf-8-sig").replace('"mano_scale": [10.0]', '"mano_scale": [9.5]')
        path.write_text(text, encoding="utf-8-sig")
    for sample in samples_of(open_dataset("hograspnet", root, mano)):
        expected = sample.joints[0] + (sample.joints - sample.joints[0]) / 0.95
        assert torch.allclose(sample.joints_of_model(), expected, atol=TOLERANCE)


@every_dataset
def test_a_sample_says_what_it_is(fixtures, mano, name):
    root, _ = fixtures(name)
    for sample in samples_of(open_dataset(name, root, mano)):
        assert sample.category in ("mug", "wine glass", "object")
        assert "hand" in sample.text and sample.category in sample.text
        assert sample.licence == ADAPTERS[name].licence and sample.licence
        assert sample.sequence and sample.split in SPLITS


def test_images_are_read_when_asked_for(fixtures, mano):
    root, _ = fixtures("ho3d_v2")
    sample = samples_of(open_dataset("ho3d_v2", root, mano))[0]
    assert sample.image().shape == (480, 640, 3)
    with pytest.raises(HopriorError, match=r"depth.*0000\.png: this picture is not there"):
        sample.image("depth")
    with pytest.raises(HopriorError, match="no 'hand_mask' here; there is image, depth"):
        sample.image("hand_mask")


def test_joints_are_projected_where_they_are_in_the_picture(fixtures, mano):
    root, scene = fixtures("ho3d_v2")
    sample = samples_of(open_dataset("ho3d_v2", root, mano))[0]
    x, y, z = nearest(scene, sample).joints[5]
    assert sample.camera.project(sample.joints)[5].tolist() == pytest.approx(
        [600 * float(x / z) + 320, 600 * float(y / z) + 240], abs=0.01
    )


def test_frames_without_a_hand_are_skipped_by_name(fixtures, mano):
    root, _ = fixtures("dexycb")
    outcomes = [outcome for _, outcome in open_dataset("dexycb", root, mano).walk()]
    skipped = [str(o) for o in outcomes if isinstance(o, FrameSkipped)]
    assert skipped == ["no hand in the frame"] and len(outcomes) == 7


# ---- Splits ----


def splits_of(name, root, mano, protocol=None):
    adapter = open_dataset(name, root, mano, protocol)
    return {split: {adapter.index()[int(i)] for i in adapter.indices(split)} for split in SPLITS}


EXPECTED_SPLIT = {
    "hoi4d": "train",
    "oakink_image": "val",
    "oakink_shape": "train",
    "grab": "test",
    "contactpose": "train",
    "ycb_affordance": "train",
    "mow": "train",
    "myodm": "train",
    "folder": "test",
}


@pytest.mark.parametrize("name", EXPECTED_SPLIT)
def test_every_frame_is_in_the_official_split(fixtures, mano, name):
    splits = splits_of(name, fixtures(name)[0], mano)
    assert {split for split, entries in splits.items() if entries} == {EXPECTED_SPLIT[name]}


@pytest.mark.parametrize(
    ("name", "split"),
    [("wineglass", "test"), ("fryingpan", "test"), ("elephant", "val"), ("hand", "val"), ("cup", "train")],
)
def test_grab_splits_by_object(fixtures, mano, name, split):
    from hoprior.datasets.recordings.index import Entry

    adapter = open_dataset("grab", fixtures("grab")[0], mano)
    assert adapter.split_of(Entry(f"s1/{name}_lift", "0", name)) == split


@pytest.mark.parametrize("name", ["ho3d_v2", "ho3d_v3", "obman"])
def test_splits_by_folder(fixtures, mano, name):
    splits = splits_of(name, fixtures(name)[0], mano)
    assert {e.group.split("/")[0] for e in splits["train"]} == {"train"}
    assert {e.group.split("/")[0] for e in splits["test"]} == {"evaluation" if name.startswith("ho3d") else "test"}


HOI4D_SEQUENCE = "ZY20210800001/H1/C2/N05/S100/s02/T5"


@pytest.mark.parametrize(
    "place", ["testset.txt", "HOI4D-Instructions/testset.txt", "HOI4D-Instructions-main/TESTSET.TXT"]
)
@pytest.mark.parametrize("text", [f"ZY9/H1/C1/N1/S1/s1/T1\n{HOI4D_SEQUENCE}\n", f"\ufeff{HOI4D_SEQUENCE.lower()}/\r\n"])
def test_hoi4d_split_by_the_list(copied, mano, place, text):
    root, _ = copied("hoi4d")
    (root / place).parent.mkdir(exist_ok=True)
    (root / place).write_text(text, encoding="utf-8")
    assert len(splits_of("hoi4d", root, mano)["test"]) == 7
    assert list(open_dataset("hoi4d", root, mano).remarks()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Bottle_1\n", "'bottle_1' is no sequence"),
        (b"", "'nothing' is no sequence"),
        (b"\xff\xfe\x00", "is no text in UTF-8"),
    ],
)
def test_another_list_is_not_taken_for_hoi4ds(copied, mano, content, message):
    root, _ = copied("hoi4d")
    (root / "testset.txt").write_bytes(content)
    with pytest.raises(HopriorError, match=rf"testset\.txt: {message}"):
        open_dataset("hoi4d", root, mano).indices("test")


def test_without_lists_a_split_says_so(copied, mano, tmp_path, capsys):
    root, _ = copied("hoi4d")
    assert main(["data", "check", "hoi4d", str(root), "--mano-dir", str(mano), "--out", str(tmp_path)]) == 0
    assert "note: no testset.txt, so every frame counts as train" in " ".join(capsys.readouterr().out.split())
    out = str(tmp_path / "shards")
    assert main(["data", "prepare", "hoi4d", str(root), "--out", out, "--split", "test", "--mano-dir", str(mano)]) == 2
    assert "no frame of the split 'test' is a sample: no testset.txt" in capsys.readouterr().err


def test_oakink_image_splits_by_the_toolkits_lists(copied, mano):
    """By frame and view: the views of one moment can be in different splits, and frames in none of them."""
    root, _ = copied("oakink_image", option=1)
    anno = root / "image" / "anno"
    rows = [[*row, int(frame), int(view)] for *row, frame, view in _oakink_rows(anno)]
    for place, chosen in {
        "split/split2/seq_train.json": rows[:4],
        "split_train_val/split2/example_split_val.json": rows[3:4],
        "split/split2/seq_test.json": rows[4:5],
        "split/split0/seq_test.json": rows,
    }.items():
        (anno / place).parent.mkdir(parents=True, exist_ok=True)
        (anno / place).write_text(json.dumps(chosen))
    assert {k: len(v) for k, v in splits_of("oakink_image", root, mano).items()} == {"train": 0, "val": 0, "test": 6}
    adapter = open_dataset("oakink_image", root, mano, "object")
    assert [sample.split for sample in samples_of(adapter)] == ["train", "train", "train", "val", "test"]
    report = check_dataset(adapter)
    assert report.skipped == {"in no list of the split 'object'": 1} and report.good == 5 and report.missing == []
    gone = sorted((anno / "hand_j").iterdir())[1]
    gone.unlink()
    assert check_dataset(adapter).missing == [f"image/anno/hand_j/{gone.name}"]
    without = open_dataset("oakink_image", root, mano, "subject")
    assert len(without.indices("train")) == 5
    assert "no lists of the split 'subject'" in next(without.remarks())


def _oakink_rows(anno):
    stems = sorted(path.stem for path in (anno / "hand_j").iterdir())
    return [[f"{s.split('__')[0]}/{s.split('__')[1]}", int(s.split("__")[2]), *s.split("__")[3:]] for s in stems]


@pytest.mark.parametrize(
    ("protocol", "folder", "expected"),
    [
        ("s1", "230905_S73_obj_05_grasp_13/trial_0/mas", "train"),
        ("s1", "230905_S74_obj_05_grasp_13/trial_0/mas", "test"),
        ("s1", "230905_S9_obj_05_grasp_13/trial_0/mas", "train"),
        ("s2", "230905_S04_obj_05_grasp_13/trial_0/sub3", "test"),
        ("s2", "230905_S04_obj_05_grasp_13/trial_0/sub1", "train"),
        ("s3", "230905_S04_obj_02_grasp_13/trial_0/mas", "test"),
        ("s3", "230905_S04_obj_05_grasp_13/trial_0/mas", "train"),
        ("s4", "230905_S04_obj_05_grasp_23/trial_0/mas", "test"),
        ("s4", "230905_S04_obj_05_grasp_13/trial_0/mas", "train"),
        ("s0", "230905_S04_obj_05_grasp_13/trial_0/mas", "test"),
        ("s0", "230905_S04_obj_05_grasp_13/trial_1/mas", "train"),
    ],
)
def test_hograspnet_splits(fixtures, mano, protocol, folder, expected):
    from hoprior.datasets.recordings.index import Entry

    adapter = open_dataset("hograspnet", fixtures("hograspnet")[0], mano, protocol)
    assert adapter.split_of(Entry(folder, "x")) == expected


@pytest.mark.parametrize(
    ("protocol", "person", "serial", "rank", "expected"),
    [
        ("s1", 6, 0, 0, "val"),
        ("s1", 7, 0, 0, "test"),
        ("s1", 8, 0, 0, "test"),
        ("s1", 9, 0, 0, "train"),
        ("s2", 0, 6, 0, "val"),
        ("s2", 0, 7, 0, "test"),
        ("s2", 0, 5, 0, "train"),
        ("s0", 0, 0, 4, "val"),
        ("s0", 2, 0, 4, "test"),
        ("s0", 2, 0, 5, "train"),
        ("s3", 0, 0, 15, "val"),
        ("s3", 0, 0, 35, "test"),
        ("s3", 0, 0, 34, "train"),
        ("s3", 5, 0, 99, "val"),
    ],
)
def test_dexycb_splits(fixtures, mano, tmp_path, protocol, person, serial, rank, expected):
    from hoprior.datasets.recordings.dexycb import SERIALS, SUBJECTS
    from hoprior.datasets.recordings.index import Entry

    for name in ("calibration", "models"):
        (tmp_path / "dex" / name).mkdir(parents=True)
    for i in range(100):
        (tmp_path / "dex" / SUBJECTS[person] / f"2020_{i:03d}").mkdir(parents=True)
    adapter = open_dataset("dexycb", tmp_path / "dex", mano, protocol)
    assert adapter.split_of(Entry(f"{SUBJECTS[person]}/2020_{rank:03d}/{SERIALS[serial]}", "000000")) == expected


def test_splits_by_rank_want_all_sequences(fixtures, mano):
    root, _ = fixtures("dexycb")
    with pytest.raises(HopriorError, match="1 of 100 sequences are there, and the split 's0' goes by their rank"):
        open_dataset("dexycb", root, mano, "s0").indices("train")


@pytest.mark.parametrize(
    ("name", "split"), [("O02@92", "train"), ("A01001", "test"), ("C52001", "val"), ("S20005", "train")]
)
def test_oakink_shape_splits_by_md5(fixtures, mano, name, split):
    import hashlib

    from hoprior.datasets.recordings.index import Entry

    rank = int(hashlib.md5(name.encode()).hexdigest(), 16) % 10
    adapter = open_dataset("oakink_shape", fixtures("oakink_shape")[0], mano)
    assert adapter.split_of(Entry("mug/x/y", "real", name)) == {8: "val", 9: "test"}.get(rank, "train")


def test_an_unknown_protocol_is_refused(fixtures, mano):
    with pytest.raises(HopriorError, match="hograspnet has no split protocol 's9': use one of s1, s0, s2, s3, s4"):
        open_dataset("hograspnet", fixtures("hograspnet")[0], mano, "s9")


# ---- Damage ----


@every_dataset
def test_one_damaged_file_is_named_and_the_others_are_read(copied, mano, name):
    root, _ = copied(name)
    path = sorted(root.glob(LAYOUTS[name].annotation))[0]
    whole = len(samples_of(open_dataset(name, root, mano)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    adapter = open_dataset(name, root, mano)
    if whole and len(list(root.glob(LAYOUTS[name].annotation))) == 1 and name in ("mow", "myodm"):
        with pytest.raises(HopriorError, match=path.name):
            check_dataset(adapter)
        return
    report = check_dataset(adapter)
    assert len(report.damaged) >= 1 and name in report.damaged[0][1]
    in_one_file = name in ("grab", "folder", "taco", "hocap", "hug_bench", "arctic")
    assert report.good == (0 if in_one_file else whole - 1)
    assert any("damaged" in problem for problem in report.problems())


@each_dataset()
def test_whatever_is_damaged_ends_in_sentences(copied, mano, name):
    """Each kind of file that a dataset has, with something else in it: counted or refused, never a traceback."""
    root, _ = copied(name)
    first = {
        re.sub(r"\d+", "#", str(path.relative_to(root))): path for path in sorted(root.rglob("*")) if path.is_file()
    }
    for path in first.values():
        whole = path.read_bytes()
        for wrong in (b"", b"\xff\xfe\x00\x80" * 30, b"[1, 2]"):
            path.write_bytes(wrong)
            source = Recorded(name, root, None, mano_dir=mano)
            # Either may refuse the copy by a sentence of its own.
            with contextlib.suppress(HopriorError):
                report = check_dataset(open_dataset(name, root, mano), num=3)
                assert all(reason for _, reason in report.damaged)
            with contextlib.suppress(HopriorError):
                assert all(source.fingerprint(info) for info in source.objects())
        path.write_bytes(whole)
    assert check_dataset(open_dataset(name, root, mano)).problems() == []


@every_dataset
def test_what_a_mac_leaves_in_archives_is_no_frame(copied, mano, name):
    root, _ = copied(name)
    before = len(open_dataset(name, root, mano))
    for path in [path for path in root.rglob("*") if path.is_file()]:
        (path.parent / f"._{path.name}").write_bytes(b"\x00\x05\x16\x07")
        (path.parent / ".DS_Store").write_bytes(b"Bud1")
    assert len(check_dataset(open_dataset(name, root, mano)).damaged) == 0
    assert len(open_dataset(name, root, mano)) == before


@pytest.mark.parametrize(("name", "suffix"), [("hoi4d", ".pickle"), ("oakink_image", ".pkl"), ("hograspnet", ".json")])
def test_a_file_of_another_name_is_damaged_by_name(copied, mano, name, suffix):
    root, _ = copied(name)
    pattern = LAYOUTS[name].annotation.replace("anno_packed/default/val", "anno/hand_j")
    path = sorted(root.glob(pattern))[0]
    (path.parent / f"notes{suffix}").write_bytes(path.read_bytes())
    report = check_dataset(open_dataset(name, root, mano))
    assert [key.rsplit("/", 1)[-1] for key, _ in report.damaged] == ["notes"]


@every_dataset_but_hug
def test_missing_meshes_are_counted(copied, mano, name):
    root, _ = copied(name)
    for path in root.glob(LAYOUTS[name].mesh):
        path.unlink()
    report = check_dataset(open_dataset(name, root, mano))
    if name == "mow":
        assert len(report.meshes) == 6
    else:
        assert len(report.meshes) == 1
    assert "no such file" in next(iter(report.meshes.values())) or "is a folder" in next(iter(report.meshes.values()))
    assert any("meshes are missing or damaged" in problem for problem in report.problems())


@every_dataset_but_hug
def test_a_wrong_root_names_the_right_one(copied, mano, name):
    root, _ = copied(name)
    (root.parent / "outer").mkdir()
    inner = root.rename(root.parent / "outer" / "inner")
    with pytest.raises(HopriorError, match=r"outer: not the root of .*, which is .*inner: give that folder"):
        open_dataset(name, root.parent / "outer", mano)
    with pytest.raises(HopriorError, match="no such folder"):
        open_dataset(name, root.parent / "nowhere", mano)
    assert len(open_dataset(name, inner, mano))


@every_dataset
def test_other_capitals_are_found(copied, mano, name):
    root, _ = copied(name)
    before = len(samples_of(open_dataset(name, root, mano)))
    for path in sorted(root.iterdir()):
        if not path.name.startswith(("2020", "grasps.npz")):
            path.rename(root / path.name.swapcase())
    assert len(samples_of(open_dataset(name, root, mano))) == before > 0


def test_another_datasets_root_is_called_by_its_name(fixtures, mano):
    root, _ = fixtures("hograspnet")
    with pytest.raises(HopriorError, match=r"of\) DexYCB: .*; it looks like HOGraspNet, which is called 'hograspnet'"):
        open_dataset("dexycb", root, mano)
    with pytest.raises(HopriorError, match=r"no split protocol 's9'[^;]*$"):
        open_dataset("hograspnet", root, mano, "s9")


def test_an_archive_that_is_not_unpacked(tmp_path, mano):
    (tmp_path / "HO3D_v2.zip").write_bytes(b"PK")
    with pytest.raises(HopriorError, match=r"has no train, so it is not \(all of\) HO3D v2: unpack HO3D_v2\.zip"):
        open_dataset("ho3d_v2", tmp_path, mano)


def test_a_half_downloaded_dataset_lacks_what_its_lists_name(copied, mano):
    root, _ = copied("ho3d_v2")
    for number in (2, 4):
        (root / "train" / "ABF10" / "meta" / f"{number:04d}.pkl").unlink()
    no_name = "9" * 300  # longer than any file's may be
    with (root / "train.txt").open("a") as lists:
        lists.write(f"\nABF10/{no_name}\n")
    report = check_dataset(open_dataset("ho3d_v2", root, mano))
    assert report.missing == [f"train/ABF10/meta/{name}.pkl" for name in ("0002", "0004", no_name)]
    assert "3 annotation files are missing" in report.problems()
    root, _ = write_half_dexycb(root.parent / "dexycb", mano)
    assert len(check_dataset(open_dataset("dexycb", root, mano)).missing) == 1


def write_half_dexycb(root, mano):
    root.mkdir()
    scene = make_scene(Hands(mano))
    write_dexycb(root, scene)
    sorted(root.glob("2020*/*/*/labels_*.npz"))[3].unlink()
    return root, scene


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("handPose", np.full(48, np.nan), "'handPose' has NaN or infinite values"),
        ("handPose", np.zeros(45), "'handPose' has 45 values, 48 are expected"),
        ("objTrans", ["a", "b", "c"], "'objTrans' holds no numbers"),
    ],
)
def test_numbers_that_are_none(copied, mano, key, value, message):
    from hoprior.datasets.recordings.files import read_pickle

    root, _ = copied("ho3d_v2")
    path = root / "train" / "ABF10" / "meta" / "0001.pkl"
    dump(path, read_pickle(path) | {key: value})
    report = check_dataset(open_dataset("ho3d_v2", root, mano))
    assert len(report.damaged) == 1 and message in report.damaged[0][1]
    assert "ho3d_v2 train/ABF10/0001" in report.damaged[0][1]


def test_an_unknown_dataset_is_refused(tmp_path):
    with pytest.raises(HopriorError, match="no dataset 'ho3d': there are arctic, contactpose, dexycb"):
        open_dataset("ho3d", tmp_path)


# ---- Self-check ----


def changed(samples, reading=None, **fields):
    """Samples with another reading and other fields, each made from the sample."""
    made = []
    for sample in samples:
        new = {name: make(sample) for name, make in fields.items()}
        if reading is not None and sample.reading is not None:
            new["reading"] = dataclasses.replace(sample.reading, **reading(sample.reading))
        made.append(dataclasses.replace(sample, **new))
    return made


def check(samples, name):
    return self_check(samples, ADAPTERS[name].grasps_only)


@every_case
def test_good_data_are_good(fixtures, mano, name, side, option):
    samples = samples_of(open_dataset(name, fixtures(name, side, option)[0], mano))
    result = check(samples, name)
    assert result.suspects == [] and len(result.measures) >= 4


@each_dataset(but=("hug_bench",))  # whose objects are not turned
def test_a_transposed_object_rotation_is_suspected(fixtures, mano, name):
    samples = samples_of(open_dataset(name, fixtures(name)[0], mano))
    if all(torch.equal(s.T_scene_object, torch.eye(4)) for s in samples):
        # In the object's frame the hand's rotation is the one to be taken the wrong way round.
        suspects = check(changed(samples, lambda r: {"global_orient": -r.global_orient}), name).suspects
        assert any("hand's global rotation is transposed" in suspect for suspect in suspects), suspects
        return
    wrong = changed(samples, T_scene_object=lambda s: rigid(s.T_scene_object[:3, :3].mT, s.T_scene_object[:3, 3]))
    suspects = check(wrong, name).suspects
    assert any("object's rotation is transposed" in suspect for suspect in suspects), suspects


@each_dataset()
def test_millimetres_are_suspected(fixtures, mano, name):
    samples = samples_of(open_dataset(name, fixtures(name)[0], mano))
    if samples[0].joints_given is not None:
        wrong = changed(samples, joints_given=lambda s: 1000 * s.joints_given)
        suspects = check(wrong, name).suspects
        assert any("unit: the hand's joints are in millimetres" in s for s in suspects), suspects
    else:
        wrong = changed(
            samples, T_scene_object=lambda s: rigid(s.T_scene_object[:3, :3], s.T_scene_object[:3, 3] * 1000 + 300)
        )
        suspects = check(wrong, name).suspects
        assert any("unit" in s and ("apart" in s or "millimetres" in s) for s in suspects), suspects


@each_dataset(but=("obman", "myodm", "hug_bench"))
def test_parameters_taken_for_others_are_suspected(fixtures, mano, name):
    """PCA for axis-angle or the other way round, and the mean pose."""
    samples = samples_of(open_dataset(name, fixtures(name)[0], mano))
    for field, word in (("is_pca", "PCA"), ("flat_hand_mean", "mean pose")):
        wrong = changed(samples, lambda r, field=field: {field: not getattr(r, field)})
        if field == "is_pca" and wrong[0].reading.fingers.numel() < 45:
            continue
        suspects = check(wrong, name).suspects
        assert any(word in suspect for suspect in suspects), (field, suspects)


@each_dataset()
def test_the_other_side_is_suspected(fixtures, mano, name):
    samples = samples_of(open_dataset(name, fixtures(name)[0], mano))
    wrong = changed(samples, lambda r: {"side": "left"}, side=lambda s: "left")
    suspects = check(wrong, name).suspects
    assert any("side" in suspect for suspect in suspects), suspects


def test_another_order_of_joints_is_suspected(fixtures, mano):
    from hoprior.hand import reorder_joints

    samples = samples_of(open_dataset("dexycb", fixtures("dexycb")[0], mano))
    wrong = changed(samples, joints_given=lambda s: reorder_joints(s.joints_given, "mano", "openpose"))
    suspects = check(wrong, "dexycb").suspects
    assert any("joint order: the joints are listed as openpose" in suspect for suspect in suspects), suspects


def test_a_transposed_hand_rotation_and_opengl_are_suspected(fixtures, mano):
    samples = samples_of(open_dataset("dexycb", fixtures("dexycb")[0], mano))
    wrong = changed(samples, lambda r: {"global_orient": -r.global_orient})
    assert any("global rotation is transposed" in s for s in check(wrong, "dexycb").suspects)
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    wrong = changed(samples, T_scene_object=lambda s: flip @ s.T_scene_object)
    assert any("OpenGL's and OpenCV's are mixed up in the object's pose" in s for s in check(wrong, "dexycb").suspects)


# ---- The command ----


def test_check_says_what_is_there_and_draws_it(fixtures, mano, tmp_path, capsys):
    root, _ = fixtures("ho3d_v2")
    arguments = ["data", "check", "ho3d_v2", str(root), "--mano-dir", str(mano), "--out", str(tmp_path)]
    assert main(arguments) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "there: 12 frames (12 right) in 2 sequences" in printed
    assert "split 'official': train 6, test 6" in printed
    assert "skipped: 6 (the hand's pose is not published (evaluation set))" in printed
    assert "pictures 'depth': 0 of 6" in printed
    assert (tmp_path / "check_ho3d_v2.png").stat().st_size > 10_000


def test_check_ends_with_2_and_one_sentence(copied, mano, tmp_path, capsys):
    root, _ = copied("ho3d_v2")
    (root / "train" / "ABF10" / "meta" / "0001.pkl").write_bytes(b"\x80\x02cos\nsystem\n.")
    (root / "models" / "025_mug" / "textured_simple.obj").unlink()
    arguments = ["data", "check", "ho3d_v2", str(root), "--mano-dir", str(mano), "--out", str(tmp_path)]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "asks for 'os.system'" in " ".join(captured.out.split())
    assert captured.err.strip().endswith("1 of 12 frames are damaged; 1 of 1 meshes are missing or damaged")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["check", "--num", "0"], "--num 0: give 1 or more"),
        (["check", "--num", "-3"], "--num -3: give 1 or more"),
        (["prepare", "--frames", "0"], "--frames 0: give 1 or more"),
        (["prepare", "--workers", "0"], "--workers 0: give 1 or more"),
        (["prepare", "--background", "-1"], "--background -1: give 0 or more"),
        (["prepare", "--resolution", "1"], "grid has half_extent 0.18 m and resolution 1"),
        (["prepare", "--split", "tran"], "no split 'tran': use one of train, val, test, all"),
        (["prepare", "--sentences", "none.json"], "--sentences none.json: there is no such file or folder"),
        (["prepare", "--mano-dir", "."], "MANO_RIGHT.pkl: no such file"),
    ],
)
def test_wrong_options_are_one_sentence_at_once(fixtures, mano, tmp_path, monkeypatch, capsys, options, message):
    """Nothing is read or written before."""
    root, _ = fixtures("hoi4d")
    monkeypatch.chdir(tmp_path)
    command, *rest = options
    assert main(["data", command, "hoi4d", str(root), "--out", "made", "--mano-dir", str(mano), *rest]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert not any(path.is_file() for path in (tmp_path / "made").rglob("*"))


def test_list_names_every_dataset(capsys):
    assert main(["data", "list"]) == 0
    printed = capsys.readouterr().out
    for name, adapter in ADAPTERS.items():
        assert f"{name}: {adapter.title}, {adapter.homepage}\n" in printed


# ---- The index ----


def test_the_index_is_kept_and_made_again_when_folders_change(copied, mano):
    root, _ = copied("ho3d_v2")
    assert len(open_dataset("ho3d_v2", root, mano)) == 12
    adapter = open_dataset("ho3d_v2", root, mano)
    adapter.scan = lambda: pytest.fail("listed again")
    assert len(adapter) == 12
    shutil.copytree(root / "train" / "ABF10", root / "train" / "BB10")
    assert len(open_dataset("ho3d_v2", root, mano)) == 18


def test_a_copy_written_by_two_versions_reads_the_same(tmp_path, mano):
    """v2 and v3 differ in their pictures alone."""
    scene = make_scene(Hands(mano))
    write_ho3d(tmp_path, scene, suffix=".jpg")
    assert samples_of(open_dataset("ho3d_v3", tmp_path, mano))[0].image().shape == (480, 640, 3)
