"""Robots' hands from URDF: what is read, what is refused in one sentence, fingers, kinematics, and fits to goals."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from robot_hands import three_fingers
from scipy.spatial.transform import Rotation

from hoprior.errors import HopriorError
from hoprior.physics.robots.description import read_description
from hoprior.physics.robots.fingers import find_fingers
from hoprior.physics.robots.fit import RobotPose, fit_hand
from hoprior.physics.robots.goals import FingerGoal
from hoprior.physics.robots.measures import measure
from hoprior.physics.robots.way import find_way

pytest.importorskip("mujoco")

from hoprior.physics.robots.kinematics import RobotHand

MIMIC = '<mimic joint="FINGER_bend" multiplier="0.5" offset="0.1"/>'
RADIUS = 0.03
BALL_AT = np.array([0.0, 0.0, 0.08])


def a_hand(folder: Path, **more: str) -> RobotHand:
    description = read_description(three_fingers(folder, **more))  # type: ignore[arg-type]
    return RobotHand(description, find_fingers(description))


def ball(points: torch.Tensor) -> torch.Tensor:
    return (points - torch.tensor(BALL_AT, dtype=points.dtype)).norm(dim=-1) - RADIUS


def ball_goals() -> tuple[FingerGoal, ...]:
    """A thumb on one side of a ball, two fingers on the other."""
    ways = {"thumb": (0.0, -1.0, 0.0), "index": (-0.5, 0.87, 0.0), "middle": (0.5, 0.87, 0.0)}
    goals = []
    for finger, way in ways.items():
        normal = np.array(way) / np.linalg.norm(way)
        point = BALL_AT + RADIUS * normal
        goals.append(FingerGoal(finger, point, normal, point[None], point - [0, 0, 0.08], True))
    return tuple(goals)


def test_links_joints_and_limits_are_read(tmp_path: Path) -> None:
    hand = read_description(three_fingers(tmp_path, mesh="tip.stl"))
    assert [link.name for link in hand.links[:1]] == ["palm"] and len(hand.links) == 10 and len(hand.joints) == 6
    assert all(link.parent < k for k, link in enumerate(hand.links))
    assert np.allclose(hand.low, -0.3) and np.allclose(hand.high, 1.6)
    outer = hand.links[hand.number("thumb_outer")]
    assert len(outer.hulls) == 1 and outer.hulls[0].extents == pytest.approx([0.016, 0.016, 0.045])


def test_mimic_joints_follow_by_multiplier_and_offset_and_keep_to_their_own_limits(tmp_path: Path) -> None:
    hand = read_description(three_fingers(tmp_path, mimic=MIMIC))
    assert hand.driven == ("thumb_bend", "index_bend", "middle_bend")
    joints = dict(zip(hand.joint_names, hand.all_joints(np.array([0.2, 0.4, 1.0])), strict=True))
    assert joints["thumb_curl"] == pytest.approx(0.2) and joints["middle_curl"] == pytest.approx(0.6)
    # 2 * bend would leave the outer joints' own range: what drives them is held back.
    steep = read_description(three_fingers(tmp_path / "steep", mimic=MIMIC.replace("0.5", "2")))
    assert steep.high == pytest.approx(np.full(3, 0.75)) and steep.low == pytest.approx(np.full(3, -0.2))


def test_a_mimic_of_a_mimic_follows_what_drives_both(tmp_path: Path) -> None:
    text = three_fingers(tmp_path, mimic=MIMIC).read_text()
    text = text.replace('<mimic joint="index_bend"', '<mimic joint="thumb_curl"')
    path = tmp_path / "chained.urdf"
    path.write_text(text)
    hand = read_description(path)
    joints = dict(zip(hand.joint_names, hand.all_joints(np.array([1.0, 0.0, 0.0])), strict=True))
    assert joints["index_curl"] == pytest.approx(0.5 * (0.5 + 0.1) + 0.1)


@pytest.mark.parametrize(
    ("mimic", "said"),
    [
        ('<mimic joint="nobody"/>', "follows 'nobody', which does not move"),
        ('<mimic joint="FINGER_curl"/>', "follows itself"),
        ('<mimic joint="FINGER_bend" offset="9"/>', "cannot follow"),
    ],
)
def test_a_mimic_that_cannot_be_kept_is_refused(tmp_path: Path, mimic: str, said: str) -> None:
    with pytest.raises(HopriorError, match=said) as raised:
        read_description(three_fingers(tmp_path, mimic=mimic))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"mesh": "lost.stl"}, "names the mesh 'lost.stl', which is not there"),
        ({"mesh": "notes.txt"}, "no mesh that a link may have"),
        ({"head": '<!DOCTYPE robot [<!ENTITY x SYSTEM "file:///etc/passwd">]>'}, "defines entities"),
        ({"more": '<link name="alone"/>'}, "2 links that nothing carries"),
        ({"more": '<joint name="j" type="fixed"><parent link="gone"/><child link="palm"/></joint>'}, "link 'gone'"),
        (
            {"more": '<joint name="j" type="fixed"><parent link="thumb_tip"/><child link="palm"/></joint>'},
            "in a circle",
        ),
    ],
)
def test_what_is_no_hand_is_refused_in_one_sentence(tmp_path: Path, more: dict[str, str], said: str) -> None:
    (tmp_path / "notes.txt").write_text("no mesh")
    with pytest.raises(HopriorError, match=said) as raised:
        read_description(three_fingers(tmp_path, **more))  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"solid mesh", "is no URDF"),
        (b"<mujoco/>", "is no URDF"),
        (b"<robot/>", "no links"),
        (b"<robot><link name='a'/></robot>", "no joint that moves"),
        (b"", "is empty"),
    ],
)
def test_files_that_are_no_urdf_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "hand.urdf"
    path.write_bytes(content)
    with pytest.raises(HopriorError, match=said):
        read_description(path)


def test_a_floating_base_is_refused(tmp_path: Path) -> None:
    path = three_fingers(tmp_path)
    path.write_text(path.read_text().replace('name="thumb_bend" type="revolute"', 'name="thumb_bend" type="floating"'))
    with pytest.raises(HopriorError, match="of the type 'floating'"):
        read_description(path)


@pytest.mark.parametrize(
    "names",
    [
        {"thumb": "R_thumb", "index": "R_index", "middle": "R_middle"},
        {"thumb": "th", "index": "ff", "middle": "mf"},
        {"thumb": "rightThumb", "index": "rightIndex", "middle": "rightMiddle"},
    ],
)
def test_fingers_are_guessed_from_names(tmp_path: Path, names: dict[str, str]) -> None:
    fingers = find_fingers(read_description(three_fingers(tmp_path, names=names)))
    assert [finger.name for finger in fingers] == ["thumb", "index", "middle"]


def test_fingers_without_names_are_told_by_a_yaml_file(tmp_path: Path) -> None:
    names = {"thumb": "a", "index": "b", "middle": "c"}
    hand = read_description(three_fingers(tmp_path, names=names))
    with pytest.raises(HopriorError, match=r"nothing tells the fingers .*a_tip, b_tip, c_tip.*--fingers"):
        find_fingers(hand)
    told = tmp_path / "fingers.yaml"
    told.write_text("thumb: a_tip\nindex: b_tip\nring: c_outer\n")
    fingers = find_fingers(hand, told)
    assert {finger.name: hand.links[finger.tip].name for finger in fingers} == {
        "thumb": "a_tip",
        "index": "b_tip",
        "ring": "c_outer",
    }
    assert all(hand.links[finger.distal[0]].name.endswith("_outer") for finger in fingers)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("thumb: thumb_tipp\nindex: index_tip", "no link 'thumb_tipp': it has .*thumb_tip"),
        ("thumbb: thumb_tip", "'thumbb' is no finger"),
        ("- thumb", "no map of fingers"),
        ("thumb: index_tip\nindex: index_tip", "are the same link"),
        ("thumb: palm\nindex: index_tip", "no joint of its own"),
        ("thumb: thumb_tip", "nothing tells the fingers"),
        ("thumb: [", "damaged YAML"),
    ],
)
def test_maps_of_fingers_that_cannot_be_are_refused(tmp_path: Path, text: str, said: str) -> None:
    hand = read_description(three_fingers(tmp_path))
    told = tmp_path / "fingers.yaml"
    told.write_text(text)
    with pytest.raises(HopriorError, match=said):
        find_fingers(hand, told)


@pytest.mark.parametrize("fingers", [(), ("thumb",)])
def test_hands_without_fingers_are_refused(tmp_path: Path, fingers: tuple[str, ...]) -> None:
    wheel = '<joint name="w" type="continuous"><parent link="palm"/><child link="wheel"/></joint><link name="wheel"/>'
    hand = read_description(three_fingers(tmp_path, fingers=fingers, more="" if fingers else wheel))
    with pytest.raises(HopriorError, match=r"has (no|one) finger"):
        find_fingers(hand)


def test_points_move_as_their_velocities_say(tmp_path: Path) -> None:
    hand = a_hand(tmp_path, mimic=MIMIC)
    driven = hand.closed(0.3)
    placed = hand.place(driven)
    before = placed.points(hand.point_link, hand.points)
    step = 1e-6 * np.array([1.0, -2.0, 0.5])
    after = hand.place(driven + step).points(hand.point_link, hand.points)
    assert after - before == pytest.approx(placed.velocities(hand.point_link, before) @ step, abs=1e-10)


def test_a_bone_is_where_its_joint_turns_it(tmp_path: Path) -> None:
    hand = a_hand(tmp_path)
    driven = np.zeros(6)
    driven[hand.description.driven.index("index_bend")] = math.pi / 2
    placed = hand.place(driven)
    tip = placed.origins[hand.description.number("index_tip")]
    # A quarter turn about x lays the finger from upwards to -y.
    assert tip == pytest.approx([-0.025, 0.035 - 0.09, 0.01])


def test_a_hand_that_closes_through_itself_is_deep_in_itself_and_an_open_one_is_not(tmp_path: Path) -> None:
    hand = a_hand(tmp_path)
    assert hand.self_depth(hand.closed(0.0)) == 0
    # Closed all the way, the outer bones go through the palm.
    assert hand.self_depth(hand.closed(1.0)) > 0.002


def test_a_fit_touches_where_it_is_asked_within_limits_and_outside(tmp_path: Path) -> None:
    hand = a_hand(tmp_path)
    goals = ball_goals()
    pose = fit_hand(hand, ball, goals, seed=1)[0]
    found = measure(hand, ball, pose, goals)
    assert (pose.driven >= hand.low).all() and (pose.driven <= hand.high).all()
    assert found.fingers_kept == 3 and found.depth < 0.002 and found.self_depth < 0.001


def test_a_fit_does_not_depend_on_where_the_object_is(tmp_path: Path) -> None:
    hand = a_hand(tmp_path)
    turn = Rotation.from_euler("xyz", [0.4, -0.7, 1.1]).as_matrix()
    shift = torch.tensor([0.3, -0.1, 0.2])

    def turned(points: torch.Tensor) -> torch.Tensor:
        return ball((points - shift) @ torch.tensor(turn, dtype=points.dtype))

    def move(points: np.ndarray) -> np.ndarray:
        return points @ turn.T + shift.double().numpy()

    goals = tuple(
        FingerGoal(g.finger, move(g.point), turn @ g.normal, move(g.points), move(g.knuckle), True)
        for g in ball_goals()
    )
    pose = fit_hand(hand, turned, goals, seed=1)[0]
    assert measure(hand, turned, pose, goals).fingers_kept == 3


def test_overlap_and_depth_of_a_palm_in_the_ground(tmp_path: Path) -> None:
    hand = a_hand(tmp_path)

    def ground(points: torch.Tensor) -> torch.Tensor:
        return points[..., 2] + 0.005  # the palm reaches from -0.01 to 0.01

    found = measure(hand, ground, RobotPose(np.eye(4), hand.closed(0.0)), ())
    assert found.depth == pytest.approx(0.005, abs=1e-6)
    assert 1e6 * found.overlap == pytest.approx(100 * 0.08 * 0.07 * 0.5 * 100, rel=0.25)
    assert not found.clear


def test_a_way_comes_from_where_nothing_is_and_starts_open(tmp_path: Path) -> None:
    hand = a_hand(tmp_path)
    pose = fit_hand(hand, ball, ball_goals(), seed=1)[0]
    way = find_way(hand, ball, pose)
    assert way.free and way.phase[0] == "approach" and way.phase[-1] == "lift"
    T = way.T_object_base
    assert np.linalg.norm(T[0, :3, 3] - pose.T_object_base[:3, 3]) == pytest.approx(0.15)
    assert way.joints[-1] == pytest.approx(hand.description.all_joints(pose.driven))
    assert way.object_shift[-1] == pytest.approx([0, 0, 0.1]) and (np.diff(way.time) > 0).all()
    low, high = (np.array([getattr(j, side) for j in hand.description.joints]) for side in ("low", "high"))
    assert (way.joints >= low - 1e-9).all() and (way.joints <= high + 1e-9).all()


def test_shapes_of_meshes_are_where_boxes_are(tmp_path: Path) -> None:
    with_mesh, without = (a_hand(tmp_path / str(k), **more) for k, more in enumerate(({"mesh": "tip.stl"}, {})))
    first, second = (hand.surface(hand.closed(0.4), np.eye(4)) for hand in (with_mesh, without))
    assert np.abs(first.bounds - second.bounds).max() < 1e-6 and isinstance(first, trimesh.Trimesh)
