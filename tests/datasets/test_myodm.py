"""MyoDM: the prepared form, and a release through MuJoCo, on data made up here."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from hoprior.datasets.myodm.source import MyoDM, display_name, diverse_subset, frames_in_contact, verb_of
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import load_hand

RADIUS = 0.03
UP_IS_MINUS_X = (np.sqrt(0.5), 0, np.sqrt(0.5), 0)
"""An object turned by 90 degrees about y (wxyz): its -x is up."""


def held_ball(num: int, seed: int) -> np.ndarray:
    """Joints of open hands whose fingertips lie on a ball about the origin, from random directions (n, 21, 3)."""
    hand = load_hand()
    angles = hand.relaxed_angles.repeat(num, 1, 1)
    angles[:, :12, 1] = 0.6
    joints = hand.joints_only(hand.angles_to_pose(angles)).numpy()
    rng = np.random.default_rng(seed)
    out = []
    for hand_joints in joints:
        tips = hand_joints[16:]
        # The centre whose distance to all five tips is nearest to the radius.
        guesses = hand_joints[:1] + rng.uniform((0.08, -0.05, 0.02), (0.17, 0.05, 0.1), (4000, 3))
        miss = np.abs(np.linalg.norm(guesses[:, None] - tips, axis=-1) - RADIUS).max(1)
        turn = trimesh.transformations.random_rotation_matrix(rng.random(3))[:3, :3]
        out.append((hand_joints - guesses[miss.argmin()]) @ turn.T)
    return np.asarray(out, dtype=np.float32)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ball, held in two sequences that begin far from it, and a cube that is never touched."""
    folder = tmp_path_factory.mktemp("myodm")
    (folder / "objects").mkdir()
    trimesh.creation.icosphere(3, radius=RADIUS).export(folder / "objects" / "spheresmall.ply")
    trimesh.creation.box((0.05, 0.05, 0.05)).export(folder / "objects" / "cubesmall.ply")
    held, far = held_ball(6, 0), held_ball(4, 1) + np.float32(0.5)
    np.savez(
        folder / "grasps.npz",
        joints_object=np.concatenate([far, held, far[:1], held[:3] * 1.0, far]),
        object_pose=np.tile(np.array([0, 0, 0, *UP_IS_MINUS_X], dtype=np.float32), (18, 1)),
        sequence=np.repeat([0, 1, 2], [10, 4, 4]).astype(np.int16),
        sequence_names=np.array(["spheresmall_lift", "spheresmall_pass1", "cubesmall_lift"]),
    )
    return folder


def test_frames_before_the_contact_are_left_out(prepared: Path) -> None:
    source = MyoDM(prepared)
    ball = next(info for info in source.objects() if info.name == "spheresmall")
    sdf = SdfGrid.from_mesh(source.mesh(ball), 32, 0.06)
    recorded = source.joints(ball, sdf)
    assert {name: len(joints) for name, joints in recorded.items()} == {"spheresmall_lift": 6, "spheresmall_pass1": 3}
    for joints in recorded.values():
        assert ((joints[:, 16:].norm(dim=-1) - RADIUS).abs() < 0.016).sum(1).min() >= 3


def test_an_object_that_is_never_touched_has_no_grasps(prepared: Path) -> None:
    source = MyoDM(prepared)
    cube = next(info for info in source.objects() if info.name == "cubesmall")
    mesh = source.mesh(cube)
    assert source.grasps(cube, mesh, SdfGrid.from_mesh(mesh, 24, 0.06), load_hand()) is None


def test_grasps_lie_where_the_recorded_joints_are(prepared: Path) -> None:
    source = MyoDM(prepared)
    ball = next(info for info in source.objects() if info.name == "spheresmall")
    mesh = source.mesh(ball)
    sdf = SdfGrid.from_mesh(mesh, 32, 0.06)
    grasps = source.grasps(ball, mesh, sdf, load_hand())
    assert grasps is not None and grasps.recorded.all()
    recorded = torch.cat(list(source.joints(ball, sdf).values()))
    fitted = [k for k in range(21) if k != 13]
    assert (grasps.joints_object - recorded)[:, fitted].norm(dim=-1).mean() < 0.003
    assert [s.text for s in grasps] == ["a hand lifting a small sphere"] * 6 + [
        "a hand handing over a small sphere"
    ] * 3
    assert torch.allclose(grasps.up_object, torch.tensor([-1.0, 0, 0]), atol=1e-6)
    assert [s.sequence for s in grasps] == ["spheresmall_lift"] * 6 + ["spheresmall_pass1"] * 3


def test_at_most_so_many_frames_are_kept(prepared: Path) -> None:
    source = MyoDM(prepared, frames_per_sequence=2)
    ball = next(info for info in source.objects() if info.name == "spheresmall")
    assert {len(j) for j in source.joints(ball, SdfGrid.from_mesh(source.mesh(ball), 32, 0.06)).values()} == {2}


def test_a_diverse_subset_is_wider_than_chance_and_not_repeated() -> None:
    joints = torch.randn(1, 21, 3).repeat(50, 1, 1) + torch.rand(50, 1, 1) ** 4
    chosen = diverse_subset(joints, 8)
    assert len(set(chosen.tolist())) == 8
    spread = joints[chosen].mean((1, 2))
    assert spread.min() == joints.mean((1, 2)).min() or spread.max() == joints.mean((1, 2)).max()
    assert diverse_subset(joints[:3], 8).tolist() == [0, 1, 2]


def test_contact_counts_fingertips() -> None:
    sdf = SdfGrid.from_mesh(trimesh.creation.icosphere(3, radius=RADIUS), 32, 0.06)
    joints = torch.zeros(1, 21, 3)
    joints[0, 16:] = torch.tensor([[RADIUS, 0, 0], [0, RADIUS, 0], [0, 0, RADIUS + 0.01], [0.2, 0, 0], [0, 0.2, 0]])
    assert [bool(frames_in_contact(sdf, joints, fingertips=k)) for k in (2, 3, 4)] == [True, True, False]


def test_a_changed_file_changes_the_fingerprint(prepared: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(prepared, tmp_path / "copy"))
    info = MyoDM(copy).objects()[0]
    before = MyoDM(copy).fingerprint(info)
    trimesh.creation.box((0.06, 0.05, 0.05)).export(info.mesh)
    assert MyoDM(copy).fingerprint(info) != before
    assert MyoDM(copy, min_fingertips=2).fingerprint(info) != MyoDM(copy).fingerprint(info)


def test_names_as_people_say_them() -> None:
    assert [display_name(n) for n in ("cubelarge", "wineglass", "mug")] == ["large cube", "wine glass", "mug"]
    assert [verb_of(s) for s in ("mug_drink3", "apple_lift")] == ["drink", "lift"]


def test_a_folder_that_is_not_the_release_is_named(tmp_path: Path) -> None:
    with pytest.raises(HopriorError, match=r"grasps\.npz"):
        MyoDM(tmp_path)


def test_real_sequences_give_grasps_near_the_recorded_joints(shared_data: Path) -> None:
    source = MyoDM(shared_data / "myodm", frames_per_sequence=6)
    assert len(source.objects()) == 50
    mug = next(info for info in source.objects() if info.name == "mug")
    mesh = source.mesh(mug)
    sdf = SdfGrid.from_mesh(mesh, 48, 0.06)
    grasps = source.grasps(mug, mesh, sdf, load_hand())
    assert grasps is not None and len(grasps) == 18
    recorded = torch.cat(list(source.joints(mug, sdf).values()))
    fitted = [k for k in range(21) if k != 13]
    assert (grasps.joints_object - recorded)[:, fitted].norm(dim=-1).mean() < 0.012


# --- a release, read through MuJoCo -------------------------------------------------------------------------------


def made_up_hand() -> str:
    """A MuJoCo hand with the release's joint and site names: a palm and straight three-bone fingers along +x."""
    from hoprior.datasets.myodm.raw import ARM

    def bone(joints: list[tuple[str, str]], length: float, inner: str) -> str:
        hinges = "".join(f'<joint name="{name}" type="hinge" axis="{axis}"/>' for name, axis in joints)
        return f'{hinges}<geom type="capsule" size="0.005" fromto="0 0 0 {length} 0 0"/>{inner}'

    def finger(bases: list[list[tuple[str, str]]], tip: str, y: float, length: float) -> str:
        inner = f'<site name="{tip}" pos="{length} 0 0"/>'
        for joints in reversed(bases[1:]):
            inner = f'<body pos="{length} 0 0">{bone(joints, length, inner)}</body>'
        return f'<body pos="0.09 {y} 0">{bone(bases[0], length, inner)}</body>'

    flexion, abduction = "0 -1 0", "0 0 1"
    fingers = [
        finger(
            [
                [(f"mcp{k}_flexion", flexion), (f"mcp{k}_abduction", abduction)],
                [(f"pm{k}_flexion", flexion)],
                [(f"md{k}_flexion", flexion)],
            ],
            tip,
            y,
            0.03,
        )
        for k, tip, y in ((2, "IFtip", -0.03), (3, "MFtip", -0.01), (4, "RFtip", 0.01), (5, "LFtip", 0.03))
    ]
    thumb = finger(
        [
            [("cmc_abduction", abduction), ("cmc_flexion", flexion)],
            [("mp_flexion", flexion)],
            [("ip_flexion", flexion)],
        ],
        "THtip",
        -0.05,
        0.025,
    )
    slides = "".join(
        f'<joint name="{name}" type="{"slide" if name[2] == "T" else "hinge"}" '
        f'axis="{" ".join("1" if name[3] == a else "0" for a in "xyz")}"/>'
        for name in ARM
    )
    wrist = "".join(
        f'<joint name="{name}" type="hinge" axis="{axis}"/>'
        for name, axis in (("pro_sup", "1 0 0"), ("deviation", "0 0 1"), ("flexion", "0 1 0"))
    )
    palm = f'<body>{wrist}<geom type="box" size="0.045 0.04 0.01" pos="0.045 0 0"/>{"".join(fingers)}{thumb}</body>'
    arm = f'<body>{slides}<geom type="sphere" size="0.01"/>{palm}</body>'
    # Another body first, so that the hand's joints do not start at the first coordinate.
    other = '<body name="other"><freejoint/><geom type="sphere" size="0.01"/></body>'
    return f"<mujoco><worldbody>{other}{arm}</worldbody></mujoco>"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Motions, a mesh and a hand, as a release has them."""
    pytest.importorskip("mujoco", reason="mujoco is an optional dependency")
    (tmp_path / "hand.xml").write_text(made_up_hand())
    (tmp_path / "meshes" / "mug").mkdir(parents=True)
    trimesh.creation.cylinder(0.03, 0.08).export(tmp_path / "meshes" / "mug" / "mug.stl")
    robot = np.zeros((4, 29))
    robot[1, :3] = (0.1, -0.2, 0.3)
    robot[2, 5] = np.pi / 2
    robot[3, 13] = np.pi / 2  # mcp2_flexion
    pose = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (4, 1))
    pose[1, :3] = (0.1, -0.2, 0.3)
    pose[2, 3:] = (np.sqrt(0.5), 0, 0, np.sqrt(0.5))
    (tmp_path / "motions").mkdir()
    np.savez(tmp_path / "motions" / "MyoHand_mug_lift.npz", robot=robot, object=pose)
    np.savez(tmp_path / "motions" / "MyoHand_anvil_lift.npz", robot=robot, object=pose)
    return tmp_path


def test_a_pose_goes_in_and_its_joints_come_out(release: Path) -> None:
    from hoprior.datasets.myodm.raw import OBJECT_OFFSET, ROBOT_COLUMNS, prepare_release

    assert len(ROBOT_COLUMNS) == 29 and ROBOT_COLUMNS[13] == "mcp2_flexion"
    out = prepare_release(release / "motions", release / "meshes", release / "hand.xml", release / "out")
    with np.load(out / "grasps.npz") as data:
        assert data["sequence_names"].tolist() == ["mug_lift"], "an object without a mesh is left out"
        joints, pose = data["joints_object"], data["object_pose"]
        assert data["frame"].tolist() == [0, 1, 2, 3] and set(data["sequence"]) == {0}
    flat = np.zeros((21, 3))
    for finger, (y, length) in enumerate(((-0.03, 0.03), (-0.01, 0.03), (0.03, 0.03), (0.01, 0.03), (-0.05, 0.025))):
        for k in range(3):
            flat[1 + 3 * finger + k] = (0.09 + k * length, y, 0)
        flat[(17, 18, 20, 19, 16)[finger]] = (0.09 + 3 * length, y, 0)
    at_rest = flat - OBJECT_OFFSET
    assert np.allclose(joints[0], at_rest, atol=1e-6)
    assert np.allclose(pose[0, :3], OBJECT_OFFSET)
    # Hand and object moved alike, or turned alike about z: the same joints, seen from the object.
    assert np.allclose(joints[1], at_rest, atol=1e-6)
    assert np.allclose(joints[2], at_rest, atol=1e-6)
    # A bent index finger moves its own joints and no other's.
    moved = np.linalg.norm(joints[3] - at_rest, axis=-1) > 1e-6
    assert np.flatnonzero(moved).tolist() == [2, 3, 17]
    assert np.allclose(joints[3, 17], (0.09, -0.03, 0.09) - np.asarray(OBJECT_OFFSET), atol=1e-6)


def test_a_prepared_release_is_read_like_any_other(release: Path) -> None:
    from hoprior.datasets.myodm.raw import prepare_release

    out = prepare_release(release / "motions", release / "meshes", release / "hand.xml", release / "out")
    source = MyoDM(out)
    (info,) = source.objects()
    assert info.category == "mug" and np.allclose(source.mesh(info).extents, (0.06, 0.06, 0.08), atol=1e-3)


def test_what_is_wrong_with_a_release_is_said(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hoprior.datasets.myodm.raw import HandKinematics, prepare_release, read_motions

    with pytest.raises(HopriorError, match="no MyoHand"):
        read_motions(release)
    with pytest.raises(HopriorError, match="no mesh of any object"):
        prepare_release(release / "motions", release, release / "hand.xml", release / "out")
    np.savez(release / "motions" / "MyoHand_mug_lift.npz", robot=np.zeros((4, 20)), object=np.zeros((4, 7)))
    with pytest.raises(HopriorError, match=r"MyoHand_mug_lift\.npz: robot \(4, 20\)"):
        read_motions(release / "motions")
    (release / "other.xml").write_text("<mujoco><worldbody/></mujoco>")
    with pytest.raises(HopriorError, match="no joint 'ARTx'"):
        HandKinematics(release / "other.xml")
    (release / "broken.xml").write_text("<mujoco>")
    with pytest.raises(HopriorError, match=r"broken\.xml: MuJoCo cannot read it"):
        HandKinematics(release / "broken.xml")
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(HopriorError, match="pip install mujoco"):
        HandKinematics(release / "hand.xml")
