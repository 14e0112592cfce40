"""Command lines made from functions, with jsonargparse: dashes or underscores, and one sentence for a wrong one."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, get_args, get_type_hints

from hoprior.cli.options import underscored
from hoprior.common.reading import read_yaml
from hoprior.errors import HopriorError


def call_with_arguments(
    function: Callable[..., Any],
    command: str,
    args: Sequence[str] | None,
    renamed: Mapping[str, str] | None = None,
) -> Any:
    """Calls a function with the arguments of a command line: `--name value` for each of its parameters.

    A parameter that is a dataclass has an option for each of its fields: `--config.pool 512`. `--config FILE.yaml`
    gives any of the command's settings from a file, or, where the function has a parameter `config`, fields of that
    one. `--help` says what they are.

    Args:
        function: what the command does; its docstring describes the options.
        command: as it is typed, "hoprior run grasp".
        args: what follows it.
        renamed: former names of options and of groups of them -> today's; they work, and a line says the new one.

    Raises:
        HopriorError: an argument that is unknown, missing, or not of its type.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    summary = (function.__doc__ or "").partition("\n")[0]
    parser = ArgumentParser(prog=command, description=summary, exit_on_error=False)
    if "config" not in signature(function).parameters:
        parser.add_argument("--config", action="config", help="a YAML file with these settings")
    parser.add_function_arguments(function, as_positional=False)
    try:
        given = None if args is None else with_joined_values(function, [underscored(a) for a in args])
        typed = {} if given is None else typed_texts(function, with_new_names(given, renamed or {}, say=False))
        if given is not None:
            given = with_bare_flags(function, given)
            given = with_new_names(with_settings_files(function, given, renamed or {}), renamed or {})
        chosen = parser.instantiate_classes(parser.parse_args(given))
    except ArgumentError as error:
        raise HopriorError(f"{command}: {_plainly(str(error))}; see {command} --help") from error
    if "config" not in signature(function).parameters:
        chosen.pop("config", None)
    return function(**{**vars(chosen), **{name: text for name, text in typed.items() if chosen.get(name) is None}})


REFUSED = re.compile(r'Parser key "([\w.]+)": Expected an? (.+?)\. Got value: (.*)')
"""How jsonargparse says that a value is not of its option's type."""
MISSING = (
    (re.compile(r"Option '([\w.]+)' is required"), "{} is missing"),
    (re.compile(r"argument (?:-\w/)?--([\w.-]+): expected one argument"), "{} takes a value, and none follows"),
)
"""How it says that an option, or its value, is not there."""
EXPECTED = {
    "<class 'int'>": "takes a whole number",
    "<class 'float'>": "takes a number",
    "<class 'bool'>": "takes true or false",
    "<class 'collections.abc.Sequence'>": "takes a list, in quotes: '[one,two]'",
}


def _plainly(message: str) -> str:
    """What jsonargparse says, in the words of who typed it."""
    message = " ".join(message.split())
    for pattern, said in MISSING:
        if missing := pattern.match(message):
            return said.format(f"--{missing[1].replace('_', '-')}")
    if (refused := REFUSED.fullmatch(message)) is None:
        return message
    name, kind, value = refused.groups()
    typed = f"--{name.replace('_', '-')} {value}"
    if kind.startswith("typing.Literal["):
        return f"{typed}: takes one of {kind[len('typing.Literal[') : -1]}".replace("'", "")
    return f"{typed}: {EXPECTED[kind]}" if kind in EXPECTED else message


def with_new_names(args: Sequence[str], renamed: Mapping[str, str], say: bool = True) -> list[str]:
    """`--search.pool 512` -> `--config.pool 512`, where `search` is called `config` now; each is said once."""
    found, told = [], set()
    for argument in args:
        name, equals, value = argument.partition("=")
        for old, new in sorted(renamed.items(), key=lambda item: -len(item[0])):
            rest = name[2 + len(old) :]
            if name.startswith(f"--{old}") and rest[:1] in ("", "."):
                if say and old not in told:
                    dashed = [part.replace("_", "-") for part in (old, new)]
                    sys.stderr.write(
                        f"hoprior: --{dashed[0]} is --{dashed[1]} now; the old name goes in the next version\n"
                    )
                    told.add(old)
                name = f"--{new}{rest}"
        found.append(name + equals + value)
    return found


def with_settings_files(function: Callable[..., Any], args: Sequence[str], renamed: Mapping[str, str]) -> list[str]:
    """`--config FILE.yaml` as the options that it stands for, of functions that have a parameter `config` themselves.

    Raises:
        HopriorError: the file cannot be read, or has settings that the command does not know.
    """
    parameters = signature(function).parameters
    if "config" not in parameters:
        return list(args)
    found: list[str] = []
    waiting = iter(args)
    for argument in waiting:
        name, equals, value = argument.partition("=")
        if name != "--config":
            found.append(argument)
            continue
        path = value if equals else next(waiting, "")
        found += _options_of(path, {*parameters, *renamed})
    return found


def _options_of(path: str, known: set[str]) -> list[str]:
    """The options that a settings file stands for: of the command where it names them, else of its `config`."""
    content = read_yaml(path, "give --config a YAML file of settings")
    if not isinstance(content, dict):
        raise HopriorError(f"--config {path}: holds no settings by name")
    prefix = "" if content.keys() & known else "config."
    return [
        f"--{prefix}{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in _leaves(content)
    ]


def _leaves(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """`{contact: {reach: 1}}` -> `("contact.reach", 1)`, so that each may have a former name."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from ((f"{name}.{inner}", leaf) for inner, leaf in _leaves(value))
        else:
            yield name, value


def with_bare_flags(function: Callable[..., Any], args: Sequence[str]) -> list[str]:
    """`--fast` alone for `--fast true`, and `--no-fast` for `--fast false`, of parameters that are true or false."""
    kinds = {name: parameter.annotation for name, parameter in signature(function).parameters.items()}
    flags = {f"--{name}" for name, kind in kinds.items() if kind in (bool, bool | None)}
    found: list[str] = []
    for k, argument in enumerate(args):
        if f"--{argument.removeprefix('--no_')}" in flags and argument.startswith("--no_"):
            found += [f"--{argument.removeprefix('--no_')}", "false"]
            continue
        found.append(argument)
        if argument in flags and (k + 1 == len(args) or args[k + 1].startswith("-")):
            found.append("true")
    return found


def with_joined_values(function: Callable[..., Any], args: Sequence[str]) -> list[str]:
    """`--up -z` -> `--up=-z`: a value may begin with one dash, since commands have no options of one dash but `-h`."""
    names = {
        f"--{name}" for name, parameter in signature(function).parameters.items() if parameter.annotation is not bool
    }
    found: list[str] = []
    waiting = iter(range(len(args)))
    for k in waiting:
        value = args[k + 1] if k + 1 < len(args) else ""
        if args[k] in names and value.startswith("-") and not value.startswith("--") and value != "-h":
            found.append(f"{args[k]}={value}")
            next(waiting)
        else:
            found.append(args[k])
    return found


def typed_texts(function: Callable[..., Any], args: Sequence[str]) -> dict[str, Any]:
    """What was typed for parameters that are a text or a path, or nothing: `~`, `null` and `#1.jpg` are such, too.

    The parser reads these as YAML, where they stand for nothing.
    """
    kinds = {
        f"--{name}": (name, next(kind for kind in get_args(hint) if kind is not type(None)))
        for name, hint in get_type_hints(function).items()
        if set(get_args(hint)) in ({str, type(None)}, {Path, type(None)})
    }
    found: dict[str, Any] = {}
    for k, argument in enumerate(args):
        option, equals, value = argument.partition("=")
        if option in kinds and (equals or k + 1 < len(args)):
            name, kind = kinds[option]
            found[name] = kind(value if equals else args[k + 1])
    return found


def with_leading(args: Sequence[str] | None, name: str, many: bool = False) -> list[str] | None:
    """What stands before all options is given to `--name`; with `many`, all of it as a list.

    Example:
        >>> with_leading(["a", "b", "--out", "c"], "folder", many=True)
        ['--folder=["a", "b"]', '--out', 'c']
    """
    if args is None:
        return None
    first = next((k for k, argument in enumerate(args) if argument.startswith("-")), len(args))
    leading, rest = list(args[:first]), list(args[first:])
    if many and leading:
        return [f"--{name}={json.dumps(leading)}", *rest]
    return [f"--{name}={leading[0]}", *leading[1:], *rest] if leading else rest


def named(args: Sequence[str] | None) -> list[str] | None:
    """`NAME ROOT` may stand without `--name` and `--root`."""
    if args is None or len(args) < 2 or args[0].startswith("-") or args[1].startswith("-"):
        return None if args is None else list(args)
    return ["--name", args[0], "--root", args[1], *args[2:]]


def parse_priors(text: str) -> tuple[tuple[float, str], ...]:
    """ "contrastive:1,grid:0.5" -> ((1.0, "contrastive"), (0.5, "grid")); "none" -> ()."""
    if text.strip() in ("", "none"):
        return ()
    terms = []
    for item in text.split(","):
        name, separator, weight = item.strip().rpartition(":")
        try:
            terms.append((float(weight), name) if separator else (1.0, weight))
        except ValueError:
            terms.append((1.0, item.strip()))
    return tuple(terms)
