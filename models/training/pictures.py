"""Pictures of what a model makes of its first validation batch, kept where the training's curves go."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.trainer.states import TrainerFn


class SamplePictures(Callback):
    """Draws at validations: in TensorBoard, in Weights & Biases, or as PNG files beside the CSV curves.

    What is drawn of our models is in `hoprior.models.training.drawing`; of a model of yours it is what its
    `pictures(batch)` returns, pictures by name.

    Args:
        every: validations from one drawing to the next; 0 for none.
    """

    def __init__(self, every: int = 1) -> None:
        self.every, self._validations = every, 0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draws by the weights that are validated: averaged ones, where the training averages."""
        fitting = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if not (fitting and batch_idx == dataloader_idx == 0 and self.every and trainer.is_global_zero):
            return
        self._validations += 1
        if (self._validations - 1) % self.every:
            return
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            found = pictures_of(pl_module, batch)
        for logger in trainer.loggers:
            for name, picture in found.items():
                keep(logger, name, picture, trainer.global_step)


def pictures_of(model: torch.nn.Module, batch: Any) -> dict[str, Image]:
    """A model's pictures of a batch, by name: its own, or those that we know to draw of ours."""
    own = getattr(model, "pictures", None)
    if own is not None:
        return dict(own(batch))
    from hoprior.models.training.drawing import pictures

    return pictures(model, batch)


def keep(logger: Logger, name: str, picture: Image, step: int) -> None:
    """Puts a picture where a logger has its curves; as `pictures/NAME_STEP.png` in its folder, if it takes none."""
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(f"pictures/{name}", np.asarray(picture), step, dataformats="HWC")
    elif hasattr(logger, "log_image"):
        logger.log_image(f"pictures/{name}", [picture], step)
    elif (place := getattr(logger, "log_dir", None)) is not None:
        folder = Path(place) / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{name}_{step:06d}.png")
