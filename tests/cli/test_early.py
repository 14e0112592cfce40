"""What is refused before torch is loaded: files that are not there, and options that a command has not."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hoprior.cli.commands import COMMANDS, description_of
from hoprior.cli.early import PATH, refuse_early
from hoprior.cli.entry import main
from hoprior.cli.options import constant_of
from hoprior.errors import HopriorError

OURS = [words for words, command in COMMANDS.items() if command.does]
NOWHERE = "nowhere.xyz"


def _read_paths(words: tuple[str, ...]) -> list[str]:
    options = description_of(words).options
    return [o.name for o in options if o.kind in ("Path", "Path | None") and o.name not in COMMANDS[words].written]


PATHS = [(words, name) for words in OURS for name in _read_paths(words)]


def _typed(words: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """The words as they are typed, and those after them that stand for others."""
    return tuple(word for word in words if word != "NAME"), ["dexycb", "."] if words[-1] == "NAME" else []


@pytest.mark.parametrize(
    ("words", "option"), PATHS, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
@pytest.mark.parametrize("joined", [True, False])
def test_whatever_is_read_has_to_be_there(
    words: tuple[str, ...], option: str, joined: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    typed, before = _typed(words)
    dashed = f"--{option.replace('_', '-')}"
    args = [f"{dashed}={NOWHERE}"] if joined else [dashed, NOWHERE]
    with pytest.raises(HopriorError, match=f"^{dashed} {NOWHERE}: there is no such file or folder: "):
        refuse_early(typed, [*before, *args])
    (tmp_path / NOWHERE).touch()
    refuse_early(typed, [*before, *args])


@pytest.mark.parametrize("words", OURS, ids=" ".join)
@pytest.mark.parametrize("empty", ["", " "])
def test_no_path_is_empty(words: tuple[str, ...], empty: str) -> None:
    """Path("") is the folder one is in: `--mesh "$UNSET"` would grasp all that lies there."""
    typed, before = _typed(words)
    for option in description_of(words).options:
        if PATH.fullmatch(option.kind):
            dashed = f"--{option.name.replace('_', '-')}"
            for args in ([f"{dashed}={empty}"], [dashed, empty]):
                with pytest.raises(HopriorError, match=f"^{dashed} is empty: give a path"):
                    refuse_early(typed, [*before, *args])


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_former_names_are_let_through(words: tuple[str, ...]) -> None:
    module = COMMANDS[words].does.partition(":")[0]
    source = importlib.import_module(module).__file__
    assert source is not None
    calls = [node for node in ast.walk(ast.parse(Path(source).read_text())) if isinstance(node, ast.Call)]
    given = [c.args[3:] + [k.value for k in c.keywords] for c in calls if "call_with_arguments" in ast.unparse(c.func)]
    # What is known before the command is loaded is what its own reader is given.
    assert all(ast.unparse(value) == "RENAMED" for values in given for value in values)
    typed, before = _typed(words)
    for name in constant_of(COMMANDS[words].does, "RENAMED") or {}:
        refuse_early(typed, [*before, f"--{name}", "1"])
        refuse_early(typed, [*before, f"--{name}.anything", "1"])


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_every_option_of_every_command_is_let_through_and_nothing_else(words: tuple[str, ...]) -> None:
    typed, before = _typed(words)
    said = description_of(words)
    for option in said.options:
        for name in (option.name, option.name.replace("_", "-")):
            refuse_early(typed, [*before, f"--{name}"])
        if option.kind == "bool":
            refuse_early(typed, [*before, f"--no-{option.name}"])
    refuse_early(typed, [*before, "--config", "settings.yaml"])
    with pytest.raises(HopriorError, match="there is no option --of-nobody: "):
        refuse_early(typed, [*before, "--of_nobody", "1"])


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["eval", "grasp", ".", NOWHERE], f"{NOWHERE}: there is no such file or folder"),
        (["eval", "reconstruct", NOWHERE, "--clip", "."], f"{NOWHERE}: there is no such file or folder"),
        (["view", NOWHERE], f"{NOWHERE}: there is no such file or folder"),
        (["export", NOWHERE, "--to", "mjcf"], f"{NOWHERE}: there is no such file or folder"),
        (["data", "check", "dexycb", NOWHERE], f"{NOWHERE}: there is no such file or folder"),
        (["data", "prepare", "dexycb", NOWHERE, "--out", "x"], f"{NOWHERE}: there is no such file or folder"),
        (["data", "stats", NOWHERE], f"{NOWHERE}: there is no such file or folder"),
        (
            ["run", "grasp", "--mesh", "broken.obj"],
            "--mesh broken.obj: is a link to gone.obj, which is not there: mend the link",
        ),
        (["view", ""], "'' is empty: give a path"),
        (
            ["run", "grasp", "--mesh", "cups.obj"],
            "--mesh cups.obj: there is no such file or folder: did you mean cup.obj?",
        ),
        (
            ["run", "grasp", "--meshes", "cup.obj"],
            "hoprior run grasp: there is no option --meshes: did you mean --mesh?",
        ),
        (["run", "grasp", "--config.pol", "3"], "there is no option --config.pol: did you mean --config.pool?"),
    ],
)
def test_each_is_one_sentence(
    argv: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cup.obj").touch()
    (tmp_path / "broken.obj").symlink_to("gone.obj")
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert (
        said.count("\n") == 1
        and said.startswith(f"hoprior: {says}" if says[0] != "t" else "hoprior: ")
        and says in said
    )


@pytest.mark.parametrize(
    ("words", "args"),
    [
        (("run", "grasp"), ["--search.pool", "3", "--search.contact.near", "1"]),
        (("export",), ["hand", "--to", "mjcf"]),
        (("eval", "grasp"), ['--folder=["a", "b"]']),
        (("run", "grasp"), ["--mesh"]),
        (("run", "reconstruct"), ["--config.hand-steps", "2"]),
        (("fit",), ["--model.init_args.members", "1", "--data.cache", NOWHERE]),
        (("run", "grasp"), ["--mesh", "a" * 5000]),
    ],
)
def test_former_names_and_what_only_the_command_understands_are_left_to_it(
    words: tuple[str, ...], args: list[str]
) -> None:
    refuse_early(words, args)


def test_nothing_heavy_is_loaded_for_it(tmp_path: Path) -> None:
    code = f"""
import sys
from hoprior.cli.entry import main
from hoprior.cli.options import constant_of
asked = [["eval", "grasp", "{NOWHERE}"], ["run", "refine", "--image", "{NOWHERE}"], ["run", "grasp", "--of-nobody"]]
assert [main(argv) for argv in asked] == [2, 2, 2]
print("loaded:", *({{"torch", "numpy", "trimesh", "rich", "jsonargparse"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"loaded:\s*", done.stdout)
