"""`hoprior fit|validate|test|predict`, Lightning's command line; and what makes weights of a checkpoint."""

import json
import logging
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from hoprior.common.console import MANNER
from hoprior.common.run_key import RunKey
from hoprior.common.torch_files import read_torch_file
from hoprior.errors import ArgumentError, HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.models.base import TrainedModule
from hoprior.models.training.bar import TrainingBar
from hoprior.models.training.lightning import trainable
from hoprior.models.training.optim import SkipNonFinite
from hoprior.models.training.pictures import SamplePictures
from hoprior.models.training.seeding import SeededSteps
from hoprior.models.training.throughput import Throughput
from hoprior.priors.pretrained import load_checkpoint

logger = logging.getLogger(__name__)

MADE_OF = "hoprior_run"
"""Where a training checkpoint has the `RunKey` of its training."""

LIGHTNING_CHATTER = (
    "LightningCLI's args parameter is intended",  # we hand it the arguments of our own command
    "Found .* in eval mode at the start of training",  # a frozen VQ-VAE is meant to be
    "Precision bf16-mixed is not supported by the model summary",
    r".*isinstance\(treespec, LeafSpec\)",
    "You're resuming from a checkpoint that ended before the epoch",  # our data goes on where the training was
    "The WeightAveraging state cannot be restored",
)
"""Warnings that every run would show and that nobody can act on."""

ADVERTISED = ("litlogger", "litmodels")
"""Services that Lightning's log recommends at each run."""

MISSING = r"Problem with given class_path '([\w.]+)':\s+(.*\s+)?Requirement '([^']+)' not met"
"""In jsonargparse's long account of settings that it could not make, what is not installed."""


class Checkpoint(ModelCheckpoint):
    """Lightning's, which also saves the last step of a training, wherever that falls between its intervals.

    It does so before the training ends: there the averaged weights replace the current ones, from which a longer
    training would go on.
    """

    made_of = RunKey({})
    """What the training follows from, but for how long it is: set by the command line."""

    def __init__(self, *args: Any, upload: bool = False, **kwargs: Any) -> None:
        """As Lightning's.

        Args:
            upload: whether Weights & Biases gets the last checkpoint of a training as an artifact, when it has ended.
        """
        super().__init__(*args, **kwargs)
        self.upload = upload

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keeps with the weights what they were trained by."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        checkpoint[MADE_OF] = self.made_of.plain()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Says in the log whether a training that goes on is another one from now on; that may be what is wanted."""
        super().on_load_checkpoint(trainer, pl_module, checkpoint)
        earlier = RunKey.read(checkpoint.get(MADE_OF))
        if trainer.training and earlier is not None and (differing := self.made_of.differing(earlier)):
            logger.warning("resumed at step %d, but %s from now on", checkpoint["global_step"], differing)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves the last of a number of steps, or of a time."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if trainer.global_step == trainer.max_steps or trainer.should_stop:
            self._save_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the last of a number of epochs."""
        super().on_train_epoch_end(trainer, pl_module)
        if trainer.current_epoch + 1 == trainer.max_epochs:
            self._save_last(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Too late to save anything."""

    def _save_last(self, trainer: Trainer) -> None:
        if self.save_last and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            path = f"{self.dirpath}/{self.CHECKPOINT_NAME_LAST}{self.FILE_EXTENSION}"
            trainer.save_checkpoint(path)
            for logger in trainer.loggers if self.upload and trainer.is_global_zero else ():
                if isinstance(logger, WandbLogger):
                    logger.experiment.log_artifact(path, name=type(trainer.lightning_module).__name__, type="model")


class TrainingParser(LightningArgumentParser):
    """Lightning's, whose model is one of ours or any LightningModule."""

    def add_lightning_class_args(self, lightning_class: Any, nested_key: str, *args: Any, **kwargs: Any) -> Any:
        """Adds the arguments of a class of Lightning's, or of ours."""
        if nested_key == "model":
            self.add_subclass_arguments((TrainedModule, LightningModule), nested_key, fail_untyped=False, required=True)
            return [nested_key]
        return super().add_lightning_class_args(lightning_class, nested_key, *args, **kwargs)


class TrainingCLI(LightningCLI):
    """Model and data are named by `class_path` in a YAML file; everything that a run writes goes to `--out`.

    Beside Lightning's own arguments there are `checkpoint`, when to save (`Checkpoint`), `pictures`, when to draw
    (`SamplePictures`), and `out`. Curves and pictures go to files in `out`, unless `trainer.logger` says otherwise
    (`WandbLogger`, say).
    """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds `out` and `checkpoint`; takes away what must not be configured twice."""
        parser.add_argument("--out", type=str, default="out/training", help="Folder of checkpoints and curves.")
        parser.add_lightning_class_args(Checkpoint, "checkpoint")
        parser.add_lightning_class_args(SamplePictures, "pictures")
        # One file, always of that name: else a second training in a folder leaves the first one's to be exported.
        parser.set_defaults(
            {"checkpoint.save_last": True, "checkpoint.save_top_k": 0, "checkpoint.enable_version_counter": False}
        )
        parser.link_arguments("out", "checkpoint.dirpath")
        parser.link_arguments("out", "trainer.default_root_dir")
        # The data's grid is the one that the model looks at.
        for name in ("center", "half_extent", "resolution"):
            parser.link_arguments(
                "model.spec", f"data.init_args.grid_{name}", compute_fn=_field(name), apply_on="instantiate"
            )

    def _add_instantiators(self) -> None:
        """Modules of ours are made as LightningModules."""
        super()._add_instantiators()
        self.parser.add_instantiator(_trainable, TrainedModule, subclasses=True)  # type: ignore[type-abstract]

    def before_fit(self) -> None:
        """Tells the checkpoints what the training follows from; its length, and where it is written, may change."""
        parts = {"the model": "model", "the data": "data", "the seed": "seed_everything", "the optimizer": "optimizer"}
        settings = {name: self._get(self.config, key, default=None) for name, key in parts.items()}
        key = RunKey.of({name: str(setting) for name, setting in settings.items()})
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Checkpoint):
                callback.made_of = key

    def _parse_ckpt_path(self) -> None:
        """Nothing: the configuration names the model, a checkpoint only brings its state.

        Lightning would read arguments out of the checkpoint, and cannot where they hold a model's own (the VQ-VAE's).
        """

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Lightning's, with a checkpoint that is read as tensors and plain values: it is data, and data runs no code.

        Lightning by itself trusts whatever an address gives.
        """
        arguments = super()._prepare_subcommand_kwargs(subcommand)
        checkpoint = arguments.get("ckpt_path")
        if checkpoint is not None and ("://" in str(checkpoint) or "::" in str(checkpoint)):
            raise ArgumentError(
                "ckpt_path", str(checkpoint), "is an address, and checkpoints are read from files: download it first"
            )
        if checkpoint is not None and Path(checkpoint).is_file():
            read_torch_file(checkpoint, in_place=True)
        return {**arguments, "weights_only": True}

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, with CSV files for its curves when the configuration names no logger, and a bar of our own."""
        trainer = self._get(self.config_init, "trainer", default={})
        if trainer.get("enable_progress_bar") is None:
            kwargs["enable_progress_bar"] = not MANNER.quiet
        shown = kwargs.get("enable_progress_bar", trainer.get("enable_progress_bar"))
        given = trainer.get("callbacks") or []
        given = given if isinstance(given, list) else [given]
        if self.subcommand == "fit" and shown and not any(isinstance(one, ProgressBar) for one in given):
            kwargs["callbacks"] = [*given, TrainingBar()]
        if trainer.get("logger") is None:
            kwargs["logger"] = CSVLogger(trainer["default_root_dir"], name="curves")
        return super().instantiate_trainer(**kwargs)


class Settings(SaveConfigCallback):
    """Lightning's, which writes config.yaml; the logger is told the same settings, whatever logger it is."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Once a run, by the first of its processes."""
        for logger in trainer.loggers:
            if not isinstance(logger, CSVLogger):  # its curves lie beside config.yaml
                logger.log_hyperparams({"run": json.loads(json.dumps(self.config.as_dict(), default=str))})


def _trainable(class_type: type[Any], *args: Any, applied_instantiation_links: object = None, **kwargs: Any) -> Any:
    return trainable(class_type)(*args, **kwargs)  # type: ignore[arg-type]


def _field(name: str) -> Callable[[GridSpec], Any]:
    def read(spec: GridSpec) -> Any:
        return getattr(spec, name)

    return read


def export_checkpoint(checkpoint: str | Path, out: str | Path) -> None:
    """Writes the weights of a training checkpoint, averaged where the training averaged them, as safetensors.

    Raises:
        HopriorError: no such checkpoint, not one of hoprior's, or a file that cannot be written.
    """
    load_checkpoint(checkpoint).save_safetensors(out)


def says_no_advert(record: logging.LogRecord) -> bool:
    """Whether a line of Lightning's log is about the run."""
    return not any(name in record.getMessage() for name in ADVERTISED)


def train(args: list[str]) -> dict[str, Any]:
    """`fit|validate|test|predict ...` as LightningCLI has them; configurations are files.

    Raises:
        HopriorError: the configuration names something of Lightning's whose package is not installed.
    """
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(says_no_advert)
    with warnings.catch_warnings():
        for message in LIGHTNING_CHATTER:
            warnings.filterwarnings("ignore", message)
        try:
            done = command_line(args)
        except ValueError as error:
            if missing := re.search(MISSING, str(error)):
                path, _, lacking = missing.groups()
                raise HopriorError(
                    f"{path} needs a package that is not installed ({lacking}): pip install it"
                ) from error
            raise
    trainer = done.trainer
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return {"out": trainer.default_root_dir, "steps": trainer.global_step, "metrics": figures}


def command_line(args: list[str], run: bool = True) -> TrainingCLI:
    """The command line with its model, data and trainer; `run=False` (and `args` without a command) only makes them."""
    return TrainingCLI(
        LightningModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        seed_everything_default=0,
        save_config_callback=Settings,
        save_config_kwargs={"overwrite": True},
        parser_class=TrainingParser,
        trainer_defaults={"callbacks": [SkipNonFinite(), SeededSteps(), Throughput()]},
        args=args,
        run=run,
    )
