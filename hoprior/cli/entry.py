"""The `hoprior` command. Everything heavy is imported only by the command that needs it, and by none of its help."""

import importlib
import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hoprior.cli.commands import COMMANDS, described_words, members, words_of
from hoprior.cli.early import refuse_early
from hoprior.common.console import MANNER, printable
from hoprior.errors import ArgumentError, HopriorError, SomeFailed

HELP, ALL_HELP = ("-h", "--help"), "--help-all"
FLAGS = {"--quiet": "quiet", "--verbose": "verbose", "--json": "as_json"}
"""What every command takes, wherever it stands."""


def resolve(argv: Sequence[str]) -> tuple[Callable[[list[str]], object], list[str]]:
    """The function that a command line asks for, and the arguments left for it."""
    words = words_of(argv)
    command = COMMANDS[words]
    module, function = command.main.split(":")
    rest = list(argv) if command.training else list(argv[len(words) :])
    return getattr(importlib.import_module(module), function), rest


def help_for(argv: Sequence[str]) -> str | None:
    """The help that a command line asks for; None where it asks for none, or for what only Lightning knows.

    Raises:
        HopriorError: it is for no command.
    """
    from hoprior.cli import help as helping

    if not argv or argv[0] in (*HELP, "help", ALL_HELP):
        return helping.overview()
    if members(argv[0]) and (len(argv) < 2 or argv[1] in (*HELP, ALL_HELP)):
        return helping.group_help(argv[0])
    if not set(argv) & {*HELP, ALL_HELP}:
        return None
    if members(argv[0]) and argv[1].startswith("-"):
        return helping.group_help(argv[0])
    words = words_of(argv)
    everything = ALL_HELP in argv
    if everything and COMMANDS[words].training:
        return None
    return helping.command_help(described_words(words, argv[len(words) :]), everything)


class Terminated(BaseException):
    """The machine, a scheduler or a container asks the process to end."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, SIGTERM ends what is done like Ctrl-C does: with what is half written removed."""
    if threading.current_thread() is not threading.main_thread():  # only there may Python be told
        yield
        return

    def stop(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 where some of many things failed, 2 for a problem the user can
    act on, 130 for Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["--version"]:
        from importlib.metadata import version

        sys.stdout.write(f"hoprior {version('hoprior')}\n")
        return 0
    # Threads that wait for each other by spinning halve the speed of a machine that does something else as well; it has
    # to be said before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = {name for flag, name in FLAGS.items() if flag in argv}
    argv = [argument for argument in argv if argument not in FLAGS]
    with MANNER.as_said(**dict.fromkeys(given, True)):
        try:
            if (text := help_for(argv)) is not None:
                sys.stdout.write(text)
                return 0
            if MANNER.verbose:
                logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
            argv = ["--help" if argument == ALL_HELP else argument for argument in argv]
            with stoppable():
                words = words_of(argv)
                refuse_early(words, argv[len(words) :])
                function, rest = resolve(argv)
                _tell(function(rest))
        except SomeFailed as error:
            sys.stderr.write(printable(f"hoprior: {error}\n"))
            _tell(error.result)
            return 1
        except HopriorError as error:
            return _refused(error)
        except KeyboardInterrupt:
            sys.stderr.write("hoprior: stopped by Ctrl-C; no unfinished result was written\n")
            return 130
        except Terminated:
            sys.stderr.write("hoprior: stopped by SIGTERM; no unfinished result was written\n")
            return 128 + signal.SIGTERM
        except BrokenPipeError:
            return 0
    return 0


def _tell(result: Any) -> None:
    if MANNER.as_json:
        sys.stdout.write(json.dumps({} if result is None else result, indent=1, default=str) + "\n")


def _refused(error: HopriorError) -> int:
    said = error.as_option() if isinstance(error, ArgumentError) else str(error)
    if MANNER.verbose:
        traceback.print_exception(error)
    sys.stderr.write(printable(f"hoprior: {said}\n"))
    if MANNER.as_json:
        sys.stdout.write(json.dumps({"error": said}) + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
