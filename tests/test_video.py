"""Videos in and out, and the clip in a video."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hoprior.cli import main
from hoprior.datasets.video_clip import placed_hands, translation
from hoprior.errors import HopriorError
from hoprior.hand import load_hand

pytest.importorskip("imageio_ffmpeg", reason="the extra video is not installed")

from hoprior.video import MAX_SIDE, read_video, video_info, write_video

GREY = [np.full((48, 64, 3), 20 * i, dtype=np.uint8) for i in range(12)]


def test_a_video_comes_back(tmp_path: Path) -> None:
    write_video(tmp_path / "grey.mp4", GREY, 12.0)
    info = video_info(tmp_path / "grey.mp4")
    assert info.size == (64, 48) and info.fps == 12.0 and info.frames == 12
    found = list(read_video(tmp_path / "grey.mp4"))
    assert [round(float(frame.mean())) for frame in found] == pytest.approx([20 * i for i in range(12)], abs=4)


def test_large_videos_are_read_smaller(tmp_path: Path) -> None:
    write_video(tmp_path / "large.mp4", [np.zeros((1080, 3840, 3), dtype=np.uint8)] * 3, 10.0)
    assert video_info(tmp_path / "large.mp4").size == (MAX_SIDE, 360)
    assert next(iter(read_video(tmp_path / "large.mp4"))).shape == (360, MAX_SIDE, 3)


def test_a_damaged_video_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"\0" * 500)
    with pytest.raises(HopriorError, match=r"bad\.mp4: is not a video"):
        video_info(tmp_path / "bad.mp4")
    with pytest.raises(HopriorError, match="no such file"):
        video_info(tmp_path / "none.mp4")


def test_a_video_without_masks_is_told_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_video(tmp_path / "grey.mp4", GREY, 12.0)
    assert main(["run", "reconstruct", "--video", str(tmp_path / "grey.mp4"), "--out", str(tmp_path / "out")]) == 2
    assert "--hand-masks" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("side", ["right", "left"])
def test_landmarks_place_a_hand_before_the_camera(side: str) -> None:
    model = load_hand("open", side)
    intrinsics = np.array([600.0, 600.0, 320.0, 240.0])
    local = model.joints_only(model.angles_to_pose(model.relaxed_angles[None]))[0].double().numpy()
    camera = local + np.array([0.05, -0.02, 0.6])
    pixels = camera[:, :2] / camera[:, 2:] * 600 + [320, 240]
    np.testing.assert_allclose(translation(local, pixels, intrinsics), [0.05, -0.02, 0.6], atol=1e-9)
    pose, keypoints = placed_hands([(pixels, local), None], intrinsics, side)
    right = load_hand("open", "right")
    found = right.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)[0].numpy()
    expected = camera * [1 if side == "right" else -1, 1, 1]
    assert np.linalg.norm(found - expected, axis=-1).mean() < 0.005
    assert torch.isnan(pose.transl[1]).all() and np.isnan(keypoints[1]).all()
