"""What a folder of grasps says about contacts, and MANO's parameters as smplx takes them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
import trimesh
from made_up_mano import write_mano_folder
from mug_grasp import mug_grasp

from hoprior.geometry.mesh import load_mesh
from hoprior.hand.mano import ManoHand
from hoprior.results.grasps import GraspResults
from hoprior.tasks.grasp.task import _as_smplx


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replace(mug_grasp(), metres_per_unit=0.001).save(tmp_path_factory.mktemp("saved") / "out")


@pytest.fixture(scope="module")
def entry(saved: Path) -> dict:
    return json.loads((saved / "grasps.json").read_text())["grasps"][0]


def test_contacts_are_in_the_files_unit_and_on_the_object(entry: dict) -> None:
    mug = mug_grasp().object_mesh
    assert {contact["finger"] for contact in entry["contacts"]} >= {"thumb", "index", "middle"}
    points = np.array([contact["point"] for contact in entry["contacts"]]) / 1000
    distance = np.abs(trimesh.proximity.closest_point(mug, points)[1])
    assert distance.max() < 1e-6
    assert np.allclose(np.linalg.norm([contact["normal"] for contact in entry["contacts"]], axis=1), 1)
    assert sum(contact["pressure_share"] for contact in entry["contacts"]) == pytest.approx(1)
    assert 100 < sum(contact["area"] for contact in entry["contacts"]) < 10_000  # mm²


def test_aperture_and_approach(entry: dict) -> None:
    joints = np.array(entry["joints_object"])
    assert entry["aperture"] == pytest.approx(np.linalg.norm(joints[16] - joints[17]))
    assert np.linalg.norm(entry["approach"]) == pytest.approx(1)
    to_mug = -joints[0] / np.linalg.norm(joints[0])  # the mug's middle is near the origin
    assert np.dot(entry["approach"], to_mug) > 0.7


def test_vertices_that_touch_are_red_and_have_a_number(saved: Path) -> None:
    arrays = np.load(saved / "grasps.npz")
    scene = trimesh.load_scene(saved / "grasp_000.glb", process=False)
    for name, key in (("hand", "hand_contact"), ("object", "object_contact")):
        mesh, contact = scene.geometry[name], arrays[key][0]
        assert len(mesh.vertices) == len(contact) and contact.max() > 0.9 and contact.min() == 0
        np.testing.assert_allclose(mesh.vertex_attributes["_contact"].reshape(-1), contact, atol=1e-6)
        colour = mesh.visual.vertex_attributes["color"]
        assert (colour[contact == 0, :3] == 255).all() and (colour[contact > 0.9, 1] < 100).all()


def test_the_folder_is_read_and_written_again(saved: Path, tmp_path: Path) -> None:
    again = GraspResults.load(saved).save(tmp_path / "again")
    one, other = (json.loads((folder / "grasps.json").read_text())["grasps"][0] for folder in (saved, again))
    assert [c["bone"] for c in one["contacts"]] == [c["bone"] for c in other["contacts"]]
    assert one["aperture"] == pytest.approx(other["aperture"], rel=1e-4)


def test_a_hand_that_is_elsewhere_has_none(tmp_path: Path) -> None:
    folder = mug_grasp(off=0.3).save(tmp_path / "off")
    entry = json.loads((folder / "grasps.json").read_text())["grasps"][0]
    assert entry["contacts"] == [] and np.linalg.norm(entry["approach"]) == pytest.approx(1)
    assert not np.load(folder / "grasps.npz")["hand_contact"].any()


def test_parts_of_a_file_are_named(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    lid = trimesh.creation.box((0.08, 0.08, 0.01)).apply_translation([0, 0, 0.055])
    scene.add_geometry(trimesh.creation.box((0.08, 0.08, 0.1)), geom_name="body", node_name="body")
    scene.add_geometry(lid, geom_name="lid", node_name="lid")
    scene.export(tmp_path / "jar.glb")
    jar = load_mesh(tmp_path / "jar.glb")
    assert set(jar.parts) == {"body", "lid"}
    np.testing.assert_allclose(jar.moved(np.ones(3)).parts["lid"].bounds, jar.parts["lid"].bounds + 1)
    grasps = replace(mug_grasp(), object_mesh=jar.mesh, object_parts=jar.parts)
    touched = {contact.part for contact in grasps.contact_maps()[0].contacts}
    assert touched <= {"body", "lid"} and touched


@pytest.mark.parametrize("side", ["right", "left"])
def test_smplx_puts_the_same_hand_at_the_object(side: str, tmp_path: Path) -> None:
    (tmp_path / "mano").mkdir()
    hand = ManoHand(side, write_mano_folder(tmp_path / "mano"))  # type: ignore[arg-type]
    pose = 0.3 * torch.randn(15, 3, generator=torch.Generator().manual_seed(0))
    T = np.array(mug_grasp().grasps[0].T_object_hand, dtype=float)
    found = {name: torch.from_numpy(value)[None] for name, value in _as_smplx(hand, pose, T).items()}
    ours = hand(pose[None]).verts[0].double().numpy() @ T[:3, :3].T + T[:3, 3]
    turns = torch.cat([found["global_orient"], found["hand_pose"]], dim=1).unflatten(1, (16, 3))
    output = hand.layer(
        betas=found["betas"],
        global_orient=roma.rotvec_to_rotmat(turns[:, :1]),
        hand_pose=roma.rotvec_to_rotmat(turns[:, 1:]),
        transl=found["transl"],
    )
    np.testing.assert_allclose(output.vertices[0].detach().numpy(), ours, atol=1e-5)
    grasp = replace(mug_grasp()[0], hand="mano", smplx=_as_smplx(hand, pose, T))
    folder = replace(mug_grasp(), grasps=(grasp,), metres_per_unit=0.01).save(tmp_path / "out")
    entry = json.loads((folder / "grasps.json").read_text())["grasps"][0]
    np.testing.assert_allclose(np.array(entry["smplx"]["transl"]) / 100, found["transl"][0], atol=1e-6)
    read = GraspResults.load(folder)[0].smplx
    np.testing.assert_allclose(read["transl"], found["transl"][0], atol=1e-6)
