"""Pictures of recordings: a path until somebody asks for pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hoprior.common.array_files import read_arrays
from hoprior.datasets.recordings.files import is_file, read_pickle
from hoprior.errors import HopriorError
from hoprior.vision.images import open_picture

HO3D_DEPTH_UNIT = 0.00012498664727900177
"""Metres of one step of HO3D's 16-bit depth, as its toolkit has it."""


def _colour(path: Path, _: float) -> np.ndarray:
    return np.asarray(open_picture(path).convert("RGB"))


def _depth(path: Path, metres: float) -> np.ndarray:
    return np.asarray(open_picture(path)).astype(np.float32) * metres


def _depth_in_colours(path: Path, metres: float) -> np.ndarray:
    # HO3D: the high byte is green and the low byte red.
    pixels = np.asarray(open_picture(path).convert("RGB")).astype(np.float32)
    return (pixels[..., 0] + 256 * pixels[..., 1]) * np.float32(metres)


def _nonzero(path: Path, _: float) -> np.ndarray:
    pixels = np.asarray(open_picture(path))
    return np.asarray(pixels.reshape(*pixels.shape[:2], -1).any(axis=2))


def _equals(path: Path, value: float) -> np.ndarray:
    if path.suffix == ".npz":
        return np.asarray(read_arrays(path, ["seg"])["seg"] == int(value))
    return np.asarray(open_picture(path)) == int(value)


def _channel(path: Path, channel: float) -> np.ndarray:
    pixels = np.asarray(open_picture(path).convert("RGB")).astype(int)
    mine = pixels[..., int(channel)]
    return (mine > 127) & (pixels.sum(axis=2) - mine < 128)


def _video_frame(path: Path, number: float) -> np.ndarray:
    # Only this kind of dataset needs a video reader.
    import imageio.v3 as imageio

    return np.asarray(imageio.imread(path, index=int(number), plugin="FFMPEG"))


def _within(path: Path, name: str) -> np.ndarray:
    """The picture that a pickle holds under a name."""
    return np.asarray(open_picture(read_pickle(path)[name], path))


def _colour_within(path: Path, _: float) -> np.ndarray:
    pixels = _within(path, "image")
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def _depth_within(path: Path, metres: float) -> np.ndarray:
    return _within(path, "depth").astype(np.float32) * np.float32(metres)


def _mask_within(path: Path, _: float) -> np.ndarray:
    pixels = _within(path, "object_mask")
    return np.asarray(pixels.reshape(*pixels.shape[:2], -1).any(axis=2))


DECODERS: dict[str, Callable[[Path, float], np.ndarray]] = {
    "colour": _colour,
    "depth": _depth,
    "depth in colours": _depth_in_colours,
    "mask": _nonzero,
    "label": _equals,
    "channel": _channel,
    "video": _video_frame,
    "colour in a pickle": _colour_within,
    "depth in a pickle": _depth_within,
    "mask in a pickle": _mask_within,
}


@dataclass(frozen=True)
class ImageFile:
    """A picture on disk and how to read it.

    `value` is the metres of a step of depth, the label or channel of a mask, or the number of a video's frame.
    """

    path: Path
    kind: str = "colour"
    value: float = 0.0

    def exists(self) -> bool:
        """Whether the file is there; nothing is read."""
        return is_file(self.path)

    def read(self) -> np.ndarray:
        """Colours (h, w, 3) uint8, depth (h, w) float32 metres, or a mask (h, w) bool.

        Raises:
            HopriorError: the file is missing or damaged.
        """
        if not self.exists():
            raise HopriorError(f"{self.path}: this picture is not there: download the dataset's images too")
        try:
            return DECODERS[self.kind](self.path, self.value)
        except ImportError as error:
            raise HopriorError(
                f"{self.path}: needs a video reader ({error}): pip install imageio imageio-ffmpeg"
            ) from error
        except Exception as error:  # Pillow, numpy and ffmpeg raise whatever a damaged file leads them to
            raise HopriorError(f"{self.path}: damaged picture ({error}): get a fresh copy") from error
