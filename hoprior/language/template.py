"""Step 2 without a model: sentences from the six elements, deterministic, in several wordings.

The first wording is the description that tasks use. The pose prior is trained on all of them, so that it hears the
elements rather than one way of putting them.
"""

from hoprior.language.phrases import PLURAL_NAMES, with_article
from hoprior.language.schema import Affordance

THING = "object"
"""What an object is called of which nobody knows what it is."""
NOTHING = "nothing"
"""The category of a hand that holds none."""
EMPTY_HAND = (
    "A right hand at rest, holding nothing.",
    "An empty right hand.",
    "A relaxed hand that holds no object.",
    "A free right hand, without an object.",
    "The hand is bare: it is not holding anything.",
)
SIZE_WORDS = {"small": "small", "medium": "medium-sized", "large": "large"}


def describe(affordance: Affordance) -> str:
    """ "A right hand drinking from a large cylindrical mug to use it, with a medium wrap grasp."

    Example:
        >>> describe(Affordance("mug", "cylindrical", "large", "drinking from", "to drink", grasp=3))
        'A right hand drinking from a large cylindrical mug to drink, with a medium wrap grasp.'
    """
    return wordings(affordance)[0]


def wordings(affordance: Affordance) -> tuple[str, ...]:
    """Different sentences with the same elements, all of them in each; elements that are unknown are left out.

    Example:
        >>> len(wordings(Affordance("mug", grasp=3))), wordings(Affordance("mug"))[0]
        (5, 'A right hand holding a mug.')
    """
    if affordance.object_category == NOTHING:
        return EMPTY_HAND
    size, shape = SIZE_WORDS.get(affordance.object_size, ""), affordance.object_shape
    category = affordance.object_category or THING
    doing, purpose = affordance.interaction or "holding", affordance.intention
    described = _join(size, shape, category)
    grasp = f"{affordance.grasp_name} grasp" if affordance.grasp else ""
    thing, with_grasp = with_article(described), f"with {with_article(grasp)}" if grasp else ""
    sized = with_article(_join(size, category))
    return (
        f"A right hand {_join(doing, thing, purpose)}{', ' * bool(grasp)}{with_grasp}.",
        f"{_capital(with_article(grasp)) + ': a' if grasp else 'A'} hand {_join(doing, thing, purpose)}.",
        f"A right hand {_join('grasps', thing, with_grasp, f'for {doing} it', purpose)}.",
        f"The hand is {_join(doing, sized, purpose, with_grasp)}{_which_is(shape, category)}.",
        f"{_capital(thing)} in {_join('a right hand', with_grasp)}, {_join(doing, 'it', purpose)}.",
    )


def plain(affordance: Affordance) -> str:
    """What somebody types who says little: "a hand drinking from a mug".

    Example:
        >>> plain(Affordance("mug", interaction="drinking from"))
        'a hand drinking from a mug'
    """
    if affordance.object_category == NOTHING:
        return f"a hand {affordance.interaction or 'holding'} {NOTHING}"
    return f"a hand {affordance.interaction or 'holding'} {with_article(affordance.object_category or THING)}"


def _which_is(shape: str, category: str) -> str:
    are = "are" if category.split()[-1] in PLURAL_NAMES else "is"
    return f"; the {category} {are} {shape}" if shape else ""


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
