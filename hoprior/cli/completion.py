"""`hoprior completion`: a script for the shell, made by shtab of the same options that help shows."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, Literal

from hoprior.cli.arguments import call_with_arguments, with_leading
from hoprior.cli.commands import COMMANDS, description_of
from hoprior.cli.help import choices_of, metavar
from hoprior.common.console import MANNER


def parser_of_all() -> argparse.ArgumentParser:
    """All commands and options as argparse has them; it parses nothing."""
    parser = argparse.ArgumentParser(prog="hoprior")
    groups: dict[tuple[str, ...], Any] = {(): parser.add_subparsers()}
    for words in sorted(words for words in COMMANDS if "NAME" not in words):
        for depth in range(1, len(words)):
            if words[:depth] not in groups:
                group = groups[words[: depth - 1]].add_parser(words[depth - 1], help=f"{words[depth - 1]} ...")
                groups[words[:depth]] = group.add_subparsers()
        command = groups[words[:-1]].add_parser(words[-1], help=COMMANDS[words].about)
        for option in description_of(words).options:
            flag = f"--{option.name.replace('_', '-')}"
            added = command.add_argument(
                flag, metavar=metavar(option), choices=choices_of(option) or None, help=option.text.replace("%", "%%")
            )
            if "Path" in option.kind:
                import shtab

                added.complete = shtab.FILE  # type: ignore[attr-defined]
    return parser


def completion(shell: Literal["bash", "zsh", "fish", "tcsh"] = "bash") -> dict[str, str]:
    """A script that completes commands and options in a shell, on the output stream.

    Args:
        shell: which shell it is for.

    Example:
        hoprior completion bash > ~/.local/share/bash-completion/completions/hoprior
        hoprior completion zsh > ~/.zfunc/_hoprior
        hoprior completion fish > ~/.config/fish/completions/hoprior.fish
    """
    import shtab

    script = shtab.complete(parser_of_all(), shell)
    if not MANNER.as_json:
        sys.stdout.write(script)
    return {"shell": shell, "script": script}


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior completion`."""
    return call_with_arguments(completion, "hoprior completion", with_leading(args, "shell"))
