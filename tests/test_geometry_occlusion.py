"""Occlusion by rays, by meshes and by masks, against a depth buffer."""

import numpy as np
import torch
import trimesh

from hoprior.geometry.occlusion import (
    OWN_REACH,
    TOUCHING,
    hidden_by_hand,
    hidden_by_mesh,
    hits_before,
    outside_mask,
    own_faces,
)
from hoprior.hand import HandOutput, load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.rendering.rasterizer import nearest_face

HANDS = 40
PIXELS, FOCAL = 768, 1.6


def posed(count: int, share: float = 0.6) -> HandOutput:
    """Hands before a camera, bent and turned at random."""
    hand = load_hand()
    generator = torch.Generator().manual_seed(0)
    angles = hand.relaxed_angles + share * (hand.angle_high - hand.relaxed_angles) * torch.rand(
        count, 15, 3, generator=generator
    )
    orient = 2.0 * torch.randn(count, 3, generator=generator)
    transl = torch.tensor([0.0, 0.0, 0.6]) + 0.03 * torch.randn(count, 3, generator=generator)
    return hand(hand.angles_to_pose(angles), None, orient, transl)


def test_rays_agree_with_a_depth_buffer() -> None:
    hand, output = load_hand(), posed(HANDS)
    hidden = hidden_by_hand(hand, output.verts, output.joints)
    own, faces = own_faces(hand).numpy(), hand.faces.numpy()
    agreement = []
    for verts, joints, labels in zip(
        output.verts.double().numpy(), output.joints.double().numpy(), hidden, strict=True
    ):
        nearest = nearest_face(verts * [1, -1, 1], faces, FOCAL, PIXELS, PIXELS)
        column, row = (PIXELS / 2 * (1 + FOCAL * joints[:, :2].T / joints[:, 2]) - 0.5).round().astype(int)
        face = nearest[row, column]
        a, b, c = (verts[faces[face, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        ray = joints / joints[:, 2:]
        depth = (a * normal).sum(axis=1) / (ray * normal).sum(axis=1)
        before = (joints[:, 2] - depth) * np.linalg.norm(ray, axis=1)
        reach = np.where(own[np.arange(21), face], OWN_REACH, TOUCHING)
        agreement.append(((face >= 0) & (before > reach)) == labels.numpy())
    assert np.mean(agreement) >= 0.97
    assert 0.05 < hidden.float().mean() < 0.6


def test_an_open_palm_shows_all_its_joints() -> None:
    hand = load_hand()
    facing = torch.tensor([[0.0, np.pi, 0.0]])  # out of the palm towards the camera
    output = hand(torch.zeros(1, 15, 3), None, facing, torch.tensor([[0.0, 0.0, 0.5]]))
    assert not hidden_by_hand(hand, output.verts, output.joints).any()


def test_a_fist_seen_from_its_back_hides_the_fingertips() -> None:
    hand = load_hand()
    angles = 0.85 * hand.angle_high
    angles[..., [0, 2]] = 0.0
    output = hand(hand.angles_to_pose(angles[None]), None, None, torch.tensor([[-0.05, 0.0, 0.5]]))
    hidden = hidden_by_hand(hand, output.verts, output.joints)[0]
    assert all(hidden[JOINT_NAMES.index(f"{finger}_tip")] for finger in ("index", "middle", "ring"))
    assert not hidden[JOINT_NAMES.index("middle1")]


def test_what_is_behind_a_ball_is_hidden_and_what_is_beside_or_before_it_is_not() -> None:
    ball = trimesh.creation.icosphere(radius=0.1)
    verts = torch.tensor(ball.vertices, dtype=torch.float32)[None] + torch.tensor([0.0, 0.0, 1.0])
    points = torch.tensor([[[0.0, 0.0, 2.0], [0.0, 0.0, 0.5], [0.5, 0.0, 2.0], [0.0, 0.0, -2.0], [0.0, 0.0, 1.0]]])
    faces = torch.tensor(ball.faces)
    assert hidden_by_mesh(points, verts, faces)[0].tolist() == [True, False, False, False, True]
    before = hits_before(points[:, :1], verts, faces)
    assert torch.isclose(before.max(), torch.tensor(1.1), atol=0.01)


def test_a_batch_is_its_elements_one_by_one() -> None:
    hand, output = load_hand(), posed(3)
    each = [hidden_by_hand(hand, output.verts[i : i + 1], output.joints[i : i + 1]) for i in range(3)]
    assert torch.equal(torch.cat(each), hidden_by_hand(hand, output.verts, output.joints))


def test_joints_outside_the_mask_or_the_photo_are_hidden() -> None:
    mask = np.zeros((100, 200), dtype=bool)
    mask[20:60, 50:150] = True
    pixels = torch.tensor([[100.0, 40.0], [152.0, 40.0], [180.0, 40.0], [100.0, 120.0], [-5.0, 40.0]])
    assert outside_mask(pixels, mask).tolist() == [False, False, True, True, True]
