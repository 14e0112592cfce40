"""Batches for the prior of interactions: objects alone and held, scaled about the palm, told what fits them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trimesh

from hoprior.datasets.samples.cache import Shard
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.datasets.training.datamodule import Augmentation
from hoprior.datasets.training.grasp_table import GraspTable
from hoprior.datasets.training.interaction_vectors import InteractionBatches, said_of
from hoprior.datasets.training.shape_points import ANYWHERE, AROUND, NEAR, ShapePoints, ShapePointsModule, shape_points
from hoprior.geometry.sdf import SdfGrid, signed_distance
from hoprior.geometry.shape_box import FIELD_RESOLUTION, ShapeBox
from hoprior.hand import load_hand
from hoprior.hand.landmarks import PALM_CENTRE

MUG = trimesh.creation.cylinder(0.04, 0.1, sections=32).apply_translation((0.0, 0.0, 0.05))
THINGS = [
    shape_points(MUG, "synthetic-mug_0_00000", "mug", 0),
    shape_points(trimesh.creation.box((0.02, 0.03, 0.2)), "synthetic-knife_0_00000", "knife", 1),
]
CODES = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
TEXT = "a hand drinking from a mug"


def table() -> GraspTable:
    """One grasp of the mug, whose frame begins at its bottom."""
    info = ObjectInfo("mug_0_00000", "mug", "synthetic", "CC0", "mug", "a hand holding a mug")
    T = torch.eye(4)[None].clone()
    T[:, :3, 3] = torch.tensor([-0.1, 0.01, 0.0])
    ids = torch.zeros(1, dtype=torch.long)
    angles = load_hand().relaxed_angles[None]
    grasps = GraspSet(
        info,
        T,
        angles,
        torch.zeros(1, 10),
        torch.zeros(1, 21, 3),
        ids == 0,
        ids,
        ids,
        torch.zeros(1, 3),
        (TEXT,),
        ("",),
    )
    return GraspTable([Shard("key", SdfGrid.from_mesh(MUG), grasps)], 1.0)


def batches(
    tmp_path: Path, scale: tuple[float, float] = (1.0, 1.0), augmentation: Augmentation | None = None, held: bool = True
) -> InteractionBatches:
    augmentation = augmentation or Augmentation.none()
    return InteractionBatches(
        THINGS, CODES, table() if held else None, tmp_path, "minilm", 8, augmentation, scale, seed=0
    )


def test_held_rows_are_the_recorded_grasp_about_the_box(tmp_path: Path) -> None:
    batch = batches(tmp_path)[0]
    held = batch["held"]
    assert held.tolist() == [True] * 4 + [False] * 4
    # The mug's frame begins at its bottom, its box's middle is 5 cm above.
    torch.testing.assert_close(batch["T_box_hand"][held][:, :3, 3], torch.tensor([[-0.1, 0.01, -0.05]] * 4))
    assert (batch["code"][held] == CODES[0]).all()
    torch.testing.assert_close(batch["extents"][held], torch.tensor([[0.08, 0.08, 0.1]] * 4), atol=1e-3, rtol=0)
    angles = load_hand().relaxed_angles[None]
    torch.testing.assert_close(batch["hand_pose"][held], load_hand().angles_to_pose(angles).expand(4, -1, -1))
    assert batch["text"].shape == (8, 1, 384) and not batch["hand_pose"][~held].any()


def test_scaled_objects_keep_their_place_at_the_palm(tmp_path: Path) -> None:
    """What is nearest to the palm stays as near, over the object's size: the whole is scaled about the palm."""
    plain, scaled = batches(tmp_path)[0], batches(tmp_path, scale=(1.5, 1.5))[0]
    torch.testing.assert_close(scaled["extents"], 1.5 * plain["extents"])
    palm = torch.tensor(PALM_CENTRE)

    def at_palm(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return (batch["T_box_hand"][:4, :3, :3] @ palm) + batch["T_box_hand"][:4, :3, 3]

    torch.testing.assert_close(at_palm(scaled), 1.5 * at_palm(plain))


def test_batches_repeat_and_differ(tmp_path: Path) -> None:
    made = batches(tmp_path, (0.9, 1.1), Augmentation(0.1, 0.01, (1.0, 1.0), 0.02))
    again = batches(tmp_path, (0.9, 1.1), Augmentation(0.1, 0.01, (1.0, 1.0), 0.02))
    for name, value in made[3].items():
        assert torch.equal(value, again[3][name]), name
    assert not torch.equal(made[3]["T_box_hand"], made[4]["T_box_hand"])


def test_without_grasps_all_rows_are_objects_alone(tmp_path: Path) -> None:
    batch = batches(tmp_path, held=False)[0]
    assert len(batch["code"]) == 8 and not batch["held"].any()


def test_things_are_told_by_name_use_kind_and_size() -> None:
    said = said_of("pair of tongs", "")
    assert said[0] == said[1] == "a hand holding a pair of tongs"
    assert {"a hand drinking from a mug", "a hand holding a small mug"} <= set(said_of("mug", "small"))
    assert any("tripod grasp" in text for text in said_of("mug", "small"))


def test_distances_are_those_of_the_mesh() -> None:
    thing, box = THINGS[1], ShapeBox.of(trimesh.creation.box((0.02, 0.03, 0.2)).bounds)
    mesh = trimesh.creation.box((0.02, 0.03, 0.2))
    points = box.metres(thing.places.double().numpy())
    expected = torch.from_numpy(signed_distance(mesh, points) / box.scale).float()
    torch.testing.assert_close(thing.distance, expected, atol=1e-4, rtol=1e-3)
    assert len(thing.distance) == NEAR + AROUND + ANYWHERE
    assert thing.distance[:NEAR].abs().mean() < 0.1 < thing.distance[-ANYWHERE:].abs().mean()
    assert thing.field.shape == (1, *[FIELD_RESOLUTION] * 3)
    # A point of the middle is inside, by the half of the thinnest side.
    middle = thing.field[0, FIELD_RESOLUTION // 2, FIELD_RESOLUTION // 2, FIELD_RESOLUTION // 2]
    assert float(middle) * box.scale == pytest.approx(-0.01, abs=0.001)


def test_shapes_are_made_once_and_meshes_have_their_source_s_name(tmp_path: Path) -> None:
    meshes = tmp_path / "meshes"
    meshes.mkdir()
    MUG.export(meshes / "old_mug.ply")

    def module() -> ShapePointsModule:
        return ShapePointsModule(tmp_path / "kept", 2, {"myodm": meshes}, batch_size=2, places=64, val_fraction=0.0)

    things = module().things()
    assert [thing.key for thing in things][-1] == "myodm-old_mug" and things[-1].category == "old mug"
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
    again = module().things()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()} == made
    for one, other in zip(things, again, strict=True):
        assert torch.equal(one.places, other.places) and torch.equal(one.field, other.field)


def test_a_damaged_file_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    module = ShapePointsModule(tmp_path, 1, val_fraction=0.0)
    whole = module.things()[0]
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:200])
    assert torch.equal(ShapePointsModule(tmp_path, 1, val_fraction=0.0).things()[0].distance, whole.distance)
    assert "cannot be read" in caplog.text


def test_every_category_is_drawn_as_often(tmp_path: Path) -> None:
    many: list[ShapePoints] = [replace(THINGS[0], key=f"mug {i}") for i in range(9)] + [THINGS[1]]
    codes = torch.arange(10.0)[:, None]
    made = InteractionBatches(many, codes, None, tmp_path, "minilm", 400, Augmentation.none(), (1.0, 1.0), 0)
    knives = (made[0]["code"] == 9).float().mean()
    assert 0.4 < float(knives) < 0.6
