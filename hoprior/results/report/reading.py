"""What pages read of folders that were written before."""

from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from hoprior.common.reading import read_json
from hoprior.errors import HopriorError


def read_index(folder: Path, name: str, format_name: str) -> dict[str, Any]:
    """The index of results, if it is of the version that is read here.

    Raises:
        HopriorError: it is of another one, or no JSON.
    """
    path = folder / name
    index = read_json(path, "run the command that wrote it again")
    found = index.get("format") if isinstance(index, dict) else None
    if found != format_name:
        raise HopriorError(f"{path}: format '{found}', this version reads '{format_name}': make the results again")
    return dict(index)


def read_scene(path: Path) -> dict[str, trimesh.Trimesh]:
    """The geometries of a GLB of ours, each where its node puts it."""
    scene = trimesh.load_scene(path, process=False)
    found = {}
    for name, mesh in scene.geometry.items():
        T = np.asarray(scene.graph[name][0])
        found[name] = trimesh.Trimesh(mesh.vertices @ T[:3, :3].T + T[:3, 3], mesh.faces, process=False)
    return found
