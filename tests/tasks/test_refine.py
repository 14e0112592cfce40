"""Refinement (tasks/refine/task.py): what is held, what is drawn, and what is written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from hand_estimates import SIZE, estimate
from PIL import Image
from small_priors import small_pose_prior

from hoprior.cli.entry import main
from hoprior.errors import HopriorError
from hoprior.geometry.camera import intrinsics, project
from hoprior.hand import HandPose, load_hand
from hoprior.hand.joint_order import JOINT_NAMES, NEXT_JOINT
from hoprior.rendering.overlay import HEADER, ROWS
from hoprior.results.refinements import HANDS, RefinedHands
from hoprior.tasks.refine.observations import HandViews, Picture, free_rotations, occlusion_consistency, weighted_mean
from hoprior.tasks.refine.sampling import DeviceProxy, RefineConfig, _Denoiser, noise_levels, refine_poses
from hoprior.tasks.refine.task import occluded_joints, refine
from hoprior.vision.estimates import HandEstimate
from hoprior.vision.masks import PROMPTS, box_around, hand_mask
from hoprior.vision.sam2 import Prompt

QUICK = RefineConfig(steps=10, samples=2)


INDEX = ("index2", "index3", "index_tip")


def views(*items: HandEstimate) -> HandViews:
    poses = [item.pose for item in items]
    fields = ("hand_pose", "betas", "global_orient", "transl")
    return HandViews(
        HandPose(*(torch.cat([getattr(pose, name) for pose in poses]) for name in fields)),
        torch.stack([item.K for item in items]),
        torch.stack([item.keypoints for item in items]),
        torch.stack([item.confidence for item in items]),
        torch.stack([item.occluded for item in items if item.occluded is not None]),
    )


def test_each_rotation_belongs_to_the_next_joint_of_its_finger() -> None:
    names = [(JOINT_NAMES[row + 1], JOINT_NAMES[child]) for row, child in enumerate(NEXT_JOINT)]
    assert names[0] == ("index1", "index2") and names[2] == ("index3", "index_tip") and names[14][1] == "thumb_tip"


def test_the_noise_level_grows_with_the_occluded_joints_in_the_papers_range() -> None:
    occluded = torch.arange(21)[None] < torch.tensor([[0], [7], [21]])
    assert torch.allclose(noise_levels(occluded, RefineConfig()), torch.tensor([0.1, 0.4, 1.0]))


@pytest.mark.parametrize("mode", ["denoise", "sds"])
def test_visible_joints_are_held_and_occluded_ones_move(mode: str) -> None:
    config = replace(QUICK, mode=mode)  # type: ignore[arg-type]
    batch = views(estimate(hidden=INDEX))
    refined = refine_poses(small_pose_prior(), load_hand(), batch, None, config)
    free = free_rotations(batch.occluded)[0]
    moved = (refined.pose.hand_pose - batch.pose.hand_pose).abs().amax(dim=-1)[0]
    assert free.tolist() == [True, True, True] + 12 * [False]
    assert (moved[free] > 1e-3).all() and (moved[~free] == 0).all()
    hidden = batch.occluded[0]
    assert (refined.spread[0, ~hidden] < 1e-6).all()
    if mode == "denoise":
        assert (refined.spread[0, hidden] > 1e-5).all()


def test_nothing_occluded_changes_nothing_and_all_occluded_is_drawn_whole() -> None:
    batch = views(estimate(), estimate(hidden=JOINT_NAMES))
    refined = refine_poses(small_pose_prior(), load_hand(), batch, None, QUICK)
    assert torch.equal(refined.pose.hand_pose[0], batch.pose.hand_pose[0])
    assert refined.noise_level.tolist() == [0.0, 1.0]
    angles = load_hand().pose_to_angles(refined.pose.hand_pose[1])
    assert bool((angles >= load_hand().angle_low - 1e-4).all() and (angles <= load_hand().angle_high + 1e-4).all())


def test_a_hand_depends_on_no_other_and_on_its_seed() -> None:
    prior, hand = small_pose_prior(), load_hand()
    batch = views(estimate(hidden=INDEX), estimate(hidden=INDEX, seed=1))
    both = refine_poses(prior, hand, batch, None, QUICK, seed=5).pose.hand_pose
    alone = refine_poses(prior, hand, views(estimate(hidden=INDEX, seed=1)), None, QUICK, seed=5).pose.hand_pose
    chunked = refine_poses(prior, hand, batch, None, replace(QUICK, chunk=3), seed=5).pose.hand_pose
    other = refine_poses(prior, hand, batch, None, QUICK, seed=6).pose.hand_pose
    assert torch.allclose(both[1], alone[0], atol=1e-5)
    assert torch.allclose(both, chunked, atol=1e-5)
    assert not torch.allclose(both, other, atol=1e-4)


def test_a_visible_tip_beyond_hidden_joints_keeps_its_place() -> None:
    """The tip is within a few millimetres of where it is seen, whatever the prior says; without the fit it is not."""
    prior, hand = small_pose_prior(), load_hand()
    batch = views(estimate(hidden=("index2", "index3")))
    first = hand.joints_only(batch.pose.hand_pose, None, batch.pose.global_orient, batch.pose.transl)
    tip = JOINT_NAMES.index("index_tip")
    miss = []
    for fit_steps in (0, 1):
        pose = refine_poses(prior, hand, batch, None, replace(QUICK, fit_steps=fit_steps, samples=1)).pose
        joints = hand.joints_only(pose.hand_pose, None, pose.global_orient, pose.transl)
        miss.append(float((joints - first)[0, tip].norm()))
    assert miss[1] < 0.003 < miss[0]


def seen_from_the_back(fist: float) -> HandViews:
    """A hand whose fingers are bent by a share of their limits, seen from its back, in a picture without a mask."""
    hand = load_hand()
    angles = fist * hand.angle_high
    angles[..., [0, 2]] = 0.0
    zeros = torch.zeros(1, 3)
    pose = HandPose(hand.angles_to_pose(angles[None]), torch.zeros(1, 10), zeros, torch.tensor([[-0.05, 0.0, 0.5]]))
    joints = hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    K = intrinsics(SIZE, 500.0)[None]
    hidden = torch.tensor([[name in ("middle_tip", "middle3") for name in JOINT_NAMES]])
    return HandViews(pose, K, project(joints, K), torch.ones(1, 21), hidden, (Picture(SIZE),))


def test_samples_count_by_the_hidden_joints_that_they_leave_out_of_sight() -> None:
    hand, batch = load_hand(), seen_from_the_back(0.85)
    straight = batch.pose.hand_pose.clone()
    straight[:, 3:6] = 0.0
    samples = torch.stack([batch.pose.hand_pose, straight], dim=1)
    shares = occlusion_consistency(hand, batch, samples)
    assert shares[0, 0, 3:6].tolist() == [1.0] * 3 and shares[0, 1, 3:6].tolist() == [0.0] * 3
    assert bool((shares[0, :, 6:] == 1).all())
    assert torch.equal(weighted_mean(samples, shares, batch.pose.hand_pose)[:, 3:6], samples[:, 0, 3:6])
    behind = replace(batch, pictures=(Picture(SIZE, np.zeros(SIZE[::-1], dtype=bool)),))
    assert bool((occlusion_consistency(hand, behind, samples) == 1).all())
    nobody_knows = replace(batch, pictures=(None,))
    assert bool((occlusion_consistency(hand, nobody_knows, samples) == 1).all())


def test_the_first_estimate_stands_where_no_sample_explains_the_picture() -> None:
    first = torch.randn(1, 15, 3)
    samples = first[:, None] + torch.ones(1, 4, 1, 1)
    assert torch.allclose(weighted_mean(samples, torch.zeros(1, 4, 15), first), first)
    assert torch.allclose(weighted_mean(samples, torch.ones(1, 4, 15), first), first + 1)


def test_joints_outside_the_photo_are_not_seen() -> None:
    item = replace(estimate(), photo=np.zeros((480, 640, 3), dtype=np.uint8), occluded=None)
    tip = JOINT_NAMES.index("index_tip")
    keypoints = item.keypoints.clone()
    keypoints[tip] = torch.tensor([-30.0, 100.0])
    for outside, expected in ((item, False), (replace(item, keypoints=keypoints), True)):
        hidden = occluded_joints(outside, outside.pose, load_hand())[0]
        assert bool(hidden[tip]) is expected


def test_a_left_hand_is_the_mirror_of_its_right_one() -> None:
    right = estimate(hidden=INDEX)
    left = estimate(side="left", hidden=INDEX)
    mirrored = replace(left, pose=right.pose.mirrored())
    joints = load_hand("open", "left").joints_only(
        mirrored.pose.hand_pose, None, mirrored.pose.global_orient, mirrored.pose.transl
    )
    mirrored = replace(mirrored, keypoints=project(joints, left.K[None])[0])
    hands = refine([right, mirrored], priors=[(1.0, small_pose_prior())], config=QUICK)
    mirror = np.array([1.0, -1.0, 1.0])
    # The right camera sees the mirrored scene elsewhere, so that only what no pixel constrains is the same.
    assert np.allclose(hands[1].joints * mirror, hands[0].joints, atol=1e-4)


def test_results_are_written_and_say_what_they_are(tmp_path: Path) -> None:
    hands = refine(
        [estimate("a", hidden=INDEX), estimate("b", "left")], priors=[(1.0, small_pose_prior())], config=QUICK
    )
    hands.save(tmp_path / "out")
    index = json.loads((tmp_path / "out" / "hands.json").read_text())
    assert [hand["name"] for hand in index["hands"]] == ["a", "b"]
    assert index["hands"][1]["mean_change_mm"] == 0.0
    with np.load(tmp_path / "out" / "hands.npz") as arrays:
        assert arrays["hand_pose"].shape == (2, 15, 3) and arrays["occluded"].sum() == 3
        assert np.allclose(arrays["joints"][0], hands[0].joints)
    scene = trimesh.load_scene(tmp_path / "out" / "hand_000.glb")
    assert set(scene.geometry) == {"refined", "first"}
    assert all(mesh.is_watertight for mesh in scene.geometry.values())
    hands.save(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(index["files"])


def test_there_is_a_row_for_each_of_many_hands_and_old_pages_go(tmp_path: Path) -> None:
    (hand,) = refine([estimate("a")], priors=[(1.0, small_pose_prior())], config=QUICK)
    hand = replace(hand, presence=0.9, certainty=0.4)
    RefinedHands((hand,) * (2 * ROWS + 1)).save(tmp_path / "out")
    pages = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert pages == ["hands.png", "hands_2.png", "hands_3.png"]
    heights = [Image.open(tmp_path / "out" / name).height - HEADER for name in pages]
    assert heights[0] == heights[1] == ROWS * heights[2]
    index = json.loads((tmp_path / "out" / "hands.json").read_text())
    assert set(pages) <= set(index["files"])
    assert (index["hands"][0]["presence"], index["hands"][0]["certainty"]) == (0.9, 0.4)
    RefinedHands((hand,)).save(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["hands.png"]


def test_an_unfinished_run_may_go_on_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "out" / "found").mkdir(parents=True)
    HANDS.check_writable(tmp_path / "out")
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(HopriorError, match=r"did not write \(mine\.txt\)"):
        HANDS.check_writable(tmp_path / "out")


@pytest.mark.usefixtures("wrong_types")
def test_arguments_that_cannot_be_used_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HopriorError, match="2 texts for 1 hands"):
        refine(estimate(), ["a", "b"], priors=[(1.0, small_pose_prior())])
    with pytest.raises(HopriorError, match="how hands are bent"):
        refine(estimate(), priors=[(1.0, "contrastive")])
    with pytest.raises(HopriorError, match=r"config.mode"):
        RefineConfig(mode="other")  # type: ignore[arg-type]
    assert main(["run", "refine", "--out", str(tmp_path / "o")]) == 2
    assert "nothing to refine" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


class StubMasks:
    """Stands for SAM 2: remembers what it was shown and likes its second mask best."""

    def masks(self, photo: np.ndarray, prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
        self.prompt = prompt
        masks = np.zeros((3, *photo.shape[:2]), dtype=bool)
        masks[1, :10] = True
        return masks, np.array([0.1, 0.9, 0.5])


def test_masks_come_from_joints_and_a_box() -> None:
    model, keypoints = StubMasks(), np.random.default_rng(0).uniform(20, 80, (21, 2))
    mask = hand_mask(model.masks, np.zeros((90, 100, 3), dtype=np.uint8), keypoints)
    assert mask.dtype == bool and mask[:10].all() and not mask[10:].any()
    assert np.allclose(model.prompt.points, keypoints[list(PROMPTS)])
    box = model.prompt.box
    assert box is not None and (box[:2] <= keypoints.min(axis=0)).all() and (box[2:] >= keypoints.max(axis=0)).all()
    assert box_around(keypoints, 50, 50).max() <= 50


def test_one_hand_without_a_mask_does_not_cost_the_others() -> None:
    """Of two hands the first is outside its photo; masks that show nothing of the second hide all its joints."""
    photo = np.zeros((480, 640, 3), dtype=np.uint8)
    away = replace(estimate("away"), photo=photo, keypoints=torch.full((21, 2), -50.0), occluded=None)
    seen = replace(estimate("seen"), photo=photo, occluded=None)
    hands = refine([away, seen], priors=[(1.0, small_pose_prior())], config=QUICK, segment=segmenter)
    assert "palm is outside the photo" in hands[0].notes[-1] and not hands[1].notes
    assert hands[1].occluded.sum() > 15


def segmenter(photo: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """SAM 2's place is taken by a model that shows the photo's first ten rows."""
    return hand_mask(StubMasks().masks, photo, keypoints)


def test_denoising_leaves_its_arguments_as_they_are() -> None:
    prior, hand, batch = small_pose_prior(), load_hand(), views(estimate(hidden=INDEX), estimate(hidden=INDEX, seed=1))
    first = prior.encode(batch.pose).detach()
    noise, level = torch.randn_like(first), torch.tensor([0.5, 0.8])
    given = [tensor.clone() for tensor in (first, noise, level)]
    denoiser = _Denoiser(DeviceProxy(prior), hand, batch, None, QUICK)
    denoised = denoiser.run(first, noise, level, lambda share: None)
    assert all(torch.equal(before, after) for before, after in zip(given, (first, noise, level), strict=True))
    assert torch.equal(denoised, denoiser.run(first, noise, level, lambda share: None))


def test_masks_are_made_on_the_device_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = []

    class Model(StubMasks):
        def __init__(self, name: str, device: str) -> None:
            devices.append(device)

    monkeypatch.setattr("hoprior.vision.masks.PhotoModel", Model)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    seen = replace(estimate("seen"), photo=np.zeros((480, 640, 3), dtype=np.uint8), occluded=None)
    refine([seen], priors=[(1.0, small_pose_prior())], config=QUICK, segment="any", device="cpu")
    assert devices == ["cpu"]
