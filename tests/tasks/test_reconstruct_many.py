"""Reconstructions of many clips: each whole or not at all, gone on with after a kill, failures told."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from documented_outputs import faults_of
from held_box import QUICK, QUICK_OPTIONS

import hoprior
from hoprior.cli.entry import main
from hoprior.errors import HopriorError
from hoprior.results.reconstructions import CHECKPOINT, INDEX
from hoprior.tasks.many import Outcome
from hoprior.tasks.reconstruct import many
from hoprior.tasks.reconstruct.many import are_clips, clip_digest, clip_items

SHORT = replace(QUICK, hand_steps=2, steps=2, rounds=0)
FLAGS = ["--prior", "none", "--no-report", *QUICK_OPTIONS]


@pytest.fixture
def clips(folder: Path, tmp_path: Path) -> Path:
    """Two clips, and one without masks."""
    place = tmp_path / "clips"
    shutil.copytree(folder, place / "box")
    shutil.copytree(folder, place / "more" / "025_mug.v2")
    shutil.copytree(folder, place / "broken")
    shutil.rmtree(place / "broken" / "obj_mask")
    return place


def made(clips: object, out: Path, **settings: object) -> dict[str, Outcome]:
    given = {"priors": (), "config": SHORT, **settings}
    return {outcome.name: outcome for outcome in hoprior.reconstruct_many(clips, out, **given)}  # type: ignore[arg-type]


def test_what_cannot_be_used_is_told_and_the_others_are_done_once(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said: list[str] = []
    found = made(clips, out, text="a {name}")
    assert {name: one.status for name, one in found.items()} == {
        "box": "done",
        "025_mug_v2": "done",
        "broken": "failed",
    }
    assert "obj_mask" in str(found["broken"].error) and not (out / "broken").exists()
    index = json.loads((out / "box" / INDEX).read_text())
    assert index["text"] == "a box" and faults_of(out / "manifest.json") == []
    before = (out / "box" / INDEX).stat().st_mtime_ns
    again = made(clips, out, text="a {name}", device="cpu", tell=said.append)
    assert {name: one.status for name, one in again.items()} == {
        "box": "kept",
        "025_mug_v2": "kept",
        "broken": "failed",
    }
    assert (out / "box" / INDEX).stat().st_mtime_ns == before and said == ["resumed: 2 of 3 are there"]
    (clips / "box" / "text.txt").write_text("something else")
    changed = made([clips / "box"], out, text="a {name}", tell=said.append)
    assert changed["box"].status == "done" and "because the clip differs" in said[-1]


def test_the_same_as_one_by_one(clips: Path, tmp_path: Path) -> None:
    made([clips / "box"], tmp_path / "out")
    alone = hoprior.reconstruct(clips / "box", priors=(), config=SHORT)
    index = json.loads((tmp_path / "out" / "box" / INDEX).read_text())
    assert index["poses"]["T_hand_object"] == alone.T_hand_object.tolist()


def test_a_stopped_clip_goes_on_where_it_was(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Path] = []
    single = many.reconstruct

    @wraps(single)
    def noting(*given: Any, **settings: Any) -> Any:
        told.append(settings["checkpoint"])
        return single(*given, **settings)

    monkeypatch.setattr(many, "reconstruct", noting)
    made([clips / "box"], tmp_path / "out")
    assert told == [tmp_path / "out" / "box" / CHECKPOINT] and not told[0].exists()


def test_the_command_on_a_folder_and_on_a_pattern(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["run", "reconstruct", "--clip", str(clips), "--out", str(out), *FLAGS, "--json"]) == 1
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert (found["clips"], found["done"], found["kept"], found["failed"]) == (3, 2, 0, 1)
    assert "broken" in shown.err and str(out / "manifest.json") in shown.err
    command = ["run", "reconstruct", "--clip", str(clips / "b[o]x"), "--out", str(out), *FLAGS, "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 1


def test_after_a_kill_the_rest_is_done_once(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.rmtree(clips / "broken")
    words = [sys.executable, "-m", "hoprior", "run", "reconstruct", "--clip", str(clips), "--out", str(out), *FLAGS]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 240
        while not list(out.glob(f"*/{INDEX}")) and time.monotonic() < deadline and run.poll() is None:
            time.sleep(0.02)
        os.kill(run.pid, signal.SIGKILL)
    first = {path: path.stat().st_mtime_ns for path in out.glob(f"*/{INDEX}")}
    assert first
    assert subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=240).returncode == 0
    assert len(list(out.glob(f"*/{INDEX}"))) == 2
    assert all(path.stat().st_mtime_ns == when for path, when in first.items())
    assert json.loads((out / "manifest.json").read_text())["counts"] == {"done": 2, "failed": 0, "waiting": 0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--clip", "{clips}/box", "--workers", "2"], "give a folder of them"),
        (["--clip", "{clips}", "--hands", "hands.npz"], "--hands is for one clip"),
        (["--clip", "{clips}", "--engine", "slurm"], "--engine slurm is unknown: use local or ray"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    clips: Path, tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hands.npz").touch()
    words = [word.replace("{clips}", str(clips)).replace("hands.npz", str(tmp_path / "hands.npz")) for word in words]
    assert main(["run", "reconstruct", *words, "--out", str(tmp_path / "out"), *FLAGS]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_which_clips_are_meant(clips: Path, tmp_path: Path) -> None:
    assert are_clips(clips) and are_clips(clips / "*") and not are_clips(clips / "box")
    assert not are_clips(tmp_path / "nothing") and not are_clips(clips / "box" / "image")
    assert [item.name for item in clip_items(clips)] == ["box", "broken", "025_mug_v2"]
    assert [item.name for item in clip_items(str(clips / "b*"))] == ["box", "broken"]
    with pytest.raises(HopriorError, match="no clips in it"):
        clip_items(clips / "box" / "image")
    with pytest.raises(HopriorError, match="no folder is called so"):
        clip_items(str(clips / "z*"))
    with pytest.raises(HopriorError, match="at least"):
        clip_items([])
    with pytest.raises(HopriorError, match="no argument of reconstruct_many"):
        hoprior.reconstruct_many(clips, tmp_path / "out", checkpoint=tmp_path)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / INDEX).write_text("{}")
    with pytest.raises(HopriorError, match="holds a reconstruction of one clip"):
        hoprior.reconstruct_many(clips, tmp_path / "one")


def test_a_digest_of_a_clip_is_of_its_content(clips: Path) -> None:
    before = clip_digest(clips / "box")
    assert before == clip_digest(clips / "more" / "025_mug.v2") != clip_digest(clips / "broken")
    (clips / "box" / ".thumbnails").write_text("not the clip's")
    assert clip_digest(clips / "box") == before
    (clips / "box" / "text.txt").rename(clips / "box" / "words.txt")
    assert clip_digest(clips / "box") != before
