"""Metrics of reconstruction against known answers."""

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation
from skimage.transform import estimate_transform

from hoprior.metrics.reconstruction import (
    align,
    fit_similarity,
    joint_errors,
    one_way_cm2,
    relation_cm2,
    surface_errors,
)

RNG = np.random.default_rng(0)
JOINTS = 0.1 * RNG.normal(size=(4, 21, 3))


def rabbit() -> np.ndarray:
    """Points on a body without symmetry: three boxes of different sizes."""
    parts = [trimesh.creation.box((0.10, 0.05, 0.03)), trimesh.creation.box((0.02, 0.04, 0.09))]
    parts[1].apply_translation((0.03, 0.01, 0.05))
    parts.append(trimesh.creation.box((0.03, 0.06, 0.02)).apply_translation((-0.04, 0.05, 0.01)))
    return np.asarray(trimesh.sample.sample_surface(trimesh.util.concatenate(parts), 3_000, seed=1)[0])


def test_the_same_surface_is_perfect() -> None:
    points = rabbit()
    assert surface_errors(points, points) == (1.0, 1.0, 0.0, 0.0)


def test_a_shift_of_parallel_planes_is_its_square_both_ways() -> None:
    plane = np.stack(np.meshgrid(np.arange(50), np.arange(50), [0.0]), axis=-1).reshape(-1, 3) * 0.02
    found = surface_errors(plane + np.array([0, 0, 0.007]), plane)
    assert found.f5 == 0.0 and found.f10 == 1.0
    assert found.cd_cm2 == pytest.approx(2 * 0.7**2)


def test_f_score_is_the_harmonic_mean_of_both_shares() -> None:
    truth = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    found = surface_errors(truth[:1], truth)
    assert found.f5 == pytest.approx(2 * 1.0 * 0.25 / 1.25)


def test_alignment_undoes_a_similarity() -> None:
    points = rabbit()
    turned = 1.7 * points @ Rotation.from_rotvec([0.3, -0.4, 0.2]).as_matrix().T + [0.2, 0.1, -0.3]
    found = surface_errors(align(turned, points)(turned), points)
    assert found.f5 > 0.99 and found.cd_cm2 < 0.02


def test_alignment_finds_a_turn_that_icp_alone_does_not() -> None:
    points = rabbit()
    turned = points @ Rotation.from_rotvec([0.0, 0.0, 2.6]).as_matrix().T
    alone = surface_errors(align(turned, points, starts=1)(turned), points)
    best = surface_errors(align(turned, points)(turned), points)
    assert best.cd_cm2 < 0.5 * alone.cd_cm2


def test_similarity_agrees_with_scikit_image() -> None:
    source, target = RNG.normal(size=(30, 3)), RNG.normal(size=(30, 3))
    other = estimate_transform("similarity", source, target)
    np.testing.assert_allclose(fit_similarity(source, target)(source), other(source), atol=1e-8)


def test_joints_have_the_errors_they_were_given() -> None:
    assert joint_errors(JOINTS + 0.3, JOINTS).mpjpe_cm == pytest.approx(0, abs=1e-9)
    larger = joint_errors(1.2 * JOINTS, JOINTS)
    assert larger.mpjpe_cm > 1 and larger.mpjpe_scaled_cm == pytest.approx(0, abs=1e-6)
    turned = joint_errors(JOINTS @ Rotation.from_rotvec([0, 0, 1.0]).as_matrix().T, JOINTS)
    assert turned.mpjpe_scaled_cm > 1 and turned.mpjpe_pa_cm == pytest.approx(0, abs=1e-6)


def test_auc_of_an_error_is_the_share_of_the_range_above_it() -> None:
    away = JOINTS.copy()
    away[:, 2:, 0] += 0.01
    away[:, 0, 0] += 0.01
    assert joint_errors(away, JOINTS).auc == pytest.approx(1 - 0.2 * 20 / 21, abs=0.01)
    assert joint_errors(JOINTS, JOINTS).auc == pytest.approx(1.0)


def test_relation_is_not_aligned() -> None:
    points = rabbit()
    eye = np.eye(4)[None].repeat(3, axis=0)
    moved = eye.copy()
    moved[:, 0, 3] = 0.5
    assert relation_cm2(points, points, eye, eye) == 0
    assert relation_cm2(points, points, moved, eye) > 2 * 100 * 0.4**2 * 100
    assert relation_cm2(points - [0.5, 0, 0], points, moved, eye) == pytest.approx(0, abs=1e-9)


def test_one_way_distance_is_of_the_truth_only() -> None:
    truth, predicted = np.zeros((1, 3)), np.array([[0.0, 0, 0.01], [5, 5, 5]])
    assert one_way_cm2(truth, predicted) == pytest.approx(1.0)
    assert np.isnan(one_way_cm2(np.zeros((0, 3)), predicted))
