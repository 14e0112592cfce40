"""Sets and checkpoints of somebody else's: their names open no shell and no file outside, their addresses nothing."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest
import torch
from malicious_pickles import MALICE
from safetensors.torch import save_file
from training_settings import CONFIGS, QUIET, SMALL_VQVAE

from hoprior.datasets.samples.cache import read_index
from hoprior.datasets.streaming.datamodule import opened
from hoprior.datasets.streaming.items import LENGTHS, decoded
from hoprior.datasets.streaming.pack import damaged_shards, read_manifest
from hoprior.datasets.synthetic.manifest import read_manifest as read_synthetic
from hoprior.errors import HopriorError
from hoprior.priors.installed import shipped_files
from hoprior.priors.pretrained import read_safetensors
from hoprior.priors.registry import load_prior

ENTRY = {"split": "train", "recorded": True, "items": 1, "bytes": 1, "sha256": "0", "categories": {"mug": 1}}
MANIFEST = {"format": 1, "sentences": [], "objects": [], "categories": {"mug": 1}, "items": 1, "bytes": 1}
OUTSIDE = ["/etc/passwd", "../../x", "shards/../../x", "pipe:touch ran; /..", "", None, 3, ["a"]]


@pytest.mark.parametrize("file", OUTSIDE)
@pytest.mark.parametrize("where", [".", "set"])
def test_a_set_names_no_file_outside_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: object, where: str
) -> None:
    (tmp_path / "set").mkdir()
    monkeypatch.chdir(tmp_path / "set" if where == "." else tmp_path)
    Path(where, "manifest.json").write_text(json.dumps({**MANIFEST, "shards": [{**ENTRY, "file": file}]}))
    for read in (read_manifest, damaged_shards):
        with pytest.raises(HopriorError, match=r"not below its folder|damaged"):
            read(Path(where))
    content = {"format": 1, "hash": "0", "shards": [{"file": file or 3, "object": "mug", "grasps": 1}]}
    Path(where, "manifest.json").write_text(json.dumps(content))
    with pytest.raises(HopriorError, match=r"not below its folder|damaged"):
        read_synthetic(Path(where))
    Path(where, "index.json").write_text(json.dumps(content))
    with pytest.raises(HopriorError, match=r"not below its folder|damaged"):
        read_index(Path(where))


def test_the_name_of_a_shard_runs_no_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("webdataset")
    monkeypatch.chdir(tmp_path)
    for name in ("pipe:touch ran", "pipe:touch ran #.tar", "http://127.0.0.1:9/a.tar", "file:/etc/passwd"):
        with pytest.raises(HopriorError, match="a shard cannot be read"):
            list(opened([name], repeat=False, buffer=0, seed=0))
    assert not Path("ran").exists()
    # A file of such a name is a file.
    with tarfile.open("pipe:touch ran", "w") as archive:
        member = tarfile.TarInfo("a.grasp")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    assert [item["grasp"] for item in opened(["pipe:touch ran"], repeat=False, buffer=0, seed=0)] == [b"abc"]
    assert not Path("ran").exists()


def test_an_item_that_unpacks_without_end_is_refused() -> None:
    import zlib

    meta = {name: "" for name in ("object", "source", "category", "sequence", "text")}
    for resolution, size in ((40, 1 << 28), (10**9, 1), (4, 3), ("4", 64), (-4, 64)):
        grid = {"center": [0, 0, 0], "half_extent": 0.1, "resolution": resolution}
        head = json.dumps({**meta, "recorded": True, "label": {}, "grid": grid}).encode()
        parts = (head, bytes(4 * 118), zlib.compress(bytes(size), 9))
        with pytest.raises(HopriorError, match="damaged item"):
            decoded("a", LENGTHS.pack(*map(len, parts)) + b"".join(parts))


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.ckpt", "s3://bucket/x.ckpt", "memory://x", "zip://a::b"])
def test_a_checkpoint_has_no_address(address: str) -> None:
    from hoprior.cli.configurations import main

    with pytest.raises(HopriorError, match="is an address, and checkpoints are read from files"):
        main(["fit", *training(), f"--ckpt_path={address}"])


def test_a_checkpoint_s_file_runs_nothing(tmp_path: Path) -> None:
    from hoprior.cli.configurations import main

    ran = tmp_path / "ran"
    torch.save({"state_dict": MALICE["os.system"](ran)}, tmp_path / "x.ckpt")
    with pytest.raises(HopriorError, match="no whole file of tensors and plain values"):
        main(["fit", *training(), f"--ckpt_path={tmp_path / 'x.ckpt'}", f"--out={tmp_path}"])
    assert not ran.exists()


def training() -> list[str]:
    data = ["--data=training_balls.BallData", "--data.batch_size=4"]
    return [f"--config={CONFIGS / 'vqvae.yaml'}", *SMALL_VQVAE, *QUIET, *data, "--trainer.max_steps=1"]


@pytest.fixture(autouse=True)
def balls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small data set of the tests of training."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "cli"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")


# ---- Priors ----


@pytest.mark.parametrize("name", ["os.getcwd", "sys.exit", "os.abort", "builtins.dict", "pathlib.Path"])
def test_what_is_no_prior_is_not_called(name: str) -> None:
    with pytest.raises(HopriorError, match="is no class of a prior"):
        load_prior(name)


def test_settings_that_torch_asserts_against_are_refused(tmp_path: Path) -> None:
    """Seven heads for a width that is no multiple of seven: torch's own modules assert."""
    tensors, header = read_safetensors(shipped_files()["pose"])
    config = json.loads(header["config"]) | {"heads": 7}
    save_file(tensors, tmp_path / "a.safetensors", {**header, "config": json.dumps(config)})
    with pytest.raises(HopriorError, match=r"a\.safetensors: does not fit this version's PosePrior \(.*divisible"):
        load_prior(tmp_path / "a.safetensors")


def test_settings_of_a_giant_are_refused(tmp_path: Path) -> None:
    """A kilobyte that asks for hundreds of gigabytes."""
    path = shipped_files()["pose"]
    tensors, header = read_safetensors(path)
    config = json.loads(header["config"])
    giant = {name: 20_000 if isinstance(value, int) and value >= 32 else value for name, value in config.items()}
    assert giant != config
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors", {**header, "config": json.dumps(giant)})
    with pytest.raises(HopriorError, match=r"a\.safetensors: does not fit this version's PosePrior"):
        load_prior(tmp_path / "a.safetensors")
    assert tensors
