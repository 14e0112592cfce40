"""Exported hands and grasps, loaded and run in the simulators that they are written for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roma
import torch
from mug_grasp import mug_grasp
from scipy.spatial.transform import Rotation

from hoprior.cli.entry import main
from hoprior.errors import HopriorError
from hoprior.hand import load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.physics.articulated.hinges import hinges_of, pose_of
from hoprior.physics.simulation.lift import LIFT_HEIGHT, Lift, lift_bullet, lift_mujoco
from hoprior.results.simulators import export_grasps, export_hand

SIDES = ["right", "left"]
EXACT = 1e-4
"""m: a tenth of a millimetre."""


def random_poses(side: str, count: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Hinges' angles, wrists as matrices and places, and the 21 joints, of poses all over the limits."""
    model = load_hand("open", side)
    generator = torch.Generator().manual_seed(0)
    share = torch.rand(count, 15, 3, generator=generator)
    pose = model.angles_to_pose(model.angle_low + share * (model.angle_high - model.angle_low))
    orient, transl = torch.randn(count, 3, generator=generator), torch.randn(count, 3, generator=generator)
    joints = model.joints_only(pose, None, orient, transl)
    turned = roma.rotvec_to_rotmat(orient)
    return tuple(t.double().numpy() for t in (hinges_of(pose, model.axes), turned, transl, joints))  # type: ignore[return-value]


@pytest.fixture(scope="module", params=SIDES)
def side(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def mujoco() -> Any:
    return pytest.importorskip("mujoco", reason="needs the extra `mujoco`")


@pytest.fixture
def bullet() -> Any:
    pybullet = pytest.importorskip("pybullet", reason="needs the extra `sim`")
    client = pybullet.connect(pybullet.DIRECT)
    yield pybullet
    pybullet.disconnect(client)


@pytest.fixture(scope="module")
def mug_folder(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The mug and its grasp for all simulators."""
    pytest.importorskip("coacd", reason="needs the extra `sim`")
    place, grasps = tmp_path_factory.mktemp("mug"), mug_grasp()
    return {to: export_grasps(grasps, place / to, to) for to in ("mjcf", "urdf")}


class TestMujoco:
    def test_joints_are_ours(self, mujoco: Any, side: str, tmp_path: Path) -> None:
        model = mujoco.MjModel.from_xml_path(str(export_hand(tmp_path / "hand", "mjcf", side=side) / "hand.xml"))
        data = mujoco.MjData(model)
        for hinges, turned, place, joints in zip(*random_poses(side), strict=True):
            data.qpos[:3], data.qpos[3:7] = place, np.roll(Rotation.from_matrix(turned).as_quat(), 1)
            data.qpos[7:] = hinges.reshape(-1)
            mujoco.mj_kinematics(model, data)
            found = [data.body(name).xpos for name in JOINT_NAMES[:16]] + [data.site(n).xpos for n in JOINT_NAMES[16:]]
            assert np.abs(np.array(found) - joints).max() < EXACT

    def test_hinges_are_named_and_limited(self, mujoco: Any, tmp_path: Path) -> None:
        model = mujoco.MjModel.from_xml_path(str(export_hand(tmp_path / "hand") / "hand.xml"))
        assert model.nu == 45 and model.joint("index2_flexion").range[1] == pytest.approx(np.radians(99), abs=0.02)
        assert model.jnt_limited[1:].all()

    def test_the_hand_stays_where_it_is_told_to(self, mujoco: Any, side: str, tmp_path: Path) -> None:
        model = mujoco.MjModel.from_xml_path(str(export_hand(tmp_path / "hand", side=side) / "hand.xml"))
        data = mujoco.MjData(model)
        told = 0.5 * (model.jnt_range[1:, 0] + model.jnt_range[1:, 1])
        for k in range(1000):
            data.ctrl[:] = told
            data.mocap_pos[0] = [0.2 * min(k / 500, 1), 0, 0]
            mujoco.mj_step(model, data)
        assert np.abs(data.body("wrist").xpos - [0.2, 0, 0]).max() < 1e-3
        assert np.abs(data.qpos[7:] - told).max() < 0.02 and np.abs(data.qvel).max() < 0.01

    def test_the_skin_moves_with_the_bones(self, mujoco: Any, tmp_path: Path) -> None:
        model = mujoco.MjModel.from_xml_path(str(export_hand(tmp_path / "hand") / "hand.xml"))
        assert model.nskin == 1 and model.nskinvert == 1610 and model.nskinbone == 16

    def test_a_keyframe_is_the_grasp(self, mujoco: Any, mug_folder: dict[str, Path]) -> None:
        grasps = mug_grasp()
        model = mujoco.MjModel.from_xml_path(str(mug_folder["mjcf"] / "scene.xml"))
        data = mujoco.MjData(model)
        mujoco.mj_resetDataKeyframe(model, data, model.key("grasp_000").id)
        mujoco.mj_kinematics(model, data)
        index = json.loads((mug_folder["mjcf"] / "simulators.json").read_text())
        joints = moved(np.array(index["T_world_object"]), grasps[0].joints_object)
        found = [data.body(name).xpos for name in JOINT_NAMES[:16]] + [data.site(n).xpos for n in JOINT_NAMES[16:]]
        assert np.abs(np.array(found) - joints).max() < EXACT

    def test_the_object_weighs_what_was_asked_for(self, mujoco: Any, mug_folder: dict[str, Path]) -> None:
        model = mujoco.MjModel.from_xml_path(str(mug_folder["mjcf"] / "scene.xml"))
        assert model.body("object").mass[0] == pytest.approx(0.3, rel=1e-3)

    def test_the_mug_is_held_through_a_lift(self, mujoco: Any, mug_folder: dict[str, Path]) -> None:
        assert lift_mujoco(mug_folder["mjcf"], "grasp_000").held

    def test_a_hand_that_is_elsewhere_lifts_nothing(self, mujoco: Any, tmp_path: Path) -> None:
        pytest.importorskip("coacd", reason="needs the extra `sim`")
        folder = export_grasps(mug_grasp(off=0.3), tmp_path / "off")
        assert not lift_mujoco(folder, "grasp_000").held

    def test_a_left_hand_lifts_as_well(self, mujoco: Any, tmp_path: Path) -> None:
        pytest.importorskip("coacd", reason="needs the extra `sim`")
        assert lift_mujoco(export_grasps(mug_grasp("left"), tmp_path / "left"), "grasp_000").held

    def test_unknown_keyframes_and_folders_are_said(self, mujoco: Any, mug_folder: dict[str, Path]) -> None:
        with pytest.raises(HopriorError, match="no key frame 'grasp_007'"):
            lift_mujoco(mug_folder["mjcf"], "grasp_007")
        with pytest.raises(HopriorError, match=r"no scene\.xml"):
            lift_mujoco(mug_folder["urdf"], "grasp_000")


class TestBullet:
    def test_joints_are_ours(self, bullet: Any, side: str, tmp_path: Path) -> None:
        path = export_hand(tmp_path / "hand", "urdf", side=side) / "hand.urdf"
        hand = bullet.loadURDF(str(path), useFixedBase=True)
        info = [bullet.getJointInfo(hand, k) for k in range(bullet.getNumJoints(hand))]
        hinges_at = {item[1].decode(): k for k, item in enumerate(info)}
        links_at = {item[12].decode(): k for k, item in enumerate(info)}
        names = [f"{joint}_{hinge}" for joint in JOINT_NAMES[1:16] for hinge in ("flexion", "abduction", "twist")]
        model = load_hand("open", side)
        for hinges, _, _, _ in zip(*random_poses(side), strict=True):
            for name, angle in zip(names, hinges.reshape(-1), strict=True):
                bullet.resetJointState(hand, hinges_at[name], angle)
            found = {
                name: bullet.getLinkState(hand, k, computeForwardKinematics=True)[4] for name, k in links_at.items()
            }
            pose = pose_of(torch.tensor(hinges, dtype=torch.float32), model.axes)
            joints = model.joints_only(pose[None])[0].double().numpy()
            placed = np.array([found[name] for name in JOINT_NAMES[1:]])
            # The base of a body in pybullet is where its mass is, and here it is where it was loaded.
            assert np.abs(placed - placed[0] - (joints[1:] - joints[1])).max() < EXACT

    def test_it_weighs_what_the_hand_does(self, bullet: Any, tmp_path: Path) -> None:
        folder = export_hand(tmp_path / "hand", "urdf")
        hand = bullet.loadURDF(str(folder / "hand.urdf"))
        masses = [bullet.getDynamicsInfo(hand, k)[0] for k in range(-1, bullet.getNumJoints(hand))]
        about = json.loads((folder / "simulators.json").read_text())
        assert sum(masses) == pytest.approx(about["hand"]["mass_kg"], rel=1e-3)

    def test_the_mug_is_held_through_a_lift(self, bullet: Any, mug_folder: dict[str, Path]) -> None:
        assert lift_bullet(mug_folder["urdf"], "grasp_000").held

    def test_unknown_keyframes_and_folders_are_said(self, bullet: Any, mug_folder: dict[str, Path]) -> None:
        with pytest.raises(HopriorError, match="no key frame 'grasp_007'"):
            lift_bullet(mug_folder["urdf"], "grasp_007")
        with pytest.raises(HopriorError, match=r"no keyframes\.json"):
            lift_bullet(mug_folder["mjcf"], "grasp_000")


def turned(matrix: Any) -> np.ndarray:
    """A matrix of USD, which multiplies rows from the right."""
    return np.array(matrix).T


class TestUsd:
    def test_joints_are_ours(self, side: str, tmp_path: Path) -> None:
        """Bodies that hang on each other by the file's own joints, each turned about its axis."""
        pytest.importorskip("pxr", reason="needs the extra `usd`")
        from pxr import Usd, UsdPhysics

        path = export_hand(tmp_path / "hand", "usd", side=side) / "hand.usda"
        stage = Usd.Stage.Open(str(path))
        joints = [UsdPhysics.RevoluteJoint(p) for p in stage.Traverse() if p.IsA(UsdPhysics.RevoluteJoint)]
        assert len(joints) == 45
        named = {joint.GetPrim().GetName(): joint for joint in joints}
        names = [f"{joint}_{hinge}" for joint in JOINT_NAMES[1:16] for hinge in ("flexion", "abduction", "twist")]
        for hinges, wrist, place, expected in zip(*random_poses(side), strict=True):
            T_wrist = np.eye(4)
            T_wrist[:3, :3], T_wrist[:3, 3] = wrist, place
            at = {"wrist": T_wrist}
            for name, angle in zip(names, hinges.reshape(-1), strict=True):
                joint = named[name]
                parent, child = (rel.GetTargets()[0].name for rel in (joint.GetBody0Rel(), joint.GetBody1Rel()))
                turn = np.eye(4)
                turn[:3, :3] = Rotation.from_euler("x", angle).as_matrix()
                first = frame(joint.GetLocalPos0Attr().Get(), joint.GetLocalRot0Attr().Get())
                second = frame(joint.GetLocalPos1Attr().Get(), joint.GetLocalRot1Attr().Get())
                at[child] = at[parent] @ first @ turn @ np.linalg.inv(second)
                low, high = joint.GetLowerLimitAttr().Get(), joint.GetUpperLimitAttr().Get()
                assert low - 1 < np.degrees(angle) < high + 1
            found = np.array([at[name][:3, 3] for name in JOINT_NAMES[:16]])
            assert np.abs(found - expected[:16]).max() < EXACT

    def test_the_stage_is_physics_as_usd_reads_it(self, tmp_path: Path) -> None:
        pytest.importorskip("pxr", reason="needs the extra `usd`")
        from pxr import Usd, UsdGeom, UsdPhysics

        stage = Usd.Stage.Open(str(export_hand(tmp_path / "hand", "usd") / "hand.usda"))
        assert UsdGeom.GetStageUpAxis(stage) == "Z" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
        bodies = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.RigidBodyAPI)]
        weights = [UsdPhysics.MassAPI(prim).GetMassAttr().Get() for prim in bodies]
        about = json.loads((tmp_path / "hand" / "simulators.json").read_text())
        assert len(bodies) == 47 and sum(w or 0 for w in weights) == pytest.approx(about["hand"]["mass_kg"], rel=1e-4)
        roots = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.ArticulationRootAPI)]
        assert [str(prim.GetPath()) for prim in roots] == ["/World/Hand"]

    def test_a_variant_is_the_grasp(self, tmp_path: Path) -> None:
        pytest.importorskip("pxr", reason="needs the extra `usd`")
        pytest.importorskip("coacd", reason="needs the extra `sim`")
        from pxr import Usd, UsdGeom

        grasps = mug_grasp("left")
        folder = export_grasps(grasps, tmp_path / "usd", "usd")
        stage = Usd.Stage.Open(str(folder / "scene.usda"))
        variants = stage.GetPrimAtPath("/World").GetVariantSet("grasp")
        assert variants.GetVariantNames() == ["grasp_000", "grasp_000_open"]
        variants.SetVariantSelection("grasp_000")
        cache = UsdGeom.XformCache()
        index = json.loads((folder / "simulators.json").read_text())
        expected = moved(np.array(index["T_world_object"]), grasps[0].joints_object)
        paths = [f"/World/Hand/{name}" for name in JOINT_NAMES[:16]]
        paths += [f"/World/Hand/{name.split('_')[0]}3/{name}" for name in JOINT_NAMES[16:]]
        found = [turned(cache.GetLocalToWorldTransform(stage.GetPrimAtPath(path)))[:3, 3] for path in paths]
        assert np.abs(np.array(found) - expected).max() < EXACT


def frame(place: Any, turn: Any) -> np.ndarray:
    """A 4x4 matrix of USD's vector and quaternion."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_quat([*turn.GetImaginary(), turn.GetReal()]).as_matrix()
    T[:3, 3] = np.array(place)
    return T


def moved(T: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ T[:3, :3].T + T[:3, 3]


def test_a_lift_counts_only_what_came_along() -> None:
    assert Lift.of(LIFT_HEIGHT).held and not Lift.of(0.5 * LIFT_HEIGHT).held
    assert not Lift.of(float("nan")).held and not Lift.of(3 * LIFT_HEIGHT).held


def test_the_command_makes_the_hand_alone(tmp_path: Path) -> None:
    assert main(["export", "hand", "--to", "urdf", "--side", "left", "--out", str(tmp_path / "hand")]) == 0
    names = {path.name for path in (tmp_path / "hand").iterdir()}
    assert {"hand.urdf", "hand_wrist.obj", "simulators.json"} <= names and len(names) == 18
    assert '"left_hand"' in (tmp_path / "hand" / "hand.urdf").read_text()


def test_the_command_exports_a_folder_of_grasps(mujoco: Any, tmp_path: Path) -> None:
    pytest.importorskip("coacd", reason="needs the extra `sim`")
    mug_grasp().save(tmp_path / "out")
    assert main(["export", str(tmp_path / "out"), "--to", "mjcf", "--lift"]) == 0
    assert {path.name for path in (tmp_path / "out_mjcf").iterdir()} == {"hand.xml", "scene.xml", "simulators.json"}


def test_another_export_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    export_hand(tmp_path / "hand", "urdf")
    (tmp_path / "hand" / "notes.txt").write_text("mine")
    export_hand(tmp_path / "hand", "mjcf")
    assert {path.name for path in (tmp_path / "hand").iterdir()} == {"hand.xml", "simulators.json", "notes.txt"}


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["hand", "--to", "blend"], "--to blend is not known: use one of mjcf, urdf, usd"),
        (["hand"], "say what, and for which simulator"),
        (["nowhere", "--to", "mjcf"], "nowhere: there is no such file or folder"),
        ([".", "--to", "mjcf"], "no grasps.json in it"),
        ([".", "--to", "usd", "--lift"], "cannot be done in files for usd"),
        (["hand", "--to", "mjcf", "--side", "both"], "both"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1 and not list(tmp_path.iterdir())


def test_bad_arguments_leave_nothing_behind(tmp_path: Path) -> None:
    grasps = mug_grasp()
    for options, says in (({"mass": 0.0}, "is no mass"), ({"mass": float("nan")}, "is no mass")):
        with pytest.raises(HopriorError, match=says):
            export_grasps(grasps, tmp_path / "out", **options)
    with pytest.raises(HopriorError, match="no grasps"):
        export_grasps(grasps[:0], tmp_path / "out")
    of_mano = replace(grasps, grasps=(replace(grasps[0], hand="mano"),))
    with pytest.raises(HopriorError, match="make them with the open hand"):
        export_grasps(of_mano, tmp_path / "out")
    other = replace(grasps[0], betas=np.ones(10, np.float32))
    with pytest.raises(HopriorError, match="several shapes"):
        export_grasps(replace(grasps, grasps=(grasps[0], other)), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(HopriorError, match="not of an earlier export"):
        export_hand(tmp_path / "mine")
    assert {path.name for path in tmp_path.rglob("*")} == {"mine", "notes.txt"}
