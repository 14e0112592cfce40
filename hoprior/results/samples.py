"""What sets of drawn samples have in common, and how it is told what was thrown away."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from hoprior.results.rows import Rows

Sample = TypeVar("Sample", covariant=True)


@dataclass(frozen=True, eq=False)
class Samples(Rows[Sample]):
    """Samples in the order of their draws.

    Attributes:
        samples: the samples.

    Example:
        >>> letters = Samples(("a", "b", "c"))
        >>> len(letters), letters[1], list(letters[1:])
        (3, 'b', ['b', 'c'])
    """

    rows_name = "samples"
    samples: tuple[Sample, ...]


def draws_text(what: str, kept: int, asked: int, draws: int, rejected: Mapping[str, int]) -> str:
    """How many of the draws were kept, and why the others were not.

    Example:
        >>> draws_text("samples", 5, 8, 40, {"broken into pieces": 30, "too small": 5})
        '5 of 8 samples; 5 of 40 draws were plausible (30 broken into pieces, 5 too small)'
    """
    plausible = draws - sum(rejected.values())
    count = f"{kept} of {asked}" if kept < asked else f"{kept}"
    return f"{count} {what}; {plausible} of {draws} draws were plausible{thrown_away_text(rejected)}"


def thrown_away_text(rejected: Mapping[str, int]) -> str:
    """What follows a number of draws: the reasons in brackets, or nothing where none was thrown away.

    Example:
        >>> thrown_away_text({"too small": 5}), thrown_away_text({})
        (' (5 too small)', '')
    """
    return f" ({reasons_text(rejected)})" if rejected else ""


def reasons_text(rejected: Mapping[str, int]) -> str:
    """ "30 broken into pieces, 5 too small", the most frequent first.

    Example:
        >>> reasons_text({"too small": 5, "broken into pieces": 30})
        '30 broken into pieces, 5 too small'
    """
    return ", ".join(f"{count} {reason}" for reason, count in sorted(rejected.items(), key=lambda item: -item[1]))
