"""Grasps that lie in folders, and recorded ones to compare them with, as `hoprior eval grasp` reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import trimesh

from hoprior.common.array_files import read_arrays
from hoprior.common.reading import interpreting
from hoprior.errors import HopriorError
from hoprior.geometry.units import METRES_PER_UNIT
from hoprior.hand.base import Side
from hoprior.results.grasps import INDEX_NAME, GraspResults


@dataclass(frozen=True, eq=False)
class GraspSet:
    """Grasps of one object by hands of one topology, metres, best first where there are scores."""

    name: str
    folder: Path
    verts: np.ndarray
    faces: np.ndarray
    mesh: trimesh.Trimesh
    joints: np.ndarray | None = None
    T_object_hand: np.ndarray | None = None
    scores: np.ndarray | None = None
    seed: int | None = None
    side: Side = "right"


def load_sets(folder: Path, unit: str = "m") -> list[GraspSet]:
    """The grasps in a folder or, where it holds none itself, in the folders in it.

    Args:
        unit: of GLBs that have no grasps.json beside them.

    Raises:
        HopriorError: the folder is missing or holds no grasps, or a file is damaged.
    """
    if not folder.is_dir():
        raise HopriorError(f"{folder}: no such folder: give one that `hoprior run grasp` has written.")
    folders = [folder] if _has_grasps(folder) else sorted(path for path in folder.iterdir() if _has_grasps(path))
    if not folders:
        raise HopriorError(
            f"{folder}: no grasps in it: give a folder with {INDEX_NAME} or .glb files, or a folder of such folders."
        )
    sets: list[GraspSet] = []
    for place in folders:
        sets += [_from_results(place)] if (place / INDEX_NAME).is_file() else _from_glbs(place, METRES_PER_UNIT[unit])
    return sets


def _has_grasps(folder: Path) -> bool:
    return folder.is_dir() and ((folder / INDEX_NAME).is_file() or any(folder.glob("*.glb")))


def _from_results(folder: Path) -> GraspSet:
    results = GraspResults.load(folder)
    shapes = {grasp.verts_object.shape for grasp in results}
    if len(shapes) > 1:
        raise HopriorError(f"{folder}: hands with different numbers of vertices: make the grasps again.")
    scores = np.array([grasp.score for grasp in results])
    return GraspSet(
        name=Path(results.source).stem if results.source else results.object_name,
        folder=folder,
        verts=np.stack([grasp.verts_object for grasp in results]),
        faces=np.asarray(results.faces),
        mesh=results.object_mesh,
        joints=np.stack([grasp.joints_object for grasp in results]),
        T_object_hand=np.stack([grasp.T_object_hand for grasp in results]),
        scores=scores if np.isfinite(scores).all() else None,
        seed=results.seed,
        side=cast(Side, results[0].side),
    )


def _from_glbs(folder: Path, metres_per_unit: float) -> list[GraspSet]:
    """GLBs of any program, in one set for each object and topology of hands."""
    groups: dict[bytes, list[tuple[Path, trimesh.Trimesh, trimesh.Trimesh]]] = {}
    for path in sorted(folder.glob("*.glb")):
        try:
            scene = trimesh.load_scene(path, process=False, skip_materials=True)
            named = {str(node): node for node in scene.graph.nodes_geometry}
            parts = {}
            for node in named.values():
                transform, geometry = scene.graph[node]
                placed = scene.geometry[str(geometry)].copy().apply_transform(transform)
                parts[str(geometry)] = parts[str(node)] = placed.apply_scale(metres_per_unit)
        # Readers of damaged files raise anything.
        except Exception as error:
            raise HopriorError(f"{path}: cannot be read as a .glb ({error}): the file is damaged.") from error
        if not {"hand", "object"} <= set(parts):
            found = ", ".join(sorted(parts)) or "none"
            raise HopriorError(f"{path}: needs geometries named `hand` and `object`, it has {found}: name them so.")
        key = parts["hand"].faces.tobytes() + parts["object"].vertices.tobytes()
        groups.setdefault(key, []).append((path, parts["hand"], parts["object"]))
    return [
        GraspSet(
            name=folder.name if len(groups) == 1 else items[0][0].stem,
            folder=folder,
            verts=np.stack([hand.vertices for _, hand, _ in items]),
            faces=np.asarray(items[0][1].faces),
            mesh=items[0][2],
        )
        for items in groups.values()
    ]


def read_recorded(path: Path) -> dict[str, np.ndarray]:
    """Object's name -> joints (n,21,3) from an .npz with `joints_object` (n,21,3; metres) and `object` (n,) names.

    Raises:
        HopriorError: the file is missing, damaged or has other arrays.
    """
    if not path.is_file():
        raise HopriorError(f"{path}: no such file: --likeness takes an .npz with joints_object and object.")
    advice = "needs arrays joints_object (n,21,3) and object (n,) of names"
    found = read_arrays(path, ("joints_object", "object"), advice=advice)
    with interpreting(path, advice):
        joints, names = found["joints_object"], found["object"]
        if joints.ndim != 3 or joints.shape[1:] != (21, 3) or names.shape != joints.shape[:1]:
            raise ValueError(f"joints_object {joints.shape}, object {names.shape}")
    return {str(name): joints[names == name] for name in np.unique(names)}
