"""The open datasets, and what is peculiar to each of them; what all adapters do is in test_recordings.py."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_mano import write_mano_folder
from open_layouts import LAYOUTS, profile_of
from recording_layouts import dump, export
from recording_scenes import make_scene

from hoprior.datasets.recordings.adapter import FrameSkipped
from hoprior.datasets.recordings.check import check_dataset
from hoprior.datasets.recordings.files import read_pickle
from hoprior.datasets.recordings.hands import Hands
from hoprior.datasets.recordings.mixture import read_mixture
from hoprior.datasets.recordings.record import RecordedSample
from hoprior.datasets.recordings.registry import ADAPTERS, open_dataset
from hoprior.datasets.recordings.self_check import self_check
from hoprior.datasets.recordings.source import Recorded
from hoprior.datasets.recordings.umetrack import UmeTrackHand
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid, signed_distance
from hoprior.geometry.state import rigid, transform_points
from hoprior.hand import load_hand
from hoprior.metrics.hand_validity import bone_lengths


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HOPRIOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("HOPRIOR_MANO_DIR", raising=False)


@pytest.fixture(scope="module")
def mano(tmp_path_factory):
    return write_mano_folder(tmp_path_factory.mktemp("mano"))


@pytest.fixture
def written(mano, tmp_path):
    """A dataset in its layout, and the scene that it is of."""

    def write(name, side="right", option=0):
        layout = LAYOUTS[name]
        scene = make_scene(Hands(mano), side=side, **(layout.scene or {}))
        root = tmp_path / f"{name}_{side}_{option}"
        layout.write(root, scene, **layout.options[option])
        return root, scene

    return write


def samples_of(adapter):
    return [sample for _, sample in adapter.walk() if isinstance(sample, RecordedSample)]


# ---- Which weights anybody may use ----

OPEN = ("CC BY 4.0", "MIT; each 3D model has its own", "Apache-2.0")


def test_the_open_mixture_has_only_what_anybody_may_use():
    mixture = read_mixture(Path(str(files("hoprior"))) / "configs" / "mixtures" / "open.yaml")
    licences = {part.dataset: ADAPTERS[part.dataset].licence for part in mixture.parts}
    assert set(licences) == {"hug", "taco", "hocap", "contactpose", "synthetic"}
    assert {name for name, licence in licences.items() if not licence.startswith(OPEN)} == set()


def test_licences_say_what_the_sets_say():
    assert "academic research only" in ADAPTERS["hograspnet"].licence
    assert "no training for commercial use" in ADAPTERS["arctic"].licence
    assert all(adapter.licence for adapter in ADAPTERS.values())


# ---- TACO ----


def test_tacos_split_is_the_toolkits_list(written, mano):
    root, _ = written("taco")
    report = check_dataset(open_dataset("taco", root, mano))
    assert report.splits == {"train": 6}
    assert any("data_lists" in remark for remark in open_dataset("taco", root, mano).remarks())
    (root / "v1_overall_data_train_test_split.txt").write_text("20231105_019,test_4\n20231019_072,train\n")
    assert check_dataset(open_dataset("taco", root, mano)).splits == {"test": 6}
    assert list(open_dataset("taco", root, mano).remarks()) == []


def test_tacos_tool_is_used_and_its_target_held(written, mano):
    right = samples_of(open_dataset("taco", written("taco")[0], mano))[0]
    assert (right.side, right.category, right.label.intention) == ("right", "mug", "use")
    left = samples_of(open_dataset("taco", written("taco", "left")[0], mano))[0]
    assert (left.side, left.category, left.label.intention) == ("left", "mug", "hold")


def test_tacos_object_that_turns_itself_inside_out_is_damaged(written, mano):
    root, _ = written("taco")
    place = next(root.glob("Object_Poses/*/*/*.npy"))
    poses = np.load(place)
    poses[2, :3, 0] *= -1
    np.save(place, poses)
    damaged = check_dataset(open_dataset("taco", root, mano)).damaged
    assert [key.split("/")[-1] for key, _ in damaged] == ["2"] and "no rotation and translation" in damaged[0][1]


def test_motion_that_taco_recorded(written, mano, shared_data):
    """Its object's mesh and poses as they were recorded, centimetres and metres: the recorded fingers lie on it."""
    clip = shared_data / "real" / "clips" / "taco_010"
    if not clip.is_dir():
        pytest.skip("HOPRIOR_TEST_DATA has no real/clips/taco_010")
    root, _ = written("taco", "left")
    with np.load(clip / "eval_poses.npz") as truth:
        camera_object, camera_hand, joints = (truth[name] for name in ("cTo", "cTh", "jTh"))
    mesh = trimesh.load(clip / "oObj.obj", force="mesh")
    mesh.apply_scale(100)
    export(mesh, root / "Object_Models" / "012_cm.obj")
    place = next(root.glob("Object_Poses/*/*/target_012.npy"))
    np.save(place, camera_object)
    hands = next(root.glob("Hand_Poses/*/*/left_hand.pkl"))
    one = next(iter(read_pickle(hands).values()))
    dump(hands, {f"{i + 1:05d}": one for i in range(len(camera_object))})
    samples = samples_of(open_dataset("taco", root, mano))
    assert len(samples) == len(camera_object)
    surface = samples[0].object.surface()
    assert 0.02 < surface.extents.max() < 0.5
    off = []
    for sample, T, points in zip(samples, camera_hand, joints, strict=True):
        tips = torch.from_numpy(points[16:]).float() @ torch.from_numpy(T[:3, :3]).float().mT
        tips = transform_points(sample.T_object_scene, tips + torch.from_numpy(T[:3, 3]).float())
        off.append(np.sort(np.abs(signed_distance(surface, tips.double().numpy())))[:3].mean())
    assert np.median(off) < 0.015


# ---- HO-Cap ----


def test_hocaps_hand_holds_the_nearest_object(written, mano):
    root, _ = written("hocap")
    adapter = open_dataset("hocap", root, mano)
    assert {entry.object for entry in adapter.index()} == {"G01_1"}
    assert len(adapter) == 6  # of seven frames one has no hand
    sample = samples_of(adapter)[0]
    assert sample.camera.size == (640, 480) and sample.image().shape == (480, 640, 3)
    assert (sample.camera.project(sample.joints)[0] > -5000).all()


def test_hocaps_joints_need_no_mano_where_its_labels_are(written, tmp_path):
    root, scene = written("hocap")
    sample = samples_of(open_dataset("hocap", root, tmp_path))[0]
    assert torch.allclose(sample.joints_object, scene.frames[0].joints_object, atol=1e-4)
    bare, _ = written("hocap", option=1)
    with pytest.raises(HopriorError, match=r"MANO_RIGHT\.pkl: no such file"):
        _ = samples_of(open_dataset("hocap", bare, tmp_path))[0].joints


# ---- HUG ----


def test_an_object_of_1m_hugs_is_what_its_views_saw(written, mano):
    root, scene = written("hug")
    sample = samples_of(open_dataset("hug", root, mano))[0]
    surface = sample.object.surface()
    assert surface.is_watertight
    assert np.abs(surface.bounds - scene.mesh.bounds).max() < 0.012
    assert np.abs(signed_distance(surface, np.asarray(scene.mesh.vertices))).max() < 0.012


def test_pictures_of_1m_hugs_are_read_from_its_pickles(written, mano):
    root, _ = written("hug")
    sample = samples_of(open_dataset("hug", root, mano))[0]
    assert sample.image().shape == (224, 224, 3)
    depth, mask = sample.image("depth"), sample.image("object_mask")
    assert mask.dtype == bool and 0 < mask.mean() < 0.5
    assert 0.3 < depth[mask].min() < depth[mask].max() < 1.2
    u, v = np.rint(sample.camera.project(sample.T_scene_object[None, :3, 3] + 0 * sample.joints[:1])[0].numpy())
    assert np.isfinite([u, v]).all()


def test_of_all_views_of_one_grasp_one_is_kept(written, mano):
    """Hundreds of views are one grasp: counted once."""
    root, _ = written("hug")
    first = read_pickle(next(root.glob("*/000000.pkl")))
    world = first["T_world_camera"]
    for i in range(1, 6):
        place = root / "kitchen_03" / f"{i:06d}.pkl"
        content = read_pickle(place)
        # The same grasp, seen by another camera.
        T = np.linalg.inv(content["T_world_camera"]) @ world
        grasp = dict(first["grasp"])
        grasp["landmarks_3d"] = grasp["landmarks_3d"] @ T[:3, :3].T + T[:3, 3]
        grasp["T_camera_wrist"] = T @ grasp["T_camera_wrist"]
        dump(place, content | {"grasp": grasp, "grasp_index": 0})
    source = Recorded("hug", root, mano_dir=mano)
    (info,) = source.objects()
    mesh = source.mesh(info)
    samples = samples_of(source.adapter)
    kept, _ = source._held(samples, SdfGrid.from_mesh(mesh))
    assert len(samples) == 6 and len(kept) == 1


def test_views_without_a_grasp_are_skipped(written, mano):
    root, _ = written("hug")
    place = root / "kitchen_03" / "000003.pkl"
    dump(place, read_pickle(place) | {"grasp": None})
    outcomes = [outcome for _, outcome in open_dataset("hug", root, mano).walk()]
    assert [type(outcome) for outcome in outcomes].count(FrameSkipped) == 1


def test_predictions_beside_1m_hugs_are_none_of_its_views(written, mano):
    root, _ = written("hug")
    (root / "grasp_pred").mkdir()
    shutil.copy(root / "kitchen_03" / "000000.pkl", root / "grasp_pred" / "000000.pkl")
    assert len(open_dataset("hug", root, mano)) == 6


def test_a_folder_of_other_pickles_is_not_taken_for_1m_hugs(tmp_path):
    dump(tmp_path / "train" / "000000.pkl", {"a": 1})
    with pytest.raises(HopriorError) as caught:
        open_dataset("ho3d_v2", tmp_path)
    assert "1M-HUGs" not in str(caught.value)


def test_hug_bench_lists_hands_at_the_objects_place_alone(written, mano):
    root, scene = written("hug_bench")
    report = check_dataset(open_dataset("hug_bench", root, mano))
    assert report.frames == len(scene.frames) and report.splits == {"test": len(scene.frames)}
    assert report.problems() == []


# ---- ARCTIC ----


def test_arctics_objects_differ_by_their_hinges_angle(written, mano):
    root, scene = written("arctic")
    place = next(root.glob("raw_seqs/*/*.object.npy"))
    values = np.load(place)
    values[3:, 0] = np.deg2rad(91.0)
    np.save(place, values)
    adapter = open_dataset("arctic", root, mano)
    things = {sample.object.info.name: sample.object.surface() for sample in samples_of(adapter)}
    assert set(things) == {"mug@30", "mug@90"}
    assert np.allclose(things["mug@30"].bounds, scene.mesh.bounds, atol=1e-4)
    half = len(scene.mesh.faces) // 2
    bottom = things["mug@90"].triangles[:half]
    assert np.allclose(bottom, things["mug@30"].triangles[:half])
    turned = trimesh.transformations.rotation_matrix(-np.deg2rad(60.0), [0, 0, 1])[:3, :3]
    assert np.allclose(things["mug@90"].triangles[half:], things["mug@30"].triangles[half:] @ turned.T, atol=1e-6)


def test_arctics_placeholders_are_skipped(written, mano):
    root, scene = written("arctic")
    report = check_dataset(open_dataset("arctic", root, mano))
    assert report.good == len(scene.frames)
    assert report.skipped == {"the hand was not tracked": 2 * (len(scene.frames) + 1) - len(scene.frames)}


# ---- HOT3D ----


@pytest.fixture(scope="module")
def skeleton():
    """UmeTrack's hand with the open hand's joints at rest, and those joints."""
    joints = load_hand().joints_only(torch.zeros(1, 15, 3))[0]
    joints = joints - joints[0]
    return UmeTrackHand(profile_of(joints)), joints


angles = st.lists(st.floats(-1.5, 1.5, width=32), min_size=20, max_size=20).map(torch.tensor)
turns = st.lists(st.floats(-3, 3, width=32), min_size=6, max_size=6).map(torch.tensor)


def placed(turn):
    return rigid(roma.rotvec_to_rotmat(turn[:3]), turn[3:])


@settings(max_examples=30, deadline=None)
@given(angles=angles, turn=turns)
def test_umetracks_bones_keep_their_lengths(skeleton, angles, turn):
    hand, rest = skeleton
    joints = hand.joints(angles, placed(turn), "left")
    assert torch.allclose(bone_lengths(joints[None]), bone_lengths(rest[None]), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(angles=angles, turn=turns)
def test_umetracks_right_hand_is_the_left_ones_mirror_image(skeleton, angles, turn):
    hand, _ = skeleton
    T, mirror = placed(turn), torch.tensor([-1.0, 1.0, 1.0])
    left = hand.joints(angles, torch.eye(4), "left")
    assert torch.allclose(hand.joints(angles, T, "right"), transform_points(T, left * mirror), atol=1e-5)


def test_one_hinge_of_umetracks_moves_what_is_beyond_it(skeleton):
    hand, rest = skeleton
    angles = torch.zeros(20)
    angles[4 + 2] = np.pi / 2  # the index finger's middle joint, about z
    joints = hand.joints(angles, torch.eye(4), "left")
    beyond = [3, 17]  # its last joint and its tip, in MANO's order
    rest_of_them = [k for k in range(21) if k not in beyond]
    assert torch.allclose(joints[rest_of_them], rest[rest_of_them], atol=1e-6)
    arm = rest[beyond] - rest[2]
    turned = torch.stack([-arm[:, 1], arm[:, 0], arm[:, 2]], dim=1)
    assert torch.allclose(joints[beyond], rest[2] + turned, atol=1e-6)


def test_hot3ds_hands_are_read_from_either_model(written, mano, tmp_path):
    root, scene = written("hot3d")
    for place in root.glob("*/umetrack_hand_pose_trajectory.jsonl"):
        place.unlink()
    samples = samples_of(open_dataset("hot3d", root, mano))
    assert len(samples) == 6 and all(sample.joints_given is None for sample in samples)
    assert torch.allclose(samples[0].joints_object, scene.frames[0].joints_object, atol=1e-4)


# ---- ContactPose, on files of its own ----


@pytest.fixture
def contactpose(shared_data, tmp_path):
    """The two real grasps in the set's layout; their 3D models are their owners', so boxes stand for them."""
    place = shared_data / "real" / "contactpose"
    if not place.is_dir():
        pytest.skip("HOPRIOR_TEST_DATA has no real/contactpose")
    for path in sorted(place.glob("*.json")):
        person, intent, name = path.stem.split("_", 2)
        folder = tmp_path / "contactpose" / "contactpose_data" / f"{person}_{intent}" / name
        folder.mkdir(parents=True)
        shutil.copy(path, folder / "annotations.json")
        export(trimesh.creation.box([0.06, 0.06, 0.1]), folder / f"{name}.ply")
    return tmp_path / "contactpose"


def test_grasps_that_contactpose_recorded(contactpose, tmp_path):
    adapter = open_dataset("contactpose", contactpose, tmp_path)
    samples = samples_of(adapter)
    assert samples and all(sample.subject in ("1", "28") for sample in samples)
    assert {sample.category for sample in samples} <= {"camera", "light bulb"}
    for sample in samples:
        raw = json.loads(next(adapter.annotations(next(e for e in adapter.index() if e.key == sample.key))).read_text())
        assert raw["hands"][("left", "right").index(sample.side)]["valid"]
    outcomes = {entry.key: outcome for entry, outcome in adapter.walk()}
    # One of them moves, and its file has lost the frames that say where to: never taken for one that stands still.
    moving = outcomes["full1_use/camera/grasp:left"]
    assert isinstance(moving, HopriorError) and "no 'frames'" in str(moving)
    measures = {measure.name: measure for measure in self_check(samples, grasps_only=False).measures}
    for name in ("hand size", "bones of odd length", "fingers bend to the palm"):
        assert measures[name].good, measures[name]
