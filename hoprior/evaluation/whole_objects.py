"""Are objects that a prior draws alone what the text names? Nobody's hand decides what of them is compared.

Beside `hoprior.evaluation.prior_quality.measure_families`, which looks at grids about the hand: two mugs that are held
differently have little in common there.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.datasets.benchmarks.recorded_grids import family_of
from hoprior.evaluation.prior_quality import Row, Truth, evenly, recognised
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.shape_box import ShapeBox
from hoprior.language.phrases import sentence
from hoprior.metrics.generation import mean_absolute_distances

SampleObjects = Callable[[Sequence[str], int], list[trimesh.Trimesh]]
"""Texts and a seed in, one object (m) for each text out."""

CELLS = 48
"""Of a drawn object's longest side, where its distances are measured."""
NOTHING = "no object"
"""What a draw without a surface is called."""
FARTHEST = 0.5
"""Distances beyond, over the box's scale, are alike: what is told apart is near the surface."""


class Shapes(NamedTuple):
    """n objects, each in its own box."""

    fields: Float[Tensor, "n r r r"]
    """Distances over the box's scale."""
    log_extents: Float[Tensor, "n 3"]
    """Of the box's sides (m)."""

    @classmethod
    def of(cls, objects: Sequence[SdfGrid]) -> "Shapes":
        """What is compared of objects.

        Raises:
            HopriorError: one has no inside.
        """
        fields, sides = [], []
        for sdf in objects:
            sdf = replace(sdf, values=sdf.values.float())  # a cache keeps half precision
            box = ShapeBox.of_inside(sdf)
            fields.append(box.field(sdf).clamp(-FARTHEST, FARTHEST))
            sides.append(torch.from_numpy(box.extents).float().log())
        return cls(torch.stack(fields), torch.stack(sides))

    def distances(self, other: "Shapes") -> Float[Tensor, "n m"]:
        """Mean differences of the fields, and of the logarithms of the sides."""
        fields = mean_absolute_distances(self.fields, other.fields)
        return fields + mean_absolute_distances(self.log_extents, other.log_extents)


def measure_objects(truth: Truth, sample: SampleObjects, num: int, seed: int) -> dict[str, Row]:
    """Nearest of the training objects, in the objects' own frames: `drawn alone`, and recorded objects held out.

    What is asked for are the families of the training objects in turn, "a hand holding a mug". A draw without a surface
    is none of them.

    Args:
        truth: recorded grasps; of them the objects count, whoever holds them.
        sample: draws.
        num: draws.
        seed: of them.
    """
    train, val = (truth.grasps[split].table for split in ("train", "val"))
    known = [family_of(info.category) for info in train.objects]
    references = Shapes.of(train.sdf)
    asked = [known[k] for k in evenly(known, num, torch.Generator().manual_seed(seed)).tolist()]
    drawn = sample([sentence(family) for family in asked], seed)
    solid = [SdfGrid.from_mesh(mesh, CELLS) for mesh in drawn if len(mesh.faces)]
    there = [len(mesh.faces) > 0 for mesh in drawn]
    away = torch.full((num, len(known)), torch.inf)
    if solid:
        away[torch.tensor(there)] = Shapes.of(solid).distances(references)
    asked = [family if is_there else NOTHING for family, is_there in zip(asked, there, strict=True)]
    unseen = [k for k, info in enumerate(val.objects) if family_of(info.category) in known]
    rows = {"drawn alone": recognised(away, asked, known)}
    if unseen:
        held = Shapes.of([val.sdf[k] for k in unseen]).distances(references)
        rows["held out alone"] = recognised(held, [family_of(val.objects[k].category) for k in unseen], known)
    return {name: row for name, row in rows.items() if row is not None}
