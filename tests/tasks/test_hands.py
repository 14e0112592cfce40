"""Which hand model a task computes with and which it shows, given the caller's: laws of sides and of ownership."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from made_up_mano import made_up_mano, write_as_published, write_mano_folder

import hoprior
from hoprior.errors import HopriorError
from hoprior.hand import HandModel, OpenHand, load_hand
from hoprior.hand.mano import ManoHand
from hoprior.hand.placement import LocalSearchConfig
from hoprior.hand.pose import mirror_points, mirror_rotvec
from hoprior.models.pose_prior import PosePrior
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig
from hoprior.tasks.grasp.faults import FaultWeights
from hoprior.tasks.shared import right_hand, shown_hand

FLIP = np.array([1.0, -1.0, 1.0])
SMALL = GraspConfig(
    pool=32,
    local_search=LocalSearchConfig(0),
    spare=0.0,
    guiding=DescentConfig(1),
    refining=DescentConfig(1),
    faults=FaultWeights(simulate=False),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mano_folder(tmp_path_factory.mktemp("mano"))


@pytest.fixture(scope="module")
def hands(folder: Path) -> dict[str, HandModel]:
    """Models of either side; the person's is MANO with a rest shape of its own."""
    person = made_up_mano()["v_template"] * 1.1
    return {
        "open right": load_hand(),
        "open left": load_hand("open", "left"),
        "mano right": ManoHand("right", folder),
        "mano left": ManoHand("left", folder),
        "person right": ManoHand("right", folder, person),
    }


@pytest.mark.parametrize("name", ["open right", "open left", "mano right", "mano left", "person right"])
def test_a_mirrored_hand_does_in_the_mirror_what_the_hand_does(hands: dict[str, HandModel], name: str) -> None:
    hand = hands[name]
    draw = torch.Generator().manual_seed(0)
    pose, orient = (0.4 * torch.randn(3, *shape, generator=draw) for shape in ((15, 3), (3,)))
    betas, transl = (torch.randn(3, size, generator=draw) for size in (10, 3))
    other = hand.mirrored()
    assert {hand.side, other.side} == {"right", "left"} and other.name == hand.name
    here = hand(pose, betas, orient, transl)
    there = other(mirror_rotvec(pose), betas, mirror_rotvec(orient), mirror_points(transl))
    torch.testing.assert_close(there.verts, mirror_points(here.verts), rtol=0, atol=2e-6)
    torch.testing.assert_close(there.joints, mirror_points(here.joints), rtol=0, atol=2e-6)
    joints = other.joints_only(mirror_rotvec(pose), betas, mirror_rotvec(orient), mirror_points(transl))
    torch.testing.assert_close(joints, there.joints, rtol=0, atol=2e-6)
    # Faces look outwards on both sides.
    volumes = [trimesh.Trimesh(h.v_template.numpy(), h.faces.numpy(), process=False).volume for h in (hand, other)]
    assert volumes[0] > 0 and volumes[1] == pytest.approx(volumes[0], rel=1e-4)


@pytest.mark.parametrize("name", ["open right", "mano right", "person right"])
def test_the_mirror_s_mirror_is_the_hand(hands: dict[str, HandModel], name: str) -> None:
    hand, again = hands[name], hands[name].mirrored().mirrored()
    for buffer in ("v_template", "shapedirs", "weights", "axes", "joints_template", "T_hand_model"):
        torch.testing.assert_close(getattr(again, buffer), getattr(hand, buffer), rtol=0, atol=1e-7)


def test_the_mirrored_files_are_the_other_side_s(hands: dict[str, HandModel]) -> None:
    """MANO's left hand is the right one's mirror image, so one file is enough for both."""
    made, read = hands["mano right"].mirrored(), hands["mano left"]
    pose = 0.3 * torch.randn(2, 15, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(made(pose).verts, read(pose).verts, rtol=0, atol=2e-6)
    assert isinstance(made, ManoHand) and made.file == hands["mano right"].file  # type: ignore[attr-defined]


def test_a_model_that_cannot_be_mirrored_says_so() -> None:
    class Mine(OpenHand):
        mirrored = HandModel.mirrored  # type: ignore[assignment]

    with pytest.raises(HopriorError, match="does not say how it is mirrored"):
        shown_hand(right_hand(Mine(), "left"), "left")


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", ["open right", "person right", "open left", "mano left"])
def test_a_task_computes_with_a_right_hand_of_its_own(hands: dict[str, HandModel], name: str, side: str) -> None:
    given = hands[name]
    if given.side == "left" and side == "right":
        with pytest.raises(HopriorError, match="side='right' does not go with a left hand's model"):
            right_hand(given, side)
        return
    right = right_hand(given, side)
    shown = shown_hand(right, side)
    assert right.side == "right" and shown.side == side and type(right) is type(given)
    expected = given if given.side == side else given.mirrored()
    torch.testing.assert_close(shown.v_template, expected.v_template, rtol=0, atol=1e-6)
    right.to(torch.float64)
    assert given.v_template.dtype == torch.float32, "the caller's model stays as it is"


@pytest.mark.parametrize("files", [("RIGHT", "LEFT"), ("RIGHT",), ("LEFT",)])
def test_left_hands_by_name_are_those_of_the_left_hand_s_file(
    folder: Path, files: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files differ here, as anybody's may: one side has hands that are a tenth larger."""
    for file in files:
        shutil.copy(folder / f"MANO_{file}.pkl", tmp_path)
    if len(files) == 2:
        right = made_up_mano()
        write_as_published(right | {"v_template": 1.1 * right["v_template"]}, tmp_path / "MANO_RIGHT.pkl")
    monkeypatch.setenv("HOPRIOR_MANO_DIR", str(tmp_path))
    shown = shown_hand(right_hand("mano", "left"), "left")
    named = hoprior.load_hand("mano", "left")
    assert torch.equal(shown.v_template, named.v_template) and torch.equal(shown.faces, named.faces)
    assert shown.origin() == ("MANO_LEFT.pkl" if "LEFT" in files else "MANO_RIGHT.pkl, mirrored")
    for result in (grasped("mano", "left"), posed("mano", "left")):
        assert result.config["hand_origin"] == shown.origin()
        assert np.array_equal(result.faces, named.faces.numpy())
    grasp = grasped("mano", "left")[0]
    again = named(torch.tensor(grasp.hand_pose)[None]).verts[0].numpy()
    np.testing.assert_allclose(in_hand(grasp), again, atol=1e-5)


@pytest.mark.usefixtures("wrong_types")
def test_what_is_no_hand_is_refused() -> None:
    with pytest.raises(HopriorError, match="hand is a PosixPath: give 'open', 'mano' or a HandModel"):
        right_hand(Path("mano"), "right")  # type: ignore[arg-type]


def grasped(hand: HandModel | str, side: str) -> Any:
    can = trimesh.creation.cylinder(radius=0.03, height=0.1, sections=24)
    return hoprior.grasp(can, num=1, hand=hand, side=side, priors=[], config=SMALL, device="cpu")


def posed(hand: HandModel | str, side: str) -> Any:
    torch.manual_seed(0)
    prior = PosePrior(width=16, layers=1, mlp_blocks=1)
    return hoprior.generate_poses("a ball", 1, prior=prior, steps=2, hand=hand, side=side, device="cpu")


@pytest.mark.parametrize("task", [grasped, posed])
def test_hands_of_the_caller_s_model_are_of_the_side_that_was_asked_for(
    hands: dict[str, HandModel], task: Callable[[HandModel, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOPRIOR_MANO_DIR", raising=False)
    right = task(hands["person right"], "right")[0]
    left = task(hands["person right"], "left")[0]
    also_left = task(hands["person right"].mirrored(), "left")[0]
    assert (right.side, left.side, also_left.side) == ("right", "left", "left")
    np.testing.assert_allclose(left.hand_pose, also_left.hand_pose, atol=1e-3)
    # The person's own shape, not the average one that the name stands for.
    shown = hands["person right"].mirrored()(torch.tensor(left.hand_pose)[None]).verts[0].numpy()
    verts = left.verts_hand if task is posed else in_hand(left)
    np.testing.assert_allclose(verts, shown, atol=1e-4)
    with pytest.raises(HopriorError, match="does not go with a left hand's model"):
        task(hands["open left"], "right")


def in_hand(result: Any) -> np.ndarray:
    T = np.linalg.inv(result.T_object_hand)
    verts: np.ndarray = result.verts_object @ T[:3, :3].T + T[:3, 3]
    return verts
