"""One bar for a whole training: steps done, time passed and left, the latest losses."""

import math
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar

from hoprior.common.console import steps_bar

BESIDE = 66
"""Letters that the bar has on a line beside the losses."""


class TrainingBar(ProgressBar):
    """Lightning's own bars count the batches of an epoch, of which ours have no meaning, and call it "0/-2".

    It shows how far the whole training is; where nobody watches, as in a log file, only how it ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bar = steps_bar()
        self._task = self._bar.add_task("training", total=None, figures="")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Shows the bar, from the step at which a training goes on."""
        # By time, or without an end, nobody knows how many steps there will be.
        steps = trainer.estimated_stepping_batches
        self._bar.update(self._task, total=steps if 0 < steps < math.inf else None, completed=trainer.global_step)
        self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the bar; the figures are those that a model asks to be shown."""
        shown = self.get_metrics(trainer, pl_module).items()
        told = "  ".join(
            f"{name.removeprefix('train/')} {value:.3g}" for name, value in shown if isinstance(value, float)
        )
        room = max(0, self._bar.console.width - BESIDE)  # longer ones would squeeze the rest
        self._bar.update(self._task, description="training", completed=trainer.global_step, figures=told[:room])

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Says what is waited for."""
        self._bar.update(self._task, description="validating")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leaves the bar as it stands."""
        self._bar.update(self._task, description="trained")
        self._bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Gives the terminal back."""
        self._bar.stop()
