"""Reading other people's pickles without running what is in them.

A pickle is a program. This reader runs it on stand-ins only: a name that the file asks for is either one of the few
that arrays need (numpy, scipy.sparse, chumpy, sets), and then it is answered by a passive record of ours, or the file
is refused. No code outside this module and the standard unpickler is called before the records are turned into arrays,
and neither chumpy (which no longer imports) nor the numpy that wrote the file has to be there. Tensors of torch become
numpy arrays: their numbers are read by torch's own reader of weights, which runs nothing either.
"""

import io
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse

from hoprior.common.pickle_bounds import MOST_PARTS, check_bounds
from hoprior.common.reading import check_expanded, reason_of
from hoprior.errors import HopriorError

MOST_SHOWN = 200
"""Letters of a name that a file asks for; a sentence is one line that a terminal can show."""
MOST_REPEATED = 1 << 20
"""Numbers of a tensor that has more of them than are stored: one that was expanded."""
PLAIN_KINDS = "biufcSUO"
"""numpy's kinds of array that are read: numbers, strings and objects; no records, no dates."""


def safe_load(path: str | PathLike[str]) -> Any:
    """The data in a pickle file: numbers, strings, containers, arrays of numpy, csc/csr; chumpy and torch as numpy.

    Strings that Python 2 wrote are taken as latin-1, as arrays need.

    Raises:
        HopriorError: no such file, a broken pickle, or one that asks for anything else, which it names.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HopriorError(f"{path}: cannot be read ({error.strerror}): give the path of a pickle file") from error
    return safe_loads(data, source=str(path))


def safe_loads(data: bytes, source: str = "pickle") -> Any:
    """`safe_load` of bytes; `source` is what error messages call them.

    Example:
        >>> safe_loads(pickle.dumps({"betas": np.zeros(2)}))
        {'betas': array([0., 0.])}
        >>> try:
        ...     safe_loads(pickle.dumps(print), source="hand.pkl")
        ... except HopriorError as error:
        ...     print(str(error).partition(",")[0])
        hand.pkl: asks for 'builtins.print'
    """
    try:
        check_bounds(data)
        records = _Reader(data, source).load()
        resolved = _Resolver().resolve(records)
        check_expanded(resolved, MOST_PARTS + len(data))
        return resolved
    except HopriorError:
        raise
    # On broken bytes the unpickler raises whatever its program stumbles over, from KeyError to MemoryError.
    except Exception as error:
        raise HopriorError(
            f"{source}: is not a pickle of arrays that hoprior can read ({reason_of(error)}): "
            "get a fresh copy of the file"
        ) from error


class _Reader(pickle.Unpickler):
    def __init__(self, data: bytes, source: str) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._source = source

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            name = f"{module_name}.{global_name}"[:MOST_SHOWN]
            raise HopriorError(
                f"{self._source}: asks for {name!r}, and hoprior takes nothing but arrays from a "
                "pickle, so that opening a file cannot run code: get the file from its publisher"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside of the file")


class _Record:
    """What the file says of an object: nothing but its state."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        object.__setattr__(self, "state", state)

    def field(self, *names: str) -> Any:
        """The first of the fields that the state has."""
        if isinstance(self.state, dict):
            for name in names:
                if name in self.state:
                    return self.state[name]
        raise pickle.UnpicklingError(f"a {type(self).__name__.strip('_')} has no {names[0]}")


class _Chumpy(_Record):
    """chumpy.ch.Ch: an array `x`."""


class _ChumpySelect(_Record):
    """chumpy.reordering.Select: elements `idxs` of a flattened array `a`, in a `preferred_shape`."""


class _Csc(_Record):
    """scipy's compressed sparse columns."""


class _Csr(_Record):
    """scipy's compressed sparse rows."""


class _Storage(_Record):
    """The numbers of a torch tensor, as a file of torch within the file."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def flat(self) -> np.ndarray:
        import torch

        if not isinstance(self.raw, bytes):
            raise pickle.UnpicklingError("a tensor without numbers")
        if zipfile.is_zipfile(io.BytesIO(self.raw)):
            # What torch writes here is no archive, and an archive may unpack to more than a machine holds.
            raise pickle.UnpicklingError("a tensor is packed as no program packs it")
        # torch warns of the kind of storage that its own pickles have.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            storage = torch.load(io.BytesIO(self.raw), map_location="cpu", weights_only=True)
            return torch.tensor([], dtype=storage.dtype).set_(storage).numpy()


class _Tensor(_Record):
    """A torch tensor: its storage, the place of its first number there, shape and strides."""

    def __init__(self, storage: Any, offset: Any = 0, shape: Any = (), strides: Any = (), *_: Any) -> None:
        self.parts = storage, offset, shape, strides

    def real(self) -> np.ndarray:
        storage, offset, shape, strides = self.parts
        if isinstance(storage, _Tensor):  # a parameter is made of a tensor
            return storage.real()
        numbers = (offset, *shape, *strides)
        if not isinstance(storage, _Storage) or not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise pickle.UnpicklingError("a tensor has no numbers or no shape")
        flat = storage.flat()
        if prod(shape) > max(len(flat), MOST_REPEATED):
            raise pickle.UnpicklingError("a tensor repeats its numbers without end")
        if prod(shape) and offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) >= len(flat):
            raise pickle.UnpicklingError("a tensor has fewer numbers than its shape says")
        bytes_each = tuple(flat.itemsize * step for step in strides)
        return np.lib.stride_tricks.as_strided(flat[offset:], shape, bytes_each).copy()


class _Array(_Record):
    """A numpy array: (version,) shape, dtype, whether Fortran ordered, and bytes or a list of objects."""


class _Dtype(_Record):
    """A numpy type: its code at once, its byte order as state."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code

    def real(self) -> np.dtype[Any]:
        if not isinstance(self.code, str):
            raise pickle.UnpicklingError(f"array of type {self.code!r}")
        dtype = np.dtype(self.code)
        if self.state is not None:
            if any(part is not None for part in self.state[2:5]):
                raise pickle.UnpicklingError("array of records")
            dtype = dtype.newbyteorder(self.state[1])
        if dtype.kind not in PLAIN_KINDS:
            raise pickle.UnpicklingError(f"array of type {self.code!r}")
        return dtype


class _Marker:
    """A type that a file may name but not call."""

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a type")


class _Function:
    """A function of ours that a file may call but not change."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")


def _new_array(*_: Any) -> _Array:
    return _Array()


def _array_from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", bytes(buffer)))
    return array


def _scalar(dtype: Any, raw: Any = None) -> Any:
    return _decode((1, (), dtype, False, raw))[()]


def _new_object(kind: Any, *_: Any) -> _Record:
    if kind not in (_Chumpy, _ChumpySelect, _Csc, _Csr):
        raise pickle.UnpicklingError(f"it makes an object of {kind!r}")
    return kind()


def _text_to_bytes(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it encodes text as {encoding!r}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    return b""


def _allowed() -> dict[tuple[str, str], Any]:
    allowed: dict[tuple[str, str], Any] = {
        ("chumpy.ch", "Ch"): _Chumpy,
        ("chumpy", "Ch"): _Chumpy,
        ("chumpy.reordering", "Select"): _ChumpySelect,
        ("numpy", "ndarray"): _Marker(),
        ("numpy", "dtype"): _Dtype,
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): _Function(_text_to_bytes),
        ("torch._utils", "_rebuild_tensor_v2"): _Function(_Tensor),
        ("torch._utils", "_rebuild_parameter"): _Function(_Tensor),
        ("torch.storage", "_load_from_bytes"): _Function(_Storage),
    }
    for core in ("numpy.core", "numpy._core"):
        allowed[f"{core}.multiarray", "_reconstruct"] = _Function(_new_array)
        allowed[f"{core}.multiarray", "scalar"] = _Function(_scalar)
        allowed[f"{core}.numeric", "_frombuffer"] = _Function(_array_from_buffer)
    for kind, record in (("csc", _Csc), ("csr", _Csr)):
        for module in (f"scipy.sparse.{kind}", f"scipy.sparse._{kind}"):
            allowed[module, f"{kind}_matrix"] = allowed[module, f"{kind}_array"] = record
    for builtins in ("builtins", "__builtin__"):
        allowed.update({(builtins, plain.__name__): plain for plain in (set, frozenset)})
        allowed[builtins, "object"] = _Marker()
        allowed[builtins, "complex"] = _Function(complex)
        # How old protocols write an empty array; with arguments it could fill the memory.
        allowed[builtins, "bytes"] = _Function(_empty_bytes)
    for copyreg in ("copyreg", "copy_reg"):
        allowed[copyreg, "_reconstructor"] = _Function(_new_object)
    return allowed


_ALLOWED = _allowed()


def _decode(state: Any, resolve: Callable[[Any], Any] | None = None) -> np.ndarray:
    """The array that numpy's state describes; `resolve` is applied to the items of an array of objects."""
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise pickle.UnpicklingError("an array has no state")
    shape, dtype_record, fortran, raw = state[-4:]
    if not isinstance(dtype_record, _Dtype) or not isinstance(shape, tuple):
        raise pickle.UnpicklingError("an array has no type or no shape")
    dtype = dtype_record.real()
    order: Literal["C", "F"] = "F" if fortran else "C"
    if dtype.kind != "O":
        flat = np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, dtype=dtype).copy()
    elif isinstance(raw, list) and len(raw) == prod(shape) and resolve is not None:
        flat = np.empty(len(raw), dtype=object)
        # numpy lists objects in C order, whatever the order of the array.
        order = "C"
        # One by one: numpy would take items apart that are lists themselves.
        for k, item in enumerate(raw):
            flat[k] = resolve(item)
    else:
        raise pickle.UnpicklingError("an array of objects does not hold a list of them")
    return flat.reshape(shape, order=order)


class _Resolver:
    """Turns records into arrays, everywhere in nested containers, each object once."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}
        self._alive: list[Any] = []

    def resolve(self, value: Any) -> Any:
        if isinstance(value, (_Function, _Marker, type)):
            raise pickle.UnpicklingError("it holds code")
        if not isinstance(value, (dict, list, tuple, set, frozenset, np.ndarray, _Record)):
            return value
        key = id(value)
        if key not in self._done:
            # Ids are only unique among objects that are alive.
            self._alive.append(value)
            self._done[key] = _UNFINISHED
            self._done[key] = self._resolved(value)
        if self._done[key] is _UNFINISHED:
            raise pickle.UnpicklingError("it contains itself")
        return self._done[key]

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, dict):
            # The plain method: a file may have put an attribute of that name on an ordered dictionary.
            return type(value)((self.resolve(k), self.resolve(v)) for k, v in dict.items(value))
        if isinstance(value, (list, tuple, set, frozenset)):
            return type(value)(self.resolve(item) for item in value)
        if isinstance(value, _Dtype):
            return value.real()
        if isinstance(value, _Array):
            return _decode(value.state, self.resolve)
        if isinstance(value, _Tensor):
            return value.real()
        if isinstance(value, _Chumpy):
            return _real(self.resolve(value.field("x")))
        if isinstance(value, _ChumpySelect):
            chosen = _real(self.resolve(value.field("a"))).ravel()[self.resolve(value.field("idxs"))]
            has_shape = "preferred_shape" in value.state
            return chosen.reshape(self.resolve(value.field("preferred_shape"))) if has_shape else chosen
        return self._sparse(value)

    def _sparse(self, value: _Record) -> scipy.sparse.csc_matrix | scipy.sparse.csr_matrix:
        parts = tuple(self.resolve(value.field(name)) for name in ("data", "indices", "indptr"))
        kind = scipy.sparse.csc_matrix if isinstance(value, _Csc) else scipy.sparse.csr_matrix
        matrix = kind(parts, shape=self.resolve(value.field("_shape", "shape")))
        matrix.check_format(full_check=True)
        return matrix


def _real(value: Any) -> np.ndarray:
    """What an array is said to be: an array, for lists of lists may stand for more than a machine holds."""
    if not isinstance(value, np.ndarray | np.generic | int | float):
        raise pickle.UnpicklingError("an array of chumpy holds no array")
    return np.asarray(value)


_UNFINISHED = object()
