"""Sentences for grasps: which object, and what for."""

import re

GENERIC_TEXT = "a hand holding an object"
"""What a grasp is told when nobody says what the object is."""

PLURAL_NAMES = frozenset({"binoculars", "scissors", "eyeglasses", "headphones", "pliers"})

VERB_PHRASES = {
    "brush": "brushing teeth with",
    "chop": "chopping with",
    "cook": "cooking with",
    "cut": "cutting with",
    "drink": "drinking from",
    "fill": "filling",
    "fly": "flying",
    "handover": "handing over",
    "hold": "holding",
    "inspect": "inspecting",
    "lift": "lifting",
    "move": "moving",
    "offhand": "holding",
    "on": "switching on",
    "off": "switching off",
    "open": "opening",
    "pass": "handing over",
    "peel": "peeling",
    "play": "playing with",
    "pour": "pouring from",
    "push": "pushing",
    "put away": "putting away",
    "put into": "putting something into",
    "screw": "screwing in",
    "see": "reading",
    "shake": "shaking",
    "squeeze": "squeezing",
    "stamp": "stamping with",
    "staple": "stapling with",
    "switch on": "switching on",
    "take out": "taking out",
    "take out of": "taking something out of",
    "toast": "toasting with",
    "turn": "turning",
    "use": "using",
    "wear": "putting on",
    "write": "writing with",
}


def with_article(name: str) -> str:
    """ "mug" -> "a mug", "apple" -> "an apple", "scissors" -> "a pair of scissors".

    Example:
        >>> with_article("mug"), with_article("apple"), with_article("scissors")
        ('a mug', 'an apple', 'a pair of scissors')
    """
    if name.split()[-1] in PLURAL_NAMES:
        return f"a pair of {name}"
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def sentence(name: str, verb: str = "hold") -> str:
    """What a hand does with an object: ("mug", "drink") -> "a hand drinking from a mug".

    A verb without a known phrase falls back to holding: a sentence that is less exact, never one that is wrong.

    Example:
        >>> sentence("mug", "drink"), sentence("apple")
        ('a hand drinking from a mug', 'a hand holding an apple')
    """
    return f"a hand {VERB_PHRASES.get(verb, VERB_PHRASES['hold'])} {with_article(name)}"


PERSON = re.compile(
    r"^(?:(?:an?|the|some|one) )?(?:(?:young|old) )?"
    r"(?:person|people|someone|somebody|man|woman|boy|girl|child|kid|user|he|she|they|i)"
    r" (?:is |are |am )?(?=[a-z]+ing )",
    re.IGNORECASE,
)
"""Whose hand it is, before what it does."""
DOING = re.compile(
    r"^(?:(?:holding|using|gripping|grasping|grabbing|carrying|lifting|squeezing) "
    r"|[a-z]+ing (?:(?:from|with|on|in|into|to|at|up|out of) )?(?:an?|the|his|her|their|its|my|your|some|two) )",
    re.IGNORECASE,
)
"""What is done to a thing; "frying pan" and "rolling pin" are none."""


def sentence_for(text: str | None) -> str:
    """What the priors are told: a bare noun becomes the sentence that they were trained with, as does what is done.

    Example:
        >>> sentence_for("a mug"), sentence_for(None)
        ('a hand holding a mug', 'a hand holding an object')
        >>> sentence_for("pouring from a kettle"), sentence_for("a man is using chopsticks"), sentence_for("frying pan")
        ('a hand pouring from a kettle', 'a hand using chopsticks', 'a hand holding frying pan')
    """
    if text is None or not text.strip():
        return GENERIC_TEXT
    text = text.strip()
    if "hand" in text.lower().split():
        return text
    text = PERSON.sub("", text)
    return f"a hand {text}" if DOING.search(text) else f"a hand holding {text}"


INSIDE = re.compile(
    r"\b(inside|interior|rims?|brims?|lip|edges?)\b|\b(fingers?|fingertips?|thumbs?)\b.*\b(in|into)\b", re.IGNORECASE
)
"""What is said of hands that reach into a vessel, or hold it by its rim with a finger in it."""


def reaches_inside(text: str | None) -> bool:
    """Whether a sentence has the hand reach into a vessel: "by the rim", "two fingers inside the cup"."""
    return text is not None and INSIDE.search(text) is not None


KEPT_OFF = {
    "knife": "blade",
    "scissors": "blades",
    "spoon": "bowl",
    "fork": "head",
    "toothbrush": "head",
    "hammer": "head",
    "frying pan": "body",
}
"""The part that people keep their hands off, by what the thing is called."""
HANDS_OVER = re.compile(r"\b(hand(s|ing)?( \w+)* over|pass(es|ing)?|giv(e|es|ing))\b", re.IGNORECASE)
"""What is said of hands that give a thing to another: they hold it where its taker does not."""


def kept_off(text: str | None) -> tuple[str, str] | None:
    """The thing that a sentence speaks of and its part that hands keep off, ("knife", "blade"); None if there is none.

    What is said goes before: not where the part itself is named, nor of things that are handed over.
    """
    if text is None or HANDS_OVER.search(text):
        return None
    for thing, part in KEPT_OFF.items():
        named = re.search(rf"\b{part.removesuffix('s')}s?\b", text, re.IGNORECASE)
        if re.search(rf"\b{thing}\b", text, re.IGNORECASE) and not named:
            return thing, part
    return None
