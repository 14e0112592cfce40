"""A made-up hand in MANO's layout: nobody may ship the real one, and what is tested is how it is read.

The file has the open hand's shape, cut to 778 vertices and put into MANO's own frame, and is pickled as the published
files are: by old protocol, old module names and chumpy classes.
"""

import pickle
import sys
import types
from unittest import mock

import numpy as np
import scipy.sparse
from scipy.spatial import cKDTree

from hoprior.hand import load_hand
from hoprior.hand.joint_order import PARENTS
from hoprior.hand.mano import TIP_IDS

AXES_MODEL_HAND = np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]])
"""MANO's right hand lies palm down, fingers along -x, thumb towards +z."""
WRIST_MODEL = np.array([0.0957, 0.0064, 0.0062])
MIRROR_X = np.array([-1.0, 1, 1])
MEAN_FLEXION = 0.4
"""Radians by which MANO's mean pose bends a joint."""


def made_up_mano() -> dict[str, np.ndarray]:
    """A right hand's arrays in MANO's frame and layout."""
    rng = np.random.default_rng(0)
    hand = load_hand("open")
    tips = hand.tip_ids.numpy()
    others = np.setdiff1d(np.arange(len(hand.v_template)), tips)
    chosen = np.empty(778, dtype=int)
    chosen[list(TIP_IDS)] = tips
    chosen[np.setdiff1d(np.arange(778), TIP_IDS)] = rng.choice(others, 773, replace=False)
    every = hand.v_template.double().numpy()
    faces = cKDTree(every[chosen]).query(every)[1][hand.faces.numpy()]
    faces = faces[(faces != faces[:, [1, 2, 0]]).all(axis=1)]
    verts = every[chosen] @ AXES_MODEL_HAND.T + WRIST_MODEL
    joints = hand.joints_template.double().numpy() @ AXES_MODEL_HAND.T + WRIST_MODEL
    centred = verts - verts.mean(axis=0)
    shears = 0.03 * rng.standard_normal((20, 3, 3))
    shears[0] = 0.06 * np.eye(3)
    return {
        "v_template": verts,
        "shapedirs": np.einsum("scd,vd->vcs", shears, centred),
        "posedirs": 4e-4 * rng.standard_normal((778, 3, 135)),
        "J_regressor": regressor(verts, joints),
        "weights": hand.weights.double().numpy()[chosen],
        "kintree_table": np.array([[4294967295, *PARENTS[1:]], range(16)]),
        "f": faces.astype(np.uint32),
        "hands_components": np.linalg.qr(rng.standard_normal((45, 45)))[0],
        # As MANO's: fingers bent a little.
        "hands_mean": (MEAN_FLEXION * hand.axes[:, 1].double().numpy() @ AXES_MODEL_HAND.T).ravel(),
        "hands_coeffs": np.zeros((3, 45)),
    }


def regressor(verts, joints):
    """Rows that sum to one and give the joints from the vertices around them, smallest in square."""
    rows = np.zeros((16, 778))
    for row, joint in zip(rows, joints, strict=True):
        near = cKDTree(verts).query(joint, 60)[1]
        conditions = np.concatenate([verts[near].T - joint[:, None], np.ones((1, 60))])
        row[near] = np.linalg.pinv(conditions) @ [0, 0, 0, 1]
    return rows


def mirrored_mano(right):
    """The left hand, with the sign error that the published one has in its shapes."""
    features = np.einsum("i,j->ij", MIRROR_X, MIRROR_X).ravel()
    return right | {
        "v_template": right["v_template"] * MIRROR_X,
        "posedirs": right["posedirs"] * MIRROR_X[:, None] * np.tile(features, 15),
        "f": right["f"][:, ::-1],
        # An axis is a pseudo-vector: its other coordinates change sign.
        "hands_mean": right["hands_mean"] * np.tile(-MIRROR_X, 15),
        "hands_components": right["hands_components"] * np.tile(-MIRROR_X, 15),
    }


def write_as_published(arrays, path):
    """Pickle as chumpy and Python 2 did."""
    names = ("chumpy", "chumpy.ch", "chumpy.reordering", "scipy.sparse.csc")
    modules = {name: types.ModuleType(name) for name in names}

    def stand_in(module, name, **state):
        kind = modules[module].__dict__.setdefault(name, type(name, (), {"__module__": module, "__qualname__": name}))
        instance = kind()
        instance.__dict__.update(state)
        return instance

    matrix = scipy.sparse.csc_matrix(arrays["J_regressor"])
    parts = {name: getattr(matrix, name) for name in ("data", "indices", "indptr")}
    shapes = stand_in("chumpy.ch", "Ch", x=arrays["shapedirs"], _dirty_vars={"x"})
    chosen = np.arange(arrays["shapedirs"].size).reshape(778, 3, 20)[:, :, :10].ravel()
    content = arrays | {
        "shapedirs": stand_in("chumpy.reordering", "Select", a=shapes, idxs=chosen, preferred_shape=(778, 3, 10)),
        "J_regressor": stand_in("scipy.sparse.csc", "csc_matrix", _shape=(16, 778), format="csc", **parts),
        "bs_style": "lbs",
    }
    with mock.patch.dict(sys.modules, modules):
        path.write_bytes(pickle.dumps(content, 2).replace(b"numpy._core", b"numpy.core"))


def write_mano_folder(folder):
    """MANO_RIGHT.pkl and MANO_LEFT.pkl, made up."""
    right = made_up_mano()
    write_as_published(right, folder / "MANO_RIGHT.pkl")
    write_as_published(mirrored_mano(right), folder / "MANO_LEFT.pkl")
    return folder
