"""What data modules share whose objects are divided into those for training and those held out."""

from typing import Generic, TypeVar

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from hoprior.datasets.training.datamodule import Batch
from hoprior.datasets.training.epochs import EpochOffsetSampler

Batches = TypeVar("Batches", bound=Dataset[Batch])


class DividedModule(pl.LightningDataModule, Generic[Batches]):
    """A data module whose `setup` makes two endless sequences of batches: of training objects, and of those held out.

    Args:
        batches_per_epoch, val_batches: batches of an epoch and of a validation.
        val_fraction: share of the objects that are held out.
    """

    def __init__(self, batches_per_epoch: int, val_batches: int, val_fraction: float) -> None:
        super().__init__()
        self.batches_per_epoch, self.val_batches, self.val_fraction = batches_per_epoch, val_batches, val_fraction
        self.train_batches: Batches | None = None
        self.val_batches_of: Batches | None = None

    def train_dataloader(self) -> DataLoader[Batch]:
        """Augmented batches of the training objects."""
        assert self.train_batches is not None, "setup() comes first"
        return DataLoader(self.train_batches, batch_size=None, sampler=EpochOffsetSampler(self.batches_per_epoch, self))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Always the same batches of the objects held out."""
        assert self.val_batches_of is not None, "setup() comes first"
        return DataLoader(self.val_batches_of, batch_size=None, sampler=range(self.val_batches))

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader
