"""Boxes that say where hands are, and folders of photos that are searched bit by bit."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hand_estimates import SIZE, estimate
from PIL import Image

from hoprior.errors import HopriorError
from hoprior.hand import load_hand, reorder_joints
from hoprior.vision.boxes import read_boxes
from hoprior.vision.estimates import photos, read_estimates
from hoprior.vision.estimates.kept import KeptHands
from hoprior.vision.images import Photo
from hoprior.vision.sightings import FoundHand


def found(seed: int = 0) -> FoundHand:
    """What a landmarker that errs by nothing sees."""
    seen = estimate(side="left", seed=seed)
    pose = seen.pose
    joints = load_hand("open", "left").joints_only(pose.hand_pose, None, pose.global_orient, pose.transl)[0]
    world = reorder_joints(joints - joints.mean(dim=0), "mano", "mediapipe")
    points = reorder_joints(seen.keypoints, "mano", "mediapipe")
    return FoundHand(points.double().numpy(), world.double().numpy(), "left", 0.8, 0.9, 0.02)


def picture(path: Path, value: int = 90) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", SIZE, (value, 90, 90)).save(path)
    return path


def test_boxes_are_read_from_text_and_from_files(tmp_path: Path) -> None:
    assert read_boxes("1,2,3,4") == read_boxes(" 1 2  3 4 ") == ((1.0, 2.0, 3.0, 4.0),)
    assert read_boxes("1,2,3,4;5,6,7,8") == ((1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0))
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps({"a.jpg": [1, 2, 3, 4], "b": [[1, 2, 3, 4], [5, 6, 7, 8]]}))
    assert read_boxes(str(file)) == {"a.jpg": read_boxes("1,2,3,4"), "b": read_boxes("1,2,3,4;5,6,7,8")}
    for wrong in ("1,2,3", "a,b,c,d", ""):
        with pytest.raises(HopriorError, match="left,top,right,bottom"):
            read_boxes(wrong)
    for content, said in (("[1]", "by the photos' names"), ("{", "damaged JSON"), ('{"a": [1, 2]}', "a: a box is")):
        file.write_text(content)
        with pytest.raises(HopriorError, match=said):
            read_boxes(str(file))
    with pytest.raises(HopriorError, match="cannot be read"):
        read_boxes(str(tmp_path / "none.json"))


def test_what_was_found_is_read_back_and_not_searched_again(tmp_path: Path) -> None:
    photo, kept = picture(tmp_path / "in" / "a.png"), KeptHands(tmp_path / "found")
    first = kept.hands(photo, "how", lambda: [found(0), found(1)])
    again = kept.hands(photo, "how", lambda: pytest.fail("searched twice"))
    for one, other in zip(first, again, strict=True):
        assert np.allclose(one.points, other.points) and np.allclose(one.world, other.world)
        assert (one.side, one.certainty) == (other.side, pytest.approx(other.certainty))
    kept.clear()
    assert not kept.folder.exists()


@pytest.mark.parametrize("change", ["another way", "another photo", "a damaged file"])
def test_what_changed_is_searched_again(tmp_path: Path, change: str) -> None:
    photo, kept = picture(tmp_path / "in" / "a.png"), KeptHands(tmp_path / "found")
    kept.hands(photo, "how", lambda: [found(0)])
    if change == "another photo":
        picture(photo, 200)
    if change == "a damaged file":
        (tmp_path / "found" / "a.png.json").write_text("{")
    hands = kept.hands(photo, "other" if change == "another way" else "how", lambda: [found(1), found(2)])
    assert len(hands) == 2


class Finder:
    """Stands for the landmarker: finds a hand, or none in dark photos, and is stopped once."""

    def __init__(self, stopped_at: int) -> None:
        self.searched, self.stopped_at = 0, stopped_at

    def find(self, photo: Photo, max_hands: int) -> Sequence[FoundHand]:
        self.searched += 1
        if self.searched == self.stopped_at:
            raise KeyboardInterrupt
        return [found()] if photo.pixels[0, 0, 0] else []


def test_a_folder_that_is_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(4):
        picture(tmp_path / "in" / f"{k}.png", value=0 if k == 1 else 50 + k)
    finder = Finder(stopped_at=3)
    monkeypatch.setattr(photos, "hand_landmarker", lambda: finder)
    with pytest.raises(KeyboardInterrupt):
        read_estimates(tmp_path / "in", keep=tmp_path / "found")
    assert [path.name for path in sorted((tmp_path / "found").iterdir())] == ["0.png.json", "1.png.json"]
    estimates, skipped = read_estimates(tmp_path / "in", keep=tmp_path / "found")
    assert finder.searched == 3 + 2
    assert [item.name for item in estimates] == ["0", "2", "3"]
    (none,) = skipped
    assert none.name == "1.png" and "no hand found" in none.reason and "--hand-box" in none.reason


def test_a_box_for_a_whole_folder_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    with pytest.raises(HopriorError, match=r"a \.json file of boxes"):
        read_estimates(tmp_path / "in", hand_box="1,2,30,40")


def test_files_that_are_passed_over_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    np.savez(folder / "none.npz", a=np.zeros(3))
    for name in ("notes.txt", "clip.mov", "a.pdf", "z.csv", ".hidden"):
        (folder / name).write_text("x")
    with pytest.raises(
        HopriorError, match=r"4 files passed over, none of them a photo.*: a.pdf, clip.mov, notes.txt, \.\.\."
    ):
        read_estimates(folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.pkl", "pickles are not read"),
        ("a.obj", "mesh does not say"),
        ("a.mp4", "reconstruct"),
        ("a.txt", "not a photo"),
    ],
)
def test_a_file_of_another_kind_is_told_what_to_do_with(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(HopriorError, match=said):
        read_estimates(tmp_path / name)
