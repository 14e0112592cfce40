"""Random placements at objects whose parts have names, each labelled with the part that the hand is at.

Nobody would hold most of them so. But a search judges thousands of such placements, and a prior of words has to know
of each which part of the object it is at, not only of those that somebody would choose.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import igl
import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.datasets.phrases import with_article
from hoprior.datasets.sample import GraspLabel, GraspSet, ObjectInfo
from hoprior.datasets.seeding import generator_of
from hoprior.datasets.skin import posed_set
from hoprior.datasets.synthetic.objects import Catalogue, Graspable
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import HandModel
from hoprior.placement import random_placements
from hoprior.state import transform_points

REACH = 0.012
"""A part counts for e times less with every so many metres between it and a point of the hand's inside."""
CLEAR_SHARE = 0.7
"""Placements at which no part counts for so much are left out: who could say where they are?"""
LEAST_NEAR = 2.0
"""And those at which the parts count for less in all, which are near nothing."""


def placed(thing: Graspable, num: int, hand: HandModel, seed: int) -> GraspSet | None:
    """At most `num` random placements with relaxed fingers, none of a human, as many of each part as there are.

    Args:
        thing: the object.
        num: how many to keep at most; four times as many are drawn.
        hand: whose fingers these are.
        seed: of everything random.

    Returns:
        None where the object has one part, of which there is nothing to tell apart, or no placement is clear.
    """
    info, names = thing.info, thing.part_names
    if len(names) < 2:
        return None
    pool = random_placements(thing.mesh, 4 * num, generator_of(seed, "placed", info.key))
    part, clear = parts_at(thing, pool, hand)
    chosen: list[int] = []
    present = [k for k in range(len(names)) if (clear & (part == k)).any()]
    for k in present:
        chosen += np.flatnonzero(clear & (part == k))[: num // len(present)].tolist()
    if not chosen:
        return None
    kept = torch.tensor(sorted(chosen))
    at = [names[k] for k in part[kept.numpy()].tolist()]
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


def parts_at(
    thing: Graspable, T_object_hand: Float[Tensor, "n 4 4"], hand: HandModel
) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """The part that the inside of a relaxed hand is nearest to at each placement, and whether it is clear."""
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
    total = counts.sum(axis=1)
    clear = (counts.max(axis=1) >= CLEAR_SHARE * total) & (total >= LEAST_NEAR)
    return counts.argmax(axis=1), clear


@dataclass(frozen=True)
class Parts:
    """Objects 0 to `num` - 1 of the families whose objects have several parts, with `placements` each; no grasps."""

    num: int
    placements: int = 200
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
        """The object's shape and how many placements it has."""
        return f"{self._catalogue.fingerprint(self._number[info.name])} {self.placements} placements"

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
