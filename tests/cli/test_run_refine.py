"""`hoprior run refine`, from files to files: what it reads, tells and writes, without a photo's hand being found."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from shown_results import some_hands

from hoprior.cli import run_refine
from hoprior.cli.demo import HIDDEN, drawn_hand
from hoprior.cli.entry import main


def test_an_estimate_is_refined_told_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hand.json").write_text(json.dumps(drawn_hand(0)))
    out = tmp_path / "out"
    argv = ["run", "refine", "--pose", str(tmp_path / "hand.json"), "--out", str(out), "--config.steps", "2"]
    assert main([*argv, "--no-report"]) == 0
    told = capsys.readouterr().err
    assert (out / "hands.npz").is_file() and not (out / "report.html").exists()
    with np.load(out / "hands.npz") as arrays:
        hidden = int(arrays["occluded"][0].sum())
    # The fingers that nobody saw, and what lies behind others.
    assert len(HIDDEN) <= hidden < 21 and f"right hand, {hidden} of 21 joints occluded, mean change" in told


def test_what_was_passed_over_and_noted_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: dict[str, Any] = {}

    def refine(source: Path, text: str | None, **settings: Any) -> Any:
        given.update(settings, source=source)
        return some_hands(1)

    monkeypatch.setattr(run_refine, "refine", refine)
    trimesh.creation.box((2.0, 1.0, 1.0)).export(tmp_path / "box.stl")
    T = np.eye(4)
    T[2, 3] = 0.5
    (tmp_path / "place.json").write_text(json.dumps({"T_camera_object": T.tolist()}))
    argv = ["run", "refine", "--image", str(tmp_path), "--out", str(tmp_path / "out"), "--prior", "pose:1,grid:0.5"]
    held = ["--object-mesh", str(tmp_path / "box.stl"), "--object-pose", str(tmp_path / "place.json"), "--size", "12cm"]
    assert main([*argv, *held, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["hands"] == 1 and answer["skipped"] == {"dark.jpg": "no hand was found"}
    assert (tmp_path / "out" / "report.html").is_file()
    assert given["source"] == tmp_path and given["image"] is None and given["priors"] == ((1.0, "pose"), (0.5, "grid"))
    np.testing.assert_allclose(given["held"].mesh.extents, [0.12, 0.06, 0.06], rtol=1e-6)
    np.testing.assert_allclose(given["held"].T_camera_object[:3, 3], [0.0, 0.0, 0.5], atol=1e-6)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--video", "clip.mp4", "--image", "a.jpg", "--object-mask", "b.png"], "--image, --object-mask and --video"),
        (["--image", "a.jpg", "--object-mesh", "a.obj"], "--object-mesh and --object-pose"),
        (["--image", "a.jpg", "--object-pose", "a.json"], "--object-mesh and --object-pose"),
        ([], "nothing to refine"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    argv: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.png", "a.obj", "a.json", "clip.mp4"):
        Path(name).touch()
    assert main(["run", "refine", *argv]) == 2
    assert says in capsys.readouterr().err
