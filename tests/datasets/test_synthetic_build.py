"""The synthetic set: the same whatever interrupted it, never silently fewer, and readable as grasps and as a source."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import synthesis_settings
import torch
from synthesis_settings import MAKE, TINY

from hoprior.cli.entry import main
from hoprior.datasets.samples.background import BackgroundConfig
from hoprior.datasets.samples.cache import read_index
from hoprior.datasets.samples.cache import read_shard as read_cached
from hoprior.datasets.samples.grids import PrepareConfig, prepare_all
from hoprior.datasets.synthetic import build
from hoprior.datasets.synthetic.build import SynthesisConfig, make_object, synthesize_all
from hoprior.datasets.synthetic.manifest import Entry, read_manifest
from hoprior.datasets.synthetic.objects import Catalogue
from hoprior.datasets.synthetic.shards import read_shard
from hoprior.datasets.synthetic.source import Synthetic
from hoprior.errors import HopriorError
from hoprior.geometry.state import transform_points
from hoprior.hand import load_hand
from hoprior.language.object_words import WORDINGS
from hoprior.language.taxonomy import BY_NUMBER

SCRIPT = """
from pathlib import Path
from synthesis_settings import TINY
from hoprior.datasets.synthetic.build import synthesize_all
if __name__ == "__main__":
    synthesize_all(TINY, Path("{out}"), {workers})
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set, made in one go in this process."""
    out = tmp_path_factory.mktemp("set") / "whole"
    threads = torch.get_num_threads()
    synthesize_all(TINY, out)
    torch.set_num_threads(threads)
    return out


def contents(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    return {"hash": manifest["hash"], **{entry["file"]: entry["digest"] for entry in manifest["shards"]}}


def started(tmp_path: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    """The same set, being made in a process of its own."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(out=out, workers=workers))
    tests = Path(synthesis_settings.__file__).resolve().parent
    path = os.pathsep.join([str(tests.parent), str(tests), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": path})


def test_a_run_says_what_it_finds(tmp_path: Path, whole: Path) -> None:
    def said(config: SynthesisConfig, out: Path) -> list[str]:
        heard: list[str] = []
        build.say_what_is_there(config, out, heard.append)
        return heard

    count = len(list(whole.glob("*.safetensors")))
    assert said(TINY, tmp_path) == []
    assert said(TINY, whole) == said(replace(TINY, num=99), whole) == [f"resumed: {count} objects are there"]
    assert said(replace(TINY, make=replace(MAKE, depth=0.02)), whole) == ["started anew, because the settings differ"]
    reseeded = replace(TINY, catalogue=replace(TINY.catalogue, seed=1))
    assert said(reseeded, whole) == ["started anew, because the seed differs"]
    assert said(replace(TINY, catalogue=Catalogue.of(["mug"], [], 0)), whole) == []


def test_a_killed_run_goes_on_and_ends_with_the_same_set(tmp_path: Path, whole: Path) -> None:
    out = tmp_path / "killed"
    process = started(tmp_path, out, workers=1)
    deadline = time.monotonic() + 300
    while not list(out.glob("*.safetensors")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(HopriorError, match="data synthesize"):
        read_manifest(out)
    reused: list[bool] = []
    synthesize_all(TINY, out, report=lambda step: reused.append(step.reused))
    assert reused[0] and not reused[-1]
    assert contents(out) == contents(whole)


@pytest.mark.slow
def test_any_number_of_workers_makes_the_same_set(tmp_path: Path, whole: Path) -> None:
    out = tmp_path / "two"
    assert started(tmp_path, out, workers=2).wait() == 0
    assert contents(out) == contents(whole)


def test_grasps_say_what_they_are_and_are_where_their_part_is(whole: Path) -> None:
    manifest = read_manifest(whole)
    assert manifest["grasps"] >= TINY.num and manifest["grasps"] == sum(e["grasps"] for e in manifest["shards"])
    assert sum(row["held"] for row in manifest["taxonomy"].values()) == manifest["grasps"]
    assert manifest["licence"] and manifest["versions"]["torch"]
    hand = load_hand()
    for entry in manifest["shards"]:
        shard = read_shard(whole / entry["file"])
        if shard.grasps is None:
            continue
        for i, sample in enumerate(shard.grasps):
            assert sample.label.taxonomy in BY_NUMBER and sample.label.part in shard.part_names
            assert len(shard.texts(i)) == WORDINGS and sample.text in shard.texts(i)
            assert sample.label.intention in ("use", "hand over", "move", "hold")
        assert shard.depth.max() < MAKE.depth and len(shard.depth) == len(shard.grasps)
        joints = hand.joints_only(hand.angles_to_pose(shard.grasps.angles), shard.grasps.betas)
        torch.testing.assert_close(joints, shard.grasps.joints_hand)
        assert shard.grasps.betas.std() > 0.3
        placed = transform_points(shard.grasps.T_object_hand, joints)
        assert placed.norm(dim=-1).max() < 0.5
        assert hand.limit_energy(shard.grasps.angles).max() < 1e-6


def test_the_set_feeds_the_training_cache_with_its_labels(tmp_path: Path, whole: Path) -> None:
    source = Synthetic(whole)
    config = PrepareConfig(sdf_resolution=16, background=BackgroundConfig(num=2, steps=2, batch=2))
    prepare_all([source], tmp_path / "cache", config)
    entries = read_index(tmp_path / "cache")
    assert sum(entry["recorded"] for entry in entries) == read_manifest(whole)["grasps"]
    grasps = read_cached(tmp_path / "cache" / entries[0]["file"]).grasps
    recorded = [sample.label for sample in grasps if sample.recorded]
    shard = source.shard(grasps.object)
    assert shard.grasps is not None and recorded == [sample.label for sample in shard.grasps]
    assert all(sample.label.taxonomy == 0 for sample in grasps if not sample.recorded)


def test_a_damaged_shard_is_named_and_made_again(tmp_path: Path, whole: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in whole.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    entry = read_manifest(copy)["shards"][0]
    damaged = copy / entry["file"]
    raw = bytearray(damaged.read_bytes())
    raw[-8] ^= 0x10
    damaged.write_bytes(bytes(raw))
    with pytest.raises(HopriorError, match=f"{damaged.name}.*damaged"):
        read_shard(damaged)
    assert main(["data", "stats", str(copy)]) == 2
    synthesize_all(TINY, copy)
    assert damaged.name in caplog.text and contents(copy) == contents(whole)


def test_pictures_and_tables_of_a_set(tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "stats", str(whole)]) == 0
    assert "dumbbell" in capsys.readouterr().out and (whole / "stats.png").stat().st_size > 1000
    assert main(["data", "preview", str(whole), "--num", "2", "--out", str(tmp_path / "two.png")]) == 0
    assert (tmp_path / "two.png").stat().st_size > 1000
    assert main(["data", "preview", str(whole), "--kind", "6"]) == 2


def test_bad_requests_are_one_sentence_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["--num", "0"], "at least one grasp"),
        (["--num", "1", "--families", "anvil"], "no procedural family 'anvil'"),
        (["--num", "1", "--workers", "0"], "--workers 0"),
        (["--num", "1", "--families", "none"], "nothing to grasp"),
        (["--num", "1", "--families", "none", "--meshes", str(tmp_path)], "no mesh files"),
    ):
        assert main(["data", "synthesize", "--out", str(tmp_path / "out"), *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error and "Traceback" not in error
    (tmp_path / "file").write_text("")
    assert main(["data", "synthesize", "--out", str(tmp_path / "file"), "--num", "1"]) == 2
    assert main(["data", "stats", str(tmp_path)]) == 2


def test_a_full_disk_ends_the_run_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(HopriorError, match="free some space"):
        synthesize_all(TINY, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def use_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of processes, each of which takes seconds to begin."""
    monkeypatch.setattr(build, "process_pool", ThreadPoolExecutor)
    monkeypatch.setattr(build, "end_workers", lambda pool: pool.shutdown(wait=True, cancel_futures=True))


@pytest.mark.parametrize("deaths", [0, 1, 2])
def test_objects_come_in_their_order_though_workers_die(
    deaths: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The second object takes the longest, and its worker is ended from outside that often."""
    tries: list[int] = []

    def make(config: SynthesisConfig, i: int, out: Path) -> Entry:
        tries.append(i)
        if i == 1 and tries.count(1) <= deaths:
            raise BrokenProcessPool("ended")
        time.sleep(0.05 if i == 1 else 0.0)
        return Entry(i, f"thing_{i}", "thing", file=f"{i}.safetensors", grasps=10)

    monkeypatch.setattr(build, "make_object", make)
    use_threads(monkeypatch)
    run = build.synthesize(TINY, tmp_path, workers=2)
    if deaths == build.STRIKES:
        with pytest.raises(
            HopriorError, match=rf"ended from outside 2 times.* {TINY.catalogue.info(1).name}.*--workers"
        ):
            list(run)
        return
    assert [(step.entry.object, step.total) for step in run] == [("thing_0", 10), ("thing_1", 20), ("thing_2", 30)]
    assert [entry["object"] for entry in read_manifest(tmp_path)["shards"]] == ["thing_0", "thing_1", "thing_2"]
    assert tries.count(1) == 1 + deaths and ("made again" in caplog.text) == (deaths > 0)


def test_workers_take_what_is_there(tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(config: SynthesisConfig, i: int, out: Path) -> Entry:
        return Entry(i, f"more_{i}", "thing", grasps=1)

    for path in whole.glob("*.safetensors"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(build, "make_object", make)
    use_threads(monkeypatch)
    steps = list(build.synthesize(TINY, tmp_path, workers=3))
    there = [entry["object"] for entry in read_manifest(whole)["shards"]]
    assert [step.entry.object for step in steps] == there and all(step.reused for step in steps)


def test_a_mesh_that_is_gone_is_skipped_with_its_reason(tmp_path: Path) -> None:
    from trimesh.creation import box

    mesh = tmp_path / "brick.stl"
    box((0.2, 0.08, 0.06)).export(mesh)
    config = replace(TINY, catalogue=Catalogue.of([], [mesh], 0))
    mesh.unlink()
    entry = build.kept_entry(config, 0, tmp_path)
    assert entry is not None and entry.skipped is not None and "brick" in entry.skipped and entry.grasps == 0
    heard: list[str] = []
    build.say_what_is_there(config, tmp_path, heard.append)
    assert heard == []
    with pytest.raises(HopriorError, match=r"gave no grasp, such as brick.*0 of 24"):
        synthesize_all(config, tmp_path / "out")


def test_objects_that_fail_are_named_and_fruitless_runs_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(config: SynthesisConfig, i: int, out: Path) -> Entry:
        return Entry(i, f"thing_{i}", "thing", skipped="no inside")

    monkeypatch.setattr(build, "make_object", broken)
    with pytest.raises(HopriorError, match=r"thing_3: no inside.*0 of 24"):
        synthesize_all(TINY, tmp_path)

    def sometimes(config: SynthesisConfig, i: int, out: Path) -> Entry:
        return broken(config, i, out) if i == 0 else make_object(config, i, out)

    monkeypatch.setattr(build, "make_object", sometimes)
    synthesize_all(replace(TINY, num=1), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["skipped"] == [{"object": "thing_0", "reason": "no inside"}]
