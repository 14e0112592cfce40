"""docs/outputs.md has every key of every file that results are written to, with its shape, and no other."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from documented_outputs import PAGE, SECTIONS, array_faults, faults_of, tables
from shown_results import a_clip, some_grasps, some_hands, some_objects, some_poses, some_robot_grasps, some_samples

ARRAYS = {
    "robot_grasps": "robot_grasps.npz",
    "grasps": "grasps.npz",
    "hands": "hands.npz",
    "reconstruction": "poses.npz",
}


@pytest.mark.parametrize(
    "made", [some_grasps, some_samples, some_poses, some_objects, some_hands, some_robot_grasps, a_clip]
)
def test_what_is_written_is_on_the_page(made: Any, tmp_path: Path) -> None:
    made().save(tmp_path)
    index = next(path for path in tmp_path.glob("*.json"))
    assert faults_of(index) == []
    if index.stem in ARRAYS:
        assert array_faults(tmp_path / ARRAYS[index.stem], index.stem) == []


def test_a_key_or_a_shape_that_the_page_does_not_have_is_found(tmp_path: Path) -> None:
    some_poses().save(tmp_path)
    index = tmp_path / "poses.json"
    content = json.loads(index.read_text())
    content["poses"][0]["mood"] = "good"
    content["poses"][1]["betas"] = [0.0] * 9
    del content["text"]
    index.write_text(json.dumps(content))
    faults = faults_of(index)
    assert any("mood is on no table" in fault for fault in faults)
    assert any("betas is" in fault for fault in faults) and any("text is in no file" in fault for fault in faults)


def test_every_section_has_a_table_and_every_file_that_it_speaks_of_a_section() -> None:
    assert all(tables(heading)["key"] for heading in SECTIONS.values())
    text = PAGE.read_text(encoding="utf-8")
    assert {name for name in re.findall(r"^## .*?`(\w+)\.json`", text, re.MULTILINE)} == {
        kind for kind in SECTIONS if kind not in ("video", "poses")
    }
