"""Handles of long tools, told by their shape."""

import numpy as np
import pytest
import trimesh

from hoprior.datasets.procedural.families import FAMILIES
from hoprior.geometry.handles import slender_end

MAKERS = {family.name: family.make for family in FAMILIES}
TURNED = trimesh.transformations.rotation_matrix(1.0, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("kind", ["frying pan", "hammer", "knife", "screwdriver", "spatula", "spoon", "toothbrush"])
def test_the_end_of_a_tool_is_its_handle(kind: str) -> None:
    design = MAKERS[kind](np.random.default_rng(1))
    mesh = design.labelled_mesh()[0]
    found = slender_end(mesh)
    assert found is not None
    assert (design.part_at(found) == design.part_names().index("handle")).mean() > 0.8
    elsewhere = slender_end(mesh.copy().apply_transform(TURNED))
    assert elsewhere is not None
    assert len(elsewhere) == pytest.approx(len(found), rel=0.05)


@pytest.mark.parametrize(
    "mesh",
    [
        trimesh.creation.box((0.05, 0.06, 0.05)),
        trimesh.creation.cylinder(radius=0.035, height=0.2),
        trimesh.creation.capsule(radius=0.01, height=0.1),
    ],
)
def test_what_has_no_end_to_hold_has_no_handle(mesh: trimesh.Trimesh) -> None:
    assert slender_end(mesh) is None
