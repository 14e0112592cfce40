"""Random streams by which a draw depends neither on how many others there are nor on the device."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def spawn(generator: torch.Generator | None, device: torch.device) -> torch.Generator:
    """A stream of its own, seeded with one number from `generator`, which thus moves on by one whatever is drawn.

    It lives where `generator` does (then a CPU generator gives the same draws on every device), else on `device`.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> first, second = (spawn(generator, torch.device("cpu")) for _ in range(2))
        >>> bool(torch.randn((), generator=first) == torch.randn((), generator=second))
        False
    """
    if generator is not None:
        device = generator.device
    seed = torch.randint(2**62, (), generator=generator, device=device)
    return torch.Generator(device).manual_seed(int(seed))


def randn_each(stream: torch.Generator, shape: Sequence[int]) -> Float[Tensor, "b *shape"]:
    """Normal noise, drawn one element after the other, so that more elements change none; on the stream's device.

    Example:
        >>> three, two = (randn_each(torch.Generator().manual_seed(0), (num, 4)) for num in (3, 2))
        >>> torch.equal(three[:2], two)  # another element changes none
        True
    """
    return torch.stack([torch.randn(tuple(shape[1:]), generator=stream, device=stream.device) for _ in range(shape[0])])


def spawn_each(generator: torch.Generator | None, count: int, device: torch.device) -> list[torch.Generator]:
    """A stream for each of `count` elements; `generator` moves on by one, and more elements change none."""
    stream = spawn(generator, device)
    return [spawn(stream, device) for _ in range(count)]


def randn_of(streams: Sequence[torch.Generator], shape: Sequence[int]) -> Float[Tensor, "b *shape"]:
    """Normal noise, each element's from its own stream; on the streams' device.

    Example:
        >>> streams = spawn_each(torch.Generator().manual_seed(0), 2, torch.device("cpu"))
        >>> randn_of(streams, (3,)).shape
        torch.Size([2, 3])
    """
    return torch.stack([torch.randn(tuple(shape), generator=stream, device=stream.device) for stream in streams])
