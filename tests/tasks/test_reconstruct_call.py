"""What `reconstruct` and `hoprior run reconstruct` are told: hand, side, progress, settings, by all their names."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from held_box import QUICK

from hoprior.cli.entry import main
from hoprior.datasets.clips.clip import Clip, read_clip
from hoprior.errors import ArgumentError, HopriorError
from hoprior.hand import load_hand
from hoprior.results.reconstructions import INDEX
from hoprior.tasks.reconstruct.config import COUNTS, FitConfig
from hoprior.tasks.reconstruct.task import reconstruct

SHORT = replace(QUICK, hand_steps=2, steps=2, rounds=0)


def test_progress_is_told_the_stage_and_the_share(clip: Clip) -> None:
    told: list[tuple[Any, ...]] = []
    reconstruct(clip, priors=(), config=SHORT, progress=lambda *what: told.append(what))
    stages, shares = zip(*told, strict=True)
    assert list(dict.fromkeys(stages)) == ["fitting the hands", "carving the object", "fitting everything"]
    assert list(shares) == sorted(shares) and shares[0] == 0 and shares[-1] <= 1


def test_report_is_the_former_name_of_progress(clip: Clip) -> None:
    told: list[dict[str, float]] = []
    with pytest.warns(FutureWarning, match="`report` is `progress` now"):
        reconstruct(clip, priors=(), config=SHORT, report=lambda stage, share, losses: told.append(losses))
    assert told[0]["keypoints"] > 0 and "mask" in told[-1]


def test_a_hand_of_ones_own_takes_the_place_of_the_clips(clip: Clip) -> None:
    own = load_hand()
    own.name = "own"
    other = replace(clip, hand="mano", hand_pose=replace(clip.hand_pose, betas=clip.hand_pose.betas + 1))
    result = reconstruct(other, priors=(), config=SHORT, hand=own)
    assert result.hand == "own" and np.abs(result.betas).max() < 0.5
    named = reconstruct(other, priors=(), config=SHORT, hand="open")
    assert named.hand == "open"
    np.testing.assert_array_equal(result.joints_hand, named.joints_hand)


def test_the_clips_own_hand_may_be_named(clip: Clip) -> None:
    plain, named = (reconstruct(clip, priors=(), config=SHORT, hand=hand) for hand in (None, "open"))
    np.testing.assert_array_equal(plain.joints_hand, named.joints_hand)


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"side": "left"}, "side"),
        ({"side": "both"}, "side"),
        ({"minutes": 0.0}, "minutes"),
        ({"preset": "quick"}, "preset"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(clip: Clip, arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        reconstruct(clip, priors=(), config=SHORT, **arguments)
    assert caught.value.name == name and not str(caught.value).endswith(".")


def test_a_side_that_contradicts_the_clip_is_said_at_the_command_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["run", "reconstruct", "--clip", str(folder), "--side", "left", "--out", out]) == 2
    assert "--side left contradicts the clip 'box'" in " ".join(capsys.readouterr().err.split())


def test_the_folders_word_for_its_hand_counts(folder: Path) -> None:
    """`hands.npz` of a clip is of the model that `clip.json` names, whatever hand is asked for afterwards."""
    assert json.loads((folder / "clip.json").read_text())["hand"] == "open"
    assert read_clip(folder, hand="mano").hand == "open"


@pytest.mark.parametrize("name", COUNTS)
def test_settings_of_a_fit_are_positive(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"config.{name}=0"):
        FitConfig(**{name: 0})


@pytest.mark.parametrize("group", ["config", "fit"])
def test_settings_have_a_former_name(
    folder: Path, tmp_path: Path, group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"--{group}.{name}" for name in ("hand-steps=2", "steps=3", "resolution=24", "frames=2", "rounds=0")]
    given = ["--clip", str(folder), "--prior", "none", "--out", str(tmp_path), "--no-report"]
    assert main(["run", "reconstruct", *given, *settings]) == 0
    assert json.loads((tmp_path / INDEX).read_text())["config"]["steps_done"] == 3
    assert ("--fit is --config now" in capsys.readouterr().err) == (group == "fit")


def test_an_unknown_hand_is_said(clip: Clip) -> None:
    with pytest.raises(HopriorError, match="hand"):
        reconstruct(clip, priors=(), config=SHORT, hand="paw")
