"""MANO from a made-up file in MANO's layout (`made_up_mano.py`): how it is read, and that it is smplx's own."""

import logging
import pickle

import numpy as np
import pytest
import roma
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_mano import MIRROR_X, made_up_mano, mirrored_mano, write_as_published, write_mano_folder

from hoprior.errors import HopriorError
from hoprior.geometry.state import transform_points
from hoprior.hand import fit_joints, load_hand
from hoprior.hand.frame import hand_axes
from hoprior.hand.mano import TIP_IDS, close_wrist, find_mano, read_mano
from hoprior.hand.pose import mirror_points

smplx = pytest.importorskip("smplx", reason='MANO\'s own code is not installed (extra "mano")')
Struct = pytest.importorskip("smplx.utils").Struct

seeds = st.integers(0, 2**31 - 1)
sides = pytest.mark.parametrize("side", ["right", "left"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_mano_folder(tmp_path_factory.mktemp("mano"))


@pytest.fixture(scope="module")
def hands(folder):
    return {side: load_hand("mano", side, mano_dir=folder) for side in ("right", "left")}


def smplx_itself(folder, side):
    """smplx's own model, as its users make it, from the same arrays."""
    arrays = read_mano(folder / f"MANO_{side.upper()}.pkl", side)
    return smplx.MANO("", data_struct=Struct(**arrays), use_pca=False, flat_hand_mean=True, is_rhand=side == "right")


def random_parameters(seed, batch=3):
    draw = torch.Generator().manual_seed(seed)
    sizes = {"hand_pose": 45, "betas": 10, "global_orient": 3, "transl": 3}
    return {name: 0.4 * torch.randn(batch, size, generator=draw) for name, size in sizes.items()}


def posed(hand, pose):
    return hand(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)


@sides
@given(seed=seeds)
@settings(deadline=None, max_examples=5)
def test_mesh_is_smplx_s_own(folder, hands, side, seed):
    parameters = random_parameters(seed)
    expected = smplx_itself(folder, side)(**parameters)
    output = posed(hands[side], hands[side].from_smplx(**parameters))
    assert torch.allclose(output.verts, expected.vertices, atol=1e-5)
    assert torch.allclose(output.joints[:, :16], expected.joints[:, :16], atol=1e-5)
    assert torch.allclose(output.joints[:, 16:], expected.vertices[:, list(TIP_IDS)], atol=1e-5)


@sides
@given(seed=seeds)
@settings(deadline=None, max_examples=5)
def test_parameters_come_back(hands, side, seed):
    hand, parameters = hands[side], random_parameters(seed)
    back = hand.to_smplx(hand.from_smplx(**parameters))
    for name, value in parameters.items():
        assert torch.allclose(getattr(back, name), value, atol=1e-5), name


def test_defaults_are_smplx_s(folder, hands):
    parameters = random_parameters(0)
    zeros = ("global_orient", "transl")
    expected = smplx_itself(folder, "right")(
        **parameters | dict.fromkeys(zeros, torch.zeros(3, 3)) | {"betas": torch.zeros(3, 10)}
    )
    output = posed(hands["right"], hands["right"].from_smplx(parameters["hand_pose"]))
    assert torch.allclose(output.verts, expected.vertices, atol=1e-5)


@sides
def test_rest_pose_is_in_the_hand_frame(hands, side):
    hand = hands[side]
    output = hand(torch.zeros(1, 15, 3))
    assert torch.allclose(output.verts[0], hand.v_template, atol=1e-6)
    assert torch.allclose(output.joints[0, :16], hand.joints_template, atol=1e-6)
    assert output.joints[0, 0].norm() < 1e-6
    assert torch.allclose(hand_axes(output.joints[0], side), torch.eye(3), atol=1e-5)
    assert output.joints[0, 16, 1] * (1 if side == "left" else -1) > 0.04
    open_hand = load_hand("open", side)
    assert torch.allclose(hand.joints_template, open_hand.joints_template, atol=5e-4)
    assert torch.allclose(hand.axes, open_hand.axes, atol=1e-2)


@sides
def test_t_hand_model_brings_mano_s_frame_into_the_hand_frame(folder, hands, side):
    verts_model = smplx_itself(folder, side)(betas=torch.zeros(1, 10), hand_pose=torch.zeros(1, 45)).vertices
    assert torch.allclose(
        transform_points(hands[side].T_hand_model[None], verts_model)[0], hands[side].v_template, atol=1e-6
    )


@sides
@given(seed=seeds)
@settings(deadline=None, max_examples=5)
def test_joints_without_a_mesh_are_those_of_the_mesh(hands, side, seed):
    """Fingertips bend with MANO's pose blend shapes too."""
    hand = hands[side]
    pose = hand.from_smplx(**random_parameters(seed))
    joints = hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    assert torch.allclose(joints, posed(hand, pose).joints, atol=1e-5)


@given(seed=seeds)
@settings(deadline=None, max_examples=5)
def test_left_is_the_mirror_image_of_right(hands, seed):
    """Also in its shapes, whose sign is wrong in the file."""
    pose = hands["right"].from_smplx(**random_parameters(seed))
    right, left = posed(hands["right"], pose), posed(hands["left"], pose.mirrored())
    assert torch.allclose(left.verts, mirror_points(right.verts), atol=1e-5)
    assert torch.equal(hands["left"].faces, hands["right"].faces.flip(-1))


def test_a_left_file_without_the_error_is_left_alone(folder, tmp_path):
    broken = mirrored_mano(made_up_mano())
    right_signs = broken | {"shapedirs": broken["shapedirs"] * MIRROR_X[:, None]}
    write_as_published(right_signs, tmp_path / "MANO_LEFT.pkl")
    put_right = read_mano(folder / "MANO_LEFT.pkl", "left")["shapedirs"]
    assert np.array_equal(read_mano(tmp_path / "MANO_LEFT.pkl", "left")["shapedirs"], put_right)
    assert np.array_equal(put_right[:, 0], -broken["shapedirs"][:, 0, :10])


@sides
@given(seed=seeds)
@settings(deadline=None, max_examples=5)
def test_a_hands_own_joints_give_its_pose_back(hands, side, seed):
    hand = hands[side]
    draw = torch.Generator().manual_seed(seed)
    inside = torch.rand(3, 15, 3, generator=draw)
    pose = hand.angles_to_pose(hand.angle_low + inside * (hand.angle_high - hand.angle_low))
    placed = hand(pose, None, torch.randn(3, 3, generator=draw), torch.randn(3, 3, generator=draw))
    assert (fit_joints(hand, placed.joints).error < 1e-3).all()


def test_poses_move_between_models(hands):
    """The made-up MANO is the open hand, so fitting one to the other's joints gives the same angles."""
    open_hand, mano = load_hand("open"), hands["right"]
    angles = open_hand.relaxed_angles[None] + 0.1
    result = fit_joints(mano, open_hand(open_hand.angles_to_pose(angles)).joints)
    assert (result.error < 2e-3).all()
    assert torch.allclose(mano.pose_to_angles(result.pose.hand_pose)[..., 1], angles[..., 1], atol=0.15)


def test_gradients_flow(hands):
    pose = hands["right"].from_smplx(**random_parameters(0, batch=1))
    inputs = [x.double().requires_grad_() for x in (pose.hand_pose, pose.betas, pose.global_orient, pose.transl)]
    hand = load_hand("mano", mano_dir=hands["right"].file.parent).double()
    assert torch.autograd.gradcheck(lambda *x: hand(*x).joints, inputs, fast_mode=True)


def test_contact_zones_by_the_rule_of_the_open_hand(hands):
    right, left = hands["right"], hands["left"]
    assert set(right.vertex_part[right.pad_ids].tolist()) == set(range(1, 16))
    assert len(right.palm_ids) > 10 and (right.vertex_part[right.palm_ids] == 0).all()
    assert torch.equal(right.pad_ids, left.pad_ids) and torch.equal(right.palm_ids, left.palm_ids)


def test_turning_an_axis_is_turning_its_rotation(hands):
    """`from_smplx` turns the axis of a rotation where `skin` turns its matrix: both must mean the same."""
    axes = hands["right"].T_hand_model[:3, :3]
    rotvec = torch.randn(8, 3)
    matrix = axes @ roma.rotvec_to_rotmat(rotvec) @ axes.T
    assert torch.allclose(matrix, roma.rotvec_to_rotmat(rotvec @ axes.T), atol=1e-5)


def test_the_open_wrist_is_closed():
    hand = load_hand("open")
    cap = len(hand.v_template) - 1
    is_cap = (hand.faces == cap).any(dim=1)
    assert is_cap.sum() == 20
    closed = close_wrist(hand.faces[~is_cap])
    mesh = trimesh.Trimesh(hand.v_template[:cap].numpy(), closed.numpy(), process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.is_volume
    assert torch.equal(close_wrist(closed), closed)


def test_a_mesh_with_two_holes_is_left_as_it_is():
    faces = load_hand("open").faces[:-1]
    holes = faces[(faces != faces[0, 0]).all(dim=1)]
    assert torch.equal(close_wrist(holes), holes)


def test_loading_prints_nothing(folder, capsys):
    load_hand("mano", mano_dir=folder)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == ""


# ---- Finding the file, and files that are none ----


def test_a_missing_file_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.delenv("HOPRIOR_MANO_DIR", raising=False)
    with pytest.raises(
        HopriorError, match=r"MANO_RIGHT\.pkl: get it from https://mano\.is\.tue\.mpg\.de .*HOPRIOR_MANO_DIR"
    ):
        load_hand("mano")
    with pytest.raises(HopriorError, match=r"MANO_LEFT\.pkl: no such file: get it from https://mano\.is\.tue\.mpg\.de"):
        load_hand("mano", "left", mano_dir=tmp_path)


@sides
def test_a_hand_by_name_is_its_own_file_s_or_the_mirror_image_of_the_other(folder, tmp_path, side, caplog):
    other = "left" if side == "right" else "right"
    own, others = f"MANO_{side.upper()}.pkl", f"MANO_{other.upper()}.pkl"
    with caplog.at_level(logging.INFO):
        both = load_hand("mano", side, mano_dir=folder)
        assert both.origin() == own and both.file == folder / own and not caplog.records
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / others).write_bytes((folder / others).read_bytes())
        alone = load_hand("mano", side, mano_dir=tmp_path)
    assert alone.side == side and alone.origin() == f"{others}, mirrored" and alone.origin(other) == others
    assert [record.getMessage() for record in caplog.records] == [
        f"MANO's {side} hand is {others}, mirrored: there is no file of its own"
    ]
    expected = load_hand("mano", other, mano_dir=folder).mirrored()
    assert torch.equal(alone.v_template, expected.v_template) and torch.equal(alone.faces, expected.faces)


def test_the_open_hand_says_which_side_is_mirrored():
    assert load_hand("open").origin() == "open_hand_right.npz"
    assert load_hand("open", "left").origin() == "open_hand_right.npz, mirrored"


def test_the_environment_names_the_folder_and_an_argument_overrules_it(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOPRIOR_MANO_DIR", str(folder))
    assert find_mano("left") == folder / "MANO_LEFT.pkl"
    with pytest.raises(HopriorError, match="no such file"):
        find_mano("left", tmp_path)
    assert find_mano("right", folder / "MANO_RIGHT.pkl") == folder / "MANO_RIGHT.pkl"


def test_the_folders_of_the_published_archive_are_searched(tmp_path):
    (tmp_path / "mano_v1_2" / "models").mkdir(parents=True)
    file = tmp_path / "mano_v1_2" / "models" / "MANO_RIGHT.pkl"
    file.touch()
    assert find_mano("right", tmp_path) == file


def test_the_other_side_s_file_is_refused(folder):
    with pytest.raises(HopriorError, match=r"MANO_LEFT\.pkl: is MANO's left hand, and the right one is wanted"):
        find_mano("right", folder / "MANO_LEFT.pkl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"posedirs": np.zeros((778, 3, 207))}, r"'posedirs' is float64 of shape \(778, 3, 207\), MANO has"),
        ({"v_template": np.zeros((6890, 3))}, r"'v_template' is float64 of shape \(6890, 3\)"),
        ({"weights": None}, "'weights' is missing"),
        ({"kintree_table": np.zeros((2, 16), dtype=int)}, "its joints or shapes are not those of MANO"),
        ({"hands_mean": np.array(["x"] * 45)}, "'hands_mean' is <U1"),
    ],
)
def test_a_file_of_another_model_is_refused(tmp_path, change, message):
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickle.dumps(made_up_mano() | change))
    with pytest.raises(HopriorError, match=message):
        load_hand("mano", mano_dir=tmp_path)


def test_a_pickle_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "MANO_RIGHT.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(HopriorError, match="holds a list, no MANO model"):
        load_hand("mano", mano_dir=tmp_path)
