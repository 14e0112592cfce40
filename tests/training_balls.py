"""Balls to learn, for trainings that take seconds."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hoprior.datasets.training.epochs import EpochOffsetSampler
from hoprior.geometry.grid import GridSpec


class Balls(Dataset[dict[str, Tensor]]):
    """Balls near the palm; every other one is 'recorded'."""

    def __init__(self, spec: GridSpec, num: int) -> None:
        self.spec, self.num = spec, num

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if index >= self.num:
            raise IndexError(index)
        generator = torch.Generator().manual_seed(index)
        center = torch.tensor(self.spec.center) + 0.03 * torch.randn(3, generator=generator)
        distance = (self.spec.points() - center).norm(dim=-1) - 0.05
        return {
            "object_sdf": distance.reshape(1, *self.spec.shape),
            "joints_hand": 0.08 * torch.rand(21, 3, generator=generator),
            "text": torch.randn(1, 6, generator=generator),
            "generic_text": torch.ones(1, 6),
            "recorded": torch.tensor(index % 2 == 0),
        }


class BallData(pl.LightningDataModule):
    """Sixteen balls to learn, in batches of four."""

    def __init__(
        self,
        grid_center: tuple[float, float, float] = (0.0, 0.0, 0.0),
        grid_half_extent: float = 1.0,
        grid_resolution: int = 2,
        batch_size: int = 4,
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.spec = GridSpec(grid_center, grid_half_extent, grid_resolution)

    def train_dataloader(self) -> DataLoader[Any]:
        """All of them."""
        return DataLoader(Balls(self.spec, 16), batch_size=self.batch_size)

    def val_dataloader(self) -> DataLoader[Any]:
        """The first eight."""
        return DataLoader(Balls(self.spec, 8), batch_size=self.batch_size)

    test_dataloader = predict_dataloader = val_dataloader


class BallsInTurn(BallData):
    """Twenty-four balls, which processes that train together share out."""

    def train_dataloader(self) -> DataLoader[Any]:
        """All of them, once."""
        return DataLoader(Balls(self.spec, 24), batch_size=self.batch_size, sampler=EpochOffsetSampler(24, self))
