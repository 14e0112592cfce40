"""Parts of a surface as points on it."""

import numpy as np
import torch
import trimesh

from hoprior.geometry.surface_parts import distances_to, likeliest_part, points_in_mesh, surface_samples


def test_a_part_holds_what_is_near_its_peak_and_nothing_that_stands_apart() -> None:
    one, other = (trimesh.creation.icosphere(radius=0.02).apply_translation([x, 0, 0]) for x in (0.0, 0.1))
    points = np.concatenate([surface_samples(one, 500), surface_samples(other, 500)])
    likelihood = np.where(points[:, 0] < 0.05, 0.9, 0.4)
    found = likeliest_part(points, likelihood, least=0.3, peak=0.8)
    assert np.array_equal(found, points[:, 0] < 0.05)
    assert likeliest_part(points, likelihood, least=0.3, peak=0.3).all()
    assert not likeliest_part(points, likelihood, least=0.95, peak=0.95).any()


def test_points_in_a_mesh_are_inside_or_on_it() -> None:
    ball = trimesh.creation.icosphere(radius=0.05)
    points = surface_samples(ball, 2000)
    half = trimesh.creation.box(bounds=[[0.0, -0.1, -0.1], [0.1, 0.1, 0.1]])
    assert np.array_equal(points_in_mesh(points, half), points[:, 0] > -0.003)


def test_distances_are_those_to_the_nearest_point() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.05, 0.05, (200, 3))
    asked = rng.uniform(-0.08, 0.08, (300, 3))
    found = distances_to(points)(torch.from_numpy(asked).float()).numpy()
    exact = np.linalg.norm(asked[:, None] - points, axis=2).min(axis=1)
    assert np.abs(found - exact).max() < 0.003
