"""Pixels by compiled kernels against those by numpy, the reference."""

from collections.abc import Iterator

import numpy as np
import pytest
import trimesh

from hoprior.hand import load_hand
from hoprior.kernels.choice import SWITCH
from hoprior.rendering import pixels
from hoprior.rendering.rasterizer import LIGHT, OBJECT_GREY, SKIN, look_along, nearest_face, render_scene

pytest.importorskip("numba")
from hoprior.kernels import pictures

TURNS = (0.3, 1.4, 2.9, 4.4)


@pytest.fixture(scope="module")
def scene() -> list[tuple[np.ndarray, np.ndarray, object]]:
    """A hand at a painted ball, and a triangle that is seen from its edge."""
    hand, ball = load_hand(), trimesh.creation.icosphere(4, 0.04)
    paint = np.random.default_rng(0).random(ball.vertices.shape)
    sliver = np.array([[0.0, 0.0, 0.1], [0.0, 0.0, 0.1], [0.0, 0.0, 0.2]])
    return [
        (hand.v_template.numpy(), hand.faces.numpy(), SKIN),
        (np.add(ball.vertices, [0.08, 0.0, 0.05]), ball.faces, paint),
        (sliver, np.array([[0, 1, 2]]), OBJECT_GREY),
    ]


@pytest.fixture
def by_numpy(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    with monkeypatch.context() as patch:
        patch.setenv(SWITCH, "off")
        yield patch


@pytest.mark.parametrize("turn", TURNS)
def test_pictures_are_the_same(
    scene: list[tuple[np.ndarray, np.ndarray, object]], by_numpy: pytest.MonkeyPatch, turn: float
) -> None:
    look = (np.sin(turn), 0.2, np.cos(turn))
    theirs = render_scene(scene, (90, 120), look)
    by_numpy.delenv(SWITCH)
    ours = render_scene(scene, (90, 120), look)
    assert np.abs(ours.astype(int) - theirs).max() <= 1 and len(np.unique(ours)) > 50


def test_a_camera_within_the_scene_sees_only_what_is_before_it(
    scene: list[tuple[np.ndarray, np.ndarray, object]], by_numpy: pytest.MonkeyPatch
) -> None:
    verts, faces = np.concatenate([scene[0][0], scene[1][0]]), scene[0][1]
    view = look_along(verts, (0.0, 1.0, 0.0)).to_view(verts) - [0.0, 0.0, np.median(verts[:, 1]) + 0.45]
    assert (view[:, 2] < 0).any() and (view[:, 2] > 0).any()
    theirs = nearest_face(view, faces, 1.2, 64, 48)
    by_numpy.delenv(SWITCH)
    assert np.array_equal(nearest_face(view, faces, 1.2, 64, 48), theirs)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e-320, 1e160, -1e160, 1e300])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_corners_that_are_no_numbers_or_far_off_spoil_nothing(
    by_numpy: pytest.MonkeyPatch, wrong: float, axis: int
) -> None:
    view = np.array([[-1.0, -1.0, 3.0], [1.0, -1.0, 3.0], [0.0, 1.0, 3.0], [0.3, 0.2, 2.0]])
    view[3, axis] = wrong
    faces = np.array([[0, 1, 2], [0, 1, 3], [3, 1, 2], [3, 3, 0]])
    with np.errstate(all="ignore"):
        theirs = nearest_face(view, faces, 1.5, 32, 24)
        by_numpy.delenv(SWITCH)
        ours = nearest_face(view, faces, 1.5, 32, 24)
    assert set(np.unique(ours)) <= {-1, 0, 1, 2} and (ours == 0).any()
    assert np.array_equal(ours, theirs)


def test_depths_weights_and_light_are_the_same() -> None:
    ball = trimesh.creation.icosphere(3, 0.5)
    view, faces = np.add(ball.vertices, [0.1, -0.2, 2.0]), np.asarray(ball.faces, np.int64)
    face = np.flatnonzero(ball.face_normals[:, 2] < -0.2)
    ray = view[faces[face]].mean(axis=1)
    ray /= ray[:, 2:]
    (depth, weights), theirs = pictures.met(view, faces, face, ray), pixels.met(view, faces, face, ray)
    np.testing.assert_allclose(depth, theirs[0], rtol=1e-12)
    np.testing.assert_allclose(weights, theirs[1], atol=1e-9)
    np.testing.assert_allclose(weights, 1 / 3, atol=1e-9)
    normals = np.asarray(ball.vertex_normals)[faces]
    axes, open_to_light = np.diag([1.0, 1.0, -1.0]), np.linspace(0.2, 1.0, len(face))
    given = (weights, face, ray, faces, normals, np.abs(ball.vertex_normals), axes, LIGHT, open_to_light)
    np.testing.assert_allclose(pictures.lit(*given), pixels.lit(*given), atol=1e-12)
