"""Hands that go down an energy in compiled loops; `tasks.grasp.descent` is the same in torch."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.sdf import SdfGrid
from hoprior.kernels.arrays import Grid, Moving, Pace, Skin, Slopes, Walls, Weights, real_array
from hoprior.kernels.steps import take_steps, value_and_slope
from hoprior.kernels.threads import in_shares
from hoprior.physics.contact import ContactEnergy
from hoprior.physics.mouths import PluggedSdf
from hoprior.physics.soft_tissue import FleshEnergy

Energy = ContactEnergy | FleshEnergy


class CompiledDescent:
    """b hands on their way down an energy that kernels can do (`why_torch` is None).

    Args:
        energy: its weights, its hand and its object are read once.
        angles, T_object_hand: of the hands at the start.
        pace: of the descent.
        hold_position, hold_rotation, hold_angles: pull back to where the hands began, 1/m² and 1/rad².
    """

    def __init__(
        self,
        energy: Energy,
        angles: Float[Tensor, "b 15 3"],
        T_object_hand: Float[Tensor, "b 4 4"],
        pace: Pace,
        hold_position: float = 0.0,
        hold_rotation: float = 0.0,
        hold_angles: float = 0.0,
    ) -> None:
        self.skin, self.walls, self.pace = Skin.of(energy.hand), walls_of(energy.bones_sdf), pace
        self.weights = weights_of(energy)._replace(
            hold_position=hold_position, hold_rotation=hold_rotation, hold_angles=hold_angles
        )
        self.moving = Moving.start(angles, T_object_hand)
        self.step = 0

    @property
    def angles(self) -> Float[Tensor, "b 15 3"]:
        """Of the joints, as they are now."""
        return torch.from_numpy(self.moving.parameters[:, :45].reshape(-1, 15, 3)).float()

    @property
    def turn_and_move(self) -> tuple[Float[Tensor, "b 3"], Float[Tensor, "b 3"]]:
        """What has changed of the placement, as `hand.placement.displaced` takes it."""
        turn, move = torch.from_numpy(self.moving.parameters[:, 45:]).float().split(3, dim=1)
        return turn, move

    def advance(self, steps: int, slopes: dict[str, Tensor]) -> None:
        """So many more steps, with these slopes of priors in parts of a state, by their names there.

        Hands never meet: each of torch's threads takes some of them.
        """
        num = len(self.moving.parameters)
        priors = slopes_of(slopes, num)

        def some(first: int, last: int) -> None:
            share = slice(first, last)
            take_steps(
                self.skin,
                self.walls,
                self.weights,
                self.pace,
                self.step,
                self.step + steps,
                Slopes(*(each[share] for each in priors)),
                Moving(*(each[share] for each in self.moving)),
            )

        in_shares(num, some)
        self.step += steps

    def value_and_slope(self, hardness: float = 1.0) -> tuple[Float[np.ndarray, " b"], Float[np.ndarray, "b 51"]]:
        """The energy where the hands are, and its slope in joint angles, turn and move."""
        slopes = Slopes.none(len(self.moving.parameters))
        values, slope = value_and_slope(self.skin, self.walls, self.weights, hardness, slopes, self.moving)
        return values, slope


def slopes_of(slopes: dict[str, Tensor], num: int) -> Slopes:
    """Slopes by the names of a state's fields; flat where there is none."""
    found = {name: real_array(slope) for name, slope in slopes.items()}
    return Slopes.none(num)._replace(**found)


def walls_of(bones_sdf: object) -> Walls:
    """What bones keep out of, and the object itself within it."""
    if isinstance(bones_sdf, PluggedSdf):
        sdf, cavity = bones_sdf.sdf, bones_sdf.depth
        depth = Grid.of(cavity.depth, cavity.lower, cavity.upper)
        return Walls(Grid.of(sdf.values, sdf.lower, sdf.upper), depth, True)
    assert isinstance(bones_sdf, SdfGrid)
    grid = Grid.of(bones_sdf.values, bones_sdf.lower, bones_sdf.upper)
    return Walls(grid, grid, False)


def weights_of(energy: Energy) -> Weights:
    """Of the terms that an energy has; those that it has not weigh nothing."""
    contact = energy.contact if isinstance(energy, FleshEnergy) else energy.weights
    none = Weights(*(0.0 for _ in Weights._fields))
    shared = none._replace(
        touch_softness=1.0,
        hand_reach=1.0,
        bones=contact.bone_weight,
        bone_radius=contact.bone_radius,
        balance=contact.balance_weight,
        limit=contact.limit_weight,
        spread=contact.spread_weight,
        coupling=contact.coupling_weight,
        crossing=contact.crossing_weight,
        crossing_distance=contact.crossing_distance,
    )
    if isinstance(energy, FleshEnergy):
        flesh = energy.weights
        return shared._replace(
            penetration=flesh.penetration_weight,
            touching=flesh.contact_weight,
            touch_gap=flesh.contact_gap,
            touch_softness=flesh.contact_softness,
            spheres=flesh.sphere_weight,
            compliance=flesh.compliance,
        )
    return shared._replace(
        penetration=contact.penetration_weight,
        penetration_tolerance=contact.penetration_tolerance,
        hand=contact.hand_weight,
        hand_reach=contact.hand_reach,
        hand_gap=contact.hand_gap,
        fingers=contact.finger_weight,
        finger_reach=contact.finger_reach,
        press_depth=contact.press_depth,
    )
