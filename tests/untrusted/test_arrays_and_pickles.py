"""Files of a few bytes that ask for much, or for code: refused in a sentence, at once, in little memory."""

import io
import pickle
import resource
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

from hoprior.common.array_files import MOST_BYTES, array_names, read_array, read_arrays, save_arrays
from hoprior.common.pickles import safe_loads
from hoprior.common.reading import expect, is_file_name, parse_json, read_json, read_text, read_yaml, within
from hoprior.common.torch_files import read_torch_file
from hoprior.errors import HopriorError
from hoprior.hand.mano import read_mano

SECONDS = 5.0


def nested_tuples(levels: int) -> bytes:
    """The opcodes of a tuple of two of the tuple before, `levels` times."""
    return b")" + b"".join(b"q" + bytes([k]) + b"h" + bytes([k]) + b"\x86" for k in range(levels))


BOMBS = {
    "a key that is hashed for ever": b"\x80\x02}" + nested_tuples(60) + b"K\x01s.",
    "a set that is hashed for ever": b"\x80\x04\x8f(" + nested_tuples(60) + b"\x90.",
    "a frozen set that is hashed for ever": b"\x80\x04(" + nested_tuples(60) + b"\x91.",
    "a set by a call that is hashed for ever": b"\x80\x02c__builtin__\nset\n]" + nested_tuples(60) + b"a\x85R.",
    "a list that no array holds": b"\x80\x02" + nested_tuples(60) + b".",
    "a memo of 4 GB": b"\x80\x02Nr" + struct.pack("<I", 1 << 28) + b".",
    "a memo of 8 GB": b"\x80\x02Nr" + struct.pack("<I", 1 << 29) + b".",
    "a memo by a line of text": b"N" + b"p1000000000\n.",
    "bytes of 4 GB": b"\x80\x05\x96" + struct.pack("<Q", 1 << 32) + b"abc.",
    "a key that lies too deep to be hashed": b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"K\x01s.",
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_pickle_bomb_is_refused_at_once(what: str) -> None:
    """In a process of its own, with 4 GB: it would take this one along."""
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_CPU, (60, 60));"
        "from hoprior.common.pickles import safe_loads; from hoprior.errors import HopriorError\n"
        "import time; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; start = time.process_time()\n"
        "try:\n    safe_loads(sys.stdin.buffer.read())\nexcept HopriorError as error:\n    print(error)\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"assert time.process_time() - start < {SECONDS} and after - before < 500_000, (start, before, after)"
    )
    run = subprocess.run([sys.executable, "-c", program], input=BOMBS[what], capture_output=True, timeout=120)
    assert run.returncode == 0, run.stderr.decode()
    assert b"is not a pickle of arrays that hoprior can read" in run.stdout


def test_shared_parts_of_an_honest_pickle_come_through() -> None:
    part = {"pose": np.zeros(3)}
    content = {"frames": [part] * 1000, "names": {("a", "b"): 1}}
    assert len(safe_loads(pickle.dumps(content))["frames"]) == 1000


def test_a_sparse_matrix_that_no_machine_holds_dense_is_refused(tmp_path: Path) -> None:
    content = {"J_regressor": scipy.sparse.csc_matrix((1, 40_000_000)), "v_template": np.zeros((778, 3))}
    content["J_regressor"] = scipy.sparse.csr_matrix((4_000_000, 10_000_000))
    file = tmp_path / "MANO_RIGHT.pkl"
    file.write_bytes(pickle.dumps(content))
    with pytest.raises(HopriorError, match="MANO has numbers of shape"):
        read_mano(file, "right")


def write_npz(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=array.dtype.hasobject)
    return buffer.getvalue()


def bomb(path: Path, gigabytes: int = 5) -> Path:
    """An archive of 5 MB whose array `big` has 5 GB of zeros, and a small array `joints`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("big.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(
                member, {"descr": "|u1", "fortran_order": False, "shape": (gigabytes << 30,)}
            )
            for _ in range(gigabytes * 16):
                member.write(bytes(64 << 20))
        archive.writestr("joints.npy", npy(np.zeros((21, 3))))
    return path


def test_what_is_saved_is_what_was_given_and_no_pickle(tmp_path: Path) -> None:
    for compress in (True, False):
        save_arrays(tmp_path / "a.npz", {"joints": np.eye(3), "side": ["left", "right"]}, compress)
        read = read_arrays(tmp_path / "a.npz")
        assert sorted(read) == ["joints", "side"]
        assert np.array_equal(read["joints"], np.eye(3)) and list(read["side"]) == ["left", "right"]
    for value in (None, np.array([{}], dtype=object), np.zeros(2, dtype=[("a", "f8")])):
        with pytest.raises(TypeError, match="'note' is of"):
            save_arrays(tmp_path / "b.npz", {"note": value})
    assert not (tmp_path / "b.npz").exists()


@pytest.fixture(scope="module")
def bombed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bomb(tmp_path_factory.mktemp("bomb") / "hands.npz", 2)


def test_an_npz_bomb_is_refused_and_what_is_not_asked_for_is_not_inflated(bombed: Path) -> None:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(HopriorError, match=r"its arrays take 2,048 MiB, more than 1024"):
        read_arrays(bombed)
    assert read_arrays(bombed, ["joints"])["joints"].shape == (21, 3)
    assert array_names(bombed) == ["big", "joints"]
    assert time.process_time() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


HEADERS = {
    "a size that is not there": "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }",
    "a negative size": "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
    "nothing a piece": "{'descr': '|S0', 'fortran_order': False, 'shape': (9,), }",
    "records": "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }",
    "code": "__import__('os').system('touch run')",
    "depth": "(" * 300 + ")" * 300,
    "not Python": "{{{",
    "no mapping": "3",
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_false_header_of_an_array_is_refused(tmp_path: Path, what: str) -> None:
    header = HEADERS[what].encode() + b"\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(16)
    file = write_npz(tmp_path / "a.npz", {"joints.npy": content})
    with pytest.raises(HopriorError, match=r"a\.npz"):
        read_arrays(file, ["joints"])
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(HopriorError, match=r"a\.npy"):
        read_array(tmp_path / "a.npy")


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "wrong checksum": lambda data: data.replace(b"\x93NUMPY", b"\x93NUMPX", 1),
    "an array and no archive": lambda data: npy(np.zeros(3)),
    "text": lambda data: b"once upon a time",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_archive_is_a_sentence(tmp_path: Path, what: str) -> None:
    file = write_npz(tmp_path / "a.npz", {"joints.npy": npy(np.arange(99.0))}, zipfile.ZIP_STORED)
    file.write_bytes(DAMAGE[what](file.read_bytes()))
    with pytest.raises(HopriorError, match=r"a\.npz: damaged"):
        read_arrays(file, ["joints"])


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_nobody_can_bound_are_refused(tmp_path: Path, kind: int) -> None:
    file = write_npz(tmp_path / "a.npz", {"joints.npy": npy(np.zeros(99))}, kind)
    with pytest.raises(HopriorError, match="packed in a way that is not read"):
        read_arrays(file, ["joints"])


def test_arrays_of_objects_are_refused_or_read_without_running(tmp_path: Path) -> None:
    from malicious_pickles import MALICE

    ran = tmp_path / "ran"
    evil = npy(np.array([MALICE["os.system"](ran)], dtype=object))
    file = write_npz(tmp_path / "a.npz", {"joints.npy": evil})
    for objects in (False, True):
        with pytest.raises(HopriorError, match=r"Python objects|asks for"):
            read_arrays(file, ["joints"], objects=objects)
    assert not ran.exists()


def test_arrays_come_through(tmp_path: Path) -> None:
    arrays = {
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "none": np.zeros((0, 21, 3), np.float32),
        "one": np.array(3),
        "words": np.array(["mug", "knife"]),
        "flags": np.array([True]),
    }
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    for file in ("a.npz", "b.npz"):
        read = read_arrays(tmp_path / file)
        assert list(read) == list(arrays)
        for name, array in arrays.items():
            assert read[name].dtype == array.dtype and np.array_equal(read[name], array), name
            read[name][...] = read[name]  # may be written to
    assert MOST_BYTES == 1 << 30


# ---- Text ----


JSONS = {
    "depth": b"[" * 100_000,
    "depth of mappings": b'{"a":' * 100_000,
    "half a character": b'{"text": "\\ud800"}',
    "half a character in a name": b'{"\\uDfff": 1}',
    "another encoding": "{'text': 'Tür'}".encode("latin-1"),
    "a number too long": b"[" + b"1" * 10_000 + b"]",
    "cut": b'{"a": [1, 2',
    "nothing": b"",
}


@pytest.mark.parametrize("what", JSONS)
def test_json_that_cannot_be_is_a_sentence(tmp_path: Path, what: str) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(JSONS[what])
    with pytest.raises(HopriorError, match=r"a\.json: (damaged JSON|is no text)") as caught:
        read_json(file, "make it again")
    assert str(caught.value).endswith(": make it again") and len(str(caught.value)) < 400


def test_whole_characters_come_through() -> None:
    assert parse_json('["\\ud83d\\ude00", "\\\\ud800", "Tür"]', "a.json") == ["\U0001f600", "\\ud800", "Tür"]


YAMLS = {
    "laughs": "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{n}: &{n} [{', '.join(['*' + p] * 10)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)),
    "itself": "a: &a [*a]",
    "depth": "[" * 5000,
    "code": "!!python/object/apply:os.system ['touch run']",
    "tabs": "a:\n\t- b",
}


@pytest.mark.parametrize("what", YAMLS)
def test_yaml_that_cannot_be_is_a_sentence(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(YAMLS[what])
    with pytest.raises(HopriorError, match=r"a\.yaml: damaged YAML"):
        read_yaml("a.yaml")
    assert not Path("run").exists()


def test_text_of_another_encoding_and_paths_that_are_none_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Tür".encode("latin-1"))
    for path in (tmp_path / "a.txt", tmp_path / "none", tmp_path, "a\0b", "x" * 5000):
        with pytest.raises(HopriorError):
            read_text(path)
    (tmp_path / "a.txt").write_bytes("\ufeffTür".encode())
    assert read_text(tmp_path / "a.txt") == "Tür"


# ---- Names ----


OUTSIDE = [
    "../x",
    "/etc/passwd",
    "a/../../x",
    "",
    ".",
    "..",
    "pipe:touch x/..",
    "a/.hidden",
    "a\nb",
    "a\0b",
    None,
    3,
    [],
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_of_its_folder_is_refused(name: object) -> None:
    with pytest.raises(HopriorError, match="which is not below its folder"):
        within(Path("set"), name, "manifest.json")


def test_names_of_files_are_names() -> None:
    assert is_file_name("obman-02876657_1071fa4cddb2da2fc8724d5673a063a6_0.15") and is_file_name("Müsli (1)")
    assert not any(is_file_name(name) for name in ("..", "a/b", "a\\b", "x" * 300, "C:x", "a\tb", "."))


def test_what_is_expected_of_a_mapping() -> None:
    for content in (3, {}, {"a": [1]}, {"a": None}, {"a": "b"}):
        with pytest.raises(TypeError):
            expect(content, {"a": [str]})
    with pytest.raises(TypeError):
        expect({"a": {"b": "c"}}, {"a": {int}})


# ---- Checkpoints ----


def test_a_checkpoint_runs_nothing_and_unpacks_no_bomb(tmp_path: Path) -> None:
    from malicious_pickles import MALICE

    ran, file = tmp_path / "ran", tmp_path / "x.ckpt"
    torch.save({"state_dict": MALICE["os.system"](ran)}, file)
    with pytest.raises(HopriorError, match="no whole file of tensors and plain values"):
        read_torch_file(file)
    assert not ran.exists()
    torch.save({"weights": torch.zeros(1 << 24)}, file)
    assert read_torch_file(file)["weights"].shape == (1 << 24,)
    packed = tmp_path / "packed.ckpt"
    with zipfile.ZipFile(file) as read, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in read.infolist():
            archive.writestr(member.filename, read.read(member))
    with pytest.raises(HopriorError, match="unpacks to 64 MiB"):
        read_torch_file(packed)
    for content in (b"", b"\x80\x04.", b"PK\x03\x04", bytes(99)):
        file.write_bytes(content)
        with pytest.raises(HopriorError, match=r"x\.ckpt"):
            read_torch_file(file)
