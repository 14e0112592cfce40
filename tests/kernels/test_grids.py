"""Look-ups of an object around hands: the kernel against torch's, in values and in slopes of the placement."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import trimesh

from hoprior.geometry.grid import GridSpec, sample_object_grid
from hoprior.geometry.sdf import SdfGrid, SdfGridBatch
from hoprior.geometry.state import HandObjectState
from hoprior.hand.placement import random_placements
from hoprior.kernels.choice import SWITCH

pytest.importorskip("numba")
from hoprior.kernels import grids
from hoprior.kernels.grids import object_grid

SPEC = GridSpec((0.0, 0.02, 0.06), 0.12, 8)


@pytest.fixture(scope="module")
def box() -> SdfGrid:
    return SdfGrid.from_mesh(trimesh.creation.box((0.04, 0.06, 0.1)), resolution=24)


def states(sdf: object, num: int = 6) -> HandObjectState:
    """Hands around the box, one of them far beyond its grid."""
    placed = random_placements(trimesh.creation.box((0.04, 0.06, 0.1)), num, torch.Generator().manual_seed(0))
    placed[-1, :3, 3] += 0.4
    return HandObjectState(sdf, placed.requires_grad_(), torch.zeros(num, 21, 3))  # type: ignore[arg-type]


def test_values_and_slopes_are_torchs(box: SdfGrid) -> None:
    found = []
    for look_up in (object_grid, sample_object_grid):
        state = states(box)
        field = look_up(state, SPEC)
        weights = torch.randn(field.shape, generator=torch.Generator().manual_seed(1))
        (slope,) = torch.autograd.grad((field * weights).sum(), state.T_object_hand)
        found.append((field.detach(), slope[:, :3]))
    (ours, our_slope), (theirs, their_slope) = found
    assert ours.shape == (6, 1, 8, 8, 8)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    # Where a point lies on a wall between two cells, either's slope is right.
    torch.testing.assert_close(our_slope, their_slope, rtol=1e-3, atol=0.02)


def test_it_is_asked_only_where_it_can_answer(box: SdfGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(grids, "look_up", lambda *arguments: asked.append(arguments))
    object_grid(states(box), SPEC)
    assert len(asked) >= 1
    asked.clear()
    several = SdfGridBatch.stack([box])[torch.zeros(6, dtype=torch.long)]
    for state in (states(several), states(lambda points: points[..., 2])):
        torch.testing.assert_close(object_grid(state, SPEC), sample_object_grid(state, SPEC))
    monkeypatch.setenv(SWITCH, "off")
    torch.testing.assert_close(object_grid(states(box), SPEC), sample_object_grid(states(box), SPEC))
    assert not asked


@torch.no_grad()
def test_what_was_looked_up_for_one_prior_is_there_for_the_next(box: SdfGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, look_up = [], grids.look_up

    def counted(*args: Any) -> str:
        asked.append(1)
        return look_up(*args)

    monkeypatch.setattr(grids, "look_up", counted)
    monkeypatch.setattr(grids, "in_shares", lambda count, function: function(0, count))
    state = states(box)
    first = object_grid(state, SPEC)
    bent = replace(state, joints_hand=state.joints_hand + 1)
    assert object_grid(bent, SPEC) is first and len(asked) == 1
    other = GridSpec(SPEC.center, SPEC.half_extent, 6)
    assert object_grid(state, other).shape[-1] == 6 and len(asked) == 2
    before = object_grid(state, SPEC)
    state.T_object_hand[:, 0, 3] += 0.01
    moved = object_grid(state, SPEC)
    assert len(asked) == 4 and not torch.equal(moved, before)
    assert torch.equal(object_grid(replace(state, T_object_hand=state.T_object_hand.clone()), SPEC), moved)
    assert len(asked) == 5
    thicker = SdfGrid(box.values - 0.01, box.lower, box.upper)
    assert not torch.equal(object_grid(replace(state, sdf=thicker), SPEC), moved)
    thicker.values.add_(0.01)
    assert torch.allclose(object_grid(replace(state, sdf=thicker), SPEC), moved, atol=1e-6)
