"""Grasps with what they measure: what `hoprior run grasp` writes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hoprior.common.console import Progress
from hoprior.geometry.mesh import ObjectMesh
from hoprior.metrics.grasp import grasp_metrics
from hoprior.results.grasps import GraspResults
from hoprior.tasks.grasp.task import grasp
from hoprior.tasks.objects import load_object


def measured_grasps(
    mesh: Path,
    text: str | None = None,
    num: int = 10,
    *,
    mesh_unit: str | None = None,
    size: str | float | None = None,
    scale: float | None = None,
    part: str | None = None,
    simulate: bool = False,
    reach: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> tuple[GraspResults, ObjectMesh]:
    """`hoprior.grasp` of a file, with metrics, and with ways to the grasps where `reach` asks for them; and the object.

    Raises:
        HopriorError: see `hoprior.grasp`; or a simulation was asked for whose package is not installed.
    """
    tell = progress or (lambda stage, share: None)
    # Mending a scan takes seconds: the search and the metrics share what is made of it once.
    item = load_object(mesh, text, mesh_unit, size, scale, part)
    read: dict[str, Any] = {"mesh_unit": mesh_unit, "size": size, "scale": scale, "part": part}
    results = grasp(item, text, num, progress=progress, **read, **settings)
    if reach:
        tell("reaching", 1.0)
        results = results.with_reach(item)
    tell("measuring", 1.0)
    verts = np.stack([one.verts_object for one in results])
    measured = grasp_metrics(verts, results.faces, item, simulate=simulate, workers=torch.get_num_threads())
    known = [{name: value for name, value in m.as_dict().items() if value is not None} for m in measured]
    return replace(results, grasps=tuple(replace(g, metrics=m) for g, m in zip(results, known, strict=True))), item
