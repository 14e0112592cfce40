"""What is to be said of a text about things that a prior has not learnt, or about several; and what it is told."""

import math
import re
from collections.abc import Collection

from hoprior.language.categories import Category, describe, things_in, words_of
from hoprior.language.phrases import sentence

SIZE_WEIGHT = 0.5
"""Of how different sizes are (logarithm of their ratio), beside shared parts and shapes."""


def note_on_things(text: str, learnt: Collection[str], instead: bool = False) -> str | None:
    """What is to be said of a text to a prior that has learnt such things: nothing of one that it knows.

    Args:
        text: what is asked for.
        learnt: the things.
        instead: whether what is most like an unknown thing is drawn in its place (`held_plainly`).

    Example:
        >>> note_on_things("a hand holding a hammer by the handle", ["hammer", "teapot"]) is None
        True
        >>> note_on_things("a kettle", ["hammer", "teapot"])
        'the prior has learnt no kettle (most like it that it has: teapot): it draws what is nearest in words'
    """
    named = _named(text)
    heard = named & _known(learnt)
    if len(heard) > 1:
        several = " and ".join(sorted(heard))
        return f"it names several things ({several}), and each draw has one object: name one"
    if heard or _speaks_of(text, learnt):
        return None
    if not named:
        return "it names no thing that the prior has learnt: it draws what is nearest in words"
    thing = describe(min(named))
    nearest = most_like(thing, learnt)
    like = f" (most like it that it has: {nearest})" if nearest else ""
    drawn = "that" if nearest and instead else "what is nearest in words"
    return f"the prior has learnt no {thing.name}{like}: it draws {drawn}"


def held_plainly(text: str, learnt: Collection[str]) -> str | None:
    """The sentence that says what is held, and how large, and nothing of its use; of a thing that is not learnt what
    is most like it. None where a text is not about one thing.

    Example:
        >>> held_plainly("pouring from a large teapot", ["hammer", "teapot"]), held_plainly("a kettle", ["teapot"])
        ('a hand holding a large teapot', 'a hand holding a teapot')
    """
    named = _named(text)
    heard = sorted(named.intersection(learnt)) or [word for word in learnt if describe(word).name in named]
    if not heard and len(named) == 1 and not _speaks_of(text, learnt):
        nearest = most_like(describe(min(named)), learnt)
        heard = [nearest] if nearest else []
    if len(heard) != 1:
        return None
    size = re.search(r"\b(small|medium-sized|large)\b", text.lower())
    return sentence(f"{size[1]} {heard[0]}" if size else heard[0])


def most_like(thing: Category, learnt: Collection[str]) -> str | None:
    """Which of the things that are learnt has most of another one's parts, its shape and its size; None of a thing of
    which nothing is known.

    Example:
        >>> most_like(describe("kettle"), ["hammer", "teapot"]), most_like(describe("egg"), ["alarm clock", "lemon"])
        ('teapot', 'lemon')
    """
    alike = {word: _likeness(thing, describe(word)) for word in sorted(learnt)}
    nearest = max(alike, key=lambda word: alike[word], default=None)
    return nearest if nearest is not None and alike[nearest] > -math.inf else None


def _likeness(one: Category, other: Category) -> float:
    """Shared parts and shapes, as shares of all of both, less how different the sizes are; -inf of nothing shared."""
    shares = [len({*a} & {*b}) / len({*a, *b}) for a, b in ((one.parts, other.parts), (one.shape, other.shape)) if a]
    if not any(shares):
        return -math.inf
    apart = abs(math.log(sum(one.longest_side) / sum(other.longest_side)))
    return sum(shares) - SIZE_WEIGHT * apart


def _known(learnt: Collection[str]) -> set[str]:
    """What things that are learnt are called, by themselves and as a class."""
    return {name for word in learnt for name in (word, describe(word).name)}


def _speaks_of(text: str, learnt: Collection[str]) -> bool:
    """Whether any word for a thing that is learnt stands anywhere in a text."""
    spoken = {word for name in _known(learnt) for word in (name, *words_of(describe(name)))}
    return any(re.search(rf"\b{re.escape(word)}s?\b", text.lower()) for word in spoken)


def _named(text: str) -> set[str]:
    """The things that a text is about: what one is held by, or comes with, is a part of it."""
    first = re.split(r"\b(?:by|with)\b", text.lower())[0]
    return (things_in(first) or things_in(text)) - {"hand"}
