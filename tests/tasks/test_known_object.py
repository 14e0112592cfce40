"""Reconstruction of an object whose mesh is given, or one that is like it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import trimesh
from held_box import FILM, HAND, QUICK, QUICK_OPTIONS, held_box
from torch import Tensor

from hoprior.cli import main
from hoprior.datasets.clips.clip import Clip, read_clip
from hoprior.datasets.clips.film import film
from hoprior.errors import ArgumentError, HopriorError
from hoprior.geometry.mesh import prepare_mesh
from hoprior.geometry.rest_pose import rest_poses
from hoprior.geometry.rotations import rotmat_geodesic_distance, rotvec_to_rotmat
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState, rigid
from hoprior.hand import load_hand
from hoprior.metrics.object_pose import object_pose_errors, symmetries
from hoprior.results.reconstructions import INDEX
from hoprior.tasks.reconstruct.fit import Fit
from hoprior.tasks.reconstruct.frame_views import FrameViews
from hoprior.tasks.reconstruct.known_object import (
    KnownObject,
    _best,
    _filmed_so,
    _judge,
    _with_look_alikes,
)
from hoprior.tasks.reconstruct.known_views import KnownViews, Track
from hoprior.tasks.reconstruct.object_track import Body, _shifted, _shifted_downhill
from hoprior.tasks.reconstruct.task import reconstruct
from hoprior.tasks.reconstruct.visual_hull import Carver

SHORT = replace(QUICK, hand_steps=12, steps=10, rounds=1, register_steps=20, resolution=32)
EXACT = replace(FILM, size=192, hand_noise=1e-5, keypoint_noise=0.0, mask_noise=0.0)


def bracket() -> trimesh.Trimesh:
    """A thing without any symmetry."""
    parts = [trimesh.creation.box(size) for size in ((0.03, 0.03, 0.14), (0.03, 0.08, 0.03), (0.06, 0.02, 0.02))]
    for part, place in zip(parts, ((0, 0, 0), (0, 0.04, 0.055), (0.03, 0, -0.06)), strict=True):
        part.apply_translation(place)
    return trimesh.boolean.union(parts, engine="manifold")


def beaker() -> trimesh.Trimesh:
    """A thing whose wall is thin, and which is hollow behind it."""
    outside, inside = trimesh.creation.cylinder(0.035, 0.1), trimesh.creation.cylinder(0.033, 0.1)
    inside.apply_translation((0, 0, 0.002))
    return trimesh.boolean.difference([outside, inside], engine="manifold")


def clip_of(mesh: trimesh.Trimesh, side: str, place: Path, size: int = EXACT.size) -> Clip:
    """A clip of a hand with a thing before its palm, without any error in hands and masks, filmed into a new folder."""
    place.mkdir()
    scene = held_box()
    away = torch.eye(4)
    away[2, 3] = -0.03
    scene = replace(scene, name="thing", mesh=mesh, T_object_hand=away @ scene.T_object_hand)
    film(scene, load_hand(side=side), place, replace(EXACT, size=size))
    return read_clip(place)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return clip_of(bracket(), "right", tmp_path_factory.mktemp("clips") / "bracket")


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_known_object_is_found_where_it_is(side: str, tmp_path: Path) -> None:
    clip = clip_of(bracket(), side, tmp_path / "bracket")
    assert clip.truth is not None
    result = reconstruct(clip, mesh=clip.truth.mesh, priors=(), config=SHORT)
    assert result.metrics["object_turn_deg"] < 25 and result.metrics["object_shift_cm"] < 2
    assert result.metrics["f5"] > 0.99
    np.testing.assert_allclose(result.object_mesh.bounds, clip.truth.mesh.bounds, atol=1e-6)
    assert not any("the mesh misses its masks" in note for note in result.notes)


def test_a_mesh_of_any_size_and_turn_is_brought_to_the_masks(clip: Clip) -> None:
    assert clip.truth is not None
    like = clip.truth.mesh.copy()
    like.apply_transform(trimesh.transformations.euler_matrix(1.0, 2.0, 0.5))
    like.apply_scale(40.0)
    result = reconstruct(clip, init_mesh=like, priors=(), config=SHORT)
    size, true = (
        np.sort(mesh.bounding_box_oriented.primitive.extents) for mesh in (result.object_mesh, clip.truth.mesh)
    )
    np.testing.assert_allclose(size, true, rtol=0.3)
    assert result.metrics["f10"] > 0.9


def test_another_object_is_noticed(clip: Clip) -> None:
    result = reconstruct(clip, mesh=trimesh.creation.cylinder(0.01, 0.6), priors=(), config=SHORT)
    assert any("the mesh misses its masks by" in note for note in result.notes)
    assert "object_turn_deg" not in result.metrics


class ZUp:
    """An energy that wants the object's z axis along the hand's, or against it."""

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Tensor:
        return -20 * self.sign * state.T_object_hand[:, 2, 2]


FLIPPED = torch.diag(torch.tensor([1.0, -1.0, -1.0]))


def test_judges_choose_among_tracks_with_one_outline(clip: Clip) -> None:
    assert clip.truth is not None
    known, scene = KnownObject(prepare_mesh(clip.truth.mesh)), Fit(clip, HAND, (), None, SHORT).scene
    turn = torch.stack([torch.eye(3), FLIPPED])[:, None].expand(2, 2, 3, 3)
    T = rigid(turn, torch.tensor([0.1, 0.0, 0.05]).expand(2, 2, 3))
    found = Track.beginning(turn, T[..., :3, 3], torch.ones(2))
    for sign, best in ((1.0, 0), (-1.0, 1)):
        liked = _judge(scene, known, known.distance, torch.tensor([0, 2]), [(1.0, ZUp(sign))], None)(
            T, T, torch.ones(2)
        )
        assert _best(found._replace(cost=torch.tensor([0.0040, 0.0041])), liked) == best
        # What the masks rule out no judge brings back.
        assert _best(found._replace(cost=torch.tensor([0.004, 0.02])), liked) == 0


def seen(clip: Clip) -> tuple[KnownViews, Track]:
    """What an exact clip shows of its object, and its true track."""
    truth = clip.truth
    assert truth is not None
    body, index = Body.of(truth.mesh, 300, 0), torch.arange(len(clip))
    scene, distance = Fit(clip, HAND, (), None, SHORT).scene, SdfGrid.from_mesh(truth.mesh, 48)
    views = KnownViews.of(scene, clip, Carver.of(clip), body, distance, index, (60, 60), 0, exact=True)
    T = (truth.T_camera_hand @ truth.T_hand_object).float()
    place = T[:, :3, :3] @ body.middle + T[:, :3, 3]
    return views, Track.beginning(T[None, :, :3, :3], place[None], torch.ones(1))


@pytest.mark.parametrize("moved", ["nearer", "farther", "aside", "turned", "larger", "smaller"])
def test_the_true_track_agrees_best_with_what_was_seen(clip: Clip, moved: str) -> None:
    views, truth = seen(clip)
    index = torch.arange(len(views))
    away = {"nearer": (0.0, 0.0, -0.03), "farther": (0.0, 0.0, 0.03), "aside": (0.01, 0.0, 0.0)}.get(moved, (0.0,) * 3)
    turn = rotvec_to_rotmat(torch.tensor([0.0, 0.2 * (moved == "turned"), 0.0]))
    wrong = truth._replace(
        turn=turn @ truth.turn,
        place=truth.place + torch.tensor(away),
        size=truth.size * {"larger": 1.1, "smaller": 0.9}.get(moved, 1.0),
    )
    exact, missed = (1000 * float(views.misses(track, index)) for track in (truth, wrong))
    assert exact < 1.5 and missed > exact + 0.7


def test_a_hollow_thing_that_looks_too_large_misses_its_outline_as_one_that_looks_too_small(tmp_path: Path) -> None:
    views, truth = seen(clip_of(beaker(), "right", tmp_path / "beaker"))
    index = torch.arange(len(views))
    exact, *missed = (
        1000
        * float(
            views.outline.misses(
                views.distance,
                truth.turn,
                truth.place * (1 + nearer),
                truth.size,
                views.body.middle,
                views.radius,
                index,
            )
        )
        for nearer in (0.0, -0.1, 0.1)
    )
    assert exact < 1 and missed[0] == pytest.approx(missed[1], rel=0.3), "its wall is .2 cm, its radius 3.5"


def test_turns_are_compared_where_they_fit_best(clip: Clip) -> None:
    views, truth = seen(clip)
    points = views.body.points @ truth.turn.mT
    beside = truth.place[0] + torch.tensor([0.02, -0.01, 0.0]) + 0.05 * truth.place[0] / truth.place[0, :, 2:]
    (still, before), (shift, after) = (
        _shifted_downhill(views.views, points, beside, views.body.spacing, steps) for steps in (0, 8)
    )
    assert not still.any() and float(after) < 0.5 * float(before)
    off = (_shifted(beside, shift)[0] - truth.place[0]).abs().mean(dim=0)
    assert off[:2].max() < 0.008 and off[2] < 0.03


def test_a_track_that_begins_beside_the_true_one_ends_there(tmp_path: Path) -> None:
    """To less than a pixel, which is a centimetre of depth here: of pixels of 2 mm rounding decided it."""
    views, truth = seen(clip_of(bracket(), "right", tmp_path / "bracket", size=256))
    start = truth._replace(
        turn=rotvec_to_rotmat(torch.tensor([0.2, -0.15, 0.1])) @ truth.turn,
        place=truth.place + torch.tensor([0.01, -0.01, 0.02]),
    )
    found = views.descend(start, 60, 0.05, sized=True)
    off = rotmat_geodesic_distance(found.turn[0], truth.turn[0]).mean()
    assert torch.rad2deg(off) < 6 and (found.place - truth.place).norm(dim=2).mean() < 0.012  # pixels of 1.5 mm
    assert float(found.size) == 1 and found.cost > found.miss
    grown = views.descend(start._replace(size=torch.tensor([0.85])), 90, 0.05, sized=False)
    assert float(grown.size) > 0.9


def test_errors_of_hands_are_unusual_and_so_are_slips_of_the_object_in_them(clip: Clip) -> None:
    views, truth = seen(clip)
    errors = torch.randn(1, len(views), 6, generator=torch.Generator().manual_seed(0))
    mistaken = replace(views, views=replace(views.views, T_camera_hand=views.hands(errors)[0]))
    assert mistaken.unusual(truth) > views.unusual(truth) + 1
    shifts = errors * torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    shifted = replace(views, views=replace(views.views, T_camera_hand=views.hands(shifts)[0]))
    torch.testing.assert_close(shifted.hands(-shifts)[0], views.views.T_camera_hand, rtol=0, atol=1e-5)
    slipping = truth._replace(place=truth.place + torch.linspace(0, 0.04, len(views))[:, None])
    assert views.unusual(slipping) > views.unusual(truth) + 1


def test_what_looks_alike_is_tried_too(clip: Clip) -> None:
    views, truth = seen(clip)
    k, both = len(views) // 2, _with_look_alikes(views, truth, 1)
    assert len(both.turn) == 8 and torch.equal(both.turn[0], truth.turn[0])
    assert torch.allclose(both.turn.det(), torch.ones(both.turn.shape[:2]), atol=1e-4), "turns, no mirrors"
    apart = [rotmat_geodesic_distance(both.turn[:1, k], both.turn[j : j + 1, k]) for j in range(1, 8)]
    assert min(apart) > 0.05
    # In depth they are mirrored: what leant towards the camera leans away from it.
    ray = F.normalize(truth.place[0, k], dim=0)
    longest = torch.linalg.eigh(views.body.points.T @ views.body.points)[1][:, 2]
    leans = (both.turn[:, k] @ longest) @ ray
    assert leans.abs().sub(leans[0].abs()).abs().max() < 1e-4 and (leans > 0).sum() == (leans < 0).sum() == 4


def test_of_tracks_with_one_outline_the_one_is_likelier_that_stands_upright_in_the_picture() -> None:
    rest = rest_poses(trimesh.creation.cylinder(0.03, 0.1), "z")
    assert rest is not None
    upright = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.3, -1.0], [0.0, 1.0, 0.3]])  # the picture's up is -y
    turn = torch.stack([upright, upright @ FLIPPED])[:, None]
    for T, best in ((turn, 0), (turn.flip(0), 1)):
        assert int(_filmed_so(T, rest).argmax()) == best


def test_what_lies_beyond_an_edge_that_cuts_through_it_misses_nothing(clip: Clip) -> None:
    views, truth = seen(clip)
    size, column = views.views.edges.shape[-1], int(clip.object_mask[0].nonzero()[:, 1].float().mean())
    # The picture ends in the object's middle: the crop as well, and nobody knows what is beyond its last columns.
    cut = replace(
        clip,
        **{name: F.pad(getattr(clip, name)[..., :column], (size - column, 0)) for name in ("object_mask", "hand_mask")},
        intrinsics=clip.intrinsics + torch.tensor([0.0, 0.0, float(size - column), 0.0]),
    )
    known = torch.ones_like(clip.known)
    scene, index = Fit(cut, HAND, (), None, SHORT).scene, torch.arange(len(clip))
    camera = (views.body.points @ truth.turn[0].mT + truth.place[0][:, None])[None]
    spacing = torch.tensor([views.body.spacing])
    missed = []
    for told in (known, known.index_fill(2, torch.arange(size - 4, size), 0.0)):
        film = replace(cut, known=told)
        shown = FrameViews.of(scene, film, Carver.of(film), index, 0, 60)
        missed.append(1000 * float(shown.misses(camera, spacing, index)[0, 0]))
    assert missed[0] > 3 and missed[1] < 1


def test_a_run_with_a_known_object_goes_on_after_a_kill(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clip.truth is not None
    known = KnownObject(prepare_mesh(clip.truth.mesh))
    whole = Fit(clip, HAND, (), None, SHORT, known=known).run()
    monkeypatch.setattr("hoprior.tasks.reconstruct.checkpoint.CHECKPOINT_SECONDS", 0.0)

    def kill(stage: str, share: float, losses: dict[str, float]) -> None:
        if share > 0.6:
            raise KeyboardInterrupt

    file = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        Fit(clip, HAND, (), None, SHORT, known=known, checkpoint=file).run(kill)
    said: list[Any] = []
    again = Fit(clip, HAND, (), None, SHORT, known=known, checkpoint=file)
    resumed = again.run(say=said.append)
    assert said[0].startswith("resumed") and again.mesh_miss is not None
    torch.testing.assert_close(resumed.place().T_hand_object, whole.place().T_hand_object, rtol=0, atol=1e-4)
    Fit(clip, HAND, (), None, SHORT, checkpoint=file).run(say=said.append)
    assert said[1].startswith("started anew, because the object's mesh")


def test_the_command_takes_a_mesh_and_a_number_of_frames(folder: Path, tmp_path: Path) -> None:
    out, mesh = tmp_path / "out", folder / "oObj.obj"
    settings = [*QUICK_OPTIONS, "--config.frames=3", "--no-report"]
    told = ["--clip", str(folder), "--mesh", str(mesh), "--mesh-unit", "m", "--frames", "3", "--prior", "none"]
    assert main(["run", "reconstruct", *told, "--out", str(out), *settings]) == 0
    index = json.loads((out / INDEX).read_text())
    assert index["frame"] == [0, 2, 4] and index["config"]["mesh"] == str(mesh)
    assert {"object_turn_deg", "object_shift_cm"} <= set(index["metrics"])
    found, given = (trimesh.load(file, force="mesh").bounds for file in (out / "object.ply", mesh))
    np.testing.assert_allclose(found, given, atol=1e-5)


def test_meshes_that_cannot_be_used_are_named(clip: Clip, tmp_path: Path) -> None:
    box = trimesh.creation.box((0.1, 0.1, 0.1))
    with pytest.raises(ArgumentError, match=r"init_mesh.* contradicts a mesh that is known"):
        reconstruct(clip, mesh=box, init_mesh=box, priors=())
    with pytest.raises(HopriorError, match="no such file"):
        reconstruct(clip, mesh=tmp_path / "none.obj", priors=())
    flat = trimesh.Trimesh(np.zeros((3, 3)), [[0, 1, 2]], process=False)
    with pytest.raises(HopriorError, match="init_mesh: the mesh has no extent"):
        reconstruct(clip, init_mesh=flat, priors=())


def test_a_turn_counts_up_to_symmetries() -> None:
    can = trimesh.creation.cylinder(0.03, 0.12)
    turned = np.eye(4)[None].copy()
    turned[0, :3, :3] = trimesh.transformations.rotation_matrix(1.0, [0, 0, 1])[:3, :3]
    assert object_pose_errors(can, turned, np.eye(4)[None]).object_turn_deg < 6
    turned[0, :3, :3] = trimesh.transformations.rotation_matrix(1.0, [1, 0, 0])[:3, :3]
    assert object_pose_errors(can, turned, np.eye(4)[None]).object_turn_deg == pytest.approx(np.degrees(1.0), abs=1)
    assert len(symmetries(trimesh.creation.cone(0.03, 0.1))) == 36
