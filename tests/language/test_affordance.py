"""The elements of an affordance, their sentences, and the command that describes labels (hoprior/affordance)."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoprior.cli.entry import main
from hoprior.errors import HopriorError
from hoprior.language.schema import SIZES, Affordance, affordance_of, json_schema, read_answer
from hoprior.language.taxonomy import TAXONOMY, grasp_named
from hoprior.language.template import describe, plain, wordings

MUG = Affordance("mug", "cylindrical", "large", "drinking from", "to drink", 3)
ANSWER: dict[str, Any] = {
    "object_category": "Mug.",
    "object_shape": "cylindrical",
    "object_size": "Large",
    "interaction": "drinking  from",
    "intention": "to drink",
    "grasp": "Medium-Wrap grasp",
}
WORDS = st.text("abcdefghij ", min_size=1, max_size=20).filter(lambda text: text.strip())
AFFORDANCES = st.builds(
    Affordance,
    object_category=WORDS.map(lambda text: text.strip()) | st.just(""),
    object_shape=st.sampled_from(["", "flat", "long cylindrical"]),
    object_size=st.sampled_from(["", *SIZES]),
    interaction=st.sampled_from(["", "drinking from"]),
    intention=st.sampled_from(["", "to lift it"]),
    grasp=st.sampled_from([0, *(kind.number for kind in TAXONOMY)]),
)


@given(AFFORDANCES)
def test_each_wording_says_every_element(affordance: Affordance) -> None:
    for sentence in wordings(affordance):
        for name, value in affordance.known().items():
            said = affordance.grasp_name if name == "grasp" else str(value)
            assert said in sentence.lower(), (sentence, name)
        assert "  " not in sentence and sentence[0].isupper() and sentence.endswith(".")
    assert len(set(wordings(affordance))) == len(wordings(affordance))


def test_the_descriptions_are_these() -> None:
    assert describe(MUG) == "A right hand drinking from a large cylindrical mug to drink, with a medium wrap grasp."
    assert describe(Affordance("scissors", object_size="small")) == "A right hand holding a pair of small scissors."
    assert describe(Affordance(object_size="medium", grasp=17)) == (
        "A right hand holding a medium-sized object, with an index finger extension grasp."
    )
    assert plain(MUG) == "a hand drinking from a mug"


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", 'Here it is: {{"thought"}} {}\nGood luck!'])
def test_an_answer_is_read_out_of_what_stands_around_it(around: str) -> None:
    found = read_answer(around.format(json.dumps(ANSWER)))
    assert found == Affordance("Mug", "cylindrical", "large", "drinking from", "to drink", 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grasp": "iron fist"}, "no grasp is called 'iron fist'"),
        ({"grasp": 6}, "no grasp of taxonomy number 6"),
        ({"grasp": True}, "name or a number"),
        ({"object_size": "enormous"}, "object size 'enormous' is unknown"),
        ({"intention": ["to", "drink"]}, "intention is .*must be a text"),
        ({"interaction": "holding " * 13}, "13 words"),
        ({"mood": "happy"}, "the answer has mood, which nobody asked for"),
    ],
)
def test_an_answer_of_another_shape_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(HopriorError, match=message):
        read_answer(json.dumps({**ANSWER, **change}))


@pytest.mark.parametrize("text", ["", "I cannot see a hand.", '{"object_category": "mug"', "[1, 2]"])
def test_an_answer_without_an_object_is_refused(text: str) -> None:
    with pytest.raises(HopriorError, match="no JSON object"):
        read_answer(text)


def test_an_answer_that_nests_without_end_is_refused() -> None:
    with pytest.raises(HopriorError, match="nested deeper"):
        read_answer('{"object_category": ' + "[" * 100_000)


def test_an_answer_that_leaves_something_out_is_refused() -> None:
    with pytest.raises(HopriorError, match="the answer has no grasp"):
        read_answer(json.dumps({name: value for name, value in ANSWER.items() if name != "grasp"}))


def test_what_a_photo_does_not_show_is_left_open() -> None:
    found = read_answer(json.dumps({name: "unknown" for name in ANSWER}))
    assert found == Affordance() and len(found.unknown()) == 6


def test_labels_stand_above_what_a_model_says() -> None:
    labels = affordance_of({"grasp": 9, "object_size": "small"})
    assert MUG.overridden_by(labels) == Affordance("mug", "cylindrical", "small", "drinking from", "to drink", 9)


def test_the_schema_admits_the_answer_and_only_what_is_asked() -> None:
    import jsonschema

    schema = json_schema()
    sound = {**ANSWER, "object_size": "large", "grasp": "medium wrap"}
    jsonschema.validate(sound, schema)
    for wrong in ({**sound, "grasp": "fist"}, {**sound, "mood": "happy"}, {"grasp": "medium wrap"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
    jsonschema.validate({"grasp": "medium wrap"}, json_schema(["grasp"]))


def test_every_grasp_is_found_by_its_name() -> None:
    assert [grasp_named(f" {kind.name.upper()} grasp") for kind in TAXONOMY] == list(TAXONOMY)


def test_the_command_describes_labels(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "said.json"
    arguments = ["--category=mug", "--size=large", "--grasp=medium wrap", "--intention=to drink", f"--out={out}"]
    assert main(["describe", *arguments]) == 0
    sentence = "A right hand holding a large mug to drink, with a medium wrap grasp."
    assert capsys.readouterr().out.strip() == sentence
    entry = json.loads(out.read_text())["descriptions"]["labels"]
    assert entry["text"] == sentence and entry["elements"]["grasp"] == 3


def test_many_labels_at_once_and_a_bad_one_does_not_spoil_the_rest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, out = tmp_path / "labels.json", tmp_path / "said.json"
    file.write_text(json.dumps({"a": {"object_category": "mug"}, "b": {"grasp": 99}, "c": {"colour": "red"}}))
    assert main(["describe", f"--labels={file}", "--size=small", f"--out={out}"]) == 2
    captured = capsys.readouterr()
    assert "a: A right hand holding a small mug." in captured.out
    assert "b: no grasp of taxonomy number 99" in captured.err and "c: 'colour' is unknown" in captured.err
    assert "2 of 3 could not be described" in captured.err
    found = json.loads(out.read_text())["descriptions"]
    assert set(found) == {"a", "b", "c"} and "error" in found["b"] and "text" in found["a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to describe"),
        (["--size=huge"], "object size 'huge' is unknown"),
        (["--grasp=fist"], "no grasp is called 'fist'"),
        (["--image=x.jpg"], "--image: say who looks at it"),
        (["--image=x.jpg", "--vision-model=m"], "say where it is, with --endpoint URL"),
        (["--category=mug", "--endpoint=http://localhost:1/v1"], "name its model"),
        (["--category=mug", "--endpoint=localhost", "--language-model=m"], "an address starts with http"),
        (["--image=.", "--hand-box=1,2,3,4", "--endpoint=http://localhost:1", "--vision-model=m"], "one box"),
        (["--labels=absent.json"], "--labels absent.json: there is no such file or folder"),
    ],
)
def test_what_cannot_be_described_is_said(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.jpg").touch()
    assert main(["describe", *arguments]) == 2
    assert message in capsys.readouterr().err
