"""Are objects what they are called: draws whose name is known, and draws of nothing."""

from collections.abc import Sequence

import pytest
import torch
import trimesh

from hoprior.datasets.benchmarks.recorded_grids import read_recorded
from hoprior.datasets.samples.cache import Shard, write_index, write_shard
from hoprior.datasets.samples.sample import ObjectInfo
from hoprior.datasets.samples.skin import posed_set
from hoprior.evaluation.prior_quality import Truth
from hoprior.evaluation.whole_objects import Shapes, measure_objects
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import load_hand

SIDES = {"cube": (0.06, 0.06, 0.06), "rod": (0.02, 0.02, 0.14), "plate": (0.1, 0.1, 0.02)}
SHAPES = {name: trimesh.creation.box(sides) for name, sides in SIDES.items()} | {
    "ball": trimesh.creation.icosphere(3, 0.03)
}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Three objects of each kind, of which one in three is held out."""
    folder, hand, entries = tmp_path_factory.mktemp("cache"), load_hand(), []
    for name, mesh in SHAPES.items():
        for k in range(3):
            info = ObjectInfo(f"{name}{k}", name, "stub", "CC0", "made-up", name)
            T = torch.eye(4).repeat(2, 1, 1)
            angles = hand.relaxed_angles.repeat(2, 1, 1)
            grasps = posed_set(info, hand, angles, T, recorded=True, sentences=(f"a hand holding a {name}",))
            sdf = SdfGrid.from_mesh(mesh.copy().apply_scale(1 + 0.05 * k), resolution=24)
            path = write_shard(folder, Shard(f"{k}" * 12, sdf, grasps))
            entries.append({"file": path.name, "object": info.key, "source": "stub", "category": name})
            entries[-1] |= {"recorded": 2, "background": 0}
    write_index(folder, entries)
    return Truth(read_recorded(folder, GridSpec((0.09, 0.0, 0.03), 0.14, 8), 1 / 3), "val", hand)


def named(text: str) -> str:
    """The kind that a sentence asks for."""
    return next(name for name in SHAPES if name in text)


def test_draws_of_what_is_asked_for_are_that_and_others_are_not(truth: Truth) -> None:
    def right(texts: Sequence[str], seed: int) -> list[trimesh.Trimesh]:
        return [SHAPES[named(text)].copy().apply_scale(1.03) for text in texts]

    def always_balls(texts: Sequence[str], seed: int) -> list[trimesh.Trimesh]:
        return [SHAPES["ball"] for _ in texts]

    kinds = len({info.category for info in truth.grasps["train"].table.objects})
    found = measure_objects(truth, right, 2 * kinds, 0)
    assert found["drawn alone"]["accuracy"] == 1 and found["held out alone"]["accuracy"] == 1
    assert measure_objects(truth, always_balls, 2 * kinds, 0)["drawn alone"]["accuracy"] == pytest.approx(1 / kinds)


def test_a_draw_of_nothing_is_not_what_was_asked_for(truth: Truth) -> None:
    found = measure_objects(truth, lambda texts, seed: [trimesh.Trimesh() for _ in texts], 4, 0)
    assert found["drawn alone"]["accuracy"] == 0


def test_where_an_object_is_does_not_count_and_its_size_does() -> None:
    cube = SHAPES["cube"]
    grids = [cube, cube.copy().apply_translation((0.3, 0.1, 0.0)), cube.copy().apply_scale(1.2)]
    away = (of := Shapes.of([SdfGrid.from_mesh(mesh, 32) for mesh in grids])).distances(of)
    assert away[0, 1] < 0.01 and away[0, 2] == pytest.approx(torch.tensor(1.2).log().item(), abs=0.02)
