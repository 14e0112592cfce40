"""Ranked grasps of one object: as Python objects, and as a folder of files that other programs read."""

import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, overload

import numpy as np
import roma
import torch
import trimesh
import yaml
from jaxtyping import Float, Int
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from hoprior.errors import HopriorError
from hoprior.geometry.mesh import METRES_PER_UNIT
from hoprior.geometry.repair import simplify
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.io import STAGING_PATTERN, check_place, strict_json, write_folder
from hoprior.rendering import OBJECT_GREY, SKIN, contact_sheet

FORMAT = "hoprior-grasps/1"
INDEX_NAME, SHEET_NAME, CONFIG_NAME = "grasps.json", "grasps.png", "config.yaml"
OWN_NAMES = re.compile(r"grasp_\d{3,}\.glb|grasps\.json|grasps\.png|config\.yaml")

MAX_GLB_FACES = 20_000
"""An object with more faces is written simplified: each grasp's file carries its own copy."""

FRAMES = {
    "joints_object": "21 joints in the frame and the unit of the input mesh, in the order of `joint_names`",
    "T_object_hand": (
        "4x4, maps points of the hand frame to the input mesh's frame; its translation is in the mesh's unit. Hand"
        " frame: wrist at the origin, +x to the middle finger's knuckle, +z out of the palm, so that a right hand's"
        " thumb is at -y and a left hand's at +y"
    ),
    "global_orient": "the rotation of T_object_hand as axis times angle, radians",
    "transl": "the translation of T_object_hand: where the wrist is, in the mesh's unit",
    "hand_pose": (
        "axis times angle (radians) of joints 1 to 15 from the flat hand, in the axes of the hand frame, each relative"
        " to its parent"
    ),
    "betas": "shape coefficients of the named hand model",
    "glb": (
        "geometries `hand` and `object` in the frame and the unit of the input mesh; glTF itself has metres and y up:"
        " viewers that rely on this show the input mesh in the same way"
    ),
}


@dataclass(frozen=True, eq=False)
class GraspResult:
    """One hand at the object; metres and radians, in the axes of the object's file.

    Attributes:
        score: the higher, the better; grasps are ranked by it.
        scores: what the score is made of, by name: what each prior says (higher is better), and what physics finds
            wrong (`hoprior.tasks.grasp_faults.FaultWeights`; higher is worse, `faults` is their sum).
        hand: name of the hand model, "open" or "mano".
        hand_pose: axis-angle of the 15 finger joints from the flat hand.
        T_object_hand: maps the hand frame to the object's frame.
        metrics: measured on the finished grasp, by name; the name ends in the unit.
    """

    score: float
    hand: str
    side: str
    hand_pose: Float[np.ndarray, "15 3"]
    betas: Float[np.ndarray, " 10"]
    T_object_hand: Float[np.ndarray, "4 4"]
    joints_object: Float[np.ndarray, "21 3"]
    verts_object: Float[np.ndarray, "v 3"]
    scores: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def global_orient(self) -> Float[np.ndarray, " 3"]:
        """The rotation of `T_object_hand`, axis times angle."""
        rotation = torch.as_tensor(np.asarray(self.T_object_hand)[:3, :3], dtype=torch.float64)
        return roma.rotmat_to_rotvec(rotation).numpy()

    @property
    def transl(self) -> Float[np.ndarray, " 3"]:
        """The wrist in the object's frame, metres."""
        return np.asarray(self.T_object_hand)[:3, 3]


@dataclass(frozen=True, eq=False)
class GraspResults(Sequence[GraspResult]):
    """Grasps of one object, best first, with what they were made from; a sequence of `GraspResult`.

    Attributes:
        faces: of every grasp's `verts_object`.
        object_mesh: metres, in the axes of its file.
        source: the object's file, if there was one.
        metres_per_unit: of that file; `save` writes in its unit.
        config: all settings of the run, as JSON and YAML have them.
        timings: seconds by stage.
    """

    grasps: tuple[GraspResult, ...]
    faces: Int[np.ndarray, "f 3"]
    object_mesh: trimesh.Trimesh
    object_name: str = "object"
    source: str | None = None
    metres_per_unit: float = 1.0
    text: str | None = None
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.grasps)

    def __iter__(self) -> Iterator[GraspResult]:
        return iter(self.grasps)

    @overload
    def __getitem__(self, index: int) -> GraspResult: ...
    @overload
    def __getitem__(self, index: slice) -> "GraspResults": ...
    def __getitem__(self, index: int | slice) -> "GraspResult | GraspResults":
        """One grasp, or the results with some of the grasps."""
        if isinstance(index, slice):
            return replace(self, grasps=self.grasps[index])
        return self.grasps[index]

    def save(self, folder: str | Path) -> Path:
        """Writes `grasp_000.glb` and so on, grasps.json, grasps.png and config.yaml, in the input mesh's unit.

        All files are complete before the first one stands in `folder`. The files of an earlier result are replaced;
        anything else that lies there is kept. Returns `folder`.

        Raises:
            HopriorError: see `check_writable`; or there are no grasps, or the disk is full.
        """
        folder = Path(folder)
        if not self.grasps:
            raise HopriorError(f"{folder}: there are no grasps to save: ask for at least one.")
        check_writable(folder)
        stale = _previous_files(folder)
        write_folder(folder, self._write, last=INDEX_NAME, stale=stale)
        for leftover in folder.glob(STAGING_PATTERN):  # of a run that was killed while it wrote
            shutil.rmtree(leftover, ignore_errors=True)
        return folder

    def _write(self, folder: Path) -> None:
        light_object = simplify(self.object_mesh, MAX_GLB_FACES)
        names = [f"grasp_{rank:03d}.glb" for rank in range(len(self))]
        for name, grasp in zip(names, self, strict=True):
            (folder / name).write_bytes(_glb(grasp, self.faces, light_object, self.metres_per_unit))
        (folder / CONFIG_NAME).write_text(
            yaml.safe_dump(json.loads(strict_json(self.config)), sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        contact_sheet(self).save(folder / SHEET_NAME, optimize=True)
        index = {
            "format": FORMAT,
            "object": {"name": self.object_name, "source": self.source, "faces": len(self.object_mesh.faces)},
            "text": self.text,
            "seed": self.seed,
            "unit": {"name": unit_name(self.metres_per_unit), "metres_per_unit": self.metres_per_unit},
            "frames": FRAMES,
            "joint_names": JOINT_NAMES,
            "grasps": [
                {"rank": rank, "glb": name, **_describe(grasp, self.metres_per_unit)}
                for rank, (name, grasp) in enumerate(zip(names, self, strict=True))
            ],
            "versions": self.versions,
            "timings": self.timings,
            "config": self.config,
            "files": [*names, INDEX_NAME, SHEET_NAME, CONFIG_NAME],
        }
        (folder / INDEX_NAME).write_text(strict_json(index), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "GraspResults":
        """The results that `save` wrote (to float32; the object as simple as it was written).

        Raises:
            HopriorError: there are none in `folder`, or a file is missing or damaged.
        """
        folder = Path(folder)
        path = folder if folder.is_file() else folder / INDEX_NAME
        if not path.is_file():
            raise HopriorError(f"{folder}: no {INDEX_NAME} in it: give a folder that `hoprior run grasp` has written.")
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            if index["format"] != FORMAT:
                raise HopriorError(f"{path}: format '{index['format']}', this version reads '{FORMAT}'.")
            scale = float(index["unit"]["metres_per_unit"])
            scenes = [_read_glb(path.parent / Path(entry["glb"]).name) for entry in index["grasps"]]
            grasps = [_grasp(entry, hand, scale) for entry, (hand, _) in zip(index["grasps"], scenes, strict=True)]
            hand, object_mesh = scenes[0]
            object_mesh = trimesh.Trimesh(object_mesh.vertices * scale, object_mesh.faces, process=False)
            return cls(
                grasps=tuple(grasps),
                faces=np.asarray(hand.faces),
                object_mesh=object_mesh,
                object_name=index["object"]["name"],
                source=index["object"]["source"],
                metres_per_unit=scale,
                **{key: index[key] for key in ("text", "seed", "config", "versions", "timings")},
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise HopriorError(f"{path}: damaged ({type(error).__name__}: {error}): make the grasps again.") from error


def check_writable(folder: str | Path) -> None:
    """Makes sure, before long work, that results can be written to `folder`; leaves nothing behind.

    Raises:
        HopriorError: it is a file, or holds files that are not of an earlier result, or writing is not permitted.
    """
    folder = Path(folder)
    check_place(folder)
    try:
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    except OSError as error:
        raise HopriorError(f"{folder}: cannot be read ({error.strerror}): choose another folder.") from error
    if names and not _is_result(folder):
        raise HopriorError(
            f"{folder}: holds files that hoprior did not write ({min(names)}): choose an empty or a new folder."
        )


def package_versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {"python": _python_version()}
    for name in ("hoprior", "torch", "numpy", "trimesh", "libigl", "diffusers"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def unit_name(metres_per_unit: float) -> str | None:
    """ "mm" for 0.001, and so on; None for a unit without a name here."""
    names = [name for name, value in METRES_PER_UNIT.items() if math.isclose(value, metres_per_unit)]
    return names[0] if names else None


def _python_version() -> str:
    import platform

    return platform.python_version()


def _is_result(folder: Path) -> bool:
    # A staging folder is what a run leaves that was killed between removing the old result and moving the new one in.
    return _read_index(folder) is not None or any(folder.glob(STAGING_PATTERN))


def _read_index(folder: Path) -> dict[str, Any] | None:
    """The index of an earlier result, of any version; None if there is no such result."""
    try:
        index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_ours = isinstance(index, dict) and str(index.get("format", "")).startswith("hoprior-grasps/")
    return index if is_ours else None


def _previous_files(folder: Path) -> set[str]:
    """Names of the files in `folder` that an earlier result consists of."""
    if not folder.is_dir() or not _is_result(folder):
        return set()
    index = _read_index(folder)
    listed = index.get("files", []) if index else [path.name for path in folder.iterdir()]
    return {name for name in listed if isinstance(name, str) and OWN_NAMES.fullmatch(name)}


def _describe(grasp: GraspResult, metres_per_unit: float) -> dict[str, Any]:
    T_object_hand = np.array(grasp.T_object_hand, dtype=float)
    T_object_hand[:3, 3] /= metres_per_unit
    return {
        "score": grasp.score,
        "scores": grasp.scores,
        "metrics": grasp.metrics,
        "hand": grasp.hand,
        "side": grasp.side,
        "T_object_hand": T_object_hand,
        "global_orient": grasp.global_orient,
        "transl": T_object_hand[:3, 3],
        "hand_pose": grasp.hand_pose,
        "betas": grasp.betas,
        "joints_object": np.asarray(grasp.joints_object, dtype=float) / metres_per_unit,
    }


def _grasp(entry: dict[str, Any], hand: trimesh.Trimesh, metres_per_unit: float) -> GraspResult:
    T_object_hand = np.array(entry["T_object_hand"], dtype=np.float32)
    T_object_hand[:3, 3] *= metres_per_unit
    return GraspResult(
        score=_number(entry["score"]),
        hand=entry["hand"],
        side=entry["side"],
        hand_pose=np.array(entry["hand_pose"], dtype=np.float32).reshape(15, 3),
        betas=np.array(entry["betas"], dtype=np.float32).reshape(10),
        T_object_hand=T_object_hand.reshape(4, 4),
        joints_object=(np.array(entry["joints_object"]) * metres_per_unit).astype(np.float32).reshape(21, 3),
        verts_object=(np.asarray(hand.vertices) * metres_per_unit).astype(np.float32),
        scores={name: _number(value) for name, value in entry["scores"].items()},
        metrics={name: _number(value) for name, value in entry["metrics"].items()},
    )


def _number(value: float | None) -> float:
    """JSON has no NaN, so null stands for it."""
    return math.nan if value is None else float(value)


def _glb(grasp: GraspResult, faces: np.ndarray, object_mesh: trimesh.Trimesh, metres_per_unit: float) -> bytes:
    scene = trimesh.Scene()
    hand = trimesh.Trimesh(np.asarray(grasp.verts_object, dtype=float) / metres_per_unit, faces, process=False)
    # glTF shades meshes flat that carry no normals: right for an object of any kind, wrong for a hand. The exporter
    # writes the normals of meshes that have computed theirs.
    _ = hand.vertex_normals
    held = trimesh.Trimesh(object_mesh.vertices / metres_per_unit, object_mesh.faces, process=False)
    for name, mesh, colour in (("hand", hand, SKIN), ("object", held, OBJECT_GREY)):
        material = PBRMaterial(
            name=name, baseColorFactor=[*colour, 1.0], metallicFactor=0.0, roughnessFactor=0.7, doubleSided=True
        )
        mesh.visual = TextureVisuals(material=material)
        scene.add_geometry(mesh, node_name=name, geom_name=name)
    return trimesh.exchange.gltf.export_glb(scene)


def _read_glb(path: Path) -> tuple[trimesh.Trimesh, trimesh.Trimesh]:
    scene = trimesh.load_scene(path, process=False)
    return scene.geometry["hand"], scene.geometry["object"]
