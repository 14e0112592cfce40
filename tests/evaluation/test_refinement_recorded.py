"""`hoprior eval refine --root`: the paper's protocol on HOGraspNet, on a copy that the test writes."""

import shutil
from typing import Any

import numpy as np
import pytest
import torch
from made_up_mano import write_mano_folder
from recording_layouts import write_hograspnet
from recording_scenes import make_scene

from hoprior.datasets.benchmarks.occluded_recordings import recorded_benchmark
from hoprior.datasets.recordings.hands import Hands
from hoprior.datasets.recordings.registry import open_dataset
from hoprior.errors import HopriorError
from hoprior.evaluation.refinement import evaluate
from hoprior.hand import load_hand, reorder_joints
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.models.pose_prior import PosePrior
from hoprior.tasks.refine.sampling import RefineConfig


@pytest.fixture(scope="module")
def hograspnet(tmp_path_factory):
    """A copy of HOGraspNet as it is laid out, of a person of the training set."""
    root = tmp_path_factory.mktemp("hograspnet") / "data"
    root.mkdir()
    scene = make_scene(Hands(write_mano_folder(tmp_path_factory.mktemp("mano"))))
    write_hograspnet(root, scene)
    return root


@pytest.fixture
def adapter(hograspnet, tmp_path, monkeypatch):
    monkeypatch.setenv("HOPRIOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("HOPRIOR_MANO_DIR", raising=False)
    return open_dataset("hograspnet", shutil.copytree(hograspnet, tmp_path / "data"), protocol="s0")


def flags_of(adapter, hidden):
    """Files in which the first so many joints of the annotations' order are occluded."""
    for entry in (adapter.index()[i] for i in range(len(adapter))):
        sequence, trial, camera = entry.group.split("/")
        path = adapter.root / "occluded" / sequence / trial / camera / f"{entry.item}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join("1" if j < hidden else "0" for j in range(21)))


def test_hograspnet_is_measured_by_its_own_flags_and_labels(adapter):
    flags_of(adapter, 8)
    bench = recorded_benchmark(adapter, load_hand(), 9)
    assert set(bench.levels) == {"medium"} and bool((bench.occluded.sum(dim=1) == 8).all())
    hidden = {JOINT_NAMES[j] for j in bench.occluded[0].nonzero()[:, 0].tolist()}
    assert hidden == {"wrist", "thumb1", "thumb2", "thumb3", "thumb_tip", "index1", "index2", "index3"}
    assert set(bench.texts) == {"A right hand holding a wine glass, with a precision sphere grasp."}
    assert bench.joints is not None
    fitted = load_hand().joints_only(
        bench.truth.hand_pose, bench.truth.betas, bench.truth.global_orient, bench.truth.transl
    )
    assert (fitted - bench.joints).norm(dim=-1).mean() < 0.012
    prior = PosePrior(width=16, layers=1, mlp_blocks=1)
    found = evaluate(prior, bench, load_hand(), RefineConfig(steps=2, samples=1))
    assert set(found.counts) == {"all", "medium"}


def test_without_flags_rays_say_what_is_hidden(adapter):
    bench = recorded_benchmark(adapter, load_hand(), 3)
    assert 0 < float(bench.occluded.float().mean()) < 1
    assert torch.equal(bench.first.hand_pose, recorded_benchmark(adapter, load_hand(), 3).first.hand_pose)


def test_an_estimators_hands_are_where_refinement_begins(adapter, tmp_path):
    flags_of(adapter, 12)
    samples = [sample for _, sample in adapter.walk(adapter.indices("test")[:2])]
    joints = [reorder_joints(s.joints, "mano", "openpose").numpy() for s in samples]
    arrays: dict[str, Any] = {
        "keypoints_3d": np.stack([j - j[:1] for j in joints]) + 0.001,
        "cam_t_full": np.stack([j[0] for j in joints]),
        "focal_length": 600.0,
        "img_size": np.array([640, 480]),
        "is_right": np.ones(2),
        "key": np.array([s.key for s in samples]),
    }
    np.savez(tmp_path / "hamer.npz", **arrays)
    bench = recorded_benchmark(adapter, load_hand(), 9, estimates=tmp_path / "hamer.npz")
    assert len(bench) == 2 and not torch.equal(bench.first.hand_pose, bench.truth.hand_pose)
    np.savez(tmp_path / "other.npz", **(arrays | {"key": np.array(["a", "b"])}))
    with pytest.raises(HopriorError, match="no frame 'a'"):
        recorded_benchmark(adapter, load_hand(), 9, estimates=tmp_path / "other.npz")
    np.savez(tmp_path / "keyless.npz", **{name: value for name, value in arrays.items() if name != "key"})
    with pytest.raises(HopriorError, match="has no array 'key'"):
        recorded_benchmark(adapter, load_hand(), 9, estimates=tmp_path / "keyless.npz")
