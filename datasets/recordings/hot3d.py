"""HOT3D (Banerjee et al., CVPR 2025): 19 people and 33 objects through the cameras of two headsets.

`{sequence}/mano_hand_pose_trajectory.jsonl` and `umetrack_hand_pose_trajectory.jsonl` have a line a moment: for hand
"0" (left) and "1" (right) the wrist's pose (quaternion w x y z, metres, world) and 15 PCA coefficients with betas, or
the angles of UmeTrack's hand, whose skeleton is in `umetrack_hand_user_profile.json`; `dynamic_objects.csv` has the
objects' poses. The object library is a folder with `instance.json` and `{object}.glb`, metres.
"""

import csv
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch

from hoprior.datasets.recordings.adapter import Adapter
from hoprior.datasets.recordings.files import find, read_mapping, read_rows, subfolders
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.record import RecordedObject, RecordedSample
from hoprior.datasets.recordings.umetrack import UmeTrackHand
from hoprior.datasets.samples.sample import Side
from hoprior.errors import HopriorError
from hoprior.geometry.rotations import quat_wxyz_to_xyzw, rotmat_to_rotvec, unitquat_to_rotmat
from hoprior.geometry.state import rigid
from hoprior.language.categories import describe

OBJECTS, LIBRARY, PROFILE = "dynamic_objects.csv", "instance.json", "umetrack_hand_user_profile.json"
TRAJECTORIES = {"mano": "mano_hand_pose_trajectory.jsonl", "umetrack": "umetrack_hand_pose_trajectory.jsonl"}
HANDS: dict[Side, str] = {"right": "1", "left": "0"}
POSE_COLUMNS = tuple(f"q_wo_{axis}" for axis in "xyzw") + tuple(f"t_wo_{axis}[m]" for axis in "xyz")

Moments = dict[int, dict[str, Any]]


class HOT3D(Adapter):
    """HOT3D: of each hand in a moment, the object that is nearest to it.

    The poses of the official test set's people are not published.
    """

    name = "hot3d"
    title = "HOT3D"
    homepage = "https://facebookresearch.github.io/hot3d"
    licence = "HOT3D's own agreement, by type of data: read it before weights are given on"
    layout = "P*_*/{dynamic_objects.csv, {mano,umetrack}_hand_pose_trajectory.jsonl}, assets/{instance.json, *.glb}"
    markers = (f"P*_*/{OBJECTS}", f"*/{LIBRARY}")

    def scan(self) -> Iterator[Entry]:
        """Every moment of every hand that was tracked; the sequences' poses are opened for that."""
        for sequence in subfolders(self.root):
            if not find(self.root / sequence, OBJECTS).is_file():
                continue
            subject = sequence.split("_")[0]
            try:
                yield from self._listed_hands(sequence, subject)
            except (HopriorError, KeyError, TypeError, ValueError, AttributeError):
                # A sequence that cannot be read stands there once, to be named when it is opened.
                yield Entry(sequence, "0", "", subject)

    def _listed_hands(self, sequence: str, subject: str) -> list[Entry]:
        hands, objects = self._hands(sequence), self._objects_of(sequence)
        entries = []
        for moment in sorted(set(hands["mano"]) | set(hands["umetrack"])):
            there = objects.get(moment, {})
            for side, code in HANDS.items():
                hand = hands["umetrack"].get(moment, {}).get(code) or hands["mano"].get(moment, {}).get(code)
                if not hand or not there:
                    continue
                wrist = torch.tensor(hand["wrist_xform"]["t_xyz"])
                nearest = min(there, key=lambda name: float((there[name][:3, 3] - wrist).norm()))
                entries.append(Entry(sequence, str(moment), nearest, subject, side))
        return entries

    @cached_property
    def _hands(self):  # type: ignore[no-untyped-def]  # frames follow each other, so the last sequences are kept
        return lru_cache(maxsize=2)(self._read_hands)

    def _read_hands(self, sequence: str) -> dict[str, Moments]:
        found: dict[str, Moments] = {}
        for kind, name in TRAJECTORIES.items():
            place = find(self.root / sequence, name)
            rows = read_rows(place) if place.is_file() else []
            found[kind] = {int(row["timestamp_ns"]): row["hand_poses"] for row in rows}
        return found

    @cached_property
    def _objects_of(self):  # type: ignore[no-untyped-def]
        return lru_cache(maxsize=2)(self._read_objects)

    def _read_objects(self, sequence: str) -> dict[int, dict[str, torch.Tensor]]:
        """The objects' poses (4, 4) in the world, by moment and name."""
        place = find(self.root / sequence, OBJECTS)
        found: dict[int, dict[str, torch.Tensor]] = {}
        try:
            with place.open(encoding="utf-8-sig", newline="") as stream:
                for row in csv.DictReader(stream):
                    pose = vector([row[name] for name in POSE_COLUMNS], 7, "pose")
                    T = rigid(unitquat_to_rotmat(pose[:4] / pose[:4].norm()), pose[4:])
                    found.setdefault(int(row["timestamp[ns]"]), {})[row["object_uid"]] = T
        except OSError as error:
            raise HopriorError(f"{place}: cannot be read ({error.strerror})") from error
        except (KeyError, ValueError, csv.Error) as error:
            raise HopriorError(f"{place}: not a table of objects' poses ({error}): get a fresh copy") from error
        return found

    @cached_property
    def _library(self) -> Path:
        return next(self.root / name for name in subfolders(self.root) if find(self.root / name, LIBRARY).is_file())

    @cached_property
    def _words(self) -> dict[str, str]:
        instances = read_mapping(find(self._library, LIBRARY))
        return {uid: _noun(str(what["instance_name"])) for uid, what in instances.items() if isinstance(what, dict)}

    def mesh_path(self, name: str) -> Path:
        """The object's model in the library."""
        return find(self._library, f"{name}.glb")

    def make_object(self, name: str) -> RecordedObject:
        """Named by a number; the library has words."""
        return RecordedObject(self.info(name, self._words.get(name)))

    @cached_property
    def _profile(self):  # type: ignore[no-untyped-def]
        return lru_cache(maxsize=32)(UmeTrackHand.read)

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """Of the whole sequence."""
        folder = self.path(entry.group)
        yield from (find(folder, name) for name in (*TRAJECTORIES.values(), PROFILE, OBJECTS))

    def read(self, entry: Entry) -> RecordedSample:
        """One hand in one moment, in the world."""
        moment, code = int(entry.item), HANDS[entry.side]
        hands, thing = self._hands(entry.group), self.object(entry.object)
        skeleton = hands["umetrack"].get(moment, {}).get(code)
        mano = hands["mano"].get(moment, {}).get(code)
        joints = None
        profile = find(self.path(entry.group), PROFILE)
        if skeleton and profile.is_file():
            angles = vector(skeleton["joint_angles"][:20], 20, "joint_angles")
            joints = self._profile(profile).joints(angles, _wrist(skeleton), entry.side)
        return RecordedSample(
            **self.origin(entry, moment),
            reading=_reading(mano, entry.side) if mano else None,
            joints_given=joints,
            object=thing,
            T_scene_object=self._objects_of(entry.group)[moment][entry.object],
            text=thing.info.text,
        )


def _noun(name: str) -> str:
    """What is known of an object that is called by a noun and then what sort: "mug_white" is a mug."""
    words = name.split("_")
    known = (" ".join(words[:k]) for k in range(len(words), 0, -1))
    return next((word for word in known if describe(word).known), name)


def _wrist(hand: dict[str, Any]) -> torch.Tensor:
    """The wrist's pose in the world (4, 4)."""
    quaternion = quat_wxyz_to_xyzw(vector(hand["wrist_xform"]["q_wxyz"], 4, "q_wxyz"))
    return rigid(unitquat_to_rotmat(quaternion / quaternion.norm()), vector(hand["wrist_xform"]["t_xyz"], 3, "t_xyz"))


def _reading(hand: dict[str, Any], side: Side) -> ManoReading:
    T = _wrist(hand)
    return ManoReading(
        side,
        rotmat_to_rotvec(T[:3, :3]),
        vector(hand["pose"], 15, "pose"),
        vector(hand["betas"], 10, "betas"),
        T[:3, 3],
        is_pca=True,
        flat_hand_mean=False,
    )
