"""Meshes, distances and pictures, packed for a page: quantised, compressed, as text."""

import base64
import gzip
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

FAR = 127
"""Code of a channel for vertices that have nothing to say."""
STEPS = 65535
JPEG_QUALITY = 82
_ALIGNED = 4

Chunk = list[int]
"""Where something is among the page's bytes: its start and its length."""


class PageArrays:
    """What a page draws, as bytes: each mesh, channel and picture once.

    Attributes:
        meshes: what the page needs to know of each mesh; parts of results name them by their number.

    Example:
        >>> arrays = PageArrays()
        >>> corners, face = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), np.array([[0, 1, 2]])
        >>> arrays.mesh(corners, face), arrays.meshes[0]["count"], arrays.meshes[0]["low"]
        (0, 3, [0.0, 0.0, 0.0])
    """

    def __init__(self) -> None:
        self.meshes: list[dict[str, Any]] = []
        self._bytes = bytearray()
        self._known: dict[bytes, Chunk] = {}

    def mesh(self, verts: Float[np.ndarray, "v 3"] | Float[np.ndarray, "n v 3"], faces: Int[np.ndarray, "f 3"]) -> int:
        """The number of a mesh (m), or of one that has n frames; places are kept to 1/65535 of its box."""
        frames = np.asarray(verts, dtype=np.float64).reshape(-1, np.shape(verts)[-2], 3)
        low, high = frames.min(axis=(0, 1)), frames.max(axis=(0, 1))
        step = np.maximum(high - low, 1e-9) / STEPS
        codes = np.rint((frames - low) / step).astype("<u2")
        self.meshes.append(
            {
                "verts": self._add(codes.tobytes()),
                "faces": self._add(np.ascontiguousarray(faces, dtype="<u4").tobytes()),
                "count": frames.shape[1],
                "frames": len(frames),
                "low": low.tolist(),
                "step": step.tolist(),
            }
        )
        return len(self.meshes) - 1

    def channel(self, values: Float[np.ndarray, "..."], unit: float) -> dict[str, Any]:
        """One number a vertex (of each frame), in steps of `unit`; NaN where there is nothing to say."""
        codes = np.clip(np.rint(np.nan_to_num(values, nan=0.0) / unit), -FAR, FAR - 1)
        return {"chunk": self._add(np.where(np.isnan(values), FAR, codes).astype(np.int8).tobytes()), "unit": unit}

    def picture(self, pixels: UInt8[np.ndarray, "h w 3"]) -> Chunk:
        """A photo as JPEG."""
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
        return self._add(buffer.getvalue())

    def packed(self) -> str:
        """All of it as text."""
        return base64.b64encode(gzip.compress(bytes(self._bytes), 6, mtime=0)).decode()

    def _add(self, data: bytes) -> Chunk:
        if data not in self._known:
            self._bytes += b"\0" * (-len(self._bytes) % _ALIGNED)
            self._known[data] = [len(self._bytes), len(data)]
            self._bytes += data
        return self._known[data]


def rounded(values: np.ndarray | Sequence[Any], digits: int = 5) -> Any:
    """Numbers as lists with few digits: a page needs a hundredth of a millimetre."""
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()
