"""What a prior of parts is told of a sentence."""

import numpy as np
import pytest

from hoprior.datasets.procedural.families import FAMILIES
from hoprior.language.categories import category_in
from hoprior.language.part_wordings import (
    HELD_ANYWHERE,
    TOOLS,
    handle_is_told_by_shape,
    held_by_handle,
    part_wordings,
)
from hoprior.language.phrases import sentence


@pytest.mark.parametrize("thing", ["teapot", "kettle", "pitcher", "hammer", "spatula", "frying pan"])
def test_vessels_and_tools_are_held_by_their_handles_unless_more_is_said(thing: str) -> None:
    said = sentence(thing, "use")
    assert held_by_handle(said) == "handle"
    assert part_wordings(said)[0] in (f"{said} by its handle", f"holding a {thing} by its handle")
    assert part_wordings(f"{said} by its handle") == part_wordings(said)
    for other in (f"{said} by its tip", f"holding the end of a {thing}", f"handing a {thing} over"):
        assert held_by_handle(other) is None
        assert part_wordings(other) == (other,)


@pytest.mark.parametrize("thing", ["wine glass", "gizmo", "banana", "stapler", "saw", "racket", *sorted(HELD_ANYWHERE)])
def test_of_other_things_only_what_is_said_is_said(thing: str) -> None:
    assert part_wordings(sentence(thing)) == (sentence(thing),)


def test_wordings_differ_in_the_thing_alone_and_keep_what_else_is_said() -> None:
    assert part_wordings("pouring from a large red teapot by its handle") == (
        "pouring from a large red teapot by its handle",
        "pouring from a large red object by its handle",
        "pouring from a large red mug by its handle",
    )
    assert part_wordings("by the handle of a teapot")[1:] == ("by the handle of an object", "by the handle of a mug")


def test_tools_are_those_whose_handles_the_prior_of_parts_has_learnt() -> None:
    learnt = {family.name for family in FAMILIES if "handle" in family.make(np.random.default_rng(0)).part_names()}
    kinds = [category_in(name) for name in learnt]
    assert {kind.name for kind in kinds if kind is not None and "hollow" not in kind.shape} == TOOLS


@pytest.mark.parametrize("doing", ["a hand using", "A right hand cutting with", "swinging", "holding"])
def test_whatever_is_done_with_a_tool_its_handle_is_told_alike(doing: str) -> None:
    for tail in ("", " by its handle"):
        assert part_wordings(f"{doing} a large red knife{tail}") == ("holding a large red knife by its handle",)
    assert part_wordings(f"{doing} a knife by its blade") == (f"{doing} a knife by its blade",)


def test_a_long_thing_s_handle_is_its_own() -> None:
    assert part_wordings("a pair of scissors by their handles") == ("a pair of scissors by their handles",)
    assert part_wordings("by the handle of a hammer") == ("by the handle of a hammer",)


def test_a_handle_is_a_part_although_doors_have_things_of_that_name() -> None:
    assert part_wordings("a hand holding a mug by its handle")[1] == "a hand holding an object by its handle"
    assert part_wordings("a hand holding a gizmo by its handle") == ("a hand holding a gizmo by its handle",)


@pytest.mark.parametrize("thing", ["saw", "tennis racket", "baseball bat", "fork", "ladle", "broom", "axe", "trowel"])
def test_handles_of_tools_that_were_never_learnt_are_told_by_shape(thing: str) -> None:
    for text in (f"a {thing}", f"a hand using a {thing}", f"holding a {thing} by its handle", f"a {thing} by its grip"):
        assert handle_is_told_by_shape(text)
    for text in (f"a {thing} by its head", f"holding the end of a {thing}", f"handing over a {thing}"):
        assert not handle_is_told_by_shape(text)


@pytest.mark.parametrize("thing", sorted(TOOLS | HELD_ANYWHERE | {"teapot", "umbrella", "wine glass", "drill"}))
def test_other_handles_are_not(thing: str) -> None:
    assert not handle_is_told_by_shape(f"a hand using a {thing}")
    assert not handle_is_told_by_shape(f"a hand holding a {thing} by its handle")


def test_of_what_nobody_knows_a_handle_counts_where_it_is_named() -> None:
    assert handle_is_told_by_shape("a hand holding a gizmo by its handle")
    assert not handle_is_told_by_shape("a hand holding a gizmo")
