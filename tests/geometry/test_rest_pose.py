"""Which way up an object stands."""

import numpy as np
import pytest
import torch
import trimesh

from hoprior.errors import HopriorError
from hoprior.geometry.rest_pose import rest_poses


def test_a_flat_box_lies_on_its_large_faces() -> None:
    box = trimesh.creation.box((0.20, 0.12, 0.02))
    poses = rest_poses(box, "auto", upright_share=1e-6)
    assert poses is not None
    flat = poses.up_object[:, 2].abs() > 0.99
    assert poses.log_prob[flat].exp().sum() > 0.8
    assert torch.isclose(poses.log_prob.exp().sum(), torch.tensor(1.0), atol=1e-4)


def test_turning_the_mesh_turns_the_poses() -> None:
    box = trimesh.creation.box((0.05, 0.06, 0.20))
    turned = box.copy()
    turn = trimesh.transformations.rotation_matrix(0.7, [1, 2, 3])
    turned.apply_transform(turn)
    before, after = (rest_poses(mesh, "auto", upright_share=1e-9) for mesh in (box, turned))
    assert before is not None and after is not None
    likeliest = before.up_object[before.log_prob.argmax()].numpy() @ turn[:3, :3].T
    assert np.max(after.up_object.numpy() @ likeliest) > 0.999


def test_a_named_direction_is_the_only_one() -> None:
    poses = rest_poses(trimesh.creation.icosphere(), "-y")
    assert poses is not None
    assert torch.equal(poses.up_object, torch.tensor([[0.0, -1.0, 0.0]])) and poses.log_prob.tolist() == [0.0]


def test_any_knows_nothing_and_nonsense_is_refused() -> None:
    assert rest_poses(trimesh.creation.icosphere(), "any") is None
    with pytest.raises(HopriorError, match="up='north'"):
        rest_poses(trimesh.creation.icosphere(), "north")


def test_an_upright_mesh_is_taken_to_stand_as_it_was_modelled() -> None:
    can = trimesh.creation.cylinder(radius=0.033, height=0.12)
    poses = rest_poses(can, "auto", upright_share=0.5)
    assert poses is not None
    upright = poses.up_object[:, 2] > 0.99
    assert poses.log_prob[upright].exp().sum() >= 0.5


def test_the_table_is_at_the_lowest_point() -> None:
    box = trimesh.creation.box((0.1, 0.1, 0.1))
    box.apply_translation([0.0, 0.0, 0.3])
    above, below = rest_poses(box, "z"), rest_poses(box, "-z")
    assert above is not None and below is not None
    assert above.base.tolist() == pytest.approx([0.25]) and below.base.tolist() == pytest.approx([-0.35])


def test_what_cannot_be_told_is_said(caplog: pytest.LogCaptureFixture) -> None:
    flat = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False)
    assert rest_poses(flat) is None
    (record,) = caplog.records
    assert record.levelname == "WARNING" and "which way is up is left open" in record.getMessage()
