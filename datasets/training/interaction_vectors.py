"""Batches for the prior of interactions: codes of objects, and hands at those of them for which there are grasps."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from hoprior.datasets.procedural.families import FAMILIES
from hoprior.datasets.samples.cache import read_index, read_shard
from hoprior.datasets.samples.seeding import batch_generator
from hoprior.datasets.samples.text_features import text_features
from hoprior.datasets.training.datamodule import Augmentation, Batch, displaced
from hoprior.datasets.training.grasp_table import GraspTable, even_shares
from hoprior.datasets.training.held_out import held_out
from hoprior.datasets.training.shape_points import ShapePoints, ShapePointsModule
from hoprior.datasets.training.split_module import DividedModule
from hoprior.hand import load_hand
from hoprior.hand.landmarks import PALM_CENTRE
from hoprior.language.object_words import size_word
from hoprior.language.phrases import VERB_PHRASES, with_article
from hoprior.language.taxonomy import TAXONOMY
from hoprior.models.shape_autoencoder import ShapeAutoencoder

ENCODED = 64
"""Objects that are encoded at a time."""
HELD = 0.5
"""Share of the rows that have a hand."""


def said_of(category: str, size: str) -> tuple[str, ...]:
    """Sentences that fit an object whoever holds it: its name with every verb and kind of grasp, and its size.

    Example:
        >>> said_of("mug", "large")[:3]
        ('a hand holding a mug', 'a hand holding a large mug', 'a right hand holding a large mug')
    """
    thing = with_article(category)
    sized = with_article(f"{size} {category}") if size else thing
    doing = [f"a hand {verb} {thing}" for verb in dict.fromkeys(VERB_PHRASES.values())]
    kinds = [f"a hand holding {thing} with {with_article(kind.name)} grasp" for kind in TAXONOMY]
    return (f"a hand holding {thing}", f"a hand holding {sized}", f"a right hand holding {sized}", *doing, *kinds)


class InteractionBatches(Dataset[Batch]):
    """Batch k of an endless, seeded sequence of objects, of which the first have hands.

    `code` (b, code), `extents` (b, 3) m, `T_box_hand` (b, 4, 4), `hand_pose` (b, 15, 3), `held` (b,), `text`
    (b, 1, dim). An object without a hand has the identity and a flat hand in its place.
    """

    def __init__(
        self,
        things: Sequence[ShapePoints],
        codes: Float[Tensor, "k code"],
        table: GraspTable | None,
        folder: Path,
        text_encoder: str,
        batch_size: int,
        augmentation: Augmentation,
        scale: tuple[float, float],
        seed: int,
    ) -> None:
        self.codes, self.table, self.batch_size, self.seed = codes, table, batch_size, seed
        self.augmentation, self.scale = augmentation, scale
        self.extents = torch.stack([thing.extents for thing in things])
        place = {thing.key: i for i, thing in enumerate(things)}
        usual = {family.name: family.extent for family in FAMILIES}
        sizes = [
            size_word(float(thing.extents.max()), usual[thing.category]) if thing.category in usual else ""
            for thing in things
        ]
        self.said = [said_of(thing.category, size) for thing, size in zip(things, sizes, strict=True)]
        texts = list(dict.fromkeys(text for said in self.said for text in said))
        sentences = texts if table is None else texts + table.sentences
        features = text_features(folder, sentences, text_encoder).mean(dim=1, keepdim=True)
        self.row = {text: i for i, text in enumerate(texts)}
        self.said_features, self.grasp_features = features[: len(texts)], features[len(texts) :]
        paths: list[tuple[str, ...]] = [
            (("meshes", "families")[thing.category in usual], thing.category, thing.key) for thing in things
        ]
        self.weights = even_shares(paths, [float(len({p[1] for p in paths if p[0] == path[0]})) for path in paths])
        if table is not None:
            self.owner = torch.tensor([place[info.key] for info in table.objects])
            self.centre = torch.stack([(grid.lower + grid.upper) / 2 for grid in table.sdf])
            self.hand_pose = load_hand("open").angles_to_pose(table.angles)

    def __getitem__(self, k: int) -> Batch:
        generator = batch_generator(self.seed, k)
        count = 0 if self.table is None else round(HELD * self.batch_size)
        alone = self._alone(self.batch_size - count, generator)
        rows = [self._held(count, generator), alone] if count else [alone]
        return {name: torch.cat([part[name] for part in rows]) for name in alone}

    def _alone(self, count: int, generator: torch.Generator) -> Batch:
        """Objects without hands."""
        drawn = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        texts = []
        for i in drawn.tolist():
            said = self.said[i]
            # The plainest are what people say most.
            first = torch.rand((), generator=generator) < 0.5
            texts.append(said[int(torch.randint(3 if first else len(said), (), generator=generator))])
        return {
            "code": self.codes[drawn],
            "extents": self.extents[drawn] * self._scales(count, generator),
            "T_box_hand": torch.eye(4).repeat(count, 1, 1),
            "hand_pose": torch.zeros(count, 15, 3),
            "held": torch.zeros(count, dtype=torch.bool),
            "text": self.said_features[[self.row[text] for text in texts]],
        }

    def _held(self, count: int, generator: torch.Generator) -> Batch:
        """Objects with hands at them."""
        table = self.table
        assert table is not None, "asked for only where there are grasps"
        drawn = table.draw(count, generator)
        owner = table.object_index[drawn]
        T = displaced(table.T_object_hand[drawn], self.augmentation, generator)
        T[:, :3, 3] -= self.centre[owner]
        # An object is scaled about the palm: its middle moves, seen from the hand, as far as it grows.
        scale = self._scales(count, generator)
        palm = torch.tensor(PALM_CENTRE)
        at_palm = T[:, :3, :3] @ palm + T[:, :3, 3]
        T[:, :3, 3] = scale * at_palm - T[:, :3, :3] @ palm
        return {
            "code": self.codes[self.owner[owner]],
            "extents": self.extents[self.owner[owner]] * scale,
            "T_box_hand": T,
            "hand_pose": self.hand_pose[drawn]
            + self.augmentation.angles * torch.randn(count, 15, 3, generator=generator),
            "held": torch.ones(count, dtype=torch.bool),
            "text": self.grasp_features[table.text_id[drawn]],
        }

    def _scales(self, count: int, generator: torch.Generator) -> Float[Tensor, "b 1"]:
        low, high = self.scale
        return low + (high - low) * torch.rand(count, 1, generator=generator)


class InteractionModule(DividedModule[InteractionBatches]):
    """Codes of the objects of `ShapePointsModule`, and the recorded grasps that a cache has of some of them.

    Args:
        cache: folder of `hoprior data prepare`; grasps of objects that are not among the shapes are left out.
        shapes: folder in which the shapes are kept; they are made where they are missing.
        autoencoder: file of the autoencoder's weights, the same as the prior's.
        objects, meshes: of `ShapePointsModule`.
        batch_size: rows a batch.
        batches_per_epoch, val_batches: batches of an epoch and of a validation.
        source_weights: how often each source of grasps is drawn; 1 for those not named.
        val_fraction: share of the objects that are held out.
        rotation, translation, angles: augmentation of hands, see `Augmentation`.
        scale: factors of objects.
        text_encoder: whose features the texts are.
        seed: of the draws.
    """

    def __init__(
        self,
        cache: str | Path,
        shapes: str | Path,
        autoencoder: str | Path,
        objects: int = 1560,
        meshes: Mapping[str, str | Path] | None = None,
        batch_size: int = 256,
        batches_per_epoch: int = 200,
        val_batches: int = 4,
        source_weights: dict[str, float] | None = None,
        val_fraction: float = 0.1,
        rotation: float = 0.03,
        translation: float = 0.002,
        angles: float = 0.02,
        scale: tuple[float, float] = (0.95, 1.05),
        text_encoder: str = "minilm",
        seed: int = 0,
    ) -> None:
        super().__init__(batches_per_epoch, val_batches, val_fraction)
        self.cache, self.autoencoder = Path(cache), Path(autoencoder)
        self.shapes = ShapePointsModule(shapes, objects, meshes, val_fraction=val_fraction)
        self.batch_size, self.source_weights = batch_size, source_weights
        self.augmentation = Augmentation(rotation, translation, (1.0, 1.0), angles)
        self.scale, self.text_encoder, self.seed = (scale[0], scale[1]), text_encoder, seed

    def setup(self, stage: str | None = None) -> None:
        """Encodes the objects and reads the cache (once), and divides both."""
        if self.train_batches is not None:
            return
        things = self.shapes.things()
        codes = self._codes(things)
        kept_out = held_out([thing.key for thing in things], self.val_fraction)
        keys = {thing.key for thing in things}
        shards = [read_shard(self.cache / entry["file"]) for entry in read_index(self.cache) if entry["object"] in keys]
        # A data set's own name of an object is better than its file's.
        named = {shard.grasps.object.key: shard.grasps.object.category for shard in shards}
        things = [replace(thing, category=named.get(thing.key, thing.category)) for thing in things]
        for name, chosen in (("train_batches", keys - kept_out), ("val_batches_of", kept_out)):
            rows = [i for i, thing in enumerate(things) if thing.key in chosen]
            mine = [shard for shard in shards if shard.grasps.object.key in chosen]
            present = {shard.grasps.object.source for shard in mine}
            weights = {source: w for source, w in (self.source_weights or {}).items() if source in present}
            augmented = name == "train_batches"
            batches = InteractionBatches(
                [things[i] for i in rows],
                codes[rows],
                GraspTable(mine, 1.0, weights) if mine else None,
                self.cache,
                self.text_encoder,
                self.batch_size,
                self.augmentation if augmented else Augmentation.none(),
                self.scale if augmented else (1.0, 1.0),
                self.seed,
            )
            setattr(self, name, batches)

    @torch.no_grad()
    def _codes(self, things: Sequence[ShapePoints]) -> Float[Tensor, "k code"]:
        autoencoder = ShapeAutoencoder.from_safetensors(self.autoencoder).eval()
        fields = [
            torch.stack([t.field.float() for t in things[k : k + ENCODED]]) for k in range(0, len(things), ENCODED)
        ]
        return torch.cat([autoencoder.encode(field) for field in fields])
