"""Video files in and out, through the ffmpeg that imageio-ffmpeg brings."""

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from hoprior.errors import HopriorError

MAX_SIDE = 1280
"""Frames with a longer side are read smaller: hands are cropped to a few hundred pixels anyway."""


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
    reader = _open(path)
    meta = next(reader)
    reader.close()
    seconds = float(meta.get("duration") or 0)
    return VideoInfo(_scaled(meta["size"]), float(meta["fps"]), round(seconds * float(meta["fps"])))


def read_video(path: str | Path, even: bool = True) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The frames of a video, one at a time, at most 1280 pixels wide.

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
    reader = _open(path, ["-vf", f"{timing}scale={width}:{height}", *as_they_come])
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
    ffmpeg = _ffmpeg()
    try:
        return _primed(ffmpeg.read_frames(str(path), output_params=output or []))
    except (OSError, RuntimeError, KeyError, StopIteration) as error:
        raise HopriorError(f"{path}: is not a video that ffmpeg reads ({_line(error)}): is it whole?") from error


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


def _scaled(size: tuple[int, int]) -> tuple[int, int]:
    share = min(1.0, MAX_SIDE / max(size))
    return int(size[0] * share) // 2 * 2, int(size[1] * share) // 2 * 2


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip()[:160] if lines else type(error).__name__


def _ffmpeg() -> Any:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise HopriorError("videos need imageio-ffmpeg: pip install hoprior[video]") from error
    return imageio_ffmpeg
