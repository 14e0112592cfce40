"""Keys of runs: alike for the same inputs, unlike for any others, and they say which."""

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hoprior.common.run_key import RunKey, digest, files_of_keys, reason, say_start
from hoprior.hand import load_hand

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@dataclass(frozen=True)
class Settings:
    steps: int = 3
    rates: tuple[float, ...] = (0.1, 0.2)


@dataclass(frozen=True)
class OtherSettings(Settings):
    pass


class Plain:
    def __init__(self, weight: float) -> None:
        self.weight = weight


class Module(nn.Linear):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(2, 2, bias=False)
        self.scale = scale
        nn.init.ones_(self.weight)


def kind_and_text(value: Any) -> str:
    """Python takes 1, 1.0 and True for the same; a key does not."""
    if isinstance(value, list):
        return f"[{','.join(map(kind_and_text, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(repr(name) + kind_and_text(value[name]) for name in sorted(value))}}}"
    return f"{type(value).__name__} {value!r}"


@given(PLAIN, PLAIN)
def test_digests_are_alike_exactly_where_values_are(one: Any, other: Any) -> None:
    assert digest(one) == digest(copy.deepcopy(one))
    assert (digest(one) == digest(other)) == (kind_and_text(one) == kind_and_text(other))


def distinct() -> list[Any]:
    """Values that are alike in a way, and none the same."""
    turned = Module()
    turned.weight.data[0, 0] = 2.0
    hidden = Module()
    hidden.register_buffer("mean", torch.zeros(2), persistent=False)
    return [
        torch.zeros(2, 3),
        torch.zeros(3, 2),
        torch.zeros(6),
        torch.zeros(2, 3, dtype=torch.float64),
        torch.zeros(2, 3, dtype=torch.int32),
        torch.zeros(2, 3, dtype=torch.bfloat16),
        torch.tensor(0.0),
        torch.tensor(1.0),
        torch.zeros(0),
        np.zeros((2, 3), dtype=np.float32),
        ["a", "b"],
        ["ab"],
        ["a", ["b"]],
        {"a": "b"},
        {"a", "b"},
        "a",
        b"a",
        Path("a"),
        None,
        Settings(),
        Settings(steps=4),
        OtherSettings(),
        Plain(1.0),
        Plain(2.0),
        Plain,
        digest,
        trimesh.creation.box(),
        trimesh.creation.box((1, 1, 2)),
        Module(),
        Module(2.0),
        turned,
        hidden,
        load_hand("open", "right"),
        load_hand("open", "left"),
    ]


def test_unlike_values_have_unlike_digests_and_copies_the_same() -> None:
    found = [digest(value) for value in distinct()]
    assert len(set(found)) == len(found)
    assert found == [digest(value) for value in distinct()]


def test_where_a_tensor_is_and_how_it_lies_does_not_matter() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    assert digest(tensor) == digest(tensor.T.contiguous().T) == digest(tensor.clone().requires_grad_())


def test_what_holds_itself_has_a_digest() -> None:
    one, other = Plain(1.0), Plain(1.0)
    one.me = one  # type: ignore[attr-defined]
    other.me = other  # type: ignore[attr-defined]
    assert digest(one) == digest(other) != digest(Plain(1.0))


KEY = RunKey.of({"the hands": torch.zeros(3), "the text": "a mug", "the seed": 0})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, ""),
        ({"the hands": torch.ones(3)}, "the hands differ"),
        ({"the text": "a cup"}, "the text differs"),
        ({"the text": "a cup", "the seed": 1}, "the text and the seed differ"),
        ({"the hands": None, "the text": "", "the seed": 1}, "the hands, the text and the seed differ"),
        ({"the masks": 1}, "the masks differ"),
    ],
)
def test_a_key_says_what_differs(changed: dict[str, Any], sentence: str) -> None:
    inputs = {"the hands": torch.zeros(3), "the text": "a mug", "the seed": 0} | changed
    assert RunKey.of(inputs).differing(KEY) == sentence


def test_a_key_comes_back_from_what_is_written() -> None:
    assert RunKey.read(KEY.plain()) == RunKey.read(KEY.text()) == KEY
    for nonsense in (None, "", "an old key", "[1]", 3, {"a": 1}, '{"a": 1}'):
        assert RunKey.read(nonsense) is None
    assert KEY.differing(None) == "another version wrote what is there"


@pytest.mark.parametrize(
    ("kept", "total", "reasons", "said"),
    [
        (0, 3, {}, []),
        (0, 3, {"": 3}, []),
        (2, 3, {"": 1}, ["resumed: 2 of 3 objects are there"]),
        (0, 3, {"the seed differs": 3}, ["started anew, because the seed differs"]),
        (
            0,
            3,
            {"the seed differs": 1, "": 1, "the data differ": 1},
            ["started anew, because the seed differs; the data differ"],
        ),
        (1, 4, {"the data differ": 2}, ["resumed: 1 of 4 objects are there; 2 are made anew, because the data differ"]),
        (
            1,
            None,
            {"the data differ": 2},
            ["resumed: 1 objects are there; others are made anew, because the data differ"],
        ),
    ],
)
def test_a_run_says_what_it_starts_from(kept: int, total: int | None, reasons: dict[str, int], said: list[str]) -> None:
    heard: list[str] = []
    say_start(heard.append, kept, total, reasons, "objects")
    assert heard == said


def test_the_newest_of_the_earlier_files_is_asked(tmp_path: Path) -> None:
    names = [f"ball-{digits * 12}.json" for digits in "ab"]
    for age, (name, seed) in enumerate(zip(names, (0, 1), strict=True)):
        (tmp_path / name).write_text(RunKey.of({"the seed": seed}).text())
        os.utime(tmp_path / name, ns=(age, age))
    for other in ("ball-2-000000000000.json", "ball-short.json", "ball-000000000000.tar"):
        (tmp_path / other).write_text("of something else")
    found = files_of_keys(tmp_path, "ball", ".json")
    assert sorted(path.name for path in found) == names
    assert reason(RunKey.of({"the seed": 1}), found, Path.read_text) == ""
    assert reason(RunKey.of({"the seed": 0}), found, Path.read_text) == "the seed differs"
    assert reason(RunKey.of({"the seed": 0}), [], Path.read_text) == ""
