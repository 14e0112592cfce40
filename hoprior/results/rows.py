"""What results of many have in common: each is a sequence of its rows; a slice is a result of the same settings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar, overload

Row = TypeVar("Row", covariant=True)
Result = TypeVar("Result", bound="Rows[Any]")


@dataclass(frozen=True, eq=False)
class Rows(Sequence[Row]):
    """A result that is a sequence of one of its attributes.

    Attributes:
        rows_name: of that attribute.

    Example:
        >>> @dataclass(frozen=True, eq=False)
        ... class Letters(Rows[str]):
        ...     rows_name = "letters"
        ...     letters: tuple[str, ...]
        ...     language: str
        >>> found = Letters(("a", "b", "c"), "English")
        >>> len(found), found[1], list(found[1:]), found[1:].language
        (3, 'b', ['b', 'c'], 'English')
    """

    rows_name: ClassVar[str]

    def __len__(self) -> int:
        return len(getattr(self, self.rows_name))

    def __iter__(self) -> Iterator[Row]:
        return iter(getattr(self, self.rows_name))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self: Result, index: slice) -> Result: ...
    def __getitem__(self, index: int | slice) -> Any:
        """One row, or the result with some of the rows."""
        found = getattr(self, self.rows_name)[index]
        return replace(self, **{self.rows_name: found}) if isinstance(index, slice) else found
