"""Simulations whose outcome is known: free fall, a body that cannot move, two hands one after the other."""

import numpy as np
import pytest
import trimesh

pybullet = pytest.importorskip("pybullet", reason="needs the extra `sim`")
pytest.importorskip("coacd", reason="needs the extra `sim`")

from hoprior.errors import HopriorError  # noqa: E402
from hoprior.metrics import grasp_metrics  # noqa: E402
from hoprior.physics.simulation import bullet  # noqa: E402
from hoprior.physics.simulation.bullet import displacement_cm, displacements_cm  # noqa: E402
from hoprior.physics.simulation.convex import convex_parts  # noqa: E402
from hoprior.physics.simulation.survival import holds, survival_share  # noqa: E402

CUBE = trimesh.creation.box((0.06, 0.06, 0.06))


def cup(gap: float = 0.0001) -> trimesh.Trimesh:
    """A shell that leaves `gap` around the cube."""
    inner = trimesh.creation.box(np.full(3, 0.06 + 2 * gap))
    shell = trimesh.boolean.difference([trimesh.creation.box((0.1, 0.1, 0.1)), inner])
    return shell.subdivide().subdivide().subdivide()


def far_away() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(2, 0.02).apply_translation((1, 0, 0))


def moved(hand: trimesh.Trimesh, **options) -> float:
    return displacement_cm(hand.vertices, hand.faces, convex_parts(CUBE), **options)


def test_nothing_holds_what_nothing_touches():
    # 35 semi-implicit steps: g dt² (1 + ... + 35), a little more than g t² / 2 = 10.4 cm.
    assert moved(far_away()) == pytest.approx(100 * 9.8 / 240**2 * 35 * 36 / 2, rel=0.01)


def test_a_shell_around_the_object_holds_it():
    assert moved(cup()) < 0.1


def test_hands_in_sequence_are_simulated_each_for_itself():
    # pybullet remembers meshes by file name: with one name for all, the second would repeat the first.
    held, falls, again = moved(cup()), moved(far_away()), moved(cup())
    assert falls > 10 and held == again < 0.1


def test_the_hand_is_as_concave_as_it_is():
    """A convex hull of the shell would throw the object out."""
    falls_inside = moved(cup(gap=0.01))
    assert falls_inside == pytest.approx(1.0, abs=0.3)


def test_a_table_holds_against_gravity_towards_it_only():
    table = trimesh.creation.box((0.2, 0.2, 0.02)).apply_translation((0, 0, -0.0401))
    assert moved(table) < 0.1
    assert moved(table, gravity_direction=(0, 0, 1)) > 10


def test_a_result_repeats_and_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.setattr(bullet.tempfile, "tempdir", str(tmp_path))
    hand = trimesh.creation.icosphere(2, 0.02).apply_translation((0.04, 0, 0))
    assert moved(hand) == moved(hand)
    assert not list(tmp_path.iterdir())


def test_many_hands_in_many_processes_are_each_what_they_are_alone():
    hand = cup(gap=0.002)
    verts = np.stack([hand.vertices - np.array([0, 0, 0.001]) * k for k in range(16)])
    parts = convex_parts(CUBE)
    alone = [displacement_cm(one, hand.faces, parts) for one in verts]
    assert displacements_cm(verts, hand.faces, parts, workers=2).tolist() == alone
    assert len(set(alone)) > 1


@pytest.mark.parametrize("method", ["coacd", "vhacd"])
def test_parts_fill_an_l_shape_that_its_hull_would_not(method):
    beam = trimesh.creation.box((0.1, 0.02, 0.02))
    post = trimesh.creation.box((0.02, 0.02, 0.1)).apply_translation((-0.04, 0, 0.05))
    shape = trimesh.boolean.union([beam, post])
    parts = convex_parts(shape, method)
    assert parts.volume == pytest.approx(shape.volume, rel=0.15)
    assert shape.convex_hull.volume > 1.5 * parts.volume
    assert parts.center == pytest.approx(shape.center_mass)
    assert convex_parts(shape.copy(), method) is parts


def test_metrics_carry_the_simulation():
    hands = [far_away(), far_away().apply_translation((-1, 0, -0.0499))]
    found = grasp_metrics(np.stack([hand.vertices for hand in hands]), hands[0].faces, CUBE)
    assert found[0].displacement_cm > 10 > 5 > found[1].displacement_cm
    assert found[0].survival is None


def test_without_pybullet_the_error_says_what_to_install(monkeypatch):
    parts = convex_parts(CUBE)
    monkeypatch.setitem(__import__("sys").modules, "pybullet", None)
    with pytest.raises(HopriorError, match=r"hoprior\[bullet\]"):
        displacement_cm(CUBE.vertices, CUBE.faces, parts)


def test_survival_needs_support_from_all_sides():
    pytest.importorskip("mujoco", reason="needs the extra `mujoco`")
    parts = convex_parts(CUBE)
    table = trimesh.creation.box((0.1, 0.1, 0.02)).apply_translation((0, 0, -0.0401)).subdivide_to_size(0.03)
    bowl = trimesh.creation.box((0.1, 0.1, 0.1)).subdivide_to_size(0.03)
    assert survival_share(far_away().vertices, far_away().faces, parts) == 0
    assert survival_share(table.vertices, table.faces, parts) == pytest.approx(1 / 6)
    inner = trimesh.boolean.difference([bowl, trimesh.creation.box((0.0602, 0.0602, 0.0602))])
    assert survival_share(inner.vertices, inner.faces, parts) == 1


def test_the_early_answer_is_that_of_the_whole_test():
    pytest.importorskip("mujoco", reason="needs the extra `mujoco`")
    parts = convex_parts(CUBE)
    table = trimesh.creation.box((0.1, 0.1, 0.02)).apply_translation((0, 0, -0.0401)).subdivide_to_size(0.03)
    bowl = trimesh.creation.box((0.1, 0.1, 0.1)).subdivide_to_size(0.03)
    inner = trimesh.boolean.difference([bowl, trimesh.creation.box((0.0602, 0.0602, 0.0602))])
    loose = trimesh.boolean.difference([bowl, trimesh.creation.box((0.09, 0.09, 0.09))])

    def near(points):
        return np.abs(points).max(axis=1) - 0.03

    for hand in (far_away(), table, inner, loose):
        whole = survival_share(hand.vertices, hand.faces, parts) == 1
        assert holds(hand.vertices, hand.faces, parts) == whole
        assert holds(hand.vertices, hand.faces, parts, near) == whole
