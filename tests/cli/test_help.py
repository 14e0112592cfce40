"""Help: quick, without what a command needs, the same as what is parsed, and with a sentence for all there is."""

import importlib
import re
import shutil
import subprocess
import sys
import time
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from hoprior.cli.commands import COMMANDS, TRAINING_OPTIONS, description_of, members, words_of
from hoprior.cli.entry import main
from hoprior.cli.help import command_help, configurations
from hoprior.cli.options import NO_DEFAULT, Option, underscored

HEAVY = ("torch", "trimesh", "scipy", "numpy", "jsonargparse", "pytorch_lightning", "rich")
OURS = [words for words, command in COMMANDS.items() if command.does]
UNITS = re.compile(
    r"\b(kg|m|mm|cm|cm²|rad|rad²|degrees|seconds|minutes|pixels?|metres|shares?|fractions?|steps?|frames?|1/m|1/m²|"
    r"rate|scale|percent|times|how (many|often|much|far|deep|long)|number|weight|cost|width|processes|points|port|"
    r"standard deviations?|counts? for|at most|error|ratio|deviation)\b|[²°%]|1/"
)


def test_no_help_loads_what_the_command_needs() -> None:
    code = f"""
import contextlib, io, sys
from hoprior.cli.commands import COMMANDS
from hoprior.cli.entry import main
asked = [["--help"], ["run", "--help"], ["eval", "--help"], ["data", "-h"], ["help"], []]
asked += [[*(w for w in words if w != "NAME"), *["x", "y"][: 2 * ("NAME" in words)], "--help"] for words in COMMANDS]
asked += [[*words, "--help-all"] for words, command in COMMANDS.items() if command.does and "NAME" not in words]
for argv in asked:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(argv) == 0, argv
    assert out.getvalue().startswith("usage: hoprior"), argv
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    assert not loaded, (argv, loaded)
print(len(asked))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2 * len(OURS)


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_help_says_what_is_parsed(words: tuple[str, ...]) -> None:
    from jsonargparse import ArgumentParser

    module, _, name = COMMANDS[words].does.partition(":")
    function = getattr(importlib.import_module(module), name)
    parser = ArgumentParser(exit_on_error=False)
    if signature(function).parameters:
        parser.add_function_arguments(function, as_positional=False)
    parsed = {key: value for key, value in vars(parser.get_defaults().as_flat()).items()}
    said = {option.name: option.default for option in description_of(words).options}
    assert said.keys() == parsed.keys()
    wrong = {name: (value, parsed[name]) for name, value in said.items() if _plain(value) != _plain(parsed[name])}
    assert not wrong


def _plain(value: Any) -> Any:
    if value is NO_DEFAULT:
        return None
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


@pytest.mark.parametrize("words", list(COMMANDS), ids=" ".join)
def test_every_option_has_a_sentence_and_every_number_a_unit(words: tuple[str, ...]) -> None:
    said = description_of(words)
    assert said.summary and said.examples, words
    assert all(example.startswith("hoprior ") for example in said.examples)
    assert not [option.name for option in said.options if not re.match(r"\S.*[.:)]", option.text)]
    numbers = [option for option in said.options if re.search(r"\bfloat\b", option.kind)]
    told = [(option.name, f"{option.name.replace('_', ' ')} {option.text}") for option in numbers]
    assert not [name for name, text in told if not UNITS.search(text)]
    short, whole = command_help(words), command_help(words, everything=True)
    assert len(short.splitlines()) < 110
    assert all(f"--{option.name.replace('_', '-')} " in whole for option in said.options)


@pytest.mark.parametrize("words", list(COMMANDS), ids=" ".join)
def test_examples_name_options_that_there_are(words: tuple[str, ...]) -> None:
    known = {option.name for option in description_of(words).options}
    for example in description_of(words).examples:
        asked = {underscored(word)[2:].partition("=")[0] for word in example.split() if word.startswith("--")}
        assert asked <= known, example


ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_documents_are_there_with_their_options(page: Path) -> None:
    for line in re.findall(r"^ {4}(?:> )?hoprior (\S.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
        typed = line.partition("  #")[0].split()
        if typed[0].startswith("-"):
            continue
        words = words_of(typed)
        left = typed[len(words) :]
        if (*words, "NAME") in COMMANDS and left and not left[0].startswith("-"):
            words = (*words, "NAME")
        known = {option.name for option in description_of(words).options}
        for word in left:
            name = underscored(word)[2:].partition("=")[0]
            if not word.startswith("--") or word in ("--help", "--help-all", "--quiet", "--verbose", "--json"):
                continue
            lightnings = ("trainer", "model", "data", "checkpoint", "pictures", "print_config")
            if COMMANDS[words].training and name.partition(".")[0] in lightnings:
                continue
            groups = {option.rpartition(".")[0] for option in known}
            assert name in known | groups or name.removeprefix("no_") in known or name == "config", (page.name, line)


def test_settings_of_training_are_lightnings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    from hoprior.cli.configurations import with_configurations

    parser = _training_parser()
    for option in TRAINING_OPTIONS:
        if option.name not in ("config", "ckpt_path", "data.cache"):
            assert option.name in parser, option
    for name in configurations():
        (found,) = with_configurations([f"--config={name}"])
        assert Path(found.partition("=")[2]).is_file()
        assert with_configurations(["-c", f"configs/{name}.yaml"])[1] == found.partition("=")[2]


def _training_parser() -> set[str]:
    from hoprior.cli.fit import LightningDataModule, LightningModule, Trainer, TrainingCLI, TrainingParser

    cli = object.__new__(TrainingCLI)
    parser = TrainingParser()
    cli.seed_everything_default, cli.trainer_class, cli.trainer_defaults = 0, Trainer, {}
    cli._model_class, cli._datamodule_class, cli.datamodule_class = LightningModule, LightningDataModule, None
    cli.subclass_mode_model = cli.subclass_mode_data = True
    cli.add_default_arguments_to_parser(parser)
    cli.add_core_arguments_to_parser(parser)
    cli.add_arguments_to_parser(parser)
    return {action.dest for action in parser._actions}


def test_a_configuration_that_does_not_exist_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "nothing_like_it"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "contrastive" in told


@pytest.mark.parametrize(
    "argv", [["fit"], ["fit", "--out", "x"], ["fit", "--config"], ["validate", "-c", "--out", "x"]]
)
def test_a_training_without_a_configuration_is_one_sentence(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1 and "contrastive" in told and "mixtures" not in told


def test_groups_and_commands_are_helped_and_a_wrong_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for group in ("run", "eval", "data"):
        assert main([group, "--help"]) == 0
        text = capsys.readouterr().out
        assert all(" ".join(words) in text for words in members(group))
    assert main(["run", "dance", "--help"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["run", "grasp", "--help"]) == 0
    short = capsys.readouterr().out
    assert main(["run", "grasp", "--help-all"]) == 0
    assert "--config.contact.press-depth" in capsys.readouterr().out and "press-depth" not in short


def test_flags_for_all_reach_no_command_and_json_is_all_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    from hoprior.common.console import MANNER, answers_console, notes_console

    seen: list[Any] = []

    def command(args: list[str]) -> dict[str, int]:
        seen.append((args, MANNER.quiet, MANNER.verbose, MANNER.as_json))
        answers_console().print("an answer")
        notes_console().print("a note")
        return {"grasps": 3}

    monkeypatch.setattr("hoprior.cli.entry.resolve", lambda argv: (command, list(argv[1:])))
    assert main(["priors", "--json", "--tasks", "--quiet"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {"grasps": 3} and told.err == ""
    assert main(["priors"]) == 0
    told = capsys.readouterr()
    assert told.out == "an answer\n" and told.err == "a note\n"
    assert seen == [(["--tasks"], True, False, True), ([], False, False, False)]


def test_an_error_as_json_and_where_it_comes_from(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    monkeypatch.chdir(tmp_path)  # its results go to `out`
    assert main(["run", "grasp", "--mesh", "nothing.obj", "--json", "--verbose"]) == 2
    told = capsys.readouterr()
    assert "nothing.obj" in json.loads(told.out)["error"]
    assert "Traceback" in told.err and told.err.splitlines()[-1].startswith("hoprior: ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command_and_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for words in COMMANDS:
        assert all(word in script for word in words if word != "NAME")
    long = "-l {}" if shell == "fish" else "--{}"
    assert long.format("mesh-unit") in script and long.format("config.contact.press-depth") in script
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=script, text=True).returncode == 0


@pytest.mark.slow
def test_help_is_quick() -> None:
    for argv, limit in ((["--help"], 0.3), (["run", "grasp", "--help"], 1.5), (["fit", "--help"], 1.5)):
        best = min(_seconds(argv) for _ in range(3))
        assert best < limit, (argv, best)


def _seconds(argv: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "hoprior", *argv], check=True, capture_output=True)
    return time.perf_counter() - began


def test_an_option_is_shown_as_it_is_typed() -> None:
    from hoprior.cli.help import metavar

    for kind, shown in (
        ("int", "N"),
        ("Path | None", "PATH"),
        ("bool", "true|false"),
        ('Literal["a", "b"]', "a|b"),
        ("list[Path]", "[PATH]"),
    ):
        assert metavar(Option("x", kind, None, "")) == shown


def test_every_command_has_a_result_for_json_but_a_server() -> None:
    """Each returns what `--json` prints; `view` serves until it is stopped."""
    from hoprior.cli.options import _module

    silent = []
    for words, command in COMMANDS.items():
        if command.does:
            module, _, name = command.does.partition(":")
            returns = _module(module)[name].returns
            if returns is None or getattr(returns, "value", 0) is None:
                silent.append(words)
    assert silent == [("view",)]


@pytest.mark.parametrize(
    ("argv", "key"),
    [
        (["describe", "--category", "ball", "--size", "large"], "descriptions"),
        (["data", "list"], "dexycb"),
        (["completion", "bash"], "script"),
        (["doctor", "--no-test"], "packages"),
    ],
)
def test_json_is_all_that_is_printed(argv: list[str], key: str, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[key]


@pytest.mark.parametrize("group", ["run", "eval", "data"])
def test_a_group_alone_shows_its_commands(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([group]) == 0
    told = capsys.readouterr().out
    assert all(" ".join(words) in told for words in members(group) if "NAME" not in words)


def test_a_configuration_that_there_is_not_is_refused_before_lightning_is_loaded() -> None:
    code = """
import sys
from hoprior.cli.entry import main
assert main(["fit", "--config", "nothing"]) == 2
assert "pytorch_lightning" not in sys.modules and "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "contrastive" in done.stderr, done.stderr
