"""GroupNorm by a kernel: what torch gives, as exactly, and torch's own for all else."""

import pytest
import torch
from torch import Tensor, nn

from hoprior.kernels.choice import SWITCH
from hoprior.models.networks.norms import QuickGroupNorm


def norm_and_input(dtype: torch.dtype) -> tuple[QuickGroupNorm, Tensor]:
    generator = torch.Generator().manual_seed(0)
    norm = QuickGroupNorm(4, 16).requires_grad_(False)
    norm.weight.copy_(torch.randn(16, generator=generator))
    norm.bias.copy_(torch.randn(16, generator=generator))
    x = 3 + torch.randn(5, 16, 6, 5, 4, generator=generator)
    return norm, x.to(dtype).contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_it_is_as_near_to_the_truth_as_torchs(dtype: torch.dtype) -> None:
    norm, x = norm_and_input(dtype)
    before = x.clone()
    quick, torchs = norm(x), nn.GroupNorm.forward(norm, x)
    truth = nn.functional.group_norm(x.double(), 4, norm.weight.double(), norm.bias.double())
    assert quick.dtype == torchs.dtype == dtype and quick.shape == x.shape
    assert quick.is_contiguous(memory_format=torch.channels_last_3d)
    assert (quick - truth).abs().max() <= 1.5 * (torchs - truth).abs().max()
    assert torch.equal(x, before)


@torch.no_grad()
def test_other_layouts_and_sizes_are_torchs() -> None:
    norm, x = norm_and_input(torch.float32)
    for other in (x.contiguous(), x[:, :, 0].contiguous(), x.flatten(2)):
        assert torch.equal(norm(other), nn.functional.group_norm(other, 4, norm.weight, norm.bias))
    exact = norm.double()
    assert torch.equal(exact(x.double()), nn.functional.group_norm(x.double(), 4, exact.weight, exact.bias))


def test_without_kernels_it_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    norm, x = norm_and_input(torch.float32)
    monkeypatch.setenv(SWITCH, "off")
    assert torch.equal(norm(x), nn.functional.group_norm(x, 4, norm.weight, norm.bias))


def test_gradients_are_torchs() -> None:
    norm, x = norm_and_input(torch.float32)
    slopes = []
    for call in (norm, lambda x: nn.functional.group_norm(x, 4, norm.weight, norm.bias)):
        leaf = x.clone().requires_grad_()
        slopes.append(torch.autograd.grad(call(leaf).square().sum(), leaf)[0])
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_group_of_equals_becomes_the_bias() -> None:
    norm, x = norm_and_input(torch.float32)
    flat = torch.full_like(x, 7.0)
    torch.testing.assert_close(norm(flat), norm.bias[:, None, None, None].expand_as(flat), atol=0.01, rtol=0)
    assert norm(flat).isfinite().all()
