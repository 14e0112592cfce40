"""What people say of a grasp who say nothing of its kind: "holding a hammer", "sipping from a cup", a file's name.

The sentences are put together from `assets/wordings.tsv`: frames, other words for what is done, other names of things.
Its third column is what priors are taught, its fourth what only the evaluation says, so that it measures how well words
are understood rather than remembered.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal, TypeAlias

import numpy as np

from hoprior.language.phrases import PLURAL_NAMES, sentence_for, with_article
from hoprior.language.schema import Affordance
from hoprior.language.taxonomy import TAXONOMY
from hoprior.language.template import SIZE_WORDS, THING, describe

ASSET = "wordings.tsv"
FILE_SUFFIX = re.compile(
    r"\.(obj|ply|stl|glb|gltf|off|dae|usdz|3mf|fbx|blend|png|jpe?g|heic|webp|mp4|mov|npz)$", re.IGNORECASE
)
BARE_WORDS = 4
"""At most so many words name a thing; more are a sentence."""
POOL = 48
"""Wordings of one affordance; there are thousands, and each costs a prior's training the encoding of its text."""

What: TypeAlias = Literal["use", "name", "file"]


@dataclass(frozen=True)
class Wordings:
    """One column of the table: frames by what they say, words for phrases of `VERB_PHRASES`, names of things, and
    sentences that say nothing of a grasp."""

    frames: dict[str, tuple[str, ...]]
    verbs: dict[str, tuple[str, ...]]
    names: dict[str, tuple[str, ...]]
    nothing: tuple[str, ...]

    def said(self, affordance: Affordance, what: What, rng: np.random.Generator, *, own_name: bool = False) -> str:
        """One wording of an affordance, at random.

        Args:
            affordance: of which the object and, of `what` "use", the interaction are told.
            what: which frames.
            own_name: call the thing what the affordance calls it, never by another name.
        """
        name = affordance.object_category or THING
        doing = affordance.interaction or "holding"
        if not own_name:
            name = _one(self.names.get(name, (name,)), rng)
        doing = _one(self.verbs.get(doing, (doing,)), rng)
        sized = " ".join(word for word in (SIZE_WORDS.get(affordance.object_size, ""), name) if word)
        return _filled(_one(self.frames[what], rng), name, doing, sized)


@lru_cache
def taught() -> Wordings:
    """What priors are taught; things and doings by their own names too."""
    return _columns()[0]


@lru_cache
def kept_out() -> Wordings:
    """What no prior is taught; nothing of it is among `taught`."""
    return _columns()[1]


def seeded(*words: object) -> np.random.Generator:
    """Randomness that depends on some words only."""
    digest = hashlib.sha256(" ".join(str(word) for word in words).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


@cache
def pool(affordance: Affordance) -> tuple[str, ...]:
    """`POOL` taught wordings of an affordance, as a prior of poses is told them: the same ones for the same words."""
    rng = seeded("wordings", affordance.object_category, affordance.object_size, affordance.interaction)
    kinds: tuple[What, ...] = ("use", "name", "use", "name", "use", "name", "use", "file")
    told = (as_sentence(taught().said(affordance, kinds[k % len(kinds)], rng)) for k in range(POOL))
    # A file may be called "model_of_a_hand", of which no word says what is in it.
    return tuple(text or as_sentence(taught().said(affordance, "name", rng)) for text in told)


def as_sentence(text: str) -> str:
    """What a prior of poses is told of what somebody typed; empty for a file name that names nothing.

    "claw_hammer_01.obj" is a hand holding a claw hammer, "holding a hammer" a hand that does, and a bare noun what
    `sentence_for` makes of it; whole sentences are told as they are.
    """
    text = " ".join(text.split())
    if is_file_name(text):
        name = name_in_file(text)
        return sentence_for(_thing(name)) if name else ""
    words = re.findall(r"[a-z']+", text.lower())
    if not words or "hand" in words:
        return text
    if words[0].endswith("ing") and len(words) > 1:
        return f"a hand {text}"
    bare = len(words) <= BARE_WORDS and not any(word.endswith("ing") for word in words)
    return sentence_for(text) if bare else text


def kind_sentence(number: int) -> str:
    """What a prior of poses is told of a kind of grasp alone."""
    return describe(Affordance(grasp=number))


def grasp_in(text: str) -> int:
    """The number of the kind of grasp that a text names ("..., with a medium wrap grasp."), 0 where it names none."""
    words = " ".join(text.lower().replace("-", " ").split())
    return next((kind.number for kind in TAXONOMY if f"{kind.name} grasp" in words), 0)


def is_file_name(text: str) -> bool:
    """Whether a text is a name of a file or a path rather than something said."""
    one_word = len(text.split()) == 1
    return bool(FILE_SUFFIX.search(text)) or (one_word and bool(re.search(r"[_/\\]|[a-z][A-Z]|\d$", text)))


def name_in_file(path: str) -> str:
    """ "models/025_ClawHammer-v2.obj" -> "claw hammer"; empty where nothing is named."""
    found: list[str] = []
    silent = _silent()
    for part in re.split(r"[/\\]", FILE_SUFFIX.sub("", path)):
        spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", part)
        words = re.findall(r"[a-z]+", spaced.lower())
        found += [word for word in words if word not in silent and len(word) > 1]
    return " ".join(dict.fromkeys(found))


def _filled(frame: str, name: str, doing: str, sized: str) -> str:
    joined = re.sub(r"[^A-Za-z0-9]+", "_", name.replace("'", ""))
    capitals = "".join(part[:1].upper() + part[1:] for part in joined.split("_"))
    values = {
        "name": name,
        "thing": _thing(name),
        "sized": _thing(sized),
        "doing": doing,
        "file": joined,
        "File": capitals,
    }
    return frame.replace("{file-}", joined.replace("_", "-")).format(**values)


def _thing(name: str) -> str:
    """The name with its article; plurals have none."""
    last = name.split()[-1]
    plural = last.endswith("s") and not last.endswith("ss") and last not in PLURAL_NAMES
    return name if plural else with_article(name)


def _one(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


@cache
def _silent() -> frozenset[str]:
    """Words of file names that say nothing of what is in the file."""
    return frozenset(_column(2, "other")["file names"])


def _columns() -> tuple[Wordings, Wordings]:
    taught, kept_out = (
        Wordings(_column(k, "frame"), _column(k, "verb"), _column(k, "name"), _column(k, "other")["nothing"])
        for k in (2, 3)
    )
    # What datasets say is among what is taught.
    own = [{name: (name, *others) for name, others in words.items()} for words in (taught.verbs, taught.names)]
    return replace(taught, verbs=own[0], names=own[1]), kept_out


def _column(k: int, what: str) -> dict[str, tuple[str, ...]]:
    """Column k of the table's rows of one sort, by what they are of."""
    text = (files("hoprior") / "assets" / ASSET).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return {row[1]: tuple(row[k].split(" | ")) for row in rows if row[0] == what}
