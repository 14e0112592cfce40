"""Objects whose parts have names, with places on them and sentences, for the prior of parts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from safetensors.torch import save
from torch import Tensor
from torch.utils.data import Dataset

from hoprior.datasets.samples.seeding import batch_generator
from hoprior.datasets.samples.text_features import text_features
from hoprior.datasets.synthetic.objects import Graspable
from hoprior.datasets.training.datamodule import Batch
from hoprior.datasets.training.object_store import KeptObjectsModule, read_kept
from hoprior.geometry.lookup import trilinear_distance
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.sdf import SdfGrid
from hoprior.language.captions import OF_PART, sayings
from hoprior.language.labels import GraspLabel
from hoprior.language.phrases import GENERIC_TEXT, VERB_PHRASES, with_article
from hoprior.language.taxonomy import TAXONOMY
from hoprior.models.parts import TRUNCATION, view_of

PLACES = 4096
"""Kept of each object."""
SCATTER = 0.08
"""Of places about the surface, over the cube's half extent: hands are near it, not on it."""
PART_SAYINGS = len(OF_PART) + 2
"""How many of `sayings` name the part and no kind of grasp."""
GRID_RESOLUTION = 56
"""Of the distances from which the cube that the prior sees is sampled."""
TILT = 0.25
"""Standard deviation of an augmenting rotation (rad), besides the 48 ways to turn and mirror a cube."""


@dataclass(frozen=True)
class PartPoints:
    """An object as the prior sees it, with labelled places."""

    key: str
    category: str
    parts: tuple[str, ...]
    """Their names; `part` counts into these."""
    field: Float[Tensor, "1 r r r"]
    size: float
    """Half extent of its cube, m."""
    places: Float[Tensor, "n 3"]
    """Over the cube, -1 .. 1."""
    part: Int[Tensor, " n"]


def part_points(thing: Graspable, resolution: int, seed: int) -> PartPoints:
    """The view of an object, and places near its surface with the part that each is nearest to."""
    view = view_of(SdfGrid.from_mesh(thing.solid, GRID_RESOLUTION), resolution)
    spec = view.spec
    # Half of them as they fall, half as many on each part: a handle is a small share of a mug.
    area = thing.mesh.area_faces
    even = area / np.bincount(thing.face_part, area, len(thing.part_names))[thing.face_part]
    half = PLACES // 2
    points = np.concatenate(
        [
            trimesh.sample.sample_surface(thing.mesh, half, face_weight=weight, seed=seed + k)[0]
            for k, weight in enumerate((area, even))
        ]
    )
    scatter = np.random.default_rng(seed).normal(scale=SCATTER * spec.half_extent, size=(PLACES, 1))
    noise = np.random.default_rng(seed + 1).normal(size=(PLACES, 3))
    points = points + np.abs(scatter) * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    unit = (points - np.array(spec.center)) / (spec.half_extent + spec.cell / 2)
    return PartPoints(
        thing.info.key,
        thing.info.category,
        thing.part_names,
        view.field,
        spec.half_extent,
        torch.from_numpy(unit).float(),
        torch.from_numpy(thing.parts_near(points)).long(),
    )


class PartBatches(Dataset[Batch]):
    """Batch k of an endless, seeded sequence of objects, each with sentences and places.

    `field` (b, 1, r, r, r), `size` (b), `places` (b, n, 3) over the cube, `texts` (b, k, dim) and `fits` (b, k, n): the
    sentence speaks of the part that the place is on. A third of the sentences, the last, name no part and fit
    everywhere: a verb or a kind of grasp is no reason to prefer a place, as long as nobody has shown one.
    """

    def __init__(
        self,
        objects: Sequence[PartPoints],
        folder: Path,
        text_encoder: str,
        batch_size: int,
        sentences: int,
        places: int,
        augmented: bool,
        seed: int,
    ) -> None:
        self.objects = objects
        self.batch_size, self.sentences, self.places = batch_size, sentences, places
        self.augmented, self.seed = augmented, seed
        # Objects are drawn by how many pairs of parts there are to tell apart: a mug's handle, rim and body take longer
        # to learn than a hammer's head and handle.
        self.hardness = torch.tensor([len(thing.parts) * (len(thing.parts) - 1) / 2 for thing in objects])
        texts = [GENERIC_TEXT]
        for thing in objects:
            texts += _fits_everywhere(thing.category)
            texts += [text for part in thing.parts for text in _named(thing.category, part)]
        texts = list(dict.fromkeys(texts))
        self.row = {text: i for i, text in enumerate(texts)}
        self.features = text_features(folder, texts, text_encoder).mean(dim=1)

    def __getitem__(self, k: int) -> Batch:
        generator = batch_generator(self.seed, k)
        drawn = torch.multinomial(self.hardness, self.batch_size, replacement=True, generator=generator).tolist()
        rows = [self._row(self.objects[i], generator) for i in drawn]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, thing: PartPoints, generator: torch.Generator) -> Batch:
        chosen = torch.randint(len(thing.part), (self.places,), generator=generator)
        parts = torch.randint(len(thing.parts), (self.sentences,), generator=generator)
        fits = thing.part[chosen][None] == parts[:, None]
        column = torch.randint(PART_SAYINGS, (self.sentences,), generator=generator).tolist()
        texts = [_named(thing.category, thing.parts[p])[c] for p, c in zip(parts.tolist(), column, strict=True)]
        everywhere = _fits_everywhere(thing.category)
        for k in range(1, max(2, self.sentences // 3) + 1):
            texts[-k] = everywhere[int(torch.randint(len(everywhere), (), generator=generator))]
            fits[-k] = True
        field, places = thing.field, thing.places[chosen]
        if self.augmented:
            field, places = turned(field, places, generator)
        return {
            "field": field,
            "size": torch.tensor(thing.size),
            "places": places,
            "texts": self.features[[self.row[text] for text in texts]],
            "fits": fits,
        }


def turned(
    field: Float[Tensor, "1 r r r"], places: Float[Tensor, "n 3"], generator: torch.Generator
) -> tuple[Float[Tensor, "1 r r r"], Float[Tensor, "n 3"]]:
    """An object in one of the 48 ways to turn and mirror a cube, and tilted a little; what was beyond is far away."""

    order = torch.randperm(3, generator=generator)
    signs = torch.randint(2, (3,), generator=generator).float() * 2 - 1
    cube = torch.eye(3)[order] * signs[:, None]
    tilt = rotvec_to_rotmat(TILT * torch.randn(3, generator=generator))
    rotation = tilt @ cube  # of the object
    resolution = field.shape[-1]
    axis = torch.linspace(-1, 1, resolution)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    from_points = torch.stack([x, y, z], dim=-1) @ rotation  # the inverse rotation of every point
    moved = trilinear_distance(field[None], from_points.reshape(1, -1, 3), torch.ones(3)).view(field.shape)
    return moved.clamp(-TRUNCATION, TRUNCATION), places @ rotation.T


@lru_cache
def _fits_everywhere(category: str) -> tuple[str, ...]:
    """Sentences that name no part: every verb and kind of grasp, with the object's name and without."""
    thing = with_article(category)
    doing = [f"a hand {verb} {{}}" for verb in dict.fromkeys(VERB_PHRASES.values())]
    kinds = [f"a hand holding {{}} with {with_article(kind.name)} grasp" for kind in TAXONOMY]
    named = [f"a hand holding {thing}", *(text.format(thing) for text in doing + kinds)]
    # The bare name and no name at all are what people say most.
    return (*named[:1] * 8, *[GENERIC_TEXT] * 8, *named[1:], *(text.format("an object") for text in doing + kinds))


def _named(category: str, part: str) -> tuple[str, ...]:
    return sayings(category, GraspLabel(part=part), GENERIC_TEXT)[:PART_SAYINGS]


def _write(path: Path, thing: PartPoints) -> None:
    tensors = {"field": thing.field, "places": thing.places, "part": thing.part, "size": torch.tensor(thing.size)}
    about = {"key": thing.key, "category": thing.category, "parts": json.dumps(thing.parts)}
    path.write_bytes(save(tensors, about))


class PartPointsModule(KeptObjectsModule[PartPoints, PartBatches]):
    """Objects of the parametric families with labelled places; see `KeptObjectsModule`. Those of one part are left out.

    Args:
        folder: where objects and text features are kept.
        objects: how many, number 0 on.
        resolution: of the prior.
        batch_size, sentences, places: objects a batch, sentences an object, places an object.
        batches_per_epoch, val_batches: batches of an epoch and of a validation.
        val_fraction: share of the objects that are held out.
        text_encoder: name of the encoder of hoprior.priors.text_encoders.
        seed: of the objects and of the draws.
    """

    def __init__(
        self,
        folder: str | Path,
        objects: int = 624,
        resolution: int = 32,
        batch_size: int = 16,
        sentences: int = 24,
        places: int = 256,
        batches_per_epoch: int = 200,
        val_batches: int = 8,
        val_fraction: float = 0.1,
        text_encoder: str = "minilm",
        seed: int = 0,
    ) -> None:
        super().__init__(folder, objects, batches_per_epoch, val_batches, val_fraction, seed)
        self.resolution, self.text_encoder = resolution, text_encoder
        self.batch_size, self.sentences, self.places = batch_size, sentences, places

    @property
    def kind(self) -> str:
        """The resolution."""
        return f"{self.resolution}"

    def make(self, thing: Graspable, seed: int) -> PartPoints:
        """See `part_points`."""
        return part_points(thing, self.resolution, seed)

    def read(self, path: Path) -> PartPoints | None:
        """A kept object; None where there is none, or it is damaged."""
        return read_kept(path, ("field", "places", "part", "size"), _kept)

    def write(self, path: Path, thing: PartPoints) -> None:
        """Writes an object to a file."""
        _write(path, thing)

    def is_of_use(self, thing: PartPoints) -> bool:
        """Whether it has parts to tell apart."""
        return len(thing.parts) > 1

    def batches(self, things: Sequence[PartPoints], augmented: bool) -> PartBatches:
        """See `PartBatches`."""
        return PartBatches(
            things,
            self.folder,
            self.text_encoder,
            self.batch_size,
            self.sentences,
            self.places,
            augmented,
            self.seed,
        )


def _kept(about: dict[str, str], tensors: list[Tensor]) -> PartPoints:
    field, places, part, size = tensors
    parts = tuple(json.loads(about["parts"]))
    return PartPoints(about["key"], about["category"], parts, field, float(size), places, part)
