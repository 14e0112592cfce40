"""The descent itself: the energy with its slope, Adam's step, and the guard that keeps bones out of walls."""

from collections.abc import Callable
from math import cos, pi, sqrt
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from hoprior.kernels.arrays import Moving, Pace, Skin, Slopes, Walls, Weights
from hoprior.kernels.compiling import inner, kernel, source_digest
from hoprior.kernels.energies import (
    NUM_GROUPS,
    bones,
    crossing,
    finger_gaps,
    imbalance,
    look_up,
    palm_gaps,
    penetration,
    posture,
    spheres,
    touching,
)
from hoprior.kernels.hands import (
    MOVE,
    NUM_ANGLES,
    TURN,
    Posed,
    add_slopes,
    bend,
    clear_slopes,
    gather_slopes,
    place,
    room_for,
    skin_all,
)
from hoprior.kernels.lookup import plugged

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's."""
ANGLES_PER_FINGER = 9


@inner
def _energy(
    skin: Skin,
    walls: Walls,
    weights: Weights,
    hardness: float,
    slopes: Slopes,
    b: int,
    T_start: Float64[np.ndarray, "4 4"],
    angles_start: Float64[np.ndarray, " 45"],
    parameters: Float64[np.ndarray, " 51"],
    hand: Posed,
) -> float:
    """The energy of hand b, whose slope in the parameters is in `hand.slope` then; that of priors is added there."""
    place(T_start, parameters, hand)
    bend(skin, parameters, hand)
    skin_all(skin, hand)
    clear_slopes(hand)
    look_up(walls, hand)
    total = penetration(weights, hardness, hand)
    if weights.touching != 0.0:
        total += touching(weights, hand)
    if weights.spheres != 0.0:
        total += spheres(skin, walls, weights, hand)
    if weights.bones != 0.0:
        total += bones(skin, walls, weights, hardness, hand)
    if weights.hand != 0.0:
        total += palm_gaps(skin, weights, hand)
    if weights.fingers != 0.0:
        total += finger_gaps(skin, weights, hand)
    if weights.balance != 0.0:
        total += imbalance(skin, walls, weights, hand)
    total += posture(skin, weights, parameters, hand)
    if weights.crossing != 0.0:
        total += crossing(weights, hand)
    for i in range(3):
        turn, move = parameters[TURN + i], parameters[MOVE + i]
        total += weights.hold_rotation * turn * turn + weights.hold_position * move * move
    add_slopes(slopes, b, hand)
    gather_slopes(skin, T_start, parameters, hand)
    for i in range(3):
        hand.slope[TURN + i] += 2 * weights.hold_rotation * parameters[TURN + i]
        hand.slope[MOVE + i] += 2 * weights.hold_position * parameters[MOVE + i]
    for n in range(NUM_ANGLES):
        bent = parameters[n] - angles_start[n]
        total += weights.hold_angles * bent * bent
        hand.slope[n] += 2 * weights.hold_angles * bent
    return total


@inner
def _which_clear(
    skin: Skin,
    walls: Walls,
    clearance: float,
    T_start: Float64[np.ndarray, "4 4"],
    parameters: Float64[np.ndarray, " 51"],
    hand: Posed,
    out: Bool[np.ndarray, " 6"],
) -> None:
    """Whether all points of each finger's bones, and of the palm's, are farther than `clearance` from walls."""
    place(T_start, parameters, hand)
    bend(skin, parameters, hand)
    for g in range(NUM_GROUPS):
        out[g] = True
    joints = hand.joints_object
    for n in range(len(skin.sample_share)):
        if out[skin.sample_group[n]]:
            a, b, share = skin.sample_from[n], skin.sample_to[n], skin.sample_share[n]
            x = joints[a, 0] + share * (joints[b, 0] - joints[a, 0])
            y = joints[a, 1] + share * (joints[b, 1] - joints[a, 1])
            z = joints[a, 2] + share * (joints[b, 2] - joints[a, 2])
            out[skin.sample_group[n]] = plugged(walls, x, y, z)[0] > clearance


@inner
def _entered(clear: Bool[np.ndarray, " 6"], began_clear: Bool[np.ndarray, " 6"], g: int) -> bool:
    return began_clear[g] and not clear[g]


@inner
def _copy(source: Float64[np.ndarray, " n"], target: Float64[np.ndarray, " n"], first: int, last: int) -> None:
    for n in range(first, last):
        target[n] = source[n]


@inner
def _step_back(
    skin: Skin,
    walls: Walls,
    clearance: float,
    T_start: Float64[np.ndarray, "4 4"],
    parameters: Float64[np.ndarray, " 51"],
    old: Float64[np.ndarray, " 51"],
    began_clear: Bool[np.ndarray, " 6"],
    hand: Posed,
    clear: Bool[np.ndarray, " 6"],
) -> None:
    """Undoes of a step what enters a wall: a finger's bend, else the hand's move, else all of it."""
    _which_clear(skin, walls, clearance, T_start, parameters, hand, clear)
    stayed_out = True
    for g in range(NUM_GROUPS):
        if _entered(clear, began_clear, g):
            stayed_out = False
            if g < NUM_GROUPS - 1:
                _copy(old, parameters, ANGLES_PER_FINGER * g, ANGLES_PER_FINGER * (g + 1))
    if stayed_out:
        return
    for first, last in ((TURN, len(parameters)), (0, NUM_ANGLES)):
        _which_clear(skin, walls, clearance, T_start, parameters, hand, clear)
        for g in range(NUM_GROUPS):
            if _entered(clear, began_clear, g):
                _copy(old, parameters, first, last)


@inner
def _adam(
    pace: Pace,
    step: int,
    parameters: Float64[np.ndarray, " 51"],
    slope: Float64[np.ndarray, " 51"],
    first: Float64[np.ndarray, " 51"],
    second: Float64[np.ndarray, " 51"],
) -> None:
    """x -= rate m / (sqrt(v) + e), with unbiased moments m and v of the slope; rates fall along half a cosine."""
    falling = (1 + cos(pi * step / pace.steps)) / 2
    unbias1, unbias2 = 1 - BETA1 ** (step + 1), 1 - BETA2 ** (step + 1)
    for n in range(len(parameters)):
        first[n] = BETA1 * first[n] + (1 - BETA1) * slope[n]
        second[n] = BETA2 * second[n] + (1 - BETA2) * slope[n] * slope[n]
        rate = pace.rate_angles if n < NUM_ANGLES else pace.rate_turn if n < MOVE else pace.rate_move
        parameters[n] -= falling * rate * (first[n] / unbias1) / (sqrt(second[n] / unbias2) + EPSILON)


def _compiled(digest: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The two functions that Python calls. They know the digest, so that no older code is taken for theirs."""

    @kernel
    def value_and_slope(
        skin: Skin, walls: Walls, weights: Weights, hardness: float, slopes: Slopes, moving: Moving
    ) -> tuple[Float64[np.ndarray, " b"], Float64[np.ndarray, "b 51"]]:
        """Each hand's energy, and its slope in the hand's parameters."""
        _ = digest
        num, hand = len(moving.parameters), room_for(len(skin.starts) - 1)
        values, out = np.zeros(num), np.zeros(moving.parameters.shape)
        for b in range(num):
            start = moving.T_start[b], moving.angles_start[b]
            values[b] = _energy(skin, walls, weights, hardness, slopes, b, *start, moving.parameters[b], hand)
            _copy(hand.slope, out[b], 0, len(hand.slope))
        return values, out

    @kernel
    def take_steps(
        skin: Skin, walls: Walls, weights: Weights, pace: Pace, begin: int, end: int, slopes: Slopes, moving: Moving
    ) -> None:
        """Steps `begin` to `end` of a descent, hand by hand: hands never meet."""
        _ = digest
        hand, old = room_for(len(skin.starts) - 1), np.zeros(moving.parameters.shape[1])
        clear = np.zeros(NUM_GROUPS, dtype=np.bool_)
        for b in range(len(moving.parameters)):
            T_start, angles_start, parameters = moving.T_start[b], moving.angles_start[b], moving.parameters[b]
            if pace.guarded and begin == 0:
                _which_clear(skin, walls, pace.clearance, T_start, parameters, hand, moving.began_clear[b])
            for step in range(begin, end):
                hardness = pace.soft_start + (1 - pace.soft_start) * step / pace.steps
                _energy(skin, walls, weights, hardness, slopes, b, T_start, angles_start, parameters, hand)
                _copy(parameters, old, 0, len(old))
                _adam(pace, step, parameters, hand.slope, moving.first[b], moving.second[b])
                if pace.guarded:
                    _step_back(
                        skin, walls, pace.clearance, T_start, parameters, old, moving.began_clear[b], hand, clear
                    )

    return value_and_slope, take_steps


value_and_slope, take_steps = _compiled(source_digest())
