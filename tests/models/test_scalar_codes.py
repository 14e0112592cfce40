"""Scalar quantisation is the library's to the bit, in value and gradient, trained or used."""

import pytest
import torch
from vector_quantize_pytorch import FSQ

from hoprior.models.networks.scalar_codes import ScalarCodes


@pytest.mark.parametrize("levels", [(3,), (8, 5, 5, 4), (7, 7, 9, 2 + 2)])
@pytest.mark.parametrize("training", [True, False])
def test_equals_the_library(levels: tuple[int, ...], training: bool) -> None:
    rims = torch.linspace(-1.2, 1.2, 241)[:, None].expand(-1, len(levels))
    latents = torch.cat([rims, torch.randn(400, len(levels), generator=torch.Generator().manual_seed(0)).tanh()])[None]
    library = FSQ(list(levels), return_indices=False, bound_hard_clamp=True)
    ours, theirs = (latents.clone().requires_grad_() for _ in range(2))
    codes, expected = ScalarCodes(levels).train(training)(ours), library(theirs)[0]
    assert torch.equal(codes, expected)
    assert len(codes.detach()[0, :, 0].unique()) == levels[0]
    for value in (codes, expected):
        (value * latents.cos()).sum().backward()
    assert torch.equal(ours.grad, theirs.grad)
