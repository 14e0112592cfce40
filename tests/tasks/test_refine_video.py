"""A hand through a video: what is saved, what reads it, and what is said of videos that are none of one hand."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from documented_outputs import array_faults, faults_of
from PIL import Image

import hoprior
from hoprior.cli.run_refine import main
from hoprior.datasets.clips.hands import file_of_motion, hands_of_files
from hoprior.errors import HopriorError
from hoprior.results.motions import HandMotion
from hoprior.results.report import write_report
from hoprior.vision.estimates import read_estimates
from hoprior.vision.video import read_video, write_video

pytest.importorskip("ai_edge_litert")
HIDDEN = (3, 4)
FRAMES = 7


@pytest.fixture(scope="module")
def video(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of a right hand that goes by, behind a board in two frames."""
    photo = Image.open(shared_data / "images" / "EK_0010_P04_101_frame_0000013113.jpg").convert("RGB")
    frames = [np.asarray(photo.crop((880 + 2 * k, 700, 1360 + 2 * k, 1080))).copy() for k in range(FRAMES)]
    for k in HIDDEN:
        frames[k][150:, 110:400] = 110
    path = tmp_path_factory.mktemp("video") / "hand.mp4"
    write_video(path, frames, 10.0)
    return path


@pytest.fixture(scope="module")
def motion(video: Path) -> HandMotion:
    return hoprior.refine_video(video, "a hand holding a pan", device="cpu")


def test_a_hand_is_followed_and_filled_in_where_it_is_hidden(motion: HandMotion) -> None:
    assert motion.side == "right" and len(motion) == FRAMES
    assert motion.seen.tolist() == [k not in HIDDEN for k in range(FRAMES)]
    assert motion.joints.shape == (FRAMES, 21, 3) and np.isfinite(motion.joints).all()
    seen = motion.uncertainty_mm[motion.seen].mean()
    assert motion.uncertainty_mm[list(HIDDEN)].mean() > seen
    away = np.linalg.norm(motion.uv - motion.sighted_uv, axis=-1)[motion.seen].mean()
    assert away < 0.1 * np.ptp(motion.uv[0], axis=0).max()
    # The picture moves to the left by two pixels a frame, and the hand with it.
    assert np.diff(motion.uv[:, :, 0].mean(axis=1)).mean() == pytest.approx(-2, abs=1)


@pytest.fixture(scope="module")
def saved(motion: HandMotion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return motion.save(tmp_path_factory.mktemp("saved") / "out")


def test_what_is_saved_is_read_back_and_shown(motion: HandMotion, saved: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(saved, tmp_path / "out"))
    assert faults_of(out / "hands.json") == array_faults(out / "hands.npz", "video") == []
    assert {path.name for path in out.iterdir()} == {"hands.json", "hands.npz", "hands.mp4", "hands.png", "config.yaml"}
    assert sum(1 for _ in read_video(out / "hands.mp4", even=False)) == FRAMES
    found, skipped = read_estimates(out / "hands.npz")
    assert len(found) == FRAMES and not skipped and {one.side for one in found} == {"right"}
    for one, joints in zip(found, motion.joints, strict=True):
        again = hoprior.load_hand().joints_only(
            one.pose.hand_pose, one.pose.betas, one.pose.global_orient, one.pose.transl
        )
        assert np.linalg.norm(again[0].numpy() - joints, axis=-1).mean() < 0.01
    page = write_report(out).read_text()
    assert "filled in" in page and motion.name in page
    motion.save(out)  # over an earlier result
    assert not (out / "report.html").exists()


def test_reconstruction_reads_the_frames_that_it_wants(motion: HandMotion, saved: Path) -> None:
    out = saved
    assert file_of_motion(out) == out / "hands.npz" == file_of_motion(out / "hands.npz")
    frames = [0, 3, 6]
    hands = hands_of_files(out, "open", "right", [f"{number:05d}" for number in frames], frames)
    np.testing.assert_allclose(hands.keypoints, motion.uv[frames], atol=1e-3)
    assert hands.confidence[1].max() < hands.confidence[0].min(), "what is filled in counts less"


def test_the_command_says_what_it_found(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = main(
        [
            "--video",
            str(video),
            "--side",
            "right",
            "--max-frames",
            "3",
            "--prior",
            "none",
            "--out",
            str(tmp_path / "out"),
        ]
    )
    told = " ".join(capsys.readouterr().err.split())
    assert found["frames"] == 3 and "right hand, seen in" in told and "3 of 7 frames are used" in told


@pytest.mark.parametrize("more", [["--image", "photo.jpg"], ["--mask", "mask.png"], ["--object-mesh", "mug.obj"]])
def test_what_is_of_photos_is_refused_beside_a_video(
    video: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((HopriorError, SystemExit)) as raised:
        main(["--video", str(video), *more])
    assert more[0] in f"{raised.value} {capsys.readouterr().err}"


def grey(path: Path, frames: int) -> Path:
    write_video(path, [np.full((120, 160, 3), 90, np.uint8)] * frames, 10.0)
    return path


@pytest.mark.parametrize("side", ["auto", "left"])
def test_a_video_without_a_hand_is_refused_in_one_sentence(tmp_path: Path, side: str) -> None:
    with pytest.raises(HopriorError, match=r"no (left )?hand is found"):
        hoprior.refine_video(grey(tmp_path / "grey.mp4", 4), side=side)


def test_one_frame_is_a_photo(tmp_path: Path) -> None:
    with pytest.raises(HopriorError, match=r"one frame.*--image"):
        hoprior.refine_video(grey(tmp_path / "still.mp4", 1))


def test_a_prior_that_wants_an_object_is_refused(video: Path) -> None:
    with pytest.raises(HopriorError, match="'contrastive' looks at more"):
        hoprior.refine_video(video, priors=[(1.0, "contrastive")], side="right", max_frames=2)
