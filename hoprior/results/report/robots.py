"""The page of a robot's grasps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hoprior.geometry.repair import place_of, simplify
from hoprior.results.report.arrays import PageArrays
from hoprior.results.report.grasps import MAX_OBJECT_FACES
from hoprior.results.report.page import Page, made_from
from hoprior.results.report.parts import MODES, frame_views, held_parts
from hoprior.results.report.reading import read_index
from hoprior.results.robot_grasps import FORMAT, ROBOT_GRASPS, RobotGrasp, RobotGrasps

MAX_GRASPS = 20
"""More are not shown: a robot has many faces."""


def robots_page(folder: Path, most: int = MAX_GRASPS) -> Page:
    """The page of a robot's grasps that lie in a folder.

    Raises:
        HopriorError: they are missing, damaged, or of another version.
    """
    read_index(folder, ROBOT_GRASPS.index_name, FORMAT)
    results = RobotGrasps.load(folder)
    arrays = PageArrays()
    held = simplify(results.object_mesh, MAX_OBJECT_FACES)
    place = place_of(held)
    held = held.copy().apply_translation(-place)
    items: list[dict[str, Any]] = []
    for rank, grasp in enumerate(results.grasps[:most], start=1):
        items.append(
            {
                "title": f"grasp {rank}",
                "brief": grasp.outcome,
                "parts": held_parts(arrays, np.asarray(grasp.verts_object) - place, results.faces, held),
                "views": [*frame_views("z"), *frame_views("y")],
                "facts": facts_of(grasp),
            }
        )
    count = len(results)
    shown = f"{count} grasps" if count <= most else f"the first {most} of {count} grasps"
    about = made_from(results.config, results.versions, results.timings)
    title = f"{results.object_name}, {results.robot['name']}"
    return Page("robot grasps", title, shown, arrays, items, modes=MODES, about=about)


def _around(metrics: Mapping[str, float]) -> list[tuple[str, str, str]]:
    if "around_depth_mm" not in metrics:
        return []
    return [("around", f"{metrics['around_depth_mm']:.1f} mm", "of its deepest point in the table and other things")]


def facts_of(grasp: RobotGrasp) -> list[tuple[str, str, str]]:
    """Name, value and what it means, for the page."""
    metrics = grasp.metrics
    found = [
        ("depth", f"{metrics['depth_mm']:.1f} mm", "of the hand's deepest point in the object"),
        ("overlap", f"{metrics['overlap_cm3']:.2f} cm³", "of the hand's convex shapes with the object"),
        ("in itself", f"{metrics['self_depth_mm']:.1f} mm", "how deep links are in each other"),
        *_around(metrics),
        ("way", "free" if grasp.way.free else "not free", "whether the way to the grasp is free of collisions"),
    ]
    for finger, away in grasp.contacts_mm.items():
        value = f"{away:.0f} mm" if np.isfinite(away) else "no contact"
        found.append((finger, value, "from the person's contact to the robot's"))
    return found
