"""The exceptions that a user is meant to read."""

import shlex
from typing import Any


class HopriorError(Exception):
    """A problem the user can act on: one sentence that says what, where, and what to do.

    The command line prints the sentence and exits with status 2; everything else is a bug and keeps its traceback.
    """


class SomeFailed(HopriorError):
    """Of many things some could not be done; the others were. The command line exits with status 1.

    Attributes:
        result: what there is of the others, as a command returns it.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class ArgumentError(HopriorError):
    """An argument that cannot be used. Python callers read its name, people at a command line the option's.

    Args:
        name: of the argument, `num`, or of a field of an argument, `config.steps`.
        value: what was given.
        problem: what is wrong with it and what would be right; no full stop.

    Example:
        >>> error = ArgumentError("mesh_unit", "km", "is unknown: use m, cm, mm or in")
        >>> print(error)
        mesh_unit='km' is unknown: use m, cm, mm or in
        >>> print(error.as_option())
        --mesh-unit km is unknown: use m, cm, mm or in
        >>> print(ArgumentError("text", None, "says nothing").as_option())
        --text says nothing
    """

    def __init__(self, name: str, value: Any, problem: str) -> None:
        super().__init__(f"{name}={value!r} {problem}")
        self.name, self.value, self.problem = name, value, problem

    def as_option(self) -> str:
        """The sentence as the command line says it."""
        value = "" if self.value is None else f" {shlex.quote(str(self.value))}"
        return f"--{self.name.replace('_', '-')}{value} {self.problem}"
