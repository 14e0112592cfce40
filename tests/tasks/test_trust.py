"""How far a reconstruction is to be trusted: what tells it, and what it may not do."""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from held_box import QUICK, QUICK_OPTIONS
from shown_results import a_clip
from told_evidence import FINE, WORSE

from hoprior.cli.entry import main
from hoprior.datasets.clips.clip import Clip
from hoprior.results.reconstructions import CONFIDENCE, INDEX, Reconstruction, trust_word
from hoprior.results.report.clips import clip_page
from hoprior.tasks.reconstruct.evidence import Evidence, handles, seen_share
from hoprior.tasks.reconstruct.task import reconstruct
from hoprior.tasks.reconstruct.trust import SIGNS, signs_of, trust_note, trust_of


@pytest.fixture(scope="module")
def perfect(clip: Clip) -> Reconstruction:
    """The truth, as a result."""
    result = reconstruct(clip, priors=(), config=replace(QUICK, hand_steps=1, steps=1))
    assert clip.truth is not None
    mesh = clip.truth.mesh.copy()
    mesh.vertex_attributes[CONFIDENCE] = np.ones(len(mesh.vertices))
    return replace(
        result,
        object_mesh=mesh,
        T_hand_object=clip.truth.T_hand_object.numpy(),
        T_camera_hand=clip.truth.T_camera_hand.numpy(),
    )


def evidence_of(result: Reconstruction, clip: Clip) -> Evidence:
    return Evidence.of(result, clip, outline=0.0003, miss=0.001, ruggedness=1.0, slipped=False)


@pytest.mark.parametrize("name", [each.name for each in fields(Evidence)])
def test_trust_never_rises_with_what_is_worse(name: str) -> None:
    path = np.linspace(getattr(FINE, name), WORSE[name], 6)
    told = [trust_of(replace(FINE, **{name: value})) for value in path]
    assert all(0 < each < 1 for each in told)
    assert np.all(np.diff(told) <= 0)


def test_no_sign_raises_trust_and_what_is_right_is_good() -> None:
    assert all(sign.weight >= 0 for sign in SIGNS.values())
    assert all(strength >= 0 for strength in signs_of(FINE).values())
    assert trust_word(trust_of(FINE)) == "good" and trust_note(FINE) == []
    worst = Evidence(**WORSE)
    assert trust_word(trust_of(worst)) == "not to be trusted"
    (sentence,) = trust_note(worst)
    assert "not to be trusted" in sentence and "film" in sentence and not sentence.endswith(".")


def test_a_torn_wall_is_evidence_and_is_not_called_good(clip: Clip, perfect: Reconstruction) -> None:
    torn = perfect.object_mesh.copy()
    for x in (-0.02, 0.0, 0.02):
        for z in (-0.04, 0.0, 0.04):
            hole = trimesh.creation.cylinder(0.004, segment=[[0.0, -0.1, 0.0], [0.0, 0.1, 0.0]])
            torn = torn.difference(hole.apply_translation([x, 0, z]))
    torn.vertex_attributes[CONFIDENCE] = np.ones(len(torn.vertices))
    whole, holed = evidence_of(perfect, clip), evidence_of(replace(perfect, object_mesh=torn), clip)
    assert whole.handles == 0 and holed.handles == 9
    assert trust_of(holed) < trust_of(whole)
    assert trust_word(trust_of(holed)) != "good"
    assert any("torn" in note for note in trust_note(holed))


def test_evidence_tells_of_what_is_off(clip: Clip, perfect: Reconstruction) -> None:
    fine = evidence_of(perfect, clip)
    assert fine.overlap > 0.9 and fine.worst_overlap <= fine.overlap and fine.seen == 1
    off = perfect.T_hand_object.copy()
    off[:, 0, 3] += 0.03
    assert evidence_of(replace(perfect, T_hand_object=off), clip).overlap < fine.overlap - 0.2
    moved = perfect.T_camera_hand.copy()
    moved[:, 2, 3] += 0.05
    assert evidence_of(replace(perfect, T_camera_hand=moved), clip).hands_moved > fine.hands_moved + 20
    hidden = perfect.object_mesh.copy()
    hidden.vertex_attributes[CONFIDENCE] = (hidden.vertices[:, 2] > 0).astype(float)
    assert seen_share(hidden) == pytest.approx(0.5, abs=0.05)


def test_evidence_of_a_left_hand_is_that_of_its_mirror_image(clip: Clip, perfect: Reconstruction) -> None:
    mirrored = replace(
        perfect,
        side="left",
        object_mesh=perfect.object_mesh.copy().apply_transform(np.diag([1.0, -1.0, 1.0, 1.0])),
        T_camera_hand=np.diag([-1.0, 1, 1, 1]) @ perfect.T_camera_hand @ np.diag([1.0, -1, 1, 1]),
    )
    assert evidence_of(mirrored, replace(clip, side="left")).hands_moved == pytest.approx(
        evidence_of(perfect, clip).hands_moved, abs=1e-3
    )


def test_handles_are_counted() -> None:
    ball, ring = trimesh.creation.icosphere(), trimesh.creation.torus(2.0, 0.5)
    assert (handles(ball), handles(ring)) == (0, 1)
    assert handles(trimesh.util.concatenate([ball, ring.apply_translation([9, 0, 0])])) == 2


def test_the_command_says_how_far_its_result_is_to_be_trusted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*QUICK_OPTIONS, "--no-report"]
    said = []
    for name in ("one", "two"):
        out = tmp_path / name
        assert main(["run", "reconstruct", "--clip", str(folder), "--prior", "none", "--out", str(out), *settings]) == 0
        index = json.loads((out / INDEX).read_text())
        assert 0 <= index["trust"] <= 1 and index["trust_word"] == trust_word(index["trust"])
        assert trust_of(Evidence(**index["evidence"])) == pytest.approx(index["trust"])
        printed = capsys.readouterr()
        assert f"trust {index['trust']:.2f} ({index['trust_word']})" in " ".join((printed.out + printed.err).split())
        said.append(index["evidence"])
    assert said[0] == said[1], f"the same seed gives the same evidence: {said}"


def test_the_page_says_it_and_earlier_results_have_none(tmp_path: Path) -> None:
    told = replace(a_clip(), trust=0.3)
    (item,) = clip_page(told.save(tmp_path / "told")).items
    assert ("trust", "0.30: not to be trusted") in [fact[:2] for fact in item["facts"]]
    old = a_clip().save(tmp_path / "old")
    index = json.loads((old / INDEX).read_text())
    del index["trust"], index["trust_word"]
    (old / INDEX).write_text(json.dumps(index))
    (item,) = clip_page(old).items
    assert "trust" not in [fact[0] for fact in item["facts"]]


def test_a_shape_that_was_given_is_not_judged(clip: Clip) -> None:
    assert clip.truth is not None
    result = reconstruct(clip, mesh=clip.truth.mesh, priors=(), config=replace(QUICK, hand_steps=1, steps=1))
    assert result.trust is None and result.trust_word is None
