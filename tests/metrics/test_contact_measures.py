"""Fréchet distance and fingertips' errors against known answers."""

import numpy as np
import pytest
import trimesh

from hoprior.errors import HopriorError
from hoprior.metrics.frechet import FEATURE_JOINTS, LEAST_GRASPS, frechet_distance
from hoprior.metrics.tips import tip_errors_mm

BALL = trimesh.creation.icosphere(4, 0.05)


def some(num: int, seed: int = 0) -> np.ndarray:
    return 0.03 * np.random.default_rng(seed).normal(size=(num, 21, 3))


def test_the_frechet_distance_of_normal_distributions_is_known() -> None:
    one = some(60)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-5)
    moved = frechet_distance(one, one + np.array([0.0, 0.02, 0.0]))
    assert moved == pytest.approx(2 * np.sqrt(len(FEATURE_JOINTS)))
    # (S + 4 S - 2 · 2 S)^½ about the same mean: the root of S's trace.
    middle = one.mean(axis=0)
    wider = frechet_distance(one, middle + 2 * (one - middle))
    spread = 100 * one[:, FEATURE_JOINTS].reshape(60, -1).std(axis=0, ddof=1)
    assert wider == pytest.approx(float(np.sqrt(np.square(spread).sum())), rel=1e-6)
    assert frechet_distance(one, some(60, 1)) == pytest.approx(frechet_distance(some(60, 1), one))


def test_few_grasps_have_no_frechet_distance() -> None:
    with pytest.raises(HopriorError, match=f"n of at least {LEAST_GRASPS}"):
        frechet_distance(some(LEAST_GRASPS - 1), some(LEAST_GRASPS))


def test_tips_are_judged_by_the_thumb_and_the_nearest_other() -> None:
    joints = np.zeros((3, 21, 3))
    joints[:, 16] = [[0.05, 0, 0], [0.06, 0, 0], [0.04, 0, 0]]  # thumbs at 0, 10 mm outside, 10 mm inside
    joints[:, 17:] = [0, 0.2, 0]
    joints[:, 20] = [0, -0.054, 0]  # the little finger, 4 mm outside
    assert tip_errors_mm(joints, BALL) == pytest.approx([2, 7, 7], abs=0.2)


def test_tips_do_not_care_about_the_frame() -> None:
    joints, turn = some(4), trimesh.transformations.random_rotation_matrix(np.array([0.1, 0.5, 0.9]))
    turn[:3, 3] = [0.3, -1.0, 2.0]
    turned = joints @ turn[:3, :3].T + turn[:3, 3]
    there = tip_errors_mm(turned, BALL.copy().apply_transform(turn))
    assert there == pytest.approx(tip_errors_mm(joints, BALL), abs=1e-3)
