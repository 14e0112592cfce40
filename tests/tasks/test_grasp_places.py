"""Grasps of an object go with it: wherever it lies, whichever axis its file has up, however its size is said."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import hoprior
from hoprior.cli.run_grasp import main
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.rest_pose import rest_poses
from hoprior.hand.placement import LocalSearchConfig
from hoprior.metrics.grasp import grasp_metrics
from hoprior.results.grasps import GraspResults
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig
from hoprior.tasks.grasp.faults import FaultWeights
from hoprior.tasks.grasp.task import up_notes
from hoprior.tasks.refine.judging import HeldObject

SMALL = GraspConfig(
    pool=32,
    local_search=LocalSearchConfig(1),
    spare=0.0,
    guiding=DescentConfig(1),
    refining=DescentConfig(3),
    faults=FaultWeights(simulate=False),
)
PLACES = [[0.3, -0.1, 0.05], [5e5, 4.65e6, 300.0], [-1e7, 0.0, 1e7]]


def can_at(path: Path, place: list[float]) -> Path:
    """A can whose corners are multiples of 1/1024 m, so that no place rounds them."""
    mesh = trimesh.creation.cylinder(radius=0.03, height=0.125, sections=16)
    verts = np.round(mesh.vertices * 1024) / 1024 + np.round(np.array(place) * 1024) / 1024
    lines = [f"v {x:.10f} {y:.10f} {z:.10f}" for x, y, z in verts]
    path.write_text("\n".join([*lines, *(f"f {a} {b} {c}" for a, b, c in np.asarray(mesh.faces) + 1)]) + "\n")
    return path


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("place", PLACES)
def test_a_moved_object_has_moved_grasps(place: list[float], side: str, tmp_path: Path) -> None:
    options = {"num": 2, "priors": [], "config": SMALL, "side": side, "up": "x"}
    here = hoprior.grasp(can_at(tmp_path / "can.obj", [0.0, 0.0, 0.0]), **options)  # type: ignore[arg-type]
    there = hoprior.grasp(can_at(tmp_path / "moved.obj", place), **options)  # type: ignore[arg-type]
    by = np.round(np.array(place) * 1024) / 1024
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(b.verts_object - by, a.verts_object, atol=1e-5)
        np.testing.assert_allclose(b.T_object_hand[:3, 3] - by, a.T_object_hand[:3, 3], atol=1e-5)
    measured = [
        grasp_metrics(np.stack([g.verts_object for g in r]), r.faces, r.object_mesh, simulate=False)[0]
        for r in (here, there)
    ]
    assert measured[0].max_depth_cm == pytest.approx(measured[1].max_depth_cm, abs=1e-3)
    again = GraspResults.load(there.save(tmp_path / "out"))
    np.testing.assert_allclose(again[0].verts_object - by, here[0].verts_object, atol=2e-5)
    np.testing.assert_allclose(again.object_mesh.bounds - by, here.object_mesh.bounds, atol=2e-5)


@pytest.mark.parametrize("place", PLACES)
def test_a_held_object_lies_before_the_camera_wherever_its_own_frame_is(place: list[float], tmp_path: Path) -> None:
    turn = trimesh.transformations.rotation_matrix(0.4, [1.0, 2.0, 0.5])
    turn[:3, 3] = np.array([0.0, 0.0, 0.5]) - turn[:3, :3] @ np.array(place)
    (tmp_path / "pose.json").write_text(json.dumps({"T_camera_object": turn.tolist()}))
    held = HeldObject.from_files(can_at(tmp_path / "can.obj", place), tmp_path / "pose.json")
    matrix = held.T_camera_object.double().numpy()
    middle = matrix[:3, :3] @ held.mesh.bounds.mean(axis=0) + matrix[:3, 3]
    np.testing.assert_allclose(middle, [0, 0, 0.5], atol=2e-3)


def test_what_a_format_has_up_is_up_and_is_said(tmp_path: Path) -> None:
    bottle = trimesh.creation.cylinder(radius=0.03, height=0.2, sections=32)
    bottle.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0]))  # z to y
    bottle.export(tmp_path / "bottle.glb")
    loaded = load_mesh(tmp_path / "bottle.glb")
    rest = rest_poses(loaded.solid, usual=loaded.up or "z")
    assert rest is not None and rest.log_prob[rest.up_object[:, 1] > 0.99].exp().sum() >= 0.5
    assert "taken as y-up, as glTF is" in up_notes(loaded, "auto")[0] and not up_notes(loaded, "z")


def test_up_is_up_for_left_hands_too() -> None:
    box = trimesh.creation.box((0.05, 0.1, 0.05))
    rest = rest_poses(box, "y")
    assert rest is not None
    mirrored = rest.mirrored()
    torch.testing.assert_close(mirrored.up_object, torch.tensor([[0.0, -1.0, 0.0]]))
    torch.testing.assert_close(mirrored.base, rest.base)


def test_the_command_takes_a_size_and_refuses_what_cannot_be(tmp_path: Path) -> None:
    path = can_at(tmp_path / "model.obj", [0.0, 0.0, 0.0])
    fast = [
        "--config.pool=32",
        "--config.guiding.steps=1",
        "--config.refining.steps=2",
        "--config.spare=0",
        "--prior=none",
    ]
    main(
        [
            f"--mesh={path}",
            "--text=a mug",
            "--num=1",
            "--size",
            "10cm",
            "--up",
            "-z",
            f"--out={tmp_path / 'out'}",
            *fast,
        ]
    )
    index = json.loads((tmp_path / "out" / "grasps.json").read_text())
    assert index["unit"]["metres_per_unit"] == pytest.approx(0.1 / 0.125, rel=1e-2)
    assert (index["config"]["size"], index["config"]["up"]) == ("10cm", "-z")
    with pytest.raises(HopriorError, match="but a thing called chair is 40-110 cm long: pass --size 75cm"):
        main([f"--mesh={path}", "--text=a chair", f"--out={tmp_path / 'out'}", *fast])
