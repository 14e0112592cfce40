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
    verts: Float64[np.ndarray, "V 3"]
    T: Float64[np.ndarray, "4 4"]
    turned: Float64[np.ndarray, "3 3"]
    joints_object: Float64[np.ndarray, "21 3"]
    verts_object: Float64[np.ndarray, "V 3"]
    distance: Float64[np.ndarray, " V"]
    normal: Float64[np.ndarray, "V 3"]
    """The distance's slope at each vertex."""
    slope_pose: Float64[np.ndarray, "15 3"]
    slope_bones: Float64[np.ndarray, "16 3 4"]
    slope_joints: Float64[np.ndarray, "21 3"]
    """In the hand's frame: these bend fingers and move no hand."""
    slope_verts: Float64[np.ndarray, "V 3"]
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
        np.zeros((num_verts, 3)),
        np.zeros((4, 4)),
        np.zeros((3, 3)),
        np.zeros((21, 3)),
        np.zeros((num_verts, 3)),
        np.zeros(num_verts),
        np.zeros((num_verts, 3)),
        np.zeros((15, 3)),
        np.zeros((16, 3, 4)),
        np.zeros((21, 3)),
        np.zeros((num_verts, 3)),
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
        skin_vertex(skin, hand, skin.tips[tip])
        for i in range(3):
            joints[16 + tip, i] = hand.verts[skin.tips[tip], i]
    for j in range(21):
        for i in range(3):
            hand.joints_object[j, i] = _placed(hand.T, i, joints[j, 0], joints[j, 1], joints[j, 2])


@inner
def skin_vertex(skin: Skin, hand: Posed, v: int) -> None:
    """v = sum over bones of w [Q | t] (v0, 1), in the hand's frame."""
    bones = hand.bones
    x0, y0, z0 = skin.template[v, 0], skin.template[v, 1], skin.template[v, 2]
    x = y = z = 0.0
    for n in range(skin.starts[v], skin.starts[v + 1]):
        p, w = skin.parts[n], skin.weights[n]
        x += w * (bones[p, 0, 0] * x0 + bones[p, 0, 1] * y0 + bones[p, 0, 2] * z0 + bones[p, 0, 3])
        y += w * (bones[p, 1, 0] * x0 + bones[p, 1, 1] * y0 + bones[p, 1, 2] * z0 + bones[p, 1, 3])
        z += w * (bones[p, 2, 0] * x0 + bones[p, 2, 1] * y0 + bones[p, 2, 2] * z0 + bones[p, 2, 3])
    hand.verts[v, 0], hand.verts[v, 1], hand.verts[v, 2] = x, y, z


@inner
def skin_all(skin: Skin, hand: Posed) -> None:
    """All vertices, in the hand's and in the object's frame."""
    for v in range(len(skin.template)):
        skin_vertex(skin, hand, v)
        x, y, z = hand.verts[v, 0], hand.verts[v, 1], hand.verts[v, 2]
        for i in range(3):
            hand.verts_object[v, i] = _placed(hand.T, i, x, y, z)


@inner
def clear_slopes(hand: Posed) -> None:
    """Before an energy's terms add theirs."""
    # Loops, for what numba makes of operations on whole arrays takes it long.
    for v in range(len(hand.slope_verts)):
        for i in range(3):
            hand.slope_verts[v, i] = hand.slope_verts_object[v, i] = 0.0
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
        for i in range(3):
            hand.slope_verts[skin.tips[tip], i] += hand.slope_joints[16 + tip, i]
            hand.slope_verts_object[skin.tips[tip], i] += hand.slope_joints_object[16 + tip, i]
    for v in range(len(skin.template)):
        _unplace(hand, hand.slope_verts_object, hand.verts, hand.slope_verts, v)
        gx, gy, gz = hand.slope_verts[v, 0], hand.slope_verts[v, 1], hand.slope_verts[v, 2]
        if gx == 0.0 and gy == 0.0 and gz == 0.0:
            continue
        x0, y0, z0 = skin.template[v, 0], skin.template[v, 1], skin.template[v, 2]
        for n in range(skin.starts[v], skin.starts[v + 1]):
            out, w = hand.slope_bones[skin.parts[n]], skin.weights[n]
            for i, g in ((0, w * gx), (1, w * gy), (2, w * gz)):
                out[i, 0] += g * x0
                out[i, 1] += g * y0
                out[i, 2] += g * z0
                out[i, 3] += g
    for j in range(16):
        _unplace(hand, hand.slope_joints_object, hand.joints, hand.slope_joints, j)
    _unbend(skin, hand)
    for j in range(15):
        for a in range(3):
            for c in range(3):
                hand.slope[3 * j + a] += skin.axes[j, a, c] * hand.slope_pose[j, c]
    _undisplace(T_start, parameters, hand)


@inner
def _unplace(
    hand: Posed,
    outside: Float64[np.ndarray, "n 3"],
    points: Float64[np.ndarray, "n 3"],
    inside: Float64[np.ndarray, "n 3"],
    n: int,
) -> None:
    """Takes the slope at a point in the object's frame to the placement, and to the point in the hand's frame."""
    gx, gy, gz = outside[n, 0], outside[n, 1], outside[n, 2]
    if gx == 0.0 and gy == 0.0 and gz == 0.0:
        return
    for i, g in ((0, gx), (1, gy), (2, gz)):
        hand.slope_T[i, 3] += g
        for k in range(3):
            hand.slope_T[i, k] += g * points[n, k]
            inside[n, k] += hand.T[i, k] * g


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
