"""Classes of objects, and mixtures of datasets."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoprior.datasets.myodm.source import display_name
from hoprior.datasets.recordings.dexycb import YCB_NAMES
from hoprior.datasets.recordings.hograspnet import OBJECTS
from hoprior.datasets.recordings.hoi4d import CLASSES
from hoprior.datasets.recordings.mixture import Mixture, Part, keep_probabilities, read_mixture
from hoprior.datasets.recordings.obman import CLASSES as OBMAN_CLASSES
from hoprior.errors import HopriorError
from hoprior.language.caption_file import read_sentences
from hoprior.language.categories import classes, describe, num_words, plain_word

MIXTURES = Path(__file__).resolve().parents[2] / "configs" / "mixtures"

GRAB = """
airplane alarmclock apple banana binoculars bowl camera coffeemug cubelarge cubemedium cubemiddle cubesmall
cup cylinderlarge cylindermedium cylindersmall doorknob duck elephant eyeglasses flashlight flute fryingpan
gamecontroller hammer hand headphones knife lightbulb mouse mug phone piggybank pyramidlarge pyramidmedium
pyramidsmall rubberduck scissors spherelarge spheremedium spheresmall stamp stanfordbunny stapler teapot
toothbrush toothpaste toruslarge torusmedium torussmall train watch waterbottle wineglass wristwatch
"""
OAKINK = """
apple banana binoculars bottle bowl cameras can cup cylinder_bottle donut eyeglasses flashlight fryingpan
gamecontroller hammer headphones knife lightbulb lotion_pump mouse mug pen phone pincer power_drill scissors
screwdriver squeezable stapler teapot toothbrush trigger_sprayer wineglass wrench
"""
CONTACTPOSE = """
apple banana binoculars bowl camera cell_phone cube_large cube_medium cube_small cup cylinder_medium door_knob
elephant eyeglasses flashlight flute hammer headphones knife light_bulb mouse mug pan ps_controller
pyramid_medium rubber_duck scissors stapler toothbrush toothpaste torus_large utah_teapot water_bottle
wine_glass
"""
YCB = """
002_master_chef_can 012_strawberry 014_lemon 016_pear 018_plum 022_windex_bottle 026_sponge 027-skillet
028_skillet_lid 029_plate 030_fork 031_spoon 032_knife 033_spatula 036_wood_block 038_padlock 040_large_marker
042_adjustable_wrench 043_phillips_screwdriver 044_flat_screwdriver 048_hammer 050_medium_clamp
053_mini_soccer_ball 054_softball 055_baseball 056_tennis_ball 057_racquetball 058_golf_ball 059_chain
062_dice 063-a_marbles 065-d_cups 070-a_colored_wood_blocks 071_nine_hole_peg_test 072-a_toy_airplane
073-a_lego_duplo 076_timer 077_rubiks_cube
"""


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("HOGraspNet", OBJECTS.values()),
        ("DexYCB", YCB_NAMES.values()),
        ("YCB", YCB.split()),
        ("HOI4D", CLASSES.values()),
        ("ObMan", OBMAN_CLASSES.values()),
        ("GRAB", GRAB.split()),
        ("OakInk", OAKINK.split()),
        ("ContactPose", CONTACTPOSE.split()),
        ("MyoDM", [display_name(name) for name in GRAB.split()]),
    ],
)
def test_every_object_of_the_datasets_has_a_class(dataset, words):
    assert [word for word in words if not describe(word).known] == []


def test_the_table_has_as_many_classes_and_words_as_the_paper_s():
    assert len(classes()) >= 155 and num_words() >= 362
    for category in classes():
        assert category.shape and category.parts and 0 < category.longest_side[0] < category.longest_side[1]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("cellphone", "phone"),
        ("iphone", "phone"),
        ("doorknob", "door knob"),
        ("door_knob", "door knob"),
        ("025_mug", "mug"),
        ("mug_s009", "mug"),
        ("CoffeeMug", "mug"),
        ("a big red mug", "mug"),
        ("ToyCar_005", "toy car"),
        ("zebra_thing", "zebra thing"),
        ("", "object"),
    ],
)
def test_words_of_one_thing_are_one_class(word, name):
    assert describe(word).name == name


def test_an_unknown_word_says_what_it_can():
    unknown = describe("contraption_3")
    assert not unknown.known and unknown.name == "contraption" and unknown.size_word(0.1) == "" and unknown.parts == ()


@given(st.text(max_size=30))
def test_any_word_is_described(word):
    assert describe(word).name and plain_word(word)


def test_size_words():
    mug = describe("mug")
    assert [mug.size_word(size) for size in (0.07, 0.10, 0.14, 0.5)] == ["small", "medium-sized", "large", "large"]


# ---- Mixtures ----


@pytest.mark.parametrize("path", sorted(MIXTURES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_mixture_is_one(path):
    assert read_mixture(path).parts


def test_the_papers_training_sets():
    assert len(read_mixture(MIXTURES / "ghop.yaml").parts) == 7
    (only,) = read_mixture(MIXTURES / "affordance.yaml").parts
    assert (only.dataset, only.protocol, only.split) == ("hograspnet", "s1", "train")


def drawn(counts, keep):
    total = sum(counts[name] * keep[name] for name in counts)
    return {name: counts[name] * keep[name] / total for name in counts}


@given(
    counts=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**6), min_size=1),
    balance=st.floats(0, 1),
)
def test_classes_are_drawn_in_proportion(counts, balance):
    shares = drawn(counts, keep := keep_probabilities(counts, balance))
    total = sum(count ** (1 - balance) for count in counts.values())
    assert max(keep.values()) == pytest.approx(1)
    for name, share in shares.items():
        assert share == pytest.approx(counts[name] ** (1 - balance) / total, rel=1e-6)


def test_class_weights():
    shares = drawn({"mug": 1000, "pen": 1000}, keep_probabilities({"mug": 1000, "pen": 1000}, 0.0, {"pen": 3.0}))
    assert shares["pen"] == pytest.approx(0.75)
    with pytest.raises(HopriorError, match="class weights for cow, but there is nothing of them"):
        keep_probabilities({"mug": 1}, 0.0, {"cow": 1.0})
    with pytest.raises(HopriorError, match="all class weights are 0"):
        keep_probabilities({"mug": 1}, 0.0, {"mug": 0.0})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets: {ho3d: {}}", "no dataset 'ho3d': there are arctic, contactpose"),
        ("datasets: {grab: {weight: -1}}", "the weight of 'grab' is -1"),
        ("datasets: {dexycb: {protocol: s7}}", "dexycb has no protocol 's7': use s1, s0, s2, s3"),
        ("datasets: {grab: {wieght: 1}}", "not a mixture .*wieght"),
        ("datasets: {grab: {weight: 0}}", "no dataset has a weight above 0"),
        ("datasets: {grab: {}}\nbalance: 2", "balance 2: give 0"),
        ("[1, 2", "damaged YAML"),
        ("grab", "not a mixture"),
    ],
)
def test_a_wrong_mixture_is_named(tmp_path, text, message):
    (tmp_path / "mix.yaml").write_text(text)
    with pytest.raises(HopriorError, match=rf"mix\.yaml: .*{message}"):
        read_mixture(tmp_path / "mix.yaml")


def test_a_missing_mixture_and_sentences(tmp_path):
    with pytest.raises(HopriorError, match=r"none\.yaml: cannot be read"):
        read_mixture(tmp_path / "none.yaml")
    with pytest.raises(HopriorError, match="give a JSON file of sentences"):
        read_sentences(tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(HopriorError, match="must map an item's key to its sentence"):
        read_sentences(tmp_path / "list.json")
    assert read_sentences(None) == {}
    (tmp_path / "empty.json").write_text('{"a": " "}')
    with pytest.raises(HopriorError, match="must map an item's key to its sentence"):
        read_sentences(tmp_path / "empty.json")
    (tmp_path / "described.json").write_text(
        '{"format": "hoprior-descriptions/1",'
        ' "descriptions": {"a": {"text": "A  hand.\\n"}, "b": {"error": "no photo"}}}'
    )
    assert read_sentences(tmp_path / "described.json") == {"a": "A hand."}
    with pytest.raises(HopriorError, match="named twice"):
        Mixture((Part("grab"), Part("grab")))
