"""What is to be said of a text about things that a prior has not learnt, or about several."""

import re
from collections.abc import Collection

from hoprior.language.categories import describe, things_in, words_of


def note_on_things(text: str, learnt: Collection[str]) -> str | None:
    """What is to be said of a text to a prior that has learnt such things: nothing of one that it knows.

    Example:
        >>> note_on_things("a hand holding a hammer by the handle", ["hammer", "teapot"]) is None
        True
        >>> note_on_things("a kettle", ["hammer", "teapot"])
        'the prior has learnt no kettle (most like it that it has: teapot): it draws what is nearest in words'
    """
    # What a thing is held by, or comes with, is a part of it.
    first = re.split(r"\b(?:by|with)\b", text.lower())[0]
    named = (things_in(first) or things_in(text)) - {"hand"}
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
