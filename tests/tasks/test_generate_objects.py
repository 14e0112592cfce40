"""Objects without hands, drawn and completed, with a prior that knows what it should draw."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

import hoprior
from hoprior.cli.entry import main
from hoprior.errors import HopriorError
from hoprior.results.report.folder import write_report
from hoprior.tasks.generate import GenerateConfig
from hoprior.tasks.generate.objects import seen_of


class Boxes:
    """Draws boxes of 8 cm, every `broken`th of which is in two far pieces; completes by a box around what was seen."""

    def __init__(self, broken: int = 0) -> None:
        self.broken, self.drawn = broken, 0

    def sample_objects(self, cond: Tensor | None, num: int, **options: Any) -> Sequence[trimesh.Trimesh]:
        meshes = []
        for _ in range(num):
            self.drawn += 1
            mesh = trimesh.creation.box((0.08, 0.05, 0.03))
            if self.broken and self.drawn % self.broken == 0:
                mesh = mesh + trimesh.creation.box((0.05, 0.05, 0.03)).apply_translation((0.2, 0, 0))
            meshes.append(mesh)
        return meshes

    def complete_objects(
        self, seen: Tensor, cond: Tensor | None, num: int, **options: Any
    ) -> Sequence[trimesh.Trimesh]:
        low, high = seen.amin(dim=0).tolist(), seen.amax(dim=0).tolist()
        return [trimesh.creation.box(bounds=[low, high]) for _ in range(num)]


def test_objects_are_drawn_until_enough_are_whole() -> None:
    found = hoprior.generate_objects("a box", 3, priors=[(1.0, Boxes(broken=2))])
    assert len(found) == 3 and found.draws > 3
    assert found.rejected == {"broken into far pieces": found.draws - 3}
    for sample in found:
        assert sample.measures["object_size_cm"] == pytest.approx(8.0)
        assert sample.object_mesh.volume == pytest.approx(0.08 * 0.05 * 0.03)


def test_none_that_is_whole_is_an_error_that_says_why() -> None:
    with pytest.raises(HopriorError, match=r"none of 4 draws was plausible \(4 broken into far pieces\)"):
        hoprior.generate_objects("a box", 2, priors=[(1.0, Boxes(broken=1))], config=GenerateConfig(draws_each=2))


def test_the_folder_has_objects_a_sheet_and_a_page(tmp_path: Path) -> None:
    found = hoprior.generate_objects("a box", 2, priors=[(1.0, Boxes())])
    folder = found.save(tmp_path / "out")
    index = json.loads((folder / "objects.json").read_text())
    names = {"object_000.glb", "object_001.glb", "objects.json", "objects.png", "config.yaml"}
    assert {path.name for path in folder.iterdir()} == names == set(index["files"])
    assert set(index["objects"][0]["measures"]) < set(index["measures"])
    mesh = trimesh.load_scene(folder / "object_001.glb", process=False).geometry["object"]
    np.testing.assert_allclose(mesh.extents, (0.08, 0.05, 0.03), atol=1e-6)
    assert "object 2" in write_report(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["mesh", "ply points", "glb, y up"])
def test_an_object_is_completed_where_its_part_was_given(form: str, tmp_path: Path) -> None:
    """The top of a bottle that stands at (0.1, 0.2, 0.3): what is drawn lies there, in the file's own frame."""
    part = trimesh.creation.cylinder(0.02, 0.12, sections=24).apply_translation((0.1, 0.2, 0.3))
    given: Any = part
    if form == "ply points":
        given = tmp_path / "part.ply"
        trimesh.PointCloud(trimesh.sample.sample_surface(part, 500, seed=0)[0]).export(given)
    elif form == "glb, y up":
        given = tmp_path / "part.glb"
        part.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0)))
        part.export(given)
    found = hoprior.generate_objects("a bottle", 1, priors=[(1.0, Boxes())], partial=given)[0]
    np.testing.assert_allclose(found.object_mesh.bounds, part.bounds, atol=2e-3)
    assert found.measures["partial_cm"] < 1.0


def test_what_is_seen_to_be_larger_than_draws_may_be_is_completed_all_the_same() -> None:
    hammer = trimesh.creation.cylinder(0.02, 0.33, sections=24)
    found = hoprior.generate_objects("a hammer", 1, priors=[(1.0, Boxes())], partial=hammer)[0]
    assert found.measures["object_size_cm"] == pytest.approx(33, abs=0.5)


def test_points_are_seen_with_z_up(tmp_path: Path) -> None:
    tall = trimesh.creation.box((0.04, 0.04, 0.2)).apply_translation((0, 0, 0.1))
    tall.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0)))  # as glTF stands
    tall.export(tmp_path / "tall.glb")
    points = seen_of(tmp_path / "tall.glb", seed=0).points
    assert points[:, 2].amin() > -0.001 and points[:, 2].amax() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--hand-only", "--object-only"], "leave nothing to draw"),
        (["--partial", "README.md"], "give --object-only too"),
        (["--object-only", "--prior", "contrastive"], "judges but cannot be sampled"),
        (["--object-only", "--prior", "pose"], "draws hands alone"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "generate", "--text", "a mug", *arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert sentence in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("mesh", "sentence"),
    [
        (trimesh.creation.box((100.0, 100.0, 100.0)), "give it in metres"),
        (trimesh.PointCloud(np.zeros((5, 3))), "has 5 points: at least 100 are needed"),
    ],
)
def test_parts_that_are_none_are_refused(mesh: Any, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "part.ply"
    mesh.export(path)
    with pytest.raises(HopriorError, match=sentence):
        hoprior.generate_objects("a mug", 1, priors=[(1.0, Boxes())], partial=path)


def test_the_command_draws_objects_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hoprior.priors.registry._find", lambda name: Boxes())
    out = tmp_path / "out"
    assert main(["run", "generate", "--text", "a box", "--num", "2", "--object-only", "--out", str(out)]) == 0
    assert "2 objects" in capsys.readouterr().err
    assert (out / "report.html").is_file() and (out / "object_001.glb").is_file()
    assert torch.is_grad_enabled()


class Learnt(Boxes):
    """The same, which says what it has learnt."""

    info = hoprior.PriorInfo(things=frozenset({"mug", "teapot"}))


@pytest.mark.parametrize(
    ("text", "said"), [("a kettle", "no kettle (most like it that it has: teapot)"), ("a mug", "")]
)
def test_a_thing_that_was_not_learnt_is_told(text: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    hoprior.generate_objects(text, 1, priors=[(1.0, Learnt())])
    hoprior.generate_objects(text, 1, priors=[(1.0, Boxes())])  # who does not say what it knows, of it nothing is said
    told = [record.getMessage() for record in caplog.records if "learnt" in record.getMessage()]
    assert len(told) == bool(said) and said in "".join(told)
