"""Files of NumPy's arrays (.npz, .npy), read within bounds: what is asked for, no more than it says, and no objects.

`numpy.load` inflates whatever a member of an archive holds, and its errors are those of five libraries. Here the sizes
that an archive's list says are looked at before anything is inflated, and no member gives more than that.
"""

import io
import math
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hoprior.common.pickles import PLAIN_KINDS, safe_loads
from hoprior.common.reading import FRESH_COPY, interpreting, reason_of
from hoprior.errors import HopriorError

MOST_BYTES = 1 << 30
"""Of all arrays together that are read of one file."""
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What NumPy writes. Others inflate without asking how far."""
ENCRYPTED = 0x1


def read_arrays(
    path: str | Path,
    required: Collection[str] | None = None,
    optional: Collection[str] = (),
    advice: str = FRESH_COPY,
    objects: bool = False,
    content: bytes | None = None,
) -> dict[str, Any]:
    """Named arrays of an .npz file.

    Args:
        required, optional: names of arrays; all others are left alone. All that are there, if neither is given.
        advice: what to do about a damaged file.
        objects: arrays of objects are pickles: read as such, without running them, and a single object is returned as
            it is. Else they are refused.
        content: of the file, where it was read before.

    Raises:
        HopriorError: there is no such file, it is damaged, lacks an array, or its arrays take more than `MOST_BYTES`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/a.npz", joints=np.zeros((2, 3)), other=np.zeros(9))
        ...     {name: array.shape for name, array in read_arrays(f"{folder}/a.npz", ["joints"]).items()}
        {'joints': (2, 3)}
    """

    def read(archive: zipfile.ZipFile) -> dict[str, Any]:
        members = _members(archive)
        names = list(members) if required is None and not optional else [*(required or ()), *optional]
        if lacking := [name for name in required or () if name not in members]:
            has = ", ".join(name[:40] if name.isprintable() else "?" for name in sorted(members)[:20]) or "nothing"
            raise HopriorError(f"{path}: has no array '{lacking[0]}', only {has}: {advice}")
        wanted = {name: members[name] for name in names if name in members}
        total = sum(member.file_size for member in wanted.values())
        if total > MOST_BYTES:
            raise HopriorError(f"{path}: its arrays take {total >> 20:,} MiB, more than {MOST_BYTES >> 20}: split it")
        return {name: _member(archive, member, f"{path}: {name}", objects) for name, member in wanted.items()}

    return _with_archive(Path(path), advice, read, content)


def array_names(path: str | Path, advice: str = FRESH_COPY) -> list[str]:
    """Names of the arrays in an .npz file; errors as `read_arrays` has them."""
    return _with_archive(Path(path), advice, lambda archive: list(_members(archive)))


def read_array(path: str | Path, advice: str = FRESH_COPY, objects: bool = False, content: bytes | None = None) -> Any:
    """The array in an .npy file; arguments and errors as `read_arrays` has them."""
    path = Path(path)
    if content is None:
        try:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise HopriorError(f"{path}: cannot be read ({error.strerror or error}): {advice}") from error
    if len(content) > MOST_BYTES:
        raise HopriorError(f"{path}: is larger than {MOST_BYTES >> 20} MiB: split it")
    with interpreting(path, advice, "damaged array"):
        return _stored(content, str(path), objects)


def save_arrays(target: str | Path | io.BufferedIOBase, arrays: Mapping[str, Any], compress: bool = True) -> None:
    """Named arrays as an .npz file that `read_arrays` reads: numbers and text.

    `numpy.savez` pickles any other value, and its `allow_pickle=False` is one more array to NumPy before 2.3.

    Raises:
        TypeError: a value is neither numbers nor text.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     save_arrays(f"{folder}/a.npz", {"joints": np.zeros((2, 3)), "side": "left"})
        ...     array_names(f"{folder}/a.npz")
        ['joints', 'side']
    """
    plain: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject or array.dtype.kind not in PLAIN_KINDS:
            raise TypeError(f"'{name}' is of {array.dtype}, which arrays in files are not")
    save = np.savez_compressed if compress else np.savez
    save(target, **plain)


def check_archive(archive: zipfile.ZipFile, source: object, most: int = MOST_BYTES) -> None:
    """Refuses an archive that inflates to more than `most` bytes, or in a way that nobody can tell beforehand.

    Raises:
        HopriorError: it does.
    """
    for member in archive.infolist():
        _check_member(member, source)
    total = sum(member.file_size for member in archive.infolist())
    if total > most:
        raise HopriorError(f"{source}: unpacks to {total >> 20:,} MiB, more than {most >> 20}: {FRESH_COPY}")


def _with_archive(path: Path, advice: str, read: Callable[[zipfile.ZipFile], Any], content: bytes | None = None) -> Any:
    file = path if content is None else io.BytesIO(content)
    try:
        with interpreting(path, advice, "damaged archive"), zipfile.ZipFile(file) as archive:
            return read(archive)
    except OSError as error:
        raise HopriorError(f"{path}: cannot be read ({error.strerror or error}): {advice}") from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, MemoryError) as error:
        raise HopriorError(f"{path}: damaged archive ({reason_of(error)}): {advice}") from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {member.filename.removesuffix(".npy"): member for member in archive.infolist()}


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, source: str, objects: bool) -> Any:
    _check_member(member, source)
    return _stored(archive.read(member), source, objects)


def _check_member(member: zipfile.ZipInfo, source: object) -> None:
    if member.flag_bits & ENCRYPTED or member.compress_type not in COMPRESSIONS:
        raise HopriorError(f"{source}: {member.filename} is packed in a way that is not read: {FRESH_COPY}")


def _stored(content: bytes, source: str, objects: bool) -> Any:
    header = io.BytesIO(content)
    version = np.lib.format.read_magic(header)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read_header:
        raise ValueError(f"array format {version}")
    shape, fortran, dtype = read_header[version](header)
    start = header.tell()
    if dtype.hasobject:
        if not objects:
            raise HopriorError(f"{source}: holds Python objects, which are not read: save plain arrays")
        value = safe_loads(content[start:], source)
        return value.item() if isinstance(value, np.ndarray) and value.shape == () else value
    count = math.prod(shape)
    if dtype.kind not in PLAIN_KINDS or not dtype.itemsize or min(shape, default=0) < 0:
        raise ValueError(f"array of type {dtype} and shape {shape}")
    if count * dtype.itemsize > len(content) - start:
        raise ValueError(f"an array of shape {shape} has fewer numbers than that")
    order: Literal["C", "F"] = "F" if fortran else "C"
    if not count:
        return np.zeros(shape, dtype)
    return np.frombuffer(content, dtype, count, start).reshape(shape, order=order).copy()
