"""Laws that the open hand, left and right, has to obey."""

from dataclasses import fields
from math import pi

import igl
import pytest
import roma
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from hoprior.errors import HopriorError
from hoprior.hand import JOINT_NAMES, HandPose, load_hand
from hoprior.hand.frame import anatomical_axes, hand_axes
from hoprior.hand.joint_order import PARENTS
from hoprior.hand.pose import mirror_points, mirror_rotvec

HANDS = {side: load_hand("open", side) for side in ("right", "left")}
sides = pytest.mark.parametrize("side", ["right", "left"])
seeds = st.integers(0, 2**31 - 1)


def random_pose(hand, batch, seed, dtype=torch.float32):
    """Poses uniform in the limits, shapes from their prior, anywhere."""
    draw = torch.Generator().manual_seed(seed)
    inside = torch.rand(batch, 15, 3, generator=draw)
    angles = hand.angle_low + inside * (hand.angle_high - hand.angle_low)
    return HandPose(
        hand.angles_to_pose(angles),
        torch.randn(batch, 10, generator=draw),
        torch.randn(batch, 3, generator=draw),
        torch.randn(batch, 3, generator=draw),
    ).to(dtype=dtype)


def posed(hand, pose):
    return hand(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)


@sides
def test_rest_pose_is_the_template(side):
    hand = HANDS[side]
    output = hand(torch.zeros(1, 15, 3))
    assert torch.allclose(output.verts[0], hand.v_template, atol=1e-7)
    assert torch.allclose(output.joints[0, :16], hand.joints_template, atol=1e-7)
    assert torch.equal(output.joints[0, 16:], output.verts[0, hand.tip_ids])


@sides
def test_rest_pose_is_in_the_hand_frame(side):
    hand = HANDS[side]
    joints = hand(torch.zeros(1, 15, 3)).joints[0]
    thumb, middle = joints[JOINT_NAMES.index("thumb_tip")], joints[JOINT_NAMES.index("middle1")]
    assert joints[0].norm() < 1e-6
    assert middle[0] > 0.08 and middle[1:].norm() < 0.002
    assert thumb[1] < -0.04 if side == "right" else thumb[1] > 0.04
    # 0.2 degrees: the average hand was aligned with all of its knuckles.
    assert torch.allclose(hand_axes(joints, side), torch.eye(3), atol=0.004)
    assert torch.equal(hand.T_hand_model, torch.eye(4))


@sides
def test_mesh_is_watertight_and_looks_outwards(side):
    hand = HANDS[side]
    mesh = trimesh.Trimesh(hand.v_template.numpy(), hand.faces.numpy(), process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert 2e-4 < mesh.volume < 6e-4


@given(seed=seeds)
@settings(deadline=None, max_examples=10)
def test_left_is_the_mirror_image_of_right(seed):
    pose = random_pose(HANDS["right"], 2, seed)
    right, left = posed(HANDS["right"], pose), posed(HANDS["left"], pose.mirrored())
    assert torch.allclose(left.verts, mirror_points(right.verts), atol=1e-6)
    assert torch.allclose(left.joints, mirror_points(right.joints), atol=1e-6)
    angles = HANDS["right"].pose_to_angles(pose.hand_pose)
    assert torch.allclose(HANDS["left"].pose_to_angles(pose.mirrored().hand_pose), angles, atol=1e-6)


def test_mirroring_twice_is_the_identity():
    pose = random_pose(HANDS["right"], 3, 0)
    twice = pose.mirrored().mirrored()
    assert all(torch.equal(getattr(twice, f.name), getattr(pose, f.name)) for f in fields(HandPose))


def test_mirrored_rotation_is_the_rotation_seen_in_the_mirror():
    rotvec, point = torch.randn(20, 3), torch.randn(20, 3, 1)
    seen = mirror_points((roma.rotvec_to_rotmat(rotvec) @ point)[..., 0])
    turned = roma.rotvec_to_rotmat(mirror_rotvec(rotvec)) @ mirror_points(point[..., 0])[..., None]
    assert torch.allclose(turned[..., 0], seen, atol=1e-5)


@sides
@given(seed=seeds)
@settings(deadline=None, max_examples=10)
def test_global_motion_moves_the_hand_rigidly(side, seed):
    """Placing a hand is the same as placing its mesh, turned about the wrist."""
    hand = HANDS[side]
    pose = random_pose(hand, 2, seed)
    placed, still = posed(hand, pose), hand(pose.hand_pose, pose.betas)
    rotation = roma.rotvec_to_rotmat(pose.global_orient)
    for moved, at_origin in ((placed.verts, still.verts), (placed.joints, still.joints)):
        assert torch.allclose(moved, at_origin @ rotation.mT + pose.transl[:, None], atol=1e-5)
    assert torch.allclose(placed.joints[:, 0], pose.transl, atol=1e-6)


@sides
@given(seed=seeds)
@settings(deadline=None, max_examples=10)
def test_hands_of_a_batch_do_not_see_each_other(side, seed):
    hand = HANDS[side]
    pose = random_pose(hand, 5, seed)
    together = posed(hand, pose)
    for k in range(5):
        alone = posed(hand, pose[k])
        assert torch.allclose(alone.verts[0], together.verts[k], atol=1e-6)
        assert torch.allclose(alone.joints[0], together.joints[k], atol=1e-6)


@sides
@given(seed=seeds)
@settings(deadline=None, max_examples=10)
def test_joints_without_a_mesh_are_those_of_the_mesh(side, seed):
    hand = HANDS[side]
    pose = random_pose(hand, 3, seed)
    joints = hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    assert torch.allclose(joints, posed(hand, pose).joints, atol=1e-6)
    flat = hand.joints_only(pose.hand_pose)
    assert torch.allclose(flat, hand(pose.hand_pose).joints, atol=1e-6)


@sides
@given(seed=seeds)
@settings(deadline=None, max_examples=10)
def test_no_shape_is_the_average_shape(side, seed):
    """The average hand is skinned by another formula than shaped ones."""
    pose = random_pose(HANDS[side], 3, seed)
    without, average = HANDS[side](pose.hand_pose), HANDS[side](pose.hand_pose, torch.zeros(3, 10))
    assert torch.allclose(without.verts, average.verts, atol=1e-6)
    assert torch.allclose(without.joints, average.joints, atol=1e-6)


@given(seed=seeds)
@settings(deadline=None, max_examples=10)
def test_posing_keeps_the_lengths_of_bones(seed):
    hand = HANDS["right"]
    pose = random_pose(hand, 3, seed)
    parents = list(PARENTS[1:])

    def bones(joints):
        return (joints[:, 1:16] - joints[:, parents]).norm(dim=-1)

    flat = hand(torch.zeros_like(pose.hand_pose), pose.betas)
    assert torch.allclose(bones(posed(hand, pose).joints), bones(flat.joints), atol=1e-6)


def test_gradients_are_those_of_finite_differences():
    hand = load_hand("open").double()
    pose = random_pose(hand, 1, 0, torch.float64)
    some = torch.tensor([0, 29, 221, 416, 605, 782])

    def probe(hand_pose, betas, global_orient, transl):
        output = hand(hand_pose, betas, global_orient, transl)
        return torch.cat([output.verts[:, some], output.joints], dim=1)

    inputs = [getattr(pose, f.name).requires_grad_() for f in fields(HandPose)]
    assert torch.autograd.gradcheck(probe, inputs, fast_mode=True)
    hand_pose, _, global_orient, transl = inputs
    assert torch.autograd.gradcheck(
        lambda *x: probe(x[0], None, *x[1:]), (hand_pose, global_orient, transl), fast_mode=True
    )


def test_gradient_at_the_flat_hand_is_finite_and_not_zero():
    """A rotation of zero is where Rodrigues' formula divides by zero."""
    hand_pose = torch.zeros(1, 15, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(HANDS["right"](hand_pose).verts.square().sum(), hand_pose)
    assert torch.isfinite(gradient).all()
    assert (gradient.norm(dim=-1) > 0).all()


@sides
@pytest.mark.parametrize("finger", range(4))
def test_flexion_moves_fingertips_out_of_the_palm(side, finger):
    hand = HANDS[side]
    angles = torch.zeros(2, 15, 3)
    angles[1, 3 * finger : 3 * finger + 3, 1] = 0.3
    flat, bent = hand(hand.angles_to_pose(angles)).joints[:, (17, 18, 20, 19)[finger]]
    assert bent[2] - flat[2] > 0.02
    assert bent[0] < flat[0]


@sides
def test_thumb_opposes_across_the_palm(side):
    """Abduction of the CMC lifts the thumb out of the palm and over to the fingers."""
    hand = HANDS[side]
    angles = torch.zeros(2, 15, 3)
    angles[1, 12, 2] = 0.4
    flat, opposed = hand(hand.angles_to_pose(angles)).joints[:, 16]
    away_from_fingers = torch.sign(flat[1])
    assert opposed[2] - flat[2] > 0.015
    assert (opposed[1] - flat[1]) * away_from_fingers < -0.015


@sides
@pytest.mark.parametrize("finger", range(4))
def test_abduction_moves_fingers_to_the_thumb(side, finger):
    hand = HANDS[side]
    angles = torch.zeros(2, 15, 3)
    angles[1, 3 * finger, 2] = 0.2
    flat, spread = hand(hand.angles_to_pose(angles)).joints[:, (17, 18, 20, 19)[finger], 1]
    assert (spread - flat) * (1 if side == "left" else -1) > 0.008


@sides
def test_axes_are_right_handed_frames_along_the_bones(side):
    hand = HANDS[side]
    assert torch.allclose(hand.axes @ hand.axes.mT, torch.eye(3).expand(15, 3, 3), atol=1e-5)
    joints = hand(torch.zeros(1, 15, 3)).joints[0]
    along = torch.nn.functional.normalize(joints[[2, 5, 8, 11, 14]] - joints[[1, 4, 7, 10, 13]], dim=1)
    # A mirrored axis of rotation points the other way: the twist of a left hand runs back along the bone.
    sign = 1 if side == "right" else -1
    assert torch.allclose(hand.axes[[0, 3, 6, 9, 12], 0], sign * along, atol=1e-5)


def test_axes_of_the_asset_follow_from_its_joints():
    hand = HANDS["right"]
    joints = hand(torch.zeros(1, 15, 3)).joints[0]
    assert torch.allclose(anatomical_axes(joints), hand.axes, atol=1e-5)


def test_axes_of_a_straight_thumb_are_defined():
    joints = HANDS["right"](torch.zeros(1, 15, 3)).joints[0].clone()
    step = torch.tensor([0.02, -0.02, 0.005])
    joints[[14, 15, 16]] = joints[13] + step * torch.tensor([[1.0], [2.0], [3.0]])
    axes = anatomical_axes(joints)[12:]
    assert torch.allclose(axes @ axes.mT, torch.eye(3).expand(3, 3, 3), atol=1e-5)


@given(seed=seeds)
@settings(deadline=None, max_examples=10)
def test_angles_and_poses_are_each_other_s_inverse(seed):
    hand = HANDS["left"]
    angles = torch.randn(3, 15, 3, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(hand.pose_to_angles(hand.angles_to_pose(angles)), angles, atol=1e-5)


@sides
@given(seed=seeds)
@settings(deadline=None, max_examples=20)
def test_limit_energy_is_zero_exactly_inside(side, seed):
    hand = HANDS[side]
    inside = hand.pose_to_angles(random_pose(hand, 4, seed).hand_pose)
    assert (hand.limit_energy(inside.clamp(hand.angle_low, hand.angle_high)) == 0).all()
    draw = torch.Generator().manual_seed(seed)
    joint, axis = torch.randint(15, (), generator=draw), torch.randint(3, (), generator=draw)
    outside = hand.relaxed_angles.expand(2, -1, -1).clone()
    outside[0, joint, axis] = hand.angle_high[joint, axis] + 0.3
    outside[1, joint, axis] = hand.angle_low[joint, axis] - 0.3
    assert torch.allclose(hand.limit_energy(outside), torch.tensor(0.09), atol=1e-5)


def test_flat_and_relaxed_hands_are_inside_the_limits():
    hand = HANDS["right"]
    assert (hand.limit_energy(torch.stack([torch.zeros(15, 3), hand.relaxed_angles])) == 0).all()
    assert (hand.angle_low < 0).all() and (hand.angle_high > 0).all()


def test_no_joint_alone_pushes_the_hand_into_itself():
    """At each single limit, skin ends up inside another part only where the bent joint creases."""
    hand = HANDS["right"]
    faces = hand.faces.numpy()
    for joint in range(15):
        for axis in range(3):
            for limit in (hand.angle_low, hand.angle_high):
                angles = torch.zeros(1, 15, 3)
                angles[0, joint, axis] = limit[joint, axis]
                verts = hand(hand.angles_to_pose(angles)).verts
                probes = (verts + 5e-4 * hand.posed_normals(verts))[0].double().numpy()
                buried = igl.winding_number(verts[0].double().numpy(), faces, probes) > 0.5
                parts = hand.vertex_part[torch.tensor(buried)].tolist()
                elsewhere = [part for part in parts if part not in (PARENTS[joint + 1], joint + 1, joint + 2)]
                # The thumb's web reaches into the palm by a vertex.
                assert len(elsewhere) <= 1, (JOINT_NAMES[joint + 1], axis)


@sides
def test_contact_zones_face_the_object(side):
    hand = HANDS[side]
    mesh = trimesh.Trimesh(hand.v_template.numpy(), hand.faces.numpy(), process=False)
    # trimesh weighs faces by their angle, not their area.
    agreement = (hand.vertex_normals.numpy() * mesh.vertex_normals).sum(axis=1)
    assert agreement.min() > 0.6 and agreement.mean() > 0.99
    assert set(hand.vertex_part[hand.pad_ids].tolist()) == set(range(1, 16))
    assert set(hand.vertex_part[hand.palm_ids].tolist()) == {0}
    assert not set(hand.pad_ids.tolist()) & set(hand.palm_ids.tolist())
    assert (hand.vertex_normals[hand.palm_ids, 2] > 0.5).all()
    assert torch.equal(hand.pad_ids, HANDS["right"].pad_ids)


def test_normals_turn_with_the_hand():
    hand = HANDS["right"]
    verts = hand(torch.zeros(1, 15, 3), global_orient=torch.tensor([[0.0, pi / 2, 0.0]])).verts
    turned = hand.vertex_normals @ roma.rotvec_to_rotmat(torch.tensor([0.0, pi / 2, 0.0])).T
    assert torch.allclose(hand.posed_normals(verts)[0], turned, atol=1e-4)
    assert torch.allclose(hand.posed_normals(verts).norm(dim=-1), torch.ones(1, len(turned)), atol=1e-5)


def test_first_shape_is_the_length_of_the_hand():
    hand = HANDS["right"]
    betas = torch.eye(10)[:1] * torch.tensor([[-2.0], [0.0], [2.0]])
    middle_tip = hand(torch.zeros(3, 15, 3), betas).joints[:, 18].norm(dim=-1)
    assert (middle_tip.diff() > 0.01).all()
    assert 0.17 < middle_tip[1] < 0.2


def test_a_hand_is_no_part_of_a_checkpoint():
    assert not HANDS["right"].state_dict()


def test_poses_slice_and_move():
    pose = random_pose(HANDS["right"], 4, 0)
    assert len(pose) == 4 and len(pose[1]) == 1 and len(pose[1:]) == 3
    assert torch.equal(pose[torch.tensor([2, 0])].betas, pose.betas[[2, 0]])
    assert pose.to(dtype=torch.float64).transl.dtype == torch.float64
    flat = posed(HANDS["right"], HandPose.zeros(2))
    assert torch.allclose(flat.verts[1], HANDS["right"].v_template, atol=1e-7)


def test_unknown_hands_are_named():
    with pytest.raises(HopriorError, match="'mona' is unknown: use 'open' or 'mano'"):
        load_hand("mona")
    with pytest.raises(HopriorError, match="'both' of a hand is unknown"):
        load_hand("open", "both")
