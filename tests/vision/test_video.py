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
    # The edit list that ffmpeg 7 writes here ends before the last frame.
    assert len(own) >= 11
    assert [round(float(frame.mean())) for frame in own] == pytest.approx([20 * i for i in range(len(own))], abs=4)
    even = [round(float(frame.mean()) / 20) for frame in read_video(tmp_path / "vfr.mp4")]
    # The second half is three times as slow.
    assert sum(value >= 6 for value in even) > 2 * sum(value < 6 for value in even)


def converted(source: Path, target: Path, *options: str) -> Path:
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-i", str(source), *options, str(target)]
    subprocess.run(command, check=True)
    return target


def halves(top: int, bottom: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    frame = np.full((height, width, 3), bottom, dtype=np.uint8)
    frame[: height // 2] = top
    return [frame] * 6


@pytest.mark.parametrize(
    ("ratio", "wanted"), [("2/1", (128, 48)), ("1/2", (32, 48)), ("16/15", (68, 48)), ("40/1", (1280, 24))]
)
def test_pixels_come_out_square(tmp_path: Path, ratio: str, wanted: tuple[int, int]) -> None:
    write_video(tmp_path / "a.mp4", GREY, 12.0)
    wide = converted(tmp_path / "a.mp4", tmp_path / "wide.mp4", "-vf", f"setsar={ratio}")
    assert video_info(wide).size == wanted
    assert next(iter(read_video(wide))).shape == (wanted[1], wanted[0], 3)


@pytest.mark.parametrize(("turn", "size"), [("0", (64, 48)), ("90", (48, 64)), ("180", (64, 48)), ("270", (48, 64))])
@pytest.mark.parametrize("ratio", ["1/1", "2/1"])
def test_what_the_camera_held_turned_comes_out_upright(
    tmp_path: Path, turn: str, size: tuple[int, int], ratio: str
) -> None:
    """The file's frames are white above; ffmpeg's display matrix turns them anticlockwise."""
    write_video(tmp_path / "a.mp4", halves(255, 0), 12.0)
    wide = converted(tmp_path / "a.mp4", tmp_path / "wide.mp4", "-vf", f"setsar={ratio}")
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-display_rotation", turn, "-i", str(wide)]
    subprocess.run([*command, "-c", "copy", str(tmp_path / "turned.mp4")], check=True)
    (width, height), stretched = size, ratio != "1/1"
    if stretched:
        width, height = (width, 2 * height) if turn in ("90", "270") else (2 * width, height)
    info = video_info(tmp_path / "turned.mp4")
    frame = next(iter(read_video(tmp_path / "turned.mp4"))).astype(float).mean(axis=2)
    # Which of two sides is stretched is what counts, not to which of them the other is brought.
    assert info.size[0] / info.size[1] == pytest.approx(width / height) and frame.shape == info.size[::-1]
    white = {"0": frame[: len(frame) // 2], "180": frame[len(frame) // 2 :]}
    white |= {"90": frame[:, : frame.shape[1] // 2], "270": frame[:, frame.shape[1] // 2 :]}
    assert white[turn].mean() > 230 and frame.mean() == pytest.approx(127, abs=15)


@pytest.mark.parametrize("fps", [0.5, 23.976, 240.0, 1000.0, 1200.0])
def test_any_number_of_frames_a_second(tmp_path: Path, fps: float) -> None:
    write_video(tmp_path / "a.mp4", GREY, fps)
    info = video_info(tmp_path / "a.mp4")
    assert info.fps == pytest.approx(fps, rel=0.01)
    for even in (True, False):
        found = list(read_video(tmp_path / "a.mp4", even))
        assert [round(float(f.mean())) for f in found] == pytest.approx([20 * i for i in range(12)], abs=4)


def test_nothing_of_ffmpegs_own_reaches_the_user(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_video(tmp_path / "a.mp4", GREY, 12.0)
    wide = converted(tmp_path / "a.mp4", tmp_path / "wide.mp4", "-vf", "setsar=2/1")
    assert len(list(read_video(wide))) == 12 and not caplog.records
