"""What is to be said of a text about things that a prior has not learnt, or about several."""

import re
from collections.abc import Collection

from hoprior.language.categories import describe, things_in, words_of
from hoprior.language.phrases import sentence


def note_on_things(text: str, learnt: Collection[str]) -> str | None:
    """What is to be said of a text to a prior that has learnt such things: nothing of one that it knows.

    Example:
        >>> note_on_things("a hand holding a hammer by the handle", ["hammer", "teapot"]) is None
        True
        >>> note_on_things("a kettle", ["hammer", "teapot"])
        'the prior has learnt no kettle (most like it that it has: teapot): it draws what is nearest in words'
    """
    named = _named(text)
    known = {name for word in learnt for name in (word, describe(word).name)}
    heard = named & known
    if len(heard) > 1:
        several = " and ".join(sorted(heard))
        return f"it names several things ({several}), and each draw has one object: name one"
    spoken = {word for name in known for word in (name, *words_of(describe(name)))}
    if heard or any(re.search(rf"\b{re.escape(word)}s?\b", text.lower()) for word in spoken):
        return None
    if not named:
        return "it names no thing that the prior has learnt: it draws what is nearest in words"
    thing = describe(sorted(named)[0])
    alike = {word: len({*describe(word).parts} & {*thing.parts}) for word in sorted(known)}
    nearest = max(alike, key=lambda word: (alike[word], bool({*describe(word).shape} & {*thing.shape})))
    like = f" (most like it that it has: {nearest})" if alike[nearest] else ""
    return f"the prior has learnt no {thing.name}{like}: it draws what is nearest in words"


def held_plainly(text: str, learnt: Collection[str]) -> str | None:
    """The sentence that says what is held, and how large, and nothing of its use; None where that is not one thing
    that the prior has learnt.

    Example:
        >>> held_plainly("pouring from a large teapot", ["hammer", "teapot"]), held_plainly("a kettle", ["teapot"])
        ('a hand holding a large teapot', None)
    """
    named = _named(text)
    heard = sorted(named.intersection(learnt)) or [word for word in learnt if describe(word).name in named]
    if len(heard) != 1:
        return None
    size = re.search(r"\b(small|medium-sized|large)\b", text.lower())
    return sentence(f"{size[1]} {heard[0]}" if size else heard[0])


def _named(text: str) -> set[str]:
    """The things that a text is about: what one is held by, or comes with, is a part of it."""
    first = re.split(r"\b(?:by|with)\b", text.lower())[0]
    return (things_in(first) or things_in(text)) - {"hand"}
