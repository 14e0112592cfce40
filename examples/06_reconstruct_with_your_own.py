"""A prior in a reconstruction: what guides hands and object beside the masks, and what hollows vessels out.

hoprior data render-clip --out clip --family mug
python examples/06_reconstruct_with_your_own.py clip
"""

import sys
from typing import NamedTuple

import torch

import hoprior
from hoprior.geometry.sdf import SdfGrid
from hoprior.priors import ObjectView


class FingersTouch:
    """Energy: squared cm from the fingertips to the object's surface, with 8 mm of flesh between."""

    def energy(self, state: hoprior.HandObjectState, cond: torch.Tensor | None = None) -> torch.Tensor:
        tips = state.joints_hand[:, 16:21] @ state.T_object_hand[:, :3, :3].mT + state.T_object_hand[:, None, :3, 3]
        return (100 * (state.sdf(tips) - 0.008)).square().mean(dim=1)


class Taken(NamedTuple):
    """What an object is taken for."""

    mouth: torch.Tensor


class OpenAbove:
    """Takes everything for a vessel with its mouth up, as sure as 0.9, where it is known what is up."""

    def complete(self, sdf: SdfGrid, cond: torch.Tensor | None, view: ObjectView, mirrored: bool) -> Taken:
        up = torch.zeros(3) if view.up is None else view.up
        return Taken(0.9 * up[None])


if __name__ == "__main__":
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else None
    result = hoprior.reconstruct(
        sys.argv[1], priors=[(1.0, FingersTouch()), (1.0, OpenAbove())], preset="fast", minutes=minutes
    )
    print("vertices of the object:", len(result.object_mesh.vertices))
