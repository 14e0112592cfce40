"""Procedural objects and grasps: solid, of real sizes, the same for the same seed, and held as their rules say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hoprior.datasets.procedural.closing import Closed, HandCloser
from hoprior.datasets.procedural.design import Family
from hoprior.datasets.procedural.families import FAMILIES
from hoprior.datasets.procedural.placements import Rule, across, cap, draw_placements, flat_in_palm, tripod, wrap
from hoprior.datasets.procedural.shapes import rod, rounded_box, to_mesh, vec
from hoprior.datasets.procedural.source import Procedural, family_named
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import load_hand

DRAWS = {
    "wrap": wrap((0, 0, -0.05), (0, 0, 0.05), 0.02),
    "cap": cap((0, 0, 0), (0, 0, 1), 0.03),
    "across": across((0, 0, 0.03), (0, 0, -1), (1, 0, 0), 0.04),
    "tripod": tripod((0.1, 0, 0), (0, 0, 0)),
    "flat": flat_in_palm((0, 0, 0), (0, 0, 1), (1, 0, 0)),
}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_every_object_is_one_watertight_solid_of_a_real_size(family: Family) -> None:
    check_solids(family, range(5))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_a_hundred_objects_of_each_family_are_sound(family: Family) -> None:
    check_solids(family, range(5, 105))


def check_solids(family: Family, seeds: range) -> None:
    for seed in seeds:
        design = family.make(np.random.default_rng(seed))
        mesh = to_mesh(design.solid)
        assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 1e-7, seed
        assert len(design.solid.decompose()) == 1, f"seed {seed}: parts hang in the air"
        assert family.extent[0] <= mesh.extents.max() <= family.extent[1], (seed, mesh.extents)
        assert mesh.extents.min() > 0.005 and len(mesh.faces) < 6000
        if design.filled is not None:
            whole = to_mesh(design.filled)
            assert whole.is_watertight and whole.volume > mesh.volume
            assert np.allclose(whole.bounds, mesh.bounds, atol=0.015)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_every_rule_puts_the_palm_at_the_object(family: Family) -> None:
    rng = np.random.default_rng(0)
    design = family.make(rng)
    bounds = to_mesh(design.solid).bounds
    assert len({rule.name for rule in design.rules}) == len(design.rules)
    for rule, placement in draw_placements(design.rules, 4 * len(design.rules), rng):
        T = placement.T_object_hand()
        palm = T[:3, :3] @ vec(0.1, 0, 0.05) + T[:3, 3]
        outside = np.linalg.norm(np.maximum(bounds[0] - palm, 0) + np.maximum(palm - bounds[1], 0))
        assert outside < 0.06, (rule.name, "a hand's breadth from the object at most")


def test_there_are_many_kinds_with_names_of_their_own() -> None:
    assert len(FAMILIES) >= 15 and len({family.name for family in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize("name", DRAWS)
@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_a_placement_is_rigid_and_pins_its_point_and_first_direction(name: str, seed: int) -> None:
    placement = DRAWS[name](np.random.default_rng(seed))
    T = placement.T_object_hand()
    assert np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-9) and np.linalg.det(T[:3, :3]) > 0
    assert np.allclose(T[:3, :3] @ placement.point_hand + T[:3, 3], placement.point, atol=1e-9)
    turned = T[:3, :3] @ (placement.primary_hand / np.linalg.norm(placement.primary_hand))
    assert np.allclose(turned, placement.primary / np.linalg.norm(placement.primary), atol=1e-9)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_a_fist_has_its_thumb_towards_the_head(seed: int) -> None:
    T = wrap((0, 0, 0), (0.1, 0, 0), 0.015, tilt=(0.4, 0.2))(np.random.default_rng(seed)).T_object_hand()
    thumb_side = T[:3, :3] @ vec(0, -1, 0)
    assert thumb_side[0] > 0.5


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_a_palm_from_above_looks_down(seed: int) -> None:
    T = cap((0, 0, 0), (0, 0, 1), 0.03, tilt=0.2)(np.random.default_rng(seed)).T_object_hand()
    assert T[2, 2] < 0


def test_rules_are_drawn_in_proportion_and_none_is_forgotten() -> None:
    rules = [Rule(n, w, DRAWS["cap"]) for n, w in (("often", 8.0), ("seldom", 0.1), ("sometimes", 2.0))]
    names = [rule.name for rule, _ in draw_placements(rules, 100, np.random.default_rng(0))]
    assert len(names) == 100 and names.count("seldom") >= 1 and names.count("often") > 3 * names.count("sometimes")


def closed_on_a_bar() -> tuple[Closed, SdfGrid]:
    sdf = SdfGrid.from_mesh(to_mesh(rod((0, 0, -0.1), (0, 0, 0.1), 0.02)), 48, 0.06)
    draw = wrap((0, 0, -0.03), (0, 0, 0.03), 0.02)
    rng = np.random.default_rng(0)
    closed = HandCloser(load_hand())(sdf, [draw(rng) for _ in range(6)], torch.Generator().manual_seed(0))
    return closed, sdf


def test_a_closed_fist_holds_the_bar_where_it_was_put() -> None:
    closed, sdf = closed_on_a_bar()
    hand = load_hand()
    assert closed.good(torch.ones(6, 5)).float().mean() > 0.6
    assert closed.depth.median() < 0.006 and closed.moved.max() < 0.02
    assert hand.limit_energy(closed.angles).max() == 0
    verts = hand(hand.angles_to_pose(closed.angles)).verts
    placed = verts @ closed.T_object_hand[:, :3, :3].mT + closed.T_object_hand[:, None, :3, 3]
    depth = torch.relu(-sdf(placed)).amax(1)
    torch.testing.assert_close(depth, closed.depth, atol=1e-4, rtol=0)


def test_a_hand_away_from_the_object_is_not_called_good() -> None:
    closed, _ = closed_on_a_bar()
    wanted = torch.ones(6, 5)
    far = replace(closed, finger_gap=torch.full((6, 5), 0.02))
    deep = replace(closed, depth=torch.full((6,), 0.02))
    moved = replace(closed, moved=torch.full((6,), 0.05))
    assert not any(c.good(wanted).any() for c in (far, deep, moved))
    thumb_off = replace(closed, finger_gap=torch.tensor([0.0, 0, 0, 0, 0.02]).expand(6, 5))
    assert not thumb_off.good(wanted).any()


def test_grasps_follow_from_the_seed_alone() -> None:
    hand = load_hand()

    def grasps(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        source = Procedural(2, seed, grasps_per_object=4, candidates=8)
        info = source.objects()[1]
        mesh = source.mesh(info)
        made = source.grasps(info, mesh, SdfGrid.from_mesh(mesh, 24, 0.06), hand)
        assert made is not None and made.recorded.all() and len(made.sentences) >= 1
        return torch.tensor(mesh.vertices), made.joints_object

    first, again, other = grasps(0), grasps(0), grasps(1)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert first[0].shape != other[0].shape or not torch.allclose(first[0], other[0])


def test_objects_of_a_larger_set_begin_with_those_of_a_smaller_one() -> None:
    few, many = Procedural(5).objects(), Procedural(60).objects()
    assert many[:5] == few and len({info.key for info in many}) == 60
    assert len({info.category for info in many}) == len(FAMILIES)


def test_unknown_families_and_empty_sets_are_refused() -> None:
    with pytest.raises(HopriorError, match="no procedural family 'anvil'"):
        family_named("anvil")
    with pytest.raises(HopriorError, match="at least one"):
        Procedural(0)


def test_shapes_have_the_sizes_they_are_asked_for() -> None:
    assert np.allclose(to_mesh(rounded_box((0.04, 0.06, 0.08), 0.005)).extents, (0.04, 0.06, 0.08), atol=1e-3)
    bar = to_mesh(rod((0, 0, 0), (0.1, 0, 0), 0.01))
    assert np.allclose(bar.bounds, [[0, -0.01, -0.01], [0.1, 0.01, 0.01]], atol=1e-3)
    assert bar.volume == pytest.approx(np.pi * 0.01**2 * 0.1, rel=0.02)
