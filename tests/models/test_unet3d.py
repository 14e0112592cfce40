"""What the denoising network must satisfy whatever it has learned (models/networks/unet3d.py)."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from hoprior.models.networks.blocks import count_parameters
from hoprior.models.networks.unet3d import UNet3D


def awake(net: UNet3D, seed: int = 0) -> UNet3D:
    """A network whose zero-initialised layers say something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1, generator=generator)
    return net.eval()


@pytest.fixture(params=[False, True], ids=["own skips", "all skips"])
def net(request: pytest.FixtureRequest) -> UNet3D:
    torch.manual_seed(0)
    return awake(UNet3D(5, 4, (16, 32), (2, 1), (False, True), context_dim=6, head_dim=16, skip_all=request.param))


def inputs(count: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 5, 8, 8, 8, generator=generator)
    t = torch.randint(1000, (count,), generator=generator).float()
    return x, t, torch.randn(count, 2, 6, generator=generator)


def test_a_fresh_network_predicts_zero() -> None:
    net = UNet3D(5, 4, (16, 32), (1, 1), (True, True), context_dim=6, head_dim=16)
    x, t, context = inputs(2)
    assert net(x, t, context).shape == (2, 4, 8, 8, 8)
    assert not net(x, t, context).any()


def test_everything_it_is_told_matters(net: UNet3D) -> None:
    x, t, context = inputs(3)
    y = net(x, t, context)
    for other in (net(x.flip(2), t, context), net(x, t + 100, context), net(x, t, context.roll(1, 0))):
        assert (other - y).flatten(1).norm(dim=1).min() > 1e-3


def test_elements_of_a_batch_do_not_meet(net: UNet3D) -> None:
    x, t, context = inputs(4)
    torch.testing.assert_close(net(x, t, context)[1:2], net(x[1:2], t[1:2], context[1:2]), rtol=1e-4, atol=1e-5)


def test_a_token_said_twice_is_said_once(net: UNet3D) -> None:
    x, t, context = inputs(2)
    once = net(x, t, context[:, :1])
    torch.testing.assert_close(net(x, t, context[:, :1].expand(2, 4, 6)), once, rtol=1e-4, atol=1e-5)


def test_every_parameter_learns(net: UNet3D) -> None:
    x, t, context = inputs(2)
    net(x, t, context).square().sum().backward()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


@pytest.mark.parametrize(
    ("channels", "res_blocks", "attention", "head_dim", "middle_blocks", "options", "millions"),
    [
        ((96, 128), (1, 1), (True, True), 48, 1, {"context_dim": 384}, (3.0, 7.0)),
        (
            (64, 128, 192),
            (3, 3, 3),
            (False, True, True),
            64,
            2,
            {"context_dim": 768, "skip_all": True, "expansion": 6},
            (45.0, 49.0),
        ),
    ],
    ids=["embedded", "paper"],
)
def test_sizes(
    channels: Sequence[int],
    res_blocks: Sequence[int],
    attention: Sequence[bool],
    head_dim: int,
    middle_blocks: int,
    options: dict,
    millions: tuple[float, float],
) -> None:
    with torch.device("meta"):
        net = UNet3D(28, 28, channels, res_blocks, attention, head_dim=head_dim, middle_blocks=middle_blocks, **options)
    low, high = millions
    assert low < count_parameters(net.parameters()) / 1e6 < high


def test_levels_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="one entry a level"):
        UNet3D(5, 4, (16, 32), (1,), (True, True), context_dim=6)
