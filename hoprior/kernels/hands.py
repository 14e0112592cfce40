"""A hand bent, placed and skinned, and slopes at its vertices and joints taken back to its parameters."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from hoprior.hand.landmarks import HELD_SURFACE
from hoprior.kernels.arrays import Skin, Slopes
from hoprior.kernels.compiling import inner
from hoprior.kernels.turns import turn_matrix, turn_slope

NUM_ANGLES, TURN, MOVE = 45, 45, 48
"""How many angles there are among a hand's parameters, and where its turn and its move begin."""
Row = tuple[float, float, float, float]
CHAIN = 3
"""Joints of a finger: joint j hangs on j - 1, the first of each finger on the wrist."""


class Posed(NamedTuple):
    """One hand, as it is now, and the slopes of the energy in what it is made of (`slope_...`)."""

    pose: Float64[np.ndarray, "15 3"]
    bent: Float64[np.ndarray, "15 3 3"]
    """Rotations of the joints from the flat hand."""
    bones: Float64[np.ndarray, "16 3 4"]
    """[Q | c - Q r] of each bone, which takes points from the flat hand: Q turns, c is the joint, r it at rest."""
    joints: Float64[np.ndarray, "21 3"]
    T: Float64[np.ndarray, "4 4"]
    turned: Float64[np.ndarray, "3 3"]
    bones_object: Float64[np.ndarray, "16 3 4"]
    """The same turned by T: these take points from the flat hand to the object's frame, but for T's move."""
    joints_object: Float64[np.ndarray, "21 3"]
    verts_object: Float64[np.ndarray, "V 3"]
    distance: Float64[np.ndarray, " V"]
    normal: Float64[np.ndarray, "V 3"]
    """The distance's slope at each vertex."""
    slope_pose: Float64[np.ndarray, "15 3"]
    slope_bones: Float64[np.ndarray, "16 3 4"]
    slope_joints: Float64[np.ndarray, "21 3"]
    """In the hand's frame: these bend fingers and move no hand."""
    slope_T: Float64[np.ndarray, "4 4"]
    slope_joints_object: Float64[np.ndarray, "21 3"]
    slope_verts_object: Float64[np.ndarray, "V 3"]
    slope: Float64[np.ndarray, " 51"]
    """In the parameters: what all others come down to."""


@inner
def room_for(num_verts: int) -> Posed:
    """Room for a hand."""
    return Posed(
        np.zeros((15, 3)),
        np.zeros((15, 3, 3)),
        np.zeros((16, 3, 4)),
        np.zeros((21, 3)),
        np.zeros((4, 4)),
        np.zeros((3, 3)),
        np.zeros((16, 3, 4)),
        np.zeros((21, 3)),
        np.zeros((num_verts, 3)),
        np.zeros(num_verts),
        np.zeros((num_verts, 3)),
        np.zeros((15, 3)),
        np.zeros((16, 3, 4)),
        np.zeros((21, 3)),
        np.zeros((4, 4)),
        np.zeros((21, 3)),
        np.zeros((num_verts, 3)),
        np.zeros(51),
    )


@inner
def place(T_start: Float64[np.ndarray, "4 4"], parameters: Float64[np.ndarray, " 51"], hand: Posed) -> None:
    """T = T0 [R | p - R p] and then the move, with R the turn about the palm's point p (`hand.placement.displaced`)."""
    turn_matrix(parameters[TURN:MOVE], hand.turned)
    for i in range(3):
        hand.T[i, 3] = T_start[i, 3] + parameters[MOVE + i]
        for j in range(3):
            hand.T[i, j] = 0.0
            for k in range(3):
                hand.T[i, j] += T_start[i, k] * hand.turned[k, j]
            hand.T[i, 3] += (T_start[i, j] - hand.T[i, j]) * HELD_SURFACE[j]


@inner
def bend(skin: Skin, parameters: Float64[np.ndarray, " 51"], hand: Posed) -> None:
    """The bones: Q_j = Q_parent R_j and c_j = c_parent + Q_parent (r_j - r_parent); then joints and fingertips."""
    pose, bent, bones, joints, rest = hand.pose, hand.bent, hand.bones, hand.joints, skin.rest
    for i in range(3):
        joints[0, i] = rest[0, i]
        for k in range(4):
            bones[0, i, k] = 1.0 if i == k else 0.0
    for j in range(15):
        for c in range(3):
            pose[j, c] = 0.0
            for a in range(3):
                pose[j, c] += parameters[3 * j + a] * skin.axes[j, a, c]
        turn_matrix(pose[j], bent[j])
        parent, bone = _parent(j + 1), j + 1
        for i in range(3):
            joints[bone, i] = joints[parent, i]
            for k in range(3):
                joints[bone, i] += bones[parent, i, k] * (rest[bone, k] - rest[parent, k])
                bones[bone, i, k] = 0.0
                for m in range(3):
                    bones[bone, i, k] += bones[parent, i, m] * bent[j, m, k]
            bones[bone, i, 3] = joints[bone, i]
            for k in range(3):
                bones[bone, i, 3] -= bones[bone, i, k] * rest[bone, k]
    for tip in range(5):
        x, y, z = _skinned(skin, bones, skin.tips[tip])
        joints[16 + tip, 0], joints[16 + tip, 1], joints[16 + tip, 2] = x, y, z
    for j in range(21):
        for i in range(3):
            hand.joints_object[j, i] = _placed(hand.T, i, joints[j, 0], joints[j, 1], joints[j, 2])


@inner
def skin_all(skin: Skin, hand: Posed) -> None:
    """All vertices in the object's frame."""
    for p in range(16):
        for i in range(3):
            for k in range(4):
                hand.bones_object[p, i, k] = 0.0
                for m in range(3):
                    hand.bones_object[p, i, k] += hand.T[i, m] * hand.bones[p, m, k]
    verts = hand.verts_object
    for v in range(len(verts)):
        for i in range(3):
            verts[v, i] = hand.T[i, 3]
    for p in range(16):
        x, y, z = _row(hand.bones_object, p, 0), _row(hand.bones_object, p, 1), _row(hand.bones_object, p, 2)
        for n in range(skin.bone_starts[p], skin.bone_starts[p + 1]):
            v = skin.followers[n]
            verts[v, 0] += _along(x, skin.bone_weighted, n)
            verts[v, 1] += _along(y, skin.bone_weighted, n)
            verts[v, 2] += _along(z, skin.bone_weighted, n)


@inner
def _row(bones: Float64[np.ndarray, "16 3 4"], p: int, i: int) -> Row:
    return bones[p, i, 0], bones[p, i, 1], bones[p, i, 2], bones[p, i, 3]


@inner
def _along(row: Row, points: Float64[np.ndarray, "n 4"], n: int) -> float:
    return row[0] * points[n, 0] + row[1] * points[n, 1] + row[2] * points[n, 2] + row[3] * points[n, 3]


@inner
def _skinned(skin: Skin, bones: Float64[np.ndarray, "16 3 4"], v: int) -> tuple[float, float, float]:
    """v = sum over bones of w [Q | t] (v0, 1)."""
    x = y = z = 0.0
    for n in range(skin.starts[v], skin.starts[v + 1]):
        p = skin.followed[n]
        x += _along(_row(bones, p, 0), skin.weighted, n)
        y += _along(_row(bones, p, 1), skin.weighted, n)
        z += _along(_row(bones, p, 2), skin.weighted, n)
    return x, y, z


@inner
def clear_slopes(hand: Posed) -> None:
    """Before an energy's terms add theirs."""
    # Loops, for what numba makes of operations on whole arrays takes it long.
    for v in range(len(hand.slope_verts_object)):
        for i in range(3):
            hand.slope_verts_object[v, i] = 0.0
    for j in range(21):
        for i in range(3):
            hand.slope_joints[j, i] = hand.slope_joints_object[j, i] = 0.0
    for j in range(16):
        for i in range(3):
            for k in range(4):
                hand.slope_bones[j, i, k] = 0.0
    for j in range(15):
        for i in range(3):
            hand.slope_pose[j, i] = 0.0
    for i in range(4):
        for k in range(4):
            hand.slope_T[i, k] = 0.0
    for n in range(len(hand.slope)):
        hand.slope[n] = 0.0


@inner
def add_slopes(slopes: Slopes, b: int, hand: Posed) -> None:
    """Those of priors at hand b."""
    for i in range(4):
        for k in range(4):
            hand.slope_T[i, k] += slopes.T_object_hand[b, i, k]
    for i in range(3):
        for j in range(21):
            hand.slope_joints[j, i] += slopes.joints_hand[b, j, i]
        for j in range(15):
            hand.slope_pose[j, i] += slopes.hand_pose[b, j, i]


@inner
def gather_slopes(
    skin: Skin, T_start: Float64[np.ndarray, "4 4"], parameters: Float64[np.ndarray, " 51"], hand: Posed
) -> None:
    """The slope in the parameters: the chain rule through `skin_all`, `bend` and `place`, backwards."""
    for tip in range(5):
        v = skin.tips[tip]
        for i in range(3):
            hand.slope_verts_object[v, i] += hand.slope_joints_object[16 + tip, i]
            unskin(skin, hand, v, i, hand.slope_joints[16 + tip, i])
    _unskin_all(skin, hand)
    for j in range(16):
        _unplace(hand, j)
    _unbend(skin, hand)
    for j in range(15):
        for a in range(3):
            for c in range(3):
                hand.slope[3 * j + a] += skin.axes[j, a, c] * hand.slope_pose[j, c]
    _undisplace(T_start, parameters, hand)


@inner
def _unskin_all(skin: Skin, hand: Posed) -> None:
    """Takes the slopes at all vertices to bones and placement, bone by bone: sums stay in the processor's registers."""
    slope, T, slope_T = hand.slope_verts_object, hand.T, hand.slope_T
    for p in range(16):
        x = y = z = (0.0, 0.0, 0.0, 0.0)
        for n in range(skin.bone_starts[p], skin.bone_starts[p + 1]):
            v = skin.followers[n]
            x = _more(x, slope[v, 0], skin.bone_weighted, n)
            y = _more(y, slope[v, 1], skin.bone_weighted, n)
            z = _more(z, slope[v, 2], skin.bone_weighted, n)
        for i, row in ((0, x), (1, y), (2, z)):
            for k in range(4):
                for m in range(3):
                    slope_T[i, m] += row[k] * hand.bones[p, m, k]
                    hand.slope_bones[p, m, k] += T[i, m] * row[k]
            slope_T[i, 3] += row[3]


@inner
def _more(row: Row, slope: float, weighted: Float64[np.ndarray, "n 4"], n: int) -> Row:
    return (
        row[0] + slope * weighted[n, 0],
        row[1] + slope * weighted[n, 1],
        row[2] + slope * weighted[n, 2],
        row[3] + slope * weighted[n, 3],
    )


@inner
def unskin(skin: Skin, hand: Posed, v: int, i: int, slope: float) -> None:
    """Takes a vertex's slope along an axis of the hand's frame to the bones: it bends fingers and moves no hand."""
    for n in range(skin.starts[v], skin.starts[v + 1]):
        for k in range(4):
            hand.slope_bones[skin.followed[n], i, k] += slope * skin.weighted[n, k]


@inner
def _unplace(hand: Posed, j: int) -> None:
    """Takes the slope at a joint in the object's frame to the placement, and to the joint in the hand's frame."""
    for i in range(3):
        g = hand.slope_joints_object[j, i]
        hand.slope_T[i, 3] += g
        for k in range(3):
            hand.slope_T[i, k] += g * hand.joints[j, k]
            hand.slope_joints[j, k] += hand.T[i, k] * g


@inner
def _unbend(skin: Skin, hand: Posed) -> None:
    """From bones and joints to poses, from the fingers' ends inwards."""
    bones, slope_bones, slope_joints = hand.bones, hand.slope_bones, hand.slope_joints
    turn, slope = np.zeros((3, 3)), np.zeros(3)
    for j in range(14, -1, -1):
        bone, parent = j + 1, _parent(j + 1)
        for i in range(3):
            slope_joints[bone, i] += slope_bones[bone, i, 3]
            for k in range(3):
                slope_bones[bone, i, k] -= slope_bones[bone, i, 3] * skin.rest[bone, k]
        for i in range(3):
            slope_joints[parent, i] += slope_joints[bone, i]
            for k in range(3):
                offset = skin.rest[bone, k] - skin.rest[parent, k]
                slope_bones[parent, i, k] += slope_joints[bone, i] * offset
                turn[i, k] = 0.0
                for m in range(3):
                    slope_bones[parent, i, k] += slope_bones[bone, i, m] * hand.bent[j, k, m]
                    turn[i, k] += bones[parent, m, i] * slope_bones[bone, m, k]
        turn_slope(hand.pose[j], turn, slope)
        for c in range(3):
            hand.slope_pose[j, c] += slope[c]


@inner
def _undisplace(T_start: Float64[np.ndarray, "4 4"], parameters: Float64[np.ndarray, " 51"], hand: Posed) -> None:
    """From the placement to the turn and the move."""
    turn = np.zeros((3, 3))
    for i in range(3):
        hand.slope[MOVE + i] += hand.slope_T[i, 3]
        for k in range(3):
            for m in range(3):
                turn[i, k] += T_start[m, i] * (hand.slope_T[m, k] - hand.slope_T[m, 3] * HELD_SURFACE[k])
    turn_slope(parameters[TURN:MOVE], turn, hand.slope[TURN:MOVE])


@inner
def _parent(bone: int) -> int:
    return 0 if bone % CHAIN == 1 else bone - 1


@inner
def _placed(T: Float64[np.ndarray, "4 4"], i: int, x: float, y: float, z: float) -> float:
    return T[i, 0] * x + T[i, 1] * y + T[i, 2] * z + T[i, 3]
