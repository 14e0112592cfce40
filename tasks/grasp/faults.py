"""What is wrong with finished grasps: depth, bones inside, hands in a mouth or a table, weight unheld, slipping."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from threading import Thread

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.mesh import ObjectMesh
from hoprior.geometry.state import SignedDistance, transform_points
from hoprior.geometry.watertight import watertight_mesh
from hoprior.hand import HandModel
from hoprior.physics.bone_samples import BoneSamples
from hoprior.physics.mouths import VesselMouths
from hoprior.physics.posed import PosedHands, SkinZones, closest_contacts, pose_hands, surface_normals
from hoprior.physics.simulation.bullet import displacements_cm, start_workers
from hoprior.physics.simulation.convex import convex_parts
from hoprior.physics.simulation.extras import simulator_missing
from hoprior.physics.simulation.survival import holds
from hoprior.physics.statics import unheld_weight
from hoprior.physics.surroundings import Surroundings

TOUCH = 0.001
"""Gap (m) up to which a contact carries."""
SKIN_CONTACT = 0.005
"""Distance (m) up to which skin touches: flesh gives way."""
DORSAL = -0.3
"""Skin is on the back of the hand where its normal has less than this along the palm's."""
SOLID_RESOLUTION = 64
"""Of the closed surface that stands for a scan with holes in simulation."""
FAULTS = (
    "depth",
    "bone_penetration",
    "fingers_in_mouth",
    "palm_beneath",
    "in_the_way",
    "back_contact",
    "unsupported_weight",
    "displacement",
    "falls",
    "faults",
)
"""The names that faults have among a grasp's scores; the last is their sum."""
MOST_WORKERS = 8
"""Processes that simulate, however many cores there are: as many as hands that are simulated at a time."""
FALL_CM = 10.0
"""A displacement that counts as a fall; what moves farther is no worse."""


@dataclass(frozen=True)
class FaultWeights:
    """How much each fault costs, in standard deviations of the priors' score.

    depth_allowed, depth: depth (m) that flesh takes, and the cost of a millimetre beyond it.
    bone_penetration: cost of a point of a bone that is inside the object.
    fingers_in_mouth: cost of a finger in the mouth of a vessel.
    palm_beneath: cost of a palm that is beneath a vessel which stands.
    in_the_way: cost of a hand or forearm that is in what is to be left free, and of each two millimetres that it is.
    back_allowed, back_contact: the share of what touches that may be the back of the hand, beyond which no grasp of
        people's is, and the cost of a share of 1 more.
    unsupported_weight: cost of a weight that statics finds unheld, mean over six directions of gravity.
    displacement: cost of a centimetre that the object moves in simulation.
    falls: cost of an object that gravity from one of six sides takes out of the hand in simulation.
    simulate: whether to simulate; None does with what is installed: MuJoCo (extra "sim") for what falls, pybullet
        (extra "bullet") for what moves.
    """

    depth_allowed: float = 0.0025
    depth: float = 0.5
    bone_penetration: float = 1.0
    fingers_in_mouth: float = 12.0
    palm_beneath: float = 12.0
    in_the_way: float = 12.0
    back_allowed: float = 0.6
    back_contact: float = 20.0
    unsupported_weight: float = 6.0
    displacement: float = 1.5
    falls: float = 6.0
    simulate: bool | None = None


class GraspFaults:
    """Judges grasps of one object, whose `mouths` fingers are to keep out of, if it has any; see `FaultWeights`.

    Hands and forearms are to be off its `surroundings`, if these are known.

    Raises:
        HopriorError: a simulation was asked for, and its packages are not installed.
    """

    def __init__(
        self,
        surface: ObjectMesh,
        hand: HandModel,
        sdf: SignedDistance,
        weights: FaultWeights,
        mouths: VesselMouths | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.hand, self.sdf, self.weights, self.mouths = hand, sdf, weights, mouths
        self.surroundings = surroundings
        self.skin = SkinZones(hand)
        # Of the flat right hand, whose palm looks along +z.
        self.dorsal = (hand.vertex_normals[:, 2] < DORSAL).float()
        # The middle of the surface, not of the volume: scans may have no inside, and tools differ little.
        self.centre = torch.tensor(surface.solid.centroid, dtype=torch.float32)
        no_displacement, no_gravity = simulator_missing(), simulator_missing(survival=True)
        if weights.simulate and no_displacement and no_gravity:
            raise HopriorError(f"ranking by simulation: {no_gravity}")
        wanted = weights.simulate is not False
        self.displacement_simulated = wanted and no_displacement is None
        self.gravity_simulated = wanted and no_gravity is None
        self.surface = surface
        self._making: Thread | None = None

    @property
    def checks(self) -> dict[str, bool]:
        """Which checks are made, of those that need packages beside statics: grasps rank differently without one."""
        return {"statics": True, "bullet": self.displacement_simulated, "mujoco": self.gravity_simulated}

    @torch.no_grad()
    def __call__(
        self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"]
    ) -> dict[str, Float[Tensor, " b"]]:
        """What is wrong with b grasps where they are, by name, as it counts; 0 is sound."""
        weights = self.weights
        posed = pose_hands(self.hand, self.sdf, angles, T_object_hand)
        depth = torch.relu(-posed.distance).amax(dim=1)
        bones = transform_points(T_object_hand, BoneSamples.of(posed.joints_hand).points)
        faults = {
            "depth": weights.depth * torch.relu(depth - weights.depth_allowed) / 0.001,
            "bone_penetration": weights.bone_penetration * (self.sdf(bones) < 0).sum(dim=1),
            "back_contact": weights.back_contact * torch.relu(self.back_share(posed) - weights.back_allowed),
            "unsupported_weight": weights.unsupported_weight * self.unsupported_weight(posed),
        }
        if self.mouths is not None:
            joints = transform_points(T_object_hand, posed.joints_hand)
            faults["fingers_in_mouth"] = weights.fingers_in_mouth * self.mouths.fingers_inside(joints)
            faults["palm_beneath"] = weights.palm_beneath * self.mouths.beneath(joints)
        if self.surroundings is not None:
            depth = self.surroundings.depth(posed)
            faults["in_the_way"] = weights.in_the_way * ((depth > 0) + depth / 0.002)
        return faults

    @property
    def simulated(self) -> bool:
        """Whether anything is simulated."""
        return self.displacement_simulated or self.gravity_simulated

    def prepare(self) -> None:
        """Begins what simulation will need, beside whatever is done until then: convex parts, and processes.

        With one thread, which has no time to spare, nothing begins before it is needed.
        """
        if not self.simulated or torch.get_num_threads() == 1:
            return
        if self.displacement_simulated:
            start_workers(self._workers)
        self._making = Thread(target=self._decompose, daemon=True)
        self._making.start()

    def _decompose(self) -> None:
        with contextlib.suppress(Exception):  # whoever needs the parts runs into it again, and tells
            convex_parts(self._closed.copy())

    @property
    def _workers(self) -> int:
        """torch's threads say how many cores are ours."""
        return min(torch.get_num_threads(), MOST_WORKERS)

    @cached_property
    def _closed(self) -> trimesh.Trimesh:
        return watertight_mesh(self.surface, resolution=SOLID_RESOLUTION)

    @torch.no_grad()
    def simulations(
        self, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"]
    ) -> dict[str, Callable[[int], float]]:
        """The simulations of b grasps, by the name of the fault that they find in the one that they are asked of.

        Several threads may ask at once. There are none where no simulator is installed, or asked for.
        """
        if not self.simulated:
            return {}
        verts = pose_hands(self.hand, self.sdf, angles, T_object_hand).verts_object.cpu().double().numpy()
        if self._making is not None:
            self._making.join()
        parts, weights, workers = convex_parts(self._closed), self.weights, self._workers

        def near(points: np.ndarray) -> np.ndarray:
            return self.sdf(torch.from_numpy(points).float()[None].to(angles.device))[0].cpu().numpy()

        def falls(hand: int) -> float:
            """Whether gravity from one of six sides takes the object out of the hand."""
            return 0.0 if holds(verts[hand], self._faces, parts, near) else weights.falls

        def displacement(hand: int) -> float:
            moved = displacements_cm(verts[hand][None], self._faces, parts, workers=workers)
            return weights.displacement * min(float(moved[0]), FALL_CM)

        made = (("falls", falls, self.gravity_simulated), ("displacement", displacement, self.displacement_simulated))
        return {name: simulated for name, simulated, wanted in made if wanted}

    def back_share(self, posed: PosedHands) -> Float[Tensor, " b"]:
        """The share of the skin that touches which is on the back of the hand and of the fingers."""
        touches = (posed.distance < SKIN_CONTACT).float()
        return (touches * self.dorsal).sum(dim=1) / touches.sum(dim=1).clamp(min=1)

    def unsupported_weight(self, posed: PosedHands) -> Float[Tensor, " b"]:
        """The share of the weight that statics leaves hanging (`unheld_weight`)."""
        # Every bone's pads may carry, not only the closest point of a finger: a hook holds with two.
        touching, gap = closest_contacts(self.skin.bones, posed.verts_object, posed.distance)
        centre = self.centre.to(touching.device)
        return unheld_weight(touching, surface_normals(self.sdf, touching), (gap < TOUCH).float(), centre)

    @cached_property
    def _faces(self) -> np.ndarray:
        return self.hand.faces.cpu().numpy()
