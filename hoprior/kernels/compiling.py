"""How kernels are compiled: by numba, when they are first called, into a cache on disk."""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True}
"""Kernels run without Python's lock, so that threads may share the work. Sums and products keep their order (no
`fastmath`), so that code which was just compiled, code from the cache and another processor's code round alike."""

INLINED = OPTIONS | {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""What Python or C would call a function by is a fifth of what there is to compile; without calls, descents take four
fifths of the time."""


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that kernels call, compiled into them; Python cannot call it."""
    decorate: Any = njit(**INLINED)
    return decorate(inspect.unwrap(function))


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that Python calls.

    numba looks for a folder to keep its code in beside the source, then among the user's caches (`NUMBA_CACHE_DIR`
    names another); where neither can be written, code is compiled anew in every process.
    """
    cached: Any = njit(cache=True, **OPTIONS)
    uncached: Any = njit(**OPTIONS)
    try:
        return cached(inspect.unwrap(function))
    except RuntimeError:
        return uncached(inspect.unwrap(function))


def source_digest() -> str:
    """Of all that kernels are made of: their own sources, and those whose constants they know.

    numba looks only at the file of the function that is called. One that has this among the variables which it takes
    from around it is compiled anew when anything changes.
    """
    package = Path(__file__).parent.parent
    sources = [path for room in ("kernels", "physics", "hand") for path in sorted((package / room).glob("*.py"))]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()
