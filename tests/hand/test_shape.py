"""Whose hand it is: lengths and coefficients of shape, of every model and side."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_up_mano import write_mano_folder

from hoprior.errors import HopriorError
from hoprior.hand import HandModel, HandPose, load_hand
from hoprior.hand.base import hand_length
from hoprior.hand.mano import ManoHand
from hoprior.hand.shape import HandShape, betas_of_length, resized_in_view


@pytest.fixture(scope="module")
def mano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mano_folder(tmp_path_factory.mktemp("mano"))


def hand_named(name: str, side: str, mano: Path) -> HandModel:
    return load_hand(name, side, mano)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", ["open", "mano"])
def test_a_shaped_hand_is_the_average_model_with_its_betas(name: str, side: str, mano: Path) -> None:
    """What files keep, a pose and betas, gives the same hand by the model as it is loaded."""
    hand = hand_named(name, side, mano)
    betas = torch.tensor([-1.5, 0.5, 0.0, 1.0, 0.0, 0.0, -0.5, 0.0, 0.0, 0.0])
    shaped = hand.shaped(betas)
    pose = 0.3 * torch.randn(3, 15, 3, generator=torch.Generator().manual_seed(0))
    told = hand(pose, betas.expand(3, -1))
    torch.testing.assert_close(shaped(pose).verts, told.verts, atol=2e-6, rtol=0)
    torch.testing.assert_close(shaped.joints_only(pose), told.joints, atol=2e-6, rtol=0)
    torch.testing.assert_close(shaped.betas, betas)
    assert torch.equal(shaped.pad_ids, hand.pad_ids)
    assert torch.equal(shaped.palm_ids, hand.palm_ids)


def test_smplx_is_told_the_whole_shape_of_a_mano_hand(mano: Path) -> None:
    hand, betas = hand_named("mano", "right", mano), torch.tensor([1.0, -1.0] + [0.0] * 8)
    assert isinstance(hand, ManoHand)
    pose = HandPose.zeros(1)
    told = hand.to_smplx(replace(pose, betas=betas[None]))
    shaped = hand.shaped(betas)
    for name, value in shaped.to_smplx(pose)._asdict().items():
        torch.testing.assert_close(value, getattr(told, name), atol=1e-6, rtol=0)
    back = shaped.from_smplx(*told)
    assert float(back.betas.abs().max()) < 1e-6
    torch.testing.assert_close(back.transl, pose.transl, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["open", "mano"])
def test_the_other_side_of_a_shaped_hand_has_its_shape(name: str, mano: Path) -> None:
    shaped = HandShape("14cm").of(hand_named(name, "right", mano))
    left = shaped.mirrored()
    assert left.side == "left"
    assert hand_length(left) == pytest.approx(0.14, abs=1e-5)
    torch.testing.assert_close(left.betas, shaped.betas)
    assert left.size == pytest.approx(shaped.size, abs=1e-5)


@pytest.mark.parametrize("length", [0.1, 0.165, 0.22, 0.3])
def test_a_hand_is_as_long_as_is_said(length: float) -> None:
    hand = load_hand()
    shaped = HandShape(length).of(hand)
    assert hand_length(shaped) == pytest.approx(length, abs=1e-5)
    assert shaped.size == pytest.approx(length / hand_length(hand), abs=1e-4)
    # Of the shapes with that length it is the likeliest: what changes no length is not changed.
    other = betas_of_length(hand, length) + 0.2 * torch.eye(10)[9]
    assert other.norm() > shaped.betas.norm()


def test_nothing_said_is_the_model_itself() -> None:
    hand = load_hand()
    assert HandShape().of(hand) is hand
    assert hand.size == 1.0
    assert not hand.betas.any()
    pose = HandPose.zeros(2)
    assert resized_in_view(pose, hand, HandShape()) is pose


def test_a_hand_before_a_camera_looks_as_large_as_before() -> None:
    hand, pose = load_hand(), HandPose.zeros(1)
    pose = HandPose(pose.hand_pose, pose.betas, pose.global_orient, torch.tensor([[0.1, -0.05, 0.6]]))
    small = resized_in_view(pose, hand, HandShape("13cm"))
    seen = [hand(p.hand_pose, p.betas, p.global_orient, p.transl).joints[0] for p in (pose, small)]
    tip, wrist = 18, 0
    for joint in (tip, wrist):
        before, after = (points[joint, :2] / points[joint, 2] for points in seen)
        torch.testing.assert_close(before, after, atol=8e-3, rtol=0)
    assert float((seen[1][tip] - seen[1][wrist]).norm()) == pytest.approx(0.13, abs=1e-4)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (HandShape("31cm"), "hand_length='31cm' is no hand's"),
        (HandShape("2 in"), "is no hand's"),
        (HandShape("16.5"), "hand_length='16.5' has no unit"),
        (HandShape("long"), "hand_length='long' is no length"),
        (HandShape("15cm", "1,0"), "give one of them"),
        (HandShape(betas="1,x"), "betas='1,x' are no numbers"),
        (HandShape(betas=[0.0] * 11), "up to ten numbers"),
        (HandShape(betas=[float("nan")]), "up to ten numbers"),
        (HandShape(betas="12"), "make a hand of"),
    ],
)
def test_what_is_no_hand_is_refused_in_a_sentence(shape: HandShape, words: str) -> None:
    with pytest.raises(HopriorError) as raised:
        shape.of(load_hand())
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
