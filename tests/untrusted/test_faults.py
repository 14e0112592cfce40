"""Kills, signals, languages and places: the same command afterwards gives what it would have given."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hoprior.cli.entry import Terminated, stoppable
from hoprior.common.caches import cache_folder
from hoprior.common.io import write_atomically, write_folder
from hoprior.common.staging import remove_single_leftovers
from hoprior.errors import HopriorError
from hoprior.results.folder import ResultFolder

RESULTS = ResultFolder("grasp")
KILLS = 60


def save(folder: Path, says: str) -> None:
    def write(staging: Path) -> None:
        names = RESULTS.glb_names(1 + len(says) % 7)
        for name in names:
            (staging / name).write_text(says * 2000)
        index = {"format": "hoprior-grasps/1", "says": says, "files": [*names, RESULTS.index_name]}
        (staging / RESULTS.index_name).write_text(json.dumps(index))

    RESULTS.write(folder, write)


def is_whole(folder: Path) -> bool:
    """Whether the index, if there is one, tells of files that are there and of its own run."""
    if not (folder / RESULTS.index_name).is_file():
        return False
    index = json.loads((folder / RESULTS.index_name).read_text())
    told = [(folder / name).read_text() for name in index["files"] if name != RESULTS.index_name]
    return all(text == index["says"] * 2000 for text in told)


def in_a_child(work, seconds: float | None) -> None:  # type: ignore[no-untyped-def]
    """Does some work in a process, and kills it after a time."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_killed_writers_of_results_leave_a_whole_or_none_and_cost_the_next_nothing(tmp_path: Path) -> None:
    rng, out = random.Random(0), tmp_path / "out"
    start = time.monotonic()
    in_a_child(lambda: save(out, "x"), None)
    once = max(0.002, time.monotonic() - start)

    def endlessly() -> None:
        for k in range(10_000):
            save(out, "x" * (1 + k % 9))

    left = 0
    for kill in range(KILLS):
        in_a_child(endlessly, rng.uniform(0.2, 3) * once)
        there = (out / RESULTS.index_name).is_file()
        assert not there or is_whole(out)
        left += not there or any(path.name.startswith(".hoprior") for path in (*tmp_path.iterdir(), *out.iterdir()))
        if kill % 3 == 2:
            save(out, "y")
            assert is_whole(out) and not [path for path in out.iterdir() if path.name.startswith(".hoprior")]
    assert left, "no kill hit a writer at its work"
    save(out, "z" * 3)
    index = json.loads((out / RESULTS.index_name).read_text())
    assert is_whole(out) and {path.name for path in out.iterdir()} == set(index["files"])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_killed_writers_of_files_leave_the_old_or_the_new(tmp_path: Path) -> None:
    rng, file = random.Random(1), tmp_path / "a.json"

    def endlessly() -> None:
        for k in range(100_000):
            write_atomically(file, lambda path, k=k: path.write_text(f"{k % 10}" * 200_000))  # type: ignore[misc]

    for _ in range(KILLS):
        in_a_child(endlessly, rng.uniform(0.002, 0.02))
        if file.is_file():
            text = file.read_text()
            assert len(text) == 200_000 and len(set(text)) == 1
    remove_single_leftovers.cache_clear()
    write_atomically(file, lambda path: path.write_text("z"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"] and file.read_text() == "z"


def test_sigterm_leaves_nothing_half_written(tmp_path: Path) -> None:
    def write(staging: Path) -> None:
        (staging / "half").write_text("half")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), stoppable():
        write_folder(tmp_path / "out", write)
    assert not list(tmp_path.iterdir()) and signal.getsignal(signal.SIGTERM) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_only_be_read_is_said_before_the_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(HopriorError, match="ask for the permission"):
            RESULTS.check_writable(tmp_path / "out")
    finally:
        tmp_path.chmod(0o755)


def test_a_machine_without_a_home_says_where_to_put_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("HOPRIOR_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", staticmethod(none))
    with pytest.raises(HopriorError, match="set HOPRIOR_CACHE_DIR"):
        cache_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/hoprior")


def test_the_language_of_the_machine_does_not_matter(tmp_path: Path) -> None:
    """Names and sentences have letters that ASCII has not."""
    program = (
        "import sys; from pathlib import Path; from hoprior.results.folder import write_config\n"
        "from hoprior.common.io import strict_json, write_table\n"
        "from hoprior.common.reading import read_json, read_yaml\n"
        "out = Path(sys.argv[1]); text = 'T\\u00fcr \\u676f'\n"
        "write_config(out, {'text': text}); assert read_yaml(out / 'config.yaml') == {'text': text}\n"
        "write_table(out / 'a.csv', [text], [[text]])\n"
        "(out / 'a.json').write_text(strict_json({text: text}), encoding='utf-8')\n"
        "assert read_json(out / 'a.json') == {text: text}"
    )
    environment = {**os.environ, "LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment, capture_output=True)
    assert run.returncode == 0, run.stderr.decode(errors="replace")


def in_a_small_place(place: str, size: str, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a program where a folder is a disk of so many bytes, which only its process sees."""
    mounted = f"mount -t tmpfs -o size={size} small {place} && exec {sys.executable} -c "
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk (unshare -m)")
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", mounted + '"$0" "$@"', program, *words], capture_output=True, text=True
    )


def test_without_room_to_share_memory_workers_are_refused_in_a_sentence() -> None:
    """Containers have little of /dev/shm; one process needs none of it."""
    program = (
        "import os, sys\n"
        "from hoprior.common.jobs import run_jobs\n"
        "from hoprior.errors import HopriorError\n"
        "open('/dev/shm/full', 'wb').write(bytes(4096))\n"
        "assert [result for _, result in run_jobs(pow, [(2, 3), (3, 2)], workers=1)] == [8, 9]\n"
        "try:\n"
        "    list(run_jobs(pow, [(2, 3), (3, 2)], workers=2))\n"
        "except HopriorError as error:\n"
        "    print(error)\n"
    )
    run = in_a_small_place("/dev/shm", "4k", program)
    assert run.returncode == 0, run.stderr
    assert "no workers can be started (No space left on device)" in run.stdout and "--workers 1" in run.stdout


def test_a_disk_that_is_really_full_leaves_what_was_there(tmp_path: Path) -> None:
    """Not by an error that was put in: by a disk of 64 KB, at every kind of writing."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from hoprior.common.io import write_atomically, write_folder, write_table\n"
        "from hoprior.errors import HopriorError\n"
        "disk = Path(sys.argv[1])\n"
        "write_atomically(disk / 'file', lambda path: path.write_text('old'))\n"
        "write_folder(disk / 'folder', lambda path: (path / 'x').write_text('old'))\n"
        "much = 'new' * 100_000\n"
        "for write in (\n"
        "    lambda: write_atomically(disk / 'file', lambda path: path.write_text(much)),\n"
        "    lambda: write_folder(disk / 'folder', lambda path: (path / 'x').write_text(much)),\n"
        "    lambda: write_table(disk / 'table.csv', ['a'], [[much]]),\n"
        "):\n"
        "    try:\n"
        "        write()\n"
        "        print('written')\n"
        "    except HopriorError as error:\n"
        "        print('free some space' in str(error))\n"
        "print(sorted(path.name for path in disk.iterdir()))\n"
        "print((disk / 'file').read_text(), (disk / 'folder' / 'x').read_text())\n"
    )
    run = in_a_small_place(str(tmp_path), "64k", program, str(tmp_path))
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["True", "True", "True", "['file', 'folder']", "old old"]
