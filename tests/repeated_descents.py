"""Descents on the pretended device, whose steps it repeats by itself, beside the same ones kernel by kernel.

    python tests/repeated_descents.py

Prints as JSON what each of them says of the other, and what a step costs; `test_devices.py` holds the figures.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import trimesh
from pretend_counts import COUNTS
from pretend_device import NAME, PretendDevice, install
from pytest import MonkeyPatch

from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState, rigid
from hoprior.hand import HandModel, load_hand
from hoprior.physics.collision import CollisionGuard
from hoprior.physics.contact import ContactEnergy
from hoprior.physics.soft_tissue import FleshEnergy
from hoprior.priors.base import WeightedPrior
from hoprior.priors.guidance import SDSGuidance
from hoprior.priors.protocols import PriorInfo
from hoprior.tasks.grasp import descent, terms
from hoprior.tasks.grasp.descent import DescentConfig, GraspBatch
from hoprior.tasks.grasp.guided import descend_guided
from hoprior.tasks.grasp.terms import Guide, HeldGuidance

STEPS, MORE = 6, 4
EVERY = 2


class Near:
    """Draws hands to the object's middle."""

    info = PriorInfo(repeats=True)
    text_encoder_name = None

    def energy(self, state: HandObjectState, cond: Any = None) -> torch.Tensor:
        return state.T_object_hand[:, :3, 3].square().sum(dim=1) + 0.1 * state.joints_hand[..., 2].square().sum(dim=1)


class Waits(Near):
    """The same, which looks at the hands from the CPU."""

    def energy(self, state: HandObjectState, cond: Any = None) -> torch.Tensor:
        assert float(state.T_object_hand[0, 0, 3].detach()) < 1.0
        return super().energy(state)


class Counts(Near):
    """One that changes from call to call, and does not say that it may be repeated."""

    info = PriorInfo()

    def __init__(self) -> None:
        self.calls = 0

    def energy(self, state: HandObjectState, cond: Any = None) -> torch.Tensor:
        self.calls += 1
        return self.calls * super().energy(state)


@cache
def world(device: str) -> tuple[HandModel, SdfGrid, dict[bool, Any]]:
    """A hand, a box, and their energies, with flesh and without."""
    sdf = SdfGrid.from_mesh(trimesh.creation.box((0.06, 0.05, 0.12)), resolution=24).to(device)
    hand = load_hand().to(device)
    return hand, sdf, {True: FleshEnergy(hand, sdf), False: ContactEnergy(hand, sdf)}


def guided(flesh: bool, prior: Any, device: str, steps: int = STEPS) -> GraspBatch:
    """Three hands at a box, after a few steps."""
    hand, sdf, energies = world(device)
    apart = torch.tensor([[-0.1, 0.0, -0.045], [-0.1, 0.01, -0.05], [-0.09, 0.0, -0.06]])
    places = rigid(torch.eye(3).repeat(3, 1, 1), apart).to(device)
    hands = GraspBatch(hand.relaxed_angles.repeat(3, 1, 1), places)

    def looks(hands: GraspBatch) -> tuple[HandObjectState, None]:
        joints = hand.joints_only(hand.angles_to_pose(hands.angles))
        return HandObjectState(sdf, hands.T_object_hand, joints), None

    guides = [Guide(EVERY, 0.5, SDSGuidance(WeightedPrior([(1.0, prior)]), STEPS))] if prior else []
    walls = CollisionGuard(hand, sdf)
    held, config = HeldGuidance(guides), DescentConfig(steps)
    return descend_guided(hands, energies[flesh], held, looks, config, walls, soft_start=0.3)


def same(first: GraspBatch, second: GraspBatch) -> bool:
    pairs = ((first.angles, second.angles), (first.T_object_hand, second.T_object_hand))
    return all(torch.equal(a.cpu(), b.cpu()) for a, b in pairs)


def kernel_by_kernel(found: Callable[[], GraspBatch]) -> GraspBatch:
    """The same without graphs."""
    with MonkeyPatch.context() as patch:
        for module in (descent, terms):
            patch.setattr(module, "replayed", lambda step, state: step)
        return found()


def counted(found: Callable[[], GraspBatch]) -> tuple[GraspBatch, dict[str, int]]:
    """What is found, and what it adds to the counts."""

    def now() -> dict[str, int]:
        counters = {"launches": COUNTS.launches, "waits": COUNTS.waits, "uploads": COUNTS.uploads}
        return {name: counter.total() for name, counter in counters.items()} | {"kernels": COUNTS.kernels}

    before = now()
    return found(), {name: count - before[name] for name, count in now().items()}


def figures() -> dict[str, Any]:
    told: dict[str, Any] = {}
    guided(False, Near(), NAME, 2)  # constants are made once
    cases = {"contact": (False, Near), "flesh": (True, None), "waits": (False, Waits), "counts": (False, Counts)}
    for name, (flesh, prior) in cases.items():

        def found(device: str = NAME, steps: int = STEPS) -> GraspBatch:
            return guided(flesh, prior and prior(), device, steps)  # noqa: B023

        repeated, few = counted(found)
        _, many = counted(lambda: found(steps=STEPS + MORE))
        plain, here = kernel_by_kernel(found), found("cpu")
        told[name] = {
            "same": same(repeated, plain),
            "off": float((repeated.angles.cpu() - here.angles).abs().max()),
            "moved": float((here.angles - load_hand().relaxed_angles).abs().max()),
            "more": {unit: many[unit] - few[unit] for unit in few},
        }
    return told


if __name__ == "__main__":
    kept = install()
    with PretendDevice():
        print(json.dumps(figures()))
