"""The page of ranked grasps."""

from pathlib import Path
from typing import Any

import numpy as np

from hoprior.geometry.repair import place_of, simplify
from hoprior.results.grasps import GraspResult, GraspResults
from hoprior.results.report.arrays import PageArrays, rounded
from hoprior.results.report.contacts import fine
from hoprior.results.report.page import Page, made_from
from hoprior.results.report.parts import MODES, frame_views, hand_views, held_parts
from hoprior.results.report.words import brief, facts

MAX_OBJECT_FACES = 12_000
MAX_GRASPS = 60
"""More are not shown: the page would be too heavy for a mail."""
LEAST_SCORE = 0.005
"""Parts of a score that are less are not told."""


def grasps_page(folder: Path, most: int = MAX_GRASPS) -> Page:
    """The page of grasps that lie in a folder.

    Raises:
        HopriorError: they are missing, damaged, or of another version.
    """
    results = GraspResults.load(folder)
    arrays = PageArrays()
    held = simplify(results.object_mesh, MAX_OBJECT_FACES)
    place = place_of(held)
    held = fine(held.copy().apply_translation(-place), MAX_OBJECT_FACES)
    items: list[dict[str, Any]] = []
    for rank, grasp in enumerate(results[:most], start=1):
        rotation = np.asarray(grasp.T_object_hand, dtype=float)[:3, :3]
        verts = np.asarray(grasp.verts_object, dtype=float) - place
        items.append(
            {
                "title": f"grasp {rank}",
                "brief": brief(grasp.metrics) or f"score {grasp.score:.3g}",
                "parts": held_parts(arrays, verts, results.faces, held),
                "joints": [rounded(np.asarray(grasp.joints_object, dtype=float) - place)],
                "views": [*hand_views(rotation, grasp.side), *frame_views("z"), *frame_views("y")],
                "facts": [*facts(grasp.metrics), *score_facts(grasp)],
            }
        )
    shown = (
        f"{len(results)} grasps, best first" if len(results) <= most else f"the best {most} of {len(results)} grasps"
    )
    about = made_from(results.config, results.versions, results.timings)
    text = f"“{results.text}” · " if results.text else ""
    return Page("grasps", results.object_name, text + shown, arrays, items, modes=MODES, about=about)


def score_facts(grasp: GraspResult) -> list[tuple[str, str, str]]:
    """The score, and what it is made of."""
    counts = {name.replace("_", " "): value for name, value in grasp.scores.items() if abs(value) >= LEAST_SCORE}
    made_of = ", ".join(f"{name} {value:.2g}" for name, value in counts.items())
    return [("score", f"{grasp.score:.3g}", f"grasps are ranked by it; {made_of}" if made_of else "higher is better")]
