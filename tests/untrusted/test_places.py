"""Where results go: no run takes or removes what is another's, whatever was killed or lives beside it."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from hoprior.common.io import check_place, strict_json, write_atomically, write_folder
from hoprior.common.reading import read_json
from hoprior.common.run_key import RunKey
from hoprior.common.staging import remove_single_leftovers, staging_folder, staging_folders
from hoprior.datasets.samples.sample import ObjectInfo
from hoprior.errors import HopriorError
from hoprior.results.folder import ResultFolder
from hoprior.results.reconstructions import CHECKPOINT, INDEX, check_writable

RESULTS = ResultFolder("grasp")


def save(folder: Path, says: str, num: int = 1) -> Path:
    def write(staging: Path) -> None:
        names = RESULTS.glb_names(num)
        for name in names:
            (staging / name).write_text(says)
        index = {"format": "hoprior-grasps/1", "says": says, "files": [*names, RESULTS.index_name]}
        (staging / RESULTS.index_name).write_text(json.dumps(index))

    return RESULTS.write(folder, write)


def leave(place: Path, name: str, token: str = "0123456789ab") -> Path:
    folder = place / f".hoprior-{name}-{token}.tmp"
    folder.mkdir(parents=True)
    (folder / "half").write_text("half")
    return folder


def test_what_a_killed_run_of_the_same_process_number_left_costs_nothing(tmp_path: Path) -> None:
    """In a container every run has the same number."""
    out = tmp_path / "out"
    for place in (tmp_path, out):
        leave(place, "out", str(os.getpid()))
    save(out, "new")
    assert {path.name for path in out.iterdir()} == {"grasp_000.glb", "grasps.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


@pytest.mark.parametrize("is_new", [True, False])
def test_a_run_that_finishes_leaves_one_that_writes_alone(tmp_path: Path, is_new: bool) -> None:
    """The other is another process, as in life: locks are of processes and of open files."""
    out = tmp_path / "out"
    if not is_new:
        save(out, "old")
    program = (
        "import sys; from pathlib import Path; from hoprior.common.io import write_folder\n"
        "def write(staging):\n"
        "    (staging / 'slow').write_text('a'); print('writes', flush=True); sys.stdin.readline()\n"
        "    (staging / 'slower').write_text('b')\n"
        f"write_folder(Path({str(out)!r}), write)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as slow:
        assert slow.stdin is not None and slow.stdout is not None
        assert slow.stdout.readline() == b"writes\n"
        save(out, "quick")
        save(out, "quicker")
        slow.stdin.write(b"\n")
        slow.stdin.close()
        assert slow.wait(60) == 0
    assert (out / "slow").is_file() and (out / "slower").is_file() and json.loads((out / "grasps.json").read_text())
    assert not staging_folders(out, "out") and not staging_folders(tmp_path, "out")


def test_two_runs_at_one_folder_never_mix(tmp_path: Path) -> None:
    out, faults = tmp_path / "out", []

    def many(says: str, num: int) -> None:
        try:
            for _ in range(40):
                save(out, says, num)
        except HopriorError as error:
            faults.append(error)

    threads = [threading.Thread(target=many, args=pair) for pair in (("a", 3), ("b", 5), ("c", 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    index = json.loads((out / "grasps.json").read_text())
    assert {(out / name).read_text() for name in index["files"] if name.endswith("glb")} == {index["says"]}
    assert {path.name for path in out.iterdir()} == set(index["files"])


def test_only_what_nobody_holds_is_removed(tmp_path: Path) -> None:
    held, left = leave(tmp_path, "a.json", "aaaaaaaaaaaa"), leave(tmp_path, "a.json", "bbbbbbbbbbbb")
    (held / "half").rename(held / "a.json")
    (left / "half").rename(left / "a.json")
    foreign = leave(tmp_path, "b.json", "cccccccccccc")
    lock = os.open(held, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    remove_single_leftovers.cache_clear()
    write_atomically(tmp_path / "c.json", lambda path: path.write_text("{}"))
    assert held.is_dir() and not left.exists()
    assert foreign.is_dir(), "more than the file that it is called by is in it"
    os.close(lock)


def test_a_staging_folder_that_was_taken_for_a_leftover_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def flock(descriptor: int, _: int) -> None:
        if not taken:
            taken.extend(tmp_path.iterdir())
            taken[0].rmdir()

    monkeypatch.setattr("hoprior.common.staging.fcntl.flock", flock)
    with staging_folder(tmp_path, "out") as staging:
        assert staging.is_dir() and staging != taken[0]
    assert not list(tmp_path.iterdir())


def test_permissions_are_those_of_any_new_folder(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    save(tmp_path / "out", "new")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize("moved", range(4))
def test_a_run_killed_while_it_moves_its_files_can_be_run_again(
    tmp_path: Path, moved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, count, replace = save(tmp_path / "out", "old", 3), 0, os.replace

    class Killed(BaseException):
        pass

    def stop(source: Path, target: Path) -> None:
        nonlocal count
        count += 1
        if count > moved:
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", stop)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # nobody tidies up after a kill
        with pytest.raises(Killed):
            save(out, "new", 3)
    if (out / "grasps.json").is_file():
        index = json.loads((out / "grasps.json").read_text())
        assert {(out / name).read_text() for name in index["files"] if name.endswith("glb")} == {index["says"]}
    RESULTS.check_writable(out)
    save(out, "new", 2)
    assert {path.name for path in out.iterdir()} == {"grasp_000.glb", "grasp_001.glb", "grasps.json"}


@pytest.mark.parametrize("name", [".hoprior-other-12.tmp", ".hoprior-out-12.tmp"])
def test_an_entry_of_such_a_name_opens_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "out" / name).mkdir(parents=True)
    (tmp_path / "out" / "grasp_000.glb").write_text("somebody's")
    with pytest.raises(HopriorError, match="holds files that hoprior did not write"):
        save(tmp_path / "out", "new")
    with pytest.raises(HopriorError, match="holds files that are no reconstruction"):
        check_writable(tmp_path / "out")
    assert (tmp_path / "out" / "grasp_000.glb").read_text() == "somebody's"


def test_somebodys_training_is_no_reconstruction(tmp_path: Path) -> None:
    """A folder with a checkpoint of that name, which would be deleted, and files that would be written over."""
    torch.save({"state_dict": {"w": torch.zeros(3)}, "epoch": 3}, tmp_path / CHECKPOINT)
    (tmp_path / "config.yaml").write_text("theirs")
    with pytest.raises(HopriorError, match=r"checkpoint\.pt is none of a reconstruction"):
        check_writable(tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    (tmp_path / INDEX).write_text('{"format": "another/1"}')
    with pytest.raises(HopriorError, match="no reconstruction"):
        check_writable(tmp_path)
    assert (tmp_path / "config.yaml").read_text() == "theirs"


def test_a_reconstruction_s_own_checkpoint_is_known_by_its_content(tmp_path: Path) -> None:
    key = RunKey.of({"the clip": 1, "the hands": 2, "the masks": 3, "the seed": 0})
    torch.save({"key": key.plain(), "step": 3}, tmp_path / CHECKPOINT)
    check_writable(tmp_path)


def test_an_index_deletes_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "theirs.txt").write_text("theirs")
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "sub" / "a").write_text("theirs")
    names = ["../theirs.txt", "sub/a", str(tmp_path / "theirs.txt"), "sub", ".."]
    write_folder(tmp_path / "out", lambda staging: (staging / "a").write_text("ours"), stale=lambda: names)
    assert (tmp_path / "theirs.txt").is_file() and (tmp_path / "out" / "sub" / "a").is_file()


# ---- Names out of data ----


@pytest.mark.parametrize("name", ["../../x", "a/b", "/etc/x", "a\0b", "x" * 300, "a\nb"])
def test_an_object_whose_name_is_no_file_s_is_refused(name: str) -> None:
    with pytest.raises(HopriorError, match="cannot be the name of a file"):
        ObjectInfo(name, "mug", "obman", "CC0", "", "a hand")


# ---- Odd places ----


def test_places_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(HopriorError, match="a link to what is not there"):
        check_place(tmp_path / "link")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(HopriorError, match="no longer there"):
        check_place(Path("out"))


def test_names_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    """File systems hold bytes; Python has the odd ones as halves of characters."""
    (tmp_path / "a.json").write_text(strict_json({"mug\udcff": Path("x\udcff.jpg"), "says": "\ud800"}), "utf-8")
    assert read_json(tmp_path / "a.json") == {"mug?": "x?.jpg", "says": "?"}


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        (path / "half" if path.is_dir() else path).write_text("half")
        raise OSError(28, "No space left on device")

    for write in (write_atomically, write_folder):
        with pytest.raises(HopriorError, match="free some space"):
            write(tmp_path / "x", fail)
        assert not list(tmp_path.iterdir())
