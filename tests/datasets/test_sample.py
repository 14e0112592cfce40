"""The sample type: one pose seen from two frames, and sets that hold together."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hoprior.datasets.samples.sample import GraspSet, ObjectInfo, concatenate
from hoprior.errors import HopriorError
from hoprior.hand import load_hand
from hoprior.language.labels import GraspLabel
from hoprior.language.phrases import sentence, with_article

MakeSet = Callable[..., GraspSet]
INFO = ObjectInfo("mug", "mug", "stub", "CC0", "none", "a hand holding a mug")


def test_joints_in_the_object_frame_are_the_hands_own_joints_moved_there(make_set: MakeSet) -> None:
    grasps = make_set(INFO, load_hand(), 5, seed=0)
    for i, sample in enumerate(grasps):
        R, t = sample.T_object_hand[:3, :3], sample.T_object_hand[:3, 3]
        moved = torch.stack([R @ joint + t for joint in sample.joints_hand])
        torch.testing.assert_close(sample.joints_object, moved, atol=1e-6, rtol=0)
        torch.testing.assert_close(sample.joints_object, grasps.joints_object[i], atol=1e-6, rtol=0)


def test_the_wrist_is_the_origin_of_the_hand_frame_and_joints_follow_from_the_angles(make_set: MakeSet) -> None:
    hand = load_hand()
    grasps = make_set(INFO, hand, 4, seed=1)
    assert grasps.joints_hand[:, 0].abs().max() < 1e-6
    full = hand(hand.angles_to_pose(grasps.angles)).joints
    torch.testing.assert_close(grasps.joints_hand, full, atol=1e-5, rtol=0)


def test_joining_keeps_every_grasp_with_its_own_text_and_sequence(make_set: MakeSet) -> None:
    hand = load_hand()
    first, second = make_set(INFO, hand, 3, seed=0), make_set(INFO, hand, 4, seed=1, recorded=False)
    joined = concatenate([second, first])
    assert len(joined) == 7
    for sample, original in zip(joined, [*second, *first], strict=True):
        assert (sample.text, sample.sequence, sample.recorded) == (original.text, original.sequence, original.recorded)
        assert torch.equal(sample.T_object_hand, original.T_object_hand)


def test_sets_of_different_objects_cannot_be_joined(make_set: MakeSet) -> None:
    other = ObjectInfo("cup", "cup", "stub", "CC0", "none", "a hand holding a cup")
    hand = load_hand()
    with pytest.raises(HopriorError, match="one object"):
        concatenate([make_set(INFO, hand, 2, 0), make_set(other, hand, 2, 0)])
    with pytest.raises(HopriorError):
        concatenate([])


def test_a_set_refuses_ids_without_a_name(make_set: MakeSet) -> None:
    grasps = make_set(INFO, load_hand(), 3, seed=0)
    with pytest.raises(HopriorError, match="outside its list"):
        type(grasps)(**{**grasps.__dict__, "text_id": torch.tensor([0, 1, 2])})


def test_labels_stay_with_their_grasps(make_set: MakeSet) -> None:
    hand = load_hand()
    plain = make_set(INFO, hand, 2, seed=0)
    pinch, wrap = GraspLabel(9, "rim", "move"), GraspLabel(3, "handle", "use")
    fields = {**make_set(INFO, hand, 3, seed=1).__dict__, "labels": (pinch, wrap), "label_id": torch.tensor([1, 0, 1])}
    joined = concatenate([plain, type(plain)(**fields)])
    assert [sample.label for sample in joined] == [GraspLabel(), GraspLabel(), wrap, pinch, wrap]
    with pytest.raises(HopriorError, match="outside its list"):
        type(plain)(**{**fields, "label_id": torch.tensor([0, 1, 2])})


@pytest.mark.parametrize(
    ("name", "verb", "text"),
    [
        ("mug", "drink", "a hand drinking from a mug"),
        ("apple", "hold", "a hand holding an apple"),
        ("scissors", "use", "a hand using a pair of scissors"),
        ("mug", "juggle", "a hand holding a mug"),
    ],
)
def test_sentences_are_english(name: str, verb: str, text: str) -> None:
    assert sentence(name, verb) == text


def test_every_name_gets_an_article() -> None:
    assert {with_article(n).split()[0] for n in ("orange", "alarm clock")} == {"an"}


def test_the_folder_of_adapters_has_no_init() -> None:
    assert not (Path(__file__).parent.parent.parent / "datasets" / "__init__.py").exists()
