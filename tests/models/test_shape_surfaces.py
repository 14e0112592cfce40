"""Surfaces of coded shapes: whole where a decoder leaves holes and loose handles, and as they are everywhere else."""

import numpy as np
import pytest
import torch
import trimesh

from hoprior.geometry.shape_box import REACH
from hoprior.models.interaction_draws import draw_objects
from hoprior.models.interaction_prior import InteractionPrior
from hoprior.models.shape_surfaces import LEVELS, Topology, surface_of, topology, whole_surface
from hoprior.priors.registry import load_prior
from hoprior.priors.text_encoders import encode_texts

AXIS = np.linspace(-REACH, REACH, 64)
Z, Y, X = np.meshgrid(AXIS, AXIS, AXIS, indexing="ij")
BALL = np.sqrt(X**2 + Y**2 + Z**2) - 0.6
RING = np.hypot(np.hypot(X - 0.6, Z) - 0.3, Y)
"""Distances from the middle of a handle's ring."""


@pytest.mark.parametrize(
    ("mesh", "expected"),
    [
        (trimesh.creation.icosphere(2), Topology(1, 0)),
        (trimesh.creation.torus(0.05, 0.01), Topology(1, 1)),
        (trimesh.creation.box() + trimesh.creation.torus(0.5, 0.1).apply_translation((5, 0, 0)), Topology(2, 1)),
        (trimesh.creation.box() + trimesh.creation.box((0.1, 0.1, 0.1)).apply_translation((5, 0, 0)), Topology(1, 0)),
    ],
)
def test_pieces_and_handles_are_counted_and_crumbs_are_not(mesh: trimesh.Trimesh, expected: Topology) -> None:
    assert topology(mesh) == expected


def test_a_thick_shape_is_taken_as_it_is() -> None:
    found = whole_surface(np.minimum(BALL, RING - 0.1))
    assert found.level == 0 and topology(found.mesh) == Topology(1, 1)
    assert found.mesh.is_watertight


def test_a_wall_with_holes_is_closed_no_thicker_than_it_must_be() -> None:
    """An open cup whose wall a decoder has made too thin here and there."""
    rng = np.random.default_rng(0)
    wall = np.maximum(np.abs(BALL) - 0.05, Z - 0.2)
    torn = wall + 0.042 * (np.sin(9 * X + 1) * np.sin(8 * Y) * np.sin(7 * Z + 2)).clip(0)
    torn = torn + 0.0005 * rng.standard_normal(torn.shape)
    assert topology(whole_surface(wall).mesh) == Topology(1, 0)
    found = whole_surface(torn)
    assert 0 < found.level < LEVELS[-1] and topology(found.mesh) == Topology(1, 0)


def test_a_handle_that_is_loose_at_one_end_is_joined_again() -> None:
    gap = 0.012 * (np.abs(X - 0.6) < 0.15) * (Z > 0)  # at the top of the ring it is missing
    cut = np.where(gap > 0, np.maximum(RING - 0.06, 0.012 - np.abs(X - 0.6)), RING - 0.06)
    found = whole_surface(np.minimum(BALL, cut))
    assert found.level > 0 and topology(found.mesh) == Topology(1, 1)


def test_drawn_mugs_have_handles_and_wine_glasses_no_holes() -> None:
    prior = load_prior("interaction")
    assert isinstance(prior, InteractionPrior)
    for thing, expected in (("mug", Topology(1, 1)), ("wine glass", Topology(1, 0))):
        cond = encode_texts(prior, [f"a hand holding a {thing}"] * 4)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            drawn = draw_objects(prior, cond, 4, steps=50, guidance_scale=1.0, generator=generator)
            codes, extents = prior.decode_objects(drawn)
        found = [topology(surface_of(prior.shapes, *each).mesh) for each in zip(codes, extents, strict=True)]
        assert found.count(expected) >= 3
