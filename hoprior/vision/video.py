"""Video files in and out, through the ffmpeg that imageio-ffmpeg brings."""

import logging
import os
import re
import subprocess
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from hoprior.errors import HopriorError

MAX_SIDE = 1280
"""Frames with a longer side are read smaller: hands are cropped to a few hundred pixels anyway."""


_SHARE = f"min(1,{MAX_SIDE}/max(iw*sar,ih))"
SQUARE = f"scale='max(2,trunc(iw*sar*{_SHARE}/2)*2)':'max(2,trunc(ih*{_SHARE}/2)*2)',setsar=1"
"""ffmpeg's filter that makes pixels square, sides even and none too long; it sees frames that are upright already."""


ONLY_FILES = ["-protocol_whitelist", "file"]
"""ffmpeg's option by which what a video refers to is on this machine; for what it does itself it needs no other."""
LISTS = (b"#EXTM3U", b"ffconcat", b"v=0", b"[playlist]", b"RTSPtext")
"""How files begin that name others."""


class VideoInfo(NamedTuple):
    """Width and height as read, mean frames a second, and about how many frames."""

    size: tuple[int, int]
    fps: float
    frames: int


def write_video(path: Path, frames: Iterable[UInt8[np.ndarray, "h w 3"]], fps: float) -> None:
    """An H.264 video that browsers play; sides are cut to even numbers.

    Raises:
        HopriorError: imageio-ffmpeg is not installed, there are no frames, or the disk is full.
    """
    ffmpeg = _ffmpeg()
    writer = None
    try:
        for frame in frames:
            even = np.ascontiguousarray(frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2])
            if writer is None:
                size = (even.shape[1], even.shape[0])
                writer = ffmpeg.write_frames(
                    str(path), size, fps=fps, codec="libx264", macro_block_size=2, output_params=["-crf", "20"]
                )
                writer.send(None)
            writer.send(even)
    except OSError as error:
        raise HopriorError(f"{path}: the video cannot be written ({_line(error)}): is the disk full?") from error
    finally:
        if writer is not None:
            writer.close()
    if not path.is_file():
        raise HopriorError(f"{path}: no frames to write")


def video_info(path: str | Path) -> VideoInfo:
    """What a video holds.

    Raises:
        HopriorError: no such file, or it is not a video.
    """
    reader = _open(path, ["-vf", SQUARE])
    meta = next(reader)
    reader.close()
    seconds, fps = float(meta.get("duration") or 0), float(meta["fps"])
    fps = fps or _thousands(path)
    if not seconds:
        _, seconds = _ffmpeg().count_frames_and_secs(os.path.abspath(path))
    if not fps:
        raise HopriorError(f"{path}: does not say how many frames a second it has: convert it to MP4")
    width, height = meta["size"]
    return VideoInfo((int(width), int(height)), fps, round(seconds * fps))


def read_video(path: str | Path, even: bool = True) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The frames of a video, one at a time, at most 1280 pixels wide.

    They are upright and their pixels square, whatever the file has: metadata of either kind are heeded.

    Args:
        even: evenly in time, whatever the frame rate does; else each frame of the file once, as other programs that
            write a file a frame number them.

    Raises:
        HopriorError: no such file, or no frame of it can be read. A file that is cut short gives the frames it has.
    """
    info = video_info(path)
    width, height = info.size
    timing = f"fps={info.fps}," if even else ""
    as_they_come = [] if even else ["-fps_mode", "passthrough"]
    reader = _open(path, ["-vf", f"{timing}{SQUARE}", *as_they_come])
    next(reader)
    count = 0
    try:
        for raw in reader:
            count += 1
            yield np.frombuffer(raw, dtype=np.uint8).reshape(height, width, 3)
    except (OSError, RuntimeError, ValueError) as error:
        if not count:
            raise HopriorError(f"{path}: no frame can be read ({_line(error)}): is the file damaged?") from error
    if not count:
        raise HopriorError(f"{path}: holds no frames that can be read: is the file damaged?")


def _open(path: str | Path, output: list[str] | None = None) -> Generator[Any, None, None]:
    if not Path(path).is_file():
        raise HopriorError(f"{path}: there is no such file: give --video a video")
    _check_alone(Path(path))
    ffmpeg = _ffmpeg()
    try:
        reader = ffmpeg.read_frames(os.path.abspath(path), input_params=ONLY_FILES, output_params=output or [])
        return _primed(reader)
    except (OSError, RuntimeError, KeyError, StopIteration) as error:
        raise HopriorError(f"{path}: is not a video that ffmpeg reads ({_line(error)}): is it whole?") from error


def _check_alone(path: Path) -> None:
    """Refuses lists of other files, which ffmpeg would open wherever they are, and for whomever wrote the list."""
    with path.open("rb") as file:
        head = file.read(2048)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(LISTS) or b"<MPD" in head:
        raise HopriorError(
            f"{path}: is a list of other files and no video: convert it to MP4 with the program it is for"
        )


def _primed(reader: Generator[Any, None, None]) -> Generator[Any, None, None]:
    """The reader again with its first item, the description, so that a bad file is noticed at once."""
    meta = next(reader)

    def again() -> Generator[Any, None, None]:
        try:
            yield meta
            yield from reader
        finally:
            reader.close()

    return again()


def _thousands(path: str | Path) -> float:
    """Frames a second where ffmpeg writes them as thousands, "1k fps", which imageio-ffmpeg does not read; else 0."""
    command = [_ffmpeg().get_ffmpeg_exe(), "-hide_banner", "-nostdin", *ONLY_FILES, "-i", os.path.abspath(path)]
    said = subprocess.run(command, capture_output=True, check=False).stderr.decode("utf-8", "replace")
    found = re.search(r" Video: .*?(\d+)k fps", said)
    return 1000.0 * float(found[1]) if found else 0.0


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip()[:160] if lines else type(error).__name__


def _ffmpeg() -> Any:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise HopriorError("videos need imageio-ffmpeg: pip install hoprior[video]") from error
    # It warns of every video that is turned or read smaller.
    logging.getLogger("imageio_ffmpeg").setLevel(logging.ERROR)
    return imageio_ffmpeg
