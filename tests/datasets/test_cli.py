"""`hoprior data prepare`: one command from nothing to batches."""

from pathlib import Path

import pytest

from hoprior.cli.data_prepare import main, prepare_data
from hoprior.datasets.samples.cache import read_index, read_shard
from hoprior.errors import HopriorError


def test_a_cache_comes_from_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--out", str(tmp_path), "--procedural", "2", "--background", "2", "--seed", "3"])
    assert "2 objects" in " ".join(capsys.readouterr().out.split())  # lines may end anywhere in a long path
    entries = read_index(tmp_path)
    assert [entry["category"] for entry in entries] == ["cup", "mug"]
    for entry in entries:
        assert entry["recorded"] >= 10 and entry["background"] == 2
        grasps = read_shard(tmp_path / entry["file"]).grasps
        assert entry["category"] in grasps.object.text
        assert grasps.joints_object[grasps.recorded].norm(dim=-1).max() < 0.5, "hands are at the object"


def test_nothing_asked_for_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(HopriorError, match="--myodm FOLDER, --procedural NUMBER, --synthetic FOLDER or --parts NUMBER"):
        prepare_data(tmp_path)


def test_a_release_without_its_meshes_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "MyoHand_mug_lift.npz").write_bytes(b"")
    with pytest.raises(HopriorError, match="--myodm_meshes and --myodm_hand"):
        prepare_data(tmp_path / "cache", myodm=tmp_path)


def test_an_empty_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(HopriorError, match=r"grasps\.npz"):
        prepare_data(tmp_path / "cache", myodm=tmp_path)
