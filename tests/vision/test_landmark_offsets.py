"""Joints of hand models beside the landmark network's landmarks."""

import json
from pathlib import Path

import numpy as np
import torch

from hoprior.geometry.camera import intrinsics, project
from hoprior.hand import load_hand, reorder_joints
from hoprior.vision.estimates.photos import seen_in_photo
from hoprior.vision.images import Photo, read_photo
from hoprior.vision.landmark_offsets import SHARE, Upright, joints_of, offsets
from hoprior.vision.landmarker import hand_landmarker
from hoprior.vision.sightings import FoundHand


def ours(points: np.ndarray) -> np.ndarray:
    return reorder_joints(torch.from_numpy(points).double(), "mediapipe").numpy()


def test_hands_of_photos_have_joints_where_these_likelier_are() -> None:
    hand = load_hand()
    joints = hand.joints_only(torch.zeros(1, 15, 3), transl=torch.tensor([[0.0, 0.0, 0.5]]))
    points = reorder_joints(project(joints, intrinsics((320, 240))[None])[0], "mano", "mediapipe").double().numpy()
    world = reorder_joints(joints[0] - joints[0].mean(dim=0), "mano", "mediapipe").double().numpy()
    found = FoundHand(points, world, "right", 1.0, 1.0)
    estimate = seen_in_photo(Photo(np.full((240, 320, 3), 128, dtype=np.uint8)), found, "grey")
    expected = joints_of(ours(points), "right")
    assert np.abs(estimate.keypoints.numpy() - expected).max() < 0.01
    assert np.abs(expected - ours(points)).max() > 1.0


def test_a_share_of_what_was_learnt_is_made_up_for() -> None:
    points = np.random.default_rng(0).uniform(0, 200, (21, 2))
    axes = Upright.of(points, "right")
    inside = axes.inside(points)
    assert np.allclose(axes.inside(joints_of(points, "right")) - inside, SHARE * offsets(inside))


def test_joints_of_photos_are_nearer_to_where_people_put_them_than_landmarks_are(shared_data: Path) -> None:
    folder = shared_data / "real" / "photos"
    before, after = [], []
    for name, hands in json.loads((folder / "truth.json").read_text(encoding="utf-8"))["truth"].items():
        for hand in hands:
            uv, photo = np.asarray(hand["uv"], dtype=float), read_photo(folder / name)
            known = (uv != 0).any(axis=1)
            size = np.ptp(uv[known], axis=0).max()
            there = np.where(known[:, None], uv, uv[known].mean(axis=0))
            found = hand_landmarker().follow(
                photo, FoundHand(there, np.zeros((21, 3)), hand["side"] or "right", 1.0, 1.0)
            )
            if found is None:
                continue
            truth, known = ours(uv), ours(known[:, None])[:, 0] > 0
            for points, errors in ((ours(found.points), before), (joints_of(ours(found.points), found.side), after)):
                errors.append(np.linalg.norm(points - truth, axis=1)[known].mean() / size)
    assert len(before) > 10
    assert np.mean(after) < 0.98 * np.mean(before)
