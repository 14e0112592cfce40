"""The optional packages of the simulators: whether they are there, and their imports without the greetings."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from hoprior.errors import HopriorError


def simulator_missing(survival: bool = False) -> str | None:
    """What to install before displacements (or survival of gravity) can be simulated, or None where all is there."""
    needed = {"coacd": "sim"} | ({"mujoco": "sim"} if survival else {"pybullet": "bullet"})
    for package, extra in needed.items():
        if find_spec(package) is None:
            return f"{package} is not installed: pip install 'hoprior[{extra}]'"
    return None


def require(package: str, extra: str) -> Any:
    """An optional package, imported without its greeting."""
    try:
        with silence() if package == "pybullet" else contextlib.nullcontext():
            return __import__(package)
    except ImportError as error:
        raise HopriorError(
            f"{package} is not installed ({error}): pip install 'hoprior[{extra}]', or leave the simulation out"
        ) from error


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Sends what C code writes to the process's stdout and stderr to nowhere."""
    streams = (1, 2)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(stream) for stream in streams]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in streams:
            os.dup2(nowhere, stream)
        yield
    finally:
        # C keeps a buffer of its own, which would be written only at the process's end.
        with contextlib.suppress(OSError, TypeError, AttributeError):
            ctypes.CDLL(None).fflush(None)
        for stream, copy in zip(streams, kept, strict=True):
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nowhere)
