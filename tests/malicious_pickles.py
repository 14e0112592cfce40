"""Objects whose pickles would run something, or ask for too much, where an unpickler trusts them."""

import builtins
import codecs
import functools
import importlib
import operator
import os
import pickle
import shutil
import subprocess
from collections import OrderedDict

import numpy as np
import scipy.sparse


class Calls:
    """Pickles as a call of `function`, which the standard unpickler would make."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class Builds:
    """Pickles as a call followed by a state, a list and a dictionary to put into the result."""

    def __init__(self, *reduction):
        self.reduction = reduction

    def __reduce__(self):
        return self.reduction


def touch(path):
    return f"touch {path}"


MALICE = {
    "os.system": lambda p: Calls(os.system, touch(p)),
    "os.popen": lambda p: Calls(os.popen, touch(p)),
    "subprocess": lambda p: Calls(subprocess.Popen, ["touch", str(p)]),
    "eval": lambda p: Calls(eval, f"open({str(p)!r}, 'w')"),
    "exec": lambda p: Calls(exec, f"open({str(p)!r}, 'w')"),
    "open": lambda p: Calls(open, str(p), "w"),
    "compile": lambda p: Calls(compile, "1", "x", "eval"),
    "__import__": lambda p: Calls(__import__, "antigravity"),
    "import_module": lambda p: Calls(importlib.import_module, "antigravity"),
    "getattr": lambda p: Calls(getattr, "x", "join"),
    "getattr chain": lambda p: Calls(getattr, Calls(__import__, "os"), "system"),
    "attrgetter": lambda p: Calls(operator.attrgetter, "x.y"),
    "methodcaller": lambda p: Calls(operator.methodcaller, "system", touch(p)),
    "partial": lambda p: Calls(functools.partial, os.system, touch(p)),
    "map": lambda p: Calls(map, os.system, [touch(p)]),
    "rmtree": lambda p: Calls(shutil.rmtree, str(p.parent)),
    "globals": lambda p: Calls(builtins.globals),
    "pickle in a pickle": lambda p: Calls(pickle.loads, pickle.dumps(Calls(os.system, touch(p)))),
    "decode": lambda p: Calls(codecs.decode, b"x", "zlib"),
    "encode": lambda p: Calls(codecs.encode, "uryyb", "rot13"),
    "numpy.load": lambda p: Calls(np.load, str(p), None, True),
    "numpy.fromfile": lambda p: Calls(np.fromfile, str(p)),
    "numpy.memmap": lambda p: Calls(np.memmap, str(p), "u1", "w+", 0, (4,)),
    "numpy.ndarray": lambda p: Calls(np.ndarray, (2,), "O"),
    "scipy.coo": lambda p: scipy.sparse.coo_matrix(np.eye(2)),
    "in a list": lambda p: [1, {"x": (Calls(os.system, touch(p)),)}],
    "as a key": lambda p: {Calls(os.system, touch(p)): 1},
    "in an array": lambda p: np.array([None, Calls(os.system, touch(p))], dtype=object),
    "in a set": lambda p: {Calls(os.system, touch(p))},
    "as a state": lambda p: Builds(OrderedDict, (), {"x": Calls(os.system, touch(p))}),
    "as list items": lambda p: Builds(OrderedDict, (), None, iter([Calls(os.system, touch(p))])),
    "as dict items": lambda p: Builds(OrderedDict, (), None, None, iter([("x", Calls(os.system, touch(p)))])),
    "function as data": lambda p: [os.system],
    "allowed function as data": lambda p: [codecs.encode],
    "class as data": lambda p: [np.dtype, set],
    "bytes bomb": lambda p: Calls(bytes, 10**12),
    "range": lambda p: range(3),
}
"""What it is -> the object, given a file that must not come to be."""
