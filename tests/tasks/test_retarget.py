"""A person's grasp of the shipped mug on a made-up hand of three fingers: from Python and from the command line."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from gltf_files import AnimatedGlb
from mug_grasp import mug_grasp
from robot_hands import FINGERS, three_fingers
from shown_results import some_robot_grasps

import hoprior
from hoprior.cli.entry import main
from hoprior.errors import HopriorError
from hoprior.physics.robots.description import read_description
from hoprior.results import GraspResults, RobotGrasps
from hoprior.tasks.retarget import load_robot

pytest.importorskip("mujoco")

MIMIC = '<mimic joint="FINGER_bend" multiplier="0.8" offset="0.1"/>'


@pytest.fixture(scope="module")
def urdf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return three_fingers(tmp_path_factory.mktemp("robot"), mimic=MIMIC, mesh="tip.stl")


@pytest.fixture(scope="module")
def grasps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mug_grasp().save(tmp_path_factory.mktemp("mug") / "mug_grasps")


@pytest.fixture(scope="module")
def found(urdf: Path, grasps: Path) -> RobotGrasps:
    return hoprior.retarget(grasps, urdf)


def test_contacts_are_kept_and_nothing_is_penetrated(found: RobotGrasps) -> None:
    metrics = found[0].metrics
    assert metrics["fingers_touching"] == 3 and metrics["fingers_kept"] == 3
    assert metrics["depth_mm"] < 2 and metrics["self_depth_mm"] < 1
    assert max(found[0].contacts_mm.values()) < 10


def test_limits_and_mimics_are_heeded(found: RobotGrasps, urdf: Path) -> None:
    joints = dict(zip(found.robot["joints"], found[0].joints, strict=True))
    for name, low, high in zip(found.robot["joints"], found.robot["low"], found.robot["high"], strict=True):
        assert low - 1e-6 <= joints[name] <= high + 1e-6
    assert joints["index_curl"] == pytest.approx(0.8 * joints["index_bend"] + 0.1)
    assert found.robot["driven"] == list(read_description(urdf).driven)


def test_it_lifts_the_mug(found: RobotGrasps) -> None:
    pytest.importorskip("coacd")
    assert found[0].held is True


def test_no_finger_goes_through_the_mugs_wall(found: RobotGrasps) -> None:
    # Of a wall that is thinner than a finger, no point of the hand need be inside: the overlap tells.
    assert found[0].metrics["overlap_cm3"] < 1


def test_the_same_seed_gives_the_same_pose(found: RobotGrasps, grasps: Path, urdf: Path) -> None:
    again = hoprior.retarget(grasps, urdf, lift=False)
    assert again[0].held is None
    assert np.abs(again[0].T_object_base[:3, 3]).max() < 1


def test_what_is_written_is_read_back(found: RobotGrasps, tmp_path: Path) -> None:
    read = RobotGrasps.load(found.save(tmp_path / "robot"))
    assert read[0].joints == pytest.approx(found[0].joints) and read[0].held == found[0].held
    assert read[0].T_object_base == pytest.approx(found[0].T_object_base)
    assert read[0].way.joints == pytest.approx(found[0].way.joints) and read.robot == found.robot
    assert np.abs(read[0].verts_object - found[0].verts_object).max() < 1e-6


def test_the_animated_robot_is_the_robot_in_every_frame(found: RobotGrasps, urdf: Path, tmp_path: Path) -> None:
    folder = found.save(tmp_path / "robot")
    index = json.loads((folder / "robot_grasps.json").read_text())
    data = (folder / index["grasps"][0]["animated"]).read_bytes()
    read = RobotGrasps.load(folder)
    again = AnimatedGlb(read.animated(read[0]))  # from numbers that were rounded on their way through a file
    glb, hand, way = AnimatedGlb(data), load_robot(urdf), found[0].way
    assert [node["name"] for node in again.json["nodes"]] == [node["name"] for node in glb.json["nodes"]]
    last = len(way.time) - 1
    ends, ends_again = glb.placed(last), again.placed(last)
    for number in range(len(glb.json["nodes"])):
        np.testing.assert_allclose(ends_again[number], ends[number], atol=1e-5)
    driven = [found.robot["joints"].index(name) for name in found.robot["driven"]]
    for frame in (0, 15, 20, len(way.time) - 1):
        at, seen = glb.placed(frame), {}
        for number, node in enumerate(glb.json["nodes"]):
            if "mesh" in node:
                points = glb.array(glb.json["meshes"][node["mesh"]]["primitives"][0]["attributes"]["POSITION"])
                seen[node["name"]] = points @ at[number][:3, :3].T + at[number][:3, 3]
        expected = hand.surface(way.joints[frame][driven], way.T_object_base[frame]).vertices
        item = seen.pop("object")
        np.testing.assert_allclose(np.concatenate(list(seen.values())), expected, atol=2e-6)
        np.testing.assert_allclose(item, found.object_mesh.vertices + way.object_shift[frame], atol=1e-6)
    scene = trimesh.load_scene(io.BytesIO(data), file_type="glb")
    assert set(scene.geometry) == {"palm", "object", *(f"{f}_{b}" for f in FINGERS for b in ("base", "outer"))}


def test_results_of_a_finger_without_contact_are_read_back(tmp_path: Path) -> None:
    read = RobotGrasps.load(some_robot_grasps().save(tmp_path / "robot"))
    assert read[0].contacts_mm["index"] == np.inf and [grasp.held for grasp in read] == [True, False]


def test_the_command_writes_a_folder_and_a_page(grasps: Path, urdf: Path, tmp_path: Path) -> None:
    out = tmp_path / "robot"
    assert main(["retarget", str(grasps), "--robot", str(urdf), "--out", str(out), "--no-lift"]) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {
        *(
            "robot_grasp_000.glb",
            "robot_grasp_000_reach.glb",
            "robot_grasps.json",
            "robot_grasps.npz",
            "robot_grasps.png",
        ),
        *("config.yaml", "report.html"),
    }
    index: dict[str, Any] = json.loads((out / "robot_grasps.json").read_text())
    assert index["grasps_from"] == str(grasps) and index["grasps"][0]["held"] is None


def test_what_cannot_be_is_one_sentence_and_leaves_nothing(
    grasps: Path, urdf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "robot"
    lost = three_fingers(tmp_path / "lost", mesh="lost.stl")
    wrong = tmp_path / "fingers.yaml"
    wrong.write_text("thumb: nobody\nindex: index_tip\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    tried = [
        (grasps, lost, [], "lost.stl"),
        (grasps, three_fingers(tmp_path / "bald", fingers=()), [], "no joint that moves"),
        (grasps, urdf, ["--fingers", str(wrong)], "no link 'nobody'"),
        (grasps, grasps / "grasps.json", [], "is no URDF"),
        (empty, urdf, [], "no grasps.json in it"),
        (grasps, urdf, ["--num", "0"], "at least one grasp"),
        (grasps, urdf, ["--mass", "0"], "is no mass"),
    ]
    for folder, robot, more, said in tried:
        assert main(["retarget", str(folder), "--robot", str(robot), "--out", str(out), *more]) != 0
        told = capsys.readouterr().err.strip()
        assert said in told and not out.exists()


def test_no_grasps_are_refused(urdf: Path) -> None:
    with pytest.raises(HopriorError, match="no grasps to retarget"):
        hoprior.retarget(mug_grasp()[:0], urdf)


@pytest.fixture(scope="module")
def free(grasps: Path, urdf: Path) -> np.ndarray:
    """The robot where nothing is around the mug."""
    return np.asarray(hoprior.retarget(grasps, urdf, lift=False)[0].verts_object)


@pytest.mark.parametrize("up", [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
def test_the_robot_keeps_off_the_table_of_the_grasps(up: list[float], urdf: Path, free: np.ndarray) -> None:
    height = float((free @ up).min()) + 0.01  # a centimetre above the lowest of a robot that knows of no table
    told = replace(mug_grasp(), config={"table": {"up": up, "height": height}})
    found = hoprior.retarget(told, urdf, lift=False)
    assert float((found[0].verts_object @ up).min()) > height - 0.002
    assert found[0].metrics["around_depth_mm"] < 2 and found[0].metrics["fingers_kept"] >= 1
    assert found.config["table"] == told.config["table"] and found.config["notes"] == []


def test_the_robot_keeps_off_the_scene_of_the_grasps(urdf: Path, free: np.ndarray, tmp_path: Path) -> None:
    bounds = [[-0.3, -0.3, -0.1], [0.3, 0.3, float(free[:, 2].min()) + 0.01]]
    trimesh.creation.box(bounds=1000 * np.array(bounds)).export(tmp_path / "scene.ply")
    told = replace(mug_grasp(), config={"table": None, "scene": str(tmp_path / "scene.ply")}, metres_per_unit=0.001)
    found = hoprior.retarget(told, urdf, lift=False)
    assert float(found[0].verts_object[:, 2].min()) > bounds[1][2] - 0.002
    assert found[0].metrics["around_depth_mm"] < 2


def test_what_the_robot_does_not_heed_is_said(
    grasps: Path, urdf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"table": {"up": [0.0, 0.0, 1.0], "height": 0.0}, "scene": str(tmp_path / "gone.ply"), "avoid": "the rim"}
    folder = replace(GraspResults.load(grasps), config=told).save(tmp_path / "told")
    out = tmp_path / "robot"
    assert main(["retarget", str(folder), "--robot", str(urdf), "--out", str(out), "--no-lift", "--no-report"]) == 0
    # Long paths are broken anywhere.
    said = "".join(capsys.readouterr().err.split())
    assert "1of1keepoffwhatisaroundtheobject" in said
    assert "gone.ply:nosuchfile" in said and "leavefree('therim')" in said
    found = RobotGrasps.load(out)
    assert len(found.config["notes"]) == 2 and "around_depth_mm" in found[0].metrics


def test_grasps_without_anything_around_say_nothing_of_it(found: RobotGrasps) -> None:
    assert "around_depth_mm" not in found[0].metrics and "notes" not in found.config
