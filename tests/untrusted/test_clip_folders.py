"""Damaged and impossible clip folders: a sentence that names the file, before any work."""

import io
import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from held_box import film_box
from PIL import Image

from hoprior.datasets.clips.clip import read_clip
from hoprior.errors import HopriorError


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film_box(tmp_path_factory.mktemp("untrusted") / "box")


@pytest.fixture
def folder(filmed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filmed, tmp_path / "box"))


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    right = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", right)


def png(width: int, height: int, checksum: int | None = None) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(99)), checksum)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


def gif_of_many_frames() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "EPS")
    return buffer.getvalue()


PICTURES = {
    "60000 x 60000 pixels": png(60_000, 60_000),
    "a broken chunk": png(64, 64, checksum=1),
    "a chunk that is none": png(64, 64)[:40] + b"\xff" * 40,
    "nothing": b"",
    "text": b"<html>",
    "a program": gif_of_many_frames(),
    "TIFF of nothing": b"II*\0\x08\0\0\0\xff\xff",
}


@pytest.mark.parametrize("where", ["image", "obj_mask", "hand_mask"])
@pytest.mark.parametrize("what", PICTURES)
def test_a_picture_that_is_none_is_named(folder: Path, where: str, what: str) -> None:
    picture = sorted((folder / where).iterdir())[2]
    picture.write_bytes(PICTURES[what])
    with pytest.raises(HopriorError, match=rf"{where}/{picture.name}: "):
        read_clip(folder)


def rewrite(path: Path, **changed: Any) -> None:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for name, value in changed.items():
        arrays[name] = value(arrays[name]) if callable(value) else value
    np.savez(path, **arrays)


def zip_of(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def wrong_checksum(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(bytes(content))


def array_alone(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


ANY_NPZ: dict[str, Callable[[Path], object]] = {
    "cut": cut,
    "wrong checksum": wrong_checksum,
    "empty": zip_of(b""),
    "an array alone": array_alone,
    "a folder's listing": zip_of(b"total 12"),
}


@pytest.mark.parametrize("name", ["cameras_hoi.npz", "hands.npz", "keypoints.npz", "eval_poses.npz"])
@pytest.mark.parametrize("what", ANY_NPZ)
def test_a_damaged_npz_is_named(folder: Path, name: str, what: str) -> None:
    ANY_NPZ[what](folder / name)
    with pytest.raises(HopriorError, match=name.replace(".", r"\.")):
        read_clip(folder)


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "hA of 48": ("hands.npz", {"hA": lambda a: np.zeros((len(a), 48))}),
    "hA of a row": ("hands.npz", {"hA": lambda a: a[0]}),
    "hA of text": ("hands.npz", {"hA": lambda a: a.astype(str)}),
    "hA a number": ("hands.npz", {"hA": np.array(3.0)}),
    "beta of 16": ("hands.npz", {"beta": lambda a: np.zeros((len(a), 16))}),
    "K of 2 x 2": ("cameras_hoi.npz", {"K_pix": lambda a: a[:, :2, :2]}),
    "K without numbers": ("cameras_hoi.npz", {"K_pix": lambda a: a * np.nan}),
    "K of nothing": ("cameras_hoi.npz", {"K_pix": lambda a: a * 0}),
    "K turned over": ("cameras_hoi.npz", {"K_pix": lambda a: -a}),
    "cTw of 3 x 3": ("cameras_hoi.npz", {"cTw": lambda a: a[:, :3, :3]}),
    "cTw of 3 x 4": ("cameras_hoi.npz", {"cTw": lambda a: a[:, :3]}),
    "cTw of nothing": ("cameras_hoi.npz", {"cTw": lambda a: a * 0}),
    "cTw without numbers": ("cameras_hoi.npz", {"cTw": lambda a: a * np.nan}),
    "wTh that scales": ("cameras_hoi.npz", {"wTh": lambda a: a * 3}),
    "wTh that mirrors": ("cameras_hoi.npz", {"wTh": lambda a: a * np.array([-1.0, 1, 1, 1])}),
    "j2d of 20": ("keypoints.npz", {"j2d": lambda a: a[:, :20]}),
    "conf a frame": ("keypoints.npz", {"conf": lambda a: a[:, 0]}),
    "hTo of another shape": ("eval_poses.npz", {"hTo": lambda a: a[:, :3]}),
    "hTo of other frames": ("eval_poses.npz", {"hTo": lambda a: a[:2]}),
    "hTo of nothing": ("eval_poses.npz", {"hTo": lambda a: a * 0}),
    "jTh of 16": ("eval_poses.npz", {"jTh": lambda a: a[:, :16]}),
    "points of 2": ("eval_poses.npz", {"points": lambda a: a[:, :2]}),
    "seen of others": ("eval_poses.npz", {"seen": lambda a: a[:3]}),
    "objects": ("eval_poses.npz", {"points": np.array([None], dtype=object)}),
}


@pytest.mark.parametrize("what", WRONG)
def test_arrays_that_cannot_be_are_named(folder: Path, what: str) -> None:
    name, changed = WRONG[what]
    rewrite(folder / name, **changed)
    with pytest.raises(HopriorError, match=name.replace(".", r"\.")):
        read_clip(folder)


SETTINGS = {
    "another side": {"side": "middle"},
    "a side of a list": {"side": ["left"]},
    "another hand": {"hand": "robot"},
    "a hand of a list": {"hand": []},
    "fps of words": {"fps": "thirty"},
    "fps of nothing": {"fps": None},
    "fps 0": {"fps": 0},
    "no fps": {"fps": -15},
    "fps without end": {"fps": float("inf")},
    "fps no number": {"fps": float("nan")},
    "a list": [1],
}


@pytest.mark.parametrize("what", SETTINGS)
def test_settings_that_cannot_be_are_named(folder: Path, what: str) -> None:
    (folder / "clip.json").write_text(json.dumps(SETTINGS[what]))
    with pytest.raises(HopriorError, match=r"clip\.json: "):
        read_clip(folder)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"", b"{"])
def test_settings_that_are_no_json_are_named(folder: Path, content: bytes) -> None:
    (folder / "clip.json").write_bytes(content)
    with pytest.raises(HopriorError, match=r"clip\.json: "):
        read_clip(folder)


@pytest.mark.parametrize(("said", "side"), [("left", "left"), ("LEFT", "left"), ("Right", "right")])
def test_a_side_is_a_side_whatever_its_letters(folder: Path, said: str, side: str) -> None:
    (folder / "clip.json").write_text(json.dumps({"hand": "open", "side": said, "fps": "29.97"}))
    clip = read_clip(folder)
    assert clip.side == side and clip.fps == 29.97


@pytest.mark.parametrize("content", [b"", b"v 0 0\nv 1 1\nv 2 2\nf 1 2 3\n", b"\x00\x01", b"v 0 0 0\n"])
def test_an_object_that_is_none_is_named_before_the_work(folder: Path, content: bytes) -> None:
    (folder / "oObj.obj").write_bytes(content)
    with pytest.raises(HopriorError, match=r"oObj\.obj: "):
        read_clip(folder)


def test_a_text_of_another_encoding_is_named(folder: Path) -> None:
    (folder / "text.txt").write_bytes("eine Tür".encode("latin-1"))
    with pytest.raises(HopriorError, match=r"text\.txt: is no text in UTF-8"):
        read_clip(folder)
