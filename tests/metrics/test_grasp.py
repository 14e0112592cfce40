"""Depth, volume and contact of grasps whose answers are known, and the diversity and likeness of sets of them."""

import math

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from hoprior.errors import HopriorError
from hoprior.metrics import diversity_cm, grasp_metrics, likeness
from hoprior.metrics.grasp import exact_intersection_cm3, inside_voxels, voxel_intersection_cm3


def box(size: float, at: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> trimesh.Trimesh:
    return trimesh.creation.box((size, size, size)).apply_translation(at)


def measured(hand: trimesh.Trimesh, mesh: trimesh.Trimesh):
    return grasp_metrics(hand.vertices[None], hand.faces, mesh, simulate=False)[0]


def test_a_sphere_that_dips_into_a_box_is_as_deep_as_it_dips():
    sphere = trimesh.creation.icosphere(3, 0.02).apply_translation((0.05 + 0.02 - 0.007, 0, 0))
    found = measured(sphere, box(0.1))
    assert found.max_depth_cm == pytest.approx(0.7, abs=0.01)
    assert 0 < found.mean_depth_cm < found.max_depth_cm
    cap = math.pi * 0.7**2 * (3 * 2.0 - 0.7) / 3
    assert found.exact_volume_cm3 == pytest.approx(cap, rel=0.03)
    # The vertices below a height of 7 + 5 mm are in contact: a sphere's area is even along its height.
    assert found.contact and found.contact_area == pytest.approx(1.2 / 4.0, abs=0.03)


@pytest.mark.parametrize("gap, touches", [(0.004, True), (0.006, False)])
def test_contact_reaches_5_mm_and_no_farther(gap, touches):
    found = measured(box(0.02, (0.05 + 0.01 + gap, 0, 0)), box(0.1))
    assert found.contact is touches
    assert found.contact_area == (0.5 if touches else 0.0)
    assert found.max_depth_cm == found.mean_depth_cm == found.volume_cm3 == found.exact_volume_cm3 == 0


@pytest.mark.parametrize("shift", [0.0, 0.01, 0.03])
def test_overlapping_cubes_share_the_volume_of_their_overlap(shift):
    hand, solid = box(0.04, (shift, 0, 0)), box(0.04)
    truth = 4.0 * 4.0 * (4.0 - 100 * shift)
    assert voxel_intersection_cm3(hand.vertices, hand.faces, inside_voxels(solid)) == pytest.approx(truth, abs=1e-6)
    assert exact_intersection_cm3(hand.vertices, hand.faces, solid) == pytest.approx(truth, rel=1e-4)


def test_an_open_hand_counts_voxels_but_has_no_exact_volume():
    closed = trimesh.creation.icosphere(3, 0.03)
    far_end = closed.triangles_center[:, 2] < 0.028
    hand = closed.submesh([np.flatnonzero(far_end)], append=True, repair=False)
    found = measured(hand, box(0.02))
    assert found.exact_volume_cm3 is None
    assert found.volume_cm3 == pytest.approx(8.0)


def test_an_open_scan_has_an_inside():
    scan = box(0.04).subdivide().subdivide()
    scan.update_faces(scan.triangles_center[:, 2] < 0.0199)
    assert not scan.is_watertight
    assert measured(box(0.02), scan).max_depth_cm == pytest.approx(1.0, abs=0.05)


def test_grasps_of_a_batch_are_measured_one_by_one():
    hand = trimesh.creation.icosphere(2, 0.01)
    shifts = np.array([0.052, 0.058, 0.2])
    verts = hand.vertices[None] + np.array([1.0, 0, 0]) * shifts[:, None, None]
    depth = [found.max_depth_cm for found in grasp_metrics(torch.tensor(verts), hand.faces, box(0.1), simulate=False)]
    assert depth == pytest.approx([0.8, 0.2, 0.0], abs=0.01)


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize("verts", [np.zeros((8, 3)), np.full((1, 8, 3), np.nan), np.zeros((1, 4, 3))])
def test_arrays_that_do_not_fit_are_named(verts):
    with pytest.raises(HopriorError, match=r"shape|NaN|vertices"):
        grasp_metrics(verts, box(0.1).faces, box(0.1), simulate=False)


def test_diversity_is_zero_for_copies_and_the_deviation_otherwise():
    verts = torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(0))
    assert diversity_cm(verts.repeat(4, 1, 1)) == pytest.approx(0.0, abs=1e-5)
    # Half the hands 2 cm to either side in each coordinate: each deviates by 2 cm.
    assert diversity_cm(torch.cat([verts - 0.02, verts + 0.02])) == pytest.approx(2.0, rel=1e-4)


def test_likeness_of_a_set_with_itself_is_perfect():
    joints = np.random.default_rng(0).normal(size=(6, 21, 3))
    assert likeness(joints, joints) == (0.0, 1.0, 1.0, pytest.approx(0.0, abs=1e-9))
    alone = likeness(joints, joints, leave_one_out=True)
    assert alone.nearest_cm > 10 and alone.precision == alone.coverage == 0


def test_likeness_counts_by_distance_and_ignores_the_thumbs_base():
    recorded = np.zeros((3, 21, 3)) + np.array([[[0.0]], [[1.0]], [[2.0]]])
    generated = np.zeros((2, 21, 3))
    generated[0, :, 0] = 0.03  # of the first recorded grasp
    generated[1, :, 0] = 0.05
    generated[:, 13] += 5.0
    found = likeness(generated, recorded)
    assert found.nearest_cm == pytest.approx(4.0)
    assert (found.precision, found.coverage) == (0.5, pytest.approx(1 / 3))


def test_fingers_are_compared_palm_upon_palm():
    """A hand turned about and carried away has the same fingers; tips bent 3 cm off differ by 5 of 20 joints."""
    recorded = np.random.default_rng(0).normal(size=(1, 21, 3)) * 0.05
    turned = recorded @ Rotation.from_euler("xyz", [40, -70, 120], degrees=True).as_matrix().T + [0.3, 0.0, -0.1]
    assert likeness(turned, recorded).nearest_cm > 10
    assert likeness(turned, recorded).fingers_cm == pytest.approx(0.0, abs=1e-6)
    bent = turned.copy()
    bent[:, 16:] += [0.0, 0.03, 0.0]
    assert likeness(bent, recorded).fingers_cm == pytest.approx(3.0 * 5 / 20, abs=1e-6)


def test_likeness_of_people_on_the_development_set(shared_data):
    """design.md's calibration: people against each other are at 3.1 cm, .67."""
    data = np.load(shared_data / "dexycb_dev" / "grasps.npz")
    rows = []
    for name in np.unique(data["object"]):
        recorded = data["joints_object"][data["object"] == name]
        rows.append(likeness(recorded, recorded, leave_one_out=True))
    assert np.mean(rows, axis=0)[:3] == pytest.approx([3.1, 0.67, 0.67], abs=0.06)


def test_likeness_of_nothing_is_an_error():
    with pytest.raises(HopriorError, match="recorded"):
        likeness(np.zeros((2, 21, 3)), np.zeros((0, 21, 3)))


@pytest.mark.usefixtures("wrong_types")
@pytest.mark.parametrize("shape", [(2, 20, 3), (21, 3), (2, 21, 2), (2, 21, 3, 1)])
def test_likeness_of_other_shapes_is_an_error(shape):
    with pytest.raises(HopriorError, match="generated joints have shape"):
        likeness(np.zeros(shape), np.zeros((2, 21, 3)))


def test_far_from_the_origin_a_grasp_measures_as_at_it():
    """10,000 km away single precision is as coarse as a hand."""
    hand, far = trimesh.creation.icosphere(2, 0.01), np.array([1e7, -1e7, 5e6])
    verts = hand.vertices[None] + [0.052, 0.0, 0.0]
    here = grasp_metrics(verts, hand.faces, box(0.1), simulate=False)[0]
    there = grasp_metrics(verts + far, hand.faces, box(0.1).apply_translation(far), simulate=False)[0]
    assert here.max_depth_cm > 0.5 and here.volume_cm3 > 0.5
    for name in ("max_depth_cm", "mean_depth_cm", "volume_cm3", "exact_volume_cm3", "contact_area"):
        assert getattr(there, name) == pytest.approx(getattr(here, name), rel=1e-3, abs=1e-5)


def test_the_grasp_with_a_number_that_is_none_is_named():
    verts = np.repeat(box(0.02).vertices[None], 3, axis=0)
    verts[1, 4, 0] = np.nan
    with pytest.raises(HopriorError, match=r"\b1\b"):
        grasp_metrics(verts, box(0.02).faces, box(0.1), simulate=False)
