"""The procedural set as a source of the training cache: seeded objects of all families, with grasps by their rules."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Bool
from torch import Tensor

from hoprior.datasets.procedural.closing import Closed, HandCloser
from hoprior.datasets.procedural.design import Design, Family
from hoprior.datasets.procedural.families import FAMILIES
from hoprior.datasets.procedural.placements import Placement, Rule, draw_placements
from hoprior.datasets.procedural.shapes import to_mesh
from hoprior.datasets.samples.code_digest import code_digest
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.datasets.samples.skin import posed_set
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import HandModel
from hoprior.language.phrases import sentence

LICENCE = "Apache-2.0 (made by hoprior)"


@dataclass(frozen=True)
class Procedural:
    """`num` objects, the families in turn, each with up to `grasps_per_object` grasps; all follow from `seed`.

    Of `candidates` placements an object those are kept that close well: in contact, out of the object, and still
    where the rule put them.
    """

    num: int
    seed: int = 0
    grasps_per_object: int = 48
    candidates: int = 80
    name: str = "procedural"

    def __post_init__(self) -> None:
        if self.num < 1:
            raise HopriorError(f"{self.num} procedural objects: ask for at least one")

    def objects(self) -> list[ObjectInfo]:
        """The objects: number i is of family i modulo their number, so any set has all kinds alike."""
        made = []
        for i in range(self.num):
            family = FAMILIES[i % len(FAMILIES)]
            name = f"{family.name.replace(' ', '-')}_{self.seed}_{i:05d}"
            where = f"procedural:{family.name}:{self.seed}:{i}"
            made.append(ObjectInfo(name, family.name, self.name, LICENCE, where, sentence(family.name)))
        return made

    def fingerprint(self, info: ObjectInfo) -> str:
        """Changes with the number of grasps and with the code of the families and rules."""
        settings = f"{self.grasps_per_object} {self.candidates} {info.mesh}"
        return hashlib.sha256(f"{settings} {code_digest(Path(__file__).parent)}".encode()).hexdigest()

    def design(self, info: ObjectInfo) -> Design:
        """The object's solid and its rules."""
        return family_named(info.category).make(_rng(info, "shape"))

    def mesh(self, info: ObjectInfo) -> trimesh.Trimesh:
        """The object's mesh, metres."""
        return to_mesh(self.design(info).solid)

    def grasps(self, info: ObjectInfo, mesh: trimesh.Trimesh, sdf: SdfGrid, hand: HandModel) -> GraspSet | None:
        """Grasps by the family's rules; None where none closes well."""
        design = self.design(info)
        drawn = draw_placements(design.rules, self.candidates, _rng(info, "placements"))
        generator = torch.Generator().manual_seed(int(_rng(info, "fingers").integers(2**31)))
        outside = sdf
        if design.filled is not None:
            outside = SdfGrid.from_mesh(
                to_mesh(design.filled), resolution=round(sdf.values.numel() ** (1 / 3)), margin=0.06
            )
        with torch.enable_grad():
            closed = close_placements(HandCloser(hand), drawn, sdf, outside, generator)
        keep = best_of_each(drawn, closed, self.grasps_per_object)
        if not keep:
            return None
        chosen = torch.tensor(keep)
        verbs = [sentence(info.category, drawn[i][1].verb) for i in keep]
        rules = [drawn[i][0].name for i in keep]
        sentences, sequences = tuple(dict.fromkeys(verbs)), tuple(dict.fromkeys(rules))
        return posed_set(
            info,
            hand,
            closed.angles[chosen],
            closed.T_object_hand[chosen],
            recorded=True,
            text_id=torch.tensor([sentences.index(text) for text in verbs]),
            sequence_id=torch.tensor([sequences.index(rule) for rule in rules]),
            sentences=sentences,
            sequences=sequences,
            up_object=torch.tensor([[0.0, 0.0, float(family_named(info.category).upright)]]).repeat(len(keep), 1),
            subject="rule",
        )


def family_named(name: str) -> Family:
    """The family of a name.

    Raises:
        HopriorError: there is none of that name.

    Example:
        >>> mug = family_named("mug").make(np.random.default_rng(0))
        >>> mug.part_names()
        ('handle', 'rim', 'body')
    """
    for family in FAMILIES:
        if family.name == name:
            return family
    raise HopriorError(f"no procedural family '{name}': there are {', '.join(f.name for f in FAMILIES)}")


def close_placements(
    closer: HandCloser,
    drawn: Sequence[tuple[Rule, Placement]],
    sdf: SdfGrid,
    outside: SdfGrid,
    generator: torch.Generator,
) -> Closed:
    """Closes all placements: those that reach inside on the object itself, the others on the object filled up."""
    order: list[int] = []
    parts = []
    for inside, seen in ((False, outside), (True, sdf)):
        mine = [i for i, (rule, _) in enumerate(drawn) if rule.inside == inside]
        if mine:
            parts.append(closer(seen, [drawn[i][1] for i in mine], generator))
            order += mine
    back = torch.tensor(order).argsort()
    return parts[0].joined(parts[1:])[back]


def best_of_each(drawn: Sequence[tuple[Rule, Placement]], closed: Closed, num: int) -> list[int]:
    """Indices of at most `num` good grasps, no rule with more than its share of the candidates' half."""
    fingers = torch.tensor([placement.grip.fingers for _, placement in drawn])
    good: Bool[Tensor, " b"] = closed.good(fingers)
    keep: list[int] = []
    for name in dict.fromkeys(rule.name for rule, _ in drawn):
        mine = [i for i, (rule, _) in enumerate(drawn) if rule.name == name]
        share = max(1, round(num * len(mine) / len(drawn)))
        keep += [i for i in mine if good[i]][:share]
    return sorted(keep)[:num]


def _rng(info: ObjectInfo, purpose: str) -> np.random.Generator:
    """Randomness that depends on the object and the purpose only."""
    digest = hashlib.sha256(f"{info.mesh} {purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
