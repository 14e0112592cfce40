"""What is refused before anything heavy is loaded: files that are not there, and options that a command has not.

torch takes seconds to load, and who has mistyped a name need not wait for it. What is known here is what help knows.
"""

import glob
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path

from hoprior.cli.commands import COMMANDS, Command, described_words, description_of
from hoprior.cli.options import Option, constant_of, underscored
from hoprior.errors import HopriorError

OF_ALL = ("config", "print_config")
"""Options that the reader of the command line itself understands."""
PATH = re.compile(r"Path( \| None)?|list\[Path\]")
"""Types of options that name files or folders; a list in brackets is left to the reader of the command line."""


def refuse_early(words: tuple[str, ...], args: Sequence[str]) -> None:
    """Nothing, if a command may be loaded with these arguments.

    Args:
        words: that name the command.
        args: what follows them.

    Raises:
        HopriorError: an option is not one of the command's, or names a file or a folder that is not there.
    """
    words = described_words(words, args)
    command = COMMANDS[words]
    if not command.does:
        return
    options = {option.name: option for option in description_of(words).options}
    first = next((k for k, argument in enumerate(args) if argument.startswith("-")), len(args))
    by_place = zip((*command.leading, *command.leading[-1:] * (first * command.many)), args[:first], strict=False)
    paths = {name for name, option in options.items() if PATH.fullmatch(option.kind)}
    read = paths - set(command.written)
    for name, word in by_place:
        if name in paths:
            _check_filled(word, repr(word))
        if name in read and word not in command.also:
            _check_there(word, word)
    for name, value in _named(args[first:]):
        if name in read and "list" not in options[name].kind:
            _check_single(name, args[first:])
        _check_name(name, words, command, options)
        if name in paths and value is not None:
            _check_filled(value, _typed(name))
        if name in read and value is not None and value not in command.also and not value.startswith("["):
            _check_there(value, f"{_typed(name)} {value}")


def _named(args: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Each option with what is its value if it takes one."""
    for k, argument in enumerate(args):
        if argument.startswith("--"):
            name, equals, value = underscored(argument)[2:].partition("=")
            following = args[k + 1] if k + 1 < len(args) and not args[k + 1].startswith("--") else None
            yield name, value if equals else following


def _check_single(name: str, args: Sequence[str]) -> None:
    """Raises: HopriorError: several words follow a path's option, as a shell makes of a pattern."""
    at = next(k for k, argument in enumerate(args) if underscored(argument).partition("=")[0] == f"--{name}")
    words = 0 if "=" in args[at] else 1
    following = list(takewhile(lambda word: not word.startswith("-"), args[at + 1 :]))
    if len(following) > words:
        raise HopriorError(
            f"{_typed(name)} takes one path, and {following[words]} follows it: put a pattern or a name with spaces in "
            "quotes"
        )


def _check_name(name: str, words: tuple[str, ...], command: Command, options: dict[str, Option]) -> None:
    """Raises: HopriorError: no option of the command has, or had, this name; one that is nearly the same is told."""
    former = constant_of(command.does, "RENAMED") or {}
    flags = {f"no_{option.name}" for option in options.values() if option.kind.removesuffix(" | None") == "bool"}
    groups = {option.rpartition(".")[0] for option in options}
    known = {*options, *groups, *flags, *former, *OF_ALL}
    if name in known or any(name.startswith(f"{one}.") for one in (*former, *options)):
        return  # fields of settings that have no default are known to the command alone
    command_line = " ".join(("hoprior", *(word for word in words if word != "NAME")))
    near = get_close_matches(name, sorted(known), 1)
    advice = f"did you mean {_typed(near[0])}?" if near else f"{command_line} --help-all has all of them"
    raise HopriorError(f"{command_line}: there is no option {_typed(name)}: {advice}")


def _check_filled(value: str, typed: str) -> None:
    """Raises: HopriorError: there is no path in it, as of a shell's variable that is not set; to Python it is `.`."""
    if not value.strip():
        raise HopriorError(f"{typed} is empty: give a path; the folder that you are in is .")


def _check_there(value: str, typed: str) -> None:
    """Raises: HopriorError: there is nothing; a name beside it that is nearly the same is told."""
    path = Path(value)
    try:
        if path.exists() or (glob.has_magic(value) and next(glob.iglob(value, recursive=True), None) is not None):
            return
        beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    except (OSError, ValueError):  # a name that no file can have, or a folder that may not be looked into
        return
    if path.is_symlink():
        raise HopriorError(f"{typed}: is a link to {path.readlink()}, which is not there: mend the link")
    near = get_close_matches(path.name, beside, 1, 0.75)
    advice = f"did you mean {path.with_name(near[0])}?" if near else "look for a slip in its name or its folder's"
    raise HopriorError(f"{typed}: there is no such file or folder: {advice}")


def _typed(name: str) -> str:
    return f"--{name.replace('_', '-')}"
