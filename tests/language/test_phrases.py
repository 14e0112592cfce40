"""What a sentence says of the manner of a grasp: fingers that may reach into a vessel, and parts that are kept off."""

import pytest

from hoprior.language.phrases import KEPT_OFF, kept_off, reaches_inside, sentence, sentence_for


@pytest.mark.parametrize(
    "text",
    [
        "a hand holding a mug by the rim",
        "fingers inside the mug",
        "two fingers in a cup",
        "a bowl, the thumb on its edge",
        "reaching INSIDE a jar",
    ],
)
def test_hands_that_reach_inside_are_told(text: str) -> None:
    assert reaches_inside(text)


@pytest.mark.parametrize("text", [None, "", "a mug", "drinking from a cup", "a mug by the handle", "trimming a hedge"])
def test_other_hands_are_not(text: str | None) -> None:
    assert not reaches_inside(text)


@pytest.mark.parametrize(("thing", "part"), KEPT_OFF.items())
def test_parts_are_kept_off_unless_they_are_named_or_the_thing_is_handed_over(thing: str, part: str) -> None:
    assert kept_off(sentence(thing, "use")) == kept_off(f"the {thing.upper()}") == (thing, part)
    assert kept_off(f"{sentence(thing)} by its {part}") is None
    assert kept_off(f"holding the {part.removesuffix('s')} of a {thing}") is None
    assert kept_off(sentence(thing, "handover")) is None
    assert kept_off(f"passing a {thing}") is None
    assert kept_off(f"handing the {thing} over") is None


def test_of_other_things_nothing_is_kept_off() -> None:
    assert kept_off(None) is None
    assert kept_off("a hand holding a mug") is None
    assert kept_off("a knifelike thing") is None


@pytest.mark.parametrize("person", ["", "a person ", "someone is ", "An old man ", "he is "])
@pytest.mark.parametrize(
    "doing", ["holding a mug", "pouring from the kettle", "using chopsticks", "typing on a laptop"]
)
def test_what_people_do_is_told_of_a_hand(person: str, doing: str) -> None:
    assert sentence_for(person + doing) == f"a hand {doing}"


@pytest.mark.parametrize(
    "thing", ["a ring", "frying pan", "a measuring cup", "string", "by the handle", "he-man figure"]
)
def test_things_are_held(thing: str) -> None:
    assert sentence_for(thing) == f"a hand holding {thing}"
