"""Points without faces, as cameras and scripts save them: depth maps with their intrinsics, and arrays of points."""

from pathlib import Path
from typing import Any

import numpy as np

from hoprior.common.array_files import read_array, read_arrays
from hoprior.errors import HopriorError
from hoprior.geometry.files.contents import MeshFile

MILLIMETRES = 20.0
"""Median depth above which depths are taken to be millimetres: no camera sees a thing in a hand from 20 m."""
NAMES = {
    "points": ("points", "xyz", "pc", "point_cloud", "vertices"),
    "depth": ("depth", "depth_map", "depth_image"),
    "K": ("K", "intrinsics", "cam_K", "camera_matrix", "intrinsic"),
    "mask": ("mask", "object_mask", "seg", "segmap"),
}
"""What is looked for, and the names that files have for it."""


def read_cloud(data: bytes, kind: str, path: Path) -> MeshFile:
    """The points of an .npy or .npz file: n x 3 in any unit, or of a depth map (metres, or millimetres) with `K`.

    Of a depth map with a mask the points where it is not zero, else all that have a depth. They are in the camera's
    frame (x right, y down, z away), so that which way is up is not known.

    Raises:
        HopriorError: there are none in it, or it holds Python objects.

    Example:
        >>> from io import BytesIO
        >>> file = BytesIO()
        >>> np.savez(file, depth=np.full((4, 4), 500, np.uint16), K=np.array([[8, 0, 2], [0, 8, 2], [0, 0, 1.0]]))
        >>> read_cloud(file.getvalue(), "npz", Path("view.npz")).points[0]
        array([-0.125, -0.125,  0.5  ])
    """
    arrays = _arrays(data, kind, path)
    points = arrays.get("points")
    if points is not None:
        if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind not in "fiu":
            raise HopriorError(f"{path.name}: its points have the shape {points.shape}: give n x 3 numbers")
        return MeshFile({}, points[:, :3].astype(np.float64))
    depth, K = arrays.get("depth"), arrays.get("K")
    if depth is None or K is None:
        raise HopriorError(f"{path.name}: has neither points (n x 3) nor depth (h x w) with K (3 x 3): save them so")
    if depth.ndim != 2 or K.shape != (3, 3) or min(K[0, 0], K[1, 1]) <= 0:
        raise HopriorError(f"{path.name}: depth is {depth.shape} and K {K.shape}: give h x w, and 3 x 3 intrinsics")
    depth = depth.astype(np.float64)
    known = np.isfinite(depth) & (depth > 0)
    notes = []
    if "mask" in arrays:
        if arrays["mask"].shape != depth.shape:
            raise HopriorError(
                f"{path.name}: the mask is {arrays['mask'].shape}, the depth {depth.shape}: give one size"
            )
        known &= arrays["mask"] > 0
    else:
        notes.append(
            "all that has a depth was taken as the object: put a mask (h x w) beside it if more is to be seen."
        )
    if known.any() and np.median(depth[known]) > MILLIMETRES:
        depth = depth / 1000
        notes.append("its depths were taken as millimetres.")
    y, x = np.nonzero(known)
    z = depth[known]
    points = np.stack([(x - K[0, 2]) / K[0, 0] * z, (y - K[1, 2]) / K[1, 1] * z, z], axis=1)
    return MeshFile({}, points, metres_per_unit=1.0, notes=tuple(notes))


def _arrays(data: bytes, kind: str, path: Path) -> dict[str, Any]:
    """The arrays of a file by our names; of several with one meaning the first that `NAMES` has."""
    if kind == "npy":
        return {"points": read_array(path, content=data)}
    named = [name for names in NAMES.values() for name in names]
    arrays = read_arrays(path, optional=named, content=data)
    found = {ours: [arrays[name] for name in names if name in arrays] for ours, names in NAMES.items()}
    return {ours: those[0] for ours, those in found.items() if those}
