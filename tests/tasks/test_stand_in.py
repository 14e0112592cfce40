"""Things of its kind that take the place of an object whose shape pictures do not tell."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from held_box import HAND, QUICK
from shown_results import a_clip
from told_evidence import FINE, WORSE

import hoprior.tasks.reconstruct.task as task
from hoprior.datasets.clips.clip import Clip
from hoprior.datasets.clips.truth import mask_overlaps
from hoprior.geometry.state import HandObjectState, transform_points
from hoprior.results.reconstructions import CONFIDENCE, Reconstruction, trust_word
from hoprior.tasks.reconstruct.completion import is_better
from hoprior.tasks.reconstruct.evidence import Evidence
from hoprior.tasks.reconstruct.fit import Fit
from hoprior.tasks.reconstruct.frame_views import FrameViews
from hoprior.tasks.reconstruct.object_track import SPACING
from hoprior.tasks.reconstruct.of_kind import Example, examples_of, family_of, stretched
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.reconstruct.stand_in import find_stand_in
from hoprior.tasks.reconstruct.task import reconstruct
from hoprior.tasks.reconstruct.trust import trust_of
from hoprior.tasks.reconstruct.visual_hull import Carver

BOXES = [Example("box", trimesh.creation.box((0.07, 0.06, 0.11)).subdivide(), True)]


@pytest.mark.parametrize(
    "text, name",
    [
        ("a red mug", "mug"),
        ("a hand using a power drill", "power drill"),
        ("a small box", "small box"),
        ("a gizmo", None),
        ("a mug holder", None),
        (None, None),
    ],
)
def test_words_name_a_family_or_none(text: str | None, name: str | None) -> None:
    family = family_of(text)
    assert (family and family.name) == name


@pytest.mark.parametrize("text", ["a cup", "a bottle", "a gizmo", None])
def test_what_may_take_a_place_is_closed_and_always_the_same(text: str | None) -> None:
    examples = examples_of(text)
    assert all(each.mesh.is_watertight and each.mesh.volume > 0 for each in examples)
    assert all(each.sized == (text in ("a cup", "a bottle")) for each in examples)
    for one, other in zip(examples, examples_of(text), strict=True):
        assert np.array_equal(one.mesh.vertices, other.mesh.vertices)


def test_a_stretched_surface_keeps_its_axes() -> None:
    made = stretched(BOXES[0].mesh, np.array([1.0, 2.0, 0.5]))
    np.testing.assert_allclose(made.extents, [0.07, 0.12, 0.055])
    assert made.is_watertight


@pytest.mark.parametrize("points", [300, 2400])
def test_what_lies_where_it_was_seen_misses_nothing_however_few_points_stand_for_it(clip: Clip, points: int) -> None:
    truth, index = clip.truth, torch.arange(len(clip))
    assert truth is not None
    views = FrameViews.of(Scene(clip, HAND), clip, Carver.of(clip), index, 0, 160)
    surface = torch.from_numpy(trimesh.sample.sample_surface(truth.mesh, points, seed=0)[0]).float()
    spacing = torch.tensor([SPACING * (truth.mesh.area / points) ** 0.5])
    T = truth.T_camera_hand @ truth.T_hand_object

    def missed(size: float) -> float:
        middle = torch.from_numpy(truth.mesh.bounds.mean(axis=0)).float()
        camera = transform_points(T, (middle + size * (surface - middle)).expand(len(T), -1, -1))
        return 1000 * float(views.misses(camera[None], size * spacing, index).mean())

    assert missed(1.0) < 0.6
    assert missed(0.9) > missed(1.0) + 1 and missed(1.1) > missed(1.0) + 0.5


def test_a_thing_like_the_object_is_brought_to_its_masks_in_every_frame(clip: Clip) -> None:
    fit = Fit(clip, HAND, (), None, replace(QUICK, steps=1), stand_ins=BOXES)
    fit.run()
    assert fit.stand_in is not None and fit.stand_in.of_kind
    placed = fit.scene.place(mesh=False)
    result = replace(
        reconstruct(clip, priors=(), config=replace(QUICK, hand_steps=1, steps=1)),
        object_mesh=fit.stand_in.mesh,
        T_camera_hand=placed.T_camera_hand.detach().numpy(),
        T_hand_object=placed.T_hand_object.detach().numpy(),
    )
    overlaps = mask_overlaps(result, clip)
    assert np.nanmean(overlaps) > 0.8 and np.nanmin(overlaps) > 0.7
    assert fit.stand_in.mesh.is_watertight
    again = find_stand_in(Scene(clip, HAND), clip, BOXES), find_stand_in(Scene(clip, HAND), clip, BOXES)
    assert torch.equal(again[0].T_camera_object, again[1].T_camera_object), "nothing of it is left to chance"


def test_a_guess_is_never_called_good_and_a_plain_solid_not_to_be_trusted() -> None:
    of_kind, solid = (trust_of(replace(FINE, guessed=guessed)) for guessed in (1.0, 2.0))
    assert trust_word(trust_of(FINE)) == "good"
    assert trust_word(of_kind) == "doubtful"
    assert trust_word(solid) == "not to be trusted"


def told(**changes: float) -> Reconstruction:
    return replace(a_clip(), evidence=replace(FINE, **changes).plain())


def test_torn_things_do_not_stay_and_others_stay_where_they_fit_their_masks_better() -> None:
    for guessed in (1.0, 2.0):
        guess = told(guessed=guessed, overlap=0.85)
        assert is_better(guess, told(overlap=0.85, handles=9.0))
        assert not is_better(guess, told(overlap=0.95))
        assert is_better(guess, told(overlap=0.6, outline=FINE.outline + 1))
    assert is_better(told(guessed=1.0, overlap=0.85), told(overlap=0.85))
    assert not is_better(told(guessed=2.0, overlap=0.85), told(overlap=0.85)), "a solid says less than what was carved"
    assert is_better(told(guessed=1.0, overlap=0.85), told(overlap=0.8))
    assert not is_better(told(guessed=2.0, overlap=0.85), told(overlap=0.8)), "its outline is no nearer"


class Indifferent:
    """A prior to which all is alike."""

    needs_rest_poses = False
    text_encoder_name = None

    def energy(self, state: HandObjectState, cond: torch.Tensor | None) -> torch.Tensor:
        return 0 * state.object_sdf_at(torch.zeros(1, 3)).mean(dim=1)


def test_a_shape_that_frames_do_not_tell_is_a_guess_and_is_said_to_be(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    carved = Evidence(**WORSE)
    monkeypatch.setattr(task, "examples_of", lambda text: BOXES)
    first = Evidence.of
    monkeypatch.setattr(task.Evidence, "of", lambda *given: carved if given[-1] == 0 else first(*given), raising=True)
    result = reconstruct(clip, priors=[(1.0, Indifferent())], config=replace(QUICK, stand_ins=True))
    assert result.object_mesh.is_watertight and len(result.object_mesh.vertices) == len(BOXES[0].mesh.vertices)
    assert result.evidence["guessed"] == 1 and result.trust_word != "good"
    assert any("guess: a box" in note for note in result.notes)
    assert result.object_mesh.vertex_attributes[CONFIDENCE].min() < 1
    carved_stays = reconstruct(clip, priors=[(1.0, Indifferent())], config=QUICK)
    assert carved_stays.evidence == carved.plain()
    assert not any("guess: a box" in note for note in carved_stays.notes)
