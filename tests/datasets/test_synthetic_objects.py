"""What is grasped: named parts where they belong, words that are true, and meshes of the user's own."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from hoprior.datasets.procedural.families import FAMILIES
from hoprior.datasets.procedural.source import family_named
from hoprior.datasets.synthetic.objects import Catalogue, mesh_files, spoken
from hoprior.errors import HopriorError
from hoprior.language.object_words import WORDINGS, intention_of, shape_words, size_word, wordings
from hoprior.language.taxonomy import grasp_type


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_every_part_of_a_family_is_somewhere_on_its_surface(family) -> None:
    design = family.make(np.random.default_rng(1))
    mesh, part = design.labelled_mesh()
    assert mesh.is_watertight and len(part) == len(mesh.faces)
    assert set(np.unique(part)) == set(range(len(design.part_names())))
    assert set(design.free) <= set(design.part_names())
    assert all(rule.part in ("", *design.part_names()) for rule in design.rules)


def test_a_mugs_handle_is_at_its_handle() -> None:
    design = family_named("mug").make(np.random.default_rng(0))
    mesh, part = design.labelled_mesh()
    names, middle = design.part_names(), mesh.triangles_center
    radius = np.hypot(middle[:, 0], middle[:, 1])
    handle = part == names.index("handle")
    assert handle.any() and (middle[handle, 0] > 0.03).all() and (radius[~handle] < 0.05).all()
    assert middle[part == names.index("rim"), 2].min() > middle[:, 2].max() - 0.0075
    inside = design.part_at(np.array([[design_x(mesh), 0.0, middle[handle, 2].mean()]]))
    assert names[int(inside[0])] == "handle"


def design_x(mesh: trimesh.Trimesh) -> float:
    return float(mesh.bounds[1, 0])


def test_words_say_what_is_seen() -> None:
    assert shape_words(trimesh.creation.box((0.1, 0.1, 0.1))) == ("box-shaped",)
    assert shape_words(trimesh.creation.icosphere(3, 0.05)) == ("round",)
    assert shape_words(trimesh.creation.cylinder(0.02, 0.2)) == ("cylindrical", "long")
    assert shape_words(trimesh.creation.box((0.2, 0.15, 0.01))) == ("box-shaped", "flat")
    shell = trimesh.creation.annulus(0.038, 0.04, 0.08)
    assert shape_words(shell)[0] == "hollow"
    assert [size_word(x, (0.1, 0.4)) for x in (0.12, 0.25, 0.39)] == ["small", "medium-sized", "large"]


def test_a_grasp_is_told_in_several_wordings() -> None:
    texts = wordings("scissors", "pass", "handles", grasp_type(14), "small", ("flat",))
    assert len(set(texts)) == WORDINGS and texts[0] == "a hand handing over a pair of scissors"
    assert "tripod" in texts[3] and "handles" in texts[2] and "small flat scissors" in texts[1]
    assert {intention_of(v) for v in ("drink", "pass", "lift", "hold")} == {"use", "hand over", "move", "hold"}


def test_objects_follow_from_the_seed_and_come_in_turn() -> None:
    catalogue = Catalogue.of(["mug", "hammer"], [], 3)
    names = [catalogue.info(i).name for i in range(4)]
    assert names == ["mug_3_00000", "hammer_3_00001", "mug_3_00002", "hammer_3_00003"]
    first, again, other = catalogue.make(0), catalogue.make(0), catalogue.make(2)
    assert np.array_equal(first.mesh.vertices, again.mesh.vertices)
    assert not np.allclose(first.mesh.extents, other.mesh.extents)


def test_a_users_mesh_is_centred_and_all_body(tmp_path: Path) -> None:
    trimesh.creation.box((0.04, 0.06, 0.12)).apply_translation((1, 0, 0)).export(tmp_path / "my_red-tin_2.stl")
    catalogue = Catalogue.of([], [tmp_path], 0)
    made = catalogue.make(0)
    assert made.part_names == ("body",) and made.info.category == "red tin"
    assert np.allclose(made.mesh.bounds.mean(axis=0), 0, atol=1e-6) and made.rules


def test_what_cannot_be_grasped_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(HopriorError, match="no procedural family 'anvil'"):
        Catalogue.of(["anvil"], [], 0)
    with pytest.raises(HopriorError, match="no mesh files"):
        mesh_files(tmp_path)
    with pytest.raises(HopriorError, match="nothing to grasp"):
        Catalogue.of([], [], 0)
    trimesh.creation.box((0.5, 0.4, 0.3)).export(tmp_path / "crate.stl")
    with pytest.raises(HopriorError, match=r"crate.stl.*too big for a hand"):
        Catalogue.of([], [tmp_path], 0).make(0)
    assert spoken(Path("000.obj")) == "object"
