"""Random placements at objects whose parts have names, each labelled with the part that the hand is at.

Nobody would hold most of them so. But a search judges thousands of such placements, and a prior of words has to know
of each which part of the object it is at, not only of those that somebody would choose.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import igl
import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.datasets.samples.code_digest import code_digest
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.datasets.samples.seeding import generator_of
from hoprior.datasets.samples.skin import posed_set
from hoprior.datasets.synthetic.objects import Catalogue, Graspable
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import transform_points
from hoprior.hand import HandModel
from hoprior.hand.placement import random_placements
from hoprior.language.labels import GraspLabel
from hoprior.language.phrases import with_article

REACH = 0.012
"""A part counts for e times less with every so many metres between it and a point of the hand's inside."""
LEAST_NEAR = 2.0
"""Placements at which the parts count for less in all are near nothing, and left out."""
DRAWN = 3
"""Placements that are drawn for each that is kept: some are near nothing."""


def placed(thing: Graspable, num: int, hand: HandModel, seed: int) -> GraspSet | None:
    """At most `num` random placements with relaxed fingers, none of a human, as often of each part as they fall there.

    Where a hand is at several parts, its label is drawn by how near it is to each: between a mug's rim and its handle
    a sentence of either is half right, and a prior that is shown only clear cases learns to say yes to both.

    Args:
        thing: the object.
        num: how many to keep at most.
        hand: whose fingers these are.
        seed: of everything random.

    Returns:
        None where the object has one part, of which there is nothing to tell apart, or no placement is near.
    """
    info, names = thing.info, thing.part_names
    if len(names) < 2:
        return None
    generator = generator_of(seed, "placed", info.key)
    pool = random_placements(thing.mesh, DRAWN * num, generator)
    near = nearness_of_parts(thing, pool, hand)
    kept = (near.sum(dim=1) >= LEAST_NEAR).nonzero()[:num, 0]
    if not len(kept):
        return None
    at = [names[k] for k in torch.multinomial(near[kept].square(), 1, generator=generator)[:, 0].tolist()]
    order = tuple(dict.fromkeys(at))
    ids = torch.tensor([order.index(name) for name in at])
    return posed_set(
        info,
        hand,
        hand.relaxed_angles.expand(len(kept), -1, -1),
        pool[kept],
        recorded=False,
        text_id=ids,
        sequence_id=ids,
        sentences=tuple(f"a hand holding {with_article(info.category)} by the {name}" for name in order),
        sequences=tuple(f"placed at the {name}" for name in order),
        subject="synthetic",
        labels=tuple(GraspLabel(part=name) for name in order),
        label_id=ids,
    )


def nearness_of_parts(
    thing: Graspable, T_object_hand: Float[Tensor, "n 4 4"], hand: HandModel
) -> Float[Tensor, "n parts"]:
    """How much each part counts for the inside of a relaxed hand at each placement (`REACH`)."""
    inside = torch.cat([hand.pad_ids, hand.palm_ids])[::6]
    verts = hand(hand.angles_to_pose(hand.relaxed_angles[None])).verts[0, inside]
    points = transform_points(T_object_hand, verts.expand(len(T_object_hand), -1, -1)).numpy().astype(np.float64)
    squared, nearest, _ = igl.point_mesh_squared_distance(
        points.reshape(-1, 3),
        np.ascontiguousarray(thing.mesh.vertices, dtype=np.float64),
        np.ascontiguousarray(thing.mesh.faces, dtype=np.int64),
    )
    weight = np.exp(-np.sqrt(squared) / REACH).reshape(points.shape[:2])
    owner = thing.face_part[nearest].reshape(points.shape[:2])
    counts = np.stack([np.where(owner == k, weight, 0.0).sum(axis=1) for k in range(len(thing.part_names))], axis=1)
    return torch.from_numpy(counts)


@dataclass(frozen=True)
class Parts:
    """Objects 0 to `num` - 1 of the families whose objects have several parts, with `placements` each; no grasps."""

    num: int
    placements: int = 300
    seed: int = 0
    name: str = "parts"

    @cached_property
    def _catalogue(self) -> Catalogue:
        return Catalogue.of(None, [], self.seed)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {self._catalogue.info(i).name: i for i in range(self.num)}

    @cached_property
    def _divided(self) -> set[str]:
        """The families whose objects have more than one part."""
        first = (self._catalogue.make(i) for i in range(min(self.num, len(self._catalogue.kinds))))
        return {thing.info.category for thing in first if len(thing.part_names) > 1}

    def objects(self) -> list[ObjectInfo]:
        """All of them but those that are of one part, of which there is nothing to tell apart."""
        infos = (self._catalogue.info(i) for i in range(self.num))
        return [replace(info, source=self.name) for info in infos if info.category in self._divided]

    def fingerprint(self, info: ObjectInfo) -> str:
        """The object's shape, how many placements it has, and the code that makes both."""
        here = Path(__file__).parents[1]
        code = code_digest(here / "procedural", here / "synthetic" / "objects.py", Path(__file__))
        return f"{self._catalogue.fingerprint(self._number[info.name])} {self.placements} placements {code}"

    def mesh(self, info: ObjectInfo) -> trimesh.Trimesh:
        """The object's mesh, metres.

        Raises:
            HopriorError: its parameters give no sound solid.
        """
        return self._thing(info).mesh

    def grasps(self, info: ObjectInfo, mesh: trimesh.Trimesh, sdf: SdfGrid, hand: HandModel) -> GraspSet | None:
        """The object's placements, which are not `recorded`."""
        return placed(self._thing(info), self.placements, hand, self.seed)

    def _thing(self, info: ObjectInfo) -> Graspable:
        return replace(_made(self._catalogue, self._number[info.name]), info=info)


@lru_cache(maxsize=2)
def _made(catalogue: Catalogue, number: int) -> Graspable:
    """An object, whose mesh and placements are asked for one after the other."""
    return catalogue.make(number)
