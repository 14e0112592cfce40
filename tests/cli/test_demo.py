"""What the documents' examples need is made of what is shipped, and every task takes it."""

import json
from pathlib import Path

import numpy as np
import pytest

from hoprior.cli.demo import HIDDEN, drawn_hand
from hoprior.cli.entry import main
from hoprior.vision.estimates.files import read_estimates


def test_the_drawn_hand_is_one_before_the_camera_with_two_fingers_hidden(tmp_path: Path) -> None:
    drawn = drawn_hand(0)
    joints = np.array(drawn["xyz"])
    assert joints.shape == (21, 3) and np.abs(joints[:, 2] - 0.5).max() < 0.15
    assert joints[9, 1] < joints[0, 1]  # the camera's y is down: fingers are above the wrist
    assert [k for k, known in enumerate(drawn["confidence"]) if known == 0] == list(HIDDEN)
    path = tmp_path / "hand.json"
    path.write_text(json.dumps(drawn))
    estimates, skipped = read_estimates(path)
    assert len(estimates) == 1 and not skipped and estimates[0].side == "right"


@pytest.mark.slow
def test_every_input_is_made_once_and_refined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--frames", "2", "--no-grasps", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert all(Path(made[name]).exists() for name in ("mug", "clip", "photo", "hand"))
    stamp = (out / "hand.json").stat().st_mtime_ns
    assert main(["demo", "--out", str(out), "--no-grasps"]) == 0
    assert (out / "hand.json").stat().st_mtime_ns == stamp
    assert main(["run", "refine", "--pose", str(out / "hand.json"), "--out", str(tmp_path / "refined")]) == 0


def test_doctor_names_what_is_missing_and_where_things_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hoprior.common.optional.find_spec", lambda name: None)
    assert main(["doctor", "--no-test"]) == 0
    told = capsys.readouterr().out
    assert "pip install 'hoprior[mano]'" in told and "minilm" in told and "torch" in told
    assert main(["doctor", "--no-test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["packages"]["mujoco"] is None


@pytest.mark.slow
def test_doctor_s_self_test_finds_a_grasp(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["self_test"].startswith("1 grasp in ")


def test_a_folder_of_somebody_s_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    for out in (tmp_path, tmp_path / "thesis.tex", tmp_path / "thesis.tex" / "demo"):
        assert main(["demo", "--out", str(out)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
