"""Occlusion by rays, by meshes and by masks, against a depth buffer."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import trimesh

from hoprior.hand import load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.hand.occlusion import (
    hidden_by_hand,
    hidden_by_mesh,
    hits_before,
    outside_mask,
)

HANDS, PIXELS = 40, 768


def benchmark() -> ModuleType:
    """benchmarks/occlusion.py, which has the depth buffer."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "occlusion.py"
    spec = spec_from_file_location("occlusion_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rays_agree_with_a_depth_buffer() -> None:
    hand, reference = load_hand(), benchmark()
    output = reference.posed(hand, HANDS, 0)
    hidden = hidden_by_hand(hand, output.verts, output.joints)
    assert (hidden == reference.hidden_in_depth_buffer(hand, output, PIXELS)).float().mean() >= 0.97
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
    hand = load_hand()
    output = benchmark().posed(hand, 3, 0)
    each = [hidden_by_hand(hand, output.verts[i : i + 1], output.joints[i : i + 1]) for i in range(3)]
    assert torch.equal(torch.cat(each), hidden_by_hand(hand, output.verts, output.joints))


def test_joints_outside_the_mask_or_the_photo_are_hidden() -> None:
    mask = np.zeros((100, 200), dtype=bool)
    mask[20:60, 50:150] = True
    pixels = torch.tensor([[100.0, 40.0], [152.0, 40.0], [180.0, 40.0], [100.0, 120.0], [-5.0, 40.0]])
    assert outside_mask(pixels, mask).tolist() == [False, False, True, True, True]
