"""Object meshes from files: loaded, checked, mended, in metres."""

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trimesh

from hoprior.errors import HopriorError
from hoprior.geometry import repair

logger = logging.getLogger(__name__)

METRES_PER_UNIT = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
UNIT_NAMES = {"m": "metres", "cm": "centimetres", "mm": "millimetres", "in": "inches"}

MIN_SIZE, MAX_SIZE = 0.003, 2.0
"""Longest side (metres) of things that a hand can hold; anything else is taken for a wrong unit."""

HELD_SIZES = 0.02, 0.6
"""The same of things that nobody wonders at in a hand; others get a note."""

TYPICAL_SIZE = 0.15
"""Longest side (metres) of an everyday object: the unit that comes closest to it is the one suggested."""

MAX_FACES = 20_000
"""More faces than this change a grasp by less than 0.1 mm and only cost time, so the rest is simplified away."""

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

    def mirrored(self) -> "ObjectMesh":
        """The object in the mirror y -> -y."""
        mesh = mirrored(self.mesh)
        return replace(self, mesh=mesh, solid=mesh if self.solid is self.mesh else mirrored(self.solid))


def load_mesh(path: str | Path, unit: str = "m", max_faces: int = MAX_FACES) -> ObjectMesh:
    """The object in a mesh file of any format that trimesh reads; a scene's parts are put together as it places them.

    Args:
        path: .ply, .obj, .stl, .glb, .gltf, .off and others.
        unit: of the file's coordinates: m, cm, mm or in.
        max_faces: more faces than this are simplified.

    Raises:
        HopriorError: the file cannot be read, or holds no object that a hand could hold; one sentence says why.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = trimesh.creation.box((5, 5, 5)).export(f"{folder}/die.stl")
        ...     die = load_mesh(f"{folder}/die.stl", unit="cm")
        >>> die.name, die.mesh.extents, die.watertight
        ('die', array([0.05, 0.05, 0.05]), True)
    """
    path = Path(path)
    if unit not in METRES_PER_UNIT:
        raise HopriorError(f"{path.name}: unknown mesh unit '{unit}': choose one of {', '.join(METRES_PER_UNIT)}.")
    joined = read_surface(path)
    joined.apply_scale(METRES_PER_UNIT[unit])
    object_mesh = replace(prepare_mesh(joined, path.name, METRES_PER_UNIT[unit], max_faces), source=str(path))
    for note in object_mesh.notes:
        logger.info("%s: %s", path.name, note)
    return object_mesh


def read_surface(path: Path) -> trimesh.Trimesh:
    """All faces of a mesh file as they are, in the file's unit and frame; a scene's parts as it places them.

    Raises:
        HopriorError: the file cannot be read, or has no faces.

    Example:
        >>> from importlib.resources import files
        >>> read_surface(Path(str(files("hoprior") / "assets" / "meshes" / "mug.obj"))).faces.shape[1]
        3
    """
    parts = _read(path)
    surfaces = {key: part for key, part in parts.items() if isinstance(part, trimesh.Trimesh) and len(part.faces)}
    if not surfaces:
        points = sum(len(getattr(part, "vertices", ())) for part in parts.values())
        if points:
            raise HopriorError(
                f"{path.name}: {points} points or lines and no faces: a point cloud cannot be grasped, "
                "reconstruct its surface and save that as a mesh."
            )
        raise HopriorError(f"{path.name}: no faces in the file: it is empty or damaged, export the mesh again.")
    return _join(surfaces, path.name)


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
    verts, faces = np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int64)
    if not len(faces):
        raise HopriorError(f"{name}: the mesh has no faces: give a surface, not {len(verts)} points.")
    if faces.min() < 0 or faces.max() >= len(verts):
        raise HopriorError(f"{name}: faces name vertices that do not exist: the file is damaged, export it again.")
    bad = np.unique(faces[~np.isfinite(verts[faces]).all(axis=(1, 2))])
    bad = bad[~np.isfinite(verts[bad]).all(axis=1)]
    if len(bad):
        raise HopriorError(
            f"{name}: {len(bad)} of {len(verts)} vertices are NaN or infinite (the first is vertex {bad[0]}): "
            "export the mesh again."
        )
    surface = repair.submesh(trimesh.Trimesh(verts, faces, process=False), np.arange(len(faces)))
    _check_size(surface, name, metres_per_unit)

    notes = _size_notes(surface)
    surface = repair.merge_duplicates(surface)
    if not len(surface.faces) or surface.area < 1e-9:
        raise HopriorError(f"{name}: all faces are degenerate (no area): export the mesh again.")
    surface = _single_object(surface, name, notes)
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
    return ObjectMesh(surface, solid, Path(name).stem, metres_per_unit, tuple(notes), bool(solid.is_watertight))


def _read(path: Path) -> dict[str, trimesh.parent.Geometry]:
    """All geometries of a file by their names, placed in the file's frame."""
    if not path.exists():
        raise HopriorError(f"{path}: no such file: give the path of a mesh, such as mug.obj.")
    if path.is_dir():
        raise HopriorError(f"{path}: is a folder: give one mesh file in it.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise HopriorError(f"{path}: cannot be read ({error.strerror}): check its permissions.") from error
    if empty:
        raise HopriorError(f"{path.name}: the file is empty: export or download it again.")
    ending = path.suffix.lower().removeprefix(".")
    # Materials are of no use here, and a missing or broken texture must not stop a mesh from loading.
    options: dict[str, Any] = {"skip_materials": True} if ending in ("obj", "glb", "gltf") else {}
    try:
        scene = trimesh.load_scene(str(path), process=False, **options)
        return {str(node): _placed(scene, node) for node in scene.graph.nodes_geometry}
    except NotImplementedError as error:
        raise HopriorError(
            f"{path.name}: {f'unknown mesh format .{ending}' if ending else 'the name has no ending'}: "
            "use .ply, .obj, .stl, .glb or .off."
        ) from error
    except (MemoryError, RecursionError) as error:
        raise HopriorError(f"{path.name}: too large to load in this machine's memory: simplify the mesh.") from error
    # Readers of damaged files raise anything, so everything is caught and named.
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120].rstrip(".")
        raise HopriorError(
            f"{path.name}: cannot be read as a .{ending} mesh ({reason}): "
            "the file is damaged or not what its name says."
        ) from error


def _placed(scene: trimesh.Scene, node: str) -> Any:
    transform, name = scene.graph[node]
    geometry = scene.geometry[name].copy()
    return geometry.apply_transform(transform)


def _join(surfaces: dict[str, trimesh.Trimesh], name: str) -> trimesh.Trimesh:
    verts, faces, offset = [], [], 0
    for surface in surfaces.values():
        verts.append(np.asarray(surface.vertices, dtype=np.float64))
        faces.append(np.asarray(surface.faces, dtype=np.int64) + offset)
        if faces[-1].min() < offset or faces[-1].max() >= offset + len(verts[-1]):
            raise HopriorError(f"{name}: faces name vertices that do not exist: the file is damaged, export it again.")
        offset += len(verts[-1])
    return trimesh.Trimesh(np.concatenate(verts), np.concatenate(faces), process=False)


def _check_size(mesh: trimesh.Trimesh, name: str, metres_per_unit: float) -> None:
    """Complains about sizes that only a wrong unit explains, and about flat meshes, which have no inside."""
    size = float(mesh.extents.max())
    if size == 0:
        raise HopriorError(f"{name}: all vertices are in one place (zero extent): export the mesh again.")
    if not MIN_SIZE <= size <= MAX_SIZE:
        unit = next((u for u, m in METRES_PER_UNIT.items() if math.isclose(m, metres_per_unit)), "m")
        raw = size / metres_per_unit
        fitting = [u for u, m in METRES_PER_UNIT.items() if u != unit and HELD_SIZES[0] <= raw * m <= HELD_SIZES[1]]
        # Inches are rare: they are suggested only where nothing else fits.
        best = min(
            fitting, key=lambda u: (u == "in", abs(math.log(raw * METRES_PER_UNIT[u] / TYPICAL_SIZE))), default=""
        )
        advice = f"pass --mesh-unit {best}?" if best else "scale it to the size of a thing that a hand can hold."
        raise HopriorError(f"{name}: bounding box is {_length(size)}; units are {UNIT_NAMES[unit]}: {advice}")
    thin = int(np.argmin(mesh.extents))
    if mesh.extents[thin] < 1e-6 * size:
        raise HopriorError(
            f"{name}: the mesh is flat (no extent along {'xyz'[thin]}) and has no inside: give it some thickness."
        )


def _size_notes(mesh: trimesh.Trimesh) -> list[str]:
    size = float(mesh.extents.max())
    if HELD_SIZES[0] <= size <= HELD_SIZES[1]:
        return []
    strange = "large" if size > HELD_SIZES[1] else "small"
    return [f"bounding box is {_length(size)}, {strange} for a thing in one hand: see --mesh-unit if that is wrong."]


def _length(metres: float) -> str:
    """A length in the unit that reads best."""
    if metres >= 1:
        return f"{metres:.3g} m"
    return f"{100 * metres:.3g} cm" if metres >= 0.01 else f"{1000 * metres:.3g} mm"


def _single_object(mesh: trimesh.Trimesh, name: str, notes: list[str]) -> trimesh.Trimesh:
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
        sizes = " and ".join(_length(part.size) for part in main[:3]) + (", ..." if len(main) > 3 else "")
        distance = _length(repair.least_distance(mesh, main))
        raise HopriorError(
            f"{name}: holds {len(main)} separate objects (of {sizes}, {distance} apart): "
            "save the one to grasp in a file of its own."
        )
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
