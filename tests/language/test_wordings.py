"""What people say of a grasp who name no kind of it (hoprior/language/wordings.py)."""

from collections.abc import Callable

import pytest

from hoprior.language.phrases import VERB_PHRASES
from hoprior.language.schema import Affordance
from hoprior.language.wordings import (
    POOL,
    What,
    Wordings,
    as_sentence,
    grasp_in,
    is_file_name,
    kept_out,
    kind_sentence,
    name_in_file,
    pool,
    seeded,
    taught,
)

HAMMER = Affordance("hammer", "elongated", "large", "using", "to use it", grasp=2)


def words_of(column: Wordings) -> set[str]:
    return {
        word for table in (column.frames, column.verbs, column.names) for words in table.values() for word in words
    } | set(column.nothing)


def test_nothing_that_is_kept_out_is_taught() -> None:
    assert len(words_of(taught())) > 500 and len(words_of(kept_out())) > 200
    assert not words_of(taught()) & words_of(kept_out())


@pytest.mark.parametrize("column", [taught, kept_out])
def test_every_sentence_is_whole_and_names_no_kind_of_grasp(column: Callable[[], Wordings]) -> None:
    frames: tuple[What, ...] = ("use", "name", "file")
    for what in frames:
        for k in range(60):
            said = column().said(HAMMER, what, seeded(k))
            assert said.strip() and "{" not in said and "}" not in said
            assert not grasp_in(said) and is_file_name(said) <= (what == "file")


def test_what_is_done_is_said_in_words_of_phrases_that_datasets_have() -> None:
    assert set(taught().verbs) == set(kept_out().verbs) <= set(VERB_PHRASES.values())
    assert set(taught().names) == set(kept_out().names)


def test_a_thing_whose_file_names_nothing_is_still_told_of() -> None:
    assert as_sentence("model_of_a_hand.obj") == ""
    for doing in ("holding", "lifting", "handing over"):
        assert all(text.strip() for text in pool(Affordance("model of a hand", "", "", doing)))


def test_the_same_affordance_has_the_same_pool_and_its_kind_says_nothing_in_it() -> None:
    assert len(pool(HAMMER)) == POOL and pool(HAMMER) == pool(Affordance("hammer", "", "large", "using"))
    assert len(set(pool(HAMMER))) > POOL // 2


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("claw_hammer.obj", "a hand holding a claw hammer"),
        ("models/025_ClawHammer-v2.obj", "a hand holding a claw hammer"),
        ("scissors_003.glb", "a hand holding a pair of scissors"),
        ("holding a hammer", "a hand holding a hammer"),
        ("hammer", "a hand holding hammer"),
        ("a hammer", "a hand holding a hammer"),
        ("a right hand using a laptop", "a right hand using a laptop"),
        ("  a right hand   using a laptop ", "a right hand using a laptop"),
        ("the man is hitting a nail with his hammer", "the man is hitting a nail with his hammer"),
        ("IMG_0042.jpg", ""),
        ("model.obj", ""),
    ],
)
def test_what_is_typed_becomes_a_sentence(typed: str, told: str) -> None:
    assert as_sentence(typed) == told


@pytest.mark.parametrize("told", ["a hand holding a mug", "a right hand drinking from a large cup, at home."])
def test_sentences_are_told_as_they_are(told: str) -> None:
    assert as_sentence(told) == told and as_sentence(as_sentence("mug.obj")) == as_sentence("mug.obj")


def test_names_are_found_in_paths_of_either_kind() -> None:
    assert name_in_file("C:\\data\\CoffeeMug\\model.obj") == name_in_file("/home/me/coffee-mug_v3.ply") == "coffee mug"


def test_a_sentence_of_a_kind_names_it() -> None:
    assert grasp_in(kind_sentence(3)) == 3 and grasp_in("A Medium-Wrap grasp of a mug") == 3
    assert grasp_in("a hand holding a ring") == 0
