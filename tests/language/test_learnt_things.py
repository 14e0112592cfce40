"""What is said of texts about things that no prior has learnt, about several, and about those that are known."""

import shutil
from pathlib import Path

import pytest

from hoprior.datasets.procedural.families import FAMILIES as MADE
from hoprior.language.categories import describe
from hoprior.language.learnt_things import held_plainly, note_on_things
from hoprior.priors.installed import shipped_files
from hoprior.priors.protocols import info_of
from hoprior.priors.registry import load_prior
from hoprior.priors.shipped_things import FAMILIES, LEARNT, RECORDED


def test_the_list_is_that_of_the_families_and_of_myodm(shared_data: Path) -> None:
    assert tuple(family.name for family in MADE) == FAMILIES
    folder = shared_data / "myodm" / "objects"
    if not folder.is_dir():
        pytest.skip("MyoDM's objects are not there")
    known = {describe(word).name for word in LEARNT}
    assert {describe(path.stem).name for path in folder.glob("*.ply")} - {"hand"} <= known
    assert len(FAMILIES) + len(RECORDED) == len(LEARNT)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a mug",
            "hammer",
            "a hand holding a hammer by the handle",
            "a right hand drinking from a red mug",
            "scissors",
        ),
        *("a pair of scissors", "a wooden block", "a soup can", "a mug full of coffee", "a large cube", "two cups"),
        *(
            "a hand passing a small alarm clock",
            "a pot lid",
            "a computer mouse",
            "a teapot by the handle",
            "a cup of tea",
        ),
    ],
)
def test_nothing_is_said_of_what_is_known(text: str) -> None:
    assert note_on_things(text, LEARNT) is None


@pytest.mark.parametrize("name", sorted(LEARNT))
def test_every_thing_that_was_learnt_is_known_by_its_name(name: str) -> None:
    assert note_on_things(f"a hand holding a {name}", LEARNT) is None


def test_others_are_told_with_what_is_like_them() -> None:
    kettle = note_on_things("a hand pouring from a kettle", LEARNT)
    assert kettle is not None and "no kettle" in kettle and "teapot" in kettle
    assert kettle.endswith("it draws what is nearest in words")
    said = str(note_on_things("a kettle", LEARNT, instead=True))
    assert said.endswith("(most like it that it has: teapot): it draws that")
    assert "no thing that the prior has learnt" in str(note_on_things("a samovar", LEARNT))
    assert "no thing" in str(note_on_things("eine Tasse", LEARNT))
    assert "several things (hammer and mug)" in str(note_on_things("a mug and a hammer", LEARNT))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a hand drinking from a large mug", "a hand holding a large mug"),
        ("pouring from a bottle", "a hand holding a bottle"),
        ("a hand eating with a fork", "a hand holding a spoon"),
        ("an egg", "a hand holding a lemon"),
        ("a credit card", "a hand holding a phone"),
        ("a samovar", None),
        ("a mug and a hammer", None),
        ("eine Tasse", None),
        ("", None),
    ],
)
def test_what_is_held_is_said_without_its_use_and_what_is_unknown_by_what_is_like_it(
    text: str, said: str | None
) -> None:
    assert held_plainly(text, LEARNT) == said


def test_a_prior_that_says_nothing_of_things_hears_the_sentence() -> None:
    assert held_plainly("a hand drinking from a mug", ()) is None


def test_what_ships_says_what_it_has_learnt_and_weights_of_ones_own_say_nothing(tmp_path: Path) -> None:
    shipped = load_prior("interaction")
    assert info_of(shipped).things == LEARNT
    own = tmp_path / "own.safetensors"
    shutil.copy(shipped_files()["interaction"], own)
    assert not info_of(load_prior(str(own))).things
