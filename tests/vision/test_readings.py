"""Files of estimators in the forms that people have them in: whichever it is, the hand comes out where it was."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up_mano import write_mano_folder

from hoprior.errors import HopriorError
from hoprior.geometry.camera import intrinsics, project
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.hand import load_hand, reorder_joints
from hoprior.vision.estimates import HandEstimate, read_estimates
from hoprior.vision.estimates.cameras import solve_camera

SIZE = (640, 480)
FOCAL = 600.0
K = intrinsics(SIZE, FOCAL)
RAW = 5000.0 / 256.0 * max(SIZE)
"""HaMeR's focal length for a picture of this size."""


def joints_of(side: str, seed: int = 0) -> torch.Tensor:
    """Joints (21, 3) of a hand before the camera, metres, as OpenPose lists them."""
    hand = load_hand("open", side)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    angles = hand.relaxed_angles + 0.3 * torch.randn(15, 3, generator=generator)
    pose = hand.angles_to_pose(angles.clamp(hand.angle_low, hand.angle_high)[None])
    turn = torch.randn(1, 3, generator=generator)
    joints = hand.joints_only(pose, None, turn, torch.tensor([[0.05, -0.04, 0.7]]))[0]
    return reorder_joints(joints, "mano", "openpose")


def fitted(estimate: HandEstimate) -> torch.Tensor:
    hand, pose = load_hand("open", estimate.side), estimate.pose
    joints = hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)[0]
    return reorder_joints(joints, "mano", "openpose")


def miss_mm(estimate: HandEstimate, joints: torch.Tensor) -> float:
    return float((fitted(estimate) - joints).norm(dim=-1).mean()) * 1000


def read(path: Path, content: Any) -> HandEstimate:
    path.write_text(json.dumps(content))
    (estimate,), skipped = read_estimates(path)
    assert not skipped
    return estimate


def estimators(joints: torch.Tensor, side: str, mirrored: bool) -> dict[str, Any]:
    """Joints as an estimator has them: relative to a point, with what brings them before the camera."""
    place = torch.tensor([0.05, -0.04, 0.7])
    relative = (joints - place) * torch.tensor([-1.0 if mirrored else 1.0, 1.0, 1.0])
    return {
        "pred_keypoints_3d": relative[None].tolist(),
        "pred_cam_t_full": place[None].tolist(),
        "is_right": float(side == "right"),
        "scaled_focal_length": FOCAL,
        "img_size": list(SIZE),
    }


@pytest.mark.parametrize(("side", "seed"), product(("right", "left"), range(4)))
def test_left_hands_are_mirrored_once_whatever_the_estimator_has_done(tmp_path: Path, side: str, seed: int) -> None:
    joints = joints_of(side, seed)
    as_hamer = read(tmp_path / "a.json", estimators(joints, side, mirrored=side == "left"))
    as_wilors_demo = read(tmp_path / "b.json", estimators(joints, side, mirrored=False))
    for estimate in (as_hamer, as_wilors_demo):
        assert estimate.side == side and miss_mm(estimate, joints) < 3
    assert not as_hamer.notes and bool(as_wilors_demo.notes) == (side == "left")


@pytest.mark.parametrize("side", ["right", "left"])
def test_what_wilor_mini_returns_is_read_as_it_is(tmp_path: Path, side: str) -> None:
    """A list of hands with their predictions inside; nothing says how large the picture was but the pixels."""
    joints = joints_of(side)
    entries = estimators(joints, side, mirrored=False)
    outside = {"is_right": entries.pop("is_right"), "hand_bbox": [1.0, 2.0, 3.0, 4.0]}
    del entries["img_size"]
    entries["pred_keypoints_2d"] = project(joints[None], K[None]).tolist()
    entries |= {"global_orient": [[[0.0] * 3]], "hand_pose": [[[0.0] * 3] * 15], "betas": [[0.0] * 10]}
    hand = {**outside, "wilor_preds": entries}
    estimate = read(tmp_path / "a.json", [hand])
    assert estimate.side == side and estimate.size == SIZE and miss_mm(estimate, joints) < 3
    (tmp_path / "b.json").write_text(json.dumps({"1.jpg": [hand, hand], "2.jpg": [hand], "fps": 30}))
    assert len(read_estimates(tmp_path / "b.json")[0]) == 3


@pytest.mark.parametrize("side", ["right", "left"])
def test_hamers_crop_pixels_and_crop_focal_length_are_not_taken_for_the_pictures(tmp_path: Path, side: str) -> None:
    joints = joints_of(side)
    entries = estimators(joints, side, mirrored=side == "left")
    entries["pred_keypoints_2d"] = (torch.rand(1, 21, 2) - 0.5).tolist()
    del entries["scaled_focal_length"]
    for more in ({}, {"focal_length": 5000.0}):
        estimate = read(tmp_path / "a.json", {**entries, **more})
        assert float(estimate.K[0, 0]) == pytest.approx(RAW) and len(estimate.notes) == 2
        assert miss_mm(estimate, joints) < 3


@pytest.mark.parametrize(("side", "seed"), product(("right", "left"), range(3)))
def test_the_side_is_told_by_what_fits_where_nobody_says_it(tmp_path: Path, side: str, seed: int) -> None:
    joints = joints_of(side, seed)
    estimate = read(tmp_path / "a.json", {"xyz": joints.tolist(), "K": K.tolist()})
    assert estimate.side == side and miss_mm(estimate, joints) < 3
    assert any("taken as a left hand" in note for note in estimate.notes) == (side == "left")


@pytest.mark.parametrize(("side", "other"), [("right", "left"), ("left", "right")])
def test_a_side_that_is_wrong_is_said(tmp_path: Path, side: str, other: str) -> None:
    entries = {"xyz": joints_of(side).tolist(), "K": K.tolist(), "side": other}
    for more in ({}, {"uv": project(joints_of(side)[None], K[None])[0].tolist()}):
        (tmp_path / "a.json").write_text(json.dumps(entries | more))
        with pytest.raises(HopriorError, match=f"side: the joints are a {side} hand's"):
            read_estimates(tmp_path / "a.json")


AXES = {"OpenGL": (1.0, -1.0, -1.0), "Unity": (1.0, -1.0, 1.0), "z towards": (1.0, 1.0, -1.0)}


@pytest.mark.parametrize(
    ("axes", "side", "relative"), [(a, s, r) for a, s, r in product(AXES, ("right", "left"), (False, True))]
)
def test_axes_of_other_programs_are_told_by_the_pixels(tmp_path: Path, axes: str, side: str, relative: bool) -> None:
    joints = joints_of(side)
    turned = joints * torch.tensor(AXES[axes])
    uv = project(joints[None], K[None])[0].tolist()
    listed = turned - turned[9] if relative else turned
    estimate = read(tmp_path / "a.json", {"xyz": listed.tolist(), "uv": uv, "K": K.tolist(), "side": side})
    # Where relative joints are is worked out from their pixels, less exactly in depth.
    assert miss_mm(estimate, joints) < (12 if relative else 3)
    assert any(axes in note for note in estimate.notes)


@pytest.mark.parametrize("side", ["right", "left"])
def test_joints_behind_the_camera_are_opengls_even_without_pixels(tmp_path: Path, side: str) -> None:
    joints = joints_of(side)
    entries = {"xyz": (joints * torch.tensor(AXES["OpenGL"])).tolist(), "K": K.tolist(), "side": side}
    assert miss_mm(read(tmp_path / "a.json", entries), joints) < 3


@pytest.mark.parametrize(("listed_as", "said"), [("mano", None), ("interhand", None), ("openpose", "mano")])
def test_an_order_that_is_wrong_is_said(tmp_path: Path, listed_as: str, said: str | None) -> None:
    listed = reorder_joints(reorder_joints(joints_of("right"), "openpose"), "mano", listed_as)
    entries = {"xyz": listed.tolist(), "K": K.tolist(), **({"order": said} if said else {})}
    (tmp_path / "a.json").write_text(json.dumps(entries))
    with pytest.raises(HopriorError, match=f"joint order: the joints are listed as {listed_as}"):
        read_estimates(tmp_path / "a.json")


@pytest.mark.parametrize(("factor", "unit"), [(1000.0, "millimetres"), (100.0, "centimetres"), (39.37, "inches")])
def test_a_unit_that_is_wrong_is_said(tmp_path: Path, factor: float, unit: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"xyz": (factor * joints_of("left")).tolist(), "K": K.tolist()}))
    with pytest.raises(HopriorError, match=f"joints are in {unit}"):
        read_estimates(tmp_path / "a.json")


def test_points_that_are_no_hands_joints_are_noted(tmp_path: Path) -> None:
    joints = joints_of("right")
    joints[[4, 8, 12, 16, 20]] += 0.06 * torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    estimate = read(tmp_path / "a.json", {"xyz": joints.tolist(), "K": K.tolist(), "side": "right"})
    assert any("from the nearest right hand" in note for note in estimate.notes)


def test_pixels_that_disagree_with_the_place_of_the_joints_count(tmp_path: Path) -> None:
    joints = joints_of("right")
    uv = project(joints[None], K[None])[0].tolist()
    entries = {"xyz": (joints + torch.tensor([0.3, 0.0, 0.0])).tolist(), "uv": uv, "K": K.tolist()}
    estimate = read(tmp_path / "a.json", entries)
    assert miss_mm(estimate, joints) < 12 and any("not where their pixels are" in note for note in estimate.notes)


def test_landmarks_by_name_and_in_shares_of_the_picture(tmp_path: Path) -> None:
    """As MediaPipe's results are dumped: x, y, z by name, pixels as shares of the picture's sides."""
    joints = joints_of("left")
    shares = project(joints[None], K[None])[0] / torch.tensor([640.0, 480.0])
    named = [{"x": float(x), "y": float(y), "z": float(z)} for x, y, z in joints - joints[9]]
    flat = [{"x": float(x), "y": float(y), "visibility": 1.0} for x, y in shares]
    content = {"world_landmarks": named, "landmarks": flat, "img_size": list(SIZE), "focal_length": FOCAL}
    estimate = read(tmp_path / "a.json", content)
    assert estimate.side == "left" and miss_mm(estimate, joints) < 12


@pytest.mark.parametrize("content", [{"xyz": float("nan")}, {"xyz": []}, [], {}, [[]], {"xyz": [1.0, 2.0]}, [{}], "a"])
def test_what_holds_no_hand_is_refused_in_a_sentence(tmp_path: Path, content: Any) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(HopriorError, match=r"3D joints|have the shape|neither hands"):
        read_estimates(tmp_path / "a.json")


def test_a_camera_is_worked_out_from_joints_and_pixels() -> None:
    joints = joints_of("right")
    pixels = project(joints[None], K[None])[0]
    solved = solve_camera(joints, pixels)
    assert solved.focal == pytest.approx(FOCAL, rel=0.01) and solved.centre == pytest.approx((320, 240), abs=2)
    centred = solve_camera(joints, pixels, None, (320.0, 240.0))
    assert centred.focal == pytest.approx(FOCAL, rel=1e-3) and centred.miss < 1e-3
    assert solve_camera(joints, pixels, 2 * FOCAL, (320.0, 240.0)).miss > 0.1


@pytest.fixture(scope="module")
def mano_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mano_folder(tmp_path_factory.mktemp("mano"))


@pytest.mark.parametrize(("joints_mirrored", "rotations_mirrored"), product((True, False), (True, False)))
@pytest.mark.parametrize("side", ["right", "left"])
def test_manos_parameters_are_mirrored_once_whatever_was_done_to_them_and_to_the_joints(
    tmp_path: Path,
    mano_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    side: str,
    joints_mirrored: bool,
    rotations_mirrored: bool,
) -> None:
    """WiLoR-mini mirrors rotations and joints back, WiLoR's demo the joints alone, HaMeR neither."""
    monkeypatch.setenv("HOPRIOR_MANO_DIR", str(mano_folder))
    hand = load_hand("mano", side)  # type: ignore[arg-type]
    orient, fingers = (
        torch.tensor([[0.3, 1.2, -0.4]]),
        0.2 * torch.randn(1, 45, generator=torch.Generator().manual_seed(3)),
    )
    place = torch.tensor([[0.05, -0.04, 0.7]])
    wanted: HandPose = hand.from_smplx(fingers, None, orient, place)
    joints = hand.joints_only(wanted.hand_pose, wanted.betas, wanted.global_orient, wanted.transl)[0]
    in_crop = torch.tensor([-1.0, 1.0, 1.0]) if side == "left" and joints_mirrored else torch.ones(3)
    turned = torch.tensor([1.0, -1.0, -1.0]) if side == "left" and rotations_mirrored else torch.ones(3)
    np.savez(
        tmp_path / "a.npz",
        pred_keypoints_3d=((reorder_joints(joints, "mano", "openpose") - place) * in_crop)[None],
        pred_cam_t_full=place,
        is_right=[float(side == "right")],
        scaled_focal_length=FOCAL,
        img_size=SIZE,
        global_orient=orient * turned,
        hand_pose=fingers.view(1, 15, 3) * turned,
    )
    (estimate,), _ = read_estimates(tmp_path / "a.npz", hand="mano")
    pose = estimate.pose
    found = hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)[0]
    assert estimate.side == side and (found - joints).norm(dim=-1).max() < 1e-4


def entries(**changed: Any) -> dict[str, Any]:
    """A hand with all that it can have, but for what is changed, or left out by None."""
    joints = joints_of("right")
    uv = project(joints[None], K[None])[0]
    whole = {"xyz": joints.tolist(), "uv": uv.tolist(), "K": K.tolist(), "img_size": list(SIZE), **changed}
    return {key: value for key, value in whole.items() if value is not None}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"uv": np.ones((21, 4)).tolist()}, r"2D keypoints have the shape \(21, 4\): give 21 x 2"),
        ({"uv": np.full((21, 2), 0.5).tolist(), "img_size": None, "K": None}, "give pixels, or img_size"),
        ({"xyz": np.linspace(0, 1e-3, 63).reshape(21, 3).tolist()}, "which no hand does|are they in metres"),
        ({"K": np.diag([0.0, 600, 1]).tolist()}, "K has no positive focal lengths"),
        ({"K": None, "focal_length": -600}, "focal_length is -600: give pixels, more than 0"),
        ({"K": None, "img_size": None, "uv": None}, "says neither K nor img_size"),
        ({"K": None, "img_size": [640, 1e7]}, "a picture of 640 x 10,000,000 pixels cannot be"),
        ({"side": "both"}, "side 'both' is unknown: right or left"),
        ({"is_right": 2}, "is_right is 2: give 1 for a right hand, 0 for a left one"),
        ({"img_size": [640]}, r"img_size is \[640.0\]: give width and height"),
        ({"img_size": [640, -1]}, "give width and height, pixels"),
        ({"xyz": None}, "has neither 3D joints"),
        ({"xyz": None, "hand_pose": [0.0] * 44}, "give 15 rotations"),
        ({"xyz": None, "hand_pose": np.zeros(45).tolist()}, "MANO's parameters but no 3D joints"),
        ({"xyz": (joints_of("right") - joints_of("right")[0]).tolist(), "uv": None}, "not before the camera"),
    ],
)
def test_entries_that_cannot_be_right_are_named(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(entries(**changed)))
    with pytest.raises(HopriorError, match=words):
        read_estimates(tmp_path / "a.json")


def test_joints_that_are_not_known_do_not_count_and_hidden_ones_are_told(tmp_path: Path) -> None:
    joints = joints_of("right")
    spoilt, flags = joints.clone(), [0.0] * 21
    spoilt[8], flags[8] = 5.0, 1.0
    confidence = [0.0 if flag else 1.0 for flag in flags]
    estimate = read(tmp_path / "a.json", entries(xyz=spoilt.tolist(), confidence=confidence, occluded=flags, frame=7))
    assert miss_mm(estimate, joints) < 12 and estimate.frame == 7
    assert estimate.occluded is not None and reorder_joints(estimate.occluded[:, None], "mano", "openpose")[8, 0]
    assert int(estimate.occluded.sum()) == 1


@pytest.mark.parametrize("said", ["cam_t", "uv", "joints"])
@pytest.mark.parametrize("matrices", [True, False])
def test_manos_parameters_alone_are_placed_by_what_the_file_says(
    tmp_path: Path, mano_folder: Path, monkeypatch: pytest.MonkeyPatch, said: str, matrices: bool
) -> None:
    monkeypatch.setenv("HOPRIOR_MANO_DIR", str(mano_folder))
    hand = load_hand("mano", "right")
    orient, place = torch.tensor([[0.3, 1.2, -0.4]]), torch.tensor([[0.05, -0.04, 0.7]])
    fingers = 0.2 * torch.randn(1, 45, generator=torch.Generator().manual_seed(3))
    wanted: HandPose = hand.from_smplx(fingers, None, orient, place)
    joints = hand.joints_only(wanted.hand_pose, wanted.betas, wanted.global_orient, wanted.transl)[0]
    listed = reorder_joints(joints, "mano", "openpose")
    about = {
        "cam_t": {"cam_t_full": place[0].tolist()},
        "uv": {"uv": project(listed[None], K[None])[0].tolist()},
        "joints": {"xyz": listed.flatten().tolist()},
    }[said]
    turned = [rotvec_to_rotmat(v.view(-1, 3)) if matrices else v[0] for v in (orient, fingers)]
    about |= {"global_orient": turned[0].tolist(), "hand_pose": turned[1].tolist()}
    (tmp_path / "a.json").write_text(json.dumps({**about, "K": K.tolist(), "img_size": list(SIZE), "side": "right"}))
    (estimate,), _ = read_estimates(tmp_path / "a.json", hand="mano")
    pose = estimate.pose
    found = hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)[0]
    assert (found - joints).norm(dim=-1).max() < 1e-3

    lacking = {"global_orient": turned[0].tolist(), "hand_pose": turned[1].tolist(), "K": K.tolist(), "side": "right"}
    (tmp_path / "a.json").write_text(json.dumps(lacking))
    with pytest.raises(HopriorError, match="does not say where the hand is: give cam_t_full, or 2D keypoints"):
        read_estimates(tmp_path / "a.json", hand="mano")
    (tmp_path / "a.json").write_text(json.dumps({**lacking, "hand_pose": [[0.0] * 44]}))
    with pytest.raises(HopriorError, match="44 numbers for 15 rotations"):
        read_estimates(tmp_path / "a.json", hand="mano")
