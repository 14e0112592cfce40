"""Batches for a prior of words: grasps, each with a sentence that fits it and some that fit others of its object."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.utils.data import Dataset

from hoprior.datasets.samples.cache import Shard, read_index, read_shard
from hoprior.datasets.samples.seeding import batch_generator
from hoprior.datasets.samples.text_features import text_features
from hoprior.datasets.training.datamodule import Augmentation, Batch, BatchMaker
from hoprior.datasets.training.grasp_table import GraspTable
from hoprior.datasets.training.held_out import held_out, warn_none_held_out
from hoprior.datasets.training.split_module import DividedModule
from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.hand import load_hand
from hoprior.hand.landmarks import PALM_CENTRE
from hoprior.language.captions import sayings
from hoprior.language.phrases import GENERIC_TEXT

RECORDED_SHARE = 0.5
"""Of grasps among what is drawn; the rest are labelled placements, where the cache has such."""
OTHERS = 8
"""Sentences of other grasps beside each grasp's own."""


class WordPairs(Dataset[Batch]):
    """Batch k of an endless, seeded sequence of grasps and placements, each with sentences put in the same way.

    `text` (b, tokens, dim) fits the grasp; `other_texts` (b, OTHERS, tokens, dim) are what would be said of other ones
    of the object, drawn evenly from all of them, so that sentences which fit many come up as often as they are common.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        spec: GridSpec,
        folder: Path,
        text_encoder: str,
        source_weights: dict[str, float] | None,
        batch_size: int,
        augmentation: Augmentation | None,
        seed: int,
    ) -> None:
        # Placements that nobody recorded are here for their part alone; other sets' have no words at all.
        labelled = torch.cat([_words_without_a_grasp(shard) for shard in shards])
        self.table = GraspTable(shards, RECORDED_SHARE if labelled.any() else 1.0, source_weights)
        worded = self.table.recorded | labelled
        self.table.weights = torch.where(worded, self.table.weights, 0.0)
        rows = [_said(shard) for shard in shards]
        sentences = [*dict.fromkeys([GENERIC_TEXT, *(text for row in rows for texts in row for text in texts)])]
        place = {text: i for i, text in enumerate(sentences)}
        self.text_id = torch.tensor([[place[text] for text in texts] for row in rows for texts in row])
        self.features = text_features(folder, sentences, text_encoder)
        # The maker puts a text of its own into every batch; it is replaced by one of the sayings.
        nothing = self.features[:1].expand(len(self.table.sentences), -1, -1)
        self.maker = BatchMaker(self.table, spec, nothing, load_hand(shards[0].grasps.hand))
        owner = self.table.object_index
        self.alike = {
            (o, kind): (worded & (owner == o) & (self.table.recorded == kind)).nonzero()[:, 0]
            for o in range(len(shards))
            for kind in (False, True)
        }
        self.batch_size, self.augmentation, self.seed = batch_size, augmentation, seed

    def __getitem__(self, k: int) -> Batch:
        generator = batch_generator(self.seed, k)
        index = self.table.draw(self.batch_size, generator)
        batch = self.maker(index, self.augmentation, generator)
        column = torch.randint(self.text_id.shape[1], (len(index),), generator=generator)
        batch["text"] = self.features[self.text_id[index, column]]
        batch["other_texts"] = self.features[self.text_id[self._others(index, generator), column[:, None]]]
        return batch

    def _others(self, index: Int[Tensor, " b"], generator: torch.Generator) -> Int[Tensor, "b k"]:
        """`OTHERS` of the same object for each, grasps for a grasp and placements for a placement, itself perhaps."""
        shares = torch.rand(len(index), OTHERS, generator=generator)
        owners, kinds = self.table.object_index[index].tolist(), self.table.recorded[index].tolist()
        pools = [self.alike[owner, kind] for owner, kind in zip(owners, kinds, strict=True)]
        return torch.stack([pool[(row * len(pool)).long()] for pool, row in zip(pools, shares, strict=True)])


def _words_without_a_grasp(shard: Shard) -> Bool[Tensor, " n"]:
    """Which are placements with a part for a label (`hoprior.datasets.training.labelled_placements`)."""
    named = torch.tensor([bool(label.part) for label in shard.grasps.labels])
    return ~shard.grasps.recorded & named[shard.grasps.tensors()["label_id"]]


def _said(shard: Shard) -> list[tuple[str, ...]]:
    """The sayings of each grasp of an object."""
    category = shard.grasps.object.category
    return [sayings(category, sample.label, sample.text) for sample in shard.grasps]


class WordPairsModule(DividedModule[WordPairs]):
    """Batches out of a cache made by `hoprior data prepare`, of the sources that have labels or sentences.

    A batch is as `GraspDataModule`'s, of recorded grasps and of placements labelled with their part, with `text` and
    `other_texts` (see `WordPairs`).

    Args:
        cache: the folder.
        grid_center, grid_half_extent, grid_resolution: the grid in the hand's frame (m).
        batch_size: grasps a batch.
        batches_per_epoch: training batches an epoch.
        val_batches: batches of a validation, always the same, not augmented.
        source_weights: how often each source is drawn; 1 for those not named, 0 leaves one out.
        val_fraction: share of the objects that are held out.
        rotation, translation, scale: augmentation, see `Augmentation`.
        text_encoder: name in hoprior.priors.text_encoders; its features are stored in the cache's folder.
        seed: of the draws.

    Raises:
        HopriorError: the cache is missing or damaged, or no source is left.
    """

    def __init__(
        self,
        cache: str | Path,
        grid_center: tuple[float, float, float] = PALM_CENTRE,
        grid_half_extent: float = 0.12,
        grid_resolution: int = 16,
        batch_size: int = 96,
        batches_per_epoch: int = 100,
        val_batches: int = 8,
        source_weights: dict[str, float] | None = None,
        val_fraction: float = 0.1,
        rotation: float = 0.1,
        translation: float = 0.007,
        scale: tuple[float, float] = (0.85, 1.15),
        text_encoder: str = "minilm",
        seed: int = 0,
    ) -> None:
        super().__init__(batches_per_epoch, val_batches, val_fraction)
        self.cache = Path(cache)
        x, y, z = grid_center
        self.spec = GridSpec((x, y, z), grid_half_extent, grid_resolution)
        self.batch_size, self.source_weights = batch_size, source_weights or {}
        self.augmentation = Augmentation(rotation, translation, (scale[0], scale[1]), angles=0.0)
        self.text_encoder, self.seed = text_encoder, seed

    def setup(self, stage: str | None = None) -> None:
        """Reads the cache (once) and divides its objects."""
        if self.train_batches is not None:
            return
        entries = [e for e in read_index(self.cache) if self.source_weights.get(e["source"], 1.0) > 0]
        shards = {entry["object"]: read_shard(self.cache / entry["file"]) for entry in entries}
        if not shards:
            raise HopriorError(f"{self.cache}: source_weights leave none of its sources")
        kept_out = held_out(list(shards), self.val_fraction)
        train = [shard for key, shard in shards.items() if key not in kept_out]
        val = [shard for key, shard in shards.items() if key in kept_out]
        if not val:
            warn_none_held_out(self.cache, self.val_fraction)
        self.train_batches = self._pairs(train, self.augmentation)
        self.val_batches_of = self._pairs(val or train, None)

    def _pairs(self, shards: Sequence[Shard], augmentation: Augmentation | None) -> WordPairs:
        present = {shard.grasps.object.source for shard in shards}
        weights = {name: w for name, w in self.source_weights.items() if name in present}
        return WordPairs(
            shards, self.spec, self.cache, self.text_encoder, weights, self.batch_size, augmentation, self.seed
        )
