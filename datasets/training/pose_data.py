"""Batches of poses with the features of a sentence for each, for the pose prior."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from hoprior.datasets.samples.text_features import text_features
from hoprior.datasets.training.datamodule import Batch, warn_none_held_out
from hoprior.datasets.training.poses import PoseTable, read_poses
from hoprior.datasets.training.split_module import DividedModule
from hoprior.hand import load_hand


class DrawnPoses(Dataset[Batch]):
    """Batch k of an endless, seeded sequence: poses, each with one of its sentences; a little noise on the angles."""

    def __init__(
        self,
        table: PoseTable,
        features: Float[Tensor, "s tokens dim"],
        batch_size: int,
        angles: float,
        source_weights: dict[str, float] | None,
        seed: int,
    ) -> None:
        self.table, self.features, self.hand = table, features, load_hand()
        self.batch_size, self.angles, self.seed = batch_size, angles, seed
        self.weights = table.weights(source_weights)

    @torch.no_grad()
    def __getitem__(self, k: int) -> Batch:
        generator = torch.Generator().manual_seed(self.seed * 1_000_000_007 + k)
        index = torch.multinomial(self.weights, self.batch_size, replacement=True, generator=generator)
        angles = self.table.angles[index]
        angles = angles + self.angles * torch.randn(angles.shape, generator=generator)
        texts = self.table.text_id[index]
        column = torch.randint(texts.shape[1], (len(index), 1), generator=generator)
        text = self.features[texts.gather(1, column)[:, 0]]
        return {"hand_pose": self.hand.angles_to_pose(angles), "text": text, "row": self.table.row_id[index]}


class PoseDataModule(DividedModule[DrawnPoses]):
    """Batches out of a table that `hoprior data poses` made.

    A batch has `hand_pose` (b, 15, 3), axis-angle in the right hand's frame, `text` (b, tokens, dim), the features of
    one of the sentences that fit it, and `row` (b,), where the table says what it is of.

    Args:
        poses: the table's file.
        batch_size: poses a batch.
        batches_per_epoch: training batches an epoch; drawn with replacement, so an epoch is a convention.
        val_batches: batches of a validation, always the same.
        val_fraction: share of the objects that are held out.
        source_weights: how often each source is drawn; 1 for those not named.
        angles: standard deviation (radians) of the noise on the training poses' angles.
        text_encoder: name of the encoder of hoprior.priors.text_encoders; its features are stored beside the table.
        seed: of the draws.

    Raises:
        HopriorError: the table is missing or damaged.
    """

    def __init__(
        self,
        poses: str | Path,
        batch_size: int = 256,
        batches_per_epoch: int = 200,
        val_batches: int = 4,
        val_fraction: float = 0.1,
        source_weights: dict[str, float] | None = None,
        angles: float = 0.03,
        text_encoder: str = "minilm",
        seed: int = 0,
    ) -> None:
        super().__init__(batches_per_epoch, val_batches, val_fraction)
        self.path = Path(poses)
        self.batch_size, self.source_weights, self.angles = batch_size, source_weights, angles
        self.text_encoder, self.seed = text_encoder, seed

    def setup(self, stage: str | None = None) -> None:
        """Reads the table (once) and divides its objects."""
        if self.train_batches is not None:
            return
        table = read_poses(self.path)
        features = text_features(self.path.parent, table.sentences, self.text_encoder)
        train, val = table.split(self.val_fraction)
        if not len(val):
            warn_none_held_out(self.path, self.val_fraction)
            val = train
        options = (features, self.batch_size)
        self.train_batches = DrawnPoses(train, *options, self.angles, self.source_weights, self.seed)
        self.val_batches_of = DrawnPoses(val, *options, 0.0, self.source_weights, self.seed)
