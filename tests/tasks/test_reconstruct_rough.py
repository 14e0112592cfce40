"""Clips as people film them: edges that cut, views that hardly turn, things that slip, hands that are wrong."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from held_box import FILM, FRAMES, HAND, QUICK, held_box
from PIL import Image
from scipy.spatial.transform import Rotation

from hoprior.common.io import write_folder
from hoprior.datasets.clips.clip import Clip, RawClip, crop_clip, read_clip
from hoprior.datasets.clips.film import film
from hoprior.datasets.clips.truth import mask_overlaps
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import rigid, transform_points
from hoprior.geometry.transforms import invert
from hoprior.hand.pose import HandPose
from hoprior.metrics.reconstruction import motion_errors
from hoprior.rendering.volume import pixel_rays, render_mask
from hoprior.tasks.reconstruct.fit import Fit
from hoprior.tasks.reconstruct.in_plane import align_in_plane, bring_centroids_together, turn_less
from hoprior.tasks.reconstruct.inflation import FULL_ARC, Inflation, half_depths, middle_view, views_are_flat
from hoprior.tasks.reconstruct.losses import motion_losses
from hoprior.tasks.reconstruct.observations import RaySampler
from hoprior.tasks.reconstruct.pose_alignment import agreeing
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.reconstruct.task import reconstruct
from hoprior.tasks.reconstruct.visual_hull import Carver, lattice, picture_distance, quantile_of_told, ruggedness


def cropped(top: int, touching: bool = True) -> Clip:
    """Two frames of 100 pixels with a bar of object, which begins at the row `top`, and a hand at its lower end."""
    held, hand = np.zeros((2, 100, 100), np.uint8), np.zeros((2, 100, 100), np.uint8)
    held[:, top if touching else 5 : 40, 45:55] = 255
    hand[:, 40:60, 40:60] = 255
    zeros = torch.zeros(2, 3)
    raw = RawClip(
        name="bar",
        hand="open",
        side="right",
        text=None,
        images=list(np.zeros((2, 100, 100, 3), np.uint8)),
        object_masks=list(held),
        hand_masks=list(hand),
        intrinsics=np.tile([100.0, 100.0, 50.0, 50.0], (2, 1)),
        hand_pose=HandPose(torch.zeros(2, 15, 3), torch.zeros(2, 10), zeros, zeros + torch.tensor([0.0, 0.0, 0.5])),
    )
    return crop_clip(raw)


def test_what_an_edge_cuts_is_unknown_beyond_it_and_else_it_is_known() -> None:
    cut, whole = cropped(0), cropped(5)
    assert (whole.known == 1).all() and not any("edge" in note for note in whole.notes)
    assert any("edge cuts" in note for note in cut.notes)
    # The masks' box is 60 pixels high, so 7 rows of a crop of 74 lie above the picture; sides and bottom are known.
    beyond = cut.known[0] < 0.5
    assert beyond.float().mean() == pytest.approx(7 / 74, abs=0.01)
    assert beyond[:23].all() and not beyond[26:].any()
    assert (cut.object_mask[0] * beyond).sum() < 0.01 * cut.object_mask[0].sum()


def test_distances_to_a_mask_s_edge_pass_by_what_is_unknown() -> None:
    mask, known = torch.zeros(20, 20), torch.ones(20, 20)
    mask[6:12, 5:15] = 1.0
    known[:6] = 0.0
    cut, whole = picture_distance(mask, known), picture_distance(mask, torch.ones(20, 20))
    assert whole[6, 10] == -1 and cut[6, 10] == -5  # its sides and its lower end are nearest, not the picture's edge
    torch.testing.assert_close(cut[13:], whole[13:])
    assert (picture_distance(torch.ones(20, 20), known) < 0).all()


def test_nothing_is_carved_where_a_frame_does_not_know(clip: Clip) -> None:
    scene = Scene(clip, HAND)
    with torch.no_grad():
        Carver.of(clip).carve(scene, 24)
        size, blind = clip.known.shape[-1], torch.ones_like(clip.known)
        blind[1:, : size // 2] = 0.0
        # All frames but one are cut off half way down, and say so; or do not.
        half = replace(clip, object_mask=clip.object_mask * blind, hand_mask=clip.hand_mask * blind)
        told, untold = Scene(clip, HAND), Scene(clip, HAND)
        Carver.of(replace(half, known=blind)).carve(told, 24)
        Carver.of(half).carve(untold, 24)

    def volume(one: Scene) -> float:
        return float((one.base < 0).sum()) * one.cell**3

    assert volume(told) > 0.9 * volume(scene)
    assert volume(untold) < 0.8 * volume(scene)


def test_rays_beyond_an_edge_count_for_nothing(clip: Clip) -> None:
    known = clip.known.clone()
    known[:, :128] = 0.0
    rays = RaySampler(replace(clip, known=known), torch.device("cpu"), torch.Generator().manual_seed(0)).draw(
        torch.arange(FRAMES), 200
    )
    above = rays.pixels[..., 1] < 127
    assert not rays.known[above].any() and rays.known[rays.pixels[..., 1] > 130].all()
    assert not (rays.on_contour & above).any()


def ring(degrees: float, count: int = 7, distance: float = 0.5) -> torch.Tensor:
    """Cameras about the z axis that look at the origin, `degrees` from the first to the last."""
    angle = torch.deg2rad(torch.linspace(-degrees / 2, degrees / 2, count))
    toward = torch.stack([angle.cos(), angle.sin(), torch.zeros(count)], dim=1)
    right = torch.stack([-angle.sin(), angle.cos(), torch.zeros(count)], dim=1)
    down = torch.tensor([0.0, 0.0, -1.0]).expand(count, 3)
    return rigid(torch.stack([right, down, -toward], dim=2), distance * toward)


def wedge(inside: Callable[[torch.Tensor], torch.Tensor]) -> SdfGrid:
    """Distances of what two views leave: `inside` of points (n, 3) is negative in it."""
    low, high = torch.tensor([-0.2, -0.06, -0.06]), torch.tensor([0.2, 0.06, 0.06])
    axes = [torch.linspace(float(low[k]), float(high[k]), n) for k, n in enumerate((81, 25, 25))]
    return SdfGrid(inside(lattice(axes)).view(25, 25, 81), low, high)


def test_quantiles_are_of_what_is_told() -> None:
    values = torch.randn(9, 200, generator=torch.Generator().manual_seed(0))
    values[torch.rand(9, 200, generator=torch.Generator().manual_seed(1)) < 0.4] = torch.nan
    values[:, 0], values[1:, 1] = torch.nan, torch.nan
    for share in (0.0, 0.1, 0.5, 0.93, 1.0):
        theirs = values.nanquantile(share, dim=0)
        torch.testing.assert_close(quantile_of_told(values, share), theirs, equal_nan=True)


def test_the_middle_view_halves_the_widest_angle() -> None:
    toward, arc = middle_view(ring(70.0), torch.zeros(3))
    assert arc == pytest.approx(70, abs=0.1)
    torch.testing.assert_close(toward, torch.tensor([1.0, 0.0, 0.0]), atol=1e-5, rtol=0)
    assert views_are_flat(ring(39.0), torch.zeros(2, 3), 40.0)
    assert not views_are_flat(ring(41.0), torch.zeros(2, 3), 40.0)


@pytest.mark.parametrize("degrees", [4.0, 45.0])
def test_a_round_outline_becomes_about_as_deep_as_wide(degrees: float) -> None:
    # A round bar along z of 3 cm radius, half a metre away, leaves a wedge 40 cm deep.
    hull = wedge(lambda points: points[:, 1].abs() - 0.03 * (0.5 - points[:, 0]) / 0.5)
    found = Inflation.of(hull, ring(degrees), torch.zeros(3))
    assert found is not None
    depth = torch.linspace(-0.2, 0.2, 401)
    bound = found(torch.stack([depth, torch.zeros(401), torch.zeros(401)], dim=1))
    inside = depth[bound < 0]
    assert float(inside.max() - inside.min()) == pytest.approx(0.06, abs=0.012)
    assert float(inside.mean()) == pytest.approx(0.0, abs=0.005)


def test_views_that_turn_enough_are_left_alone() -> None:
    hull = wedge(lambda points: points.norm(dim=1) - 0.04)
    assert Inflation.of(hull, ring(FULL_ARC + 5), torch.zeros(3)) is None
    assert Inflation.of(wedge(lambda points: points[:, 0] * 0 + 1), ring(10.0), torch.zeros(3)) is None


def test_half_depths_are_those_of_a_ball_and_of_a_bar() -> None:
    y, x = np.mgrid[:61, :61] - 30
    away = np.hypot(x, y)
    ball, bar = half_depths(away < 20, 2.0), half_depths(np.abs(y) < 10, 2.0)
    inner = away < 15
    assert np.abs(ball - np.sqrt(np.maximum(400 - away**2, 0)))[inner].max() < 2
    assert bar[30, 15:45] == pytest.approx(10, abs=0.8)
    assert (ball[away >= 20] == 0).all()


def test_a_torn_object_is_more_rugged_than_a_ball() -> None:
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, 41)] * 3, indexing="ij")
    ball = torch.stack([x, y, z]).norm(dim=0) - 0.8
    fins = torch.minimum(torch.maximum(x.abs() - 0.06, ball), torch.maximum(y.abs() - 0.06, ball))
    assert ruggedness(ball) == pytest.approx(1.0, abs=0.08)
    assert ruggedness(fins) > 1.7
    assert ruggedness(torch.ones(4, 4, 4)) == float("inf")


def seen_where(scene: Scene, clip: Clip) -> Clip:
    """The clip with the masks that the scene's object has."""
    with torch.no_grad():
        placed, values, size = scene.place(mesh=False), scene.distances(), clip.known.shape[-1]
        v, u = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
        pixels = torch.stack([u, v], dim=-1).reshape(1, -1, 2).expand(len(clip), -1, -1)
        origins, directions = pixel_rays(pixels, placed.intrinsics, placed.T_object_camera)
        seen = render_mask(lambda points: scene.sdf(values, points), origins, directions, scene.lower, scene.upper)
    masks = (seen.alpha > 0.5).float().view(len(clip), size, size)
    return replace(clip, object_mask=masks, hand_mask=torch.zeros_like(masks))


def bar_scene(clip: Clip) -> Scene:
    """A scene whose object is a flat bar before the palm."""
    scene = Scene(clip, HAND)
    low, high = torch.tensor([0.02, -0.08, -0.035]), torch.tensor([0.18, 0.08, 0.125])
    points = lattice([torch.linspace(float(low[k]), float(high[k]), 33) for k in range(3)])
    away = (points - (low + high) / 2).abs() - torch.tensor([0.02, 0.012, 0.06])
    distance = away.clamp(min=0).norm(dim=1) + away.amax(dim=1).clamp(max=0)
    scene.set_object(distance.view(33, 33, 33), low, high)
    return scene


def test_slips_and_turns_in_the_picture_are_found_and_taken_for_motion_in_the_hand(clip: Clip) -> None:
    scene = bar_scene(clip)
    filmed = seen_where(scene, clip)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        truth = scene.place(mesh=False).T_object_camera
        scene.object_shift.copy_(0.012 * torch.randn(FRAMES, 3, generator=random))
        wrong = scene.place(mesh=False)

    def missed() -> float:
        """How far the box's middle and ends are off across the line of sight, m."""
        with torch.no_grad():
            found = invert(scene.place(mesh=False).T_object_camera)
        points = (scene.lower + scene.upper) / 2 + torch.tensor([[0.0, 0.0, z] for z in (-0.05, 0.0, 0.05)])
        points = points.expand(FRAMES, 3, 3)
        return float(
            (transform_points(found, points) - transform_points(invert(truth), points))[..., :2].norm(dim=-1).mean()
        )

    before = missed()
    left = align_in_plane(scene, filmed, torch.Generator().manual_seed(0))
    assert before > 0.008 and missed() < 0.25 * before
    assert left.isfinite().all() and left.mean() < 0.002
    with torch.no_grad():
        torch.testing.assert_close(scene.place(mesh=False).T_camera_hand, wrong.T_camera_hand, atol=1e-5, rtol=0)
        assert motion_losses(scene).firm < 1e-6


def test_masks_that_contradict_each_other_keep_the_shape_that_all_of_them_made(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreeing_fit = Fit(clip, HAND, (), None, QUICK)
    assert any(level.abs().max() > 0 for level in agreeing_fit.run().levels) and not agreeing_fit.rough
    monkeypatch.setattr("hoprior.tasks.reconstruct.fit.AGREED_MISS", 0.0)
    fit = Fit(clip, HAND, (), None, QUICK)
    scene = fit.run()
    assert fit.rough and all((level == 0).all() for level in scene.levels)


def test_a_hand_that_was_not_seen_goes_with_its_object(clip: Clip) -> None:
    scene = bar_scene(clip)
    filmed = seen_where(scene, clip)
    filmed = replace(filmed, has_hand=torch.tensor([True, True, False, True, True]))
    with torch.no_grad():
        scene.hand_shift[2] += torch.tensor([0.0, 0.012, 0.012])
        held, before = scene.place(mesh=False).T_hand_object[2], scene.place(mesh=False).T_camera_hand[2]
    align_in_plane(scene, filmed, torch.Generator().manual_seed(0))
    with torch.no_grad():
        now = scene.place(mesh=False)
    torch.testing.assert_close(now.T_hand_object[2], held, atol=1e-4, rtol=0)
    assert (now.T_camera_hand[2] - before)[:3, 3].norm() > 0.005


def test_the_middles_of_masks_are_brought_together_and_small_misses_left(clip: Clip) -> None:
    scene = bar_scene(clip)
    filmed = seen_where(scene, clip)
    before = scene.place(mesh=False).T_object_camera.detach().clone()
    bring_centroids_together(scene, filmed)
    assert (scene.place(mesh=False).T_object_camera - before).abs().max() < 2e-3
    with torch.no_grad():
        camera_axis = before[3, :3, 0]
        scene.object_shift[3] += 0.05 * camera_axis
    bring_centroids_together(scene, filmed)
    off = (scene.place(mesh=False).T_object_camera - before)[3, :3, 3].norm()
    assert float(off) < 0.025


def test_an_object_may_turn_less_than_the_hand(clip: Clip) -> None:
    def turned(share: float) -> float:
        scene = bar_scene(clip)
        turn_less(scene, share)
        with torch.no_grad():
            T = invert(scene.place(mesh=False).T_object_camera)
        return float(roma.rotmat_geodesic_distance(T[0, :3, :3], T[-1, :3, :3]))

    assert turned(0.0) < 1e-3
    assert turned(0.5) == pytest.approx(turned(1.0) / 2, rel=0.1)


def test_a_new_box_leaves_an_object_where_it_is(clip: Clip) -> None:
    scene = bar_scene(clip)
    with torch.no_grad():
        scene.object_turn.copy_(0.3 * torch.randn(FRAMES, 3, generator=torch.Generator().manual_seed(0)))
        before = scene.place(mesh=False).T_hand_object
        scene.set_object(scene.base, scene.lower + 0.05, scene.upper + 0.07)
        torch.testing.assert_close(scene.place(mesh=False).T_hand_object, before, atol=1e-6, rtol=0)


def test_frames_that_miss_far_more_than_usual_do_not_agree() -> None:
    missed = torch.tensor([0.002, 0.003, 0.002, torch.nan, 0.02])
    assert agreeing(missed).tolist() == [True, True, True, False, False]
    assert agreeing(torch.full((4,), 1e-4)).all()


def test_motion_is_measured_whatever_frame_the_object_was_given() -> None:
    rng = np.random.default_rng(0)
    truth = np.tile(np.eye(4), (6, 1, 1))
    truth[:, :3, :3] = Rotation.from_quat(rng.normal(size=(6, 4))).as_matrix()
    truth[:, :3, 3] = rng.normal(size=(6, 3))
    between = np.eye(4)
    between[:3, :3], between[:3, 3] = Rotation.from_quat(rng.normal(size=4)).as_matrix(), [0.3, -0.2, 0.1]
    assert motion_errors(truth @ between, truth, np.array([0.1, 0.0, 0.0])) == pytest.approx((0, 0), abs=1e-4)
    moved = truth.copy()
    moved[:, :3, 3] += 0.01 * np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])[:, None] * [1.0, 0.0, 0.0]
    found = motion_errors(moved @ between, truth, np.zeros(3))
    assert found.motion_cm == pytest.approx(1.0, abs=0.3) and found.motion_deg < 1e-4


def test_a_clip_is_filmed_as_people_film(tmp_path: Path) -> None:
    faulty = replace(FILM, mask_faults=0.4, missing_hands=0.3, cut=0.4)
    write_folder(tmp_path / "clip", lambda place: film(held_box(12), HAND, place, faulty))
    write_folder(tmp_path / "fine", lambda place: film(held_box(12), HAND, place, FILM))
    clip, fine = read_clip(tmp_path / "clip"), read_clip(tmp_path / "fine")
    assert (fine.known == 1).all() and fine.has_hand.all()
    cut = clip.known.amin(dim=(1, 2)) == 0
    assert 0.3 <= cut.float().mean() <= 0.9
    assert 0.3 <= (~clip.has_hand).float().mean() <= 0.7
    assert (clip.confidence[~clip.has_hand] == 0).all()
    with Image.open(tmp_path / "clip" / "obj_mask" / "0000.png") as mask:
        assert mask.size == (FILM.size, FILM.size)


def test_overlaps_with_masks_are_one_where_the_object_is_what_was_seen(clip: Clip) -> None:
    result = reconstruct(clip, priors=(), config=QUICK)
    assert result.T_camera_hand.shape == (FRAMES, 4, 4)
    found = mask_overlaps(result, clip)
    assert ((found > 0.3) & (found <= 1)).all()
    assert np.isnan(mask_overlaps(result, replace(clip, has_object=clip.has_object & False))).all()
