"""How long things are: what is said, what a file says, and what cannot be."""

import ast
import itertools
import math
import re
from pathlib import Path

import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from hoprior.errors import HopriorError
from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.units import FAR, METRES_PER_UNIT, NEAR, SHOWN_UNITS, Sizing, UsualSize, length_text, parse_length
from hoprior.tasks.objects import load_object, usual_size

BOTTLE = UsualSize("bottle", 0.12, 0.32)


def box(path: Path, longest: float) -> Path:
    trimesh.creation.box([longest, longest / 3, longest / 3]).export(path)
    return path


@given(st.floats(0.004, 1.9), st.floats(1e-4, 1e4), st.sampled_from(sorted(METRES_PER_UNIT)))
def test_the_size_that_is_said_is_the_size(metres: float, longest: float, unit: str) -> None:
    text = f"{metres / METRES_PER_UNIT[unit]:.12g}{unit}"
    assert parse_length(text) == pytest.approx(metres)
    sizing = Sizing(size=text)
    assert longest * sizing.metres_per_unit(longest, said=0.01) == pytest.approx(metres)


@given(st.floats(1e-4, 1e4), st.sampled_from([None, 0.001, 0.0254]), st.sampled_from([None, *METRES_PER_UNIT]))
def test_a_scale_multiplies_the_unit_that_is_said_or_that_the_file_says(
    scale: float, said: float | None, unit: str | None
) -> None:
    per_unit = Sizing(unit=unit).metres_per_unit(1.0, said)
    assert per_unit == (METRES_PER_UNIT[unit] if unit else said or 1.0)
    assert Sizing(unit=unit, scale=scale).metres_per_unit(1.0, said) == pytest.approx(scale * per_unit)


@pytest.mark.parametrize("size", ["12", "cm", "-3cm", "0cm", "nan", "1..2cm", "12 parsec", math.inf, -1.0, ""])
def test_what_is_no_length_is_refused(size: str | float) -> None:
    with pytest.raises(HopriorError, match="size="):
        Sizing(size=size)


@pytest.mark.parametrize("more", [{"unit": "cm"}, {"scale": 2.0}])
def test_a_size_and_something_else_that_says_it_are_refused(more: dict[str, object]) -> None:
    with pytest.raises(HopriorError, match="give one of them"):
        Sizing(size="12cm", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("longest", "advice"),
    [
        (1.0, "--size 22cm"),
        (2.2, "--size 22cm"),
        (0.8, "--size 22cm"),
        (250.0, "--mesh-unit mm?"),
        (25.0, "--mesh-unit cm?"),
    ],
)
def test_a_size_that_no_such_thing_has_is_refused_with_the_option_that_helps(
    longest: float, advice: str, tmp_path: Path
) -> None:
    path = box(tmp_path / "model.obj", longest)
    with pytest.raises(HopriorError) as caught:
        load_mesh(path, usual=BOTTLE)
    assert advice in str(caught.value) and len(str(caught.value)) < 300
    # The advice helps.
    loaded = load_mesh(path, size="22cm", usual=BOTTLE)
    assert loaded.mesh.extents.max() == pytest.approx(0.22) and loaded.notes == ()


def test_a_size_that_the_user_says_is_taken_with_a_note(tmp_path: Path) -> None:
    path = box(tmp_path / "model.obj", 1.0)
    for said in ({"unit": "m"}, {"size": "1m"}, {"scale": 1.0}):
        (note,) = load_mesh(path, usual=BOTTLE, **said).notes  # type: ignore[arg-type]
        assert note.startswith("taken as 1 m long, as you say, although a thing called bottle is 12-32 cm long")


def test_results_know_the_size_of_the_files_unit(tmp_path: Path) -> None:
    loaded = load_mesh(box(tmp_path / "model.obj", 2.0), size="12cm")
    assert loaded.metres_per_unit == pytest.approx(0.06)


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("a bottle", "model", "bottle"),
        ("drink from a red mug with a lid", "x", "mug"),
        ("a bottle cap", "model", "lid"),
        ("a mug holder", "model", None),
        ("cut with a knife", "model", "knife"),
        ("a gizmo by its handle", "model", None),
        ("a saw by the handle", "model", "saw"),
        ("a door handle", "model", "door knob"),
        (None, "025_mug", "mug"),
        ("something", "model_normalized", None),
        ("pour from a bottle into a cup", "model", None),
    ],
)
def test_usual_sizes_go_by_what_is_said_and_then_by_the_files_name(
    text: str | None, name: str, found: str | None
) -> None:
    usual = usual_size(text, name)
    assert (usual and usual.name) == found


def test_unit_cubes_are_told_by_what_they_are(tmp_path: Path) -> None:
    path = box(tmp_path / "model_normalized.obj", 0.96)
    with pytest.raises(HopriorError, match=r"a thing called mug is 7-14 cm long: pass --size 11cm"):
        load_object(path, "a mug")
    (note,) = load_object(path).notes
    assert "--size 20cm" in note and "--mesh-unit" in note


@given(st.floats(2 * NEAR, FAR / 2), st.integers(1, 6), st.sampled_from([1, -1]))
def test_a_length_that_is_told_is_the_length_in_plain_figures(metres: float, digits: int, sign: int) -> None:
    number, unit = length_text(sign * metres, digits).split(" ")
    told = float(number.replace(",", "")) * SHOWN_UNITS[unit]
    assert told == pytest.approx(sign * metres, rel=5.0001 * 10.0**-digits)
    assert "e" not in number and len(re.sub("[-.,]", "", number).strip("0")) <= digits
    assert unit == "mm" or abs(float(number.replace(",", ""))) >= 1


def test_units_are_read_in_capitals_too() -> None:
    told = {"9 inches": 0.2286, '9"': 0.2286, "0.5 ft": 0.1524, "12 centimetres": 0.12}
    assert {text: parse_length(text) for text in told} == told
    assert (parse_length("12 CM"), parse_length("120Mm"), parse_length("1E-1 M")) == (0.12, 0.12, 0.1)


def test_lengths_that_nobody_measures_are_told_as_such() -> None:
    assert length_text(1.21e12) == "more than 10,000 km" and length_text(1e-30) == "less than 0.01 mm"
    assert (length_text(0.0), length_text(0.99996), length_text(12_100.0)) == ("0 mm", "1 m", "12.1 km")


def told_with_g(path: Path) -> list[int]:
    """Lines of a module on which a length or a mass is written in the format g or e."""
    found = []
    for text in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = text.values if isinstance(text, ast.JoinedStr) else []
        for part, after in itertools.pairwise(parts):
            spec = ast.unparse(part.format_spec) if isinstance(part, ast.FormattedValue) and part.format_spec else ""
            unit = isinstance(after, ast.Constant) and re.match(r" ?(km|m|cm|mm|kg|g)\b", str(after.value))
            if unit and re.search("[eg]'$", spec):
                found.append(text.lineno)
    return found


def test_no_sentence_tells_a_length_in_powers_of_ten() -> None:
    """The format g does that to large and small numbers; `length_text` and `number_text` do not."""
    root = Path(__file__).parents[2]
    modules = [path for room in ("hoprior", "tasks", "datasets", "models") for path in (root / room).rglob("*.py")]
    found = [f"{path.name}:{line}" for path in modules if path.name != "units.py" for line in told_with_g(path)]
    assert len(modules) > 400 and not found
