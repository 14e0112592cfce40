"""Statics of contacts: who holds what."""

import pytest
import torch

from hoprior.physics.statics import unheld_weight

CENTRE = torch.zeros(3)


def shares(points: list[list[float]], normals: list[list[float]], friction: float = 1.0) -> float:
    contacts, outward = torch.tensor([points]), torch.tensor([normals])
    return unheld_weight(contacts, outward, torch.ones(1, len(points)), CENTRE, friction).item()


def test_no_contact_holds_nothing() -> None:
    empty = torch.zeros(1, 2, 3)
    assert unheld_weight(empty, empty, torch.zeros(1, 2), CENTRE).item() == 1.0


def test_three_around_hold_in_every_direction() -> None:
    around = [[0.03, 0.0, 0.0], [-0.015, 0.026, 0.0], [-0.015, -0.026, 0.0]]
    assert shares(around, [[x / 0.03 for x in p] for p in around]) < 0.35


def test_one_side_holds_only_what_rests_on_it() -> None:
    from_below = shares([[0.01, 0.0, -0.03], [-0.01, 0.01, -0.03], [-0.01, -0.01, -0.03]], [[0.0, 0.0, -1.0]] * 3)
    assert 0.4 < from_below < 0.9


def test_friction_helps() -> None:
    pinch = [[0.03, 0.0, 0.0], [-0.03, 0.0, 0.0]]
    normals = [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]
    assert shares(pinch, normals, 1.0) < shares(pinch, normals, 0.05) - 0.2


def test_turning_everything_by_a_quarter_changes_nothing() -> None:
    points = [[0.03, 0.0, 0.01], [-0.02, 0.02, 0.0], [0.0, -0.03, -0.01]]
    normals = [[1.0, 0.0, 0.0], [-0.7071, 0.7071, 0.0], [0.0, -1.0, 0.0]]
    turned = [[[-y, x, z] for x, y, z in rows] for rows in (points, normals)]
    assert shares(points, normals) == pytest.approx(shares(*turned), abs=0.05)
