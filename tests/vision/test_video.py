"""Videos in and out."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from hoprior.errors import HopriorError

pytest.importorskip("imageio_ffmpeg", reason="the extra video is not installed")

from hoprior.vision.video import MAX_SIDE, read_video, video_info, write_video

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


def test_frames_come_evenly_in_time_or_as_they_are(tmp_path: Path) -> None:
    import imageio_ffmpeg

    write_video(tmp_path / "grey.mp4", GREY, 12.0)
    slower = "setpts='if(lt(N,6),N/12/TB,(6/12+(N-6)/4)/TB)'"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(tmp_path / "grey.mp4")]
    subprocess.run([*command, "-vf", slower, "-fps_mode", "vfr", str(tmp_path / "vfr.mp4")], check=True)
    own = list(read_video(tmp_path / "vfr.mp4", even=False))
    assert [round(float(frame.mean())) for frame in own] == pytest.approx([20 * i for i in range(12)], abs=4)
    even = [round(float(frame.mean()) / 20) for frame in read_video(tmp_path / "vfr.mp4")]
    # The second half is three times as slow.
    assert sum(value >= 6 for value in even) > 2 * sum(value < 6 for value in even)
