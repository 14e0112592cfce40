"""One number that says whether a reconstruction is to be trusted, calibrated on clips whose truth is known.

A logistic regression over signs of trouble: each of them can only lower it. How its constants were made is in
`benchmarks/trust.py` (`python benchmarks/reconstruction.py trust OUT --refit`): objects and hands of other seeds than
those that results are reported on, filmed cleanly, as people film, and as plain videos with the landmarker's hands.
"""

import math
from typing import NamedTuple

from hoprior.results.reconstructions import trust_word
from hoprior.tasks.reconstruct.evidence import Evidence
from hoprior.tasks.reconstruct.inflation import FLAT_ARC


class Sign(NamedTuple):
    """A sign that something is wrong: how strong it is, from 0, what it weighs, and how it is told."""

    weight: float
    told: str


SIGNS = {
    "uncovered": Sign(0.8, "it covers {overlap:.0%} of its masks only"),
    "outline": Sign(1.05, "it passes its masks' outlines by {outline:.1f} mm"),
    "miss": Sign(0.1, "masks miss each other by {miss:.1f} mm"),
    "slipped": Sign(1.35, "the hands' motion contradicts the masks"),
    "flat": Sign(1.6, "it is seen from {arc:.0f} degrees around it only"),
    "torn": Sign(0.7, "its surface is torn"),
    "guessed": Sign(2.5, "it is the shape of something like it"),
}
"""What lowers trust (`signs_of`), in logits a unit."""
BASE = 3.0
"""The logit of a result with none of these signs."""
TOLD_SHARE = 0.25
"""Signs that make less than this share of the trouble are not told."""
FINE_OUTLINE, FINE_MISS, FINE_HANDLES = 0.6, 1.0, 1.0
"""Millimetres, and handles, that are no sign of trouble: results that are right have as much."""


def signs_of(evidence: Evidence) -> dict[str, float]:
    """How strong each sign of trouble is: 0 or more, and a few units at most."""
    return {
        "uncovered": 10 * (1 - evidence.overlap),
        "outline": math.log1p(max(0.0, evidence.outline - FINE_OUTLINE)),
        "miss": math.log1p(max(0.0, evidence.miss - FINE_MISS)),
        "slipped": evidence.slipped,
        "flat": max(0.0, 1 - evidence.arc / FLAT_ARC),
        "torn": 0.0 if evidence.guessed else math.log1p(max(0.0, evidence.handles - FINE_HANDLES)),
        "guessed": evidence.guessed,
    }


def trust_of(evidence: Evidence) -> float:
    """How likely nine tenths of the surface are right to 10 mm, 0 to 1."""
    logit = BASE - sum(SIGNS[name].weight * strength for name, strength in signs_of(evidence).items())
    return 1 / (1 + math.exp(-logit))


def reasons(evidence: Evidence) -> str:
    """Why trust is not higher: the signs that make most of the trouble."""
    found = {name: SIGNS[name].weight * strength for name, strength in signs_of(evidence).items()}
    whole = max(sum(found.values()), 1e-9)
    told = [name for name, size in sorted(found.items(), key=lambda item: -item[1]) if size > TOLD_SHARE * whole]
    return " and ".join(SIGNS[name].told.format(**evidence.plain()) for name in told)


def trust_note(evidence: Evidence) -> list[str]:
    """A sentence if a result is not to be trusted, or doubtful: why, and what to do."""
    word = trust_word(trust_of(evidence))
    if word == "good":
        return []
    return [
        f"the object's shape is {word}, because {reasons(evidence)}: film it slowly from more sides with the whole"
        " object in the picture, or give better masks, hands (--hands) or a mesh like it (--init-mesh)"
    ]
