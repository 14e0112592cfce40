"""Whether a training that was killed and goes on has the batches of one that was not."""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from hoprior.cli.fit import Checkpoint

EPOCH, ENOUGH, KILLED = 3, 8, 6
"""Batches an epoch, of a training, and with which one it is killed."""


class Killed(BaseException):
    """No Exception: nothing may catch it, as nothing catches a SIGKILL."""


class Recorder(pl.LightningModule):
    """Writes down which batches it was given."""

    def __init__(self, killed: int | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.killed = killed
        self.seen: list[str] = []

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        if len(self.seen) == self.killed:
            raise Killed
        parts = [name.encode() + batch[name].contiguous().numpy().tobytes() for name in sorted(batch)]
        self.seen.append(hashlib.sha256(b"".join(parts)).hexdigest())
        return self.weight * 1.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-3)


def assert_resumes(make: Callable[[], pl.LightningDataModule], folder: Path) -> None:
    """Trains without a break, and with one wherever a checkpoint may fall: in an epoch's middle and at its end.

    Args:
        make: the data module, anew as in another process, with `EPOCH` batches an epoch.
    """
    whole = Recorder()
    train(whole, make(), folder / "whole", 1, max_steps=ENOUGH)
    assert len(set(whole.seen)) == ENOUGH, "no batch comes twice"
    for interval in (2, 3, 5):
        for limit in ({"max_steps": ENOUGH}, {"max_epochs": -(-ENOUGH // EPOCH)}):
            first, second = Recorder(KILLED), Recorder()
            out = folder / f"{interval}-{next(iter(limit))}"
            with pytest.raises(Killed):
                train(first, make(), out, interval, **limit)
            train(second, make(), out, interval, "last", **limit)
            kept = KILLED // interval * interval  # steps of the last checkpoint
            assert first.seen == whole.seen[:KILLED]
            assert second.seen[: ENOUGH - kept] == whole.seen[kept:], (interval, limit)


def train(
    module: Recorder,
    data: pl.LightningDataModule,
    out: Path,
    interval: int,
    ckpt_path: str | None = None,
    **limit: Any,
) -> None:
    """A training with the checkpoints of `hoprior fit`."""
    checkpoints = Checkpoint(
        dirpath=out, every_n_train_steps=interval, save_last=True, save_top_k=0, enable_version_counter=False
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        callbacks=[checkpoints],
        default_root_dir=out,
        **limit,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, data, ckpt_path=ckpt_path)
