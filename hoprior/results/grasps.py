"""Ranked grasps of one object: as Python objects, and as a folder of files that other programs read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from PIL import Image

from hoprior.common.array_files import read_arrays, save_arrays
from hoprior.common.io import strict_json
from hoprior.common.reading import interpreting, read_json
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import ObjectMesh, prepare_mesh
from hoprior.geometry.repair import moved, place_of, precision_at, simplify
from hoprior.geometry.rest_pose import rest_poses
from hoprior.geometry.rotations import rotmat_to_rotvec
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.units import METRES_PER_UNIT, number_text
from hoprior.hand import load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.physics.contact_map import ContactMap, contact_map
from hoprior.physics.reach import Reach, reach
from hoprior.rendering.rasterizer import OBJECT_GREY, SKIN
from hoprior.rendering.sheet import MAX_CELLS, MAX_FACES, VIEW_SIZE, Cell, draw_sheet, metrics_caption
from hoprior.results.animation import animated_glb
from hoprior.results.folder import CONFIG_NAME, MAX_GLB_FACES, ResultFolder, read_scene_glb, scene_glb, write_config
from hoprior.results.grasp_keys import FRAMES
from hoprior.results.rows import Rows
from hoprior.results.ways import arrays_of, entry_of, ways_of

GRASPS = ResultFolder("grasp")
FORMAT, INDEX_NAME, ARRAYS_NAME = f"{GRASPS.format_name}1", GRASPS.index_name, "grasps.npz"
THUMB_TIP, INDEX_TIP = JOINT_NAMES.index("thumb_tip"), JOINT_NAMES.index("index_tip")


@dataclass(frozen=True, eq=False)
class GraspResult:
    """One hand at the object; metres and radians, in the axes of the object's file.

    Attributes:
        score: the higher, the better; grasps are ranked by it.
        scores: what the score is made of, by name: what each prior says (higher is better), under the name that it was
            asked for by (a second one of a name has a number: "grid 2"), and what physics finds wrong
            (`hoprior.tasks.grasp.faults.FaultWeights`; higher is worse, `faults` is their sum).
        hand, side: name of the hand model, "open" or "mano"; "right" or "left".
        hand_pose, betas: axis-angle of the 15 finger joints from the flat hand (rad); the model's shape.
        T_object_hand: maps the hand frame to the object's frame.
        joints_object, verts_object: the hand in the object's frame.
        metrics: measured on the finished grasp, by name; the name ends in the unit.
        smplx: of a MANO hand, the parameters as smplx.MANO takes them (`hoprior.hand.mano.SmplxParameters`), by name.
        reach: the way to the grasp and up from there, if it was asked for.

    Example:
        >>> still = np.zeros((15, 3))
        >>> T = np.eye(4)
        >>> T[:3, 3] = 0.1, 0.0, 0.0
        >>> found = GraspResult(1.0, "open", "right", still, np.zeros(10), T, np.zeros((21, 3)), np.zeros((778, 3)))
        >>> found.transl, found.global_orient
        (array([0.1, 0. , 0. ]), array([0., 0., 0.]))
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
    smplx: Mapping[str, Float[np.ndarray, " n"]] = field(default_factory=dict)
    reach: Reach | None = None

    @property
    def global_orient(self) -> Float[np.ndarray, " 3"]:
        """The rotation of `T_object_hand`, axis times angle."""
        rotation = torch.as_tensor(np.asarray(self.T_object_hand)[:3, :3], dtype=torch.float64)
        return rotmat_to_rotvec(rotation).numpy()

    @property
    def transl(self) -> Float[np.ndarray, " 3"]:
        """The wrist in the object's frame, metres."""
        return np.asarray(self.T_object_hand)[:3, 3]


@dataclass(frozen=True, eq=False)
class GraspResults(Rows[GraspResult]):
    """Grasps of one object, best first, with what they were made from; a sequence of `GraspResult`.

    Attributes:
        grasps: the best first.
        faces: of every grasp's `verts_object`.
        object_mesh: metres, in the axes of its file.
        object_name, source: what it is called; its file, if there was one.
        metres_per_unit: of that file; `save` writes in its unit.
        object_parts: surfaces of the parts that the file is made of, by name, where they are several.
        text, seed: what was asked, with which random numbers.
        config: all settings of the run, as JSON and YAML have them.
        versions: of hoprior and of what it computed with.
        timings: seconds by stage.

    Example:
        >>> still = np.zeros((15, 3))
        >>> joints, verts = np.zeros((21, 3)), np.zeros((778, 3))
        >>> found = GraspResult(1.0, "open", "right", still, np.zeros(10), np.eye(4), joints, verts)
        >>> results = GraspResults((found, found), np.zeros((1, 3), dtype=int), trimesh.creation.box(), text="a box")
        >>> len(results), results[0].score, results[:1].text
        (2, 1.0, 'a box')
    """

    rows_name = "grasps"
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
    object_parts: Mapping[str, trimesh.Trimesh] = field(default_factory=dict)

    def contact_maps(self, shown: trimesh.Trimesh | None = None) -> list[ContactMap]:
        """Where each grasp touches the object; `shown` is a simpler surface of it, whose vertices are told instead."""
        place = place_of(self.object_mesh)
        item = moved(self.object_mesh if shown is None else shown, -place)
        parts = {name: moved(part, -place) for name, part in self.object_parts.items()}
        return [
            contact_map(grasp.verts_object - place, self.faces, grasp.joints_object - place, item, parts).moved(place)
            for grasp in self
        ]

    def with_reach(self, item: ObjectMesh | None = None) -> "GraspResults":
        """The same grasps, each with a way to it from rest, and up with the object.

        Args:
            item: the object, mended; without it, `object_mesh` is mended anew, which takes seconds for scans.

        Raises:
            HopriorError: MANO's hands, and no MANO files.
        """
        item = item or prepare_mesh(self.object_mesh, self.object_name)
        place = place_of(item.mesh)
        near = item.moved(-place)
        sdf = SdfGrid.from_mesh(near)
        rest = rest_poses(near.solid, str(self.config.get("up", "auto")), usual=item.up or "z")
        up = None if rest is None else rest.likeliest_up()
        grasps = []
        for grasp in self:
            T = torch.tensor(np.asarray(grasp.T_object_hand, dtype=float))
            T[:3, 3] -= torch.tensor(place)
            way = reach(load_hand(grasp.hand, grasp.side), sdf, torch.tensor(np.asarray(grasp.hand_pose)), T, up)
            way.T_object_hand[:, :3, 3] += place
            grasps.append(replace(grasp, reach=way))
        return replace(self, grasps=tuple(grasps))

    def save(self, folder: str | Path) -> Path:
        """Writes `grasp_000.glb` and so on, grasps.json and .npz, grasps.png and config.yaml, in the mesh's unit.

        All files are complete before the first one stands in `folder`. The files of an earlier result are replaced;
        anything else that lies there is kept. Returns `folder`.

        Raises:
            HopriorError: see `ResultFolder.check_writable`; or there are no grasps, or the disk is full.
        """
        if not self.grasps:
            raise HopriorError(f"{folder}: there are no grasps to save: ask for at least one.")
        return GRASPS.write(folder, self._write)

    def _write(self, folder: Path) -> None:
        light_object = simplify(self.object_mesh, MAX_GLB_FACES)
        names = GRASPS.glb_names(len(self))
        maps = self.contact_maps(light_object)
        for name, grasp, touch in zip(names, self, maps, strict=True):
            both = (touch.hand, touch.item)
            glb = scene_glb(grasp.verts_object, self.faces, light_object, self.metres_per_unit, both)
            (folder / name).write_bytes(glb)
        hands, items = (
            np.stack(values).astype(np.float32) for values in zip(*((m.hand, m.item) for m in maps), strict=True)
        )
        ways = [grasp.reach for grasp in self if grasp.reach is not None]
        carried = arrays_of(ways, self.metres_per_unit) if len(ways) == len(self) else {}
        arrays: dict[str, Any] = {"hand_contact": hands, "object_contact": items, **carried}
        save_arrays(folder / ARRAYS_NAME, arrays)
        animated = []
        for name, grasp in zip(names, self, strict=True):
            # What is animated has the hand's own arrays, which only the open hand lets go.
            if carried and grasp.reach is not None and grasp.hand == "open":
                animated.append(name.replace(".glb", "_reach.glb"))
                glb = animated_glb(load_hand("open", grasp.side), grasp.reach, light_object)
                (folder / animated[-1]).write_bytes(glb)
        write_config(folder, self.config)
        contact_sheet(self).save(folder / GRASPS.sheet_name)
        index = {
            "format": FORMAT,
            "object": {"name": self.object_name, "source": self.source, "faces": len(self.object_mesh.faces)},
            "text": self.text,
            "seed": self.seed,
            "unit": {"name": unit_name(self.metres_per_unit), "metres_per_unit": self.metres_per_unit},
            "frames": FRAMES,
            "joint_names": JOINT_NAMES,
            "grasps": [
                {"rank": rank, "glb": name, **_describe(grasp, touch, self.metres_per_unit)}
                for rank, (name, grasp, touch) in enumerate(zip(names, self, maps, strict=True))
            ],
            "versions": self.versions,
            "timings": self.timings,
            "config": self.config,
            "files": [*names, *animated, INDEX_NAME, ARRAYS_NAME, GRASPS.sheet_name, CONFIG_NAME],
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
        advice = "make the grasps again"
        index = read_json(path, advice)
        with interpreting(path, advice):
            if index["format"] != FORMAT:
                raise HopriorError(f"{path}: format '{index['format']}', this version reads '{FORMAT}'.")
            scale = float(index["unit"]["metres_per_unit"])
            scenes = [read_scene_glb(path.parent / Path(entry["glb"]).name) for entry in index["grasps"]]
            hand, object_mesh = scenes[0]
            object_mesh = trimesh.Trimesh(object_mesh.vertices * scale, object_mesh.faces, process=False)
            kind = precision_at(object_mesh)
            grasps = [_grasp(entry, h, scale, kind) for entry, (h, _) in zip(index["grasps"], scenes, strict=True)]
            if (path.parent / ARRAYS_NAME).is_file():
                ways = ways_of(read_arrays(path.parent / ARRAYS_NAME, advice=advice), scale)
                grasps = [replace(g, reach=w) for g, w in zip(grasps, ways, strict=True)] if ways else grasps
            return cls(
                grasps=tuple(grasps),
                faces=np.asarray(hand.faces),
                object_mesh=object_mesh,
                object_name=index["object"]["name"],
                source=index["object"]["source"],
                metres_per_unit=scale,
                **{key: index[key] for key in ("text", "seed", "config", "versions", "timings")},
            )


def unit_name(metres_per_unit: float) -> str | None:
    """ "mm" for 0.001, and so on; None for a unit without a name here.

    Example:
        >>> unit_name(0.001), unit_name(0.3)
        ('mm', None)
    """
    names = [name for name, value in METRES_PER_UNIT.items() if math.isclose(value, metres_per_unit)]
    return names[0] if names else None


def _describe(grasp: GraspResult, touch: ContactMap, metres_per_unit: float) -> dict[str, Any]:
    joints = np.asarray(grasp.joints_object, dtype=float)
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
        "joints_object": joints / metres_per_unit,
        "aperture": float(np.linalg.norm(joints[THUMB_TIP] - joints[INDEX_TIP])) / metres_per_unit,
        "approach": _approach(joints, touch),
        "contacts": [
            {
                "finger": contact.finger,
                "bone": contact.bone,
                "part": contact.part,
                "point": contact.point / metres_per_unit,
                "normal": contact.normal,
                "depth": contact.depth / metres_per_unit,
                "area": contact.area / metres_per_unit**2,
                "pressure_share": contact.pressure_share,
            }
            for contact in touch.contacts
        ],
        **({"reach": entry_of(grasp.reach, metres_per_unit)} if grasp.reach else {}),
        **({"smplx": _in_unit(grasp.smplx, metres_per_unit)} if grasp.smplx else {}),
    }


def _approach(joints: Float[np.ndarray, "21 3"], touch: ContactMap) -> Float[np.ndarray, " 3"]:
    """The way from the wrist to the middle of what the hand presses; without any contact, to that of its tips."""
    middle = joints[16:].mean(axis=0)
    if touch.contacts:
        shares = [contact.pressure_share for contact in touch.contacts]
        middle = np.average([contact.point for contact in touch.contacts], axis=0, weights=shares)
    return (middle - joints[0]) / max(float(np.linalg.norm(middle - joints[0])), 1e-9)


def _in_unit(smplx: Mapping[str, np.ndarray], metres_per_unit: float) -> dict[str, np.ndarray]:
    return {name: value / metres_per_unit if name == "transl" else value for name, value in smplx.items()}


def _grasp(
    entry: dict[str, Any], hand: trimesh.Trimesh, metres_per_unit: float, kind: type[np.floating]
) -> GraspResult:
    T_object_hand = np.array(entry["T_object_hand"], dtype=kind)
    T_object_hand[:3, 3] *= metres_per_unit
    return GraspResult(
        score=_number(entry["score"]),
        hand=entry["hand"],
        side=entry["side"],
        hand_pose=np.array(entry["hand_pose"], dtype=np.float32).reshape(15, 3),
        betas=np.array(entry["betas"], dtype=np.float32).reshape(10),
        T_object_hand=T_object_hand.reshape(4, 4),
        joints_object=(np.array(entry["joints_object"]) * metres_per_unit).astype(kind).reshape(21, 3),
        verts_object=(np.asarray(hand.vertices) * metres_per_unit).astype(kind),
        scores={name: _number(value) for name, value in entry["scores"].items()},
        metrics={name: _number(value) for name, value in entry["metrics"].items()},
        smplx=_in_unit({name: np.array(value) for name, value in entry.get("smplx", {}).items()}, 1 / metres_per_unit),
    )


def _number(value: float | None) -> float:
    """JSON has no NaN, so null stands for it."""
    return math.nan if value is None else float(value)


def contact_sheet(results: GraspResults, max_grasps: int = MAX_CELLS, view_size: int = VIEW_SIZE) -> Image.Image:
    """A picture of the first `max_grasps` grasps, best first, two views of `view_size` pixels for each."""
    grasps = results[:max_grasps]
    title = f"{results.object_name}" + (f" · “{results.text}”" if results.text else "")
    shown = f"{len(results)} grasps, best first"
    if len(grasps) < len(results):
        shown = f"the best {len(grasps)} of {len(results)} grasps"
    object_mesh = simplify(results.object_mesh, MAX_FACES)
    place = place_of(object_mesh)
    object_mesh = moved(object_mesh, -place)
    held = (object_mesh.vertices, object_mesh.faces, OBJECT_GREY)
    cells = [
        Cell(
            meshes=[(grasp.verts_object - place, results.faces, SKIN), held],
            rotation=np.asarray(grasp.T_object_hand, dtype=float)[:3, :3],
            side=grasp.side,
            label=f"score {number_text(grasp.score)}",
            remark=metrics_caption(grasp.metrics),
        )
        for grasp in grasps
    ]
    return draw_sheet(title, shown, cells, view_size)
