"""Metrics take tensors as they are: with a gradient, in half precision, and NumPy's arrays where these are allowed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from hoprior.common.arrays import as_array
from hoprior.geometry.grid import GridSpec
from hoprior.hand import load_hand
from hoprior.metrics import diversity_cm, grasp_metrics, likeness
from hoprior.metrics.generation import chamfer_distances, coverage, effect, joint_distances, mean_absolute_distances
from hoprior.metrics.grids import (
    inside_volumes,
    intersection_volumes,
    largest_part_shares,
    subcell_iou,
    surface,
    surface_clouds,
)
from hoprior.metrics.hand_validity import hand_validity
from hoprior.metrics.likeness import finger_distance
from hoprior.metrics.pose import pa_mpjpe_mm
from hoprior.metrics.walls import fingers_through
from hoprior.physics.statics import unheld_weight

HAND = load_hand()
SPEC = GridSpec((0.09, 0.0, 0.03), 0.1, 12)
FACES = HAND.faces


def joints(seed: int, num: int = 3) -> Tensor:
    noise = 0.2 * torch.randn(num, 15, 3, generator=torch.Generator().manual_seed(seed))
    return HAND.joints_only(HAND.angles_to_pose(HAND.relaxed_angles + noise))


def balls(seed: int) -> Tensor:
    radii = 0.03 + 0.02 * torch.rand(3, 1, 1, 1, 1, generator=torch.Generator().manual_seed(seed))
    points = SPEC.points() - torch.tensor(SPEC.center)
    return points.norm(dim=-1).reshape(1, 1, *3 * (SPEC.resolution,)) - radii


CAN = trimesh.creation.cylinder(0.03, 0.1).apply_translation([0.09, 0, 0.03])
VERTS = HAND(HAND.angles_to_pose(HAND.relaxed_angles[None])).verts
CASES: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "likeness": (likeness, (joints(0), joints(1, 4))),
    "finger_distance": (finger_distance, (joints(0), joints(1))),
    "fingers_through": (lambda j: fingers_through(j, CAN), (joints(0),)),
    "grasp_metrics": (lambda v: grasp_metrics(v, FACES, CAN, simulate=False), (VERTS,)),
    "diversity": (diversity_cm, (joints(0),)),
    "chamfer_distances": (chamfer_distances, (joints(0), joints(1))),
    "joint_distances": (joint_distances, (joints(0), joints(1))),
    "mean_absolute_distances": (mean_absolute_distances, (balls(0), balls(1))),
    "coverage": (lambda a, b: coverage(joint_distances(a, b)), (joints(0), joints(1))),
    "effect": (effect, (torch.linspace(0, 1, 5), torch.linspace(0.5, 2, 5) ** 2)),
    "pa_mpjpe_mm": (pa_mpjpe_mm, (joints(0), joints(1))),
    "hand_validity": (lambda j: hand_validity(j, HAND), (joints(0),)),
    "inside_volumes": (lambda sdf: inside_volumes(sdf, SPEC), (balls(0),)),
    "subcell_iou": (subcell_iou, (balls(0), balls(1))),
    "surface": (lambda sdf: surface(sdf[0], SPEC).area, (balls(0),)),  # type: ignore[union-attr]
    "surface_clouds": (lambda sdf: surface_clouds(sdf, SPEC, 16), (balls(0),)),
    "largest_part_shares": (largest_part_shares, (balls(0),)),
    "intersection_volumes": (
        lambda v, sdf: intersection_volumes(v.expand(3, -1, -1), FACES, sdf, SPEC),
        (VERTS, balls(0)),
    ),
    "unheld_weight": (
        unheld_weight,
        (0.03 * torch.eye(3)[None], -torch.eye(3)[None], torch.ones(1, 3), torch.zeros(3)),
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("error:Converting a tensor with requires_grad")
def test_a_gradient_changes_no_metric(name: str) -> None:
    metric, arguments = CASES[name]
    expected = metric(*(value.detach() for value in arguments))
    found = metric(*(value.detach().clone().requires_grad_() for value in arguments))
    for one, other in zip(values(found), values(expected), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["likeness", "finger_distance", "fingers_through", "grasp_metrics"])
def test_arrays_count_as_tensors_do(name: str) -> None:
    metric, arguments = CASES[name]
    for one, other in zip(values(metric(*map(np.asarray, arguments))), values(metric(*arguments)), strict=True):
        np.testing.assert_array_equal(one, other)


def values(found: Any) -> list[Any]:
    """The numbers of whatever a metric gives."""
    if isinstance(found, Tensor):
        return [as_array(found)]
    if hasattr(found, "__dataclass_fields__"):
        found = list(vars(found).values())
    if isinstance(found, (list, tuple)):
        return [number for item in found for number in values(item)]
    return [found]


def test_half_precision_becomes_an_array() -> None:
    assert as_array(torch.tensor([1.5], dtype=torch.bfloat16), np.float64) == np.array([1.5])
    assert as_array([1, 2]).dtype == np.int64
