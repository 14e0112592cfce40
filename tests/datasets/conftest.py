"""Small made-up data for the tests of hoprior.datasets."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import roma
import torch
import trimesh

from hoprior.datasets.samples.background import BackgroundConfig
from hoprior.datasets.samples.grids import PrepareConfig
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.datasets.samples.skin import posed_set
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import rigid
from hoprior.hand import HandModel

TINY = PrepareConfig(sdf_resolution=12, background=BackgroundConfig(num=3, steps=2, batch=2))


def random_set(info: ObjectInfo, hand: HandModel, num: int, seed: int, recorded: bool = True) -> GraspSet:
    """`num` random hands around the origin, from three sequences with two sentences."""
    generator = torch.Generator().manual_seed(seed)
    quaternion = torch.randn(num, 4, generator=generator)
    rotation = roma.unitquat_to_rotmat(quaternion / quaternion.norm(dim=-1, keepdim=True))
    angles = hand.relaxed_angles + 0.1 * torch.randn(num, 15, 3, generator=generator)
    return posed_set(
        info,
        hand,
        angles,
        rigid(rotation, 0.05 * torch.randn(num, 3, generator=generator)),
        recorded=recorded,
        text_id=torch.arange(num) % 2,
        sequence_id=torch.arange(num) % 3,
        sentences=(f"a hand lifting {info.name}", f"a hand passing {info.name}"),
        sequences=("one", "two", "three"),
    )


@dataclass
class StubSource:
    """Boxes and balls with random grasps. `calls` counts how often grasps were made; `fail_at` breaks an object."""

    names: tuple[str, ...] = ("ball", "box", "brick")
    num: int = 6
    name: str = "stub"
    fail_at: str = ""
    calls: list[str] = field(default_factory=list)

    def objects(self) -> list[ObjectInfo]:
        return [ObjectInfo(n, n, self.name, "CC0", f"made-up {n}", f"a hand holding a {n}") for n in self.names]

    def fingerprint(self, info: ObjectInfo) -> str:
        return f"{info.name} {self.num}"

    def mesh(self, info: ObjectInfo) -> trimesh.Trimesh:
        if info.name == "ball":
            return trimesh.creation.icosphere(2, radius=0.03)
        return trimesh.creation.box((0.04, 0.05, 0.06) if info.name == "box" else (0.1, 0.05, 0.03))

    def grasps(self, info: ObjectInfo, mesh: trimesh.Trimesh, sdf: SdfGrid, hand: HandModel) -> GraspSet | None:
        if info.name == self.fail_at:
            raise KeyboardInterrupt
        self.calls.append(info.name)
        return random_set(info, hand, self.num, seed=len(info.name))


@pytest.fixture(scope="session")
def make_set() -> Callable[..., GraspSet]:
    """`random_set`, for test files."""
    return random_set


@pytest.fixture(scope="session")
def stub_source() -> type[StubSource]:
    """The class `StubSource`, for test files."""
    return StubSource


@pytest.fixture(scope="session")
def tiny() -> PrepareConfig:
    """Settings that prepare an object in a fraction of a second."""
    return TINY
