"""Estimates from files: keypoints, parameters, folders; and what is said of those that cannot be used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hoprior.errors import HopriorError
from hoprior.geometry.camera import back_project, intrinsics, mirrored_camera, project, translation_from_pixels
from hoprior.hand import HandModel, load_hand, reorder_joints
from hoprior.vision.estimates import read_estimates

K = intrinsics((640, 480), 500.0)
TRANSL = torch.tensor([[0.02, -0.03, 0.6]])


def joints_of(hand: HandModel) -> torch.Tensor:
    angles = hand.relaxed_angles[None] + 0.3
    return hand.joints_only(hand.angles_to_pose(angles.clamp(hand.angle_low, hand.angle_high)), None, None, TRANSL)[0]


def item(side: str = "right", **entries: Any) -> dict[str, Any]:
    joints = joints_of(load_hand("open", side))  # type: ignore[arg-type]
    listed = reorder_joints(joints, "mano", "openpose")
    return {"xyz": listed.tolist(), "K": K.tolist(), "side": side, **entries}


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_projection_and_its_inverses() -> None:
    points = torch.randn(3, 21, 3) * 0.1 + torch.tensor([0.0, 0.0, 0.7])
    pixels = project(points, K[None])
    assert torch.allclose(back_project(pixels, points[..., 2], K[None]), points, atol=1e-6)
    moved = translation_from_pixels(points - 0.3, pixels, K[None], torch.ones(3, 21))
    assert torch.allclose(moved, torch.full((3, 3), 0.3), atol=1e-4)
    mirrored = points * torch.tensor([1.0, -1.0, 1.0])
    assert torch.allclose(project(mirrored, mirrored_camera(K[None])), pixels, atol=1e-3)


@pytest.mark.parametrize("side", ["right", "left"])
def test_keypoints_become_the_hand_that_they_are_of(tmp_path: Path, side: str) -> None:
    (estimate,), skipped = read_estimates(write(tmp_path / "a.json", item(side)))
    hand = load_hand("open", side)  # type: ignore[arg-type]
    pose = estimate.pose
    fitted = hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)[0]
    assert not skipped and estimate.side == side
    assert (fitted - joints_of(hand)).norm(dim=1).mean() < 0.004


def test_relative_joints_are_placed_by_their_pixels(tmp_path: Path) -> None:
    entries = item()
    joints = torch.tensor(entries["xyz"])
    entries |= {"uv": project(joints[None], K[None])[0].tolist(), "xyz": (joints - joints[9]).tolist()}
    (estimate,), _ = read_estimates(write(tmp_path / "a.json", entries))
    assert torch.allclose(estimate.pose.transl, TRANSL, atol=0.02)


def test_freihand_lists_with_cameras_beside_them(tmp_path: Path) -> None:
    write(tmp_path / "training_xyz.json", [item()["xyz"]] * 3)
    write(tmp_path / "training_K.json", [K.tolist()] * 3)
    estimates, skipped = read_estimates(tmp_path / "training_xyz.json")
    assert len(estimates) == 3 and not skipped
    assert len({estimate.name for estimate in estimates}) == 3


def test_an_estimators_left_hand_is_mirrored_back(tmp_path: Path) -> None:
    joints = reorder_joints(joints_of(load_hand("open", "left")) - TRANSL, "mano", "openpose").numpy()
    arrays = {
        "pred_keypoints_3d": (joints * [-1, 1, 1])[None],
        "cam_t_full": TRANSL.numpy(),
        "focal_length": np.array([500.0]),
        "img_size": np.array([[640.0, 480.0]]),
        "is_right": np.array([0.0]),
    }
    np.savez(tmp_path / "h.npz", **arrays)
    (estimate,), _ = read_estimates(tmp_path / "h.npz")
    pose = estimate.pose
    fitted = load_hand("open", "left").joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    assert estimate.side == "left" and estimate.size == (640, 480)
    assert (fitted[0] - joints_of(load_hand("open", "left"))).norm(dim=1).mean() < 0.004


def test_unknown_joints_are_left_out_and_an_item_with_too_few_is_skipped(tmp_path: Path) -> None:
    missing, hopeless = item(), item()
    missing["xyz"][8] = [None, None, None]
    missing["confidence"] = [0.0 if k == 12 else 1.0 for k in range(21)]
    hopeless["confidence"] = [0.0] * 21
    estimates, skipped = read_estimates(write(tmp_path / "a.json", [missing, hopeless, item()]))
    assert [estimate.name for estimate in estimates] == ["a_0", "a_2"]
    assert "only 0 of 21 joints" in skipped[0].reason
    assert int((estimates[0].confidence == 0).sum()) == 1
    assert bool(estimates[0].keypoints.isfinite().all())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"xyz": [[0.0, 0.0]] * 21}, "21 x 3"),
        ({"xyz": (1000 * np.array(item()["xyz"])).tolist()}, "metres"),
        ({"K": [[0.0] * 3] * 3}, "focal"),
        ({"K": None}, "K nor img_size"),
        ({"side": "middle"}, "side"),
        ({"xyz": None}, "3D joints"),
        ({"order": "nobody"}, "joint order"),
        ({"K": None, "img_size": [640]}, "width and height"),
        ({"K": None, "img_size": [640, 480], "focal_length": 0}, "more than 0"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(HopriorError, match=said):
        read_estimates(write(tmp_path / "a.json", item() | change))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    np.savez(tmp_path / "o.npz", xyz=np.array([{"a": 1}], dtype=object))
    for name, said in (("a.json", "damaged JSON"), ("o.npz", "plain arrays"), ("none.json", "no such file")):
        with pytest.raises(HopriorError, match=said):
            read_estimates(tmp_path / name)


def test_a_folder_keeps_what_is_good(tmp_path: Path) -> None:
    write(tmp_path / "good.json", item(text="a hand holding a cup"))
    (tmp_path / "bad.json").write_text("{")
    estimates, skipped = read_estimates(tmp_path)
    assert [e.name for e in estimates] == ["good"] and estimates[0].text == "a hand holding a cup"
    assert [s.name for s in skipped] == ["bad.json"]
    (tmp_path / "masks").mkdir()
    (alone,), _ = read_estimates(tmp_path, mask=tmp_path / "masks")
    assert "no mask named good" in alone.notes[-1]


def test_two_hands_share_the_size_of_their_picture(tmp_path: Path) -> None:
    """Two numbers beside two hands are a width and a height."""
    hands: dict[str, Any] = {name: np.array([value, value]) for name, value in item().items() if name == "xyz"}
    np.savez(tmp_path / "a.npz", img_size=np.array([640, 480]), focal_length=500.0, **hands)
    estimates, skipped = read_estimates(tmp_path / "a.npz")
    assert [estimate.size for estimate in estimates] == [(640, 480)] * 2 and not skipped
    with pytest.raises(HopriorError, match="--focal -1"):
        read_estimates(tmp_path / "a.npz", focal=-1.0)
