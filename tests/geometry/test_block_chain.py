"""Chains of unknowns: their solution is that of the whole system, and so is what is said of each link's covariance."""

from itertools import pairwise

import pytest
import torch

from hoprior.geometry.block_chain import solve_chain


@pytest.mark.parametrize("n", [1, 2, 7])
def test_it_solves_the_whole_system_and_has_its_inverse(n: int) -> None:
    d, s = 3, 2
    random = torch.Generator().manual_seed(n)
    rows = torch.zeros(n * 6, n * d + s, dtype=torch.double)
    for k in range(n):  # rows that tie a link to the next one and to what all share
        ends = [*range(k * d, min((k + 2) * d, n * d)), *range(n * d, n * d + s)]
        rows[k * 6 : k * 6 + 6, ends] = torch.randn(6, len(ends), generator=random, dtype=torch.double)
    whole = rows.mT @ rows + 0.1 * torch.eye(n * d + s).double()
    right = torch.randn(n * d + s, generator=random, dtype=torch.double)
    spans = [slice(k * d, k * d + d) for k in range(n)]
    shared = slice(n * d, n * d + s)
    diagonal = torch.stack([whole[a, a] for a in spans])
    beside = torch.stack([whole[a, b] for a, b in pairwise(spans)]) if n > 1 else whole.new_zeros(0, d, d)
    border = torch.stack([whole[a, shared] for a in spans])
    found = solve_chain(diagonal, beside, border, whole[shared, shared], right[: n * d].reshape(n, d), right[n * d :])
    solved, inverse = torch.linalg.solve(whole, right), torch.linalg.inv(whole)
    torch.testing.assert_close(torch.cat([found.links.flatten(), found.shared]), solved)
    for k, a in enumerate(spans):
        own = [*range(a.start, a.stop), *range(n * d, n * d + s)]
        torch.testing.assert_close(found.covariance[k], inverse[own][:, own])
