"""Sampling hands with objects: its laws, its files and its refusals, with a prior that knows what it should draw."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from small_priors import HAND, JOINTS, NETWORK, VQVAE, Knowing, ball, tiny
from torch import Tensor

import hoprior
from hoprior.cli.entry import main
from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.metrics.hand_validity import bone_lengths
from hoprior.models.grid_prior import GridPrior
from hoprior.models.grid_sampling import clean_range, field_residual, sample_grids
from hoprior.models.vqvae import SdfVQVAE
from hoprior.priors.base import Prior
from hoprior.priors.streams import spawn_each
from hoprior.results.interactions import InteractionSamples
from hoprior.tasks.generate import GenerateConfig
from hoprior.tasks.generate.plausibility import Plausible, examine, without_crumbs

STEPS = 10
CONDITIONS = torch.randn(5, 1, 6, generator=torch.Generator().manual_seed(9))


@pytest.fixture
def knowing() -> Knowing:
    prior = tiny(Knowing)
    prior.text_encoder_name = None
    return prior


AS_DRAWN = GenerateConfig(finish=False)


def draw(prior: GridPrior, num: int = 2, **options: Any) -> InteractionSamples:
    settings = {"steps": STEPS, "device": "cpu", "config": AS_DRAWN, **options}
    return hoprior.generate("a ball", num, prior=prior, **settings)


@pytest.mark.parametrize(
    "settings", [{"prediction": "epsilon"}, {"prediction": "v"}, {"prediction": "v", "object_companding": 20.0}]
)
def test_samples_are_grids_that_can_be(settings: dict[str, Any]) -> None:
    """From a network that knows nothing come grids within their ranges, whatever it predicts."""
    prior = tiny(GridPrior, schedule="cosine", **settings)
    x0 = sample_grids(prior, CONDITIONS[:2], 2, steps=STEPS, generator=torch.Generator().manual_seed(0))
    low, high = clean_range(prior)
    assert x0.shape == (2, *prior.shape)
    assert (x0 >= low - 1e-3).all() and (x0 <= high + 1e-3).all()
    x = prior.encode_grids(ball(prior.spec)[None], JOINTS)
    assert (x >= low - 1e-3).all() and (x <= high + 1e-3).all()


def test_the_codes_bound_latents_with_a_codebook() -> None:
    torch.manual_seed(0)
    vqvae = {**VQVAE, "levels": None, "codebook_size": 16}
    prior = GridPrior(SdfVQVAE(**vqvae).config(), **NETWORK)
    low, high = clean_range(prior)
    codes = prior.vqvae.quantizer.codebook
    assert low.shape == (prior.shape[0], 1, 1, 1)
    assert (low[prior.object_channels].flatten() < codes.amin(dim=0)).all()
    assert (high[prior.object_channels].flatten() > codes.amax(dim=0)).all()


@pytest.mark.parametrize("schedule", ["scaled_linear", "cosine"])
def test_a_velocity_network_that_knows_the_answer_gives_it(schedule: str) -> None:
    prior = tiny(GridPrior, prediction="v", schedule=schedule)
    x0 = prior.encode_grids(ball(prior.spec)[None], JOINTS).detach()

    def velocity(x_t: Tensor, t: Tensor, context: Tensor) -> Tensor:
        abar = prior.alphas_cumprod[t.long()][:, None, None, None, None]
        noise = (x_t - abar.sqrt() * x0) / (1 - abar).sqrt()
        return abar.sqrt() * noise - (1 - abar).sqrt() * x0

    prior.unet.forward = velocity  # type: ignore[method-assign]
    drawn = sample_grids(prior, None, 2, steps=STEPS)
    assert (drawn - x0).abs().max() < 0.01


def test_interactions_have_their_shapes_and_repeat_with_the_seed() -> None:
    prior = tiny(GridPrior)

    def sample(num: int, seed: int, cond: Tensor | None = None) -> InteractionGrid:
        generator = torch.Generator().manual_seed(seed)
        return prior.sample_interactions(cond, num, steps=STEPS, generator=generator).grid

    three, two = sample(3, 0), sample(2, 0)
    assert three.object_sdf.shape == (3, 1, *prior.spec.shape) and three.joints_hand.shape == (3, 21, 3)
    assert three.spec == prior.spec and not three.object_sdf.requires_grad
    # Sample i does not depend on how many there are.
    torch.testing.assert_close(three.object_sdf[:2], two.object_sdf, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(sample(2, 1).object_sdf, two.object_sdf)
    assert not torch.allclose(sample(2, 0, CONDITIONS[:2]).object_sdf, two.object_sdf)


def test_a_list_of_generators_gives_each_element_its_own() -> None:
    prior = tiny(GridPrior)
    streams = [spawn_each(torch.Generator().manual_seed(0), 3, torch.device("cpu")) for _ in range(2)]
    together = sample_grids(prior, None, 3, steps=STEPS, generator=streams[0])
    alone = sample_grids(prior, None, 1, steps=STEPS, generator=streams[1][2:])
    torch.testing.assert_close(together[2:], alone, rtol=1e-3, atol=1e-3)
    with pytest.raises(HopriorError, match="2 generators for 3 elements"):
        sample_grids(prior, None, 3, steps=STEPS, generator=streams[0][:2])


def test_the_residual_is_the_distance_from_a_field_that_a_hand_can_have() -> None:
    prior = tiny(GridPrior)
    x = prior.encode_grids(ball(prior.spec)[None], JOINTS)
    assert field_residual(prior, x, JOINTS).item() < 1e-5
    noisy = x.clone()
    noisy[:, prior.hand_channels] += prior.hand_clamp / prior.grid_std[-1]  # the whole clamp, in every cell
    assert field_residual(prior, noisy, JOINTS).item() == pytest.approx(1.0, rel=1e-3)
    assert field_residual(prior, x, JOINTS * torch.nan).isnan().all()


def test_a_sample_is_the_hand_and_the_object_that_were_drawn(knowing: Knowing) -> None:
    sample = draw(knowing, 1)[0]
    assert np.abs(sample.joints_hand - JOINTS[0].numpy()).max() < 0.003
    assert sample.measures["ik_error_cm"] < 0.2 and sample.measures["bone_error"] < 0.03
    pose = [torch.tensor(getattr(sample, name))[None] for name in ("hand_pose", "betas", "global_orient", "transl")]
    output = HAND(*pose)
    np.testing.assert_allclose(output.joints[0], sample.fitted_joints_hand, atol=1e-5)
    np.testing.assert_allclose(output.verts[0], sample.verts_hand, atol=1e-5)
    assert sample.object_mesh.is_watertight and sample.object_mesh.volume > 0
    np.testing.assert_allclose(sample.object_mesh.bounds.mean(axis=0), (0.1, -0.01, 0.048), atol=0.003)
    assert sample.measures["object_size_cm"] == pytest.approx(6, abs=1)
    assert sample.measures["object_pieces"] == 1 and sample.measures["object_cut"] == 0


def test_the_same_seed_gives_the_same_samples_however_many(knowing: Knowing) -> None:
    two, three, other = draw(knowing, 2), draw(knowing, 3), draw(knowing, 2, seed=1)
    again = draw(knowing, 2)
    for a, b, c, d in zip(two, again, three[:2], other, strict=True):
        assert np.array_equal(a.joints_hand, b.joints_hand)
        assert np.array_equal(a.object_mesh.vertices, b.object_mesh.vertices)
        assert a.measures["object_volume_cm3"] == pytest.approx(c.measures["object_volume_cm3"], rel=1e-3)
        assert a.measures["object_volume_cm3"] != pytest.approx(d.measures["object_volume_cm3"], rel=1e-3)


def test_left_hands_are_right_hands_in_the_mirror(knowing: Knowing) -> None:
    flip = np.array([1.0, -1.0, 1.0])
    for left, right in zip(draw(knowing, side="left"), draw(knowing), strict=True):
        assert (left.side, right.side) == ("left", "right")
        for name in ("joints_hand", "fitted_joints_hand", "verts_hand"):
            np.testing.assert_allclose(getattr(left, name), getattr(right, name) * flip, atol=1e-5)
        np.testing.assert_allclose(left.object_mesh.vertices, right.object_mesh.vertices * flip)
        assert left.object_mesh.volume == pytest.approx(right.object_mesh.volume)
        thumb = left.fitted_joints_hand[15]
        assert thumb[1] > 0


def test_draws_without_an_object_are_drawn_again(knowing: Knowing) -> None:
    knowing.fails = staticmethod(lambda latent: latent > 0)  # type: ignore[assignment]
    samples = draw(knowing, 4)
    assert len(samples) == 4 and samples.draws > 4
    assert samples.rejected == {"without an object": samples.draws - 4}
    assert samples.accepted_share == pytest.approx(4 / samples.draws)
    # Those that stay are the good ones of a longer row of draws.
    np.testing.assert_allclose(draw(knowing, 2)[1].object_mesh.vertices, samples[1].object_mesh.vertices, atol=1e-4)


def test_fewer_than_asked_is_said(knowing: Knowing, caplog: pytest.LogCaptureFixture) -> None:
    knowing.fails = staticmethod(lambda latent: latent > 0)  # type: ignore[assignment]
    with caplog.at_level(logging.WARNING):
        samples = draw(knowing, 6, config=GenerateConfig(finish=False, draws_each=1))
    assert 0 < len(samples) < 6 and samples.asked == samples.draws == 6
    expected = f"{len(samples)} of 6 samples; {len(samples)} of 6 draws were plausible"
    assert samples.summary().startswith(expected) and expected in caplog.text


def test_nothing_plausible_is_an_error_that_says_why(knowing: Knowing) -> None:
    knowing.fails = staticmethod(lambda latent: latent < 1e9)  # type: ignore[assignment]
    with pytest.raises(HopriorError, match=r"none of 2 draws was plausible \(2 without an object\)"):
        draw(knowing, 1, config=GenerateConfig(finish=False, draws_each=2))


SPEC = GridSpec((0.09, 0.0, 0.03), 0.14, 32)


@pytest.mark.parametrize(
    ("joints", "sdf", "fault"),
    [
        (JOINTS, ball(SPEC), None),
        (JOINTS * torch.nan, ball(SPEC), "without a hand"),
        (JOINTS * torch.linspace(0.5, 1.5, 21)[:, None], ball(SPEC), "with bones of wrong lengths"),
        (HAND.joints_only(HAND.angles_to_pose(-2.5 * HAND.angle_high[None])), ball(SPEC), "beyond their limits"),
        (JOINTS, ball(SPEC).abs() + 0.01, "without an object"),
        (JOINTS, ball(SPEC) * torch.nan, "without an object"),
        (JOINTS, torch.minimum(ball(SPEC), ball(SPEC, center=(0.1, 0.09, 0.12))), "broken into far pieces"),
        (JOINTS, ball(SPEC, 0.008), "with an object too small"),
        (JOINTS, ball(SPEC, 0.03, (0.1, -0.01, 0.12)), "with a hand away from the object"),
        (JOINTS, ball(SPEC, 0.06, (0.09, 0.0, 0.03)), "with a hand deep in the object"),
    ],
)
def test_what_is_implausible_is_named(joints: Tensor, sdf: Tensor, fault: str | None) -> None:
    grid = InteractionGrid(sdf[None], joints, SPEC)
    (candidate,) = examine(grid, torch.zeros(1), HAND, Plausible(max_bone_error=0.1))
    if fault is None:
        assert candidate.fault is None and candidate.object_mesh is not None
    else:
        assert candidate.fault is not None and fault in candidate.fault


def test_an_object_can_be_too_large() -> None:
    (candidate,) = examine(InteractionGrid(ball(SPEC)[None], JOINTS, SPEC), torch.zeros(1), HAND, Plausible())
    assert candidate.fault is None
    limits = Plausible(max_size_cm=5.0)
    (candidate,) = examine(InteractionGrid(ball(SPEC)[None], JOINTS, SPEC), torch.zeros(1), HAND, limits)
    assert candidate.fault == "with an object too large"


def test_objects_that_reach_the_end_of_the_grid_are_closed_there() -> None:
    long = ((SPEC.points()[:, 1:] - torch.tensor([-0.01, 0.048])).norm(dim=-1) - 0.03).reshape(1, *SPEC.shape)
    (candidate,) = examine(InteractionGrid(long[None], JOINTS, SPEC), torch.zeros(1), HAND, Plausible())
    assert candidate.object_mesh is not None and candidate.object_mesh.is_watertight
    assert candidate.measures["object_cut"] == 1 and 27 < candidate.measures["object_size_cm"] < 30


def test_crumbs_go_and_near_pieces_stay() -> None:
    whole = ball(SPEC)[0].numpy()
    crumb = np.minimum(whole, ball(SPEC, 0.01, (0.1, 0.09, 0.12))[0].numpy())
    cleaned, pieces, gap = without_crumbs(crumb, SPEC.cell, 0.1)
    assert pieces == 1 and gap == 0 and np.array_equal(cleaned < 0, whole < 0)
    near = np.minimum(whole, ball(SPEC, 0.02, (0.1, 0.05, 0.048))[0].numpy())
    kept, pieces, gap = without_crumbs(near, SPEC.cell, 0.05)
    assert pieces == 2 and 0.009 < gap < 0.03 and np.array_equal(kept, near)


def test_a_field_without_fingertips_gets_those_of_the_hand() -> None:
    joints = JOINTS.clone()
    joints[:, 16:] = torch.nan
    grid = InteractionGrid(ball(SPEC)[None], joints, SPEC)
    (candidate,) = examine(grid, torch.zeros(1), HAND, Plausible(), field_joints=15)
    assert candidate.fault is None
    torch.testing.assert_close(candidate.joints_hand[:16], JOINTS[0, :16])
    assert (candidate.joints_hand[16:] - JOINTS[0, 16:]).norm(dim=-1).max() < 0.03


def test_bones_are_measured_from_their_parents() -> None:
    bent = HAND.joints_only(HAND.angles_to_pose(0.8 * HAND.angle_high[None]))
    # Bones between joints keep their lengths in every pose; skin at the tips bends a little.
    torch.testing.assert_close(bone_lengths(bent)[:, :15], bone_lengths(JOINTS)[:, :15])
    torch.testing.assert_close(bone_lengths(bent)[:, 15:], bone_lengths(JOINTS)[:, 15:], rtol=0.1, atol=0.002)


def test_the_folder_says_everything(knowing: Knowing, tmp_path: Path) -> None:
    samples = draw(knowing, 2)
    folder = samples.save(tmp_path / "out")
    names = {"sample_000.glb", "sample_001.glb", "samples.json", "samples.png", "config.yaml"}
    assert {path.name for path in folder.iterdir()} == names
    index = json.loads((folder / "samples.json").read_text())
    assert set(index["files"]) == names and index["seed"] == 0 and index["versions"]["torch"]
    assert index["text"] == "a ball" and index["sentence"] == "a hand holding a ball"
    entry = index["samples"][1]
    assert np.array(entry["joints_hand"]).shape == (21, 3) and np.array(entry["hand_pose"]).shape == (15, 3)
    assert set(entry["measures"]) == set(index["measures"]) and None not in entry["measures"].values()
    assert set(index["frames"]) >= {"joints_hand", "hand_pose", "betas", "global_orient", "transl"}
    scene = trimesh.load_scene(folder / "sample_001.glb", process=False)
    assert set(scene.geometry) == {"hand", "object"}
    np.testing.assert_allclose(scene.geometry["hand"].vertices, samples[1].verts_hand, atol=1e-6)
    samples[:1].save(folder)
    assert not (folder / "sample_001.glb").exists()


def test_other_peoples_files_are_left_alone(knowing: Knowing, tmp_path: Path) -> None:
    samples = draw(knowing, 1)
    (tmp_path / "grasps.json").write_text(json.dumps({"format": "hoprior-grasps/1"}))
    with pytest.raises(HopriorError, match=r"holds other results \(grasps.json\)"):
        samples.save(tmp_path)
    with pytest.raises(HopriorError, match="no samples to save"):
        replace(samples, samples=()).save(tmp_path / "new")


class Judge(Prior):
    """A prior that only judges."""

    def energy(self, state: object, cond: object = None) -> Tensor:
        return torch.zeros(1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--text", " "], "--text ' ' is empty"),
        (["--text", "a mug", "--num", "0"], "--num 0 is too few"),
        (["--text", "a mug", "--side", "both"], "--side both is unknown"),
        (["--text", "a mug", "--prior", "no_such_prior"], "prior 'no_such_prior' is unknown"),
        (["--text", "a mug", "--prior", "contrastive"], "judges but cannot be sampled"),
        (["--text", "a mug", "--hand", "paw"], "'paw'"),
        (["--text", "a mug", "--steps", "7"], "7 steps do not divide"),
        (["--num", "3"], "text"),
    ],
)
def test_the_command_refuses_nonsense_in_one_line(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "generate", *arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert sentence in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_place_that_is_no_folder_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["run", "generate", "--text", "a mug", "--out", str(tmp_path / "file" / "out")]) == 2
    assert "is a file, not a folder" in capsys.readouterr().err


def test_no_draws_at_all_are_refused() -> None:
    for settings in ({"batch_size": 0}, {"draws_each": 0}):
        with pytest.raises(HopriorError, match="at least 1"):
            GenerateConfig(**settings)


def test_a_judge_is_refused_by_name() -> None:
    with pytest.raises(HopriorError, match="is a Judge, which judges"):
        hoprior.generate("a mug", priors=[(1.0, Judge())])  # type: ignore[arg-type]


def test_the_command_writes_samples(
    knowing: Knowing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hoprior.priors.registry._find", lambda name: knowing)
    out = tmp_path / "out"
    arguments = ["--text", "a ball", "--num", "1", "--steps", str(STEPS), "--draw.plausible.min-size-cm", "3"]
    assert main(["run", "generate", *arguments, "--device", "cpu", "--out", str(out)]) == 0
    assert "1 of 1 draws were plausible" in capsys.readouterr().err
    index = json.loads((out / "samples.json").read_text())
    assert index["config"]["config"]["plausible"]["min_size_cm"] == 3
