"""What objects are called: one table of classes for the words of all datasets, with shape, size and parts.

The table is `assets/categories.tsv`. A word that it does not know is its own class: text then says all there is.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from hoprior.errors import HopriorError
from hoprior.language.phrases import PLURAL_NAMES

ASSET = "categories.tsv"
TRAILING = ("small", "medium", "middle", "large")
LINKS = frozenset(
    (
        *("with", "without", "of", "from", "to", "for", "on", "in", "into", "at", "by", "as", "and", "or", "that"),
        *("which", "it", "its", "is", "being", "held", "upside", "while", "so", "when", "using"),
    )
)
"""Words that end what a thing is called."""
LONGEST_NAME = 4
SIZES = ("small", "medium-sized", "large")


@dataclass(frozen=True)
class Category:
    """What is known of a class of objects.

    Attributes:
        name: what a person would call it.
        shape: words for its shape, the most telling first; none for a class that the table does not have.
        longest_side: the usual range (m); zeros for an unknown class.
        parts: what a hand may hold it by.
        known: whether the table has it.

    Example:
        >>> mug = describe("mug")
        >>> mug.shape, mug.parts, mug.size_word(0.3)
        (('hollow',), ('handle', 'rim', 'body'), 'large')
    """

    name: str
    shape: tuple[str, ...] = ()
    longest_side: tuple[float, float] = (0.0, 0.0)
    parts: tuple[str, ...] = ()
    known: bool = False

    def size_word(self, longest: float) -> str:
        """Small, medium-sized or large for its kind, of an object whose longest side is so long (m); "" if unknown."""
        low, high = self.longest_side
        if high <= low:
            return ""
        return SIZES[min(2, max(0, int(3 * (longest - low) / (high - low))))]


def describe(word: str) -> Category:
    """The class of a dataset's word for an object: "025_mug", "mug_s009", "CoffeeMug" and "mugs" are a mug.

    A word that the table does not know, nor without its first words, is a class of its own.

    Example:
        >>> [describe(word).name for word in ("025_mug", "mug_s009", "CoffeeMug")], describe("gizmo").known
        (['mug', 'mug', 'mug'], False)
    """
    plain = plain_word(word)
    classes, words = _table()
    for candidate in _shorter(plain):
        if candidate in words:
            return classes[words[candidate]]
    return Category(plain)


def category_in(text: str | None) -> Category | None:
    """The one class of the table that a text names as a thing; None where it names none, or several.

    A word counts where what a thing is called ends: "a mug holder" names no mug. What a thing comes with is its part.

    Example:
        >>> category_in("drink from a red mug with a lid").name, category_in("a mug holder")
        ('mug', None)
        >>> category_in("an apple and a cup") is None, category_in("a hand using a mug").name
        (True, 'mug')
    """
    words = _words(text or "")
    first = words[: words.index("with")] if "with" in words else words
    for part in (first, words):
        found = _things(part)
        if found:
            # A hand is a thing, of a doll or a clock, only where it is the only one.
            found = found - {"hand"} or found
            return _table()[0][found.pop()] if len(found) == 1 else None
    return None


def things_in(text: str) -> set[str]:
    """The names of all classes of the table that a text speaks of, parts that are things of their own among them.

    Example:
        >>> sorted(things_in("an apple and a cup"))
        ['apple', 'cup']
    """
    return _things(_words(text))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower())


def _things(words: list[str]) -> set[str]:
    """The classes that words name."""
    _, known = _table()
    found: set[str] = set()
    end = len(words)
    while end > 0:
        fits = end == len(words) or words[end] in LINKS
        named = next((n for n in range(min(end, LONGEST_NAME), 0, -1) if fits and _known(words[end - n : end])), None)
        if named is not None:
            found.add(known[_known(words[end - named : end])])
        end -= named or 1
    return found


def _known(words: list[str]) -> str:
    """The word of the table that these are, in the singular if need be; "" for none."""
    phrase, known = " ".join(words), _table()[1]
    shorter = phrase[:-1] if phrase.endswith("s") and phrase not in PLURAL_NAMES else phrase
    return phrase if phrase in known else shorter if shorter in known else ""


def classes() -> list[Category]:
    """All classes of the table."""
    return list(_table()[0].values())


def words_of(thing: Category) -> tuple[str, ...]:
    """What things of a class are called.

    Example:
        >>> words_of(describe("axe"))
        ('axe', 'hatchet')
    """
    return tuple(word for word, name in _table()[1].items() if name == thing.name)


def num_words() -> int:
    """How many words the table knows."""
    return len(_table()[1])


def plain_word(word: str) -> str:
    """A dataset's name of an object as words: no numbers of YCB or of instances, no capitals, no underscores.

    Example:
        >>> plain_word("019_pitcher_base"), plain_word("PowerDrill")
        ('pitcher base', 'power drill')
    """
    word = re.sub(r"^\d+(-[a-z])?[_-]", "", word)
    word = re.sub(r"([a-z])([A-Z])", r"\1 \2", word)
    word = re.sub(r"[_ -]?(s|v|id)?\d+$", "", word)
    return re.sub(r"[\s_]+", " ", word).strip().lower() or "object"


def _shorter(word: str) -> list[str]:
    """The word, in the singular, without its first words: "red plastic mugs" is a mug, "cube large" a cube."""
    parts = word.split()
    if len(parts) > 1 and parts[-1] in TRAILING:
        parts = parts[:-1]
    found = []
    for start in range(len(parts)):
        rest = " ".join(parts[start:])
        found.append(rest)
        if rest.endswith("s") and rest not in PLURAL_NAMES:
            found.append(rest[:-1])
    return found


@lru_cache
def _table() -> tuple[dict[str, Category], dict[str, str]]:
    """Classes by name, and the class of each word."""
    found: dict[str, Category] = {}
    words: dict[str, str] = {}
    text = (files("hoprior") / "assets" / ASSET).read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name, shape, size, parts, others = line.split("\t")
        low, high = (float(number) / 100 for number in size.split("-"))
        found[name] = Category(name, _listed(shape), (low, high), _listed(parts), True)
        for other in (name, *_listed(others)):
            if words.setdefault(other, name) != name:
                raise HopriorError(f"{ASSET}: '{other}' is of two classes, {words[other]} and {name}")
    return found, words


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
