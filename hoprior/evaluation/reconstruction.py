"""`hoprior eval reconstruct`: a reconstruction against a clip's ground truth."""

from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from hoprior.errors import HopriorError
from hoprior.results.reconstructions import INDEX

COLUMNS = ("f5", "f10", "cd_cm2", "unseen_cm2", "cd_h_cm2", "mpjpe_cm", "mpjpe_scaled_cm", "mpjpe_pa_cm", "auc")
"""What is measured. `unseen_cm2`: mean squared distance from true surface that no frame shows to the aligned mesh."""


def read_result(folder: Path) -> tuple[dict[str, Any], trimesh.Trimesh]:
    """Poses and object of a result folder.

    Raises:
        HopriorError: it is not one, or damaged.
    """
    if not (folder / INDEX).is_file():
        raise HopriorError(f"{folder}: is no result of `hoprior run reconstruct` (no {INDEX})")
    try:
        with np.load(folder / "poses.npz", allow_pickle=False) as file:
            poses = {name: file[name] for name in file.files}
        return poses, trimesh.load_mesh(folder / "object.ply")
    except (OSError, ValueError) as error:
        raise HopriorError(f"{folder}: is damaged ({error}): reconstruct the clip again") from error
