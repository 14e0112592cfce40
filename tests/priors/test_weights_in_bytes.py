"""Weights that travel as bytes: near what they were, half the size, and no way around what other files are asked."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hoprior.errors import HopriorError
from hoprior.models.contrastive import ContrastivePrior
from hoprior.priors.pretrained import read_safetensors


@pytest.fixture
def prior() -> ContrastivePrior:
    torch.manual_seed(0)
    made = ContrastivePrior(width=8, members=2, resolution=8).eval()
    with torch.no_grad():
        made.members[0].logit.weight[:] = torch.linspace(-5, 5, made.members[0].logit.in_features)
    return made


def test_each_weight_is_within_half_a_step(prior: ContrastivePrior, tmp_path: Path) -> None:
    prior.save_safetensors(tmp_path / "a.safetensors")
    again = ContrastivePrior.from_safetensors(tmp_path / "a.safetensors")
    written, _ = read_safetensors(tmp_path / "a.safetensors")
    for name, weight in prior.state_dict().items():
        if name + ".step" in written:
            step = written[name + ".step"].float()
            off = (again.state_dict()[name] - weight).flatten(1).abs().amax(dim=1)
            assert written[name].dtype == torch.int8 and (off <= 0.51 * step + 1e-6).all(), name
        else:
            assert weight.ndim == 1 or not name.endswith("weight"), f"{name} is a layer's weight, and not in bytes"
            torch.testing.assert_close(again.state_dict()[name], weight, rtol=1e-3, atol=1e-6)


def test_answers_stay_as_they_are(prior: ContrastivePrior, tmp_path: Path) -> None:
    prior.save_safetensors(tmp_path / "a.safetensors")
    field = 0.03 * torch.randn(64, 1, 8, 8, 8)
    with torch.no_grad():
        (before, joints), (after, joints_after) = (
            one.judged_fields(field) for one in (prior, ContrastivePrior.from_safetensors(tmp_path / "a.safetensors"))
        )
    assert torch.corrcoef(torch.stack([before, after]))[0, 1] > 0.999
    assert (joints - joints_after).abs().max() < 1e-4


def test_the_file_is_half_the_size(prior: ContrastivePrior, tmp_path: Path) -> None:
    prior.save_safetensors(tmp_path / "bytes.safetensors")
    save_file({name: tensor.half() for name, tensor in prior.state_dict().items()}, tmp_path / "halves.safetensors")
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("bytes", "halves")]
    assert sizes[0] < 0.75 * sizes[1], "of small layers names and steps are a good part"


def test_an_output_of_nothing_but_zeros_stays_so(prior: ContrastivePrior, tmp_path: Path) -> None:
    assert not prior.members[0].joints.weight.any(), "joints begin without a say"
    prior.save_safetensors(tmp_path / "a.safetensors")
    assert not ContrastivePrior.from_safetensors(tmp_path / "a.safetensors").members[0].joints.weight.any()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_written(prior: ContrastivePrior, tmp_path: Path, number: float) -> None:
    with torch.no_grad():
        prior.members[1].logit.weight[0, 3] = number
    with pytest.raises(HopriorError, match=r"members\.1\.logit\.weight.*half precision cannot"):
        prior.save_safetensors(tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


def test_steps_of_a_wrong_number_are_a_damaged_file(prior: ContrastivePrior, tmp_path: Path) -> None:
    prior.save_safetensors(tmp_path / "a.safetensors")
    tensors, header = load_file(tmp_path / "a.safetensors"), read_safetensors(tmp_path / "a.safetensors")[1]
    tensors["members.0.logit.weight.step"] = torch.ones(3, dtype=torch.float16)
    save_file(tensors, tmp_path / "b.safetensors", header)
    with pytest.raises(HopriorError, match="does not fit this version's ContrastivePrior"):
        ContrastivePrior.from_safetensors(tmp_path / "b.safetensors")
