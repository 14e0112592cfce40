"""The cache: the same whatever interrupted it, and never wrong in silence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up_mano import made_up_mano, write_as_published
from safetensors import safe_open

from hoprior.cli import main
from hoprior.datasets.procedural.source import Procedural
from hoprior.datasets.samples.background import BackgroundConfig
from hoprior.datasets.samples.cache import read_index, read_shard, write_shard
from hoprior.datasets.samples.grids import PrepareConfig, Progress, prepare, prepare_all, prepare_object, shard_key
from hoprior.errors import HopriorError


def contents(folder: Path) -> dict[str, Any]:
    """Each file's name and what is in it; safetensors does not keep the order of a header's entries."""
    found: dict[str, Any] = {"index": (folder / "index.json").read_text()}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name).tolist() for name in file.keys()}  # noqa: SIM118 (not a dict)
            found[path.name] = (file.metadata(), tensors)
    assert len(found) == len(list(folder.iterdir()))
    return found


def filled(folder: Path, sources: list[Any], config: PrepareConfig, workers: int = 1) -> list[Progress]:
    return list(prepare(sources, folder, config, workers))


def test_a_shard_returns_what_was_written(tmp_path: Path, stub_source: Any, tiny: PrepareConfig) -> None:
    source = stub_source()
    shard = prepare_object(source, source.objects()[0], tiny, "a" * 64)
    back = read_shard(write_shard(tmp_path, shard))
    assert back.key == shard.key and back.grasps.object == shard.grasps.object
    assert back.grasps.sentences == shard.grasps.sentences and back.grasps.sequences == shard.grasps.sequences
    for name, tensor in shard.grasps.tensors().items():
        assert torch.equal(back.grasps.tensors()[name], tensor), name
    assert torch.equal(back.sdf.values, shard.sdf.values.half())


def test_human_and_background_grasps_are_told_apart(stub_source: Any, tiny: PrepareConfig) -> None:
    source = stub_source()
    grasps = prepare_object(source, source.objects()[1], tiny, "k").grasps
    assert int(grasps.recorded.sum()) == source.num
    assert len(grasps) == source.num + tiny.background.num
    assert {s.text for s in grasps if not s.recorded} == {grasps.object.text}


def test_preparing_again_makes_nothing_again(tmp_path: Path, stub_source: Any, tiny: PrepareConfig) -> None:
    source = stub_source()
    filled(tmp_path, [source], tiny)
    before = contents(tmp_path)
    source.calls.clear()
    steps = filled(tmp_path, [source], tiny)
    assert source.calls == [] and all(step.reused for step in steps)
    assert contents(tmp_path) == before


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, stub_source: Any, tiny: PrepareConfig) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        filled(killed, [stub_source(fail_at="brick")], tiny)
    with pytest.raises(HopriorError, match="data prepare"):
        read_index(killed)
    assert len(list(killed.iterdir())) == 2, "the objects before the kill are kept, and nothing half-made"
    source = stub_source()
    filled(killed, [source], tiny)
    assert source.calls == ["brick"]
    filled(whole, [stub_source()], tiny)
    assert contents(killed) == contents(whole)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_shard_is_named_and_made_again(
    tmp_path: Path, stub_source: Any, tiny: PrepareConfig, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path, [stub_source()], tiny)
    good = contents(tmp_path)
    path = next(tmp_path.glob("stub-box-*"))
    raw = bytearray(path.read_bytes())
    if damage == "flip":
        raw[-20] ^= 0x10
    path.write_bytes({"cut": bytes(raw[:-100]), "flip": bytes(raw), "empty": b"", "text": b"not this"}[damage])
    with pytest.raises(HopriorError, match=path.name):
        read_shard(path)
    source = stub_source()
    filled(tmp_path, [source], tiny)
    assert source.calls == ["box"] and path.name in caplog.text
    assert contents(tmp_path) == good


def test_other_settings_make_other_shards(stub_source: Any, tiny: PrepareConfig) -> None:
    source = stub_source()
    info = source.objects()[0]
    key = shard_key(source, info, tiny)
    assert key == shard_key(stub_source(), info, tiny)
    others = [
        shard_key(source, info, replace(tiny, seed=1)),
        shard_key(source, info, replace(tiny, sdf_resolution=13)),
        shard_key(source, info, replace(tiny, background=BackgroundConfig(num=4))),
        shard_key(stub_source(num=7), info, tiny),
        shard_key(source, source.objects()[1], tiny),
    ]
    assert len({key, *others}) == 6


def said(folder: Path, sources: list[Any], config: PrepareConfig) -> list[str]:
    """What a run says of what it finds in a folder."""
    heard: list[str] = []
    for _ in prepare(sources, folder, config, say=heard.append):
        pass
    return heard


def test_a_run_says_what_it_finds(tmp_path: Path, stub_source: Any, tiny: PrepareConfig) -> None:
    assert said(tmp_path, [stub_source(names=("ball", "box"))], tiny) == []
    assert said(tmp_path, [stub_source()], tiny) == ["resumed: 2 of 3 objects are there"]
    seeded = replace(tiny, seed=1)
    assert said(tmp_path, [stub_source()], seeded) == ["started anew, because the seed differs"]
    min(tmp_path.glob("stub-box-*"), key=lambda path: path.stat().st_mtime_ns).unlink()  # that of the first seed
    other = replace(seeded, sdf_resolution=13)
    assert said(tmp_path, [stub_source()], other) == ["started anew, because the settings differ"]
    assert said(tmp_path, [stub_source(num=7)], other) == ["started anew, because the data differs"]
    assert said(tmp_path, [stub_source(name="further", names=("ball",))], other) == []


def test_the_command_says_what_it_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["data", "prepare", "--out", str(tmp_path), "--procedural", "1"]
    for background, sentence in ((2, ""), (2, "resumed: 1 of 1 objects"), (3, "started anew, because the settings")):
        assert main([*arguments, "--background", str(background)]) == 0
        out = capsys.readouterr().out
        assert sentence in out and ("resumed" in out or "anew" in out) == bool(sentence)


def test_another_mano_makes_other_shards(
    tmp_path: Path, stub_source: Any, tiny: PrepareConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever differs in the user's file, and wherever it is: the name alone says nothing."""
    config = replace(tiny, hand="mano")
    source = stub_source()
    keys = []
    for change in ({}, {}, {"shapedirs": 1.1}, {"posedirs": 1.1}):
        folder = tmp_path / str(len(keys))
        folder.mkdir()
        arrays = made_up_mano()
        write_as_published(arrays | {name: arrays[name] * by for name, by in change.items()}, folder / "MANO_RIGHT.pkl")
        monkeypatch.setenv("HOPRIOR_MANO_DIR", str(folder))
        keys.append(shard_key(source, source.objects()[0], config))
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_a_further_source_joins_the_cache(tmp_path: Path, stub_source: Any, tiny: PrepareConfig) -> None:
    prepare_all([stub_source()], tmp_path, tiny)
    prepare_all([stub_source(name="other", names=("ball",))], tmp_path, tiny)
    assert [entry["source"] for entry in read_index(tmp_path)] == ["other", "stub", "stub", "stub"]


def test_the_index_counts_what_is_there(tmp_path: Path, stub_source: Any, tiny: PrepareConfig) -> None:
    prepare_all([stub_source()], tmp_path, tiny)
    for entry in read_index(tmp_path):
        grasps = read_shard(tmp_path / entry["file"]).grasps
        assert (entry["recorded"], entry["background"]) == (grasps.recorded.sum(), (~grasps.recorded).sum())


def test_two_objects_of_one_name_are_refused(tmp_path: Path, stub_source: Any, tiny: PrepareConfig) -> None:
    with pytest.raises(HopriorError, match="same source and name"):
        prepare_all([stub_source(), stub_source()], tmp_path, tiny)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, stub_source: Any, tiny: PrepareConfig) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(HopriorError, match=str(blocked)):
        prepare_all([stub_source()], blocked / "cache", tiny)


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, stub_source: Any, tiny: PrepareConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(HopriorError, match="No space left"):
        prepare_all([stub_source()], tmp_path, tiny)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"format": 1, "sha')
    with pytest.raises(HopriorError, match=r"index\.json.*damaged"):
        read_index(tmp_path)


@pytest.mark.slow
def test_workers_make_what_one_process_makes(tmp_path: Path, tiny: PrepareConfig) -> None:
    sources = [Procedural(3, candidates=6)]
    filled(tmp_path / "one", sources, tiny)
    filled(tmp_path / "two", sources, tiny, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_an_object_without_any_grasp_is_a_clear_error(stub_source: Any, tiny: PrepareConfig) -> None:
    source = stub_source()
    source.grasps = lambda *_: None
    with pytest.raises(HopriorError, match="no grasps at all"):
        prepare_object(source, source.objects()[0], replace(tiny, background=BackgroundConfig(num=0)), "k")
