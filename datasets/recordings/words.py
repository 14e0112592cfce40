"""A sentence for a recorded grasp, from what its dataset says of it: the template of its affordance."""

import trimesh

from hoprior.datasets.recordings.record import RecordedSample
from hoprior.language.categories import describe
from hoprior.language.object_words import intention_of, shape_words
from hoprior.language.phrases import VERB_PHRASES
from hoprior.language.schema import Affordance
from hoprior.language.taxonomy import BY_NUMBER
from hoprior.language.template import wordings

SIZES = {"small": "small", "medium-sized": "medium", "large": "large"}
PURPOSES = {"use": "to use it", "hand over": "to hand it over", "move": "to move it", "hold": "to hold it"}
MOVES = ("move", "lift", "put away", "take out", "take out of", "put into", "push", "turn")


def affordance_of(sample: RecordedSample, mesh: trimesh.Trimesh) -> Affordance:
    """The six elements, as far as dataset, table of classes and mesh tell them."""
    category = describe(sample.category)
    verb = sample.label.intention
    purpose = "move" if verb in MOVES else intention_of(verb.replace("hand over", "handover"))
    shape = category.shape or shape_words(mesh)
    return Affordance(
        object_category=sample.category,
        object_shape=shape[0] if shape else "",
        object_size=SIZES.get(category.size_word(float(max(mesh.extents))), ""),
        interaction=VERB_PHRASES.get(verb.replace("hand over", "handover"), ""),
        intention=PURPOSES[purpose] if verb else "",
        grasp=sample.label.taxonomy if sample.label.taxonomy in BY_NUMBER else 0,
    )


def sentence_of(sample: RecordedSample, mesh: trimesh.Trimesh, turn: int) -> str:
    """One of the template's wordings, which take turns; where only the object is known, the plain one is among them."""
    every = wordings(affordance_of(sample, mesh))
    if sample.text and not sample.label.taxonomy and not sample.label.intention:
        every = (sample.text, *every)
    return every[turn % len(every)]
