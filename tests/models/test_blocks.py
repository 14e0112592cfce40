"""Laws of the 3D building blocks (models/networks/blocks.py)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hoprior.models.networks.blocks import (
    Attention,
    ResBlock,
    TransformerBlock,
    Upsample,
    depth_to_space,
    group_norm,
    space_to_depth,
    timestep_embedding,
)


def awake(attention: Attention) -> None:
    """Its output layer begins at zero."""
    for parameter in attention.out.parameters():
        torch.nn.init.normal_(parameter)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3))
@settings(deadline=None, max_examples=20)
def test_folding_loses_nothing(batch: int, channels: int, factor: int, cells: int) -> None:
    x = torch.randn(batch, channels, *(cells * factor,) * 3)
    folded = space_to_depth(x, factor)
    assert folded.shape == (batch, channels * factor**3, cells, cells, cells)
    assert torch.equal(depth_to_space(folded, factor), x)


def test_a_folded_cell_holds_its_block() -> None:
    x = torch.arange(8**3, dtype=torch.float32).reshape(1, 1, 8, 8, 8)
    assert torch.equal(space_to_depth(x, 2)[0, :, 1, 2, 3], x[0, 0, 2:4, 4:6, 6:8].flatten())


def test_timesteps_are_told_apart() -> None:
    embedding = timestep_embedding(torch.arange(1000).float(), 96)
    assert embedding.shape == (1000, 96)
    distance = torch.cdist(embedding, embedding) + 10 * torch.eye(1000)
    assert distance.min() > 0.1


@pytest.mark.parametrize("channels", [3, 16, 48, 96, 100])
def test_every_width_has_groups(channels: int) -> None:
    x = 5 + 3 * torch.randn(2, channels, 4, 4, 4)
    y = group_norm(channels)(x)
    assert y.mean(dim=(1, 2, 3, 4)).abs().max() < 1e-4


def test_a_fresh_block_is_the_identity() -> None:
    x, embedding, context = torch.randn(2, 32, 4, 4, 4), torch.randn(2, 8), torch.randn(2, 3, 6)
    assert torch.equal(ResBlock(32, 32, 8)(x, embedding), x)
    assert torch.equal(TransformerBlock(32, 6, 16, 2)(x, context), x)


def test_attention_asks_every_cell_and_sees_one_token_as_many() -> None:
    attention = Attention(32, 16, 6)
    awake(attention)
    tokens, context = torch.randn(2, 10, 32), torch.randn(2, 1, 6)
    torch.testing.assert_close(attention(tokens, context), attention(tokens, context.expand(2, 5, 6)))

    cells = Attention(32, 16)
    awake(cells)
    order = torch.randperm(10)
    torch.testing.assert_close(cells(tokens)[:, order], cells(tokens[:, order]))


def test_the_only_token_needs_no_question() -> None:
    attention, tokens, context = Attention(32, 16, 6), torch.randn(2, 10, 32), torch.randn(2, 1, 6)
    awake(attention)
    expected = attention(tokens, context)
    with torch.no_grad():
        torch.testing.assert_close(attention(tokens, context).expand_as(expected), expected)


def test_upsampling_doubles_the_grid() -> None:
    assert Upsample(4, 6)(torch.randn(1, 4, 2, 3, 4)).shape == (1, 6, 4, 6, 8)
