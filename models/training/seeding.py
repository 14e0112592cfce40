"""Random numbers of a training that goes on from a checkpoint: those of the training that was not broken off."""

import hashlib

import torch
from pytorch_lightning import Callback, LightningModule, Trainer


class SeededSteps(Callback):
    """The noise and the dropout of a batch follow from the training's seed, the machine and the batch's number alone.

    Lightning's checkpoints do not hold the state of torch's generators, and a training that goes on begins by seeding
    them: without this it would draw the first steps' noise again.
    """

    def __init__(self) -> None:
        self.seed = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the seed that is set (`seed_everything`)."""
        self.seed = torch.initial_seed()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Seeds torch's generators."""
        words = f"{self.seed} {trainer.global_rank} {trainer.fit_loop.total_batch_idx}"
        torch.manual_seed(int.from_bytes(hashlib.sha256(words.encode()).digest()[:6], "big"))
