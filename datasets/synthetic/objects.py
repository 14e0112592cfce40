"""What is grasped: seeded objects of the parametric families, and meshes that the user names."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import igl
import numpy as np
import trimesh
from jaxtyping import Float, Int

from hoprior.datasets.procedural.design import Design
from hoprior.datasets.procedural.families import FAMILIES
from hoprior.datasets.procedural.placements import Rule, Site, Varied, cap, wrap
from hoprior.datasets.procedural.shapes import to_mesh
from hoprior.datasets.procedural.source import family_named
from hoprior.datasets.procedural.things import SPAN, box_rules
from hoprior.datasets.samples.sample import ObjectInfo
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.watertight import watertight_mesh
from hoprior.language.phrases import sentence

SOURCE = "synthetic"
LICENCE = "Apache-2.0 (made by hoprior)"
MESH_LICENCE = "grasps Apache-2.0 (made by hoprior); the mesh has its owner's licence"
MESH_SUFFIXES = (".obj", ".stl", ".ply", ".glb", ".off")
USUAL_MESH = (0.03, 0.25)
"""Longest sides (m) by which meshes of unknown kind are called small or large."""


@dataclass(frozen=True)
class Graspable:
    """An object ready to be grasped (metres, its own frame).

    `mesh` has a part number a face (`face_part`, into `part_names`), `solid` is the same surface with few faces, and
    `filled` what hands from outside see of it.
    """

    info: ObjectInfo
    mesh: trimesh.Trimesh
    face_part: Int[np.ndarray, " f"]
    part_names: tuple[str, ...]
    solid: trimesh.Trimesh
    filled: trimesh.Trimesh | None
    rules: tuple[Rule, ...]
    free: tuple[str, ...]
    usual: tuple[float, float]
    upright: bool
    part_of_rule: Callable[[Rule], str | None]

    def parts_near(self, points: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        """The part (into `part_names`) of the surface that is nearest to each point."""
        verts = np.ascontiguousarray(self.mesh.vertices, dtype=np.float64)
        _, nearest, _ = igl.point_mesh_squared_distance(points, verts, np.ascontiguousarray(self.mesh.faces, np.int64))
        return self.face_part[nearest]


def seeded(*words: object) -> np.random.Generator:
    """Randomness that depends on some words only."""
    digest = hashlib.sha256(" ".join(str(word) for word in words).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


@dataclass(frozen=True)
class Catalogue:
    """Which objects a set is of: number i is of kind i modulo their number; families first, then mesh files."""

    families: tuple[str, ...]
    meshes: tuple[str, ...] = ()
    seed: int = 0

    @classmethod
    def of(cls, families: Sequence[str] | None, meshes: Sequence[Path], seed: int) -> "Catalogue":
        """All families without `families`; the meshes are files, or folders that are searched for them.

        Raises:
            HopriorError: an unknown family, a folder without meshes, or nothing to grasp at all.
        """
        names = [family.name for family in FAMILIES] if families is None else list(families)
        for name in names:
            family_named(name)
        files = [str(file) for place in meshes for file in mesh_files(place)]
        if not names and not files:
            raise HopriorError("nothing to grasp: name a family or a folder of meshes")
        return cls(tuple(dict.fromkeys(names)), tuple(dict.fromkeys(files)), seed)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Families and mesh files, in their order."""
        return self.families + self.meshes

    def info(self, i: int) -> ObjectInfo:
        """Name, category and licence of object number i."""
        kind = self.kinds[i % len(self.kinds)]
        if i % len(self.kinds) < len(self.families):
            name, category, where, licence = kind, kind, f"{SOURCE}:{kind}:{self.seed}:{i}", LICENCE
        else:
            name, category, where, licence = Path(kind).stem, spoken(Path(kind)), kind, MESH_LICENCE
        safe = "".join(c if c.isalnum() else "-" for c in name)
        key = f"{safe}_{self.seed}_{i:05d}"
        return ObjectInfo(key, category, SOURCE, licence, where, sentence(category))

    def fingerprint(self, i: int) -> str:
        """Changes with the object's shape."""
        kind = self.kinds[i % len(self.kinds)]
        if i % len(self.kinds) < len(self.families):
            return self.info(i).mesh
        try:
            return hashlib.sha256(Path(kind).read_bytes()).hexdigest()
        except OSError as error:
            raise HopriorError(f"{kind}: cannot be read ({error.strerror}): is it still there?") from error

    def make(self, i: int) -> Graspable:
        """Object number i.

        Raises:
            HopriorError: its mesh cannot be read or used, or its parameters give no sound solid.
        """
        info = self.info(i)
        if i % len(self.kinds) < len(self.families):
            return _of_family(info, seeded(info.mesh, "shape"))
        return _of_file(info, Path(self.kinds[i % len(self.kinds)]))


def mesh_files(place: Path) -> list[Path]:
    """The mesh files in a folder and below it, sorted; a file is itself.

    Raises:
        HopriorError: there are none.
    """
    if place.is_file():
        return [place]
    found = sorted(file for file in place.rglob("*") if file.suffix.lower() in MESH_SUFFIXES)
    if not found:
        raise HopriorError(f"{place}: no mesh files ({', '.join(MESH_SUFFIXES)}) there: name another folder")
    return found


def spoken(path: Path) -> str:
    """A file's name as words, without numbers; "object" where nothing is left."""
    words = "".join(c if c.isalpha() else " " for c in path.stem).split()
    return " ".join(word.lower() for word in words if len(word) > 2) or "object"


def _of_family(info: ObjectInfo, rng: np.random.Generator) -> Graspable:
    family = family_named(info.category)
    design: Design = family.make(rng)
    mesh, face_part = design.labelled_mesh()
    if not len(mesh.faces) or not mesh.is_watertight or mesh.volume <= 0:
        raise HopriorError(f"{info.name}: its parameters give no closed solid; report this family")
    return Graspable(
        info,
        mesh,
        face_part,
        design.part_names(),
        to_mesh(design.solid),
        None if design.filled is None else to_mesh(design.filled),
        design.rules,
        design.free,
        family.extent,
        family.upright,
        design.part_of_rule,
    )


def _of_file(info: ObjectInfo, path: Path) -> Graspable:
    """A mesh from a file, moved so that the middle of its box is the origin; all of it is its body."""
    solid = watertight_mesh(load_mesh(path), resolution=64)
    solid = solid.copy()
    solid.apply_translation(-solid.bounds.mean(axis=0))
    if not solid.is_watertight or solid.volume <= 0:
        raise HopriorError(f"{path.name}: encloses no inside that could be weighed: mend the mesh")
    rules = tuple(rules_of_box(solid.extents))
    if not rules:
        raise HopriorError(f"{path.name}: no side is narrower than {100 * SPAN:.0f} cm: too big for a hand")
    return Graspable(
        info,
        solid,
        np.zeros(len(solid.faces), dtype=int),
        ("body",),
        solid,
        None,
        rules,
        (),
        USUAL_MESH,
        True,
        lambda rule: None,
    )


def rules_of_box(extents: Float[np.ndarray, " 3"]) -> list[Rule]:
    """Ways to take a thing of which only its box is known: across it, around its length, from above."""
    rules = box_rules(tuple(float(e) for e in extents))
    order = np.argsort(extents)
    along, radius = np.eye(3)[order[2]], 0.25 * float(extents[order[0]] + extents[order[1]])
    if 2 * radius < SPAN and extents[order[2]] > 0.08:
        half = 0.2 * float(extents[order[2]]) * along
        rules.append(Rule("around", 3, wrap(-half, half, radius, flip=0.5)))
    if extents.max() < SPAN and extents.min() > 0.5 * extents.max():
        rules.append(Rule("over", 3, cap((0, 0, 0), (0, 0, 1), float(extents.mean()) / 2, tilt=0.5, verb="lift")))
    return rules


def site_of(rule: Rule, rng: np.random.Generator) -> Site | None:
    """The place that a rule takes hold of, as geometry; None where it only knows a hand's pose."""
    site = rule.draw.pick(rng) if isinstance(rule.draw, Varied) else rule.draw
    return site if isinstance(site, Site) else None
