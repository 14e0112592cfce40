"""The kernel of group normalisation against the equation in double precision, in values and in all slopes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("numba")
from hoprior.kernels.norms import GroupNormalised

Made = tuple[Tensor, Tensor, Tensor]
SHAPES = [(5, 16, 4, (6, 5, 4)), (1, 8, 8, (2, 2, 2)), (3, 48, 8, (8, 8, 8)), (2, 6, 1, (3, 1, 2))]


def made(shape: tuple[int, int, int, tuple[int, int, int]], dtype: torch.dtype) -> Made:
    """Features away from zero, as what follows a convolution with a bias is, and a weight and bias."""
    num, channels, _, size = shape
    generator = torch.Generator().manual_seed(1)
    x = 2 + torch.randn(num, channels, *size, generator=generator) * torch.rand(
        1, channels, 1, 1, 1, generator=generator
    )
    weight, bias = torch.randn(2, channels, generator=generator)
    return x.to(dtype).contiguous(memory_format=torch.channels_last_3d), weight, bias


def with_slopes(values: Made, groups: int, exact: bool) -> tuple[Tensor, ...]:
    """What comes out, and the slopes of x, weight and bias of a sum with weights."""
    leaves = [(value.double() if exact else value).clone().requires_grad_() for value in values]
    if exact:
        out = nn.functional.group_norm(leaves[0], groups, leaves[1], leaves[2], 1e-5)
    else:
        out = GroupNormalised.apply(*leaves, groups, 1e-5)
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(values[0].dtype)
    return out, *torch.autograd.grad((out * direction.to(out.dtype)).sum(), leaves)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 2e-5), (torch.bfloat16, 3e-2)])
def test_values_and_slopes_are_those_of_the_equation(
    shape: tuple[int, int, int, tuple[int, int, int]], dtype: torch.dtype, atol: float
) -> None:
    values = made(shape, dtype)
    for ours, exact in zip(with_slopes(values, shape[2], False), with_slopes(values, shape[2], True), strict=True):
        scale = exact.abs().max().clamp(min=1.0)
        assert ours.shape == exact.shape and (ours.double() - exact).abs().max() / scale < atol


def test_numbers_of_16_bits_are_rounded_to_the_nearest_and_of_two_to_the_even_one() -> None:
    x, weight, bias = made(SHAPES[0], torch.bfloat16)
    whole = GroupNormalised.apply(x.float(), weight, bias, 4, 1e-5)
    assert torch.equal(GroupNormalised.apply(x, weight, bias, 4, 1e-5), whole.bfloat16())


def test_how_many_threads_share_makes_no_difference(torch_threads: Callable[[int], None]) -> None:
    values = made(SHAPES[0], torch.float32)
    torch_threads(1)
    alone = with_slopes(values, 4, False)
    torch_threads(3)
    shared = with_slopes(values, 4, False)
    assert all(map(torch.equal, alone, shared))


def test_only_what_is_wanted_has_slopes() -> None:
    x, weight, bias = made(SHAPES[0], torch.float32)
    leaf = x.clone().requires_grad_()
    GroupNormalised.apply(leaf, weight, bias, 4, 1e-5).sum().backward()
    assert leaf.grad is not None and weight.grad is None
