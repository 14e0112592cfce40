"""`hoprior eval reconstruct`: a reconstruction against a clip's ground truth."""

from pathlib import Path
from typing import Any

import trimesh

from hoprior.common.array_files import read_arrays
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import read_surface
from hoprior.results.reconstructions import INDEX

COLUMNS = ("f5", "f10", "cd_cm2", "unseen_cm2", "cd_h_cm2", "mpjpe_cm", "mpjpe_scaled_cm", "mpjpe_pa_cm", "auc")
"""What is measured. `unseen_cm2`: mean squared distance from true surface that no frame shows to the aligned mesh."""


SHAPES: dict[str, tuple[int, ...]] = {"frame": (), "T_hand_object": (4, 4), "joints_camera": (21, 3)}
"""Of what is measured, without the first axis, which is that of the frames."""


def read_result(folder: Path) -> tuple[dict[str, Any], trimesh.Trimesh]:
    """Poses and object of a result folder.

    Raises:
        HopriorError: it is not one, or damaged.
    """
    if not (folder / INDEX).is_file():
        raise HopriorError(f"{folder}: is no result of `hoprior run reconstruct` (no {INDEX})")
    advice = "reconstruct the clip again"
    poses = read_arrays(folder / "poses.npz", SHAPES, advice=advice)
    n = len(poses["frame"]) if poses["frame"].ndim == 1 else -1
    for name, shape in SHAPES.items():
        if poses[name].shape != (n, *shape) or poses[name].dtype.kind not in "fiu":
            raise HopriorError(f"{folder}: '{name}' is {poses[name].dtype} of shape {poses[name].shape}: {advice}")
    return poses, read_surface(folder / "object.ply")
