"""The command line: quick help, clear refusals, exit statuses."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from hoprior.cli.arguments import call_with_arguments
from hoprior.cli.commands import COMMANDS
from hoprior.cli.entry import main, resolve
from hoprior.cli.options import underscored
from hoprior.errors import HopriorError


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(words[-1] in text for words in COMMANDS)


def test_every_command_has_a_function() -> None:
    for words in (words for words in COMMANDS if "NAME" not in words):
        function, rest = resolve([*words, "--x"])
        assert callable(function) and rest[-1] == "--x"


def test_unknown_command_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "dance"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_is_not_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(args: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hoprior.cli.entry.resolve", lambda argv: (interrupted, []))
    assert main(["priors"]) == 130
    assert "Ctrl-C" in capsys.readouterr().err


def test_problems_of_the_user_exit_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuses(args: list[str]) -> None:
        raise HopriorError("mug.obj: not there")

    monkeypatch.setattr("hoprior.cli.entry.resolve", lambda argv: (refuses, []))
    assert main(["priors"]) == 2
    assert capsys.readouterr().err == "hoprior: mug.obj: not there\n"


def test_arguments_take_dashes_and_a_wrong_one_is_one_sentence() -> None:
    def shout(word: str, how_often: int = 1) -> str:
        """Says it."""
        return word * how_often

    assert call_with_arguments(shout, "shout", ["--word", "a-b", "--how-often", "2"]) == "a-ba-b"
    assert underscored("--mesh-unit=m-m") == "--mesh_unit=m-m" and underscored("a-b") == "a-b"
    for wrong in (["--word", "a", "--how-often", "x"], ["--word", "a", "--loud", "1"], []):
        with pytest.raises(HopriorError) as caught:
            call_with_arguments(shout, "shout", wrong)
        assert "\n" not in str(caught.value) and str(caught.value).startswith("shout: ")


def test_a_flag_may_stand_alone() -> None:
    def run(fast: bool = False, name: str = "") -> tuple[bool, str]:
        """Run."""
        return fast, name

    for args, found in (
        (["--fast"], (True, "")),
        (["--fast", "--name", "x"], (True, "x")),
        (["--fast", "false"], (False, "")),
        (["--fast=true"], (True, "")),
        (["--name", "x"], (False, "x")),
    ):
        assert call_with_arguments(run, "run", args) == found


@pytest.mark.slow
def test_help_answers_in_a_second_and_the_import_in_three() -> None:
    for code, limit in (("import sys, hoprior.cli; hoprior.cli.main(['--help'])", 1.0), ("import hoprior", 3.0)):
        best = min(_seconds(code) for _ in range(3))
        assert best < limit, (code, best)


def _seconds(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=Path.home())
    return time.perf_counter() - began
