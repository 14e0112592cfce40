"""Figures in plain words: what each is called, with its unit, and what it says."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np


class Wording(NamedTuple):
    """How a figure is told: its name, its format, what to multiply it with, and what it says."""

    label: str
    text: str
    factor: float
    why: str


MEASURES = {
    "max_depth_cm": Wording(
        "deepest point", "{:.1f} mm", 10.0, "how far the hand's deepest point is inside the object"
    ),
    "mean_depth_cm": Wording("mean depth", "{:.1f} mm", 10.0, "mean over the points of the hand that are inside"),
    "volume_cm3": Wording("overlap", "{:.1f} cm³", 1.0, "volume that hand and object share, in voxels of 5 mm"),
    "exact_volume_cm3": Wording("exact overlap", "{:.2f} cm³", 1.0, "the same, cut out exactly"),
    "contact": Wording("touches", "{}", 1.0, "whether any point of the hand is within 5 mm of the object"),
    "contact_area": Wording(
        "skin that touches", "{:.0f} %", 100.0, "share of the hand within 5 mm of the object or inside"
    ),
    "displacement_cm": Wording("slips", "{:.1f} cm", 1.0, "how far the object moves in simulation; less is firmer"),
    "survival": Wording("holds", "{:.0f} of 6", 6.0, "directions of gravity from which the object stays in the hand"),
    "field_residual": Wording(
        "field against joints", "{:.2f}", 1.0, "how far the sampled hand field is from its joints'"
    ),
    "bone_error": Wording(
        "bones", "{:.0f} % off", 100.0, "how far bones are from the fitted hand's length, on average"
    ),
    "ik_error_cm": Wording(
        "fit of the hand", "{:.1f} mm", 10.0, "mean distance of the fitted joints from the sampled ones"
    ),
    "object_size_cm": Wording("object's longest side", "{:.1f} cm", 1.0, ""),
    "object_volume_cm3": Wording("object's volume", "{:.0f} cm³", 1.0, ""),
    "object_pieces": Wording("object's pieces", "{:.0f}", 1.0, ""),
    "object_cut": Wording("object cut off", "{}", 1.0, "whether it reaches the end of the prior's grid"),
    "partial_cm": Wording("off what was given", "{:.1f} mm", 10.0, "mean distance of its points from the surface"),
    "gap_cm": Wording(
        "gap", "{:.1f} mm", 10.0, "from the hand to the object where they are closest; 0 where they touch"
    ),
    "bones_through": Wording("bones through the object", "{:.0f}", 1.0, "of 19: a finger that goes through a wall"),
    "aperture_cm": Wording("thumb to index finger", "{:.1f} cm", 1.0, "distance of their tips"),
    "beyond_limits_deg": Wording("beyond a limit", "{:.0f}°", 1.0, "the worst joint, before it was brought back"),
    "f5": Wording("right to 5 mm", "{:.0f} %", 100.0, "F-score of the surfaces at 5 mm, after alignment"),
    "f10": Wording("right to 10 mm", "{:.0f} %", 100.0, "F-score of the surfaces at 10 mm, after alignment"),
    "cd_cm2": Wording("chamfer distance", "{:.2f} cm²", 1.0, "mean squared distance of the surfaces, both ways"),
    "cd_h_cm2": Wording(
        "chamfer distance in the hand", "{:.2f} cm²", 1.0, "the same with the object where the hand has it"
    ),
    "unseen_cm2": Wording(
        "where no frame looks", "{:.2f} cm²", 1.0, "squared distance from true surface that is not seen"
    ),
    "mpjpe_cm": Wording("joints", "{:.1f} mm off", 10.0, "mean distance of the 21 joints"),
    "mpjpe_pa_cm": Wording("joints, aligned", "{:.1f} mm off", 10.0, "the same after the best similarity"),
}
"""What is told of a measure; the rest stands in the index beside the page."""
YES_NO = ("contact", "object_cut")
BRIEF = {
    "max_depth_cm": ("{:.1f} mm deep", 10.0),
    "contact_area": ("{:.0f} % touches", 100.0),
    "displacement_cm": ("slips {:.1f} cm", 1.0),
    "object_size_cm": ("object {:.1f} cm", 1.0),
    "aperture_cm": ("thumb to index {:.1f} cm", 1.0),
}
MOST_BRIEF = 3


def facts(measured: Mapping[str, float | None]) -> list[tuple[str, str, str]]:
    """Name, value with unit, and meaning of each measure that is known and was measured.

    Example:
        >>> facts({"max_depth_cm": 0.21, "contact": 1.0, "survival": float("nan"), "other": 1.0})[:1]
        [('deepest point', '2.1 mm', "how far the hand's deepest point is inside the object")]
    """
    return [(MEASURES[name].label, value_text(name, value), MEASURES[name].why) for name, value in _known(measured)]


def brief(measured: Mapping[str, float | None]) -> str:
    """The figures that say most, on one line.

    Example:
        >>> brief({"max_depth_cm": 0.21, "contact_area": 0.24})
        '2.1 mm deep, 24 % touches'
    """
    known = dict(_known(measured))
    told = [text.format(factor * known[name]) for name, (text, factor) in BRIEF.items() if name in known]
    return ", ".join(told[:MOST_BRIEF])


def value_text(name: str, value: float) -> str:
    """A measure with its unit."""
    wording = MEASURES[name]
    return ("yes" if value else "no") if name in YES_NO else wording.text.format(wording.factor * value)


def _known(measured: Mapping[str, float | None]) -> Iterable[tuple[str, float]]:
    for name in MEASURES:
        value = measured.get(name)
        if value is not None and np.isfinite(value):
            yield name, value
