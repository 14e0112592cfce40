"""Hands that hold nothing: recorded ones, ones at rest, and what they are told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hoprior.datasets.benchmarks.occluded_hands import held_out_grasps, make_benchmark
from hoprior.datasets.training.empty_hands import FRAMES_A_BLOCK, FreeHands, resting_hands
from hoprior.datasets.training.poses import free_rows
from hoprior.errors import HopriorError
from hoprior.evaluation.refinement import benchmark_views
from hoprior.hand import load_hand, reorder_joints
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.language.schema import Affordance
from hoprior.language.template import EMPTY_HAND, describe


def write_recording(path: Path, frames: int = 70) -> torch.Tensor:
    """Joints of hands at rest, of another size, in MediaPipe's order; returns the angles."""
    hand = load_hand()
    angles = torch.cat([block.angles for block in resting_hands(frames, hand, seed=3)])
    joints = 1.1 * reorder_joints(hand.joints_only(hand.angles_to_pose(angles)), "mano", "mediapipe")
    np.savez(path, joints=joints.numpy())
    return angles


def test_resting_hands_are_within_limits_relaxed_and_the_same_again() -> None:
    hand = load_hand()
    blocks = resting_hands(100, hand)
    assert sum(len(block) for block in blocks) == 100 and len({block.object.key for block in blocks}) == len(blocks)
    angles = torch.cat([block.angles for block in blocks])
    assert bool((angles >= hand.angle_low).all() and (angles <= hand.angle_high).all())
    assert torch.equal(angles, torch.cat([block.angles for block in resting_hands(100, hand)]))
    knuckle = {name: angles[:, JOINT_NAMES.index(f"{name}1") - 1, 1].mean() for name in ("index", "middle", "pinky")}
    assert knuckle["index"] < knuckle["middle"] < knuckle["pinky"]


def test_a_recording_is_fitted_whatever_its_size(tmp_path: Path) -> None:
    angles = write_recording(tmp_path / "free.npz")
    blocks = FreeHands(tmp_path / "free.npz").blocks(load_hand())
    assert [len(block) for block in blocks] == [FRAMES_A_BLOCK, FRAMES_A_BLOCK, 70 - 2 * FRAMES_A_BLOCK]
    fitted = torch.cat([block.angles for block in blocks])
    assert (fitted - angles)[..., 1].abs().mean() < 0.05
    told = {sentence for _, rows, texts in free_rows(blocks) for sentence in texts[0] if rows}
    assert EMPTY_HAND[0] in told and "a hand holding nothing" in told


def test_a_hand_that_holds_nothing_is_described() -> None:
    assert describe(Affordance(object_category="nothing")) == "A right hand at rest, holding nothing."


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), ({"other": np.zeros(3)}, "no array 'joints'"), ({"joints": np.zeros((4, 20, 3))}, "give")],
)
def test_a_file_that_is_no_recording_is_named(tmp_path: Path, content: dict[str, Any] | None, said: str) -> None:
    if content is not None:
        np.savez(tmp_path / "free.npz", **content)
    with pytest.raises(HopriorError, match=rf"free\.npz: .*{said}"):
        FreeHands(tmp_path / "free.npz").blocks(load_hand())


def test_the_benchmark_of_free_hands_hides_joints_by_the_hand_alone(tmp_path: Path) -> None:
    write_recording(tmp_path / "free.npz", 3 * FRAMES_A_BLOCK)
    held = held_out_grasps(None, free=tmp_path / "free.npz", val_fraction=0.4)
    assert len(held) == 1 and held[0].mesh is None
    bench = make_benchmark(held, load_hand(), 3)
    assert all(bench.alone) and set(bench.texts) == {EMPTY_HAND[0]}
    assert all(picture is not None for picture in benchmark_views(bench, load_hand()).pictures)
