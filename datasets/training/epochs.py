"""Where in an endless sequence of batches an epoch begins: also after a training was killed and goes on."""

from collections.abc import Iterator

import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DistributedSampler


def batches_trained(module: LightningDataModule) -> int:
    """How many batches a training has had, those before the checkpoint that it goes on from included; 0 without one."""
    trainer = module.trainer
    return 0 if trainer is None else trainer.fit_loop.total_batch_idx + 1


class EpochOffsetSampler(DistributedSampler[int]):
    """0 to num - 1 in the first epoch, the numbers after that in the next, and so on: no epoch repeats another.

    In Lightning's hands the numbers go on where the training is, whether it was killed between epochs or within one:
    a resumed training has the batches that it would have had. Elsewhere epochs count themselves, from the one that
    `set_epoch` told last. Processes that train together share the numbers out.

    Args:
        num: numbers an epoch.
        module: the data module, whose trainer knows how far it is.
    """

    # A DistributedSampler, because Lightning replaces any other where several processes train.

    def __init__(self, num: int, module: LightningDataModule | None = None) -> None:
        together = torch.distributed.is_available() and torch.distributed.is_initialized()
        replicas = torch.distributed.get_world_size() if together else 1
        rank = torch.distributed.get_rank() if together else 0
        super().__init__(range(num), num_replicas=replicas, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.module = module

    def __iter__(self) -> Iterator[int]:
        # A generator: Lightning asks for the first epoch's iterator before it says which epoch that is.
        if self.module is not None and self.module.trainer is not None:
            done = batches_trained(self.module)
        else:
            done, self.epoch = self.epoch * self.num_samples, self.epoch + 1
        for k in range(done, done + self.num_samples):
            yield k * self.num_replicas + self.rank
