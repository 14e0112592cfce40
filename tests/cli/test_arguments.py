"""Command lines made from functions: settings by option and by file, and names that options had before."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hoprior.cli.arguments import call_with_arguments, parse_priors
from hoprior.cli.entry import main
from hoprior.errors import ArgumentError, HopriorError


@dataclass(frozen=True)
class Inner:
    """Settings of settings.

    Attributes:
        rate: a number.
    """

    rate: float = 0.5


@dataclass(frozen=True)
class Settings:
    """Settings.

    Attributes:
        pool: how many.
        range: from and to.
        inner: more.
    """

    pool: int = 4
    range: tuple[float, float] = (0.0, 1.0)
    inner: Inner = field(default_factory=Inner)


DEFAULT = Settings()


def grip(thing: str = "mug", tight: bool = False, config: Settings = DEFAULT) -> tuple[str, bool, Settings]:
    """Grips.

    Args:
        thing: what.
        tight: how.
        config: settings.
    """
    return thing, tight, config


def typed(*args: str, renamed: dict[str, str] | None = None) -> Any:
    return call_with_arguments(grip, "hoprior grip", list(args), renamed)


def test_fields_of_the_settings_are_options() -> None:
    thing, tight, config = typed("--config.pool", "7", "--config.inner.rate=0.25", "--thing", "cup", "--tight")
    assert (thing, tight, config.pool, config.inner.rate, config.range) == ("cup", True, 7, 0.25, (0.0, 1.0))


def test_a_file_gives_the_settings_or_the_whole_command(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("pool: 9\nrange: [0.5, 0.75]\ninner: {rate: 2}\n")
    _, _, config = typed("--config", str(tmp_path / "settings.yaml"), "--config.range", "[0, 0.5]")
    assert (config.pool, config.range, config.inner.rate) == (9, (0.0, 0.5), 2.0)
    (tmp_path / "all.yaml").write_text("thing: '#1 cup'\ntight: true\nconfig: {pool: 3}\n")
    thing, tight, config = typed(f"--config={tmp_path / 'all.yaml'}")
    assert (thing, tight, config.pool) == ("#1 cup", True, 3)


def test_former_names_work_and_say_the_new_one_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    renamed = {"search": "config", "search.many": "config.pool", "object_name": "thing"}
    thing, _, config = typed(
        "--search.inner.rate",
        "1",
        "--search.range=[0,0.5]",
        "--search.many",
        "8",
        "--object-name",
        "jar",
        renamed=renamed,
    )
    assert (thing, config) == ("jar", Settings(8, (0.0, 0.5), Inner(1.0)))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and "hoprior: --search is --config now; the old name goes in the next version" in lines
    (tmp_path / "old.yaml").write_text("search: {many: 6, inner: {rate: 3}}\n")
    config = typed("--config", str(tmp_path / "old.yaml"), renamed=renamed)[2]
    assert (config.pool, config.inner.rate) == (6, 3.0)


@pytest.mark.parametrize(
    ("content", "says"),
    [("- 1\n", "holds no settings"), (": :", "a YAML file"), ("depth: 2\n", "depth"), (None, "a YAML file")],
)
def test_files_that_are_no_settings_are_refused(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "bad.yaml").write_text(content)
    with pytest.raises(HopriorError, match=says):
        typed("--config", str(tmp_path / "bad.yaml"))


def test_wrong_options_are_one_sentence() -> None:
    with pytest.raises(HopriorError, match="see hoprior grip --help"):
        typed("--depth", "2")


@pytest.mark.parametrize(("argv", "says"), [
    (["view", ".", "--port", "abc"], "--port abc: takes a whole number"),
    (["run", "grasp", "--mesh", ".", "--config.spare", "x"], "--config.spare x: takes a number"),
    (["run", "grasp"], "hoprior run grasp: --mesh is missing; see"),
    (["run", "generate", "--text", "a", "--out"], "--out takes a value, and none follows"),
    (["completion", "nu"], "--shell nu: takes one of bash, zsh, fish, tcsh"),
    (["eval", "refine", "--synthetic", "set"], "--synthetic set: takes a list"),
])  # fmt: skip
def test_values_of_another_type_are_told_in_plain_words(
    argv: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert says in capsys.readouterr().err


def test_priors_and_their_weights() -> None:
    assert parse_priors("contrastive:1,grid:0.5") == ((1.0, "contrastive"), (0.5, "grid"))
    assert parse_priors("C:/mine.safetensors") == ((1.0, "C:/mine.safetensors"),)
    assert parse_priors("none") == ()


def test_arguments_are_named_as_each_reader_knows_them() -> None:
    error = ArgumentError("config.guidance_scale", -1, "is below 0")
    assert str(error) == "config.guidance_scale=-1 is below 0"
    assert error.as_option() == "--config.guidance-scale -1 is below 0"


def look(
    image: Path | None = None, text: str | None = None, up: str = "auto", out: Path = Path("out"), num: int = 1
) -> tuple[Path | None, str | None, str, Path, int]:
    """Looks.

    Args:
        image: where.
        text: what.
        up: which way.
        out: whereto.
        num: how many.
    """
    return image, text, up, out, num


ODD = [
    "#1.jpg",
    "~",
    "null",
    "Null",
    "12",
    "007",
    "1e3",
    "true",
    "[a]",
    "a: b",
    "a #b",
    "'q'",
    '"q"',
    "2020-01-01",
    "-z",
]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("joined", [True, False])
def test_texts_and_paths_are_what_was_typed(value: str, joined: bool) -> None:
    names = ["--image", "--text", "--up", "--out"]
    args = [f"{name}={value}" for name in names] if joined else [part for name in names for part in (name, value)]
    found = call_with_arguments(look, "hoprior look", [*args, "--num", "-3"])
    assert found == (Path(value), value, value, Path(value), -3)


def test_what_is_not_typed_stays_as_it_is_by_default(tmp_path: Path) -> None:
    (tmp_path / "look.yaml").write_text("text: null\nup: z\n")
    found = call_with_arguments(look, "hoprior look", ["--config", str(tmp_path / "look.yaml")])
    assert found == (None, None, "z", Path("out"), 1)


def test_options_are_no_values() -> None:
    with pytest.raises(HopriorError, match="--up takes a value, and none follows"):
        call_with_arguments(look, "hoprior look", ["--up", "--num", "3"])
