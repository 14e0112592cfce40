"""Random numbers that depend on what they are for, whatever was drawn before."""

import hashlib

import torch


def batch_generator(seed: int, k: int) -> torch.Generator:
    """The generator of batch k of an endless sequence of batches that belongs to a seed."""
    return torch.Generator().manual_seed(seed * 1_000_000_007 + k)


def generator_of(*words: object) -> torch.Generator:
    """A generator whose seed is a hash of some words.

    Example:
        >>> bool(torch.rand((), generator=generator_of("mug", 3)) == torch.rand((), generator=generator_of("mug", 3)))
        True
    """
    digest = hashlib.sha256(" ".join(str(word) for word in words).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:6], "big"))
