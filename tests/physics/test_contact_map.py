"""Where hands touch: on bodies where it is known."""

import numpy as np
import pytest
import torch
import trimesh

from hoprior.hand import load_hand
from hoprior.physics.contact_map import BONE_NAMES, CONTACT_DISTANCE, bone_of, contact_map

HAND = load_hand()
FLAT = HAND(torch.zeros(1, 15, 3))
VERTS, JOINTS, FACES = FLAT.verts[0].double().numpy(), FLAT.joints[0].double().numpy(), HAND.faces.numpy()


def block_before(point: np.ndarray, gap: float, size: float = 0.02) -> trimesh.Trimesh:
    """A small cube that a point of the palm's side looks at, `gap` metres off."""
    box = trimesh.creation.box((size, size, size)).subdivide().subdivide()
    return box.apply_translation(point + np.array([0.0, 0.0, gap + size / 2]))


def pad(bone: str) -> np.ndarray:
    """The vertex of a bone that looks out of the palm most."""
    own = np.flatnonzero(bone_of(VERTS, JOINTS) == BONE_NAMES.index(bone))
    return VERTS[own[VERTS[own, 2].argmax()]]


@pytest.mark.parametrize("bone", ["index3", "middle3", "ring3", "pinky3", "thumb3"])
def test_a_block_at_a_pad_is_touched_by_that_bone(bone: str) -> None:
    found = contact_map(VERTS, FACES, JOINTS, block_before(pad(bone), 0.0))
    first = found.contacts[0]
    assert first.bone == bone and first.finger == bone[:-1]
    np.testing.assert_allclose(first.normal, [0, 0, -1], atol=1e-6)
    assert np.linalg.norm(first.point - pad(bone)) < 0.012


@pytest.mark.parametrize("gap", [0.0, 0.002, 0.004])
def test_closeness_falls_with_the_gap(gap: float) -> None:
    found = contact_map(VERTS, FACES, JOINTS, block_before(pad("index3"), gap))
    assert found.hand.max() == pytest.approx(1 - gap / CONTACT_DISTANCE, abs=0.02)
    assert found.hand.min() == 0 and found.item.min() == 0
    assert found.item.max() == pytest.approx(found.hand.max(), abs=0.25)


def test_what_is_farther_than_5_mm_does_not_touch() -> None:
    found = contact_map(VERTS, FACES, JOINTS, block_before(pad("index3"), 0.0055))
    assert found.contacts == () and not found.hand.any() and not found.item.any()


def test_shares_of_the_pressure_sum_to_one_and_fall() -> None:
    table = trimesh.creation.box((0.4, 0.4, 0.1)).apply_translation([0.1, 0, VERTS[:, 2].max() + 0.015])
    shares = [contact.pressure_share for contact in contact_map(VERTS, FACES, JOINTS, table).contacts]
    assert len(shares) > 3 and sum(shares) == pytest.approx(1) and shares == sorted(shares, reverse=True)


def test_depth_is_how_far_skin_is_inside() -> None:
    found = contact_map(VERTS, FACES, JOINTS, block_before(pad("middle3"), -0.003))
    assert found.contacts[0].depth == pytest.approx(0.003, abs=1e-4)


def test_parts_are_told_where_they_are_known() -> None:
    near, far = block_before(pad("index3"), 0.0), block_before(pad("ring3"), 0.0)
    both = trimesh.util.concatenate([near, far])
    found = contact_map(VERTS, FACES, JOINTS, both, {"handle": near, "rim": far})
    parts = {contact.bone: contact.part for contact in found.contacts}
    assert parts["index3"] == "handle" and parts["ring3"] == "rim"
    assert {contact.part for contact in contact_map(VERTS, FACES, JOINTS, both).contacts} == {None}


def test_a_turned_and_moved_scene_has_the_same_contacts() -> None:
    block = block_before(pad("index3"), -0.001)
    T = trimesh.transformations.rotation_matrix(1.0, [1, 2, 3])
    T[:3, 3] = [0.3, -0.2, 0.5]
    one = contact_map(VERTS, FACES, JOINTS, block)
    other = contact_map(*(f(T) for f in (verts, lambda _: FACES, joints)), block.copy().apply_transform(T))
    np.testing.assert_allclose(one.hand, other.hand, atol=1e-6)
    moved = one.contacts[0].point @ T[:3, :3].T + T[:3, 3]
    np.testing.assert_allclose(moved, other.contacts[0].point, atol=1e-6)
    np.testing.assert_allclose(T[:3, :3] @ one.contacts[0].normal, other.contacts[0].normal, atol=1e-6)
    np.testing.assert_allclose(one.moved(np.ones(3)).contacts[0].point, one.contacts[0].point + 1)


def verts(T: np.ndarray) -> np.ndarray:
    return trimesh.transform_points(VERTS, T)


def joints(T: np.ndarray) -> np.ndarray:
    return trimesh.transform_points(JOINTS, T)


def test_bones_are_those_of_the_skin() -> None:
    """Nearest bones agree with the skin's weights, but near the joints between two."""
    bone = bone_of(VERTS, JOINTS)
    part = HAND.vertex_part.numpy()
    names = np.array([*BONE_NAMES])[bone]
    of_weights = np.array(["palm", *BONE_NAMES[:-1]])[part]
    fingers = np.char.rstrip(names, "123") == np.char.rstrip(of_weights, "123")
    assert fingers.mean() > 0.9
