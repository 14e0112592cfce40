"""What `--help` prints: short, or with every setting, without loading what the command needs."""

import shutil
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from hoprior.cli.commands import COMMANDS, TRAINING, USING, Command, description_of, members
from hoprior.cli.options import Option

INDENT, COLUMN, WIDEST = "  ", 30, 110
EVERYWHERE = (
    ("--help, --help-all", "this, and with every setting of the method"),
    ("--quiet", "say nothing but errors and what was asked for"),
    ("--verbose", "say more, and where an error comes from"),
    ("--json", "print the result as JSON"),
)


def overview() -> str:
    """All commands, as `hoprior --help` has them."""
    lines = ["usage: hoprior COMMAND [options]        (every command answers --help)", ""]
    for title, commands in (("use a prior", USING), ("train a prior", TRAINING)):
        lines += [title, *_table(commands), ""]
    lines += ["everywhere", *(row for flag, text in EVERYWHERE for row in _row(flag, text)), "", "  hoprior --version"]
    return "\n".join([*lines, "", "start with: hoprior demo", ""])


def group_help(group: str) -> str:
    """The commands of `run`, `eval` or `data`."""
    lines = [f"usage: hoprior {group} COMMAND [options]        (every command answers --help)", ""]
    return "\n".join([*lines, *_table(members(group)), ""])


def _table(commands: Mapping[tuple[str, ...], Command]) -> list[str]:
    return [row for words, command in commands.items() for row in _row(f"hoprior {' '.join(words)}", command.about)]


def command_help(words: tuple[str, ...], everything: bool = False) -> str:
    """The help of one command: what it does, its options, examples."""
    command, said = COMMANDS[words], description_of(words)
    shown = [option for option in said.options if everything or command.training or not option.inner]
    given = f" {command.given}" if command.given else ""
    name = " ".join(word for word in words if word != "NAME")
    lines = [f"usage: hoprior {name}{given} [options]", "", *_wrapped(said.summary, "")]
    for paragraph in said.more.split("\n\n") if said.more else []:
        lines += ["", *_wrapped(paragraph, "")]
    if shown:
        lines += ["", "options", *(row for option in shown for row in _row(_typed(option), _sentence(option)))]
    hidden = len(said.options) - len(shown)
    if hidden:
        more = f"hoprior {name} --help-all"
        lines += ["", *_wrapped(f"and {hidden} settings of the method: {more} names them", INDENT)]
    if command.training:
        lines += [
            "",
            *_wrapped(f"configurations: {', '.join(configurations())}; --help-all has all of Lightning's", ""),
        ]
    lines += ["", "examples", *(f"{INDENT}{example}" for example in said.examples)]
    lines += ["", "everywhere", *(row for flag, text in EVERYWHERE for row in _row(flag, text)), ""]
    return "\n".join(lines)


def configurations() -> list[str]:
    """The names of the shipped training configurations."""
    from hoprior.cli.options import HOPRIOR

    return sorted(path.stem for path in (HOPRIOR / "configs").glob("*.yaml"))


def _typed(option: Option) -> str:
    return f"--{option.name.replace('_', '-')} {metavar(option)}"


def metavar(option: Option) -> str:
    """What is typed after an option.

    Example:
        >>> metavar(Option("size", "float | None", None, "")), metavar(Option("range", "tuple[float, float]", (), ""))
        ('NUMBER', '[NUMBER,NUMBER]')
    """
    kind = option.kind.replace(" | None", "").strip('"')
    if choices := choices_of(option):
        return "|".join(choices)
    if kind.startswith(("tuple[", "list[", "Sequence[")):
        inner = [part.strip() for part in kind[kind.index("[") + 1 : -1].split(",")]
        return "[" + ",".join(_kind(part) for part in inner) + "]"
    return _kind(kind)


def choices_of(option: Option) -> list[str]:
    """The values that an option may have, where its type names them."""
    kind = option.kind.replace(" | None", "")
    if kind == "bool":
        return ["true", "false"]
    if not kind.startswith("Literal["):
        return []
    from typing import Literal

    return [str(value) for value in get_args(eval(kind, {"Literal": Literal}))]


def _kind(kind: str) -> str:
    known = {"int": "N", "float": "NUMBER", "str": "TEXT", "Path": "PATH", "bool": "true|false", "...": "..."}
    return known.get(kind, "VALUE")


def _sentence(option: Option) -> str:
    if option.required:
        return f"{option.text} (required)"
    return option.text if option.default in (None, "", ()) else f"{option.text} [{_value(option.default)}]"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return "[" + ",".join(map(_value, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _row(left: str, right: str) -> Iterable[str]:
    """A line with what is typed, and its sentence beside it, or below where it is long."""
    text = _wrapped(right, " " * COLUMN)
    if len(INDENT + left) + 2 > COLUMN:
        return [INDENT + left, *text]
    return [(INDENT + left).ljust(COLUMN) + text[0].lstrip(), *text[1:]] if text else [INDENT + left]


def _wrapped(text: str, indent: str) -> list[str]:
    import textwrap

    width = min(shutil.get_terminal_size().columns, WIDEST)
    return textwrap.wrap(text, max(width, COLUMN + 30), initial_indent=indent, subsequent_indent=indent)
