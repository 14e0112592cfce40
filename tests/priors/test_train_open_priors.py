"""The script that trains the open weights: which commands it gives, and that it goes on where it was stopped."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "train_open_priors.sh"
PYTHON = """#!/bin/bash
# Stands for python: writes down what it is asked, and makes the files that the script looks for.
if [ "$1" = -c ]; then echo /configs; exit; fi
echo "$*" >> "$LOG"
case "$*" in
  *"-m hoprior export"*) echo weights > "$5" ;;
  *"-m hoprior fit"*) while [ "$1" != --out ]; do shift; done; mkdir -p "$2"; echo state > "$2/last.ckpt"
    [ "${STOP:-}" = "$(basename "$2")" ] && exit 7 ;;
  *"data poses"*) while [ "$1" != --out ]; do shift; done; echo table > "$2" ;;
  *average_contrastive*) echo weights > "${@: -1}" ;;
esac
exit 0
"""


@pytest.fixture
def run(tmp_path):
    """Runs the script with a python that only writes down what it is asked; its exit status and the new lines."""
    place = tmp_path / "bin" / "python"
    place.parent.mkdir()
    place.write_text(PYTHON)
    place.chmod(0o755)

    def call(*names, **environment):
        log = tmp_path / "log"
        log.write_text("")
        path = f"{place.parent}:{os.environ['PATH']}"
        told = {**os.environ, "PATH": path, "LOG": str(log), **environment}
        done = subprocess.run(["bash", str(SCRIPT), str(tmp_path / "out"), *names], env=told, capture_output=True)
        return done.returncode, log.read_text().splitlines()

    return call


def test_only_our_own_data_are_asked_for(run, tmp_path):
    status, lines = run("contrastive", "pose", "text_match", "grid")
    assert status == 0 and not any("--myodm" in line for line in lines)
    made = {path.name for path in (tmp_path / "out" / "weights").iterdir()}
    assert made == {f"{name}-open.safetensors" for name in ("contrastive", "grid", "pose", "text_match")}


def test_it_goes_on_where_it_was_stopped(run):
    status, lines = run("contrastive", STOP="contrastive_1")
    assert status == 7 and sum(" fit " in line for line in lines) == 2
    status, lines = run("contrastive")
    fits = [line for line in lines if " fit " in line]
    assert status == 0 and len(fits) == 1 and "contrastive_1" in fits[0] and fits[0].endswith("--ckpt_path last")


@pytest.mark.parametrize("free", ["", "joints.npz"])
def test_joints_of_a_free_hand_are_used_where_they_are_given(run, free):
    poses, fit = [line for line in run("pose", FREE=free)[1] if "data poses" in line or " fit " in line]
    assert ("--free joints.npz" in poses) == ("free: 0.3" in fit) == bool(free)


def test_an_unknown_prior_is_refused(run):
    assert run("parts")[0] == 2
