"""Priors by name, and weights in files (hoprior/priors/registry.py, hoprior/priors/pretrained.py)."""

import json
import os
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from hoprior.cli.priors import main
from hoprior.errors import HopriorError
from hoprior.priors import installed, pretrained
from hoprior.priors.base import Prior
from hoprior.priors.guidance import score
from hoprior.priors.pretrained import PretrainedMixin, class_path_of, load_safetensors, read_safetensors
from hoprior.priors.registry import available_priors, load_prior


class TinyEnergy(PretrainedMixin, LightningModule, Prior):
    """A prior of a dozen weights that trains and is saved like the real ones."""

    def __init__(self, width: int = 4, depths: list[int] | None = None) -> None:
        super().__init__()
        self.width = width
        self.depths = [1, 2] if depths is None else depths
        self.layer = nn.Linear(3, width)
        self.count: Tensor
        self.register_buffer("count", torch.tensor(2**20 + 1))

    def config(self) -> dict[str, Any]:
        return {"width": self.width, "depths": self.depths}

    def energy(self, state: Tensor, cond: Tensor | None) -> Tensor:
        return self.layer(state).square().sum(dim=1)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.energy(batch, None).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class NotAPrior(PretrainedMixin, nn.Module):
    """Loads from files, as a part of a prior may."""

    def config(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if an installed package had registered the classes of this file."""
    entries = [
        EntryPoint(name, f"{cls.__module__}:{cls.__name__}", pretrained.ENTRY_POINT_GROUP)
        for name, cls in (("tiny", TinyEnergy), ("wrong", NotAPrior))
    ]
    monkeypatch.setattr(pretrained, "entry_points", lambda group: entries)


def test_a_file_brings_the_prior_back(tmp_path: Path, registered: None) -> None:
    prior = TinyEnergy(width=5, depths=[3])
    prior.save_safetensors(tmp_path / "tiny.safetensors", {"licence": "CC0"})
    again = load_prior(tmp_path / "tiny.safetensors")
    assert isinstance(again, TinyEnergy) and again.config() == prior.config()
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    assert all(p.dtype == torch.float32 for p in again.parameters())
    state = torch.randn(6, 3)
    torch.testing.assert_close(score(again, state), score(prior, state), rtol=2e-2, atol=1e-3)
    torch.testing.assert_close(again.layer.weight, prior.layer.weight.detach().half().float(), rtol=0, atol=0)
    assert int(again.count) == 2**20 + 1  # whole numbers are not halved
    tensors, header = read_safetensors(tmp_path / "tiny.safetensors")
    assert tensors["layer.weight"].dtype == torch.float16
    assert header["licence"] == "CC0" and json.loads(header["config"]) == {"width": 5, "depths": [3]}


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    TinyEnergy().save_safetensors(tmp_path / "tiny.safetensors")
    state = torch.random.get_rng_state()
    TinyEnergy.from_safetensors(tmp_path / "tiny.safetensors")
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_lightning_checkpoint_brings_the_prior_back(tmp_path: Path, registered: None) -> None:
    prior = TinyEnergy(width=6)
    trainer = Trainer(
        max_steps=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(prior, DataLoader(torch.randn(8, 3), batch_size=4))  # type: ignore[arg-type]
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = load_prior(tmp_path / "last.ckpt")
    assert isinstance(again, TinyEnergy) and again.width == 6 and not again.training
    torch.testing.assert_close(again.layer.weight, prior.layer.weight.detach(), rtol=0, atol=0)


def test_a_file_chooses_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing the module it names would already be running code: it must not come to that."""
    (tmp_path / "evil.py").write_text("raise SystemExit('code ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for class_path in ("evil.Prior", "os.system", "hoprior", "hoprior_evil.Prior", "", "Prior", ".evil.Prior"):
        header = {"class_path": class_path, "config": "{}"}
        save_file({"a": torch.zeros(1)}, tmp_path / "evil.safetensors", header)
        with pytest.raises(HopriorError, match="does not choose what code is run"):
            load_prior(tmp_path / "evil.safetensors")
        torch.save({"hoprior": header, "state_dict": {}}, tmp_path / "evil.ckpt")
        with pytest.raises(HopriorError, match="does not choose what code is run"):
            load_prior(tmp_path / "evil.ckpt")


def test_a_pickle_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "code_ran"),)

    torch.save({"state_dict": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(HopriorError, match="tensors and plain values"):
        load_prior(tmp_path / "evil.ckpt")
    assert not (tmp_path / "code_ran").exists()


@pytest.mark.parametrize("name", ["hoprior.errors.HopriorError", "hoprior.priors.nonesuch", "hoprior.nonesuch.Prior"])
def test_only_classes_that_load_from_files_are_made(tmp_path: Path, name: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"class_path": name, "config": "{}"})
    with pytest.raises(HopriorError, match=name):
        load_safetensors(tmp_path / "a.safetensors")


def damaged(kind: str, path: Path) -> None:
    """A file of TinyEnergy's with something wrong."""
    TinyEnergy().save_safetensors(path)
    tensors, header = read_safetensors(path)
    match kind:
        case "cut short":
            path.write_bytes(path.read_bytes()[:-10])
        case "empty":
            path.write_bytes(b"")
        case "absent":
            path.unlink()
        case "no config":
            save_file(tensors, path, {"class_path": header["class_path"]})
        case "config is a list":
            save_file(tensors, path, header | {"config": "[1]"})
        case "unknown argument":
            save_file(tensors, path, header | {"config": '{"wdith": 4}'})
        case "other size":
            save_file(tensors, path, header | {"config": '{"width": 5}'})
        case "missing weight":
            save_file({"count": tensors["count"]}, path, header)


@pytest.mark.parametrize(
    "kind, message",
    [
        ("cut short", "not a whole safetensors file"),
        ("empty", "not a whole safetensors file"),
        ("absent", "there is no such file"),
        ("no config", "not written by save_safetensors"),
        ("config is a list", "no mapping"),
        ("unknown argument", "does not fit this version's TinyEnergy .*wdith"),
        ("other size", "does not fit this version's TinyEnergy .*size mismatch"),
        ("missing weight", "does not fit this version's TinyEnergy .*layer.weight"),
    ],
)
def test_damaged_files_are_refused_in_one_sentence(tmp_path: Path, registered: None, kind: str, message: str) -> None:
    path = tmp_path / "tiny.safetensors"
    damaged(kind, path)
    for load in (TinyEnergy.from_safetensors, load_prior):
        with pytest.raises(HopriorError, match=message) as caught:
            load(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_of_another_class_is_refused(tmp_path: Path, registered: None) -> None:
    NotAPrior().save_safetensors(tmp_path / "part.safetensors")
    with pytest.raises(HopriorError, match="NotAPrior, not a"):
        TinyEnergy.from_safetensors(tmp_path / "part.safetensors")
    with pytest.raises(HopriorError, match="not a prior"):
        load_prior(tmp_path / "part.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e5])
def test_weights_beyond_half_precision_are_not_written(tmp_path: Path, value: float) -> None:
    prior = TinyEnergy()
    with torch.no_grad():
        prior.layer.bias[1] = value
    with pytest.raises(HopriorError, match=r"layer\.bias"):
        prior.save_safetensors(tmp_path / "tiny.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny.safetensors"
    TinyEnergy().save_safetensors(path)
    before = path.read_bytes()

    def full(self: Path, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(HopriorError, match=r"cannot be written \(No space left"):
        TinyEnergy().save_safetensors(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_names_classes_and_entry_points(tmp_path: Path, registered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(load_prior("tiny"), TinyEnergy)
    assert isinstance(load_prior(class_path_of(TinyEnergy)), TinyEnergy)
    with pytest.raises(HopriorError, match="not a prior"):
        load_prior("wrong")
    TinyEnergy(width=9).save_safetensors(tmp_path / "shipped.safetensors")
    monkeypatch.setattr(installed, "SHIPPED_FOLDER", tmp_path)
    shipped = load_prior("shipped")
    assert isinstance(shipped, TinyEnergy) and shipped.width == 9
    assert list(available_priors()) == ["shipped", "tiny", "wrong"]


def test_shipped_priors_hardly_look_at_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is installed is looked through each time, which took a third of the loading of five priors."""
    looks = []
    monkeypatch.setattr(pretrained, "entry_points", lambda group: looks.append(group) or [])
    load_prior("pose")
    load_prior("contrastive")
    assert len(looks) <= 2


@pytest.mark.parametrize("name", ["nonesuch", "", "some/where", "contrastve"])
def test_unknown_names_are_answered_with_the_known_ones(registered: None, name: str) -> None:
    with pytest.raises(HopriorError, match=r"is unknown: use one of those installed \(.*tiny"):
        load_prior(name)


@pytest.mark.parametrize("name", ["hoprior.nonesuch.Prior", "hoprior.priors.Nonesuch", "hoprior.priors.WeightedPrior"])
def test_class_paths_that_cannot_be_made_are_refused(name: str) -> None:
    with pytest.raises(HopriorError, match="cannot be made"):
        load_prior(name)


def test_every_shipped_prior_loads() -> None:
    for name in available_priors():
        assert load_prior(name).text_encoder_name in (None, "minilm")


def test_the_command_lists_them(registered: None, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert "tiny" in capsys.readouterr().out


def test_the_command_says_when_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "SHIPPED_FOLDER", tmp_path)
    monkeypatch.setattr(pretrained, "entry_points", lambda group: [])
    with pytest.raises(HopriorError, match="no prior is installed"):
        main([])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("hoprior.models.contrastive.ContrastivePrior", "contrastive"),
        ("hoprior.models.text_match.TextMatchPrior", "text_match"),
        ("hoprior.models.words.WordsPrior", "text_match"),  # its path in earlier versions
    ],
)
def test_the_class_of_a_shipped_prior_is_untrained_and_says_so(
    path: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    load_prior(name)
    assert not caplog.records
    load_prior(path)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == f"{path}: its weights are untrained; load_prior('{name}') has the trained ones"


@pytest.mark.parametrize(
    ("name", "setting", "value"), [("pose", "width", 10**7), ("contrastive", "width", 10**6), ("pose", "layers", 10**6)]
)
def test_settings_of_a_network_that_no_machine_holds_are_refused_at_once(
    tmp_path: Path, name: str, setting: str, value: Any
) -> None:
    tensors, header = read_safetensors(installed.shipped_files()[name])
    config = json.loads(header["config"])
    assert setting in config
    path = tmp_path / "large.safetensors"
    save_file(tensors, path, {**header, "config": json.dumps({**config, setting: value})})
    with pytest.raises(HopriorError, match="its settings are of more than"):
        load_safetensors(path)


def test_weights_are_not_drawn_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of `torch.nn.init` would be overwritten by the file's; drawing them took a third of the loading."""
    drawn = []
    for name in ("uniform_", "normal_"):
        monkeypatch.setattr(torch.Tensor, name, lambda self, *given, **named: drawn.append(self) or self)
    prior = load_prior("grid")
    assert not drawn
    assert all(bool(tensor.isfinite().all()) for tensor in prior.state_dict().values())
