"""Looks for a hand model's arrays in files, whatever they are packed in and however the arrays were written."""

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from hoprior.hand.mano import ManoHand

RUN, DISTINCT = 32, 5
"""Numbers in a row, so many of them unlike each other, that no other array has by chance."""
PLACES = (0.0, 0.2, 0.4, 0.6, 0.8)
NUMBER = re.compile(rb"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")
TEXTS = (".json", ".yaml", ".yml", ".csv", ".txt", ".obj", ".xml")


def hand_arrays(hand: ManoHand, rest: bool = True) -> dict[str, np.ndarray]:
    """The arrays of the file behind a hand, in its own frame and in the hand frame.

    Args:
        rest: also the vertices at rest, which a mesh of a posed hand may have in part.
    """
    arrays = {
        "shapedirs": hand.layer.shapedirs,
        "posedirs": hand.layer.posedirs,
        "J_regressor": hand.layer.J_regressor,
        "lbs_weights": hand.layer.lbs_weights,
        "shapedirs in the hand frame": hand.shapedirs,
        "posedirs in the hand frame": hand.blends[:135],
        "posedirs of the tips": hand.blends[:135, hand.tip_ids],
        "hands_components": hand.pca_basis,
        "hands_mean": hand.pca_mean,
    }
    if rest:
        arrays |= {"v_template": hand.layer.v_template, "v_template in the hand frame": hand.v_template}
    return {name: array.detach().cpu().double().numpy() for name, array in arrays.items()}


def needles(arrays: Mapping[str, np.ndarray]) -> dict[bytes, str]:
    """Runs of numbers out of every array, along its rows and along its columns, in the precisions of files."""
    found = {}
    for name, array in arrays.items():
        # smplx keeps the pose's shapes as (135, 778 * 3), MANO's file as (778, 3, 135): the transposed has both.
        for flat in (array.ravel(), array.T.ravel()):
            windows = np.lib.stride_tricks.sliding_window_view(flat, RUN)
            # Of sparse arrays, where they are densest.
            places = [*(np.array(PLACES) * (len(windows) - 1)).astype(int), (windows != 0).sum(axis=1).argmax()]
            for run in windows[places]:
                if len(np.unique(run)) < DISTINCT:
                    continue
                # A single that was widened is another number than the file's double.
                for written in (run.astype("f2"), run.astype("f4"), run, run.astype("f4").astype("f8")):
                    found[written.tobytes()] = name
    assert set(found.values()) == set(arrays)
    return found


def contents(path: Path) -> Iterator[bytes]:
    """What is in a file, unpacked as far as it goes; a text's numbers as numbers."""
    raw = path.read_bytes()
    yield from _unpacked(raw)
    if path.suffix in TEXTS:
        numbers = np.array([float(match) for match in NUMBER.findall(raw)])
        with np.errstate(over="ignore"):
            yield numbers.astype("f4").tobytes()
        yield numbers.tobytes()


def _unpacked(raw: bytes) -> Iterator[bytes]:
    yield raw
    if zipfile.is_zipfile(io.BytesIO(raw)):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for name in archive.namelist():
                yield from _unpacked(archive.read(name))
        return
    try:
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            for member in archive:
                yield from _unpacked(archive.extractfile(member).read() if member.isfile() else b"")
        return
    except tarfile.TarError:
        pass
    # A zlib or gzip stream may begin anywhere.
    for start in re.finditer(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08", raw):
        try:
            yield zlib.decompressobj(wbits=47).decompress(raw[start.start() :])
        except zlib.error:
            continue


def found_in(path: Path, sought: Mapping[bytes, str]) -> set[str]:
    """Names of the arrays of which something is in a file."""
    return {name for content in contents(path) for needle, name in sought.items() if needle in content}
