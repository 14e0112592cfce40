"""Folders of results of any task: a GLB for each item, an index, a picture, the settings; all of it or nothing."""

import json
import os
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
import yaml
from jaxtyping import Float, Int
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from hoprior.common.io import check_place, strict_json, write_folder
from hoprior.common.pages import is_page
from hoprior.common.reading import read_json
from hoprior.common.staging import STAGING, held, staging_folders
from hoprior.errors import HopriorError
from hoprior.geometry.repair import SINGLE, moved, place_of
from hoprior.rendering import OBJECT_GREY, SKIN

CONFIG_NAME = "config.yaml"
REPORT_NAME = "report.html"
"""The page to look at results; it comes after them, and goes with them."""
TOUCHED = (1.0, 0.25, 0.2)
"""What the colour of a vertex that touches is multiplied by."""
MAX_GLB_FACES = 20_000
"""An object with more faces is written simplified."""
HAND_FRAME = (
    "wrist at the origin, +x to the middle finger's knuckle, +z out of the palm, so that a right hand's thumb is at -y"
    " and a left hand's at +y"
)


@dataclass(frozen=True)
class ResultFolder:
    """What the results of one task look like on disk.

    Attributes:
        item: what one of them is called; item 3 is in `ITEM_003.glb`, the index and the picture are `ITEMs.*`.
        unfinished: what a run keeps in the folder until it is done, to go on from there when it is stopped.

    Example:
        >>> ResultFolder("grasp").index_name, ResultFolder("grasp").glb_names(2)
        ('grasps.json', ['grasp_000.glb', 'grasp_001.glb'])
    """

    item: str
    unfinished: tuple[str, ...] = ()

    @property
    def index_name(self) -> str:
        """The file that says what is in the folder; it comes last and makes the folder whole."""
        return f"{self.item}s.json"

    @property
    def sheet_name(self) -> str:
        """The contact sheet."""
        return f"{self.item}s.png"

    def sheet_names(self, pages: int) -> list[str]:
        """Names of the sheet's pages: that of a single one, then numbered ones."""
        return [self.sheet_name, *(f"{self.item}s_{page}.png" for page in range(2, pages + 1))]

    @property
    def format_name(self) -> str:
        """What the index's `format` starts with, before its version."""
        return f"hoprior-{self.item}s/"

    def glb_names(self, count: int) -> list[str]:
        """Names of the files of `count` items."""
        return [f"{self.item}_{i:03d}.glb" for i in range(count)]

    def check_writable(self, folder: str | Path) -> None:
        """Makes sure, before long work, that results can be written to `folder`; leaves nothing behind.

        Raises:
            HopriorError: it is a file, or holds files that are not of an earlier result of this kind, or writing is
                not permitted.
        """
        folder = Path(folder)
        check_place(folder)
        if not folder.is_dir():
            return
        try:
            # Held, so that no other run is just putting its files in place.
            with held(folder):
                found = [path.name for path in folder.iterdir() if not holds_results(path)]
                names = [name for name in found if name not in self.unfinished and not STAGING.fullmatch(name)]
                if not names or self._is_result(folder):
                    return
        except OSError as error:
            raise HopriorError(f"{folder}: cannot be read ({error.strerror}): choose another folder.") from error
        if other := _index_of_any(folder):
            raise HopriorError(f"{folder}: holds other results ({other.name}): choose an empty or a new folder.")
        raise HopriorError(
            f"{folder}: holds files that hoprior did not write ({min(names)}): choose an empty or a new folder."
        )

    def write(self, folder: str | Path, write: Callable[[Path], object]) -> Path:
        """Calls `write(empty staging folder)`, then puts its files in place of an earlier result's; returns `folder`.

        Anything else that lies there is kept.

        Raises:
            HopriorError: see `check_writable`; or the disk is full.
        """
        folder = Path(folder)
        self.check_writable(folder)
        write_folder(
            folder,
            write,
            last=self.index_name,
            stale=lambda: self._previous_files(folder) | previous_report(folder),
        )
        return folder

    def _is_result(self, folder: Path) -> bool:
        # A run that was killed between removing the old result and moving the new in leaves the new one's index.
        left = staging_folders(folder, Path(os.path.abspath(folder)).name)
        return any(self._read_index(place) is not None for place in (folder, *left))

    def _read_index(self, folder: Path) -> dict[str, Any] | None:
        """The index of an earlier result, of any version; None if there is no such result."""
        index = _read_json(folder / self.index_name)
        return index if index and str(index.get("format", "")).startswith(self.format_name) else None

    def _previous_files(self, folder: Path) -> set[str]:
        """Names of the files in `folder` that an earlier result consists of."""
        if not folder.is_dir() or not self._is_result(folder):
            return set()
        own = re.compile(
            rf"{self.item}_\d{{3,}}(_reach)?\.glb|{self.item}s\.(json|npz|mp4)|{self.item}s(_\d+|_rejected)?\.png|config\.yaml"
        )
        index = self._read_index(folder)
        listed = index.get("files", []) if index else [path.name for path in folder.iterdir()]
        return {name for name in listed if isinstance(name, str) and own.fullmatch(name)}


def holds_results(place: Path) -> bool:
    """Whether a place is a folder of results of any task, which may lie in the folder of others."""
    return place.is_dir() and _index_of_any(place) is not None


def _index_of_any(folder: Path) -> Path | None:
    for path in sorted(folder.glob("*.json")):
        if str((_read_json(path) or {}).get("format", "")).startswith("hoprior-"):
            return path
    return None


def previous_report(folder: Path) -> set[str]:
    """The name of the page of earlier results in a folder, if there is one that hoprior wrote."""
    return {REPORT_NAME} if is_page(folder / REPORT_NAME) else set()


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Writes the settings of a run as `config.yaml`."""
    text = yaml.safe_dump(json.loads(strict_json(config)), sort_keys=False, allow_unicode=True)
    (folder / CONFIG_NAME).write_text(text, encoding="utf-8")


def read_scene_glb(path: Path) -> tuple[trimesh.Trimesh, trimesh.Trimesh]:
    """The hand and the object of a file that `scene_glb` made, in its unit.

    Raises:
        ValueError: there is no such file.
    """
    if not path.is_file():
        raise ValueError(f"{path.name} is not there")
    scene = trimesh.load_scene(path, process=False)
    hand, held = (moved(scene.geometry[name], scene.graph[name][0][:3, 3]) for name in ("hand", "object"))
    return hand, held


def scene_glb(
    verts: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    object_mesh: trimesh.Trimesh | None = None,
    metres_per_unit: float = 1.0,
    contact: tuple[Float[np.ndarray, " v"], Float[np.ndarray, " n"]] | None = None,
    hand_colour: tuple[float, ...] = tuple(SKIN),
) -> bytes:
    """A GLB of a hand's vertices and an object, if any, both metres in one frame: geometries `hand` and `object`.

    `contact`, from 0 to 1 for each vertex of both, reddens what touches (COLOR_0) and is written as `_contact`.

    Example:
        >>> import io
        >>> box = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> glb = scene_glb(np.asarray(box.vertices), np.asarray(box.faces), box)
        >>> sorted(trimesh.load(io.BytesIO(glb), file_type="glb").geometry)
        ['hand', 'object']
    """
    scene = trimesh.Scene()
    hand = trimesh.Trimesh(np.asarray(verts, dtype=float) / metres_per_unit, faces, process=False)
    # GLB keeps vertices in single precision: far from the origin they are written near it, and their node moves them.
    place = place_of(hand, SINGLE)
    hand = moved(hand, -place)
    at = trimesh.transformations.translation_matrix(place)
    # glTF shades meshes flat that carry no normals: right for an object of any kind, wrong for a hand. The exporter
    # writes the normals of meshes that have computed theirs.
    _ = hand.vertex_normals
    parts = [("hand", hand, hand_colour)]
    if object_mesh is not None:
        held = trimesh.Trimesh(object_mesh.vertices / metres_per_unit - place, object_mesh.faces, process=False)
        parts.append(("object", held, OBJECT_GREY))
    for number, (name, mesh, colour) in enumerate(parts):
        material = PBRMaterial(
            name=name, baseColorFactor=[*colour, 1.0], metallicFactor=0.0, roughnessFactor=0.7, doubleSided=True
        )
        mesh.visual = TextureVisuals(material=material)
        if contact is not None:
            shade = 1 - contact[number][:, None] * (1 - np.array(TOUCHED))
            mesh.visual.vertex_attributes["color"] = np.c_[255 * shade, np.full(len(shade), 255)].astype(np.uint8)
            mesh.vertex_attributes["_contact"] = contact[number].astype(np.float32)
        scene.add_geometry(mesh, node_name=name, geom_name=name, transform=at)
    return trimesh.exchange.gltf.export_glb(scene)


def package_versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {"python": platform.python_version()}
    for name in ("hoprior", "torch", "numpy", "trimesh", "libigl"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = read_json(path)
    except HopriorError:
        return None
    return content if isinstance(content, dict) else None
