"""Batches for the priors, from the cache: objects resampled around the hand on the fly, with augmentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hoprior.datasets.samples.cache import Shard, read_index, read_shard
from hoprior.datasets.samples.seeding import batch_generator
from hoprior.datasets.samples.text_features import text_features
from hoprior.datasets.training.epochs import EpochOffsetSampler
from hoprior.datasets.training.grasp_table import GraspTable
from hoprior.datasets.training.held_out import held_out, warn_none_held_out
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.lookup import trilinear_distance
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.transforms import rotate_about
from hoprior.hand import HandModel, load_hand
from hoprior.hand.landmarks import PALM_CENTRE
from hoprior.moved import old_names_of

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Augmentation:
    """How a grasp is varied each time it is drawn; zeros leave it as recorded.

    `rotation` (radians) and `translation` (m) are standard deviations a coordinate of the hand's displacement, about
    the palm's centre. An object is scaled by a factor from `scale` about the palm's centre. `angles` (radians) is the
    standard deviation of the finger joints' noise.
    """

    rotation: float = 0.1
    translation: float = 0.007
    scale: tuple[float, float] = (0.85, 1.15)
    angles: float = 0.03

    @classmethod
    def none(cls) -> "Augmentation":
        """Grasps as they are."""
        return cls(0.0, 0.0, (1.0, 1.0), 0.0)


def displaced(
    T_object_hand: Float[Tensor, "b 4 4"], augmentation: Augmentation, generator: torch.Generator
) -> Float[Tensor, "b 4 4"]:
    """Hands turned and moved a little about the palm's centre."""
    b = len(T_object_hand)
    turn = augmentation.rotation * torch.randn(b, 3, generator=generator)
    move = augmentation.translation * torch.randn(b, 3, generator=generator)
    palm = torch.tensor(PALM_CENTRE)
    # Turning about the palm instead of the wrist: a tilt of 6 degrees would else move the fingers by 2 cm.
    nearby = rotate_about(palm, turn)
    nearby[:, :3, 3] += move
    return T_object_hand @ nearby


def object_grids(
    sdf: Sequence[SdfGrid],
    T_object_hand: Float[Tensor, "b 4 4"],
    spec: GridSpec,
    scale: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, "b 1 D H W"]:
    """Signed distances (m) of b objects on each hand's grid; an object is scaled about the palm's centre.

    One look-up a grid: four times as fast as one gather over the stacked objects, and half precision is widened only
    for the objects of the batch.
    """
    points_hand = spec.points()
    ones = torch.ones(len(T_object_hand)) if scale is None else scale
    palm = torch.tensor(PALM_CENTRE)
    # Palm-centred scaling, the hand's pose and the step into the box's unit coordinates are one affine map.
    linear = T_object_hand[:, :3, :3] / ones[:, None, None]
    shift = T_object_hand[:, :3, 3] + (T_object_hand[:, :3, :3] @ palm - linear @ palm)
    out = torch.empty(len(ones), len(points_hand))
    for i, grid in enumerate(sdf):
        half = (grid.upper - grid.lower) / 2
        unit = torch.addmm((shift[i] - grid.lower) / half - 1, points_hand, (linear[i] / half[:, None]).T)
        out[i] = trilinear_distance(grid.values.float()[None, None], unit[None], half)[0, 0]
    return out.mul_(ones[:, None]).view(-1, 1, *spec.shape)


class BatchMaker:
    """Turns indices into a table into a batch, for one grid specification."""

    def __init__(self, table: GraspTable, spec: GridSpec, text: Float[Tensor, "k tokens dim"], hand: HandModel) -> None:
        self.table, self.spec, self.text, self.hand = table, spec, text, hand

    @torch.no_grad()
    def __call__(
        self,
        index: Int[Tensor, " b"],
        augmentation: Augmentation | None = None,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """See `GraspDataModule` for the keys; without augmentation the grasps are as they are in the cache."""
        table = self.table
        T_object_hand, joints_hand, scale = table.T_object_hand[index], table.joints_hand[index], None
        if augmentation is not None:
            if generator is None:
                raise ValueError("augmentation needs a generator")
            T_object_hand = displaced(T_object_hand, augmentation, generator)
            low, high = augmentation.scale
            scale = low + (high - low) * torch.rand(len(index), generator=generator)
            if augmentation.angles > 0:
                angles = table.angles[index]
                angles = angles + augmentation.angles * torch.randn(angles.shape, generator=generator)
                joints_hand = self.hand.joints_only(self.hand.angles_to_pose(angles), table.betas[index])
        owner = table.object_index[index]
        up_object = table.up_object[index]
        return {
            "object_sdf": object_grids([table.sdf[o] for o in owner.tolist()], T_object_hand, self.spec, scale),
            "joints_hand": joints_hand,
            "T_object_hand": T_object_hand,
            "scale": torch.ones(len(index)) if scale is None else scale,
            "text": self.text[table.text_id[index]],
            "generic_text": self.text[table.generic_text_id].expand(len(index), -1, -1),
            "up_hand": torch.einsum("bij,bi->bj", T_object_hand[:, :3, :3], up_object),
            "up_known": up_object.norm(dim=1) > 0,
            "recorded": table.recorded[index],
            "object_index": owner,
        }


class DrawnBatches(Dataset[Batch]):
    """Batch k of an endless, seeded sequence: the same whoever asks for it, and in whatever order."""

    def __init__(self, maker: BatchMaker, batch_size: int, augmentation: Augmentation, seed: int) -> None:
        self.maker, self.batch_size, self.augmentation, self.seed = maker, batch_size, augmentation, seed

    def __getitem__(self, k: int) -> Batch:
        generator = batch_generator(self.seed, k)
        index = self.maker.table.draw(self.batch_size, generator)
        return self.maker(index, self.augmentation, generator)


class FixedBatches(Dataset[Batch]):
    """The same `num_batches` batches in every epoch, drawn once, not augmented."""

    def __init__(self, maker: BatchMaker, batch_size: int, num_batches: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.maker = maker
        self.index = [maker.table.draw(batch_size, generator) for _ in range(num_batches)]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, k: int) -> Batch:
        return self.maker(self.index[k])


class GraspDataModule(pl.LightningDataModule):
    """Batches of grasps from a cache made by `hoprior data prepare`.

    A batch is a dict of tensors: `object_sdf` (b, 1, D, H, W) signed distances in metres on the grid in the hand's
    frame, negative inside, not truncated; `joints_hand` (b, 21, 3) m; `T_object_hand` (b, 4, 4), of the object before
    it was scaled by `scale` (b,) about the palm's centre; `text` and `generic_text` (b, tokens, dim) features, the
    latter of the sentence that names no object;
    `recorded` (b,) bool; `object_index` (b,); `up_hand` (b, 3) the direction that was up, in the hand's frame, where
    `up_known` (b,).

    Args:
        cache: the folder.
        grid_center, grid_half_extent, grid_resolution: the grid in the hand's frame (m).
        batch_size: grasps a batch.
        batches_per_epoch: training batches an epoch; drawn with replacement, so an epoch is a convention.
        val_batches: batches of a validation.
        recorded_fraction: share of recorded grasps in what is drawn (1.0: recorded only).
        source_weights: how often each source is drawn; 1 for those not named, 0 leaves one out.
        val_fraction: share of the objects that are held out.
        without: objects (their keys in the cache's index) that are neither trained on nor validated with.
        rotation, translation, scale, angles: augmentation, see `Augmentation`.
        text_encoder: name in hoprior.priors.text_encoders; its features are stored in the cache's folder.
        seed: of the draws.

    Raises:
        HopriorError: the cache is missing or damaged, or nothing is in it that was asked for.
    """

    def __init__(
        self,
        cache: str | Path,
        grid_center: tuple[float, float, float] = PALM_CENTRE,
        grid_half_extent: float = 0.14,
        grid_resolution: int = 32,
        batch_size: int = 64,
        batches_per_epoch: int = 200,
        val_batches: int = 8,
        recorded_fraction: float = 0.5,
        source_weights: dict[str, float] | None = None,
        val_fraction: float = 0.1,
        without: Sequence[str] = (),
        rotation: float = 0.1,
        translation: float = 0.007,
        scale: tuple[float, float] = (0.85, 1.15),
        angles: float = 0.03,
        text_encoder: str = "minilm",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.cache = Path(cache)
        x, y, z = grid_center
        self.spec = GridSpec((x, y, z), grid_half_extent, grid_resolution)
        self.batch_size, self.batches_per_epoch, self.val_batches = batch_size, batches_per_epoch, val_batches
        self.recorded_fraction, self.source_weights = recorded_fraction, source_weights
        self.val_fraction, self.text_encoder, self.seed = val_fraction, text_encoder, seed
        self.without = frozenset(without)
        self.augmentation = Augmentation(rotation, translation, (scale[0], scale[1]), angles)
        self.train_maker: BatchMaker | None = None
        self.val_maker: BatchMaker | None = None

    def setup(self, stage: str | None = None) -> None:
        """Reads the cache (once) and divides its objects."""
        if self.train_maker is not None:
            return
        entries = [e for e in read_index(self.cache) if (self.source_weights or {}).get(e["source"], 1.0) > 0]
        entries = [entry for entry in entries if entry["object"] not in self.without]
        kept_out = held_out([entry["object"] for entry in entries], self.val_fraction)
        shards = {entry["object"]: read_shard(self.cache / entry["file"]) for entry in entries}
        hand = load_hand(next(iter(shards.values())).grasps.hand)
        train = [shard for key, shard in shards.items() if key not in kept_out]
        val = [shard for key, shard in shards.items() if key in kept_out]
        if not val:
            warn_none_held_out(self.cache, self.val_fraction)
        self.train_maker = self._maker(train, hand)
        self.val_maker = self._maker(val, hand) if val else self.train_maker

    def _maker(self, shards: list[Shard], hand: HandModel) -> BatchMaker:
        present = {shard.grasps.object.source for shard in shards}
        weights = {name: w for name, w in (self.source_weights or {}).items() if name in present}
        table = GraspTable(shards, self.recorded_fraction, weights)
        return BatchMaker(table, self.spec, text_features(self.cache, table.sentences, self.text_encoder), hand)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Augmented batches of the training objects."""
        assert self.train_maker is not None, "setup() comes first"
        batches = DrawnBatches(self.train_maker, self.batch_size, self.augmentation, self.seed)
        # No worker processes: making a batch costs less than sending it.
        return DataLoader(batches, batch_size=None, sampler=EpochOffsetSampler(self.batches_per_epoch, self))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Always the same batches, not augmented, of the objects held out."""
        assert self.val_maker is not None, "setup() comes first"
        return DataLoader(FixedBatches(self.val_maker, self.batch_size, self.val_batches, self.seed), batch_size=None)

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader


__getattr__ = old_names_of(__name__)
