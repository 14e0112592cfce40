"""Draws that are finished: the hand comes to the object that was drawn, which stays as it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from small_priors import HAND, Knowing, tiny

import hoprior
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import transform_points
from hoprior.physics.bone_crossings import bones_through
from hoprior.priors.records import HandDraws
from hoprior.priors.registry import load_prior
from hoprior.priors.text_encoders import encode_texts
from hoprior.tasks.generate import GenerateConfig
from hoprior.tasks.generate.finishing import finished
from hoprior.tasks.generate.interactions import Sampler
from hoprior.tasks.generate.plausibility import Plausible, whole_object
from hoprior.tasks.generate.request import Request

PALM = torch.tensor([0.1, -0.01, 0.048])


def bottle(radius: float = 0.03) -> trimesh.Trimesh:
    """A cylinder across the palm of a hand at the origin."""
    made = trimesh.creation.cylinder(radius, 0.16, sections=48)
    made.apply_transform(trimesh.geometry.align_vectors([0, 0, 1], [0, 1, 0]))
    return made.apply_translation(PALM.numpy())


def depth_and_gap(mesh: trimesh.Trimesh, hand_pose: torch.Tensor, T: torch.Tensor) -> tuple[float, float, int]:
    """How deep the hand is in the object and how far from it (m), and how many points of its skin touch."""
    verts = HAND(hand_pose[None]).verts[0] @ T[:3, :3].T + T[:3, 3]
    distance = SdfGrid.from_mesh(mesh)(verts)
    return float((-distance).max().clamp(min=0)), float(distance.min().clamp(min=0)), int((distance < 0.005).sum())


@pytest.mark.parametrize("off", [-0.012, 0.015])
def test_a_hand_that_is_off_comes_into_contact(off: float) -> None:
    """Drawn a centimetre too deep, or too far away: it ends at the surface, with more skin on it."""
    mesh = bottle()
    pose = HAND.angles_to_pose(HAND.relaxed_angles[None])
    T = torch.eye(4)[None].clone()
    T[:, 2, 3] = -off
    before = depth_and_gap(mesh, pose[0], T[0])
    found, T_found = finished(mesh, SdfGrid.from_mesh(mesh), pose, T, HAND, "a hand holding a bottle")
    depth, gap, touching = depth_and_gap(mesh, found, T_found)
    assert depth < 0.004 and gap == 0 and touching > 30
    assert depth < before[0] or touching > before[2]
    assert (T_found[:3, 3] - T[0, :3, 3]).norm() < 0.03


@pytest.mark.parametrize("drawn", [HAND.relaxed_angles, HAND.holding_angles], ids=["relaxed", "holding"])
def test_fingers_bend_no_more_than_contact_asks_for(drawn: torch.Tensor) -> None:
    mesh, pose = bottle(), HAND.angles_to_pose(drawn[None])
    found, _ = finished(mesh, SdfGrid.from_mesh(mesh), pose, torch.eye(4)[None], HAND, "a hand holding a bottle")
    changed = (HAND.pose_to_angles(found[None])[0] - drawn).abs().mean()
    assert 0.02 < changed < 0.13, "left to contact alone they change by .16 radians"


def test_the_best_of_several_hands_is_kept() -> None:
    """One hand holds the bottle, the other is turned away from it, its back to the thing."""
    mesh = bottle()
    pose = HAND.angles_to_pose(HAND.relaxed_angles.expand(2, -1, -1))
    away = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    away[:3, 3] = torch.tensor([0.0, 0.0, 0.005])
    for order in ([0, 1], [1, 0]):
        places = torch.stack([torch.eye(4), away])[order]
        _, T = finished(mesh, SdfGrid.from_mesh(mesh), pose, places, HAND, "a hand holding a bottle")
        assert (T[:3, :3] - torch.eye(3)).abs().max() < 0.5


def test_a_hand_that_goes_through_a_thin_wall_is_not_the_best() -> None:
    """A sheet as thin as a wine glass's wall, of which distances on a grid know little: fingers are through it."""
    sheet = trimesh.creation.box((0.0012, 0.2, 0.2))
    sdf = SdfGrid.from_mesh(sheet, resolution=24)
    pose = torch.cat([HAND.angles_to_pose(HAND.relaxed_angles[None]), torch.zeros(1, 15, 3)])
    through, behind = torch.eye(4), torch.eye(4)
    through[:3, 3] = -PALM - torch.tensor([0.02, 0.0, 0.0])
    behind[:3, :3] = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    behind[:3, 3] = -behind[:3, :3] @ torch.tensor([0.1, 0.0, -0.022])
    places = torch.stack([through, behind])
    assert bones_through(sheet, transform_points(places, HAND.joints_only(pose))).tolist() == [3, 0]
    for order in ([0, 1], [1, 0]):
        found, T = finished(sheet, sdf, pose[order], places[order], HAND, "a hand holding a plate")
        assert bones_through(sheet, transform_points(T[None], HAND.joints_only(found[None])))[0] == 0


class Offering(Knowing):
    """Draws a ball with a hand far inside it, and offers the hand that holds it when asked for others."""

    def sample_hands_at(self, sdf: SdfGrid, cond: object, num: int, **options: object) -> HandDraws:
        self.asked = num
        assert float(sdf(PALM[None])) < 0
        return HandDraws(torch.eye(4).repeat(num, 1, 1), HAND.angles_to_pose(HAND.relaxed_angles.expand(num, -1, -1)))


def test_a_draw_is_finished_with_the_object_as_it_was() -> None:
    prior = tiny(Offering)
    prior.text_encoder_name = None
    options = {"prior": prior, "steps": 10, "device": "cpu"}
    drawn = hoprior.generate("a ball", 1, config=GenerateConfig(finish=False), **options)[0]
    sample = hoprior.generate("a ball", 1, config=GenerateConfig(hands=3), **options)[0]
    assert prior.asked == 2
    assert sample.measures["gap_cm"] == 0 and sample.measures["max_depth_cm"] < 0.5
    assert sample.object_mesh.volume == pytest.approx(drawn.object_mesh.volume, rel=1e-4)
    assert sample.object_mesh.area == pytest.approx(drawn.object_mesh.area, rel=1e-4)
    output = HAND(*(torch.tensor(getattr(sample, name))[None] for name in ("hand_pose", "betas")))
    np.testing.assert_allclose(output.verts[0], sample.verts_hand, atol=1e-5)
    distance = SdfGrid.from_mesh(sample.object_mesh)(torch.from_numpy(sample.verts_hand))
    assert 100 * float((-distance).max()) == pytest.approx(sample.measures["max_depth_cm"], abs=0.02)


def test_hands_are_told_of_the_use_and_objects_of_the_thing_alone() -> None:
    """Then the hand that came with the object is none of those that are told."""
    told = []

    class Hearing(Offering):
        def sample_interactions(self, cond: Any, *args: Any, **options: Any) -> Any:
            told.append(float(cond.mean()))
            return super().sample_interactions(cond, *args, **options)

        def sample_hands_at(self, sdf: SdfGrid, cond: Any, num: int, **options: object) -> HandDraws:
            told.append(float(cond.mean()))
            return super().sample_hands_at(sdf, cond, num, **options)

    prior, use, thing = tiny(Hearing), torch.ones(1, 1, 6), torch.zeros(1, 1, 6)
    config = GenerateConfig(hands=3, steps=10, draws_each=1)
    for of_object, heard, offered in ((None, [1.0, 1.0], 2), (thing, [0.0, 1.0], 3)):
        told.clear()
        sampler = Sampler(prior, use, HAND, 0, torch.device("cpu"), config, 1.0, "a ball", of_object)
        assert len(sampler.draw(1)) == 1
        assert told == heard and prior.asked == offered


def test_what_is_said_of_the_object_leaves_out_its_use() -> None:
    prior = load_prior("interaction")
    plain = encode_texts(prior, ["a hand holding a teapot"])
    for text, expected in (
        ("a hand pouring from a teapot", plain),
        ("a teapot", None),
        ("pouring from a kettle", plain),
        ("a samovar", None),
    ):
        asked = Request.of(text, 1, [(1.0, prior)], "open", "right", 0, "cpu", GenerateConfig())
        found = asked.object_condition(prior)
        assert (found is None) == (expected is None) and (expected is None or torch.equal(found, expected))


@pytest.mark.parametrize(
    ("parts", "fault", "pieces"),
    [
        ([(0.04, 0.0)], None, 1),
        ([(0.04, 0.0), (0.004, 0.06)], None, 1),
        ([(0.04, 0.0), (0.03, 0.08)], None, 2),
        ([(0.04, 0.0), (0.03, 0.12)], "broken into far pieces", 2),
        ([(0.008, 0.0)], "with an object too small", 1),
        ([(0.2, 0.0)], "with an object too large", 1),
    ],
)
def test_objects_that_come_as_meshes_are_judged_alike(
    parts: list[tuple[float, float]], fault: str | None, pieces: int
) -> None:
    balls = [trimesh.creation.icosphere(radius=r).apply_translation((x, 0, 0)) for r, x in parts]
    measures: dict[str, float] = {}
    kept, found = whole_object(sum(balls[1:], start=balls[0]), measures, Plausible())
    assert found == fault and measures["object_pieces"] == pieces
    assert kept is not None and len(kept.split()) == max(pieces, 1)


def test_a_hollow_within_stays_hollow() -> None:
    """A shell's inner side is no piece of its own, and no crumb."""
    outer, inner = (trimesh.creation.icosphere(radius=r) for r in (0.05, 0.045))
    inner.invert()
    kept, fault = whole_object(outer + inner, {}, Plausible())
    assert fault is None and kept is not None
    assert kept.volume == pytest.approx(outer.volume + inner.volume)


def test_nothing_is_no_object() -> None:
    assert whole_object(trimesh.Trimesh(), {}, Plausible()) == (None, "without an object")


def test_what_is_thrown_away_is_shown_on_request(tmp_path: Path) -> None:
    prior = tiny(Knowing)
    prior.text_encoder_name = None
    prior.fails = staticmethod(lambda latent: latent > 0)  # type: ignore[assignment]
    options = {"prior": prior, "steps": 10, "device": "cpu"}
    samples = hoprior.generate("a ball", 3, config=GenerateConfig(finish=False, show_rejected=True), **options)
    assert {draw.reason for draw in samples.shown_rejected} == {"without an object"}
    assert len(samples.shown_rejected) == samples.draws - 3 > 0
    folder = samples.save(tmp_path / "out")
    assert "samples_rejected.png" in json.loads((folder / "samples.json").read_text())["files"]
    assert np.asarray(Image.open(folder / "samples_rejected.png")).std() > 5
    # Not asked for, they are gone with the earlier result.
    hoprior.generate("a ball", 3, config=GenerateConfig(finish=False), **options).save(folder)
    assert not (folder / "samples_rejected.png").exists()
