"""States by their rows, and the whole objects in them (hoprior/geometry/state.py, hoprior/geometry/whole.py)."""

from collections.abc import Callable

import pytest
import torch
import trimesh
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid, SdfGridBatch
from hoprior.geometry.state import HandObjectState, RestPoses, rigid
from hoprior.geometry.whole import whole_objects

BALL, ROD = trimesh.creation.icosphere(3, 0.03), trimesh.creation.box((0.02, 0.02, 0.4))
GRIDS = [SdfGrid.from_mesh(mesh, 32) for mesh in (BALL, ROD)]
RADII = torch.tensor([0.03, 0.2, 0.01])


def balls(points: Tensor) -> Tensor:
    """A ball of another size for each of three rows."""
    return points.norm(dim=-1) - RADII[:, None]


def state(sdf: Callable[[Tensor], Tensor], num: int = 3, away: float = 0.1) -> HandObjectState:
    at = torch.tensor([[away, 0.0, 0.0], [0.0, away, 0.02], [0.0, 0.0, away]])[:num]
    joints = 0.05 * torch.rand(num, 21, 3, generator=torch.Generator().manual_seed(0))
    return HandObjectState(sdf, rigid(torch.eye(3).expand(num, 3, 3), at), joints)


@pytest.mark.parametrize("rows", [slice(1, 3), [2, 0], torch.tensor([1]), torch.tensor([False, True, True]), 2])
def test_rows_of_a_state_look_up_their_own_objects(rows: int | slice | list[int] | Tensor) -> None:
    points = torch.rand(3, 5, 3, generator=torch.Generator().manual_seed(1))
    index = [rows] if isinstance(rows, int) else rows
    for sdf in (GRIDS[0], SdfGridBatch.stack(GRIDS)[torch.tensor([0, 1, 0])], balls):
        part = state(sdf)[rows]
        assert torch.equal(part.T_object_hand, state(sdf).T_object_hand[index])
        torch.testing.assert_close(part.sdf(points[index]), sdf(points)[index])


def test_rows_keep_their_rest_poses_and_the_rows_of_rows_are_rows() -> None:
    each = RestPoses(torch.rand(3, 2, 3), torch.rand(3, 2), torch.rand(3, 2))
    shared = RestPoses(*(part[0] for part in each))
    for rest, expected in ((each, each.base[[2]]), (shared, shared.base)):
        whole = state(balls)
        part = HandObjectState(whole.sdf, whole.T_object_hand, whole.joints_hand, rest)[1:][[1]]
        assert part.rest is not None and torch.equal(part.rest.base, expected)
        point = torch.zeros(1, 1, 3)
        assert part.sdf(point).item() == pytest.approx(-0.01)


def test_a_function_is_not_asked_twice_of_one_row() -> None:
    with pytest.raises(HopriorError, match="chosen twice"):
        state(balls)[[0, 0]]
    assert len(state(GRIDS[0])[[0, 0]]) == 2


def test_grids_are_taken_as_they_are() -> None:
    [(grid, rows)] = whole_objects(state(GRIDS[0]))
    assert grid is GRIDS[0] and rows.tolist() == [0, 1, 2]
    found = whole_objects(state(SdfGridBatch.stack(GRIDS)[torch.tensor([1, 0, 1])]))
    assert [rows.tolist() for _, rows in found] == [[1], [0, 2]]
    for (grid, _), own in zip(found, GRIDS, strict=True):
        assert torch.equal(grid.values, own.values) and torch.equal(grid.upper, own.upper)


@pytest.mark.parametrize("away", [0.05, 0.25, 0.6])
def test_a_functions_objects_are_found_whole_from_wherever_the_hand_is(away: float) -> None:
    """Of every size, each in a grid little larger than it, with the function's distances."""
    found = whole_objects(state(balls, away=away))
    assert [rows.tolist() for _, rows in found] == [[0], [1], [2]]
    for (grid, _), radius in zip(found, RADII.tolist(), strict=True):
        assert (grid.lower < -radius).all() and (grid.upper > radius).all()
        assert float((grid.upper - grid.lower).max()) < 2 * 1.5 * radius
        points = radius * torch.nn.functional.normalize(torch.rand(1, 40, 3) - 0.5, dim=-1)
        assert grid(points).abs().max() < grid.cell / 2


def test_what_has_no_surface_is_refused() -> None:
    with pytest.raises(HopriorError, match="no surface near a hand"):
        whole_objects(state(lambda points: points.norm(dim=-1) + 5.0))
