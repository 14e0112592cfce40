"""A robot's grasps after a person's: as Python objects, and as a folder of files that other programs read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int
from PIL import Image

from hoprior.common.array_files import read_arrays, save_arrays
from hoprior.common.io import strict_json
from hoprior.common.reading import interpreting, read_json
from hoprior.errors import HopriorError
from hoprior.geometry.repair import moved, place_of, simplify
from hoprior.physics.robots.way import RobotWay
from hoprior.rendering.rasterizer import OBJECT_GREY
from hoprior.rendering.sheet import MAX_CELLS, MAX_FACES, VIEW_SIZE, Cell, draw_sheet
from hoprior.results.folder import CONFIG_NAME, MAX_GLB_FACES, ResultFolder, read_scene_glb, scene_glb, write_config
from hoprior.results.robot_animation import animated_links, links_of
from hoprior.results.rows import Rows

ROBOT_GRASPS = ResultFolder("robot_grasp")
FORMAT, INDEX_NAME, ARRAYS_NAME = f"{ROBOT_GRASPS.format_name}1", ROBOT_GRASPS.index_name, "robot_grasps.npz"
STEEL = (0.42, 0.55, 0.72)
"""What a robot looks like."""
WAY_ARRAYS = ("T_object_base", "T_base_link", "joints", "object_shift", "direction")
WAY_FIELDS = (*WAY_ARRAYS, "depth", "free", "phase")
FRAMES = {
    "T_object_base": (
        "4x4, maps points of the frame of the robot's base link to the object's: the axes of its file, in metres,"
        " whatever unit the file has"
    ),
    "joints": "values of all joints that move, radians or metres, in the order of `robot.joints`; mimics among them",
    "contacts_mm": (
        "of each finger that touches in the person's grasp, how far the robot's contact is from the person's nearest"
        " one; null where the robot's finger does not touch"
    ),
    "way": (
        "the grasp carried out: whether it is free of collisions, how much deeper than allowed it goes (m), the way in"
        " which the hand comes, the pre-grasp; all frames in robot_grasps.npz (`way_...`: base, joints, seconds, phase,"
        " how far the object is carried); and as an animation in `animated`"
    ),
    "animated": (
        "the way as an animated GLB, metres, in the axes of the object's file: a node for each link, below the node of"
        " the link that carries it, and `object`"
    ),
    "glb": "geometries `hand` (the robot) and `object`, metres, in the axes of the object's file",
}


@dataclass(frozen=True, eq=False)
class RobotGrasp:
    """One robot's hand at the object; metres and radians, in the axes of the object's file.

    Attributes:
        T_object_base: maps the frame of the robot's base link to the object's frame.
        joints: of all joints that move, mimics among them.
        verts_object: what the robot looks like.
        metrics: `depth_mm` in the object, `overlap_cm3` with it, `self_depth_mm` of links in each other,
            `fingers_kept` within a centimetre of the person's, `fingers_touching` of the person's that it has;
            `around_depth_mm` in the table, the scene and what is to be left free, if grasps were made with these.
        contacts_mm: of each of these, how far the robot's contact is from the person's; infinite without one.
        held: whether it lifted the object in simulation; None where that was not tried.
        way: from the pre-grasp to the lift.
    """

    T_object_base: Float[np.ndarray, "4 4"]
    joints: Float[np.ndarray, " j"]
    verts_object: Float[np.ndarray, "v 3"]
    metrics: Mapping[str, float]
    contacts_mm: Mapping[str, float]
    held: bool | None
    way: RobotWay

    @property
    def outcome(self) -> str:
        """Of the trial in simulation, in a word; none where there was no trial."""
        return {True: "held", False: "dropped", None: ""}[self.held]


@dataclass(frozen=True, eq=False)
class RobotGrasps(Rows[RobotGrasp]):
    """A robot's grasps of one object, in the order of the person's that they follow; a sequence of `RobotGrasp`.

    Attributes:
        grasps: one for each of the person's.
        faces: of every grasp's `verts_object`.
        link_of_vertex: the number, in `robot["links"]`, of the link that carries each of these.
        object_name, source: what the object is called; its file, if there was one.
        text, seed: what the person's grasps were asked for with; of the random numbers.
        config, versions, timings: all settings; of hoprior and of what it computed with; seconds by stage.
        robot: its name, URDF and base link; its links and which carries each; of its joints names, limits and which are
            driven; the fingers' links.
        grasps_from: the folder of the person's grasps, if they were in one.
        object_mesh: metres, in the axes of its file.
    """

    rows_name = "grasps"
    grasps: tuple[RobotGrasp, ...]
    faces: Int[np.ndarray, "f 3"]
    link_of_vertex: Int[np.ndarray, " v"]
    robot: Mapping[str, Any]
    object_mesh: trimesh.Trimesh
    object_name: str = "object"
    source: str | None = None
    grasps_from: str | None = None
    text: str | None = None
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)

    def save(self, folder: str | Path) -> Path:
        """Writes `robot_grasp_000.glb` and so on, robot_grasps.json, .npz and .png, and config.yaml; returns `folder`.

        `robot_grasp_000_reach.glb` is the first one carried out, animated.

        All files are complete before the first one stands in `folder`.

        Raises:
            HopriorError: see `ResultFolder.check_writable`; or there are no grasps, or the disk is full.
        """
        if not self.grasps:
            raise HopriorError(f"{folder}: there are no grasps to save: ask for at least one.")
        return ROBOT_GRASPS.write(folder, self._write)

    def _write(self, folder: Path) -> None:
        light = simplify(self.object_mesh, MAX_GLB_FACES)
        names = ROBOT_GRASPS.glb_names(len(self))
        carried = [animated_name(name) for name in names]
        for name, way, grasp in zip(names, carried, self, strict=True):
            (folder / name).write_bytes(scene_glb(grasp.verts_object, self.faces, light, hand_colour=STEEL))
            (folder / way).write_bytes(self.animated(grasp, light))
        ways = [grasp.way for grasp in self]
        arrays: dict[str, Any] = {
            "T_object_base": np.stack([grasp.T_object_base for grasp in self]),
            "joints": np.stack([grasp.joints for grasp in self]),
            "link_of_vertex": self.link_of_vertex,
            "way_time": ways[0].time,
            **{f"way_{name}": np.stack([np.asarray(getattr(way, name)) for way in ways]) for name in WAY_FIELDS},
        }
        save_arrays(folder / ARRAYS_NAME, arrays)
        write_config(folder, self.config)
        robot_sheet(self).save(folder / ROBOT_GRASPS.sheet_name)
        index = {
            "format": FORMAT,
            "robot": self.robot,
            "grasps_from": self.grasps_from,
            "object": {"name": self.object_name, "source": self.source, "faces": len(self.object_mesh.faces)},
            "text": self.text,
            "seed": self.seed,
            "frames": FRAMES,
            "grasps": [
                {"rank": rank, "glb": name, "animated": carried[rank], **_describe(grasp)}
                for rank, (name, grasp) in enumerate(zip(names, self, strict=True))
            ],
            "versions": self.versions,
            "timings": self.timings,
            "config": self.config,
            "files": [*names, *carried, INDEX_NAME, ARRAYS_NAME, ROBOT_GRASPS.sheet_name, CONFIG_NAME],
        }
        (folder / INDEX_NAME).write_text(strict_json(index), encoding="utf-8")

    def animated(self, grasp: RobotGrasp, item: trimesh.Trimesh | None = None) -> bytes:
        """One grasp carried out, as an animated GLB in metres; with another mesh of the object where one is given."""
        links, parents = self.robot["links"], self.robot["parents"]
        # The hand keeps the grasp while it is lifted: what its links look like is where they are then.
        T = grasp.T_object_base @ grasp.way.T_base_link[-1]
        pieces = links_of(grasp.verts_object, self.faces, self.link_of_vertex, T)
        return animated_links(links, parents, pieces, grasp.way, self.object_mesh if item is None else item, STEEL)

    @classmethod
    def load(cls, folder: str | Path) -> "RobotGrasps":
        """The results that `save` wrote.

        Raises:
            HopriorError: there are none in `folder`, or a file is missing or damaged.
        """
        folder = Path(folder)
        path, advice = folder / INDEX_NAME, "run `hoprior retarget` again"
        if not path.is_file():
            raise HopriorError(f"{folder}: no {INDEX_NAME} in it: give a folder that `hoprior retarget` has written.")
        index = read_json(path, advice)
        with interpreting(path, advice):
            if index["format"] != FORMAT:
                raise HopriorError(f"{path}: format '{index['format']}', this version reads '{FORMAT}'.")
            arrays = read_arrays(folder / ARRAYS_NAME, advice=advice)
            scenes = [read_scene_glb(folder / Path(entry["glb"]).name) for entry in index["grasps"]]
            grasps = []
            for k, (entry, (hand, _)) in enumerate(zip(index["grasps"], scenes, strict=True)):
                way = RobotWay(
                    time=arrays["way_time"],
                    phase=tuple(map(str, arrays["way_phase"][k])),
                    depth=float(arrays["way_depth"][k]),
                    free=bool(arrays["way_free"][k]),
                    **{n: arrays[f"way_{n}"][k] for n in WAY_ARRAYS},
                )
                away = {f: np.inf if mm is None else float(mm) for f, mm in entry["contacts_mm"].items()}
                metrics = {name: float(value) for name, value in entry["metrics"].items()}
                verts = np.asarray(hand.vertices, dtype=float)
                T, joints = arrays["T_object_base"][k], arrays["joints"][k]
                grasps.append(RobotGrasp(T, joints, verts, metrics, away, entry["held"], way))
            hand, item = scenes[0]
            return cls(
                grasps=tuple(grasps),
                faces=np.asarray(hand.faces),
                link_of_vertex=arrays["link_of_vertex"],
                robot=index["robot"],
                object_mesh=trimesh.Trimesh(item.vertices, item.faces, process=False),
                object_name=index["object"]["name"],
                source=index["object"]["source"],
                **{key: index[key] for key in ("grasps_from", "text", "seed", "config", "versions", "timings")},
            )


def animated_name(glb: str) -> str:
    """The file of a grasp that is carried out, beside that of the grasp.

    Example:
        >>> animated_name("robot_grasp_000.glb")
        'robot_grasp_000_reach.glb'
    """
    return glb.replace(".glb", "_reach.glb")


def _describe(grasp: RobotGrasp) -> dict[str, Any]:
    way = grasp.way
    return {
        "T_object_base": grasp.T_object_base,
        "joints": grasp.joints,
        "metrics": grasp.metrics,
        "contacts_mm": {finger: away if np.isfinite(away) else None for finger, away in grasp.contacts_mm.items()},
        "held": grasp.held,
        "way": {
            "free": way.free,
            "depth_beyond": max(way.depth, 0.0),
            "direction": way.direction,
            "seconds": float(way.time[-1]),
            "pregrasp": {"T_object_base": way.T_object_base[0], "joints": way.joints[0]},
        },
    }


def robot_sheet(results: RobotGrasps, max_grasps: int = MAX_CELLS, view_size: int = VIEW_SIZE) -> Image.Image:
    """A picture of the first `max_grasps` grasps, two views of `view_size` pixels for each."""
    grasps = results.grasps[:max_grasps]
    light = simplify(results.object_mesh, MAX_FACES)
    place = place_of(light)
    light = moved(light, -place)
    held = (light.vertices, light.faces, OBJECT_GREY)
    cells = [
        Cell(
            meshes=[(grasp.verts_object - place, results.faces, STEEL), held],
            rotation=_seen_from(grasp),
            side="right",
            label=grasp.outcome,
            remark=f"depth {grasp.metrics['depth_mm']:.1f} mm · {grasp.metrics['fingers_kept']:.0f} of"
            f" {grasp.metrics['fingers_touching']:.0f} contacts",
        )
        for grasp in grasps
    ]
    shown = f"{len(results)} grasps" if len(grasps) == len(results) else f"{len(grasps)} of {len(results)} grasps"
    return draw_sheet(f"{results.robot['name']} · {results.object_name}", shown, cells, view_size)


def _seen_from(grasp: RobotGrasp) -> Float[np.ndarray, "3 3"]:
    """Axes to look by as at a person's hand: x the way in which it comes, so that its fingers are up."""
    x = np.asarray(grasp.way.direction, dtype=float)
    helper = np.eye(3)[int(np.abs(x).argmin())]
    y = np.cross(helper, x)
    y /= np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)], axis=1)
