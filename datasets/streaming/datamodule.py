"""Batches from streaming shards: the same as `GraspDataModule`'s, of sets that no memory holds."""

import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from hoprior.datasets.recordings.mixture import Mixture, Part, check_part, keep_probabilities, read_mixture, weights_of
from hoprior.datasets.samples.text_features import text_features
from hoprior.datasets.streaming.items import MEMBER, StreamedGrasp, decoded
from hoprior.datasets.streaming.pack import read_manifest
from hoprior.datasets.training.datamodule import Augmentation, Batch, displaced, object_grids
from hoprior.datasets.training.epochs import batches_trained
from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.hand import HandModel, load_hand
from hoprior.hand.landmarks import PALM_CENTRE
from hoprior.language.caption_file import read_sentences
from hoprior.language.phrases import GENERIC_TEXT

logger = logging.getLogger(__name__)


def opened(urls: Sequence[str], *, repeat: bool, buffer: int, seed: int) -> Iterator[dict[str, Any]]:
    """The items of shards, which are files, shuffled; without end if `repeat`.

    The same seed gives the same items in the same order.

    Raises:
        HopriorError: webdataset is not installed; on the way, a shard is missing or damaged.
    """
    # webdataset runs some of what it takes for an address in a shell. The whole path of a file is none.
    urls = [os.path.abspath(url) for url in urls]
    try:
        import webdataset
    except ImportError as error:
        raise HopriorError(f"streaming needs webdataset ({error}): pip install 'hoprior[stream]'") from error
    if repeat:
        # Each worker of each machine draws shards on its own, by a seed of its own: none waits for another, however
        # uneven they are. What webdataset would draw by itself follows from the clock.
        drawn = webdataset.ResampledShards(list(urls), seed=seed, deterministic=True, worker_seed=lambda: 0)
        shuffled = [webdataset.shuffle(buffer, seed=seed)] if buffer else []
        return _named(webdataset.DataPipeline(drawn, webdataset.tarfile_to_samples(), *shuffled), urls)
    return _named(webdataset.WebDataset(list(urls), shardshuffle=False, nodesplitter=None, empty_check=False), urls)


def _named(items: Iterable[dict[str, Any]], urls: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The items; what is wrong with a shard becomes one sentence."""
    try:
        yield from items
    except Exception as error:  # webdataset passes on whatever tar, disk or network raise
        where = Path(urls[0]).parent
        raise HopriorError(f"{where}: a shard cannot be read ({error}): run hoprior data prepare again") from error


@dataclass(frozen=True)
class Stream:
    """Items of one kind (recorded or not) of one dataset, and how likely each class is kept."""

    urls: tuple[str, ...]
    keep: dict[str, float]

    def grasps(self, buffer: int, seed: int) -> Iterator[StreamedGrasp]:
        """Without end."""
        # Thinned before the buffer's items are used, so that rare classes do not wait behind common ones.
        chance = torch.Generator().manual_seed(seed)
        for item in opened(self.urls, repeat=True, buffer=buffer, seed=seed):
            grasp = decoded(item["__key__"], item[MEMBER])
            likely = self.keep.get(grasp.category, 1.0)
            if likely >= 1 or float(torch.rand((), generator=chance)) < likely:
                yield grasp


class BatchBuilder:
    """Streamed grasps into a batch, for one grid specification."""

    def __init__(
        self,
        spec: GridSpec,
        text: dict[str, Float[Tensor, "tokens dim"]],
        sentences: dict[str, str],
        objects: Sequence[str],
        hand: HandModel,
    ) -> None:
        self.spec, self.text, self.sentences, self.hand = spec, text, sentences, hand
        self.place = {name: i for i, name in enumerate(objects)}

    @torch.no_grad()
    def __call__(
        self, grasps: Sequence[StreamedGrasp], augmentation: Augmentation | None, generator: torch.Generator
    ) -> Batch:
        """See `GraspDataModule` for the keys."""
        b = len(grasps)
        columns = {name: torch.stack([g.tensors[name] for g in grasps]) for name in grasps[0].tensors}
        joints, scale = columns["joints_hand"], None
        T_crop_hand = torch.eye(4).expand(b, 4, 4)
        if augmentation is not None:
            T_crop_hand = displaced(T_crop_hand, augmentation, generator)
            low, high = augmentation.scale
            scale = low + (high - low) * torch.rand(b, generator=generator)
            if augmentation.angles > 0:
                angles = columns["angles"]
                angles = angles + augmentation.angles * torch.randn(angles.shape, generator=generator)
                joints = self.hand.joints_only(self.hand.angles_to_pose(angles), columns["betas"])
        T_object_hand = columns["T_object_hand"] @ T_crop_hand
        up = columns["up_object"]
        texts = [self.sentences.get(g.key, g.text) for g in grasps]
        return {
            "object_sdf": object_grids([g.crop for g in grasps], T_crop_hand, self.spec, scale),
            "joints_hand": joints,
            "T_object_hand": T_object_hand,
            "scale": torch.ones(b) if scale is None else scale,
            "text": torch.stack([self.text[text] for text in texts]),
            "generic_text": self.text[GENERIC_TEXT].expand(b, -1, -1),
            "up_hand": torch.einsum("bij,bi->bj", T_object_hand[:, :3, :3], up),
            "up_known": up.norm(dim=1) > 0,
            "recorded": torch.tensor([g.recorded for g in grasps]),
            "object_index": torch.tensor([self.place[g.object] for g in grasps]),
        }


class TrainingStream:
    """Batches of epoch after epoch: each item's stream is drawn by weight."""

    def __init__(
        self,
        streams: Sequence[Stream],
        weights: Sequence[float],
        build: BatchBuilder,
        augmentation: Augmentation,
        batch_size: int,
        buffer: int,
        seed: int,
    ) -> None:
        self.streams, self.weights, self.build = streams, torch.tensor(weights), build
        self.augmentation, self.batch_size, self.buffer, self.seed = augmentation, batch_size, buffer, seed

    def batches(self, epoch: int, share: int, skip: int) -> Iterator[Batch]:
        """The batches of an epoch that are one worker's, without end; the first `skip` are drawn but not made.

        Each epoch starts its streams anew, by seeds of its own: a training that goes on in the middle of one has to
        read again no more than that one's beginning.
        """
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        source = np.random.SeedSequence([self.seed, rank, share, epoch])
        seeds = [int(seed) for seed in source.generate_state(len(self.streams) + 1)]
        running = [stream.grasps(self.buffer, seed) for stream, seed in zip(self.streams, seeds[1:], strict=True)]
        for k in itertools.count():
            generator = torch.Generator().manual_seed(seeds[0] * 1_000_003 + k)
            chosen = torch.multinomial(self.weights, self.batch_size, replacement=True, generator=generator)
            grasps = [next(running[s]) for s in chosen.tolist()]
            if k >= skip:
                yield self.build(grasps, self.augmentation, generator)


class ValidationStream(IterableDataset[Batch]):
    """The same few batches every time, not augmented: the first items of each stream, in equal parts."""

    def __init__(self, streams: Sequence[Stream], build: BatchBuilder, batch_size: int, num_batches: int) -> None:
        self.streams, self.build, self.batch_size, self.num_batches = streams, build, batch_size, num_batches

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(0)
        running = [opened(stream.urls, repeat=False, buffer=0, seed=0) for stream in self.streams]
        waiting: list[StreamedGrasp] = []
        made = 0
        while running and made < self.num_batches:
            for items in list(running):
                item = next(items, None)
                if item is None:
                    running.remove(items)
                else:
                    waiting.append(decoded(item["__key__"], item[MEMBER]))
            if len(waiting) >= self.batch_size or (not running and waiting):
                yield self.build(waiting[: self.batch_size], None, generator)
                waiting = waiting[self.batch_size :]
                made += 1


class StreamedGrasps(pl.LightningDataModule):
    """Batches from shards made by `hoprior data prepare NAME ROOT --out SHARDS`, with the keys of `GraspDataModule`.

    Memory does not grow with the sets: at any time there are `buffer` compressed items a stream in it.

    Args:
        shards: a folder of shards; or `mixture`, a YAML file of several with weights (configs/mixtures/).
        grid_center, grid_half_extent, grid_resolution: the grid in the hand's frame (m).
        batch_size: grasps a batch.
        batches_per_epoch: of training; a stream has no end, so an epoch is a convention.
        val_batches: batches of a validation.
        recorded_fraction: share of recorded grasps in what is drawn; of sets without others it is all.
        balance, class_weights: how classes are drawn (`hoprior.datasets.recordings.mixture`); a mixture's own first.
        rotation, translation, scale, angles: augmentation, see `Augmentation`.
        text_encoder: name of the encoder of hoprior.priors.text_encoders.
        buffer: items among which the next is drawn.
        workers: processes that make batches.
        seed: of the draws.

    Raises:
        HopriorError: shards are missing, unfinished or damaged, or nothing is in them that was asked for.
    """

    def __init__(
        self,
        shards: str | Path | None = None,
        mixture: str | Path | None = None,
        grid_center: tuple[float, float, float] = PALM_CENTRE,
        grid_half_extent: float = 0.14,
        grid_resolution: int = 32,
        batch_size: int = 64,
        batches_per_epoch: int = 200,
        val_batches: int = 8,
        recorded_fraction: float = 1.0,
        balance: float = 0.0,
        class_weights: dict[str, float] | None = None,
        rotation: float = 0.1,
        translation: float = 0.007,
        scale: tuple[float, float] = (0.85, 1.15),
        angles: float = 0.03,
        text_encoder: str = "minilm",
        buffer: int = 1000,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if (shards is None) == (mixture is None):
            raise HopriorError("give either shards (one folder) or mixture (a YAML file of several)")
        self.shards, self.mixture_file = shards, mixture
        x, y, z = grid_center
        self.spec = GridSpec((x, y, z), grid_half_extent, grid_resolution)
        self.batch_size, self.batches_per_epoch, self.val_batches = batch_size, batches_per_epoch, val_batches
        self.recorded_fraction, self.balance, self.class_weights = recorded_fraction, balance, class_weights or {}
        self.augmentation = Augmentation(rotation, translation, (scale[0], scale[1]), angles)
        self.text_encoder, self.buffer, self.workers, self.seed = text_encoder, buffer, workers, seed
        self.train_stream: TrainingStream | None = None
        self.val_stream: ValidationStream | None = None

    def setup(self, stage: str | None = None) -> None:
        """Reads the manifests, and encodes the sentences (once)."""
        if self.train_stream is not None:
            return
        folders, weights, mixture = self._folders()
        manifests = [read_manifest(folder) for folder in folders]
        if mixture is not None:
            asked = [part for part in mixture.parts if part.weight > 0]
            for part, folder, manifest in zip(asked, folders, manifests, strict=True):
                check_part(part, folder, manifest)
        cached = read_sentences(None if mixture is None else mixture.sentences)
        sentences = sorted({GENERIC_TEXT, *cached.values(), *(s for m in manifests for s in m["sentences"])})
        features = dict(zip(sentences, text_features(folders[0], sentences, self.text_encoder), strict=True))
        objects = sorted({name for manifest in manifests for name in manifest["objects"]})
        build = BatchBuilder(self.spec, features, cached, objects, load_hand("open"))
        counts: dict[str, int] = {}
        for manifest in manifests:
            for name, count in manifest["categories"].items():
                counts[name] = counts.get(name, 0) + count
        balance, factors = self.balance, dict(self.class_weights)
        if mixture is not None:
            balance, factors = mixture.balance or balance, {**factors, **mixture.class_weights}
        keep = keep_probabilities(counts, balance, factors)
        streams, shares = [], []
        for folder, manifest, weight in zip(folders, manifests, weights, strict=True):
            for recorded, share in ((True, self.recorded_fraction), (False, 1 - self.recorded_fraction)):
                urls = _urls(folder, manifest, "train", recorded)
                if urls and share * weight > 0:
                    streams.append(Stream(urls, keep))
                    shares.append(share * weight)
        if not streams:
            raise HopriorError(
                f"{folders[0]}: no shard of the split 'train' to draw from: prepare more, or change weights"
            )
        self.train_stream = TrainingStream(
            streams, shares, build, self.augmentation, self.batch_size, self.buffer, self.seed
        )
        kinds = [(folder, m, r) for folder, m in zip(folders, manifests, strict=True) for r in (True, False)]
        held = [Stream(urls, {}) for folder, m, r in kinds if (urls := _urls(folder, m, "val", r))]
        if not held:
            logger.warning("%s: no shard of the split 'val', so there is no validation", folders[0])
        self.val_stream = ValidationStream(held, build, self.batch_size, self.val_batches)

    def _folders(self) -> tuple[list[Path], list[float], Mixture | None]:
        if self.mixture_file is None:
            return [Path(str(self.shards))], [1.0], None
        mixture = read_mixture(Path(self.mixture_file))
        parts: list[Part] = [part for part in mixture.parts if part.weight > 0]
        return [mixture.folder(part) for part in parts], weights_of(parts), mixture

    def train_dataloader(self) -> DataLoader[Batch]:
        """Augmented batches of the training objects."""
        assert self.train_stream is not None, "setup() comes first"
        loader: DataLoader[Batch] = DataLoader(
            _Epochs(self.train_stream, self.batches_per_epoch, max(1, self.workers), batches_trained(self)),
            batch_size=None,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )
        return loader

    def val_dataloader(self) -> DataLoader[Batch]:
        """Always the same batches, not augmented, of the objects held out."""
        assert self.val_stream is not None, "setup() comes first"
        return DataLoader(self.val_stream, batch_size=None)

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader


class _Epochs(IterableDataset[Batch]):
    """The next epoch's `num` batches whenever it is asked, shared among the workers; at first the rest of that epoch
    in which `done` batches were done."""

    def __init__(self, stream: TrainingStream, num: int, workers: int, done: int) -> None:
        self.stream, self.num, self.workers, self.done = stream, num, workers, done

    def __len__(self) -> int:
        return self.num

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        epoch, first = divmod(self.done, self.num)
        # Workers are asked in turn, from the first on: batch k of an epoch is that of the same share, whoever makes it.
        share = ((0 if worker is None else worker.id) + first) % self.workers
        mine = range(share, self.num, self.workers)
        skip = sum(k < first for k in mine)
        self.done = (epoch + 1) * self.num
        yield from itertools.islice(self.stream.batches(epoch, share, skip), len(mine) - skip)


def _urls(folder: Path, manifest: dict[str, Any], split: str, recorded: bool) -> tuple[str, ...]:
    mine = (e["file"] for e in manifest["shards"] if e["split"] == split and e["recorded"] == recorded)
    return tuple(str(folder / file) for file in mine)  # `read_manifest` knows that they are below the folder
