"""Grasps with something around the object: tables, other things, parts left free or held; hands of any size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

import hoprior
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import prepare_mesh
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import load_hand
from hoprior.hand.base import hand_length
from hoprior.hand.placement import LocalSearchConfig
from hoprior.physics.surroundings import FOREARM_LENGTH, FOREARM_RADIUS
from hoprior.results.grasps import GraspResults
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig
from hoprior.tasks.grasp.faults import FaultWeights
from hoprior.tasks.grasp.parts_told import PartFinder, is_mesh

SMALL = GraspConfig(
    pool=128,
    local_search=LocalSearchConfig(1),
    spare=0.0,
    guiding=DescentConfig(5),
    refining=DescentConfig(25),
    faults=FaultWeights(simulate=False),
)


def can() -> trimesh.Trimesh:
    return trimesh.creation.cylinder(radius=0.03, height=0.16, sections=24)


def grasped(mesh: Any, **options: Any) -> GraspResults:
    return hoprior.grasp(mesh, **{"num": 2, "priors": [], "config": SMALL, **options})


def clearance(results: GraspResults, up: np.ndarray, height: float) -> list[float]:
    """How far (m) hand and forearm are above a plane."""
    above = []
    for grasp in results:
        wrist = grasp.T_object_hand[:3, 3]
        elbow = wrist - FOREARM_LENGTH * grasp.T_object_hand[:3, 0]
        lowest = min(float(up @ wrist), float(up @ elbow)) - FOREARM_RADIUS
        above.append(min(lowest, float((grasp.verts_object @ up).min())) - height)
    return above


@pytest.mark.parametrize("side", ["right", "left"])
def test_hands_and_forearms_stay_off_the_table(side: str) -> None:
    results = grasped(can(), table="auto", side=side)
    table = results.config["table"]
    assert table == {"up": [0.0, 0.0, 1.0], "height": pytest.approx(-0.08, abs=1e-4)}
    assert min(clearance(results, np.array(table["up"]), table["height"])) > -1e-5
    assert all(grasp.scores["in_the_way"] == 0 for grasp in results)


@pytest.mark.parametrize(("told", "axis"), [("y=-3cm", 1), ("y=-0.03", 1), ("-x=-0.03", 0)])
def test_a_table_is_where_it_is_told(told: str, axis: int) -> None:
    lying = can().apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [0, 1, 0]))
    if axis == 0:
        lying = can()
    results = grasped(lying, table=told, num=1)
    up = np.zeros(3)
    up[axis] = -1.0 if told.startswith("-") else 1.0
    assert results.config["table"] == {"up": up.tolist(), "height": pytest.approx(-0.03)}
    assert min(clearance(results, up, -0.03)) > -1e-5


def test_a_table_goes_with_its_object(tmp_path: Path) -> None:
    moved = can().apply_translation([0.25, -0.5, 1.0])
    here, there = grasped(can(), table="auto"), grasped(moved, table="z=0.92")
    assert there.config["table"]["height"] == pytest.approx(0.92)
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(b.verts_object - [0.25, -0.5, 1.0], a.verts_object, atol=1e-3)


def test_without_options_nothing_is_told_of_surroundings() -> None:
    results = grasped(can(), num=1)
    assert not {"table", "scene", "avoid", "avoid_mesh", "contact_on"} & results.config.keys()
    assert "in_the_way" not in results[0].scores


def test_hands_touch_nothing_of_a_scene(tmp_path: Path) -> None:
    wall = trimesh.creation.box(bounds=[[0.04, -0.5, -0.5], [0.06, 0.5, 0.5]])
    wall.export(tmp_path / "wall.glb")
    for scene in (wall, tmp_path / "wall.glb"):
        results = grasped(can(), scene=scene)
        assert max(float(grasp.verts_object[:, 0].max()) for grasp in results) < 0.04


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_part_in_a_mesh_is_left_free_or_held(side: str) -> None:
    upper = trimesh.creation.box(bounds=[[-0.05, -0.05, 0.02], [0.05, 0.05, 0.1]])
    free = grasped(can(), avoid_mesh=upper, side=side)
    assert max(float(grasp.verts_object[:, 2].max()) for grasp in free if grasp.scores["in_the_way"] == 0) < 0.02

    def at_top(results: GraspResults) -> float:
        near = [np.linalg.norm(g.verts_object[:, :2], axis=1) < 0.04 for g in results]
        return float(np.mean([(g.verts_object[k, 2] > 0.02).mean() for g, k in zip(results, near, strict=True)]))

    held = grasped(can(), contact_on=upper, num=4, side=side)
    assert all("contact_on" in grasp.scores for grasp in held)
    assert at_top(held) > 0.5


def test_hands_are_of_the_length_that_is_said() -> None:
    child = grasped(can(), hand_length="13cm", num=1)
    hand = load_hand()
    betas, pose = (torch.from_numpy(x)[None].float() for x in (child[0].betas, child[0].hand_pose))
    # What files keep gives the hand that was searched.
    made = hand(pose, betas).verts[0].double().numpy()
    T = child[0].T_object_hand.astype(float)
    np.testing.assert_allclose(made @ T[:3, :3].T + T[:3, 3], child[0].verts_object, atol=1e-5)
    assert hand_length(hand.shaped(betas[0])) == pytest.approx(0.13, abs=1e-4)
    assert child.config["betas"] == pytest.approx(child[0].betas.tolist(), abs=1e-5)
    assert not np.any(grasped(can(), num=1)[0].betas)


def box_around() -> trimesh.Trimesh:
    """A box whose walls are a centimetre from the can."""
    inner = trimesh.creation.box((0.08, 0.08, 0.18))
    inner.invert()
    return trimesh.util.concatenate([trimesh.creation.box((2.0, 2.0, 2.0)), inner])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (lambda: {"table": "z=0.01"}, "goes through the object"),
        (lambda: {"table": "shelf"}, "is no table: use auto"),
        (lambda: {"table": "z=low"}, "has no height"),
        (lambda: {"table": "auto", "up": "any"}, "cannot tell how the object stands"),
        (can, "holds the object itself"),
        (lambda: trimesh.creation.box((0.04, 0.3, 0.3)), "goes through the object"),
        (box_around, "no hand has room"),
        (lambda: {"avoid": "the blade"}, "is found by the prior of parts"),
        (lambda: {"contact_on": "the blade"}, "is found by the prior of parts"),
        (lambda: {"avoid": " "}, "names no part"),
        (lambda: {"avoid_mesh": can().apply_translation([1, 0, 0])}, "touches no part of"),
        (lambda: {"contact_on": can().apply_translation([1, 0, 0])}, "touches no part of"),
        (lambda: {"scene": Path("none.glb")}, "none.glb"),
        (lambda: {"hand_length": "31cm"}, "is no hand's"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(options: Callable[[], Any], words: str) -> None:
    made = options()
    with pytest.raises(HopriorError) as raised:
        grasped(can(), **({"scene": made} if isinstance(made, trimesh.Trimesh) else made))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


class KnowsTop:
    """A prior of parts for which every part is the upper end."""

    text_encoder_name = "minilm"

    def __init__(self, high: float, low: float = 0.01) -> None:
        self.high, self.low = high, low

    def at_object(self, sdf: SdfGrid) -> "KnowsTop":
        return self

    def likelihood_at(self, points: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        return torch.where(points[:, 2] > 0.04, self.high, self.low)

    def energy(self, state: Any, cond: torch.Tensor | None = None) -> torch.Tensor:
        return state.joints_hand.new_zeros(len(state))


def test_a_part_is_found_where_a_prior_sees_it_and_refused_where_it_sees_none() -> None:
    surface = prepare_mesh(can(), "can")
    sdf = SdfGrid.from_mesh(surface, resolution=24)
    found = PartFinder(surface, sdf, [KnowsTop(0.9)], "a hand holding a gizmo").called("avoid", "the lid")
    assert len(found) > 50
    assert found[:, 2].min() > 0.04
    for prior in (KnowsTop(0.1), KnowsTop(0.5, low=0.4), KnowsTop(0.9, low=0.85)):
        with pytest.raises(HopriorError, match="is not found on 'can'"):
            PartFinder(surface, sdf, [prior], "a hand holding a gizmo").called("avoid", "the lid")
    # A mug has no blade, so more is asked for before one is believed.
    for said, refused in (("a hand holding a mug", True), ("a hand holding a gizmo", False)):
        finder = PartFinder(surface, sdf, [KnowsTop(0.4)], said)
        if refused:
            with pytest.raises(HopriorError):
                finder.called("avoid", "the blade")
        else:
            assert len(finder.called("avoid", "the blade"))


def test_a_handle_that_shape_tells_is_found_without_a_prior() -> None:
    bat = trimesh.boolean.union(
        [
            trimesh.creation.box((0.14, 0.03, 0.025)),
            trimesh.creation.box((0.16, 0.16, 0.006)).apply_translation([0.14, 0.0, 0.0]),
        ]
    )
    surface = prepare_mesh(bat, "bat")
    sdf = SdfGrid.from_mesh(surface, resolution=24)
    found = PartFinder(surface, sdf, [], "a hand holding a racket").called("contact_on", "the handle")
    assert found[:, 0].min() > -0.071 and found[:, 0].max() < 0.08
    with pytest.raises(HopriorError, match="prior of parts"):
        PartFinder(surface, sdf, [], "a hand holding a hammer").called("contact_on", "the handle")


def test_words_and_files_are_told_apart() -> None:
    assert [is_mesh(given) for given in ("the handle", "handle.obj", Path("x"), can())] == [False, True, True, True]
