"""Which meshes are meant by a folder, a pattern or a list, and what each one's results are called."""

import csv
import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from hoprior.common.reading import read_text
from hoprior.errors import HopriorError
from hoprior.results.grasps import GRASPS
from hoprior.tasks.many_items import Item, names_for

LISTS = (".txt", ".tsv", ".csv")
"""Endings of lists of meshes."""
SUFFIXES = (
    *(".ply", ".obj", ".stl", ".off", ".glb", ".gltf", ".dae", ".3mf", ".step", ".stp", ".urdf"),
    *(".mjcf", ".xacro"),
)
"""Endings of what is taken for a mesh in a folder; a list or a pattern may name others."""
COLUMNS: dict[str, type] = {
    "text": str,
    "size": str,
    "scale": float,
    "mesh_unit": str,
    "part": str,
    "up": str,
    "side": str,
    "hand_length": str,
    "table": str,
    "avoid": str,
    "contact_on": str,
    "num": int,
    "seed": int,
}
"""What a list may say of each mesh, and its type."""
Meshes: TypeAlias = str | Path | Sequence[str | Path | Mapping[str, Any]]


def is_many(mesh: str | Path) -> bool:
    """Whether a word for a mesh means many: a folder, a pattern, or a list.

    Example:
        >>> is_many("mug.obj"), is_many("meshes/*.obj"), is_many("meshes.csv"), is_many(".")
        (False, True, True, True)
    """
    path = Path(mesh)
    return path.is_dir() or path.suffix.lower() in LISTS or (glob.has_magic(str(mesh)) and not path.exists())


def mesh_items(meshes: Meshes) -> list[Item]:
    """The meshes that are meant, each with a name that no other has.

    Args:
        meshes: a folder, which is searched with all below it; a pattern, "meshes/**/*.obj"; a list: a text file of a
            path a line, perhaps with a tab and a text behind it, or a .tsv or .csv with a heading (mesh, and any of
            `COLUMNS`), paths from its own folder; or a sequence of paths, or of mappings with such names.

    Raises:
        HopriorError: there are none, or a list cannot be read.
    """
    rows: list[dict[str, Any]]
    root: Path | None = None
    if isinstance(meshes, str | Path):
        path = Path(meshes)
        if path.is_dir():
            rows, root = [{"mesh": file} for file in files_in(path)], path
        elif path.suffix.lower() in LISTS:
            rows = _listed(path)
        elif glob.has_magic(str(meshes)) and not path.exists():
            found = sorted(Path(file) for file in glob.glob(str(meshes), recursive=True))
            rows = [{"mesh": file} for file in found if not file.is_dir()]
            if not rows:
                raise HopriorError(f"{meshes}: no file is called so: look at the pattern, and at the folder you are in")
        else:
            rows = [{"mesh": path}]
    else:
        rows = [dict(row) if isinstance(row, Mapping) else {"mesh": row} for row in meshes]
        if not rows:
            raise HopriorError("there are no meshes: give one at least")
    sources, settings = [], []
    for number, row in enumerate(rows, 1):
        if not str(row.get("mesh") or "").strip():
            raise HopriorError(f"{meshes if isinstance(meshes, str | Path) else 'meshes'}: row {number} names no mesh")
        sources.append(Path(row["mesh"]))
        settings.append({name: value for name, value in row.items() if name != "mesh" and value not in (None, "")})
    names = names_for([source.relative_to(root) if root else source for source in sources])
    # Resolved, so that workers find them from wherever they run.
    return [Item(name, str(source.absolute()), own) for name, source, own in zip(names, sources, settings, strict=True)]


def files_in(folder: Path) -> list[Path]:
    """The meshes in a folder and below it, sorted, without those of results and in hidden folders.

    Of a mesh and a URDF of the same name it is the URDF.

    Raises:
        HopriorError: there are none.
    """
    found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    results = {place: (place / GRASPS.index_name).exists() for place in {file.parent for file in found}}
    found = [file for file in found if not results[file.parent]]
    described = {file.with_suffix("") for file in found if file.suffix.lower() == ".urdf"}
    found = [file for file in found if file.suffix.lower() == ".urdf" or file.with_suffix("") not in described]
    if not found:
        raise HopriorError(f"{folder}: no meshes in it ({', '.join(SUFFIXES)}): name another folder")
    return found


def _listed(path: Path) -> list[dict[str, Any]]:
    """The rows of a list.

    Raises:
        HopriorError: it cannot be read, is empty, or has columns or values that nothing is done with.
    """
    lines = [line for line in read_text(path, "give a list of meshes").splitlines() if line.strip()]
    if path.suffix.lower() == ".txt":
        rows = [dict(zip(("mesh", "text"), line.strip().split("\t", 1), strict=False)) for line in lines]
        rows = [row for row in rows if not row["mesh"].startswith("#")]
    else:
        reader = csv.DictReader(lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        header = reader.fieldnames or []
        if "mesh" not in header:
            raise HopriorError(f"{path}: its first line has no 'mesh': give it a heading, mesh,text,size, say")
        if unknown := [name for name in header if name not in ("mesh", *COLUMNS)]:
            raise HopriorError(f"{path}: nothing is known of '{unknown[0]}': columns are mesh, {', '.join(COLUMNS)}")
        rows = [dict(row) for row in reader]
    if not rows:
        raise HopriorError(f"{path}: there is no mesh in it: give a path a line")
    found = []
    for number, row in enumerate(rows, 1):
        if None in row:
            raise HopriorError(
                f"{path}: row {number} has more values than the heading: put those with commas in quotes"
            )
        mesh = str(row.get("mesh") or "").strip()
        place = path.parent / mesh
        own = {name: _value(path, number, name, value) for name, value in row.items() if name != "mesh" and value}
        found.append({"mesh": (place if place.exists() or not Path(mesh).exists() else mesh) if mesh else "", **own})
    return found


def _value(path: Path, number: int, name: str, text: str) -> Any:
    try:
        return COLUMNS[name](text.strip())
    except ValueError as error:
        raise HopriorError(f"{path}: row {number}: '{text}' is no {name}") from error
