"""Every command that README and docs show: it exists, with these options and values; those of the quickstart run.

All others are only parsed here, as they need somebody's data, a model server or minutes: their words, options and the
values of options that have a list of them. Tests of each command, in its room, run it with values of their own.
"""

import re
import shlex
from pathlib import Path

import pytest

from hoprior.cli import main
from hoprior.cli.commands import COMMANDS, TRAINING_OPTIONS, description_of, words_of
from hoprior.cli.fit import with_configurations
from hoprior.cli.help import choices_of
from hoprior.cli.options import Option

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
QUICKSTART = ROOT / "docs" / "quickstart.md"
EVERYWHERE = {"help", "help_all", "quiet", "verbose", "json", "version", "print_config", "config", "c"}
LIGHTNING = ("trainer.", "data", "model", "checkpoint", "optimizer")


def _commands(page: Path) -> list[str]:
    """The command lines of a page's indented and fenced blocks, continued lines joined, without comments."""
    text = re.sub(r" *\\\n *", " ", page.read_text(encoding="utf-8"))
    found = []
    for line in text.splitlines():
        shown = re.match(r"(?:    |\$ )?(?:[A-Z_]+=\S+ )*(hoprior [a-z].*)", line)
        if shown is not None and (line.startswith(("    ", "$ ")) or _fenced(text, line)):
            found.append(re.sub(r"\s+#.*| {3,}.*", "", shown[1]))
    return found


def _fenced(text: str, line: str) -> bool:
    return any(
        line in block for block in re.findall(r"^```(?:bash|sh|console)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    )


SHOWN = [(page, command) for page in PAGES for command in _commands(page)]


def _known(option: str, words: tuple[str, ...], options: dict[str, Option]) -> bool:
    if option in EVERYWHERE or option in options or option.removeprefix("no_") in options:
        return True
    if COMMANDS[words].training:
        return option.startswith(LIGHTNING) or option in {known.name for known in TRAINING_OPTIONS}
    return False


def test_there_are_many() -> None:
    assert len(SHOWN) > 80


@pytest.mark.parametrize(("page", "command"), SHOWN, ids=lambda value: getattr(value, "stem", value))
def test_its_options_exist(page: Path, command: str) -> None:
    argv = shlex.split(command.replace("[", "").replace("]", ""))[1:]
    if argv[0] in ("help", "data") and argv[1:2] in ([], ["list"]):
        return
    words = words_of(argv)
    if words == ("data", "prepare") and len(argv) > 2 and not argv[2].startswith("-"):
        words = ("data", "prepare", "NAME")
    options = {option.name: option for option in description_of(words).options}
    for k, argument in enumerate(argv):
        if argument.startswith("--"):
            name, equals, value = argument[2:].rstrip("+").partition("=")
            name = name.rstrip("+").replace("-", "_")
            assert _known(name, words, options), f"{page.name}: --{name} of {' '.join(words)}"
            following = value if equals else (argv[k + 1] if k + 1 < len(argv) else "")
            choices = choices_of(options[name]) if name in options else []
            if choices and following and "|" not in following and not following.startswith("--"):
                assert following in choices, f"{page.name}: --{name} {following}"
    if COMMANDS[words].training:
        with_configurations([a for a in argv if "FILE" not in a and "mine.yaml" not in a])


@pytest.mark.slow
def test_the_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, but small; `view` is a server, which tests/cli/test_view.py runs."""
    monkeypatch.chdir(tmp_path)
    small = {
        "demo": ["--no-grasps", "--frames", "6"],
        "run grasp": ["--num", "1", "--config.pool", "256"],
        "run refine": [],
        "run generate": ["--num", "1"],
        "run reconstruct": ["--minutes", "0.3"],
    }
    done = set()
    for command in _commands(QUICKSTART):
        argv = shlex.split(command)[1:]
        words = " ".join(words_of(argv))
        if words != "view":
            assert main([*argv, *small[words]]) == 0, command
            done.add(words)
    assert done == set(small)
