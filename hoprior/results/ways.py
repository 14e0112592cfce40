"""Grasps carried out, in the files of their folder: numbers in `grasps.npz` and `grasps.json`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hoprior.physics.reach import Reach

PREFIX = "reach_"
SHARED = ("time",)
"""What is the same of all grasps."""
FIELDS = ("T_object_hand", "hand_pose", "object_shift", "direction", "depth", "free", "phase")
LENGTHS = ("object_shift", "depth")


def arrays_of(ways: Sequence[Reach], metres_per_unit: float) -> dict[str, np.ndarray]:
    """Arrays for `grasps.npz`, a row for each grasp; lengths in the mesh's unit."""
    found = {f"{PREFIX}{name}": np.stack([np.asarray(getattr(way, name)) for way in ways]) for name in FIELDS}
    found |= {f"{PREFIX}{name}": np.asarray(getattr(ways[0], name)) for name in SHARED}
    return _scaled(found, 1 / metres_per_unit)


def ways_of(arrays: Mapping[str, np.ndarray], metres_per_unit: float) -> list[Reach]:
    """The ways that `arrays_of` has written; none if there are none."""
    if f"{PREFIX}time" not in arrays:
        return []
    scaled = _scaled({f"{PREFIX}{name}": arrays[f"{PREFIX}{name}"] for name in (*FIELDS, *SHARED)}, metres_per_unit)
    count = len(scaled[f"{PREFIX}free"])
    ways = []
    for k in range(count):
        fields: dict[str, Any] = {name: scaled[f"{PREFIX}{name}"][k] for name in FIELDS}
        fields |= {"phase": tuple(map(str, fields["phase"])), "depth": float(fields["depth"])}
        fields["free"] = bool(fields["free"])
        ways.append(Reach(time=scaled[f"{PREFIX}time"], **fields))
    return ways


def entry_of(way: Reach, metres_per_unit: float) -> dict[str, Any]:
    """What `grasps.json` says of one way."""
    T = way.T_object_hand[0].copy()
    T[:3, 3] /= metres_per_unit
    return {
        "free": way.free,
        "depth_beyond": max(way.depth, 0.0) / metres_per_unit,
        "direction": way.direction,
        "seconds": float(way.time[-1]),
        "pregrasp": {"T_object_hand": T, "hand_pose": way.hand_pose[0]},
    }


def _scaled(arrays: dict[str, np.ndarray], factor: float) -> dict[str, np.ndarray]:
    found = dict(arrays)
    for name in LENGTHS:
        found[f"{PREFIX}{name}"] = found[f"{PREFIX}{name}"] * factor
    T = found[f"{PREFIX}T_object_hand"].copy()
    T[..., :3, 3] *= factor
    return found | {f"{PREFIX}T_object_hand": T}
