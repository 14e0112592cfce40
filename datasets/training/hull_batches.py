"""Made objects as clips leave them, with sentences: the data of the prior of shapes."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float, Int8
from safetensors.torch import save
from torch import Tensor
from torch.utils.data import Dataset

from hoprior.datasets.samples.seeding import batch_generator
from hoprior.datasets.samples.text_features import text_features
from hoprior.datasets.synthetic.objects import Catalogue, Graspable
from hoprior.datasets.training.datamodule import Batch
from hoprior.datasets.training.holding_hands import holders_of
from hoprior.datasets.training.object_store import KeptObjectsModule, read_kept
from hoprior.datasets.training.visual_hulls import Solid, degraded, solid_of
from hoprior.errors import HopriorError
from hoprior.hand import load_hand
from hoprior.language.phrases import GENERIC_TEXT, VERB_PHRASES, sentence_for, with_article
from hoprior.models.shape_completion import TRUNCATION

INT8_MAX = 127
SIZE_SPREAD = 0.1
"""Of the logarithm of sizes."""
VESSEL_FAMILIES = ("mug", "cup", "wine glass", "bowl", "pitcher", "frying pan")
"""Families with a hollow."""
VESSELS = 0.15
"""Of the objects so many are drawn from those with a hollow, which are few and hard."""
HALF_FINISHED, UNKNOWN = 0.5, 0.15
"""Share of hulls that a fit has begun to mend; and of which nobody knows from where they were seen, or what is up, or
where the hand is."""
UNNAMED, WRONGLY_NAMED, UNHEARD = 0.12, 0.04, 0.12
"""Shares of sentences that name nothing, that name another object, and that are not heard."""
COLUMNS = ("fields", "half", "ways", "mouth")
VERBS_NAMED = 6
"""With an object's name so many verbs are told; the encoder is slow."""


@dataclass(frozen=True)
class Hulls:
    """An object as k clips leave it and as it is, in parts of `TRUNCATION`; see `degraded`."""

    key: str
    category: str
    fields: Int8[Tensor, "k 4 r r r"]
    half: Float[Tensor, "k 3"]
    ways: Float[Tensor, "k 5 3"]
    mouth: Float[Tensor, "k 3"]


def hulls_of(solid: Solid, holders: Float[Tensor, "n 21 3"], count: int, resolution: int, seed: int) -> Hulls:
    """Of `count` ways in which a clip may leave an object those that leave something; see `degraded`.

    Raises:
        HopriorError: none does.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = [row for _ in range(count) if (row := degraded(solid, holders, resolution, generator)) is not None]
    if not rows:
        raise HopriorError(f"{solid.key}: is too thin to be seen in {count} clips: leave its family out")
    fields, *rest = (torch.stack([row[name] for row in rows]) for name in COLUMNS)
    return Hulls(solid.key, solid.category, _packed(fields), *rest)


class HullBatches(Dataset[Batch]):
    """Batch k of an endless, seeded sequence: what `degraded` gives, `text` and `heard`.

    Most sentences name the object; some name nothing, a few another object, and some are not heard at all.
    """

    def __init__(
        self, objects: Sequence[Hulls], folder: Path, text_encoder: str, batch_size: int, augmented: bool, seed: int
    ) -> None:
        self.objects, self.batch_size, self.augmented, self.seed = objects, batch_size, augmented, seed
        self.vessels = [thing for thing in objects if (thing.fields[:, 2] < 0).any()]
        self.categories = sorted({thing.category for thing in objects})
        texts = [GENERIC_TEXT, *(text for category in self.categories for text in _sentences(category))]
        self.row = {text: i for i, text in enumerate(texts)}
        self.features = text_features(folder, texts, text_encoder).mean(dim=1)

    def __getitem__(self, k: int) -> Batch:
        generator = batch_generator(self.seed, k)
        rows = [self._row(self._drawn(generator), generator) for _ in range(self.batch_size)]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _drawn(self, generator: torch.Generator) -> Hulls:
        vessel = bool(self.vessels) and float(torch.rand((), generator=generator)) < VESSELS
        among = self.vessels if vessel else self.objects
        return among[int(torch.randint(len(among), (), generator=generator))]

    def _row(self, thing: Hulls, generator: torch.Generator) -> Batch:
        view = int(torch.randint(len(thing.half), (), generator=generator))
        fields = thing.fields[view].float() * TRUNCATION / INT8_MAX
        half, ways, mouth = thing.half[view], thing.ways[view], thing.mouth[view]
        if self.augmented:
            flips = torch.randint(2, (3,), generator=generator)
            fields = fields.flip([3 - k for k in range(3) if flips[k]])  # x, y, z are the last, middle and first axis
            ways, mouth = ways * (1 - 2 * flips), mouth * (1 - 2 * flips)
            half = half * torch.exp(SIZE_SPREAD * torch.randn((), generator=generator))
        hull, filled, hollow, hand = fields[:, None]
        if torch.rand((), generator=generator) < HALF_FINISHED:
            hull = torch.lerp(hull, filled, torch.rand((), generator=generator))
        toward, up, held = (torch.rand(3, generator=generator) > UNKNOWN).float()
        ways = ways * torch.stack([toward, up, held, held, held])[:, None]
        if not held:
            hand = torch.full_like(hand, TRUNCATION)
        chance = float(torch.rand((), generator=generator))
        category = thing.category
        if chance > 1 - WRONGLY_NAMED:
            category = self.categories[int(torch.randint(len(self.categories), (), generator=generator))]
        said = _sentences(category)
        text = said[int(torch.randint(len(said), (), generator=generator))] if chance > UNNAMED else GENERIC_TEXT
        heard = torch.rand((), generator=generator) > UNHEARD
        return {
            "hull": hull,
            "filled": filled,
            "hollow": hollow,
            "hand": hand,
            "half": half,
            "ways": ways,
            "mouth": mouth,
            "text": self.features[self.row[text]],
            "heard": heard,
        }


def _packed(distances: Tensor) -> Tensor:
    return (distances * INT8_MAX / TRUNCATION).round().clamp(-INT8_MAX, INT8_MAX).to(torch.int8)


@lru_cache
def _sentences(category: str) -> tuple[str, ...]:
    """What may be said of a hand with an object: what is typed, and some of the verbs, other ones for other things."""
    thing = with_article(category)
    verbs = list(dict.fromkeys(VERB_PHRASES.values()))
    some = verbs[len(category) % VERBS_NAMED :: VERBS_NAMED]
    typed = (sentence_for(thing), sentence_for(category), sentence_for(f"the {category}"))
    return (*typed, f"a hand holding {thing}", *(f"a hand {verb} {thing}" for verb in some))


def _write(path: Path, thing: Hulls) -> None:
    tensors = {name: getattr(thing, name) for name in COLUMNS}
    path.write_bytes(save(tensors, {"key": thing.key, "category": thing.category}))


class HullModule(KeptObjectsModule[Hulls, HullBatches]):
    """Objects of the parametric families as clips leave them; see `KeptObjectsModule`.

    Args:
        folder: where objects and text features are kept.
        objects: how many, number 0 on.
        vessels: how many more of the families with a hollow, number 0 on of a list of their own.
        hulls: how many ways of being seen of each are kept.
        resolution: of the prior.
        batch_size, batches_per_epoch, val_batches: objects a batch, batches of an epoch and of a validation.
        val_fraction: share of the objects that are held out.
        text_encoder: name of the encoder of hoprior.priors.text_encoders.
        seed: of the objects and of the draws.
    """

    def __init__(
        self,
        folder: str | Path,
        objects: int = 312,
        vessels: int = 96,
        hulls: int = 10,
        resolution: int = 32,
        batch_size: int = 16,
        batches_per_epoch: int = 200,
        val_batches: int = 8,
        val_fraction: float = 0.08,
        text_encoder: str = "minilm",
        seed: int = 0,
    ) -> None:
        super().__init__(folder, objects, batches_per_epoch, val_batches, val_fraction, seed)
        self.vessels, self.hulls, self.resolution = vessels, hulls, resolution
        self.batch_size, self.text_encoder = batch_size, text_encoder

    @property
    def kind(self) -> str:
        """Number of hulls and resolution."""
        return f"{self.hulls}x{self.resolution}"

    @property
    def code(self) -> tuple[Path, ...]:
        """What makes hulls, and hands that hold objects."""
        return Path(inspect.getfile(solid_of)), Path(inspect.getfile(holders_of))

    def wanted(self) -> list[tuple[Catalogue, int]]:
        """The vessels beside all the others."""
        catalogue = Catalogue.of(VESSEL_FAMILIES, [], self.seed)
        return [*super().wanted(), *((catalogue, i) for i in range(self.vessels))]

    def make(self, thing: Graspable, seed: int) -> Hulls:
        """See `hulls_of`."""
        middle = torch.from_numpy(thing.solid.bounds.mean(axis=0)).float()
        holders = holders_of(thing, load_hand(), seed) - middle
        return hulls_of(solid_of(thing), holders, self.hulls, self.resolution, seed)

    def read(self, path: Path) -> Hulls | None:
        """A kept object; None where there is none, or it is damaged."""
        return read_kept(path, COLUMNS, _kept)

    def write(self, path: Path, thing: Hulls) -> None:
        """Writes an object to a file."""
        _write(path, thing)

    def batches(self, things: Sequence[Hulls], augmented: bool) -> HullBatches:
        """See `HullBatches`."""
        return HullBatches(things, self.folder, self.text_encoder, self.batch_size, augmented, self.seed)


def _kept(about: dict[str, str], tensors: list[Tensor]) -> Hulls:
    return Hulls(about["key"], about["category"], *tensors)
