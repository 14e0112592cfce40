"""Compiled kernels against the torch code that they stand for: values, slopes, whole descents, and where they run."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.mesh import prepare_mesh
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState
from hoprior.hand import OpenHand
from hoprior.hand.placement import displaced, random_placements
from hoprior.kernels.choice import SWITCH, why_torch
from hoprior.physics.collision import CollisionGuard
from hoprior.physics.contact import ContactEnergy
from hoprior.physics.mouths import PluggedSdf, VesselMouths
from hoprior.physics.soft_tissue import FleshEnergy
from hoprior.tasks.grasp.config import SHALLOW
from hoprior.tasks.grasp.descent import DescentConfig, GraspBatch
from hoprior.tasks.grasp.guided import descend_guided
from hoprior.tasks.grasp.terms import HeldGuidance

pytest.importorskip("numba")
from hoprior.kernels.arrays import Pace, Slopes
from hoprior.kernels.compiling import kernel
from hoprior.kernels.descent import CompiledDescent

HAND = OpenHand()
MUG = Path(__file__).parents[2] / "hoprior" / "assets" / "meshes" / "mug.obj"
NUM = 12
STILL = Pace(1, 0.0, 0.0, 0.0, 1.0, False, 0.0)


@pytest.fixture(scope="module")
def mug() -> trimesh.Trimesh:
    mesh = trimesh.load(MUG, force="mesh")
    mesh.apply_translation(-mesh.bounds.mean(axis=0))
    return prepare_mesh(mesh).solid


@pytest.fixture(scope="module")
def sdf(mug: trimesh.Trimesh) -> SdfGrid:
    return SdfGrid.from_mesh(mug, resolution=48)


@pytest.fixture(scope="module")
def plugged(sdf: SdfGrid) -> PluggedSdf:
    mouths = VesselMouths(sdf)
    assert mouths.any
    return mouths.plugged


@pytest.fixture(scope="module")
def hands(mug: trimesh.Trimesh) -> GraspBatch:
    """Bent anyhow, at the mug, in its mouth, through its side, and one of them far beyond the grid."""
    generator = torch.Generator().manual_seed(3)
    placed = random_placements(mug, NUM, generator)
    placed[-1, :3, 3] += 0.5
    return GraspBatch(HAND.relaxed_angles + 0.3 * torch.randn(NUM, 15, 3, generator=generator), placed)


def exact_hand() -> OpenHand:
    """In double precision, with what it made in single made anew."""
    hand = OpenHand().double()
    hand.skin_basis = hand._skin_basis()
    return hand


def in_double(sdf: SdfGrid) -> SdfGrid:
    return SdfGrid(sdf.values.double(), sdf.lower.double(), sdf.upper.double())


def energies(sdf: SdfGrid, plugged: PluggedSdf | None, exact: bool) -> list[ContactEnergy | FleshEnergy]:
    """Both energies with all their terms; in double precision for autograd if `exact`."""
    hand, bones = HAND, plugged
    if exact:
        hand, sdf = exact_hand(), in_double(sdf)
        bones = plugged and PluggedSdf(sdf, type(plugged.depth)(plugged.depth.depth.double(), sdf.lower, sdf.upper))
    return [ContactEnergy(hand, sdf, SHALLOW, bones), FleshEnergy(hand, sdf, SHALLOW, bones_sdf=bones)]


def by_autograd(energy: ContactEnergy | FleshEnergy, hands: GraspBatch, changed: Tensor) -> tuple[Tensor, Tensor]:
    """Each hand's energy and its slope in angles, turn and move."""
    parameters = torch.cat([hands.angles.flatten(1).double(), changed], dim=1).requires_grad_()
    angles, turn, move = parameters.split([45, 3, 3], dim=1)
    T_object_hand = displaced(hands.T_object_hand.double(), turn, move)
    value = energy(angles.unflatten(1, (15, 3)), T_object_hand)
    (slope,) = torch.autograd.grad(value.sum(), parameters)
    return value.detach(), slope


@pytest.mark.parametrize("closed", [False, True], ids=["solid", "mouths closed"])
@pytest.mark.parametrize("which", [0, 1], ids=["contact", "flesh"])
def test_values_and_slopes_are_autograds(
    sdf: SdfGrid, plugged: PluggedSdf, hands: GraspBatch, which: int, closed: bool
) -> None:
    """In double precision, of hands that have been turned and moved."""
    energy = energies(sdf, plugged if closed else None, exact=True)[which]
    changed = torch.randn(NUM, 6, generator=torch.Generator().manual_seed(0)).double() * 0.01
    value, slope = by_autograd(energy, hands, changed)
    descent = CompiledDescent(energy, hands.angles, hands.T_object_hand, STILL)
    descent.moving.parameters[:, 45:] = changed.numpy()
    found_value, found_slope = descent.value_and_slope()
    torch.testing.assert_close(torch.from_numpy(found_value), value, rtol=1e-7, atol=1e-7)
    for part in (slice(0, 45), slice(45, 48), slice(48, 51)):
        apart = (torch.from_numpy(found_slope) - slope)[:, part].norm(dim=1)
        assert (apart <= 1e-5 * slope[:, part].norm(dim=1) + 1e-9).all()


def test_every_term_counts(sdf: SdfGrid, plugged: PluggedSdf, hands: GraspBatch) -> None:
    """Those hands meet every term, so that none goes untested: without any one the energy is another."""
    for energy in energies(sdf, plugged, exact=True):
        descent = CompiledDescent(energy, hands.angles, hands.T_object_hand, STILL)
        whole, _ = descent.value_and_slope()
        weights = descent.weights
        for name in ("penetration", "touching", "spheres", "bones", "hand", "fingers", "balance", "limit", "spread"):
            if getattr(weights, name):
                descent.weights = weights._replace(**{name: 0.0})
                without, _ = descent.value_and_slope()
                assert (without != whole).any(), name


def test_slopes_of_priors_are_added(sdf: SdfGrid, hands: GraspBatch) -> None:
    """A loss that is linear in placement, joints and pose has these slopes, whatever the parameters."""
    generator = torch.Generator().manual_seed(1)
    lines = {
        name: torch.randn(NUM, *size, generator=generator, dtype=torch.float64)
        for name, size in (("T_object_hand", (4, 4)), ("joints_hand", (21, 3)), ("hand_pose", (15, 3)))
    }

    class Linear(ContactEnergy):
        def __call__(self, angles: Tensor, T_object_hand: Tensor, hardness: float = 1.0) -> Tensor:
            pose = self.hand.angles_to_pose(angles)
            values = {"T_object_hand": T_object_hand, "joints_hand": self.hand.joints_only(pose), "hand_pose": pose}
            total = super().__call__(angles, T_object_hand, hardness)
            return total + sum((lines[name] * value).flatten(1).sum(dim=1) for name, value in values.items())

    energy = Linear(exact_hand(), in_double(sdf), SHALLOW)
    _, slope = by_autograd(energy, hands, torch.zeros(NUM, 6).double())
    from hoprior.kernels.steps import value_and_slope

    descent = CompiledDescent(energy, hands.angles, hands.T_object_hand, STILL)
    slopes = Slopes(*(lines[name].numpy() for name in Slopes._fields))
    _, found = value_and_slope(descent.skin, descent.walls, descent.weights, 1.0, slopes, descent.moving)
    torch.testing.assert_close(torch.from_numpy(found), slope, rtol=1e-5, atol=1e-3)


def test_angles_are_held_as_torch_holds_them(sdf: SdfGrid, hands: GraspBatch) -> None:
    """The pull adds its own slope, 2 w (angles - angles at the start), and nothing where the hands began."""
    energy = ContactEnergy(HAND, sdf, SHALLOW)
    free, held = (CompiledDescent(energy, hands.angles, hands.T_object_hand, STILL, hold_angles=w) for w in (0.0, 7.0))
    for there, here in zip(free.value_and_slope(), held.value_and_slope(), strict=True):
        np.testing.assert_array_equal(there, here)
    bent = 0.1 * np.random.default_rng(0).standard_normal((NUM, 45))
    for descent in (free, held):
        descent.moving.parameters[:, :45] += bent
    (value, slope), (held_value, held_slope) = free.value_and_slope(), held.value_and_slope()
    np.testing.assert_allclose(held_value - value, 7.0 * (bent**2).sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose((held_slope - slope)[:, :45], 14.0 * bent, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("by", ["kernels", "torch"])
def test_held_fingers_stay_nearer_to_how_they_began(
    sdf: SdfGrid, hands: GraspBatch, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "torch":
        monkeypatch.setenv(SWITCH, "off")
    energy = FleshEnergy(HAND, sdf, SHALLOW)
    free, held = (
        descend_guided(hands, energy, HeldGuidance([]), no_looks, DescentConfig(12, hold_angles=weight))
        for weight in (0.0, 1000.0)
    )
    assert (held.angles - hands.angles).norm() < 0.5 * (free.angles - hands.angles).norm()


def descended(energy: ContactEnergy | FleshEnergy, hands: GraspBatch, guarded: bool, steps: int = 6) -> GraspBatch:
    walls = CollisionGuard(energy.hand, energy.bones_sdf) if guarded else None
    looks = no_looks
    return descend_guided(hands, energy, HeldGuidance([]), looks, DescentConfig(steps), walls, soft_start=0.3)


def no_looks(hands: GraspBatch) -> tuple[HandObjectState, Tensor | None]:
    raise AssertionError("there is no guide that would look")


@pytest.mark.parametrize("guarded", [False, True], ids=["free", "guarded"])
@pytest.mark.parametrize("which", [0, 1], ids=["contact", "flesh"])
def test_steps_are_torchs(
    sdf: SdfGrid,
    plugged: PluggedSdf,
    hands: GraspBatch,
    which: int,
    guarded: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For as long as rounding is small: Adam takes a step of full size along a slope of any size, so it grows."""
    energy = energies(sdf, plugged, exact=False)[which]
    assert why_torch(energy) is None
    compiled = descended(energy, hands, guarded)
    monkeypatch.setenv(SWITCH, "off")
    reference = descended(energy, hands, guarded)
    moved = (reference.angles - hands.angles).abs().amax(dim=(1, 2))
    apart = (reference.angles - compiled.angles).abs().amax(dim=(1, 2))
    assert (moved > 0.02).float().mean() > 0.5
    assert (apart < 1e-3).float().mean() > 0.8
    placed = (reference.T_object_hand - compiled.T_object_hand).abs().amax(dim=(1, 2))
    assert (placed < 1e-4).float().mean() > 0.8


def test_a_long_descent_ends_as_low(
    sdf: SdfGrid, plugged: PluggedSdf, hands: GraspBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ways part in 60 steps; the mean of the energies where they end does not."""
    energy = energies(sdf, plugged, exact=False)[1]

    def ended() -> float:
        end = descended(energy, hands, guarded=False, steps=60)
        return energy(end.angles, end.T_object_hand)[:-1].mean().item()

    began = energy(hands.angles, hands.T_object_hand)[:-1].mean().item()
    compiled = ended()
    monkeypatch.setenv(SWITCH, "off")
    reference = ended()
    assert began - reference > 1.0
    assert abs(compiled - reference) < 0.05 * (began - reference)


def test_threads_share_hands_and_change_nothing(
    sdf: SdfGrid, hands: GraspBatch, torch_threads: Callable[[int], None]
) -> None:
    energy, ends = energies(sdf, None, exact=False)[1], []
    for threads in (1, 3):
        torch_threads(threads)
        ends.append(descended(energy, hands, guarded=True))
    assert torch.equal(ends[0].angles, ends[1].angles) and torch.equal(ends[0].T_object_hand, ends[1].T_object_hand)


def test_a_hand_that_is_no_number_harms_no_other(sdf: SdfGrid, plugged: PluggedSdf, hands: GraspBatch) -> None:
    energy = energies(sdf, plugged, exact=False)[1]
    alone = descended(energy, hands[1:], guarded=True)
    angles = hands.angles.clone()
    angles[0] = np.nan
    beside = descended(energy, GraspBatch(angles, hands.T_object_hand), guarded=True)
    assert beside.angles[0].isnan().any() and torch.equal(beside.angles[1:], alone.angles)


def test_no_steps_change_nothing(sdf: SdfGrid, hands: GraspBatch) -> None:
    end = descended(energies(sdf, None, exact=False)[0], hands, guarded=True, steps=0)
    assert torch.equal(end.angles, hands.angles)
    torch.testing.assert_close(end.T_object_hand, hands.T_object_hand)


def test_torch_takes_what_kernels_cannot(sdf: SdfGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_torch(ContactEnergy(HAND, sdf)) is None
    assert why_torch(ContactEnergy(HAND, lambda points: points[..., 0])) == "the object's distances are no grid"
    assert why_torch(FleshEnergy(HAND, sdf, bones_sdf=lambda points: points[..., 0])) is not None

    class Foreign(OpenHand):
        pass

    assert why_torch(ContactEnergy(Foreign(), sdf)) == "the hand is not the open one"
    monkeypatch.setenv(SWITCH, "off")
    assert why_torch(ContactEnergy(HAND, sdf)) == "HOPRIOR_KERNELS is off"
    monkeypatch.setenv(SWITCH, "perhaps")
    with pytest.raises(HopriorError, match="HOPRIOR_KERNELS is 'perhaps': use on or off"):
        why_torch(ContactEnergy(HAND, sdf))


def test_torch_takes_over_without_a_compiler(sdf: SdfGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    assert (why_torch(ContactEnergy(HAND, sdf)) or "").startswith("numba cannot be loaded")


DESCENT_ELSEWHERE = """
import hashlib, sys
import torch
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import OpenHand
from hoprior.hand.placement import random_placements
from hoprior.kernels.arrays import Pace
from hoprior.kernels.descent import CompiledDescent
from hoprior.physics.contact import ContactEnergy
from hoprior.physics.soft_tissue import FleshEnergy
from hoprior.tasks.grasp.config import SHALLOW
import trimesh

ball, hand = trimesh.creation.icosphere(radius=0.04), OpenHand()
sdf = SdfGrid.from_mesh(ball, resolution=24)
placed = random_placements(ball, 4, torch.Generator().manual_seed(0))
for energy in (ContactEnergy(hand, sdf, SHALLOW), FleshEnergy(hand, sdf, SHALLOW)):
    pace = Pace(60, 0.02, 0.02, 2e-3, 0.3, True, 4e-3)
    descent = CompiledDescent(energy, hand.relaxed_angles.expand(4, 15, 3), placed, pace)
    descent.advance(60, {})
    print(hashlib.sha256(descent.moving.parameters.tobytes()).hexdigest())
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.state import HandObjectState
from hoprior.kernels.grids import object_grid
from hoprior.models.networks.norms import QuickGroupNorm

placed.requires_grad_()
field = object_grid(HandObjectState(sdf, placed, torch.zeros(4, 21, 3)), GridSpec((0.0, 0.0, 0.06), 0.12, 8))
field = field.expand(-1, 16, -1, -1, -1).contiguous(memory_format=torch.channels_last_3d)
normalised = QuickGroupNorm(4, 16)(field + torch.arange(16.0).view(1, 16, 1, 1, 1))
normalised.square().sum().backward()
for made in (normalised.detach(), placed.grad):
    print(hashlib.sha256(made.numpy().tobytes()).hexdigest())
"""


def test_code_just_compiled_and_code_from_the_cache_round_alike(tmp_path: Path) -> None:
    """Each in a process of its own. Functions that kernels called without taking them in rounded otherwise from it."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", DESCENT_ELSEWHERE]
    compiled = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    kept = list(tmp_path.rglob("*.nbc"))
    cached = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert kept and list(tmp_path.rglob("*.nbc")) == kept, "the second run compiled again"
    assert compiled == cached and len(set(compiled.split())) == 4


def test_code_without_a_place_to_be_kept_is_compiled_all_the_same() -> None:
    """As where neither the package's folder nor the user's can be written."""
    made: dict[str, object] = {}
    exec("def doubled(x):\n    return 2 * x", made)
    assert kernel(made["doubled"])(21) == 42
