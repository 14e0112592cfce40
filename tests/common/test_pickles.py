"""The pickle reader: arrays come through from every protocol and era, and nothing that could run does."""

import os
import pickle
import struct
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from malicious_pickles import MALICE, Calls

from hoprior.common.pickles import safe_load, safe_loads
from hoprior.errors import HopriorError

protocols = pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))


# ---- What must come through ----


@protocols
def test_arrays_and_containers_come_through(protocol):
    written = {
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "empty": np.zeros((0, 3)),
        "scalar array": np.array(5),
        "big endian": np.arange(3, dtype=">i4"),
        "flags": np.array([True, False]),
        "words": np.array(["ab", "c"]),
        "bytes": np.array([b"a"]),
        "scalar": np.float64(3),
        "type": np.dtype("f4"),
        "nested": (1, [2.5, {"x": None}], {3, 4}, frozenset({5})),
        "ordered": OrderedDict(b=1, a=2),
        "numbers": [10**30, 1j, b"\xff12", True],
    }
    read = safe_loads(pickle.dumps(written, protocol))
    assert list(read) == list(written)
    for key, value in written.items():
        assert type(read[key]) is type(value), key
        if isinstance(value, np.ndarray):
            assert read[key].dtype == value.dtype and read[key].shape == value.shape, key
            assert np.array_equal(read[key], value), key
        else:
            assert read[key] == value, key


@given(
    array=hnp.arrays(
        st.one_of(hnp.integer_dtypes(endianness="="), hnp.floating_dtypes(sizes=(32, 64)), hnp.boolean_dtypes()),
        hnp.array_shapes(min_dims=0, min_side=0),
    ),
    protocol=st.integers(0, pickle.HIGHEST_PROTOCOL),
    fortran=st.booleans(),
)
def test_any_array_comes_through(array, protocol, fortran):
    written = np.asfortranarray(array) if fortran else array
    read = safe_loads(pickle.dumps(written, protocol))
    assert read.dtype == written.dtype and read.shape == written.shape
    assert read.tobytes() == written.tobytes()


@protocols
def test_arrays_of_objects_keep_their_places(protocol):
    written = np.array([[[1], {"a": np.ones(2)}], [None, "x"]], dtype=object).T
    read = safe_loads(pickle.dumps(written, protocol))
    assert read.shape == (2, 2)
    assert read[0, 0] == [1] and read[0, 1] is None and read[1, 1] == "x"
    assert np.array_equal(read[1, 0]["a"], np.ones(2))


@protocols
@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix", "csc_array", "csr_array"])
def test_sparse_matrices_come_through(protocol, kind):
    written = getattr(scipy.sparse, kind)(np.array([[0, 1.5, 0], [2, 0, 0]]))
    read = safe_loads(pickle.dumps(written, protocol))
    assert read.shape == (2, 3)
    assert np.array_equal(read.toarray(), written.toarray())


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_tensors_become_arrays(protocol):
    """Views, transposes and parameters, as datasets that were written by torch have them."""
    flat = torch.arange(24.0)
    tensors = {
        "whole": flat,
        "turned": flat.view(4, 6).t(),
        "part": flat[5:17:3],
        "long": torch.arange(3),
        "parameter": torch.nn.Parameter(flat[:2]),
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(2.5),
    }
    read = safe_loads(pickle.dumps({"hand": tensors}, protocol))["hand"]
    for name, tensor in tensors.items():
        assert isinstance(read[name], np.ndarray), name
        assert read[name].dtype == tensor.detach().numpy().dtype
        assert np.array_equal(read[name], tensor.detach().numpy()), name


class _TensorOf:
    """A tensor of any make: what its pickle calls for."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __reduce__(self):
        return torch._utils._rebuild_tensor_v2, self.arguments


@pytest.mark.parametrize(
    "arguments",
    [
        (torch.zeros(4).storage(), 0, (5,), (1,), False, OrderedDict()),
        (torch.zeros(4).storage(), 2, (2,), (2,), False, OrderedDict()),
        (torch.zeros(4).storage(), 0, (2**40, 2**40), (0, 1), False, OrderedDict()),
        (torch.zeros(4).storage(), 0, (2,), (-1,), False, OrderedDict()),
        (None, 0, (2,), (1,), False, OrderedDict()),
    ],
)
def test_tensors_that_reach_beyond_their_numbers_are_refused(arguments):
    with pytest.raises(HopriorError, match="is not a pickle of arrays"):
        safe_loads(pickle.dumps(_TensorOf(*arguments)))


def test_an_object_that_is_shared_stays_one_object():
    shared = np.arange(3)
    first, second = safe_loads(pickle.dumps([shared, shared]))
    assert first is second


def test_arrays_that_are_read_can_be_written():
    read = safe_loads(pickle.dumps(np.arange(3)))
    read += 1
    assert read.tolist() == [1, 2, 3]


def test_what_python_2_wrote_is_read():
    """Old module names, and bytes in opcodes that Python 3 takes for text."""
    data = (
        b"\x80\x02}q\x00U\x01aq\x01cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U\x10" + struct.pack("<2d", -1.5, 1e300) + b"tbs."
    )
    assert safe_loads(data)["a"].tolist() == [-1.5, 1e300]


@pytest.fixture
def old_packages(monkeypatch):
    """chumpy, and scipy before its modules were renamed, just enough of them to be pickled."""
    modules = {
        name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering", "scipy.sparse.csc")
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)

    def add(module, name):
        modules[module].__dict__[name] = type(name, (), {"__module__": module, "__qualname__": name})
        return modules[module].__dict__[name]

    return types.SimpleNamespace(
        Ch=add("chumpy.ch", "Ch"),
        Select=add("chumpy.reordering", "Select"),
        csc_matrix=add("scipy.sparse.csc", "csc_matrix"),
    )


def having(kind, **state):
    instance = kind()
    instance.__dict__.update(state)
    return instance


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_chumpy_and_old_scipy_become_arrays(old_packages, protocol, monkeypatch):
    x = np.arange(24.0).reshape(2, 3, 4)
    inner = having(old_packages.Ch, x=x, _dirty_vars={"x"}, _itr=None)
    chosen = np.arange(24).reshape(2, 3, 4)[:, :, :2].ravel()
    matrix = scipy.sparse.csc_matrix(np.eye(3)[:2])
    written = {
        "v_template": inner,
        "shapedirs": having(old_packages.Select, a=inner, idxs=chosen, preferred_shape=(2, 3, 2)),
        "flat": having(old_packages.Select, a=inner, idxs=chosen),
        "J_regressor": having(
            old_packages.csc_matrix,
            _shape=(2, 3),
            data=matrix.data,
            indices=matrix.indices,
            indptr=matrix.indptr,
            maxprint=50,
            format="csc",
        ),
    }
    data = pickle.dumps(written, protocol).replace(b"numpy._core", b"numpy.core")
    monkeypatch.undo()
    read = safe_loads(data)
    assert type(read["v_template"]) is np.ndarray and np.array_equal(read["v_template"], x)
    assert np.array_equal(read["shapedirs"], x[:, :, :2])
    assert np.array_equal(read["flat"], x[:, :, :2].ravel())
    assert np.array_equal(read["J_regressor"].toarray(), np.eye(3)[:2])


# ---- What must be refused ----


@pytest.mark.parametrize("name", MALICE)
@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_code_is_refused_and_not_run(name, protocol, tmp_path):
    canary = tmp_path / "folder" / "canary"
    canary.parent.mkdir()
    data = pickle.dumps(MALICE[name](canary), protocol)
    imported = set(sys.modules)
    with pytest.raises(HopriorError):
        safe_loads(data)
    assert canary.parent.is_dir() and not canary.exists()
    assert "antigravity" not in set(sys.modules) - imported


HANDMADE = {
    "INST opcode": b"(S'touch CANARY'\nios\nsystem\n.",
    "OBJ opcode": b"(cos\nsystem\nS'touch CANARY'\no.",
    "GLOBAL and REDUCE": b"cos\nsystem\n(S'touch CANARY'\ntR.",
    "posix": b"cposix\nsystem\n(S'touch CANARY'\ntR.",
    "nt": b"cnt\nsystem\n(S'touch CANARY'\ntR.",
    "dotted name": b"\x80\x04\x8c\x05numpy\x8c\tos.system\x93\x8c\x0ctouch CANARY\x85R.",
    "dotted through an allowed class": b"\x80\x04\x8c\x05numpy\x8c\x1andarray.__class__.__base__\x93.",
    "dunder of an allowed class": b"\x80\x04\x8c\x05numpy\x8c\x0ddtype.__init__\x93.",
    "torch.load": b"ctorch\nload\n(S'CANARY'\ntR.",
    "function type": b"ctypes\nFunctionType\n(NNtR.",
    "ctypes": b"cctypes\nCDLL\n(NtR.",
    "chumpy module, other name": b"cchumpy.ch\nos\n.",
    "extension registry": b"\x80\x02\x82\x01.",
    "persistent id": b"Pcanary\n.",
    "persistent object": b"K\x01Q.",
    "state for a function": b"c_codecs\nencode\n}S'_function'\ncos\nsystem\nsb.",
    "state for an allowed function": b"c_codecs\nencode\n}S'_function'\nK\x01sb.",
    "slots of an allowed function": b"\x80\x02c_codecs\nencode\nN}U\t_functionK\x01s\x86b.",
    "state for an allowed class": b"\x80\x02cchumpy.ch\nCh\nN}U\x0c__setstate__K\x01s\x86b.",
    "state for a record class": b"\x80\x02cchumpy.ch\nCh\n}U\x01xK\x01sb.",
    "reconstructor of a builtin": b"ccopy_reg\n_reconstructor\n(c__builtin__\nset\nc__builtin__\nobject\nNtR.",
    "record without fields": b"\x80\x02cchumpy.ch\nCh\n)\x81}b.",
    "array without a state": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR.",
    "array that lies about its size": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I99999\ntcnumpy\ndtype\n(S'f8'\nI0\nI1\ntRI00\nS'12345678'\ntb."
    ),
    "objects from raw memory": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I1\ntcnumpy\ndtype\n(S'O8'\nI0\nI1\ntRI00\nS'12345678'\ntb."
    ),
    "list that holds itself": b"(lp0\ng0\na.",
    "truncated": pickle.dumps(np.arange(100))[:-20],
    "empty": b"",
    "text": b"v 0 0 0\nv 1 0 0\nf 1 2 3\n",
    "zip": b"PK\x03\x04" + bytes(100),
    "deeply nested": b"(l" * 100_000 + b"a" * 99_999 + b".",
}


@pytest.mark.parametrize("name", HANDMADE)
def test_handmade_programs_are_refused(name, tmp_path):
    canary = tmp_path / "canary"
    # The replacement keeps the length, on which some opcodes depend.
    data = HANDMADE[name].replace(b"CANARY", b"canary")
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        with pytest.raises(HopriorError, match="pickle"):
            safe_loads(data)
    finally:
        os.chdir(before)
    assert not canary.exists()


def test_a_refused_file_leaves_no_trace_for_the_next():
    """State that one file tries to put on our stand-ins must not reach what another file reads."""
    for name in ("slots of an allowed function", "state for an allowed class", "state for a record class"):
        with pytest.raises(HopriorError):
            safe_loads(HANDMADE[name])
    assert np.array_equal(safe_loads(pickle.dumps(np.arange(3), 2)), np.arange(3))


@given(data=st.binary(max_size=200))
def test_noise_is_read_or_refused(data):
    try:
        safe_loads(data)
    except HopriorError as error:
        assert str(error).startswith("pickle: ")


@given(position=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused(position, byte):
    whole = bytearray(
        pickle.dumps({"a": np.arange(4.0), "b": [np.array(["x"])], "c": scipy.sparse.eye(3, format="csc")})
    )
    whole[position % len(whole)] = byte
    try:
        safe_loads(bytes(whole))
    except HopriorError as error:
        assert str(error).startswith("pickle: ")


def test_errors_name_the_file_and_what_it_asked_for(tmp_path):
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(pickle.dumps(Calls(os.system, "true")))
    with pytest.raises(HopriorError, match=rf"evil\.pkl: asks for '{os.system.__module__}\.system'"):
        safe_load(evil)
    evil.write_bytes(b"cos\nsys" + b"\\n" * 3 + b"tem" * 1000 + b"\n.")
    with pytest.raises(HopriorError, match="asks for") as refused:
        safe_load(evil)
    assert len(str(refused.value)) < 500 and len(str(refused.value).splitlines()) == 1
    evil.write_bytes(pickle.dumps({}, 4)[:-2] + b"\x8c\x02os\x8c\x05a\nb\rc\x93.")
    with pytest.raises(HopriorError, match=r"asks for 'os\.a\\nb\\rc'") as refused:
        safe_load(evil)
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(HopriorError, match=r"none\.pkl: cannot be read \(No such file"):
        safe_load(tmp_path / "none.pkl")
    with pytest.raises(HopriorError, match="cannot be read"):
        safe_load(tmp_path)


def test_a_file_is_read(tmp_path):
    path = tmp_path / "meta.pkl"
    path.write_bytes(pickle.dumps({"handPose": np.zeros(48), "objName": "mug"}))
    assert safe_load(path)["handPose"].shape == (48,)
    assert safe_load(str(path))["objName"] == "mug"
