"""1M-HUGs (Wu et al., arXiv 2606.17054): views of things before a hand took them, and the grasp that followed.

A pickle a view, in folders of any depth: `object_name`, `grasp_index`, `camera` {K, width, height}, `image` (JPEG),
`depth` (PNG, millimetres) and `object_mask` (PNG) of a square, `T_world_camera`, and `grasp`: `landmarks_3d` (21, 3) in
the camera's frame, metres, MANO's `pose` (1, 15, 3) from the flat hand, `shape` and `T_camera_wrist`. The hand is not
in the picture yet: the grasp is that of a later moment, the same in all views of it. There are no meshes: an object
here is what its views saw of it, closed.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh

from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import read_pickle
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.images import ImageFile
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.record import Camera, RecordedObject, RecordedSample
from hoprior.errors import HopriorError
from hoprior.geometry.rotations import rotmat_to_rotvec
from hoprior.hand import reorder_joints
from hoprior.vision.images import open_picture

MILLIMETRE = 0.001
PREDICTIONS = "grasp_pred"
"""Folder of what the model drew, beside the data."""
MOST_VIEWS = 12
MOST_POINTS = 4000
"""Of each view, of which the object is made."""
OUTLIERS = 0.02
"""Of the points of a view, how many at either end of each axis are the mask's edge on what is behind."""


@dataclass(frozen=True)
class SeenObject(RecordedObject):
    """The convex hull of what some views saw of an object, in the world that they share."""

    views: tuple[Path, ...] = field(default=())

    def surface(self) -> trimesh.Trimesh:
        """The hull, metres.

        Raises:
            HopriorError: no view has depth at the object.
        """
        points = [seen for view in self.views if len(seen := points_of(read_pickle(view), view))]
        if not points:
            raise HopriorError(f"{self.path}: no depth at the object in its {len(self.views)} views")
        return trimesh.convex.convex_hull(np.concatenate(points))


class HUG(Adapter):
    """1M-HUGs; all views of one grasp are one sequence, of which one is kept."""

    name = "hug"
    title = "1M-HUGs"
    homepage = "https://grasping.io"
    licence = "CC BY 4.0"
    layout = "*.pkl in folders of any depth, a view each"
    markers = ("**/*.pkl",)
    grasps_only = True
    one_grasp_a_sequence = True

    def scan(self) -> Iterator[Entry]:
        """Every pickle below the root."""
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(name for name in folders if name != PREDICTIONS and not name.startswith("."))
            group = Path(folder).relative_to(self.root).as_posix()
            for name in sorted(names):
                if name.lower().endswith(".pkl") and not name.startswith("."):
                    yield Entry(group, name[:-4])

    def _place(self, group: str, item: str) -> Path:
        return self.path(*([] if group == "." else group.split("/")), f"{item}.pkl")

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The view itself."""
        yield self._place(entry.group, entry.item)

    @cached_property
    def _views(self) -> dict[str, tuple[str, ...]]:
        """The views of each folder, by their names."""
        views: dict[str, list[str]] = {}
        for entry in self.index():
            views.setdefault(entry.group, []).append(entry.item)
        return {group: tuple(items) for group, items in views.items()}

    @cached_property
    def _objects_in(self):  # type: ignore[no-untyped-def]  # views of a folder follow each other
        return lru_cache(maxsize=8)(self._read_objects)

    def _read_objects(self, group: str) -> dict[str, tuple[Path, ...]]:
        """The views of each object of a folder, some evenly from all of them."""
        every = self._views[group]
        some = [every[i] for i in np.unique(np.linspace(0, len(every) - 1, 4 * MOST_VIEWS).astype(int))]
        found: dict[str, list[Path]] = {}
        for item in some:
            place = self._place(group, item)
            # A damaged view is named when it is read itself; the object is made of the others.
            with contextlib.suppress(HopriorError, KeyError):
                found.setdefault(_name_of(read_pickle(place)), []).append(place)
        return {
            name: tuple(places[i] for i in np.unique(np.linspace(0, len(places) - 1, MOST_VIEWS).astype(int)))
            for name, places in found.items()
        }

    def mesh_path(self, name: str) -> Path:
        """The first view of an object."""
        return self._views_of(name)[0]

    def _views_of(self, name: str) -> tuple[Path, ...]:
        group, _, thing = name.replace("~", "/").rpartition("/")
        return self._objects_in(group).get(thing) or (self._place(group, self._views[group][0]),)

    def make_object(self, name: str) -> RecordedObject:
        """An object as its views saw it; a name is that of the views' folder, then the object's own."""
        return SeenObject(self.info(name, name.rsplit("~", 1)[1]), views=self._views_of(name))

    def read(self, entry: Entry) -> RecordedSample:
        """The grasp that followed a view, in the camera's frame."""
        place = self._place(entry.group, entry.item)
        content = read_pickle(place)
        grasp = content["grasp"]
        if grasp is None:
            raise FrameSkipped("no grasp of this view is published")
        thing = self.object(f"{entry.group}/{_name_of(content)}".replace("/", "~"))
        camera = content["camera"]
        return RecordedSample(
            dataset=self.name,
            key=entry.key,
            side="right",
            hands=self.hands,
            subject="",
            sequence=f"{entry.group}/{_name_of(content)}/{int(content['grasp_index'])}",
            frame=int(content["frame_index"]),
            split="train",
            reading=_reading(grasp),
            joints_given=reorder_joints(vector(grasp["landmarks_3d"], 63, "landmarks_3d").view(21, 3), "openpose"),
            object=thing,
            T_scene_object=torch.linalg.inv(_transform(content, "T_world_camera")),
            camera=Camera(vector(camera["K"], 9, "K").view(3, 3), size=(int(camera["width"]), int(camera["height"]))),
            images={
                "image": ImageFile(place, "colour in a pickle"),
                "depth": ImageFile(place, "depth in a pickle", MILLIMETRE),
                "object_mask": ImageFile(place, "mask in a pickle"),
            },
            text=thing.info.text,
            in_contact=True,
        )


def _name_of(content: dict[str, Any]) -> str:
    return str(content["object_name"]).replace("/", "_").replace("~", "_") or "object"


def _transform(content: dict[str, Any], name: str) -> torch.Tensor:
    return vector(content[name], 16, name).view(4, 4)


def _reading(grasp: dict[str, Any]) -> ManoReading:
    T = _transform(grasp, "T_camera_wrist")
    return ManoReading(
        "right",
        rotmat_to_rotvec(T[:3, :3]),
        vector(grasp["pose"], 45, "pose"),
        vector(grasp["shape"], 10, "shape"),
        T[:3, 3],
        origin="wrist",
    )


def points_of(content: dict[str, Any], source: Path) -> np.ndarray:
    """What a view saw of its object, (n, 3) metres in the world; none without a mask or depth there.

    Raises:
        HopriorError: a picture in the view is damaged.
    """
    if not content["object_mask"] or not content["depth"]:
        return np.zeros((0, 3))
    if not all(isinstance(content[name], bytes) for name in ("object_mask", "depth")):
        raise HopriorError(f"{source}: damaged picture in it (no bytes): get a fresh copy")
    mask = np.asarray(open_picture(content["object_mask"], f"{source}: object_mask").convert("L")) > 127
    depth = np.asarray(open_picture(content["depth"], f"{source}: depth")).astype(np.float64) * MILLIMETRE
    if mask.shape != depth.shape:
        raise HopriorError(f"{source}: mask {mask.shape} and depth {depth.shape} differ in size")
    v, u = np.nonzero(mask & (depth > 0))
    if len(u) < 10:
        return np.zeros((0, 3))
    few = np.linspace(0, len(u) - 1, min(len(u), MOST_POINTS)).astype(int)
    v, u = v[few], u[few]
    z = depth[v, u]
    K = np.asarray(content["camera"]["K"], dtype=np.float64).reshape(3, 3)
    rays = np.linalg.solve(K, np.stack([u, v, np.ones_like(u)]).astype(np.float64))
    seen = (rays * z).T
    low, high = np.quantile(seen, [OUTLIERS, 1 - OUTLIERS], axis=0)
    seen = seen[((seen >= low) & (seen <= high)).all(axis=1)]
    T = np.asarray(content["T_world_camera"], dtype=np.float64).reshape(4, 4)
    return np.asarray(seen @ T[:3, :3].T + T[:3, 3])
