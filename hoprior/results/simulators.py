"""Hands and grasps as files that simulators load: MJCF, URDF, USD."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
import trimesh

from hoprior.common.io import check_place, strict_json, write_folder
from hoprior.common.reading import interpreting, read_json
from hoprior.errors import ArgumentError, HopriorError
from hoprior.geometry.mesh import prepare_mesh
from hoprior.geometry.repair import simplify
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.watertight import watertight_mesh
from hoprior.hand import load_hand
from hoprior.physics.articulated import mjcf, urdf, usd
from hoprior.physics.articulated.hand import ArticulatedHand, articulated
from hoprior.physics.articulated.hinges import hinges_of
from hoprior.physics.articulated.scene import Keyframe, Scene, SceneObject, opened, pressed, standing
from hoprior.physics.simulation.convex import convex_parts
from hoprior.results.folder import MAX_GLB_FACES, package_versions
from hoprior.results.grasps import GraspResults

INDEX_NAME, FORMAT = "simulators.json", "hoprior-simulators/1"
USUAL_MASS = 0.3
"""kg; of what a hand holds, where nothing is said."""
GRID_RESOLUTION = 96


class Target(NamedTuple):
    """One kind of simulators' files: what writes a hand alone, and what writes a scene; both return names of files."""

    write_hand: Callable[[ArticulatedHand, Path], list[str]]
    write_scene: Callable[[Scene, Path], list[str]]


TARGETS = {
    "mjcf": Target(mjcf.write_hand, mjcf.write_scene),
    "urdf": Target(urdf.write_hand, urdf.write_scene),
    "usd": Target(usd.write_hand, usd.write_scene),
}


def export_hand(folder: str | Path, to: str = "mjcf", side: str = "right") -> Path:
    """Writes the open hand alone, of average shape, for a simulator; returns `folder`.

    Args:
        folder: where; what an earlier export wrote there is replaced.
        to: "mjcf", "urdf" or "usd".
        side: "right" or "left".

    Raises:
        HopriorError: an argument that is none of these, a package that is missing, or a folder that holds other things.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     sorted(path.name for path in export_hand(Path(place) / "hand").iterdir())
        ['hand.xml', 'simulators.json']
    """
    target = _target(to)
    _check_folder(Path(folder))
    body = articulated(load_hand("open", side))
    return _write(Path(folder), to, body, lambda place: target.write_hand(body, place), {})


def export_grasps(
    results: GraspResults, folder: str | Path, to: str = "mjcf", up: str | None = None, mass: float = USUAL_MASS
) -> Path:
    """Writes the hand, the object on a plane and a key frame for each grasp, for a simulator; returns `folder`.

    Args:
        results: grasps of one shape of the open hand.
        folder: where; what an earlier export wrote there is replaced.
        to: "mjcf", "urdf" or "usd".
        up: which way the object stands on the plane: see `rest_poses`; None for the way that the grasps are made for.
        mass: of the object, kg.

    Raises:
        HopriorError: see `export_hand`; no grasps, hands of several shapes or of MANO, or an object that is no solid.
    """
    target = _target(to)
    if not mass > 0:
        raise ArgumentError("mass", mass, "is no mass: give kilograms, above 0")
    _check_folder(Path(folder))
    scene = scene_of(results, up, mass)
    names = {keyframe.name: rank for rank, keyframe in enumerate(scene.keyframes)}
    about: dict[str, object] = {
        "object": results.object_name,
        "source": results.source,
        "mass_kg": mass,
        "keyframes": names,
    }
    about["T_world_object"] = scene.T_world_object
    return _write(Path(folder), to, scene.hand, lambda place: target.write_scene(scene, place), about)


def scene_of(results: GraspResults, up: str | None = None, mass: float = USUAL_MASS) -> Scene:
    """The grasps as a scene of rigid bodies; see `export_grasps`."""
    if not results.grasps:
        raise HopriorError("there are no grasps to export: ask for at least one")
    first = results[0]
    if any(not np.allclose(grasp.betas, first.betas) or grasp.side != first.side for grasp in results):
        raise HopriorError("the grasps are of hands of several shapes: export those of one hand at a time")
    if first.hand != "open":
        raise HopriorError(
            f"the grasps are of the hand '{first.hand}', whose arrays no file may carry: make them with the open hand"
        )
    model = load_hand("open", first.side)
    hand = articulated(model, first.betas if np.any(first.betas) else None)
    solid = prepare_mesh(results.object_mesh, name=results.object_name)
    parts = convex_parts(watertight_mesh(solid, resolution=64))
    item = SceneObject(results.object_name, parts, simplify(solid.mesh, MAX_GLB_FACES), mass)
    # Fingers open and press by the body that is written: its parts are up to some millimetres off the surface.
    body = trimesh.util.concatenate([trimesh.Trimesh(hull.vertices, hull.faces) for hull in parts.hulls])
    sdf = SdfGrid.from_mesh(cast(trimesh.Trimesh, body), GRID_RESOLUTION)
    keyframes = []
    for rank, grasp in enumerate(results):
        pose = torch.as_tensor(np.asarray(grasp.hand_pose), dtype=torch.float32)
        hinges = hinges_of(pose, model.axes).double().numpy()
        place = np.asarray(grasp.T_object_hand, dtype=float)
        targets, open_hinges = pressed(hand, hinges, place, sdf, item.inertia.center), opened(hand, hinges, place, sdf)
        keyframes.append(Keyframe(f"grasp_{rank:03d}", place, hinges, targets, open_hinges))
    return Scene(hand, item, standing(solid.solid, up or str(results.config.get("up", "auto"))), tuple(keyframes))


def _target(to: str) -> Target:
    if to not in TARGETS:
        raise ArgumentError("to", to, f"is not known: use one of {', '.join(TARGETS)}")
    return TARGETS[to]


def _check_folder(folder: Path) -> None:
    check_place(folder)
    if folder.is_dir() and any(folder.iterdir()) and _earlier(folder) is None:
        raise HopriorError(f"{folder}: holds files that are not of an earlier export: choose an empty or a new folder")


def _earlier(folder: Path) -> list[str] | None:
    """The files of an earlier export in a folder; None if there is none."""
    try:
        index = read_json(folder / INDEX_NAME)
        with interpreting(folder):
            return [str(name) for name in index["files"]] if index["format"] == FORMAT else None
    except HopriorError:
        return None


def _write(
    folder: Path, to: str, hand: ArticulatedHand, write: Callable[[Path], list[str]], about: dict[str, object]
) -> Path:
    def fill(place: Path) -> None:
        files = write(place)
        index = {
            "format": FORMAT,
            "to": to,
            "hand": {"model": hand.name, "side": hand.side, "origin": hand.origin, "mass_kg": hand.mass},
            "hinges": hand.hinge_names,
            **about,
            "versions": package_versions(),
            "files": [*files, INDEX_NAME],
        }
        (place / INDEX_NAME).write_text(strict_json(index), encoding="utf-8")

    write_folder(folder, fill, last=INDEX_NAME, stale=lambda: _earlier(folder) or ())
    return folder
