"""Words for synthetic grasps: the object's size and shape, the intention, and a sentence in several wordings."""

import numpy as np
import trimesh
from jaxtyping import Float

from hoprior.language.phrases import PLURAL_NAMES, VERB_PHRASES, sentence, with_article
from hoprior.language.taxonomy import GraspType

HAND_OVER = "hand over"
INTENTIONS = {"lift": "move", "hold": "hold", "inspect": "hold", "pass": HAND_OVER, "handover": HAND_OVER}
"""Intention of a rule's verb; every other verb is a use."""
WORDINGS = 4
SIMILAR = 0.12
"""Lengths whose ratio differs from 1 by less are alike to the eye."""


def intention_of(verb: str) -> str:
    """What a grasp is for: use, hand over, move or hold.

    Example:
        >>> intention_of("lift"), intention_of("pass"), intention_of("drink")
        ('move', 'hand over', 'use')
    """
    return INTENTIONS.get(verb, "use")


def size_word(longest: float, usual: tuple[float, float]) -> str:
    """Small, medium-sized or large for its kind, whose longest sides (m) are `usual`.

    Example:
        >>> size_word(0.05, usual=(0.08, 0.12)), size_word(0.2, usual=(0.08, 0.12))
        ('small', 'large')
    """
    low, high = usual
    share = (longest - low) / max(high - low, 1e-9)
    return "small" if share < 1 / 3 else "large" if share > 2 / 3 else "medium-sized"


def shape_words(mesh: trimesh.Trimesh) -> tuple[str, ...]:
    """What one sees of a shape: hollow; round, box-shaped or cylindrical; long or flat.

    Example:
        >>> shape_words(trimesh.creation.icosphere(radius=0.04)), shape_words(trimesh.creation.box((0.02, 0.03, 0.2)))
        (('round',), ('box-shaped', 'long'))
    """
    short, middle, long = np.sort(mesh.extents)
    words = []
    if abs(mesh.volume) < 0.4 * mesh.convex_hull.volume:
        words.append("hollow")
    fill = mesh.convex_hull.volume / float(np.prod(mesh.extents))
    if fill > 0.93:
        words.append("box-shaped")
    elif abs(fill - np.pi / 4) < 0.05 and _two_alike(mesh.extents):
        words.append("cylindrical")
    elif abs(fill - np.pi / 6) < 0.06 and short > (1 - 2 * SIMILAR) * long:
        words.append("round")
    if long > 2.2 * middle:
        words.append("long")
    elif short < 0.4 * middle:
        words.append("flat")
    return tuple(words)


def _two_alike(extents: Float[np.ndarray, " 3"]) -> bool:
    short, middle, long = np.sort(extents)
    return bool(short > (1 - SIMILAR) * middle or middle > (1 - SIMILAR) * long)


def wordings(
    category: str, verb: str, part: str, kind: GraspType, size: str, shape: tuple[str, ...]
) -> tuple[str, ...]:
    """`WORDINGS` sentences for one grasp, from the plainest to one that says everything.

    Example:
        >>> from hoprior.language.taxonomy import grasp_named
        >>> wordings("mug", "drink", "handle", grasp_named("medium wrap"), "small", ("round",))[0]
        'a hand drinking from a mug'
    """
    doing = VERB_PHRASES.get(verb, VERB_PHRASES["hold"])
    plural = category.split()[-1] in PLURAL_NAMES
    described = " ".join([size, *shape[:1], category])
    thing = with_article(category)
    long_thing = f"a pair of {described}" if plural else f"{'an' if described[0] in 'aeiou' else 'a'} {described}"
    held_by = f"by {'their' if plural else 'its'} {part}" if part != "body" else "around its body"
    return (
        sentence(category, verb),
        f"a right hand {doing} {long_thing}",
        f"a hand holding {thing} {held_by}",
        f"{with_article(kind.name + ' grasp')} of {long_thing}, {held_by}, for {_purpose(verb)}",
    )


def _purpose(verb: str) -> str:
    intention = intention_of(verb)
    return {"use": "using it", HAND_OVER: "handing it over", "move": "moving it", "hold": "holding it"}[intention]
