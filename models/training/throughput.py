"""How fast a training goes, beside its losses."""

import time
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Logs `train/steps_per_s` and `train/samples_per_s`, means since the last time that they were logged.

    Waiting for data counts, validation does not. Lightning's `ThroughputMonitor` warns unless models count their
    operations, and takes validation for training where it falls between two logs.
    """

    def __init__(self) -> None:
        self._since, self._steps, self._samples = time.perf_counter(), 0, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._restart()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts anew, as what came before has waited."""
        self._restart()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts a step."""
        self._steps += 1
        self._samples += next((len(value) for value in dict(batch).values() if isinstance(value, torch.Tensor)), 0)
        if trainer.global_step % max(1, trainer.log_every_n_steps) == 0:  # type: ignore[attr-defined]
            seconds = max(time.perf_counter() - self._since, 1e-9)
            rates = {"train/steps_per_s": self._steps / seconds, "train/samples_per_s": self._samples / seconds}
            if trainer.logger is not None:
                trainer.logger.log_metrics(rates, step=trainer.global_step - 1)
            self._restart()

    def _restart(self) -> None:
        self._since, self._steps, self._samples = time.perf_counter(), 0, 0
