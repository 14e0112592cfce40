"""`hoprior fit|validate|test|predict` and `export`, on a data set of balls that is made on the fly."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml
from PIL import Image
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.utils.data import DataLoader
from training_balls import BallData
from training_settings import CONFIGS, QUIET, SMALL_PRIOR, SMALL_VQVAE, column

from hoprior.cli import main as hoprior
from hoprior.cli.configurations import main
from hoprior.cli.export import main as export
from hoprior.cli.fit import command_line
from hoprior.errors import HopriorError
from hoprior.models.grid_prior import GridPrior
from hoprior.models.shape_autoencoder import ShapeAutoencoder
from hoprior.models.training.ema import EMA
from hoprior.models.training.optim import PATIENCE, SkipNonFinite, adamw_with_warmup
from hoprior.models.vqvae import SdfVQVAE
from hoprior.priors.pretrained import load_checkpoint, load_safetensors

TRAINING_CONFIGS = sorted(path for path in CONFIGS.rglob("*.yaml") if "model" in yaml.safe_load(path.read_text()))


DATA = ["--data=training_balls.BallData", "--data.batch_size=4"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which both stages were trained for six steps by the command line."""
    folder = tmp_path_factory.mktemp("trained")
    config = f"--config={CONFIGS / 'vqvae.yaml'}"
    fit = ["--trainer.max_steps=6", "--checkpoint.every_n_train_steps=4", *QUIET, *DATA]
    main(["fit", config, *SMALL_VQVAE, *fit, f"--out={folder / 'vqvae'}"])
    export([str(folder / "vqvae" / "last.ckpt"), str(folder / "vqvae.safetensors")])
    config = f"--config={CONFIGS / 'grid_prior.yaml'}"
    vqvae = f"--model.vqvae={folder / 'vqvae.safetensors'}"
    main(["fit", config, vqvae, *SMALL_PRIOR, *fit, f"--out={folder / 'prior'}"])
    return folder


def prior_arguments(folder: Path) -> list[str]:
    config = f"--config={CONFIGS / 'grid_prior.yaml'}"
    vqvae = f"--model.vqvae={folder / 'vqvae.safetensors'}"
    return [config, vqvae, *SMALL_PRIOR, *QUIET, *DATA, f"--out={folder / 'prior'}"]


def test_both_stages_train(trained: Path) -> None:
    """Six steps are one and a half epochs, and no multiple of the interval at which checkpoints are written."""
    assert len(column(trained / "vqvae", "val/iou")) > 0
    assert len(column(trained / "prior", "train/loss")) == 6
    assert all(0 <= auc <= 1 for auc in column(trained / "prior", "val/auc"))
    checkpoint = torch.load(trained / "prior" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 6


def test_how_fast_it_goes_is_logged(trained: Path) -> None:
    steps, samples = (column(trained / "vqvae", f"train/{name}_per_s") for name in ("steps", "samples"))
    assert len(steps) == 6 and min(steps) > 0
    assert samples == pytest.approx([4 * rate for rate in steps])


@pytest.mark.parametrize(("package", "logger", "kept"), [
    ("wandb", ["WandbLogger", "project=mine", "offline=true"], "wandb/offline-run-*/*.wandb"),
    ("tensorboard", ["TensorBoardLogger"], "lightning_logs/version_0/events.*"),
])  # fmt: skip
def test_other_loggers_keep_curves_without_an_account(
    package: str, logger: list[str], kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    where = [f"--trainer.logger={logger[0]}", *(f"--trainer.logger.{item}" for item in logger[1:])]
    fit = [*where, f"--trainer.logger.save_dir={tmp_path}", "--trainer.max_steps=4", *QUIET, *DATA]
    upload = ["--checkpoint.upload=true"]
    main(["fit", f"--config={CONFIGS / 'vqvae.yaml'}", *SMALL_VQVAE, *fit, *upload, f"--out={tmp_path / 'run'}"])
    if package == "wandb":
        import wandb

        wandb.finish()  # else the last of it is written when the process ends
    found = list(tmp_path.glob(kept))
    assert found, sorted(path.name for path in tmp_path.rglob("*"))
    assert (tmp_path / "run" / "last.ckpt").exists() and list(tmp_path.rglob("config.yaml"))
    for name in ("train/loss", "train/steps_per_s", "val/iou", "pictures/objects"):
        assert any(name.encode() in path.read_bytes() for path in found), name
    if package == "wandb":
        pictures = list(tmp_path.glob("wandb/offline-run-*/files/media/images/pictures/objects_*.png"))
        assert len(pictures) == 1 and len(np.unique(np.asarray(Image.open(pictures[0])).reshape(-1, 3), axis=0)) > 5
        # The settings that a run is found by later, and its checkpoint as an artifact.
        assert b"decoder_channels" in found[0].read_bytes() and b"SdfVQVAE" in found[0].read_bytes()
    else:
        assert "decoder_channels" in (found[0].parent / "hparams.yaml").read_text()


@pytest.mark.parametrize("argument", [["--trainer.logger", "WandbLogger"], ["--trainer.logger=TensorBoardLogger"]])
def test_a_logger_that_is_not_installed_is_one_sentence(
    argument: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hoprior.common.optional.find_spec", lambda name: None)
    assert hoprior(["fit", "--config", "contrastive", *argument]) == 2
    told = capsys.readouterr().err
    assert "is not installed: pip install 'hoprior[" in told and len(told.splitlines()) == 1


def test_a_logger_of_a_file_that_is_not_installed_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever Lightning has, named in a configuration."""
    if find_spec("comet_ml") is not None:
        pytest.skip("comet_ml is installed")
    (tmp_path / "mine.yaml").write_text("trainer: {logger: {class_path: CometLogger}}\n")
    argv = [
        "fit",
        f"--config={CONFIGS / 'vqvae.yaml'}",
        f"--config={tmp_path / 'mine.yaml'}",
        *SMALL_VQVAE,
        *DATA,
        *QUIET,
    ]
    assert hoprior(argv) == 2
    told = capsys.readouterr().err
    assert "CometLogger needs a package that is not installed (comet" in told


def test_without_another_logger_pictures_lie_beside_the_curves(trained: Path) -> None:
    """The first validation is after four steps; six steps are no second epoch."""
    for run, name in (("vqvae", "objects"), ("prior", "interactions")):
        folder = trained / run / "curves" / "version_0" / "pictures"
        assert [path.name for path in folder.iterdir()] == [f"{name}_000004.png"]


def test_pictures_are_drawn_as_often_as_is_said(tmp_path: Path) -> None:
    for every, expected in ((0, []), (2, [4, 12])):
        out = tmp_path / str(every)
        often = [f"--pictures.every={every}", "--trainer.max_steps=16", *QUIET, *DATA]
        main(["fit", f"--config={CONFIGS / 'vqvae.yaml'}", *SMALL_VQVAE, *often, f"--out={out}"])
        assert [int(path.stem[-6:]) for path in sorted(out.rglob("objects_*.png"))] == expected


def test_the_log_has_nothing_to_sell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    argv = ["fit", f"--config={CONFIGS / 'vqvae.yaml'}", *SMALL_VQVAE, *DATA, *QUIET, "--trainer.fast_dev_run=true"]
    with caplog.at_level("INFO"):
        main([*argv, "--trainer.logger=CSVLogger", f"--trainer.logger.save_dir={tmp_path}", f"--out={tmp_path}"])
        main([*[word for word in argv if "fast_dev" not in word], "--trainer.max_steps=1", f"--out={tmp_path}"])
    assert caplog.records and "litlogger" not in caplog.text


def test_a_bar_shows_how_far_a_training_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole of it, once, though every configuration leaves it to the terminal; `--quiet` has none."""
    assert not any("enable_progress_bar" in path.read_text() for path in CONFIGS.rglob("*.yaml"))
    quiet = [flag for flag in QUIET if "progress_bar" not in flag]
    fit = ["fit", f"--config={CONFIGS / 'vqvae.yaml'}", *SMALL_VQVAE, "--trainer.max_steps=5", *quiet, *DATA]
    assert hoprior(["fit", *fit[1:], f"--out={tmp_path / 'shown'}"]) == 0
    told = capsys.readouterr().err
    assert "5/5" in told and "trained" in told and "loss" in told and "Epoch" not in told
    assert hoprior([*fit, f"--out={tmp_path / 'quiet'}", "--quiet"]) == 0
    assert "5/5" not in capsys.readouterr().err


def test_the_data_follow_the_models_grid(trained: Path) -> None:
    cli = command_line([argument for argument in prior_arguments(trained)], run=False)
    assert isinstance(cli.model, GridPrior)
    assert cli.datamodule.spec == cli.model.spec == cli.model.vqvae.spec
    assert cli.model.spec.resolution == 16


def test_the_normalisation_is_the_first_batchs(trained: Path) -> None:
    prior = load_checkpoint(trained / "prior" / "last.ckpt")
    assert isinstance(prior, GridPrior)
    batch = next(iter(BallData(prior.spec.center, prior.spec.half_extent, prior.spec.resolution).train_dataloader()))
    x = prior.encode_grids(batch["object_sdf"], batch["joints_hand"])
    torch.testing.assert_close(x.mean(dim=(0, 2, 3, 4)), torch.zeros(24), rtol=0, atol=1e-3)
    torch.testing.assert_close(x.std(dim=(0, 2, 3, 4)), torch.ones(24), rtol=1e-3, atol=1e-3)


def test_a_decoder_is_trained_on_alone(trained: Path, tmp_path: Path) -> None:
    weights = trained / "vqvae.safetensors"
    tuned = "--trainer.callbacks+=hoprior.models.training.fine_tune.FineTune"
    config = [f"--config={CONFIGS / 'vqvae.yaml'}", *SMALL_VQVAE, *QUIET, *DATA, f"--out={tmp_path / 'tuned'}"]
    learn = [tuned, f"--trainer.callbacks.weights={weights}", "--trainer.callbacks.learn=[decoder]"]
    main(["fit", *config, *learn, "--trainer.max_steps=4"])
    before = SdfVQVAE.from_safetensors(weights)
    after = load_checkpoint(tmp_path / "tuned" / "last.ckpt")
    assert isinstance(after, SdfVQVAE)
    for name, tensor in before.encoder.state_dict().items():
        torch.testing.assert_close(after.encoder.state_dict()[name], tensor, rtol=0, atol=0)
    changed = [name for name, t in before.decoder.state_dict().items() if not t.equal(after.decoder.state_dict()[name])]
    assert len(changed) > len(before.decoder.state_dict()) / 2

    with pytest.raises(HopriorError, match="has no part named ears: it has components, decoder, encoder, quantizer"):
        main(["fit", *config, *learn[:2], "--trainer.callbacks.learn=[ears]", "--trainer.max_steps=4"])


def test_training_resumes_where_it_stopped(trained: Path) -> None:
    resumed = [f"--ckpt_path={trained / 'prior' / 'last.ckpt'}", "--trainer.max_steps=9"]
    before = torch.load(trained / "prior" / "last.ckpt", weights_only=True)
    main(["fit", *prior_arguments(trained), *resumed])
    after = torch.load(trained / "prior" / "last.ckpt", weights_only=True)
    assert (before["global_step"], after["global_step"]) == (6, 9)
    assert len(column(trained / "prior" / "curves" / "version_1", "train/loss")) == 3
    assert after["averaging_state"]["n_averaged"] == before["averaging_state"]["n_averaged"] + 3


def test_a_training_that_goes_on_with_other_settings_is_said(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "prior").mkdir()
    checkpoint = shutil.copy(trained / "prior" / "last.ckpt", tmp_path / "prior" / "last.ckpt")
    resumed = [*prior_arguments(trained), f"--ckpt_path={checkpoint}", f"--out={tmp_path / 'prior'}"]
    step = torch.load(checkpoint, weights_only=True)["global_step"]
    main(["fit", *resumed, f"--trainer.max_steps={step + 1}"])
    assert "from now on" not in caplog.text
    main(["fit", *resumed, f"--trainer.max_steps={step + 2}", "--data.batch_size=2", "--seed_everything=3"])
    assert f"resumed at step {step + 1}, but the data and the seed differ from now on" in caplog.text


def test_validate_test_and_predict_read_the_checkpoint(trained: Path) -> None:
    for command in ("validate", "test", "predict"):
        main([command, *prior_arguments(trained), "--ckpt_path=last"])


def test_the_averaged_weights_are_exported(trained: Path) -> None:
    export([str(trained / "prior" / "last.ckpt"), str(trained / "prior.safetensors")])
    prior = load_safetensors(trained / "prior.safetensors")
    checkpoint = torch.load(trained / "prior" / "last.ckpt", weights_only=True)
    assert isinstance(prior, GridPrior)
    for name, value in prior.state_dict().items():
        torch.testing.assert_close(value, checkpoint["state_dict"][name], rtol=2e-3, atol=1e-4)
    current = checkpoint["current_model_state"]["unet.head.2.weight"]
    assert not torch.equal(current, checkpoint["state_dict"]["unet.head.2.weight"])


@pytest.mark.parametrize("arguments", [["a.ckpt"], ["no.ckpt", "out.safetensors"]])
def test_what_cannot_be_exported_is_said(arguments: list[str]) -> None:
    with pytest.raises(HopriorError):
        export(arguments)


@pytest.mark.parametrize("path", TRAINING_CONFIGS, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_configuration_is_whole(path: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    arguments = [f"--config={path}", f"--out={tmp_path}", "--trainer.accelerator=cpu", "--trainer.devices=1"]
    if "vqvae" in config["model"]["init_args"]:
        vqvae = yaml.safe_load(path.with_name("vqvae.yaml").read_text())["model"]["init_args"]
        SdfVQVAE(**vqvae).save_safetensors(tmp_path / "vqvae.safetensors")
        arguments.append(f"--model.vqvae={tmp_path / 'vqvae.safetensors'}")
    if "shapes" in config["model"]["init_args"]:
        shapes = yaml.safe_load(path.with_name("shape_autoencoder.yaml").read_text())["model"]["init_args"]
        ShapeAutoencoder(**shapes).save_safetensors(tmp_path / "shapes.safetensors")
        arguments.append(f"--model.shapes={tmp_path / 'shapes.safetensors'}")
    cli = command_line(arguments, run=False)
    # A model that learns from vectors has a grid for its draws alone.
    assert not hasattr(cli.datamodule, "spec") or cli.datamodule.spec == cli.model.spec
    assert f"{type(cli.model).__module__}.{type(cli.model).__qualname__}" == config["model"]["class_path"]


@pytest.mark.slow
def test_the_papers_size_takes_a_step(tmp_path: Path) -> None:
    step = ["--trainer.max_steps=1", "--trainer.limit_val_batches=0", "--checkpoint.save_last=false"]
    step += [*DATA, "--data.batch_size=1", *QUIET]
    config = CONFIGS / "paper" / "vqvae.yaml"
    arguments = yaml.safe_load(config.read_text())["model"]["init_args"]
    SdfVQVAE(**arguments).save_safetensors(tmp_path / "vqvae.safetensors")
    main(["fit", f"--config={config}", *step, f"--out={tmp_path}"])
    text = ["--model.text_dim=6", f"--model.vqvae={tmp_path / 'vqvae.safetensors'}"]
    main(["fit", f"--config={CONFIGS / 'paper' / 'grid_prior.yaml'}", *text, *step, f"--out={tmp_path / 'prior'}"])
    assert column(tmp_path / "prior", "train/loss")[0] == pytest.approx(1.0, abs=0.05)  # it begins by predicting zero


class Slope(pl.LightningModule):
    """One weight, drawn down by one for each unit of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Its gradient is the batch."""
        return (self.weight * batch).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain descent."""
        return torch.optim.SGD(self.parameters(), lr=1.0)


def descend(batches: list[float], *callbacks: pl.Callback) -> float:
    """The weight after the batches."""
    model = Slope()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(torch.tensor(batches), batch_size=1))  # type: ignore[arg-type]
    return float(model.weight.detach())


def test_a_step_that_is_not_finite_is_left_out() -> None:
    assert descend([1.0, float("nan"), 2.0, float("inf"), 3.0], SkipNonFinite()) == -6.0


def test_a_training_that_diverged_says_so() -> None:
    with pytest.raises(HopriorError, match="not finite"):
        descend([float("nan")] * PATIENCE, SkipNonFinite())


def test_the_average_forgets_where_it_began() -> None:
    """Weights go -1, -2, ...; the decays are 2/11, 3/12, ... until the given one."""
    steps, decay = 30, 0.5
    average = -1.0
    for n in range(1, steps):
        share = min(decay, (1 + n) / (10 + n))
        average = share * average + (1 - share) * -(n + 1)
    ema = EMA(decay)
    assert isinstance(ema, WeightAveraging)
    assert descend([1.0] * steps, ema) == pytest.approx(average, rel=1e-5)


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    parameter = nn.Parameter(torch.ones(2, 2))
    made = adamw_with_warmup([parameter], 0.1, 0.0, warmup_steps=10, total_steps=110)
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]  # type: ignore[index]
    rates = []
    for _ in range(111):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[0] == pytest.approx(0.01) and rates[9] == pytest.approx(0.1) == max(rates)
    assert rates[60] == pytest.approx(0.05, rel=1e-3) and rates[110] == pytest.approx(0.0, abs=1e-9)


def test_only_matrices_decay() -> None:
    module = nn.Linear(3, 3)
    optimizer = adamw_with_warmup(module.parameters(), 0.1, 0.01, 1, 10)["optimizer"]  # type: ignore[index]
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays[id(module.weight)] == 0.01 and decays[id(module.bias)] == 0.0
