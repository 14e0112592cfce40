"""Least squares along a chain: normal equations in which each unknown meets only its neighbours, and some shared ones.

Solved exactly in time linear in the chain's length, with the covariance of every link (Rauch, Tung and Striebel 1965,
as block elimination).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class ChainSolution(NamedTuple):
    """What solves a chain's normal equations.

    `links` and `shared` are the unknowns; `covariance` is the inverse's block of each link together with the shared
    unknowns, these last.
    """

    links: Float[Tensor, "n d"]
    shared: Float[Tensor, " s"]
    covariance: Float[Tensor, "n ds ds"]


def solve_chain(
    diagonal: Float[Tensor, "n d d"],
    beside: Float[Tensor, "m d d"],
    border: Float[Tensor, "n d s"],
    corner: Float[Tensor, "s s"],
    right: Float[Tensor, "n d"],
    right_shared: Float[Tensor, " s"],
) -> ChainSolution:
    """Solves [[T, B], [B^T, C]] x = r, T symmetric, positive definite and block tridiagonal.

    Args:
        diagonal: T's blocks (k, k).
        beside: T's blocks (k, k + 1), m = n - 1 of them.
        border: B.
        corner: C.
        right, right_shared: r.

    Example:
        >>> eye = torch.eye(2).double()
        >>> blocks, apart, border = eye.expand(3, 2, 2), 0 * eye.expand(2, 2, 2), torch.zeros(3, 2, 1).double()
        >>> found = solve_chain(blocks, apart, border, torch.full((1, 1), 2.0).double(), blocks[:, 0], border[0, 0])
        >>> found.links.tolist(), found.shared.tolist()
        ([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], [0.0])
    """
    n, d = right.shape
    columns = torch.cat([right[..., None], border], dim=-1)
    factors, halfway = [torch.linalg.cholesky(diagonal[0])], [columns[0]]
    for k in range(1, n):
        carried = torch.cholesky_solve(torch.cat([beside[k - 1], halfway[-1]], dim=1), factors[-1])
        factors.append(torch.linalg.cholesky(diagonal[k] - beside[k - 1].mT @ carried[:, :d]))
        halfway.append(columns[k] - beside[k - 1].mT @ carried[:, d:])
    inverse = torch.cholesky_inverse(factors[-1])
    solved, blocks = [inverse @ halfway[-1]], [inverse]
    for k in range(n - 2, -1, -1):
        own = torch.cholesky_inverse(factors[k])
        gain = own @ beside[k]
        solved.append(own @ halfway[k] - gain @ solved[-1])
        blocks.append(own + gain @ blocks[-1] @ gain.mT)
    found, own_blocks = torch.stack(solved[::-1]), torch.stack(blocks[::-1])
    plain, response = found[..., 0], found[..., 1:]
    left = corner - torch.einsum("nds,ndt->st", border, response)
    shared_covariance = torch.linalg.inv(left)
    shared = shared_covariance @ (right_shared - torch.einsum("nds,nd->s", border, plain))
    cross = -response @ shared_covariance
    top = torch.cat([own_blocks - cross @ response.mT, cross], dim=-1)
    bottom = torch.cat([cross.mT, shared_covariance.expand(n, -1, -1)], dim=-1)
    return ChainSolution(plain - response @ shared, shared, torch.cat([top, bottom], dim=1))
