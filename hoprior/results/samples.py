"""What sets of drawn samples have in common: each is a sequence, of which a slice is a set of the same settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, overload

Sample = TypeVar("Sample", covariant=True)
Set = TypeVar("Set", bound="Samples[Any]")


@dataclass(frozen=True, eq=False)
class Samples(Sequence[Sample]):
    """Samples in the order of their draws.

    Attributes:
        samples: the samples.

    Example:
        >>> letters = Samples(("a", "b", "c"))
        >>> len(letters), letters[1], list(letters[1:])
        (3, 'b', ['b', 'c'])
    """

    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self: Set, index: slice) -> Set: ...
    def __getitem__(self, index: int | slice) -> Any:
        """One sample, or the results with some of the samples."""
        if isinstance(index, slice):
            return replace(self, samples=self.samples[index])
        return self.samples[index]


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
