"""Reading datasets' files: nothing in them is run, and what is wrong is named."""

import pickle

import numpy as np
import pytest
import torch
from malicious_pickles import MALICE

from hoprior.common.reading import read_json, read_yaml
from hoprior.datasets.recordings.files import find, has, read_npz, read_pickle
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.images import ImageFile
from hoprior.datasets.recordings.index import SPLITS, Entry, FrameIndex
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import read_surface


@pytest.mark.parametrize("name", MALICE)
def test_malice_is_refused_in_pickles_and_in_arrays_of_objects(name, tmp_path):
    """As HO3D, OakInk, ObMan and HOI4D have pickles, and GRAB has arrays of objects."""
    canary = tmp_path / "folder" / "canary"
    canary.parent.mkdir()
    # Made twice: what is pickled may hold an iterator, which is used up.
    first, second = ({"handPose": np.zeros(48), "deep": [{"in": (MALICE[name](canary),)}]} for _ in range(2))
    (tmp_path / "meta.pkl").write_bytes(pickle.dumps(first, 2))
    np.savez(tmp_path / "sequence.npz", plain=np.zeros(3), rhand=np.array(second, dtype=object))
    for read, file in ((read_pickle, "meta.pkl"), (read_npz, "sequence.npz")):
        with pytest.raises(HopriorError, match=file.replace(".", r"\.")):
            read(tmp_path / file)
    assert canary.parent.is_dir() and not canary.exists()


def test_arrays_of_objects_come_through(tmp_path):
    content = {"params": {"transl": np.arange(6.0).reshape(2, 3)}, "vtemp": "a.ply"}
    fortran = np.asfortranarray(np.arange(6).reshape(2, 3))
    np.savez_compressed(
        tmp_path / "a.npz", rhand=np.array(content, dtype=object), n=np.array(4), f=fortran, names=np.array(["a", "bc"])
    )
    read = read_npz(tmp_path / "a.npz")
    assert np.array_equal(read["rhand"]["params"]["transl"], content["params"]["transl"])
    assert read["rhand"]["vtemp"] == "a.ply" and int(read["n"]) == 4
    assert np.array_equal(read["f"], fortran) and read["names"].tolist() == ["a", "bc"]


@pytest.mark.parametrize(
    ("read", "name", "content"),
    [
        (read_json, "a.json", b'{"a": '),
        (read_yaml, "a.yml", b"a: [1, 2\nb: }"),
        (read_npz, "a.npz", b"PK\x03\x04 half of it"),
        (read_pickle, "a.pkl", pickle.dumps([1, 2])),
    ],
)
def test_damaged_files_are_named(read, name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HopriorError, match=name.replace(".", r"\.")):
        read(tmp_path / name)
    with pytest.raises(HopriorError, match=r"none.*cannot be read"):
        read(tmp_path / "none")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2], "2 values, 3"),
        ([1, 2, None], "NaN or infinite"),
        ([1, 2, "x"], "no numbers"),
        ([1, 2, [3]], "no numbers"),
        ([1, 2, 10**400], "larger"),
        ([1, 2, 1e300], "NaN or infinite"),
    ],
)
def test_numbers_of_a_file_are_as_many_as_are_asked_for_and_finite(values, message):
    with pytest.raises(HopriorError, match=message):
        vector(values, 3, "transl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"global_orient": torch.zeros(1)}, "global_orient has 1 values, 3"),
        ({"fingers": torch.zeros(0)}, "fingers has 0 values, 45"),
        ({"fingers": torch.zeros(46)}, "fingers has 46 values, 45"),
        ({"betas": torch.zeros(1, 10)}, "betas has"),
        ({"transl": torch.tensor([0, 0, torch.nan])}, "transl has NaN"),
    ],
)
def test_a_hand_of_other_numbers_is_no_hand(change, message, wrong_types):
    numbers = {"fingers": torch.zeros(45), "betas": torch.zeros(10), "transl": torch.zeros(3)}
    right = {"side": "right", "global_orient": torch.zeros(3), **numbers}
    ManoReading(**right)
    ManoReading(**right | {"fingers": torch.zeros(15), "is_pca": True})
    with pytest.raises(HopriorError, match=message):
        ManoReading(**right | change)


@pytest.mark.parametrize("place", ["nan", "inf", "1e30"])
def test_a_mesh_that_is_nowhere_is_damaged(place, tmp_path):
    (tmp_path / "a.obj").write_text(f"v 0 0 0\nv 1 0 0\nv 0 {place} 0\nv 1 1 1\nf 1 2 3\nf 1 2 4\n")
    with pytest.raises(HopriorError, match=r"a\.obj.*vert"):
        read_surface(tmp_path / "a.obj")


def test_yaml_makes_no_objects(tmp_path):
    (tmp_path / "a.yml").write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(HopriorError, match="damaged YAML"):
        read_yaml(tmp_path / "a.yml")


def test_names_are_found_whatever_their_capitals(tmp_path):
    (tmp_path / "Train" / "ABF10").mkdir(parents=True)
    assert find(tmp_path, "train", "abf10") == tmp_path / "Train" / "ABF10"
    assert find(tmp_path, "train", "missing") == tmp_path / "train" / "missing"
    assert has(tmp_path, "train/abf*") and has(tmp_path, "train/ABF*") and not has(tmp_path, "train/ABG*")


def test_a_damaged_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG half of it")
    with pytest.raises(HopriorError, match=r"a\.png: damaged picture"):
        ImageFile(tmp_path / "a.png").read()


def test_depth_and_masks_have_their_units(tmp_path):
    from PIL import Image

    Image.fromarray(np.full((2, 3), 1500, dtype=np.uint16)).save(tmp_path / "depth.png")
    assert ImageFile(tmp_path / "depth.png", "depth", 0.001).read() == pytest.approx(np.full((2, 3), 1.5))
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    pixels[0, 0] = (10, 2, 0)
    pixels[1, 1] = (250, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "both.png")
    depth = ImageFile(tmp_path / "both.png", "depth in colours", 0.5).read()
    assert depth[0, 0] == pytest.approx(0.5 * (10 + 256 * 2))
    red = ImageFile(tmp_path / "both.png", "channel", 0).read()
    assert red.sum() == 1 and red[1, 1]


def test_an_index_keeps_its_entries(tmp_path, caplog):
    entries = [Entry("a/b", str(i), f"o{i % 3}", f"S{i % 2}", "left" if i % 5 == 0 else "right") for i in range(30)]
    index = FrameIndex.from_entries(entries)
    assert list(index) == entries
    index.save(tmp_path / "i.npz", "stamp")
    again = FrameIndex.load(tmp_path / "i.npz", "stamp")
    assert again is not None and list(again) == entries
    assert FrameIndex.load(tmp_path / "i.npz", "other") is None
    (tmp_path / "i.npz").write_bytes(b"PK\x03\x04")
    assert FrameIndex.load(tmp_path / "none.npz", "stamp") is None and not caplog.records
    assert FrameIndex.load(tmp_path / "i.npz", "stamp") is None
    assert "i.npz: damaged archive" in caplog.text and "the dataset is listed anew" in caplog.text
    splits = index.splits(lambda entry: "test" if entry.object == "o1" else "train")
    assert [SPLITS[k] for k in splits] == ["test" if e.object == "o1" else "train" for e in entries]
    assert len(FrameIndex.from_entries([])) == 0 and len(FrameIndex.from_entries([]).splits(lambda e: "train")) == 0
