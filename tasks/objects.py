"""The object of a task, from a file or from memory, with what is known of things of its name."""

from pathlib import Path

import trimesh

from hoprior.errors import ArgumentError
from hoprior.geometry.mesh import ObjectMesh, load_mesh, prepare_mesh
from hoprior.geometry.units import UsualSize
from hoprior.language.categories import describe
from hoprior.language.part_wordings import thing_in


def load_object(
    path: str | Path,
    text: str | None = None,
    unit: str | None = None,
    size: str | float | None = None,
    scale: float | None = None,
    part: str | None = None,
) -> ObjectMesh:
    """The object in a mesh file; a size that nothing of its name can have is refused unless the user says it.

    Args:
        path: see `load_mesh`, as for the other arguments.
        text: what it is, "a mug"; where that says nothing, the file's name does.

    Raises:
        HopriorError: see `load_mesh`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = trimesh.creation.box((1, 1, 1)).export(f"{folder}/model.stl")
        ...     try:
        ...         load_object(f"{folder}/model.stl", "a mug")
        ...     except Exception as error:
        ...         print(error)
        model.stl: bounding box is 1 m; units are metres, but a thing called mug is 7-14 cm long: pass --size 11cm
    """
    return load_mesh(path, unit, size=size, scale=scale, part=part, usual=usual_size(text, Path(path).stem))


def as_object_mesh(
    mesh: str | Path | trimesh.Trimesh | ObjectMesh,
    text: str | None = None,
    unit: str | None = None,
    size: str | float | None = None,
    scale: float | None = None,
    part: str | None = None,
) -> ObjectMesh:
    """A checked and mended mesh, from a file or from memory (metres); an `ObjectMesh` knows its own size and part.

    Raises:
        HopriorError: see `load_mesh`; or a size, a scale or a part is said of a mesh from memory.
    """
    if isinstance(mesh, (str, Path)):
        return load_object(mesh, text, unit, size, scale, part)
    if isinstance(mesh, ObjectMesh):
        return mesh
    for name, value in (("size", size), ("scale", scale), ("part", part)):
        if value is not None:
            raise ArgumentError(name, value, "is for a mesh that is read from a file: this one is in metres already")
    return prepare_mesh(mesh)


def usual_size(text: str | None, name: str) -> UsualSize | None:
    """The size that things have of which a text speaks, or else of which a file has its name.

    Example:
        >>> usual_size("drink from a mug", "model"), usual_size(None, "025_mug"), usual_size(None, "model_normalized")
        (UsualSize(name='mug', low=0.07, high=0.14), UsualSize(name='mug', low=0.07, high=0.14), None)
    """
    found = (thing_in(text) if text else None) or describe(name)
    low, high = found.longest_side
    return UsualSize(found.name, low, high) if found.known and high > 0 else None
