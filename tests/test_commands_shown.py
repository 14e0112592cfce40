"""Every command that README and docs show: it exists, with these options and values; README and quickstart run.

All others are only parsed here: their words, options and the values of options that have a list of them.
`test_commands_run.py` runs each alone, small, or says why not.
"""

import re
import shlex
from pathlib import Path

import pytest
from documented_outputs import SECTIONS, faults_of
from shown_commands import ROOT, Shown, shown_commands, typed_lines

from hoprior.cli import main
from hoprior.cli.commands import COMMANDS, TRAINING_OPTIONS, description_of, words_of
from hoprior.cli.configurations import with_configurations
from hoprior.cli.help import choices_of
from hoprior.cli.options import Option
from hoprior.cli.places import results_folder
from hoprior.cli.view import page_at
from hoprior.errors import HopriorError
from hoprior.results.grasps import GRASPS
from hoprior.results.reconstructions import check_writable

QUICKSTART = ROOT / "docs" / "quickstart.md"
EVERYWHERE = {"help", "help_all", "quiet", "verbose", "json", "version", "print_config", "config", "c"}
LIGHTNING = ("trainer.", "data", "model", "checkpoint", "pictures", "optimizer")


SHOWN = [shown for shown in shown_commands() if shown.argv[0] == "hoprior"]


def _known(option: str, words: tuple[str, ...], options: dict[str, Option]) -> bool:
    if option in EVERYWHERE or option in options or option.removeprefix("no_") in options:
        return True
    if COMMANDS[words].training:
        return option.startswith(LIGHTNING) or option in {known.name for known in TRAINING_OPTIONS}
    return False


def test_there_are_many() -> None:
    assert len(SHOWN) > 80


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.line)
def test_its_options_exist(shown: Shown) -> None:
    page, argv = shown.page, shown.argv[1:]
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
        with_configurations(["contrastive" if a == "NAME" else a for a in argv])


SMALL = {
    "demo": ["--no-grasps", "--frames", "6"],
    "run grasp": ["--num", "1", "--config.pool", "256"],
    "run generate": ["--num", "1"],
    "run reconstruct": ["--minutes", "0.3"],
}
"""What makes a command quick. `view` is a server, which tests/cli/test_view.py runs."""


@pytest.mark.slow
@pytest.mark.parametrize("page", [ROOT / "README.md", QUICKSTART], ids=lambda page: page.stem)
def test_every_line_works_typed_one_after_the_other(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands, but small, in one folder: no task is refused for what another has left there."""
    monkeypatch.chdir(tmp_path)
    done = set()
    for command in typed_lines(page):
        if not command.startswith("hoprior"):
            continue
        argv = shlex.split(command)[1:]
        words = " ".join(words_of(argv))
        if words != "view":
            assert main([*argv, *SMALL.get(words, [])]) == 0, command
            done.add(words)
    assert done >= {*SMALL, "run refine"}
    text = page.read_text(encoding="utf-8")
    for command in re.findall(r"`(hoprior (?:eval|export|view) out/[^`]*|hoprior export hand [^`]*)`", text):
        argv = shlex.split(command)[1:]
        if argv[0] == "view":
            page_at(Path(argv[1]))
        else:
            assert main(argv) == 0, command
    written = [path for path in tmp_path.rglob("*.json") if path.stem in SECTIONS and path.parent.name != "clip"]
    assert len(written) >= 4
    assert [(str(path), fault) for path in written for fault in faults_of(path, whole=False)] == []


def test_a_task_without_out_meets_no_other_s_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "a hand holding a hammer by the handle or the head"
    named = {
        results_folder(None, source, kind)
        for source in (Path("demo/mug.obj"), Path("mug"), text, text.replace("hammer", "cup"))
        for kind in ("grasps", "samples", "poses", "hands", "reconstruction")
    }
    assert len(named) == 15 and all(path.parent == Path("out") for path in named)
    assert all(re.fullmatch(r"\w{1,60}", path.name) for path in named)
    assert results_folder(Path("here"), text, "poses") == Path("here")
    assert results_folder(None, "?!", "poses") == Path("out/poses")


def test_a_folder_may_hold_folders_of_results(tmp_path: Path) -> None:
    """So that `--out out` works where tasks have made folders of their own in `out`."""
    (tmp_path / "mug_hands").mkdir()
    (tmp_path / "mug_hands" / "hands.json").write_text('{"format": "hoprior-hands/1"}')
    GRASPS.check_writable(tmp_path)
    check_writable(tmp_path)
    (tmp_path / "somebody_s").mkdir()
    for check in (GRASPS.check_writable, check_writable):
        with pytest.raises(HopriorError, match="somebody_s"):
            check(tmp_path)
