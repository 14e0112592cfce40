"""The page of ranked grasps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hoprior.geometry.repair import place_of, simplify
from hoprior.geometry.units import number_text
from hoprior.results.grasps import FORMAT, GRASPS, GraspResult, GraspResults
from hoprior.results.report.arrays import PageArrays, rounded
from hoprior.results.report.contacts import fine
from hoprior.results.report.page import Page, made_from
from hoprior.results.report.parts import MODES, frame_views, hand_views, held_parts
from hoprior.results.report.reading import read_index
from hoprior.results.report.words import brief, facts

MAX_OBJECT_FACES = 12_000
MAX_GRASPS = 60
"""More are not shown: the page would be too heavy for a mail."""
PERCENT = 100.0
LEAST_SCORE = 0.005
"""Parts of a score that are less are not told."""


def grasps_page(folder: Path, most: int = MAX_GRASPS) -> Page:
    """The page of grasps that lie in a folder.

    Raises:
        HopriorError: they are missing, damaged, or of another version.
    """
    index, results = read_index(folder, GRASPS.index_name, FORMAT), GraspResults.load(folder)
    arrays = PageArrays()
    held = simplify(results.object_mesh, MAX_OBJECT_FACES)
    place = place_of(held)
    held = fine(held.copy().apply_translation(-place), MAX_OBJECT_FACES)
    items: list[dict[str, Any]] = []
    for rank, (grasp, entry) in enumerate(zip(results[:most], index["grasps"], strict=False), start=1):
        rotation = np.asarray(grasp.T_object_hand, dtype=float)[:3, :3]
        verts = np.asarray(grasp.verts_object, dtype=float) - place
        items.append(
            {
                "title": f"grasp {rank}",
                "brief": brief(grasp.metrics) or f"score {number_text(grasp.score)}",
                "parts": held_parts(arrays, verts, results.faces, held),
                "joints": [rounded(np.asarray(grasp.joints_object, dtype=float) - place)],
                "views": [*hand_views(rotation, grasp.side), *frame_views("z"), *frame_views("y")],
                "facts": [*facts(grasp.metrics), *finger_facts(entry.get("contacts", [])), *score_facts(grasp)],
            }
        )
    shown = (
        f"{len(results)} grasps, best first" if len(results) <= most else f"the best {most} of {len(results)} grasps"
    )
    about = made_from(results.config, results.versions, results.timings)
    text = f"“{results.text}” · " if results.text else ""
    return Page("grasps", results.object_name, text + shown, arrays, items, modes=MODES, about=about)


def finger_facts(contacts: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """What presses, the most first; results of earlier versions do not say it.

    Example:
        >>> finger_facts([{"finger": "index", "pressure_share": 0.2}, {"finger": "thumb", "pressure_share": 0.8}])
        [('pressed by', 'thumb 80 %, index 20 %', 'share of the pressure on the object')]
    """
    shares: dict[str, float] = {}
    for contact in contacts:
        shares[contact["finger"]] = shares.get(contact["finger"], 0.0) + contact["pressure_share"]
    told = [f"{finger} {PERCENT * share:.0f} %" for finger, share in sorted(shares.items(), key=lambda item: -item[1])]
    return [("pressed by", ", ".join(told), "share of the pressure on the object")] if told else []


def score_facts(grasp: GraspResult) -> list[tuple[str, str, str]]:
    """The score, and what it is made of."""
    counts = {name.replace("_", " "): value for name, value in grasp.scores.items() if abs(value) >= LEAST_SCORE}
    made_of = ", ".join(f"{name} {number_text(value, 2)}" for name, value in counts.items())
    about = f"grasps are ranked by it; {made_of}" if made_of else "higher is better"
    return [("score", number_text(grasp.score), about)]
