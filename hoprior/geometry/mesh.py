"""Object meshes from files: loaded, checked, mended, in metres."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh

from hoprior.errors import HopriorError
from hoprior.geometry import repair
from hoprior.geometry.files.contents import MeshFile, broken
from hoprior.geometry.files.reading import read_mesh_file
from hoprior.geometry.ordering import in_order
from hoprior.geometry.parts import choose_parts, is_floor, parts_listed
from hoprior.geometry.points import FARTHEST, surface_of_scan
from hoprior.geometry.polygons import mend_fans
from hoprior.geometry.rims import join_rims
from hoprior.geometry.units import Sizing, UsualSize, check_size, length_text

logger = logging.getLogger(__name__)

MAX_FACES = 20_000
"""More faces than this change a grasp by less than 0.1 mm and only cost time, so the rest is simplified away."""

ROUNDED = 1e-12
"""A mesh whose longest side is less than this share of its distance from the origin has lost its shape."""

GAP_SHARE = 0.1
"""Parts with more than this share of the longest side between them (and 1 cm) are not one object."""

SOLID_SHARE = 0.6
"""Share of the surface that must enclose an inside; below it the solid is rebuilt from what is seen from outside."""


THIN, THIN_SHARE, THICKNESS_SAMPLES = 0.005, 0.2, 400
"""An object has thin walls if more than this share of its surface has less than `THIN` metres of it beneath."""


@dataclass(frozen=True)
class ObjectMesh:
    """An object's surface and the solid it bounds, fit for signed distances.

    Attributes:
        mesh: the surface, in metres and in the axes of the file, wound outwards; it may have holes.
        solid: the same with its holes closed: what is inside of it is inside the object. Usually `mesh` itself.
        name: the file's stem, or what the caller called it.
        metres_per_unit: metres of one unit of the file; results are written back in that unit.
        notes: what was found and mended, a sentence each.
        watertight: whether each edge of `solid` has exactly two faces, which booleans and volumes need.
        source: the file that it was read from; None for a mesh from memory.
        up: "x", "y" or "z" where the file or its format says which of its axes is up.
        up_reason: who says so: "glTF is".
        parts: surfaces of the parts that the file is made of, by name, where they are several.

    Example:
        >>> box = trimesh.creation.box(bounds=[[0.0, 0.0, 0.0], [0.1, 0.2, 0.3]])
        >>> ObjectMesh(box, solid=box, name="box").mirrored().mesh.bounds[:, 1] + 0.0
        array([-0.2,  0. ])
    """

    mesh: trimesh.Trimesh
    solid: trimesh.Trimesh
    name: str = "mesh"
    metres_per_unit: float = 1.0
    notes: tuple[str, ...] = ()
    watertight: bool = True
    source: str | None = None
    up: str | None = None
    up_reason: str = ""
    parts: Mapping[str, trimesh.Trimesh] = field(default_factory=dict)

    def mirrored(self) -> "ObjectMesh":
        """The object in the mirror y -> -y."""
        mesh = in_order(mirrored(self.mesh))
        solid = mesh if self.solid is self.mesh else in_order(mirrored(self.solid))
        return replace(self, mesh=mesh, solid=solid, parts={name: mirrored(part) for name, part in self.parts.items()})

    def moved(self, by: np.ndarray) -> "ObjectMesh":
        """The object, moved by a vector (m) in double precision."""
        mesh = repair.moved(self.mesh, by)
        parts = {name: repair.moved(part, by) for name, part in self.parts.items()}
        solid = mesh if self.solid is self.mesh else repair.moved(self.solid, by)
        return replace(self, mesh=mesh, solid=solid, parts=parts)


def load_mesh(
    path: str | Path,
    unit: str | None = None,
    max_faces: int = MAX_FACES,
    *,
    size: str | float | None = None,
    scale: float | None = None,
    part: str | None = None,
    usual: UsualSize | None = None,
) -> ObjectMesh:
    """The object in a mesh file of any format that is read; a scene's parts are put together as it places them.

    Args:
        path: .ply, .obj, .stl, .off, .glb, .gltf, .dae, .3mf, .urdf and others; docs/meshes.md lists them.
        unit: of the file's coordinates: m, cm, mm or in; None for what the file says, else metres.
        max_faces: more faces than this are simplified.
        size: instead of a unit, how long the longest side is: "12cm", or metres.
        scale: one unit of the file counts for so many.
        part: name of the part of a scene that is the object; without it, all parts but floors, shapes for collisions
            and coarser copies.
        usual: the size that things of its name have; what cannot be is refused.

    Raises:
        HopriorError: the file cannot be read, or holds no object that a hand could hold; one sentence says why.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = trimesh.creation.box((5, 5, 5)).export(f"{folder}/die.stl")
        ...     die, small = load_mesh(f"{folder}/die.stl", unit="cm"), load_mesh(f"{folder}/die.stl", size="12mm")
        >>> die.name, die.mesh.extents, die.watertight, small.mesh.extents.round(6)
        ('die', array([0.05, 0.05, 0.05]), True, array([0.012, 0.012, 0.012]))
    """
    path, sizing = Path(path), Sizing(unit, size, scale, usual)
    file = read_mesh_file(path)
    if not file.parts and len(file.points):
        scanned, guessed = surface_of_scan(file.points, path.name)
        file = replace(file, parts={"points": scanned}, notes=(*file.notes, *guessed))
    _check_faces(file, path.name)
    per_unit = sizing.metres_per_unit(0.0, file.metres_per_unit)
    chosen = choose_parts(file.parts, part, path.name, per_unit)
    surface, origin = _checked(_joined(chosen.parts), path.name)
    surface, notes = _without_floors(surface, per_unit)
    per_unit = sizing.metres_per_unit(float(surface.extents.max()), file.metres_per_unit)
    surface.apply_scale(per_unit)
    notes = [*file.notes, *chosen.notes, *notes]
    notes += check_size(
        float(surface.extents.max()), path.name, per_unit, sizing, said=file.metres_per_unit is not None
    )
    listed = parts_listed(chosen.parts, per_unit) if len(chosen.parts) > 1 else ""
    found = _mended(surface, origin * per_unit, path.name, per_unit, max_faces, notes, listed)
    several = chosen.parts if len(chosen.parts) > 1 else {}
    parts = {name: trimesh.Trimesh(p.vertices * per_unit, p.faces, process=False) for name, p in several.items()}
    found = replace(found, source=str(path), up=file.up, up_reason=file.up_reason, parts=parts)
    for note in found.notes:
        logger.info("%s: %s", path.name, note)
    return found


def read_surface(path: Path) -> trimesh.Trimesh:
    """All faces of a mesh file as they are, in the file's unit and frame; a scene's parts as it places them.

    Raises:
        HopriorError: the file cannot be read, has no faces, or has faces that are nowhere.

    Example:
        >>> from importlib.resources import files
        >>> read_surface(Path(str(files("hoprior") / "assets" / "meshes" / "mug.obj"))).faces.shape[1]
        3
    """
    return surface_in(read_mesh_file(path), path.name)


def surface_in(file: MeshFile, name: str) -> trimesh.Trimesh:
    """The same of a file that is read already; `name` is for the message."""
    _check_faces(file, name)
    surface = _join(file.parts)
    _refuse_no_places(surface.vertices, surface.faces, name)
    return surface


def prepare_mesh(
    mesh: trimesh.Trimesh, name: str = "mesh", metres_per_unit: float = 1.0, max_faces: int = MAX_FACES
) -> ObjectMesh:
    """A mesh in metres, checked and mended; the input is left as it is.

    Args:
        name: for messages, with or without a file's ending.
        metres_per_unit: of the file that it came from, for messages and for results.

    Raises:
        HopriorError: see `load_mesh`.

    Example:
        >>> prepare_mesh(trimesh.creation.box((0.1, 0.1, 0.1)), "die.stl").watertight
        True
    """
    surface, origin = _checked(mesh, name)
    surface, notes = _without_floors(surface, 1.0)
    notes += check_size(float(surface.extents.max()), name, metres_per_unit, Sizing())
    return _mended(surface, origin, name, metres_per_unit, max_faces, notes, "")


def _check_faces(file: MeshFile, name: str) -> None:
    if file.parts:
        return
    if len(file.points):
        raise HopriorError(
            f"{name}: has points and no faces, and here a surface is needed: make one of them, in MeshLab, say, and "
            "save that as a mesh"
        )
    raise HopriorError(f"{name}: no faces in the file: it is empty or damaged, export the mesh again.")


def _joined(parts: Mapping[str, trimesh.Trimesh]) -> trimesh.Trimesh:
    """All parts as one surface; closed ones that touch become one body.

    A lid that lies on a jar has corners in common with it: as vertices of one place these would have edges of four
    faces, of which nobody can tell any more what is inside.
    """
    whole = _join(parts)
    if len(parts) < 2 or not len(whole.faces) or repair.merge_duplicates(whole).is_watertight:
        return whole
    each = [repair.merge_duplicates(part) for part in parts.values()]
    if not all(part.is_watertight and part.volume > 0 for part in each):
        return whole
    united = repair.unite(_join({str(k): part for k, part in enumerate(each)}))
    return united if united.is_watertight else whole


def _join(surfaces: Mapping[str, trimesh.Trimesh]) -> trimesh.Trimesh:
    verts, faces, offset = [], [], 0
    for surface in surfaces.values():
        verts.append(np.asarray(surface.vertices, dtype=np.float64))
        faces.append(np.asarray(surface.faces, dtype=np.int64) + offset)
        offset += len(verts[-1])
    return trimesh.Trimesh(np.concatenate(verts), np.concatenate(faces), process=False)


def _refuse_no_places(verts: np.ndarray, faces: np.ndarray, name: str) -> None:
    """Vertices of faces must be somewhere, and so that their squares are numbers, too."""
    placed = np.abs(verts) < FARTHEST  # false for NaN
    bad = np.unique(faces[~placed[faces].all(axis=(1, 2))])
    bad = bad[~placed[bad].all(axis=1)]
    if len(bad):
        raise HopriorError(
            f"{name}: {len(bad)} of {len(verts)} vertices are NaN or infinite (the first is vertex {bad[0]}): "
            "export the mesh again."
        )


def _checked(mesh: trimesh.Trimesh, name: str) -> tuple[trimesh.Trimesh, np.ndarray]:
    """The faces of a mesh that can be used, and the point (3,) that they were moved from: 0 unless it is far away.

    Mending in single precision far from the origin would round the surface away, so it is done near it.
    """
    verts, faces = np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int64)
    if not len(faces):
        raise HopriorError(f"{name}: the mesh has no faces: give a surface, not {len(verts)} points.")
    if faces.min() < 0 or faces.max() >= len(verts):
        raise broken(name, "has faces that name vertices that do not exist")
    _refuse_no_places(verts, faces, name)
    surface = repair.submesh(trimesh.Trimesh(verts, faces, process=False), np.arange(len(faces)))
    origin = repair.place_of(surface)
    if surface.extents.max() < ROUNDED * np.abs(surface.bounds).max():
        raise HopriorError(
            f"{name}: lies so far from the origin that its shape is rounded away: move it there and save it again."
        )
    surface = repair.moved(surface, -origin)
    if surface.extents.max() == 0:
        raise HopriorError(f"{name}: all vertices are in one place (zero extent): export the mesh again.")
    surface = repair.merge_duplicates(surface)
    if not len(surface.faces):
        raise HopriorError(f"{name}: all faces are degenerate (no area): export the mesh again.")
    return in_order(surface), origin


def _without_floors(mesh: trimesh.Trimesh, metres_per_unit: float) -> tuple[trimesh.Trimesh, list[str]]:
    """The mesh without the flat pieces that all the rest stands on, and a note on each."""
    notes: list[str] = []
    pieces = repair.pieces(mesh)
    if pieces.number == 1:
        return mesh, notes
    keep = np.ones(len(mesh.faces), dtype=bool)
    for piece in pieces.largest:
        others = keep.copy()
        others[piece.faces] = False
        if others.any():
            rest = mesh.vertices[mesh.faces[others]].reshape(-1, 3)
            if is_floor(repair.submesh(mesh, piece.faces), np.stack([rest.min(axis=0), rest.max(axis=0)])):
                notes.append(
                    f"left out a flat sheet of {length_text(metres_per_unit * piece.size)} beneath the object."
                )
                keep = others
    return (mesh if keep.all() else repair.submesh(mesh, keep)), notes


def _mended(
    surface: trimesh.Trimesh,
    origin: np.ndarray,
    name: str,
    metres_per_unit: float,
    max_faces: int,
    notes: list[str],
    listed: str,
) -> ObjectMesh:
    """The object of a surface near the origin (metres) that belongs at `origin`."""
    if surface.area < 1e-9:
        raise HopriorError(f"{name}: all faces are degenerate (no area): export the mesh again.")
    thin = int(np.argmin(surface.extents))
    if surface.extents[thin] < 1e-6 * surface.extents.max():
        raise HopriorError(
            f"{name}: the mesh is flat (no extent along {'xyz'[thin]}) and has no inside: give it some thickness."
        )
    surface = _single_object(surface, name, notes, listed)
    surface, regions = mend_fans(surface)
    if regions:
        notes.append(f"cut {_count(regions, 'concave polygon')} anew, which lay over their own notches as fans.")
    if not surface.is_watertight:
        surface, strips = join_rims(surface)
        if strips:
            notes.append(f"joined {_count(strips, 'pair')} of walls at their rims, which were surfaces of their own.")
    if len(surface.faces) > max_faces:
        count, area = len(surface.faces), surface.area
        simple = repair.simplify(surface, max_faces)
        # Faces that share no edges vanish one by one instead of being merged: their hull is simplified in their place.
        surface = simple if simple.area > 0.9 * area else repair.simplify(repair.shell(surface), max_faces)
        notes.append(f"simplified from {count:,} to {len(surface.faces):,} faces.")
    surface, turned = repair.orient_outwards(surface)
    solid, remark, rebuilt = _solid(surface, max_faces)
    if turned > 0.005 and not rebuilt:
        notes.append(f"{100 * turned:.0f} % of the surface faced inwards and was turned.")
    notes += [remark] if remark else []
    # Mending lists faces in orders of its own, which are others for a mirror image.
    ordered = in_order(surface)
    surface, solid = ordered, ordered if solid is surface else in_order(solid)
    found = ObjectMesh(surface, solid, Path(name).stem, metres_per_unit, tuple(notes), bool(solid.is_watertight))
    return found.moved(origin)


def _single_object(mesh: trimesh.Trimesh, name: str, notes: list[str], listed: str) -> trimesh.Trimesh:
    """The one object in a mesh: loose bits are left out, and two things far from each other are an error."""
    parts = repair.separate_parts(mesh, gap=max(0.01, GAP_SHARE * float(mesh.extents.max())))
    if parts.number == 1:
        # Many small pieces are how a surface is stored; two or three large ones may be two things side by side.
        large = sum(part.area > 0.2 * mesh.area for part in repair.pieces(mesh).largest)
        if large > 1:
            notes.append(f"{large} pieces that lie close together were taken as one object.")
        return mesh
    largest = max(part.size for part in parts.largest)
    main = [part for part in parts.largest if part.size > 0.2 * largest and part.area > 0.03 * mesh.area]
    if len(main) > 1:
        sizes = " and ".join(length_text(part.size) for part in main[:3]) + (", ..." if len(main) > 3 else "")
        distance = length_text(repair.least_distance(mesh, main))
        advice = f"pass --part with one of {listed}" if listed else "save the one to grasp in a file of its own"
        raise HopriorError(f"{name}: holds {len(main)} separate objects (of {sizes}, {distance} apart): {advice}.")
    notes.append(f"left out {_count(parts.number - 1, 'loose bit')} away from the object.")
    return repair.submesh(mesh, np.sort(main[0].faces))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class _Solid(NamedTuple):
    mesh: trimesh.Trimesh
    remark: str = ""
    rebuilt: bool = False


def _solid(surface: trimesh.Trimesh, max_faces: int) -> _Solid:
    """The closed surface of the object by the least change that gives one, and a remark on a change that matters."""
    if surface.is_watertight and repair.encloses(surface) > SOLID_SHARE:
        return _Solid(repair.unite(surface))
    caps = repair.close_holes(surface)
    if repair.encloses(caps.mesh) < SOLID_SHARE:
        shell = repair.shell(surface)
        simple = repair.unite(repair.simplify(shell, max_faces))
        remark = "the faces enclose no inside, so the solid was rebuilt from what is seen from outside."
        return _Solid(simple if simple.is_watertight else shell, remark, rebuilt=True)
    remark = f"closed {_count(caps.holes, 'hole')} ({100 * caps.share:.0f} % of the surface)."
    return _Solid(repair.unite(caps.mesh), remark if caps.share > 0.005 else "")


def thin_walled(mesh: trimesh.Trimesh) -> bool:
    """Whether much of a mesh is thinner than a finger's bone can end in: a cup, a bowl, a spoon, a wrench.

    Example:
        >>> thin_walled(trimesh.creation.box((0.1, 0.1, 0.1))), thin_walled(trimesh.creation.box((0.1, 0.1, 0.003)))
        (False, True)
    """
    points, faces = trimesh.sample.sample_surface(mesh, THICKNESS_SAMPLES, seed=0)
    thickness = trimesh.proximity.thickness(mesh, points, normals=mesh.face_normals[faces], method="ray")
    return bool((thickness < THIN).mean() > THIN_SHARE)


def mirrored(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The mesh in the mirror y -> -y, its faces turned so that they still look outwards.

    Example:
        >>> box = trimesh.creation.box(bounds=[[0.0, 0.0, 0.0], [0.1, 0.2, 0.3]])
        >>> mirrored(box).bounds[:, 1] + 0.0, bool(mirrored(box).volume > 0)
        (array([-0.2,  0. ]), True)
    """
    return trimesh.Trimesh(mesh.vertices * [1.0, -1.0, 1.0], mesh.faces[:, ::-1], process=False)
