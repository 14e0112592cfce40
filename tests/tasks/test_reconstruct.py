"""Clips, and what is made of them: filmed, read, spoilt, fitted, interrupted, saved."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from held_box import FILM, FRAMES, HAND, QUICK, QUICK_OPTIONS, held_box
from PIL import Image
from torch import Tensor

from hoprior.cli.entry import Terminated, main, stoppable
from hoprior.common.io import write_folder
from hoprior.common.pages import is_current
from hoprior.datasets.clips.clip import Clip, read_clip
from hoprior.datasets.clips.film import disturb, film
from hoprior.datasets.clips.scene import myodm_scene
from hoprior.datasets.clips.truth import estimated_joints, measure
from hoprior.errors import HopriorError
from hoprior.geometry.camera import project_pinhole
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState, transform_points
from hoprior.geometry.transforms import invert, rotate_about
from hoprior.hand import load_hand
from hoprior.metrics.reconstruction import joint_errors
from hoprior.priors.base import Prior
from hoprior.priors.records import ObjectView
from hoprior.rendering.volume import pixel_rays, render_mask
from hoprior.results.reconstructions import CHECKPOINT, INDEX
from hoprior.tasks.reconstruct.cavity import Hollow, along_axis, filmed, hollow_in, hollow_out, without_thin_edges
from hoprior.tasks.reconstruct.fit import LAST_LOSSES, Fit
from hoprior.tasks.reconstruct.losses import LossWeights, motion_losses
from hoprior.tasks.reconstruct.observations import shown_cells
from hoprior.tasks.reconstruct.pose_alignment import register
from hoprior.tasks.reconstruct.scene import PosedScene, Scene
from hoprior.tasks.reconstruct.stages import held_where
from hoprior.tasks.reconstruct.task import (
    contour_error_note,
    mask_inconsistency_note,
    reconstruct,
    viewpoint_note,
)
from hoprior.tasks.reconstruct.visual_hull import FRONT_MARGIN, Carver, lattice


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """The same clip, to be spoilt."""
    return Path(shutil.copytree(folder, tmp_path / "box"))


def true_joints(clip: Clip) -> np.ndarray:
    assert clip.truth is not None
    return transform_points(clip.truth.T_camera_hand, clip.truth.joints_hand).numpy()


def test_what_is_filmed_is_read_back(folder: Path) -> None:
    clip = read_clip(folder)
    assert len(clip) == FRAMES and clip.text == "a hand holding a box" and clip.side == "right"
    assert clip.has_object.all() and clip.has_hand.all()
    assert clip.truth is not None and clip.truth.seen is not None and 0.1 < clip.truth.seen.float().mean() < 0.95
    assert joint_errors(estimated_joints(clip), true_joints(clip)).mpjpe_cm == pytest.approx(1.2, abs=0.05)
    # The true joints, seen through the crops, are where the keypoints are, but for their noise.
    joints = true_joints(clip)
    K = clip.intrinsics[:, None].numpy()
    pixels = joints[..., :2] / joints[..., 2:] * K[..., :2] + K[..., 2:]
    assert np.abs(pixels - clip.keypoints.numpy()).mean() < 3 * 256 / 60


@pytest.mark.parametrize("is_new", [True, False])
def test_what_a_killed_run_left_is_removed(tmp_path: Path, is_new: bool) -> None:
    out = tmp_path / "out"
    if not is_new:
        out.mkdir()
    for place in (tmp_path, out if out.is_dir() else tmp_path):
        (place / ".hoprior-out-7.tmp").mkdir(exist_ok=True)
        (place / ".hoprior-outer-7.tmp").mkdir(exist_ok=True)
        (place / ".hoprior-out-2-7.tmp").mkdir(exist_ok=True)
    write_folder(out, lambda staging: (staging / "a.json").write_text("{}"), last="a.json")
    assert (out / "a.json").is_file()
    assert not list(tmp_path.rglob(".hoprior-out-7.tmp")) and list(tmp_path.rglob(".hoprior-outer-*"))
    # Another run may be writing there just now.
    assert list(tmp_path.rglob(".hoprior-out-2-7.tmp"))


def test_the_scene_starts_at_the_estimates(folder: Path) -> None:
    clip = read_clip(folder)
    with torch.no_grad():
        placed = Scene(clip, HAND).place()
    np.testing.assert_allclose(placed.joints_camera.numpy(), estimated_joints(clip), atol=1e-4)
    torch.testing.assert_close(placed.T_hand_object, torch.eye(4).expand(FRAMES, 4, 4))
    torch.testing.assert_close(invert(placed.T_object_camera), placed.T_camera_hand, atol=1e-5, rtol=0)


def ball_scene(clip: Clip, radius: float = 0.04) -> Scene:
    """A scene whose object is a ball before the palm."""
    scene = Scene(clip, HAND)
    low, high = torch.tensor([0.02, -0.08, -0.035]), torch.tensor([0.18, 0.08, 0.125])
    axes = [torch.linspace(float(low[k]), float(high[k]), 33) for k in range(3)]
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    distance = (torch.stack([x, y, z], dim=-1) - (low + high) / 2).norm(dim=-1) - radius
    scene.set_object(distance, low, high)
    return scene


def test_pictures_show_the_surface_that_faces_the_camera(folder: Path) -> None:
    clip = read_clip(folder)
    scene = ball_scene(clip)
    with torch.no_grad():
        placed, values = scene.place(mesh=False), scene.distances()
        shown = shown_cells(scene, values, torch.ones_like(clip.object_mask))
        hidden = shown_cells(scene, values, torch.zeros_like(clip.object_mask))
    assert shown.max() == 1 and hidden.max() == 0
    centre = (scene.lower + scene.upper) / 2
    # The camera's side is the one towards the mean of the cameras' places.
    towards = placed.T_object_camera[:, :3, 3].mean(dim=0) - centre
    cells = scene.lower + (shown > 0.5).nonzero().flip(1) * scene.cell
    side = torch.nn.functional.cosine_similarity(cells - centre, towards[None])
    # A little of the other side is seen where the hand turns before the camera.
    assert side.min() > -0.3 and side.mean() > 0.4 and 0.2 < len(cells) / (values.abs() < 0.02).sum() < 0.6


def test_what_pictures_show_is_pushed_less() -> None:
    values = torch.randn(3, 3, 3, requires_grad=True)
    held = torch.zeros(3, 3, 3)
    held[0] = 0.9
    same = held_where(values, held)
    torch.testing.assert_close(same, values)
    same.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, 1 - held)


def test_an_object_that_slides_slowly_in_the_hand_pays(folder: Path) -> None:
    clip = read_clip(folder)
    scene = ball_scene(clip)
    with torch.no_grad():
        rest = motion_losses(scene)
        scene.object_shift[:, 0] = torch.linspace(-0.01, 0.01, FRAMES)
        slow = motion_losses(scene)
        scene.object_shift[:, 0] *= 2
        fast = motion_losses(scene)
    assert rest.firm < 1e-6 and rest.relation < 1e-9
    assert slow.firm == pytest.approx(0.006 - 0.0015 * 4 / 5, abs=2e-4)
    # Beyond a few millimetres the pull is constant: what is really moved in the hand is not forbidden.
    assert fast.firm == pytest.approx(2 * float(slow.firm), rel=0.25)


def test_what_is_before_the_seen_hand_is_air(folder: Path) -> None:
    clip = read_clip(folder)
    # Two frames show the object everywhere, three the hand.
    full, hand = torch.zeros_like(clip.hand_mask), torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0])[:, None, None]
    full[:, 1:-1, 1:-1] = 1.0
    clip = replace(clip, hand_mask=full * hand, object_mask=full * (1 - hand))
    with torch.no_grad():
        placed = Scene(clip, HAND).place()
    ray = (torch.tensor([[128.0, 128.0]]) - placed.intrinsics[4, 2:]) / placed.intrinsics[4, :2]
    ray = torch.cat([ray, torch.ones(1, 1)], dim=1)
    points = transform_points(placed.T_object_camera[4], torch.cat([0.40 * ray, 0.50 * ray]))
    depth = torch.full((FRAMES, 64, 64), 0.45)
    carver = Carver.of(clip)
    found, blind = (
        carver.hull(placed, depths, torch.arange(FRAMES), points) for depths in (depth, torch.full_like(depth, 1e3))
    )
    assert found[0] == pytest.approx(0.05 - FRONT_MARGIN, abs=0.02)
    assert found[0] > blind[0] + 0.02
    assert max(found[1], blind[1]) < 0


@pytest.mark.parametrize(("off", "outcome"), [(0.0, "meets"), (0.18, "misses"), (0.3, "fails")])
def test_masks_that_miss_each_other_are_taken_wider_and_said_to_be(folder: Path, off: float, outcome: str) -> None:
    clip = read_clip(folder)
    scene = Scene(clip, HAND)
    with torch.no_grad():
        # Every other frame's hand, and the object with it, is on the other side.
        scene.hand_shift[::2, 0] += off / 2
        scene.hand_shift[1::2, 0] -= off / 2
    carver = Carver.of(clip)
    if outcome == "fails":
        with pytest.raises(HopriorError, match="do masks, cameras and hand estimates belong together"):
            carver.carve(scene, 24)
        return
    hull_gap = carver.carve(scene, 24)
    assert (scene.base < 0).any()
    assert bool(hull_gap > 0) == bool(mask_inconsistency_note(hull_gap)) == (outcome == "misses")


def test_thin_edges_are_taken_off_and_walls_stay() -> None:
    across = torch.linspace(0, 1, 21)
    wall, edge = (without_thin_edges(-across * thick, (across - 1) * thick, width=0.003) for thick in (0.004, 0.0006))
    assert wall[0] == wall[-1] == 0 and (wall[1:-1] < 0).all()
    assert (edge > 0).all()


def test_a_surface_is_smoothed_and_keeps_its_size(folder: Path) -> None:
    scene = ball_scene(read_clip(folder), radius=0.03)
    mesh = scene.mesh()
    assert mesh.is_watertight and mesh.volume == pytest.approx(4 / 3 * np.pi * 0.03**3, rel=0.03)
    away = np.linalg.norm(mesh.vertices - mesh.centroid, axis=1)
    assert away.std() < 2e-4


def test_a_shape_that_is_right_mends_the_poses(folder: Path) -> None:
    clip = read_clip(folder)
    scene = ball_scene(clip, radius=0.03)
    axis = [torch.linspace(float(scene.lower[k]), float(scene.upper[k]), 33) for k in range(3)]
    middle, half = (scene.lower + scene.upper) / 2, torch.tensor([0.02, 0.012, 0.06])
    away = (lattice(axis) - middle).abs() - half
    distance = away.clamp(min=0).norm(dim=1) + away.amax(dim=1).clamp(max=0)
    scene.set_object(distance.reshape(33, 33, 33), scene.lower, scene.upper)
    with torch.no_grad():
        placed, values = scene.place(mesh=False), scene.distances()
        v, u = torch.meshgrid(torch.arange(256) + 0.5, torch.arange(256) + 0.5, indexing="ij")
        pixels = torch.stack([u, v], dim=-1).reshape(1, -1, 2).expand(FRAMES, -1, -1)
        origins, directions = pixel_rays(pixels, placed.intrinsics, placed.T_object_camera)
        seen = render_mask(lambda points: scene.sdf(values, points), origins, directions, scene.lower, scene.upper)
        masks = (seen.alpha > 0.5).float().view(FRAMES, 256, 256)
        clip = replace(clip, object_mask=masks, hand_mask=torch.zeros_like(masks))
        clip = replace(clip, keypoints=project_joints(placed))
        truth = placed.T_object_camera
        wrong = 0.12 * torch.randn(FRAMES, 3, generator=torch.Generator().manual_seed(0))
        scene.hand_turn.copy_(wrong)

    def error() -> float:
        with torch.no_grad():
            found = scene.place(mesh=False).T_object_camera
        # The long axis of the bar, as each camera sees it.
        return float((found[:, 2, :3] * truth[:, 2, :3]).sum(dim=1).clamp(-1, 1).acos().mean())

    before = error()
    register(scene, clip, LossWeights(), 60, 4e-3, torch.Generator().manual_seed(0))
    assert before > 0.08 and error() < 0.4 * before


def project_joints(placed: PosedScene) -> Tensor:
    return project_pinhole(placed.joints_camera, placed.intrinsics)


@pytest.mark.slow
def test_a_left_hand_is_its_mirror_image(tmp_path: Path) -> None:
    place = tmp_path / "left"
    place.mkdir()
    film(held_box(), load_hand("open", "left"), place, replace(FILM, hand_noise=1e-5, keypoint_noise=0.0))
    clip = read_clip(place)
    assert clip.side == "left"
    np.testing.assert_allclose(estimated_joints(clip), true_joints(clip), atol=2e-3)
    # In the mirrored crops the right hand of the scene covers the mask.
    with torch.no_grad():
        placed = Scene(clip, HAND).place()
    pixel = placed.joints_camera[..., :2] / placed.joints_camera[..., 2:] * placed.intrinsics[:, None, :2]
    pixel = (pixel + placed.intrinsics[:, None, 2:])[:, 4].round().long()
    either = torch.maximum(clip.hand_mask, clip.object_mask)
    assert all(either[i, v, u] > 0.5 for i, (u, v) in enumerate(pixel.tolist()))
    result = reconstruct(clip, priors=(), config=QUICK)
    assert result.side == "left" and result.metrics["mpjpe_cm"] < 1.5
    assert result.metrics["cd_h_cm2"] < 60


def test_estimates_err_by_as_much_as_they_are_told() -> None:
    scene = held_box(8)
    T = torch.eye(4).expand(8, 4, 4)
    wrong = disturb(HAND, scene.angles, torch.zeros(8, 10), T, 0.012, np.random.default_rng(0))
    joints = [
        transform_points(place, HAND.joints_only(HAND.angles_to_pose(angles)))
        for angles, place in ((scene.angles, T), (wrong.angles, wrong.T_camera_hand))
    ]
    assert joint_errors(joints[1].numpy(), joints[0].numpy()).mpjpe_cm == pytest.approx(1.2, abs=0.02)


class Drawn:
    """A prior that wants the object to be a ball before the palm: the energy is the distances' square difference."""

    text_encoder_name = None

    def energy(self, state: object, cond: Tensor | None) -> Tensor:
        points = 0.06 * torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([0.1, 0, 0.05])
        wanted = (points - torch.tensor([0.1, 0.0, 0.045])).norm(dim=-1) - 0.04
        return 3e6 * (state.object_sdf_at(points) - wanted).square().mean(dim=1)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, Tensor]:
    """What a fit ends as that nobody stopped."""
    return Fit(read_clip(folder), HAND, (), None, QUICK).run().state_dict()


@pytest.mark.slow
def test_a_fit_gets_better_and_listens_to_its_prior(folder: Path) -> None:
    clip = read_clip(folder)
    plain = reconstruct(clip, priors=(), config=QUICK)
    assert plain.metrics["mpjpe_cm"] < 1.2 and plain.metrics["cd_h_cm2"] < 60
    assert plain.losses[-1]["contour"] < plain.losses[0]["contour"]
    drawn = reconstruct(clip, priors=[(1.0, Drawn())], config=QUICK)
    centre = np.array([0.1, 0.0, 0.045])
    away = [np.abs(np.linalg.norm(r.object_mesh.vertices - centre, axis=1) - 0.04).mean() for r in (plain, drawn)]
    assert away[1] < away[0]
    again = reconstruct(clip, priors=(), config=QUICK)
    np.testing.assert_array_equal(plain.T_camera_hand, again.T_camera_hand)


@pytest.mark.slow
def test_an_interrupted_fit_goes_on_where_it_was(
    folder: Path, undisturbed: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = read_clip(folder)
    monkeypatch.setattr("hoprior.tasks.reconstruct.checkpoint.CHECKPOINT_SECONDS", 0.0)

    def kill(stage: str, share: float, losses: dict[str, float]) -> None:
        if share > 0.6:
            raise KeyboardInterrupt

    file = tmp_path / CHECKPOINT
    with pytest.raises(KeyboardInterrupt):
        Fit(clip, HAND, (), None, QUICK, checkpoint=file).run(kill)
    steps: list[float] = []
    resumed = Fit(clip, HAND, (), None, QUICK, checkpoint=file).run(lambda stage, share, losses: steps.append(share))
    assert min(steps) > 0.5
    # To the last bit: whatever some steps before had drawn is kept as well.
    for name, tensor in undisturbed.items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    file.write_bytes(file.read_bytes()[:100])
    assert Fit(clip, HAND, (), None, replace(QUICK, steps=1), checkpoint=file).run() is not None


@pytest.mark.parametrize(("moment", "number"), [(0.06, signal.SIGINT), (0.6, signal.SIGTERM)])
def test_ctrl_c_costs_nothing_that_was_done(
    folder: Path, undisturbed: dict[str, Tensor], tmp_path: Path, moment: float, number: int
) -> None:
    """The step that is under way is done and kept; the run that goes on ends as one that nobody stopped."""
    clip, file = read_clip(folder), tmp_path / CHECKPOINT
    done: list[float] = []

    def stop(stage: str, share: float, losses: dict[str, float]) -> None:
        done.append(share)
        if share > moment and len(done) > 1:
            os.kill(os.getpid(), number)

    with pytest.raises((KeyboardInterrupt, Terminated)), stoppable():
        Fit(clip, HAND, (), None, QUICK, checkpoint=file).run(stop)
    after: list[float] = []
    resumed = Fit(clip, HAND, (), None, QUICK, checkpoint=file).run(lambda stage, share, losses: after.append(share))
    assert min(after) > done[-1]
    for name, tensor in undisturbed.items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


class Leaning(Prior):
    """Pulls hands along an axis of the object, or pushes them."""

    def __init__(self, way: float) -> None:
        self.way = way

    def energy(self, state: HandObjectState, cond: object = None) -> Tensor:
        return self.way * state.T_object_hand[:, 0, 3]


def of_another_run(clip: Clip, what: str) -> tuple[Clip, dict[str, Any]]:
    """The clip and the other arguments of a fit that differs in one of them from `Leaning(1.0)`'s without a text."""
    moved = replace(clip.hand_pose, transl=clip.hand_pose.transl + 0.05)
    clips: dict[str, dict[str, Any]] = {
        "the hands": {"hand_pose": moved},
        "the hands' keypoints": {"keypoints": clip.keypoints + 1},
        "the masks": {"object_mask": clip.object_mask.flip(-1)},
        "the masks of hands": {"hand_mask": clip.hand_mask.flip(-1)},
        "the cameras": {"intrinsics": clip.intrinsics * 1.1},
        "the clip": {"name": "another"},
        "the clip's pictures": {"image": clip.image + np.uint8(1)},
    }
    arguments: dict[str, dict[str, Any]] = {
        "the text": {"cond": torch.ones(1, 1, 384)},
        "the priors": {"priors": [(1.0, Leaning(-1.0))]},
        "the priors of shapes": {"priors": [(1.0, Leaning(1.0)), (1.0, Vessels([1.0, 0.0, 0.0]))]},
        "the settings": {"config": replace(QUICK, rays=65)},
        "the seed": {"seed": 1},
        "the hand model": {"model": load_hand("open", "left")},
    }
    standard = {
        "model": HAND,
        "priors": [(1.0, Leaning(1.0))],
        "cond": torch.zeros(1, 1, 384),
        "config": QUICK,
        "seed": 0,
    }
    return replace(clip, **clips.get(what, {})), standard | arguments.get(what, {})


@pytest.fixture(scope="module")
def killed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a fit that was killed in its last stage."""
    file = tmp_path_factory.mktemp("killed") / CHECKPOINT

    def kill(stage: str, share: float, losses: dict[str, float]) -> None:
        if stage == "fitting everything" and share > 0.3:
            raise KeyboardInterrupt

    clip, arguments = of_another_run(read_clip(folder), "nothing")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("hoprior.tasks.reconstruct.checkpoint.CHECKPOINT_SECONDS", 0.0)
        Fit(clip, checkpoint=file, **arguments).run(kill)
    return file


class Started(Exception):
    """Ends a fit as soon as it has begun."""


def start(fit: Fit) -> tuple[list[str], str]:
    """What a fit says at its start, and its first stage."""
    said: list[str] = []
    stages: list[str] = []

    def stop(stage: str, share: float, losses: dict[str, float]) -> None:
        stages.append(stage)
        raise Started

    with pytest.raises(Started):
        fit.run(stop, said.append)
    return said, stages[0]


def test_a_run_goes_on_from_its_own_checkpoint(folder: Path, killed: Path) -> None:
    clip, arguments = of_another_run(read_clip(folder), "nothing")
    (said,), stage = start(Fit(clip, checkpoint=killed, **arguments))
    assert said.startswith("resumed at step") and str(killed) in said and stage == "fitting everything"
    assert start(Fit(clip, **arguments)) == ([], "fitting the hands")


@pytest.mark.parametrize(
    "what",
    [
        "the hands",
        "the hands' keypoints",
        "the masks",
        "the masks of hands",
        "the cameras",
        "the clip",
        "the clip's pictures",
        "the text",
        "the priors",
        "the priors of shapes",
        "the settings",
        "the seed",
        "the hand model",
    ],
)
def test_a_run_does_not_go_on_from_another_s_checkpoint(folder: Path, killed: Path, what: str) -> None:
    clip, arguments = of_another_run(read_clip(folder), what)
    fit = Fit(clip, checkpoint=killed, **arguments)
    name = what.split("'")[0].split(" of ")[0]
    verb = "differ" if name.endswith("s") else "differs"
    (said,), stage = start(fit)
    assert said.startswith(f"started anew, because {name} {verb}: ") and stage == "fitting the hands"
    start_of_hands = fit.scene.T_camera_hand_start[:, :3, 3]
    torch.testing.assert_close(start_of_hands, clip.hand_pose.transl)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"cut short", "is damaged"), ({"key": "of an earlier version"}, "another version wrote what is there")],
)
def test_a_checkpoint_that_cannot_be_used_is_said(folder: Path, tmp_path: Path, content: Any, sentence: str) -> None:
    file = tmp_path / CHECKPOINT
    file.write_bytes(content) if isinstance(content, bytes) else torch.save(content, file)
    clip, arguments = of_another_run(read_clip(folder), "nothing")
    (said,), stage = start(Fit(clip, checkpoint=file, **arguments))
    assert said.startswith("started anew, because ") and sentence in said and stage == "fitting the hands"


def test_the_command_says_that_it_starts_anew(
    folder: Path, killed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(killed, out / CHECKPOINT)
    given = ["--clip", str(folder), "--prior", "none", "--out", str(out), "--no-report"]
    assert main(["run", "reconstruct", *given, *QUICK_OPTIONS]) == 0
    assert (out / INDEX).exists() and not (out / "report.html").exists()
    said = " ".join(capsys.readouterr().err.split())
    assert "box: started anew, because the text, the priors and the settings differ: " in said


@pytest.mark.slow
def test_time_is_a_limit(folder: Path) -> None:
    result = reconstruct(read_clip(folder), priors=(), config=replace(QUICK, steps=100_000), minutes=0.03)
    assert result.config["steps_done"] < 10_000 and len(result.object_mesh.faces)


def test_the_command_writes_a_whole_folder_and_measures_it(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ["--clip", str(folder), "--prior", "none", "--out", str(out)]
    assert main(["run", "reconstruct", *given, *QUICK_OPTIONS]) == 0
    names = {path.name for path in out.iterdir()}
    assert {"object.glb", "object.ply", "poses.npz", INDEX, "overlay.mp4", "novel_views.mp4", "config.yaml"} <= names
    assert "frame_00004.glb" in names and CHECKPOINT not in names
    assert is_current(out / "report.html")
    index = json.loads((out / INDEX).read_text())
    assert index["metrics"]["mpjpe_cm"] > 0 and len(index["poses"]["T_hand_object"]) == FRAMES
    assert main(["eval", "reconstruct", str(out), "--clip", str(folder)]) == 0
    assert is_current(out / "metrics.html") and is_current(out / "report.html")
    found = json.loads((out / "metrics.json").read_text())["metrics"]
    assert found["f10"] == pytest.approx(index["metrics"]["f10"], abs=0.02)
    assert found["mpjpe_cm"] == pytest.approx(index["metrics"]["mpjpe_cm"], abs=1e-3)


def test_truth_measured_as_a_result_is_perfect(folder: Path) -> None:
    clip = read_clip(folder)
    result = reconstruct(clip, priors=(), config=replace(QUICK, hand_steps=1, steps=1))
    assert clip.truth is not None
    perfect = replace(
        result,
        object_mesh=clip.truth.mesh,
        T_hand_object=clip.truth.T_hand_object.numpy(),
        T_camera_hand=clip.truth.T_camera_hand.numpy(),
        joints_hand=clip.truth.joints_hand.numpy(),
    )
    found = measure(perfect, clip)
    assert found["f5"] > 0.99 and found["cd_h_cm2"] < 0.05 and found["unseen_cm2"] < 0.05
    assert found["mpjpe_cm"] == pytest.approx(0, abs=1e-4)


def rewritten(name: str, **change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with np.load(folder / name) as file:
            arrays = {key: file[key] for key in file.files}
        np.savez(folder / name, **{key: change.get(key, lambda a: a)(value) for key, value in arrays.items()})

    return spoil


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: shutil.rmtree(f / "obj_mask"), "obj_mask: holds no PNG"),
        (lambda f: (f / "hand_mask" / "0001.png").unlink(), "has 4 pictures, image/ has 5"),
        (lambda f: (f / "image" / "0001.png").write_bytes(b"\x89PNG"), "0001.png: is no picture"),
        (lambda f: (f / "hands.npz").unlink(), "has no hands.npz"),
        (lambda f: (f / "hands.npz").write_bytes(b"PK"), "hands.npz: damaged archive"),
        (rewritten("cameras_hoi.npz", cTw=lambda a: a[:3]), "'cTw' is for 3 frames, image/ has 5"),
        (rewritten("hands.npz", hA=lambda a: a * np.nan), "NaN in every frame"),
        (lambda f: [blank(p) for p in (f / "obj_mask").iterdir()], "no frame shows the object"),
    ],
)
def test_what_is_wrong_with_a_clip_is_said(
    copy: Path, spoil: Callable[[Path], object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(copy)
    out = copy.parent / "out"
    assert main(["run", "reconstruct", "--clip", str(copy), "--out", str(out)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


def blank(path: Path) -> None:
    with Image.open(path) as file:
        size = file.size
    Image.new("L", size).save(path)


def test_single_bad_frames_are_lived_with(copy: Path) -> None:
    blank(copy / "obj_mask" / "0001.png")
    blank(copy / "hand_mask" / "0002.png")
    with Image.open(copy / "obj_mask" / "0003.png") as file:
        file.resize((64, 64)).save(copy / "obj_mask" / "0003.png")

    def lost(poses: np.ndarray) -> np.ndarray:
        poses[3] = np.nan
        return poses

    rewritten("hands.npz", hA=lost)(copy)
    clip = read_clip(copy)
    assert clip.has_object.tolist() == [True, False, True, True, True]
    assert clip.has_hand.tolist() == [True, True, False, False, True]
    assert any("64x64" in note for note in clip.notes) and any("without the hand (2, 3)" in note for note in clip.notes)
    result = reconstruct(clip, priors=(), config=QUICK)
    assert np.isfinite(result.joints_camera).all() and np.isfinite(result.object_mesh.vertices).all()


def test_two_frames_are_a_clip(folder: Path) -> None:
    clip = read_clip(folder, max_frames=2)
    assert clip.frame == (0, 4) and "2 of 5 frames are used" in clip.notes
    assert len(reconstruct(clip, priors=(), config=QUICK)) == 2


def test_recorded_motion_is_filmed(shared_data: Path) -> None:
    scene = myodm_scene(shared_data / "myodm", "mug_lift", 4, HAND)
    assert scene.text == "a hand lifting a mug"
    joints = transform_points(scene.T_object_hand, HAND.joints_only(HAND.angles_to_pose(scene.angles)))
    assert joints[:, 16:].norm(dim=-1).max() < 0.2
    with pytest.raises(HopriorError, match="use for example mug_drink3"):
        myodm_scene(shared_data / "myodm", "mug_eat", 4, HAND)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "reconstruct"], "--clip FOLDER, --video FILE, or --hoi4d"),
        (["run", "reconstruct", "--clip", "nowhere"], "there is no such file or folder"),
        (["run", "reconstruct", "--clip", ".", "--max-frames", "1"], "use at least 2"),
        (["run", "reconstruct", "--clip", ".", "--frames", "1"], "use at least 2"),
        (["run", "reconstruct", "--clip", ".", "--frames", "[3, 9]"], "is a range, as HOI4D's sequences have it"),
        (["data", "render-clip", "--out", "x"], "--family mug"),
        (["data", "render-clip", "--out", "x", "--family", "spaceship"], "no procedural family 'spaceship'"),
        (["eval", "reconstruct", ".", "--clip", "."], "is no result"),
    ],
)
def test_wrong_arguments_are_said(
    args: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(args) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not any(tmp_path.iterdir())


def test_a_vessel_is_hollowed_through_its_mouth(folder: Path) -> None:
    scene = ball_scene(read_clip(folder))
    middle = (scene.lower + scene.upper) / 2
    axes = [torch.linspace(float(scene.lower[k]), float(scene.upper[k]), 33) for k in range(3)]
    place = lattice(axes) - middle
    # A solid cylinder along x with a rod, as thin as a handle, at its side; inside, no distances but only a sign.
    body = torch.maximum(place[:, 1:].norm(dim=1) - 0.035, place[:, 0].abs() - 0.05)
    rod = torch.maximum((place[:, 1:] - torch.tensor([0.055, 0.0])).norm(dim=1) - 0.006, place[:, 0].abs() - 0.05)
    values = torch.minimum(body, rod).clamp(min=-0.006).reshape(33, 33, 33)
    found = hollow_out(scene, values, Hollow(0.5, torch.tensor([1.0, 0.0, 0.0])))
    scene.set_object(found, scene.lower, scene.upper)
    where = {
        "middle": ([0.0, 0.0, 0.0], 1),
        "lid": ([0.05, 0.0, 0.0], 1),
        "bottom": ([-0.048, 0.0, 0.0], -1),
        "wall": ([0.0, 0.0, 0.033], -1),
        "handle": ([0.0, 0.055, 0.0], -1),
    }
    for name, (at, sign) in where.items():
        assert sign * float(scene.sdf(found, middle + torch.tensor([[at]]))) > 0, name
    # What is too thin to be a vessel stays as it is.
    thin = rod.reshape(33, 33, 33)
    assert torch.equal(hollow_out(scene, thin, Hollow(0.5, torch.tensor([1.0, 0.0, 0.0]))), thin)


@pytest.mark.parametrize("off, said", [(0.001, False), (0.027, True)])
def test_an_object_beside_its_masks_is_said(folder: Path, off: float, said: bool) -> None:
    fit = Fit(read_clip(folder), HAND, (), None, QUICK)
    assert not contour_error_note(fit)
    fit.history = [{"step": 0, "contour": 9.0}] + [{"contour": off * QUICK.weights.contour}] * LAST_LOSSES
    assert ["by 2.7 cm" in note for note in contour_error_note(fit)] == [True] * said


def test_an_object_seen_from_one_side_is_said(folder: Path) -> None:
    scene = ball_scene(read_clip(folder))
    with torch.no_grad():
        scene.T_camera_hand_start[:] = scene.T_camera_hand_start[:1].clone()
    (said,) = viewpoint_note(scene)
    assert "from 0 degrees around it only" in said
    with torch.no_grad():
        scene.object_turn[0] = torch.tensor([0.0, 2.4, 0.0])
    assert not viewpoint_note(scene)


def test_a_mouth_is_brought_to_the_axis_of_the_body() -> None:
    """Of a cylinder and of a disk the axis is known, of a ball it is not."""
    turn = rotate_about(torch.zeros(3), torch.tensor([[0.3, -0.8, 0.5]]), torch.zeros(1, 3))[0, :3, :3]
    points = 2 * torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0)) - 1
    points = points[points[:, :2].norm(dim=1) < 1]
    said = torch.nn.functional.normalize(torch.tensor([0.3, 0.3, -1.0]), dim=0)
    for height in (2.0, 0.5):
        body = points * torch.tensor([0.03, 0.03, 0.03 * height])
        found = along_axis(body @ turn.T + 0.1, turn @ said)
        torch.testing.assert_close(found, -turn[:, 2], atol=0.03, rtol=0)
    ball = points[points.norm(dim=1) < 1]
    torch.testing.assert_close(along_axis(ball, said), said, atol=0.05, rtol=0)


class Vessels:
    """Stands in for a prior of shapes that was told how an object was filmed, and says what it is given."""

    def __init__(self, *mouths: list[float]) -> None:
        self.mouth = torch.tensor(mouths)

    def complete(self, sdf: SdfGrid, cond: Tensor | None, view: ObjectView, mirrored: bool) -> "Vessels":
        assert mirrored and (sdf.values < 0).any()
        self.filmed = view
        return self


def test_a_prior_of_shapes_says_where_the_mouth_is(folder: Path) -> None:
    scene = ball_scene(read_clip(folder))
    prior = Vessels([1.0, 0.0, 0.0], [0.6, 0.0, 0.0])
    found = hollow_in(scene, scene.base, prior, None)
    assert found.sure == pytest.approx(0.8) and found.mouth.tolist() == [1.0, 0.0, 0.0]
    # Answers that contradict each other are none.
    assert hollow_in(scene, scene.base, Vessels([1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]), None).sure == 0
    assert prior.filmed.toward is not None and 0.2 < float(prior.filmed.toward.norm()) <= 1.0


def test_a_prior_of_shapes_is_told_of_cameras_and_hand_in_the_objects_frame(folder: Path) -> None:
    scene = ball_scene(read_clip(folder))
    with torch.no_grad():
        scene.object_turn[:] = torch.tensor([0.0, 0.0, 1.2])
        scene.object_shift[:] = torch.tensor([0.01, 0.02, 0.0])
    placed, found = scene.place(mesh=False), filmed(scene)
    i = len(scene) // 2
    assert found.joints is not None and found.up is not None
    back = transform_points(placed.T_hand_object[i : i + 1], found.joints[None])[0]
    torch.testing.assert_close(back, placed.hand.joints[i], atol=1e-5, rtol=0)
    ups = -torch.linalg.inv(placed.T_object_camera)[
        :, 1, :3
    ]  # the picture's y axis, which points down, as the object has it
    torch.testing.assert_close(found.up, ups.mean(dim=0), atol=1e-5, rtol=0)
