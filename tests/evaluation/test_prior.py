"""`hoprior eval prior`: what it says of samplers whose quality is known, and what it writes."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import roma
import torch
import trimesh
from torch import Tensor

from hoprior.cli.entry import main as cli
from hoprior.datasets.benchmarks.recorded_grids import RecordedGrids, family_of, read_recorded, size_of
from hoprior.datasets.samples.cache import Shard, write_index, write_shard
from hoprior.datasets.samples.sample import ObjectInfo
from hoprior.datasets.samples.skin import posed_set
from hoprior.errors import HopriorError
from hoprior.evaluation.prior import evaluate, save
from hoprior.evaluation.prior_quality import (
    MEAN,
    Truth,
    as_interactions,
    compare,
    evenly,
    measure_families,
    measure_generation,
    measure_set,
    measure_sizes,
    measure_vqvae,
)
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import rigid
from hoprior.hand import load_hand
from hoprior.metrics.generation import chamfer_distances, joint_distances
from hoprior.models.grid_prior import GridPrior
from hoprior.models.vqvae import SdfVQVAE

VQVAE: dict[str, Any] = {
    "channels": [8],
    "res_blocks": 1,
    "latent_channels": 4,
    "levels": [5] * 4,
    "grid_resolution": 16,
}
FINE = GridSpec((0.09, 0.0, 0.03), 0.14, 32)
"""For balls whose size must come out."""
GRASPS = 8
EXTENTS = {
    "small cube": (0.03, 0.03, 0.03),
    "large cube": (0.07, 0.07, 0.07),
    "rod": (0.02, 0.02, 0.14),
    "plate": (0.1, 0.1, 0.02),
    "brick": (0.05, 0.08, 0.1),
    "slab": (0.03, 0.1, 0.08),
}


@pytest.fixture(scope="module")
def prior() -> GridPrior:
    torch.manual_seed(0)
    vqvae = SdfVQVAE(**VQVAE).config()
    return GridPrior(vqvae, channels=[16, 16], head_dim=16, text_dim=6, text_encoder="stub").eval()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boxes in the palm, two of each shape, of which one in three is held out."""
    folder = tmp_path_factory.mktemp("cache")
    hand, entries = load_hand(), []
    for k, (category, extents) in enumerate(EXTENTS.items()):
        for twin in range(2):
            generator = torch.Generator().manual_seed(10 * k + twin)
            info = ObjectInfo(f"{category.replace(' ', '')}{twin}", category, "stub", "CC0", "made-up", category)
            palm = torch.tensor([0.09, 0.0, 0.05]) + 0.005 * torch.randn(GRASPS, 3, generator=generator)
            quaternion = torch.randn(GRASPS, 4, generator=generator)
            rotation = roma.unitquat_to_rotmat(quaternion / quaternion.norm(dim=1, keepdim=True))
            # People hold things of a kind in the same way, or nearly.
            rotation = roma.special_gramschmidt(torch.eye(3) + 0.1 * rotation)
            grasps = posed_set(
                info,
                hand,
                hand.relaxed_angles + 0.1 * torch.rand(GRASPS, 15, 3, generator=generator),
                rigid(rotation, -(rotation @ palm[:, :, None])[:, :, 0]),
                recorded=True,
                sentences=(f"a hand holding a {category}",),
            )
            sdf = SdfGrid.from_mesh(trimesh.creation.box(extents), resolution=24)
            path = write_shard(folder, Shard(f"{twin}" * 12, sdf, grasps))
            entries.append({"file": path.name, "object": info.key, "source": "stub", "category": category})
            entries[-1] |= {"recorded": GRASPS, "background": 0}
    write_index(folder, entries)
    return folder


@pytest.fixture(scope="module")
def truth(cache: Path, prior: GridPrior) -> Truth:
    return Truth(read_recorded(cache, prior.spec, val_fraction=1 / 3), "val", load_hand())


def recall(prior: GridPrior, truth: Truth) -> Any:
    """Samples that are training grasps with the text that is asked for; the first of them, whatever the seed."""
    everything = truth.grasps["train"].draw_each(GRASPS, torch.Generator().manual_seed(0))

    def sample(texts: Sequence[str], seed: int) -> InteractionGrid:
        place = {text: k for k, text in enumerate(everything.sentences)}
        return as_interactions(prior, everything[[place.get(text, 0) for text in texts]])

    return sample


def ball(spec: GridSpec, radius: float, offset: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Tensor:
    center = torch.tensor(spec.center) + torch.tensor(offset)
    return ((spec.points() - center).norm(dim=1) - radius).view(1, *spec.shape)


def test_a_size_is_no_family() -> None:
    assert family_of("large cube") == "cube" and size_of("large cube") == "large"
    assert family_of("toy duck") == "toy duck" and size_of("toy duck") is None
    assert family_of("small") == "small" and size_of("small") is None


def test_the_splits_share_no_object_and_draws_repeat_no_grasp(truth: Truth) -> None:
    found = {}
    for split, grasps in truth.grasps.items():
        drawn = grasps.draw(len(grasps), torch.Generator().manual_seed(0))
        found[split] = set(drawn.objects)
        assert len(drawn) == GRASPS * len(grasps.categories)
        assert len(drawn.joints_hand.flatten(1).unique(dim=0)) == len(drawn)
    assert not found["train"] & found["val"] and len(found["val"]) == 4


def test_turns_are_taken_evenly() -> None:
    labels = ["a"] * 10 + ["b"] + ["c"] * 2
    picked = evenly(labels, 9, torch.Generator().manual_seed(0)).tolist()
    assert sorted(labels[k] for k in picked) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
    assert len({k for k in picked if labels[k] == "a"}) == 3


def test_recorded_grasps_are_like_recorded_grasps(prior: GridPrior, truth: Truth) -> None:
    """Half of the held-out grasps against the other half: the best that samples can do."""
    rows = measure_generation(prior, truth, recall(prior, truth), num=16, seed=0)
    assert list(rows) == ["generated", "reconstructed", "recorded", "training"]
    recorded = rows["recorded"]
    assert recorded["samples"] == 16
    for name in ("object", "hand"):
        assert 0.25 < (recorded[f"nna_{name}"] or 0) < 0.75
        assert (recorded[f"coverage_{name}"] or 0) > 0.4
    assert recorded["bones_in_range"] == 1 and recorded["empty"] == 0 and recorded["fragmented"] == 0
    assert (recorded["ik_residual_mm"] or 9) < 0.5
    # An untrained VQ-VAE makes other objects; the hands come back from their fields.
    assert (rows["reconstructed"]["nna_object"] or 0) > 0.9
    assert rows["reconstructed"]["mmd_hand_cm"] == pytest.approx(recorded["mmd_hand_cm"], abs=0.3)


def test_the_reference_itself_is_never_told_apart(prior: GridPrior, truth: Truth) -> None:
    drawn = truth.draw("val", 6, torch.Generator().manual_seed(0))
    measured = measure_set(as_interactions(prior, drawn), truth.hand)
    within = chamfer_distances(measured.clouds), joint_distances(measured.joints_hand, measured.joints_hand)
    copies = compare(measured, measured, *within)
    assert copies["nna_object"] == copies["nna_hand"] == 0
    assert copies["coverage_object"] == copies["coverage_hand"] == 1
    assert copies["mmd_object_cm2"] == copies["mmd_hand_cm"] == 0


def test_nothing_is_said_to_be_nothing(prior: GridPrior, truth: Truth, tmp_path: Path) -> None:
    def empty(texts: Sequence[str], seed: int) -> InteractionGrid:
        joints = load_hand().joints_only(torch.zeros(len(texts), 15, 3))
        return InteractionGrid(torch.full((len(texts), 1, *prior.spec.shape), 0.04), joints, prior.spec)

    found = evaluate(prior, truth, empty, num=8)
    row = found.generation["generated"]
    assert row["empty"] == 1 and row["fragmented"] is None and row["mmd_object_cm2"] is None
    assert row["coverage_object"] == 0 and row["nna_object"] == 1 and row["volume_cm3"] == 0
    sizes = found.sizes["object size, generated"]
    assert sizes["small_cm"] == sizes["large_cm"] == 0 and sizes["cohens_d"] is None
    save(found, tmp_path / "all.json", {})
    document = json.loads((tmp_path / "all.json").read_text())
    assert document["generation"]["generated"]["mmd_object_cm2"] is None


def test_what_is_asked_for_is_recognised_and_what_is_not_is_not(prior: GridPrior, truth: Truth) -> None:
    rows = measure_families(prior, truth, recall(prior, truth), num=12, seed=0)
    assert rows["generated"]["accuracy"] == 1  # a reference finds itself
    known = len({family_of(category) for category in truth.grasps["train"].categories})
    assert rows["generated"]["chance"] == pytest.approx(1 / known)
    # Boxes of one kind are alike, whichever they are and whoever holds them.
    assert (rows["held out"]["accuracy_low"] or 0) > (rows["held out"]["chance"] or 1)

    def deaf(texts: Sequence[str], seed: int) -> InteractionGrid:
        return recall(prior, truth)(["a hand holding a rod"] * len(texts), seed)

    rows = measure_families(prior, truth, deaf, num=10 * known, seed=0)
    assert rows["generated"]["accuracy"] == pytest.approx(1 / known)


def test_words_of_size_have_the_effect_that_they_have(truth: Truth) -> None:
    def grow(by_text: float) -> Any:
        def sample(texts: Sequence[str], seed: int) -> InteractionGrid:
            generator = torch.Generator().manual_seed(seed)
            spread = 0.002 * torch.randn(len(texts), generator=generator)
            radius = [0.03 + by_text * (" large " in text) + float(s) for text, s in zip(texts, spread, strict=True)]
            joints = load_hand().joints_only(torch.zeros(len(texts), 15, 3))
            joints[:, 16, 1] -= torch.tensor(radius)  # the thumb's tip
            return InteractionGrid(torch.stack([ball(FINE, r) for r in radius]), joints, FINE)

        return sample

    heard = measure_sizes(truth, grow(0.01), num=40, seed=0)
    for quantity in ("object size", "grip aperture"):
        row = heard[f"{quantity}, generated"]
        assert row["small_samples"] == 20 and (row["d_low"] or 0) > 2
    size = heard["object size, generated"]
    assert (size["large_cm"] or 0) - (size["small_cm"] or 0) == pytest.approx(2.0, abs=0.1)
    assert (heard["object size, recorded"]["cohens_d"] or 0) > 2
    deaf = measure_sizes(truth, grow(0.0), num=40, seed=0)["object size, generated"]
    assert (deaf["cohens_d"], deaf["d_low"], deaf["d_high"]) == (0, 0, 0)


class Perfect(torch.nn.Module):
    """Stands in for a VQ-VAE: gives distances back, with the surface moved inwards by `miss`."""

    truncation, spec = 0.04, FINE

    def __init__(self, miss: float = 0.0) -> None:
        super().__init__()
        self.miss = torch.nn.Parameter(torch.tensor(miss))

    def forward(self, sdf: Tensor) -> Tensor:
        return sdf + self.miss


def test_a_perfect_vqvae_loses_nothing_and_grids_barely_entered_do_not_count() -> None:
    centres = [(0.0, 0.0, 0.0), (0.13, 0.0, 0.0), (0.17, 0.0, 0.0)]  # whole, half and a cap of a ball in the grid
    large = [ball(FINE, 0.05, x) for x in centres]
    names = ("large", "large", "large", "small")
    grids = RecordedGrids(torch.stack([*large, ball(FINE, 0.03)]), torch.zeros(4, 21, 3), names, names, names)
    rows = measure_vqvae(Perfect(), grids)  # type: ignore[arg-type]
    assert rows["large"] == {"grids": 2, "left_out": 1, "iou": 1, "chamfer_mm": pytest.approx(0, abs=1e-3), "lost": 0}
    assert rows[MEAN]["grids"] == 3 and rows[MEAN]["iou"] == 1
    rows = measure_vqvae(Perfect(0.002), grids)  # type: ignore[arg-type]
    assert rows["small"]["chamfer_mm"] == pytest.approx(2, rel=0.1)
    assert rows["small"]["iou"] == pytest.approx((28 / 30) ** 3, abs=0.02)
    # Objects count the same, however many grids they have.
    assert rows[MEAN]["iou"] == pytest.approx(((rows["small"]["iou"] or 0) + (rows["large"]["iou"] or 0)) / 2)
    rows = measure_vqvae(Perfect(0.05), grids)  # type: ignore[arg-type]
    assert rows["small"]["lost"] == 1 and rows["small"]["chamfer_mm"] is None and rows["small"]["iou"] == 0


def test_the_command_measures_a_file_and_writes_what_it_prints(
    prior: GridPrior, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Words:
        name = "stub"

        def encode(self, texts: Sequence[str]) -> Tensor:
            return torch.tensor([[[float(len(text)), *[0.0] * 5]] for text in texts])

    monkeypatch.setattr("hoprior.priors.text_encoders.load_text_encoder", lambda name, device="cpu": Words())
    prior.save_safetensors(tmp_path / "tiny.safetensors")
    arguments = ["eval", "prior", "--prior", str(tmp_path / "tiny.safetensors"), "--cache", str(cache), "--num", "6"]
    arguments += ["--steps", "2", "--val-fraction", "0.33", "--device", "cpu"]
    documents = []
    for name in ("one", "two"):
        assert cli([*arguments, "--out", str(tmp_path / f"{name}.json")]) == 0
        documents.append(json.loads((tmp_path / f"{name}.json").read_text()))
    assert documents[0] == documents[1]  # a seed is a seed
    printed = capsys.readouterr().out
    assert "held-out objects" in printed and "1-NNA" in printed and "chance" in printed and "Cohen's d" in printed
    assert documents[0]["format"] == "hoprior-prior-metrics/1"
    assert documents[0]["generation"]["generated"]["samples"] == 6
    assert documents[0]["settings"]["steps"] == 2
    rows = list(csv.DictReader((tmp_path / "one.csv").open()))
    value = {(row["table"], row["row"], row["metric"]): row["value"] for row in rows}
    assert float(value["vqvae", MEAN, "iou"]) == pytest.approx(documents[0]["vqvae"][MEAN]["iou"], rel=1e-5)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--num", "1"], "--num 1: give at least 2"),
        (["--out", "table.txt"], "--out table.txt: give the name of a .json file"),
        (["--prior", "contrastive"], "--prior contrastive: is a ContrastivePrior"),
        (["--prior", "nobody"], "prior 'nobody' is unknown"),
        (["--cache", "/nowhere"], "--cache /nowhere: there is no such file or folder"),
        (["--val-fraction", "0"], "no object with recorded grasps is in the split 'val'"),
        (["--split", "test"], "split"),
        (["--seeed", "1"], "seeed"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(
    cache: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = ["eval", "prior", "--cache", str(cache), "--out", str(tmp_path / "a.json"), *arguments]
    assert cli(given) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_too_few_grasps_are_refused(prior: GridPrior, truth: Truth) -> None:
    def none(texts: Sequence[str], seed: int) -> InteractionGrid:
        raise AssertionError("nothing should be sampled")

    with pytest.raises(HopriorError, match="2 recorded grasps to compare with"):
        measure_generation(prior, truth, none, num=1, seed=0)
