"""How a prior of parts is told where hands are: in a sentence's own words, and in words that fit anything.

A teapot's handle is like a mug's, but what a prior has learnt of teapots may be of others, whose handle is above their
lid. "An object by its handle" is of all things with handles. Heard together, each mends what the others take wrong.
"""

import re
from functools import lru_cache

from hoprior.language.categories import Category, category_in, classes, words_of
from hoprior.language.phrases import HANDS_OVER, with_article

HANDLE = "handle"
HELD_ANYWHERE = frozenset({"basket", "mug", "pot"})
"""Things with handles that people take hold of elsewhere as often."""
DONE = re.compile(
    r"^(?:(?:(?:an?|the) )?(?:(?:left|right) )?hand (?:is )?)?"
    r"[a-z]+ing (?:(?:from|with|on|in|into|up|out of) )?(?=an?\b|the\b|its\b)",
    re.IGNORECASE,
)
"""What a hand does with a thing, which is named next."""
BY_PART = re.compile(r"\b(?:by|at|on) (?:its|their|the)\b.*", re.IGNORECASE)
OF_THING = re.compile(r"\bthe [a-z]+ of\b", re.IGNORECASE)
"""What says a part, even where things are called so, too: a handle is also a door's."""
HOLLOW = "hollow"
TOOLS = frozenset({"brush", "frying pan", "hammer", "knife", "screwdriver", "spatula", "spoon", "toothbrush", "wrench"})
"""Tools whose handles the prior of parts has learnt. Of others it takes the far end for one: a saw's, a racket's."""
LONG = frozenset({"long", "flat"})
"""Shapes of tools, whose handles are at an end."""
OF_TWO_RODS = frozenset({"umbrella"})
"""Tools with a rod at either end, of which shape alone does not tell the handle."""
HANDLE_SAID = re.compile(r"\b(?:handles?|grips?)\b", re.IGNORECASE)
LIKE_VESSELS = ("object", "mug")
"""Handles of vessels are like those of any object, and of what is best known of them. Knives and hammers are not: what
a handle is like at long things depends on what they are."""
ELSEWHERE = ("top", "bottom", "middle", "end", "tip", "side", "body", "base", "rim", "edge", "back", "front", "neck")
"""Parts of anything."""


def part_wordings(text: str) -> tuple[str, ...]:
    """The sentences by which a prior of parts is told what one sentence says.

    Of a thing that people hold by its handle the handle is added, unless another part is named. Of a vessel the same is
    said of any object and of a mug as well; of other things it is said in the words that find handles best.

    Example:
        >>> part_wordings("holding a teapot")
        ('holding a teapot by its handle', 'holding an object by its handle', 'holding a mug by its handle')
        >>> part_wordings("a hand holding a mug")
        ('a hand holding a mug',)
        >>> part_wordings("a hand using a hammer")
        ('holding a hammer by its handle',)
    """
    thing = thing_in(text)
    if held_by_handle(text):
        text = f"{text} by its {HANDLE}"
    if thing is None or not re.search(rf"\b{HANDLE}s?\b", text, re.IGNORECASE):
        return (text,)
    if HOLLOW not in thing.shape:
        # "A hand using a knife by its handle" means any place on a knife to it; this, the handle alone.
        return (DONE.sub("holding ", text),)
    return tuple(dict.fromkeys([text, *(_of_another(text, thing, name) for name in LIKE_VESSELS)]))


def held_by_handle(text: str) -> str | None:
    """The handle by which people hold the vessel or tool that a sentence speaks of; None where it says another way.

    Example:
        >>> held_by_handle("pouring from a kettle"), held_by_handle("handing over a kettle"), held_by_handle("a ball")
        ('handle', None, None)
    """
    thing = thing_in(text)
    if thing is None or thing.parts[:1] != (HANDLE,) or thing.name in HELD_ANYWHERE:
        return None
    if HOLLOW not in thing.shape and thing.name not in TOOLS:
        return None
    return None if HANDS_OVER.search(text) or _parts_named().search(text) else HANDLE


def handle_is_told_by_shape(text: str) -> bool:
    """Whether a sentence has a thing held by its handle that the prior of parts takes for another part of it.

    So do sentences of tools that it has not learnt, unless another part is named or they are handed over, and those
    that name the handle of what nobody knows.

    Example:
        >>> [handle_is_told_by_shape(f"a hand {it}") for it in ("using a saw", "holding a hammer", "holding a mug")]
        [True, False, False]
        >>> [handle_is_told_by_shape(f"a hand holding a {it}") for it in ("gizmo by its grip", "saw by its blade")]
        [True, False]
    """
    thing, named = thing_in(text), HANDLE_SAID.search(text) is not None
    if thing is None:
        return named
    if thing.parts[:1] != (HANDLE,) or LONG.isdisjoint(thing.shape) or HOLLOW in thing.shape:
        return False
    if thing.name in TOOLS | OF_TWO_RODS:
        return False
    return named or not (HANDS_OVER.search(text) or _parts_named().search(text))


def thing_in(text: str) -> Category | None:
    """The thing that a sentence speaks of, whatever it says of its parts.

    Example:
        >>> thing_in("a saw by its handle").name, thing_in("a gizmo by its handle"), thing_in("a door handle").name
        ('saw', None, 'door knob')
    """
    return category_in(OF_THING.sub("", _without_part(text)))


def _without_part(text: str) -> str:
    """The sentence up to where it says by which part; all of one that says the part of what."""
    return text if OF_THING.search(text) else BY_PART.sub("", text)


@lru_cache
def _parts_named() -> re.Pattern[str]:
    """What in a sentence names a part of a thing."""
    parts = {part for thing in classes() for part in thing.parts} | set(ELSEWHERE)
    things = {word for thing in classes() for word in words_of(thing)}
    # Some parts are things, too: a cap, a cup, a pan. These count where they follow "by", "the" or "its" alone.
    plain = "|".join(sorted(map(re.escape, parts - things), key=len, reverse=True))
    both = "|".join(sorted(map(re.escape, parts & things), key=len, reverse=True))
    return re.compile(
        rf"\b({plain})s?\b|\b(its|their|(by|at|on) the) ({both})s?\b|\bthe ({both})s? of\b", re.IGNORECASE
    )


def _of_another(text: str, thing: Category, name: str) -> str:
    """The sentence, of something else."""
    head = _without_part(text)
    words = "|".join(sorted((re.escape(word) for word in words_of(thing)), key=len, reverse=True))
    said = re.sub(rf"\b(pair of )?({words})s?\b", name, head, flags=re.IGNORECASE)
    return re.sub(rf"\ban? {name}\b", with_article(name), said) + text[len(head) :]
