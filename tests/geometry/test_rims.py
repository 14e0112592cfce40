"""Cups whose walls are separate surfaces stay hollow; single walls with a hole are closed."""

import numpy as np
import pytest
import trimesh

from hoprior.geometry.mesh import prepare_mesh
from hoprior.geometry.sdf import signed_distance


def wall(radius: float, base: float, top: float, sections: int) -> trimesh.Trimesh:
    """A tube with a bottom and no top."""
    mesh = trimesh.creation.cylinder(radius, top - base, sections=sections)
    mesh.apply_translation([0, 0, (top + base) / 2])
    return trimesh.Trimesh(mesh.vertices, mesh.faces[mesh.face_normals[:, 2] < 0.9], process=False)


@pytest.mark.parametrize("sections", [(24, 24), (24, 20), (40, 12)])
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True)])
def test_a_cup_of_two_walls_stays_hollow(sections: tuple[int, int], turned: tuple[bool, bool]) -> None:
    walls = [wall(0.04, 0.0, 0.12, sections[0]), wall(0.036, 0.004, 0.12, sections[1])]
    for mesh, turn in zip(walls, turned, strict=True):
        if turn:
            mesh.invert()
    loaded = prepare_mesh(trimesh.util.concatenate(walls))
    assert loaded.watertight
    middle, wall_at, bottom = signed_distance(loaded, np.array([[0, 0, 0.07], [0, 0.0378, 0.06], [0, 0, 0.002]]))
    assert middle > 0.03 and wall_at < 0 and bottom < 0
    solid = np.pi * (0.04**2 * 0.12 - 0.036**2 * 0.116)
    assert loaded.solid.volume == pytest.approx(solid, rel=0.15)
    assert any("1 pair of walls" in note for note in loaded.notes)


def test_a_rim_of_its_own_joins_both_walls() -> None:
    rim = trimesh.creation.annulus(0.0361, 0.0399, 0.001, sections=30)
    rim = trimesh.Trimesh(rim.vertices, rim.faces[rim.face_normals[:, 2] > 0.9], process=False)
    rim.apply_translation([0, 0, 0.12 - rim.bounds[1, 2]])
    loaded = prepare_mesh(trimesh.util.concatenate([wall(0.04, 0, 0.12, 24), wall(0.036, 0.004, 0.12, 24), rim]))
    assert loaded.watertight and signed_distance(loaded, np.array([[0, 0, 0.07]]))[0] > 0.03


def test_one_wall_with_an_opening_is_closed_as_before() -> None:
    loaded = prepare_mesh(wall(0.04, 0.0, 0.12, 24))
    assert signed_distance(loaded, np.array([[0, 0, 0.07]]))[0] < -0.03
    assert not any("walls" in note for note in loaded.notes)
