"""Convex parts are kept from one process to the next, and processes that simulate are there before they are needed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh

from hoprior.common import caches
from hoprior.common.caches import keep_arrays, kept_arrays
from hoprior.physics.simulation import convex
from hoprior.physics.simulation.beside import Beside
from hoprior.physics.simulation.convex import ConvexParts, convex_parts

PID = "__import__('os').getpid()"
BOX = trimesh.creation.box((0.1, 0.06, 0.04))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A cache of the test's own, and how often parts were made."""
    monkeypatch.setenv("HOPRIOR_CACHE_DIR", str(tmp_path))
    calls: list[str] = []

    def decompose(mesh: trimesh.Trimesh) -> list[trimesh.Trimesh]:
        calls.append("made")
        half = mesh.copy().apply_scale((0.5, 1.0, 1.0))
        return [half.copy().apply_translation((side * mesh.extents[0] / 4, 0, 0)) for side in (1, -1)]

    monkeypatch.setattr(convex, "_coacd", decompose)
    forget(monkeypatch)
    return calls


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a new process has it."""
    monkeypatch.setattr(convex, "_decompositions", type(convex._decompositions)())


def same(one: ConvexParts, other: ConvexParts) -> bool:
    pairs = zip(one.hulls, other.hulls, strict=True)
    alike = all(np.array_equal(a.vertices, b.vertices) and np.array_equal(a.faces, b.faces) for a, b in pairs)
    return alike and np.array_equal(one.center, other.center) and one.volume == other.volume


def kept_file(folder: Path) -> Path:
    (path,) = (folder / convex.KIND).glob("*.npz")
    return path


def test_a_later_process_finds_the_same_parts(made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = convex_parts(BOX)
    forget(monkeypatch)
    again = convex_parts(BOX.copy())
    assert again is not first and same(first, again) and made == ["made"]
    convex_parts(BOX.copy().apply_scale(1.1))
    assert made == ["made"] * 2
    monkeypatch.setattr(convex, "KEPT_FORMAT", convex.KEPT_FORMAT + 1)
    convex_parts(BOX.copy())
    assert made == ["made"] * 3


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "no archive": lambda path: path.write_bytes(b"\x80\x04" + bytes(300)),
    "a pickle": lambda path: np.savez(path, center=np.array([{"a": 1}], dtype=object)),
    "no parts": lambda path: np.savez(path, center=np.zeros(3)),
    "beyond its vertices": lambda path: np.savez(
        path, center=np.zeros(3), verts_0=np.zeros((4, 3)), faces_0=np.full((4, 3), 9)
    ),
    "no numbers": lambda path: np.savez(
        path, center=np.zeros(3), verts_0=np.full((4, 3), np.nan), faces_0=np.array([[0, 1, 2]])
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_made_anew(
    made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str
) -> None:
    first = convex_parts(BOX)
    DAMAGES[damage](kept_file(tmp_path))
    for expected in (2, 2):  # what was damaged is whole again
        forget(monkeypatch)
        assert same(first, convex_parts(BOX)) and len(made) == expected


def test_without_a_place_to_keep_them_parts_are_made(
    made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("HOPRIOR_CACHE_DIR", str(tmp_path / "file"))
    assert len(convex_parts(BOX).hulls) == 2 and made == ["made"]


def test_the_oldest_files_make_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOPRIOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(caches, "MOST_FILES", 3)
    for k in range(5):
        keep_arrays("kind", str(k), {"a": np.full(3, k)})
        os.utime(tmp_path / "kind" / f"{k}.npz", (k, k))
        if k == 2:
            assert kept_arrays("kind", "0") is not None  # read, and so no longer the oldest
    assert kept_arrays("kind", "1") is None and kept_arrays("kind", "2") is None
    found = kept_arrays("kind", "0")
    assert found is not None and found["a"].tolist() == [0, 0, 0]


@pytest.fixture
def beside() -> Iterator[Beside]:
    processes = Beside()
    yield processes
    if processes._pool is not None:
        processes._forget(processes._pool)


def test_processes_are_ready_before_there_is_work(beside: Beside) -> None:
    beside.start(1, os.getpid)
    assert beside.started(1) and not beside.started(2)
    other = beside.call(eval, [PID, PID], 1)
    assert len(set(other)) == 1 and os.getpid() not in other
    assert beside.call(eval, [PID, PID], 1) == other


def test_without_processes_the_work_is_done_here(beside: Beside) -> None:
    assert beside.call(eval, [PID], 1) == [os.getpid()]


def test_when_a_process_is_killed_the_work_is_done_here(beside: Beside) -> None:
    beside.start(1, os.getpid)
    (other,) = beside.call(eval, [PID], 1)
    os.kill(other, signal.SIGKILL)
    time.sleep(0.5)
    assert beside.call(eval, [PID, PID], 1) == [os.getpid()] * 2


def test_processes_end_with_the_one_that_started_them() -> None:
    program = (
        "import os, time\nfrom hoprior.physics.simulation.beside import Beside\nprocesses = Beside()\n"
        "processes.start(1, os.getpid)\nprint(processes.call(abs, [-1], 1), flush=True)\n"
        "print(next(iter(processes._pool._processes)), flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stdout.readline() == "[1]\n"
        worker = int(run.stdout.readline())
        run.kill()
    deadline = time.monotonic() + 20
    while _alive(worker) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _alive(worker)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
