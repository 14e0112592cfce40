"""Objects as places with their distances, for the autoencoder of shapes (`hoprior.models.shape_autoencoder`)."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor
from torch.utils.data import Dataset

from hoprior.common.io import write_atomically
from hoprior.common.run_key import DIGITS
from hoprior.datasets.samples.seeding import batch_generator
from hoprior.datasets.synthetic.objects import Graspable, mesh_files, spoken
from hoprior.datasets.training.datamodule import Batch
from hoprior.datasets.training.object_store import KeptObjectsModule, read_kept
from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.sdf import signed_distance
from hoprior.geometry.shape_box import FIELD_RESOLUTION, REACH, ShapeBox
from hoprior.geometry.watertight import watertight_mesh

NEAR, AROUND, ANYWHERE = 3072, 1024, 1024
"""Places kept of each object: next to its surface, about it, and anywhere in its box."""
NEAR_SPREAD, AROUND_SPREAD = 0.015, 0.08
"""Deviations of the former from the surface, over the box's half sides."""
MESH_RESOLUTION = 96
"""Of the closed surface that a mesh from a file is given where it has none."""


@dataclass(frozen=True)
class ShapePoints:
    """An object in its box: what the encoder sees, and places with distances."""

    key: str
    category: str
    extents: Float[Tensor, " 3"]
    """Sides of its box, m."""
    field: Float[Tensor, "1 r r r"]
    places: Float[Tensor, "n 3"]
    distance: Float[Tensor, " n"]


def shape_points(mesh: trimesh.Trimesh, key: str, category: str, seed: int) -> ShapePoints:
    """An object's distances on the encoder's grid and at places of which most are near its surface.

    Args:
        mesh: closed, m.
        key, category: what it is kept and known as.
        seed: of the places.
    """
    box = ShapeBox.of(mesh.bounds)
    rng = np.random.default_rng(seed)
    faces = trimesh.Trimesh(box.unit(mesh.vertices), mesh.faces, process=False)
    # By area in the box, where a thin thing's sides count as much as its length.
    surface = trimesh.sample.sample_surface(faces, NEAR + AROUND, seed=seed)[0]
    spread = np.r_[np.full(NEAR, NEAR_SPREAD), np.full(AROUND, AROUND_SPREAD)][:, None]
    places = np.concatenate(
        [surface + spread * rng.standard_normal(surface.shape), rng.uniform(-REACH, REACH, (ANYWHERE, 3))]
    ).clip(-REACH, REACH)
    points = np.concatenate([box.lattice(FIELD_RESOLUTION), places])
    distance = torch.from_numpy(signed_distance(mesh, box.metres(points)) / box.scale).float()
    field, near = distance.split([FIELD_RESOLUTION**3, len(places)])
    r = FIELD_RESOLUTION
    extents = torch.from_numpy(box.extents).float()
    return ShapePoints(key, category, extents, field.view(1, r, r, r).half(), torch.from_numpy(places).float(), near)


class ShapeBatches(Dataset[Batch]):
    """Batch k of an endless, seeded sequence: `field` (b, 1, r, r, r), `places` (b, n, 3), `distance` (b, n).

    Every category is drawn as often as every other one.
    """

    def __init__(self, objects: Sequence[ShapePoints], batch_size: int, places: int, seed: int) -> None:
        self.objects, self.batch_size, self.places, self.seed = objects, batch_size, places, seed
        names = [thing.category for thing in objects]
        self.weights = torch.tensor([1.0 / names.count(name) for name in names])

    def __getitem__(self, k: int) -> Batch:
        generator = batch_generator(self.seed, k)
        drawn = torch.multinomial(self.weights, self.batch_size, replacement=True, generator=generator).tolist()
        chosen = [torch.randint(NEAR + AROUND + ANYWHERE, (self.places,), generator=generator) for _ in drawn]
        things = [self.objects[i] for i in drawn]
        return {
            "field": torch.stack([thing.field.float() for thing in things]),
            "places": torch.stack([thing.places[rows] for thing, rows in zip(things, chosen, strict=True)]),
            "distance": torch.stack([thing.distance[rows] for thing, rows in zip(things, chosen, strict=True)]),
        }


class ShapePointsModule(KeptObjectsModule[ShapePoints, ShapeBatches]):
    """Objects of the parametric families, and meshes, as `ShapePoints`; see `KeptObjectsModule`.

    Args:
        folder: where they are kept.
        objects: how many of the families, number 0 on: the first are those of the synthetic set.
        meshes: folders of other objects, each under the name of its source; files' names are what they are called.
        batch_size, places: objects a batch, places an object.
        batches_per_epoch, val_batches: batches of an epoch and of a validation.
        val_fraction: share of the objects that are held out.
        seed: of the objects and of the draws.
    """

    def __init__(
        self,
        folder: str | Path,
        objects: int = 1560,
        meshes: Mapping[str, str | Path] | None = None,
        batch_size: int = 32,
        places: int = 1536,
        batches_per_epoch: int = 200,
        val_batches: int = 8,
        val_fraction: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__(folder, objects, batches_per_epoch, val_batches, val_fraction, seed)
        self.meshes = [(name, file) for name, place in (meshes or {}).items() for file in mesh_files(Path(place))]
        self.batch_size, self.places = batch_size, places

    @property
    def kind(self) -> str:
        """The resolution."""
        return f"shape{FIELD_RESOLUTION}"

    def _made(self) -> Iterable[ShapePoints]:
        yield from super()._made()
        for source, path in self.meshes:
            digest = hashlib.sha256(path.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:DIGITS]
            kept = self.folder / f"{source}-{path.stem}-{self.kind}-{digest}.safetensors"
            if (thing := self.read(kept)) is None:
                solid = watertight_mesh(load_mesh(path), resolution=MESH_RESOLUTION)
                thing = shape_points(solid, f"{source}-{path.stem}", spoken(path), self.seed)
                write_atomically(kept, partial(self.write, thing=thing))
            yield thing

    def make(self, thing: Graspable, seed: int) -> ShapePoints:
        """See `shape_points`."""
        return shape_points(thing.solid, thing.info.key, thing.info.category, seed)

    def read(self, path: Path) -> ShapePoints | None:
        """A kept object; None where there is none, or it is damaged."""
        return read_kept(path, ("extents", "field", "places", "distance"), _kept)

    def write(self, path: Path, thing: ShapePoints) -> None:
        """Writes an object to a file."""
        tensors = {name: getattr(thing, name) for name in ("extents", "field", "places", "distance")}
        path.write_bytes(save(tensors, {"key": thing.key, "category": thing.category}))

    def batches(self, things: Sequence[ShapePoints], augmented: bool) -> ShapeBatches:
        """See `ShapeBatches`."""
        return ShapeBatches(things, self.batch_size, self.places, self.seed)


def _kept(about: dict[str, str], tensors: list[Tensor]) -> ShapePoints:
    extents, field, places, distance = tensors
    return ShapePoints(about["key"], about["category"], extents, field, places, distance)
