"""Command lines made from functions, with jsonargparse: dashes or underscores, and one sentence for a wrong one."""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

from hoprior.errors import HopriorError


def call_with_arguments(function: Callable[..., Any], command: str, args: Sequence[str] | None) -> Any:
    """Calls a function with the arguments of a command line: `--name value` for each of its parameters.

    `--config FILE.yaml` gives any of them from a file, and `--help` says what they are.

    Raises:
        HopriorError: an argument that is unknown, missing, or not of its type.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    summary = (function.__doc__ or "").partition("\n")[0]
    parser = ArgumentParser(prog=command, description=summary, exit_on_error=False)
    parser.add_argument("--config", action="config", help="a YAML file with these settings")
    parser.add_function_arguments(function, as_positional=False)
    try:
        given = None if args is None else with_bare_flags(function, [underscored(a) for a in args])
        chosen = parser.instantiate_classes(parser.parse_args(given))
    except ArgumentError as error:
        message = " ".join(str(error).split())
        raise HopriorError(f"{command}: {message}; see {command} --help") from error
    chosen.pop("config", None)
    return function(**vars(chosen))


def with_bare_flags(function: Callable[..., Any], args: Sequence[str]) -> list[str]:
    """`--fast` alone for `--fast true`, of parameters that are true or false."""
    flags = {f"--{name}" for name, parameter in signature(function).parameters.items() if parameter.annotation is bool}
    found: list[str] = []
    for k, argument in enumerate(args):
        found.append(argument)
        if argument in flags and (k + 1 == len(args) or args[k + 1].startswith("-")):
            found.append("true")
    return found


def underscored(argument: str) -> str:
    """`--mesh-unit=mm` -> `--mesh_unit=mm`; values stay as they are."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def named(args: Sequence[str] | None) -> list[str] | None:
    """`NAME ROOT` may stand without `--name` and `--root`."""
    if args is None or len(args) < 2 or args[0].startswith("-") or args[1].startswith("-"):
        return None if args is None else list(args)
    return ["--name", args[0], "--root", args[1], *args[2:]]
