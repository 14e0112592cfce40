"""Recorded grasps of a cache as a prior sees them: the truth that generated ones are measured against."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.datasets.samples.cache import Shard, read_index, read_shard
from hoprior.datasets.training.datamodule import object_grids
from hoprior.datasets.training.grasp_table import GraspTable
from hoprior.datasets.training.held_out import held_out
from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec

SIZE_WORDS = ("small", "medium", "large")
"""What a category may start with that says how large the object is, not what it is."""

Split = Literal["train", "val"]


def family_of(category: str) -> str:
    """ "large cube" -> "cube": what an object is, whatever its size."""
    first, _, rest = category.partition(" ")
    return rest if first in SIZE_WORDS and rest else category


def size_of(category: str) -> str | None:
    """ "large cube" -> "large"; None where a category says nothing of size."""
    first, _, rest = category.partition(" ")
    return first if first in SIZE_WORDS and rest else None


@dataclass(frozen=True)
class RecordedGrids:
    """n recorded grasps in the hand's frame, metres."""

    object_sdf: Float[Tensor, "n 1 D H W"]
    """Signed distances, not truncated."""
    joints_hand: Float[Tensor, "n 21 3"]
    objects: tuple[str, ...]
    categories: tuple[str, ...]
    sentences: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.joints_hand)

    def __getitem__(self, index: slice | list[int] | Int[Tensor, " k"]) -> "RecordedGrids":
        """The chosen grasps."""
        chosen = torch.arange(len(self))[index].tolist()
        columns = (tuple(names[i] for i in chosen) for names in (self.objects, self.categories, self.sentences))
        return RecordedGrids(self.object_sdf[chosen], self.joints_hand[chosen], *columns)

    @property
    def families(self) -> tuple[str, ...]:
        """Of the objects."""
        return tuple(family_of(category) for category in self.categories)


class RecordedGrasps:
    """The recorded grasps of some objects, as grids of one specification on demand."""

    def __init__(self, shards: Sequence[Shard], spec: GridSpec) -> None:
        self.table, self.spec = GraspTable(shards, recorded_fraction=1.0), spec
        self.hand = shards[0].grasps.hand

    @property
    def categories(self) -> list[str]:
        """Of each object."""
        return [info.category for info in self.table.objects]

    def __len__(self) -> int:
        return int((self.table.weights > 0).sum())

    def draw(self, num: int, generator: torch.Generator) -> RecordedGrids:
        """`num` different grasps, balanced over sources, categories, objects and sequences as training draws them.

        In random order, so that each half is a draw like the other.

        Raises:
            HopriorError: there are fewer.
        """
        if num > len(self):
            raise HopriorError(f"{num} recorded grasps are asked for, but there are only {len(self)}: ask for fewer")
        index = torch.multinomial(self.table.weights, num, replacement=False, generator=generator)
        # Without replacement the likeliest come first.
        return self.grids(index[torch.randperm(num, generator=generator)])

    def draw_each(self, num: int, generator: torch.Generator, categories: Sequence[str] | None = None) -> RecordedGrids:
        """At most `num` different grasps of each object, of all objects or of those of some categories."""
        picked = []
        for k, category in enumerate(self.categories):
            if categories is not None and category not in categories:
                continue
            mine = ((self.table.object_index == k) & self.table.recorded).nonzero()[:, 0]
            picked.append(mine[torch.randperm(len(mine), generator=generator)[:num]])
        return self.grids(torch.cat(picked) if picked else torch.zeros(0, dtype=torch.long))

    def grids(self, index: Int[Tensor, " n"]) -> RecordedGrids:
        """The grasps of these rows of the table."""
        table = self.table
        owners = table.object_index[index].tolist()
        return RecordedGrids(
            object_sdf=object_grids([table.sdf[o] for o in owners], table.T_object_hand[index], self.spec),
            joints_hand=table.joints_hand[index],
            objects=tuple(table.objects[o].key for o in owners),
            categories=tuple(table.objects[o].category for o in owners),
            sentences=tuple(table.sentences[k] for k in table.text_id[index].tolist()),
        )


def read_recorded(cache: Path, spec: GridSpec, val_fraction: float = 0.1) -> dict[Split, RecordedGrasps]:
    """A cache's recorded grasps by split, divided as `GraspDataModule` divides them.

    Raises:
        HopriorError: the cache is missing or damaged, or a split has no object with recorded grasps.
    """
    entries = [entry for entry in read_index(cache) if entry["recorded"] > 0]
    # The division is of all objects, those without recorded grasps too.
    kept_out = held_out([entry["object"] for entry in read_index(cache)], val_fraction)
    parts: dict[Split, list[Shard]] = {"train": [], "val": []}
    for entry in entries:
        parts["val" if entry["object"] in kept_out else "train"].append(read_shard(cache / entry["file"]))
    for name, shards in parts.items():
        if not shards:
            raise HopriorError(
                f"{cache}: no object with recorded grasps is in the split '{name}' at a val_fraction of"
                f" {val_fraction:g}: change val_fraction, or prepare more objects"
            )
    return {name: RecordedGrasps(shards, spec) for name, shards in parts.items()}
