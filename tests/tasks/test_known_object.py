"""Reconstruction of an object whose mesh is given, or one that is like it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from held_box import FILM, HAND, QUICK, QUICK_OPTIONS, held_box
from torch import Tensor

from hoprior.cli import main
from hoprior.datasets.clips.clip import Clip, read_clip
from hoprior.datasets.clips.film import film
from hoprior.errors import ArgumentError, HopriorError
from hoprior.geometry.mesh import prepare_mesh
from hoprior.geometry.rest_pose import rest_poses
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState, rigid
from hoprior.hand import load_hand
from hoprior.metrics.object_pose import object_pose_errors, symmetries
from hoprior.results.reconstructions import INDEX
from hoprior.tasks.reconstruct.fit import Fit
from hoprior.tasks.reconstruct.known_object import (
    KnownObject,
    _best,
    _Candidates,
    _descend,
    _filmed_so,
    _judge,
    _Views,
)
from hoprior.tasks.reconstruct.task import reconstruct

SHORT = replace(QUICK, hand_steps=12, steps=10, rounds=1, register_steps=20, resolution=32)
EXACT = replace(FILM, size=192, hand_noise=1e-5, keypoint_noise=0.0, mask_noise=0.0)


def bracket() -> trimesh.Trimesh:
    """A thing without any symmetry."""
    parts = [trimesh.creation.box(size) for size in ((0.03, 0.03, 0.14), (0.03, 0.08, 0.03), (0.06, 0.02, 0.02))]
    for part, place in zip(parts, ((0, 0, 0), (0, 0.04, 0.055), (0.03, 0, -0.06)), strict=True):
        part.apply_translation(place)
    return trimesh.boolean.union(parts, engine="manifold")


def bracket_clip(side: str, place: Path) -> Clip:
    """A clip of a hand with a thing before its palm, without any error in hands and masks, filmed into a new folder."""
    place.mkdir()
    scene = held_box()
    away = torch.eye(4)
    away[2, 3] = -0.03
    scene = replace(scene, name="bracket", mesh=bracket(), T_object_hand=away @ scene.T_object_hand)
    film(scene, load_hand(side=side), place, EXACT)
    return read_clip(place)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return bracket_clip("right", tmp_path_factory.mktemp("clips") / "bracket")


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_known_object_is_found_where_it_is(side: str, tmp_path: Path) -> None:
    clip = bracket_clip(side, tmp_path / "bracket")
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


def test_judges_choose_among_places_with_one_outline(clip: Clip) -> None:
    assert clip.truth is not None
    known, scene = KnownObject(prepare_mesh(clip.truth.mesh)), Fit(clip, HAND, (), None, SHORT).scene
    turn = torch.stack([torch.eye(3), torch.diag(torch.tensor([1.0, -1.0, -1.0]))])
    place, size = torch.tensor([0.1, 0.0, 0.05]).expand(2, 3), torch.ones(2)
    for sign, best in ((1.0, 0), (-1.0, 1)):
        judge = _judge(scene, known, torch.tensor([0, 2]), [(1.0, ZUp(sign))], None)
        assert _best(_Candidates(turn, place, size, torch.tensor([0.004, 0.004])), judge) == best
        # What the masks rule out no judge brings back.
        assert _best(_Candidates(turn, place, size, torch.tensor([0.004, 0.02])), judge) == 0


def seen(clip: Clip) -> tuple[_Views, Tensor]:
    """What an exact clip shows of its object, and where that is in the hand."""
    assert clip.truth is not None
    scene, known = Fit(clip, HAND, (), None, SHORT).scene, KnownObject(prepare_mesh(clip.truth.mesh))
    views = _Views.of(scene, clip, known, SdfGrid.from_mesh(known.mesh, 32), torch.arange(len(clip)), 0, 300, 100)
    return views, clip.truth.T_hand_object[:1].float()


def test_errors_of_a_frames_hand_are_made_up_for_by_slack(clip: Clip) -> None:
    views, T = seen(clip)
    turn, place, one, index = T[:, :3, :3], T[:, :3, 3], torch.ones(1), torch.arange(len(views))
    generator = torch.Generator().manual_seed(0)
    off = torch.randn(1, len(views), 6, generator=generator) * torch.tensor([0.2, 0.2, 0.2, 0.01, 0.01, 0.01])
    in_camera = views.T_camera_hand @ T
    middle = (in_camera[:, :3, :3] @ views.surface.mean(dim=0)[:, None])[..., 0] + in_camera[:, :3, 3]
    wrong = rotvec_to_rotmat(off[0, :, :3])
    about = rigid(wrong, middle + off[0, :, 3:] - (wrong @ middle[..., None])[..., 0])
    mistaken = replace(views, T_camera_hand=about @ views.T_camera_hand)
    undone = torch.cat([-off[..., :3], -off[..., 3:]], dim=-1)
    exact, with_errors, with_slack = (
        float(seen.misses(turn, place, one, index, slack))
        for seen, slack in ((views, None), (mistaken, None), (mistaken, undone))
    )
    assert with_errors > exact + 0.002
    assert with_slack == pytest.approx(exact, abs=1e-5)


def test_loose_hands_let_the_right_turn_fit_best(clip: Clip) -> None:
    views, T = seen(clip)
    generator = torch.Generator().manual_seed(1)
    turned = rotvec_to_rotmat(0.1 * torch.randn(len(views), 3, generator=generator))
    moved = 0.005 * torch.randn(len(views), 3, generator=generator)
    mistaken = replace(views, T_camera_hand=views.T_camera_hand @ rigid(turned, moved))
    starts = torch.cat([T[:, :3, :3], T[:, :3, :3] @ torch.diag(torch.tensor([1.0, -1.0, -1.0]))])
    middle = T[:, :3, 3] + T[0, :3, :3] @ views.surface.mean(dim=0)
    places = middle - starts @ views.surface.mean(dim=0)
    tight, loose = (_descend(mistaken, starts, places, torch.ones(2), True, 40, 0.03, loose) for loose in (False, True))
    assert loose.miss[1] - loose.miss[0] > 0.0005
    assert loose.miss[0] < 0.85 * tight.miss[0]


def test_of_places_with_one_outline_the_one_is_likelier_that_stands_upright_in_the_picture() -> None:
    rest = rest_poses(trimesh.creation.cylinder(0.03, 0.1), "z")
    assert rest is not None
    turn = torch.stack([torch.eye(3), torch.diag(torch.tensor([1.0, -1.0, -1.0]))])
    for sign, best in ((1.0, 0), (-1.0, 1)):
        up = torch.tensor([[0.0, 0.3, sign], [0.0, -0.3, sign]])
        assert int(_filmed_so(turn, rest, up).argmax()) == best


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
    assert said[0].startswith("resumed") and again.placement is not None
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
