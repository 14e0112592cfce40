"""What photos tell of hidden joints (tasks/refine/observations.py): objects in front, and the landmarker's guess."""

from dataclasses import replace

import numpy as np
import torch
from hand_estimates import SIZE, estimate
from small_priors import small_pose_prior

from hoprior.geometry.camera import project
from hoprior.hand import load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.tasks.refine.observations import Picture, free_rotations
from hoprior.tasks.refine.sampling import RefineConfig, refine_poses
from hoprior.tasks.refine.task import occluded_joints, views_of

QUICK = RefineConfig(steps=10, samples=2)
FINGER = ("index2", "index3", "index_tip")
CORNERS = torch.tensor([[10.0, 10.0], [60.0, 10.0], [-5.0, 10.0], [10.4, 470.0]])


def box_at_the_left() -> np.ndarray:
    mask = np.zeros(SIZE[::-1], dtype=bool)
    mask[:50, :30] = True
    return mask


def test_what_is_on_an_object_or_beyond_the_photo_is_not_seen() -> None:
    assert Picture(SIZE).unseen(CORNERS).tolist() == [False, False, True, False]
    assert Picture(SIZE, objects=box_at_the_left()).unseen(CORNERS).tolist() == [True, False, True, False]


def test_with_all_objects_known_the_background_is_no_hiding_place() -> None:
    hand_mask = np.zeros(SIZE[::-1], dtype=bool)
    hand_mask[300:, 300:] = True
    picture = Picture(SIZE, hand_mask, box_at_the_left())
    assert picture.may_hide(CORNERS).tolist() == [True] * 4
    assert replace(picture, complete=True).may_hide(CORNERS).tolist() == [True, False, True, False]
    assert replace(picture, complete=True).unseen(CORNERS).tolist() == [True] * 4


def test_joints_on_an_object_are_hidden() -> None:
    item = replace(estimate(), photo=np.zeros((*SIZE[::-1], 3), dtype=np.uint8), occluded=None)
    tip = JOINT_NAMES.index("index_tip")
    x, y = item.keypoints[tip].round().int().tolist()
    mask = np.zeros(SIZE[::-1], dtype=bool)
    mask[y - 2 : y + 3, x - 2 : x + 3] = True
    for told, expected in ((item, False), (replace(item, objects=mask), True)):
        assert bool(occluded_joints(told, told.pose, load_hand())[0, tip]) is expected


def test_the_more_a_guess_weighs_the_nearer_hidden_joints_stay_to_it() -> None:
    hand, misses = load_hand(), []
    hidden = [JOINT_NAMES.index(name) for name in FINGER]
    for guess in (0.0, 0.03, 1.0):
        batch = views_of([replace(estimate(hidden=FINGER, seed=seed), guess=guess) for seed in range(4)], hand)
        pose = refine_poses(small_pose_prior(), hand, batch, None, QUICK).pose
        joints = hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
        away = (project(joints, batch.K) - batch.keypoints).norm(dim=-1)
        misses.append(float(away[:, hidden].mean()))
        held = ~free_rotations(batch.occluded)
        assert torch.equal(pose.hand_pose[held], batch.pose.hand_pose[held])
    assert misses[0] > 1.2 * misses[1] > 1.4 * misses[2]
