"""The terms of `physics.contact` and `physics.soft_tissue`: each gives its value, and adds its slopes to a hand's."""

from math import exp, log, sqrt

import numpy as np
from jaxtyping import Float64

from hoprior.hand.bones import FINGER_CHAINS
from hoprior.kernels.arrays import Skin, Walls, Weights
from hoprior.kernels.compiling import inner
from hoprior.kernels.hands import NUM_ANGLES, Posed, unskin
from hoprior.kernels.lookup import Looked, distance, plugged
from hoprior.physics.bone_samples import POINTS_PER_BONE
from hoprior.physics.contact import CLOSEST_SHARPNESS, CONTACT_REACH, MCP, MIN_PUSH, PIP, TORQUE_ARM
from hoprior.physics.posed import NORMAL_STEP

Vector = tuple[float, float, float]
NUM_FINGERS, NUM_GROUPS = 5, 6
NUM_FINGER_SAMPLES = 15 * POINTS_PER_BONE
FAR = 30.0
"""Where a logistic function is within 1e-13 of its end."""
LEAST_NORM = 1e-6
"""Slopes of the distance that are smaller are divided by this, so that they make no unit vector."""
OUTER_BONES = 2
"""Of each finger, between which fingers are told to cross."""


@inner
def look_up(walls: Walls, hand: Posed) -> None:
    """The distance and its slope at all vertices."""
    for v in range(len(hand.verts_object)):
        d, x, y, z = distance(walls.distance, hand.verts_object[v, 0], hand.verts_object[v, 1], hand.verts_object[v, 2])
        hand.distance[v] = d
        hand.normal[v, 0], hand.normal[v, 1], hand.normal[v, 2] = x, y, z


@inner
def _add(hand: Posed, v: int, slope: float) -> None:
    """To a vertex, of what has this slope in its distance."""
    for i in range(3):
        hand.slope_verts_object[v, i] += slope * hand.normal[v, i]


@inner
def penetration(weights: Weights, hardness: float, hand: Posed) -> float:
    """w h sum over vertices of max(-d - tolerance, 0)²."""
    total, weight = 0.0, weights.penetration * hardness
    for v in range(len(hand.distance)):
        deep = -hand.distance[v] - weights.penetration_tolerance
        if deep > 0.0:
            total += weight * deep * deep
            _add(hand, v, -2 * weight * deep)
    return total


@inner
def touching(weights: Weights, hand: Posed) -> float:
    """-w mean over vertices of s((gap - d) / softness), with s(x) = 1 / (1 + exp(-x))."""
    total, weight = 0.0, weights.touching / len(hand.distance)
    for v in range(len(hand.distance)):
        x = (weights.touch_gap - hand.distance[v]) / weights.touch_softness
        if x > -FAR:
            share = 1 / (1 + exp(-x))
            total -= weight * share
            _add(hand, v, weight * share * (1 - share) / weights.touch_softness)
    return total


@inner
def spheres(skin: Skin, walls: Walls, weights: Weights, hand: Posed) -> float:
    """w sum over spheres of max(r - compliance - d(c), 0)², with c the middle of two vertices."""
    total, verts, slope = 0.0, hand.verts_object, hand.slope_verts_object
    for s in range(len(skin.sphere_radius)):
        a, b = skin.sphere_skin[s], skin.sphere_opposite[s]
        x, y, z = verts[a, 0] + verts[b, 0], verts[a, 1] + verts[b, 1], verts[a, 2] + verts[b, 2]
        d, nx, ny, nz = distance(walls.distance, x / 2, y / 2, z / 2)
        cut = skin.sphere_radius[s] - weights.compliance - d
        if cut > 0.0:
            total += weights.spheres * cut * cut
            for i, n in ((0, nx), (1, ny), (2, nz)):
                slope[a, i] -= weights.spheres * cut * n
                slope[b, i] -= weights.spheres * cut * n
    return total


@inner
def bones(skin: Skin, walls: Walls, weights: Weights, hardness: float, hand: Posed) -> float:
    """w h sum over points of the fingers' bones of max(radius - d, 0)², to an object whose mouths are closed."""
    total, weight = 0.0, weights.bones * hardness
    joints, slope = hand.joints_object, hand.slope_joints_object
    for n in range(NUM_FINGER_SAMPLES):
        a, b, share = skin.sample_from[n], skin.sample_to[n], skin.sample_share[n]
        x = joints[a, 0] + share * (joints[b, 0] - joints[a, 0])
        y = joints[a, 1] + share * (joints[b, 1] - joints[a, 1])
        z = joints[a, 2] + share * (joints[b, 2] - joints[a, 2])
        d, nx, ny, nz = plugged(walls, x, y, z)
        near = weights.bone_radius - d
        if near > 0.0:
            total += weight * near * near
            for i, m in ((0, nx), (1, ny), (2, nz)):
                slope[a, i] -= 2 * weight * near * (1 - share) * m
                slope[b, i] -= 2 * weight * near * share * m
    return total


@inner
def palm_gaps(skin: Skin, weights: Weights, hand: Posed) -> float:
    """w mean over the palmar skin of q / (1 + q), with q = ((d - gap) / reach)²."""
    total, weight = 0.0, weights.hand / len(skin.palmar)
    for n in range(len(skin.palmar)):
        v = skin.palmar[n]
        off = (hand.distance[v] - weights.hand_gap) / weights.hand_reach
        q = off * off
        total += weight * q / (1 + q)
        _add(hand, v, weight * 2 * off / weights.hand_reach / ((1 + q) * (1 + q)))
    return total


@inner
def finger_gaps(skin: Skin, weights: Weights, hand: Posed) -> float:
    """w sum over fingers of -k log(mean over its pads of exp(-d / k)), held between two ends; it moves no hand."""
    total, k = 0.0, CLOSEST_SHARPNESS
    for finger in range(NUM_FINGERS):
        first, last = skin.group_starts[finger], skin.group_starts[finger + 1]
        least, summed = np.inf, 0.0
        for n in range(first, last):
            least = min(least, hand.distance[skin.group_ids[n]])
        for n in range(first, last):
            summed += exp((least - hand.distance[skin.group_ids[n]]) / k)
        closest = least - k * log(summed / (last - first))
        total += weights.fingers * min(max(closest, -weights.press_depth), weights.finger_reach)
        if closest < -weights.press_depth or closest > weights.finger_reach:
            continue
        for n in range(first, last):
            v = skin.group_ids[n]
            slope = weights.fingers * exp((least - hand.distance[v]) / k) / summed
            for i in range(3):  # to the hand's frame: the placement has no part in it
                along = 0.0
                for m in range(3):
                    along += hand.T[m, i] * hand.normal[v, m]
                unskin(skin, hand, v, i, slope * along)
    return total


@inner
def imbalance(skin: Skin, walls: Walls, weights: Weights, hand: Posed) -> float:
    """w (|F|² + |M|²): each group of skin pushes with p = exp(-(d / reach)²) at its closest point c along the normal n.

    With S = sum of p and m = sum of p c / S: F = sum of p n / S, and M = sum of p (c - m) x n / (S arm).
    """
    closest, push = np.zeros(NUM_GROUPS, dtype=np.int64), np.zeros(NUM_GROUPS)
    normals, lengths = np.zeros((NUM_GROUPS, 3)), np.zeros(NUM_GROUPS)
    summed, middle, force, torque = 0.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    for g in range(NUM_GROUPS):
        v = skin.group_ids[skin.group_starts[g]]
        for n in range(skin.group_starts[g], skin.group_starts[g + 1]):
            if hand.distance[skin.group_ids[n]] < hand.distance[v]:
                v = skin.group_ids[n]
        closest[g] = v
        gap = max(hand.distance[v], 0.0) / CONTACT_REACH
        push[g] = exp(-gap * gap)
        summed += push[g]
        for i in range(3):
            ahead, behind = _beside(walls, hand, v, i, NORMAL_STEP), _beside(walls, hand, v, i, -NORMAL_STEP)
            normals[g, i] = ahead[0] - behind[0]
        lengths[g] = max(sqrt(_dot(_row(normals, g), _row(normals, g))), LEAST_NORM)
        for i in range(3):
            normals[g, i] /= lengths[g]
        middle = _plus(middle, push[g], _row(hand.verts_object, v))
        force = _plus(force, push[g], _row(normals, g))
    total = max(summed, MIN_PUSH)
    middle = _plus((0.0, 0.0, 0.0), 1 / total, middle)
    for g in range(NUM_GROUPS):
        arm = _plus(_row(hand.verts_object, closest[g]), -1.0, middle)
        torque = _plus(torque, push[g], _cross(arm, _row(normals, g)))
    scale_force, scale_torque = 1 / total**2, 1 / (total * TORQUE_ARM) ** 2
    value = weights.balance * (scale_force * _dot(force, force) + scale_torque * _dot(torque, torque))

    none = (0.0, 0.0, 0.0)
    slope_torque = _plus(none, 2 * weights.balance * scale_torque, torque)
    slope_force = _plus(_cross(middle, slope_torque), 2 * weights.balance * scale_force, force)
    slope_middle = _cross(slope_torque, force)
    slope_total = -(2 * value + _dot(slope_middle, middle)) / total if summed >= MIN_PUSH else 0.0
    for g in range(NUM_GROUPS):
        v, normal = closest[g], _row(normals, g)
        point = _row(hand.verts_object, v)
        slope_push = _dot(slope_force, normal) + _dot(slope_torque, _cross(point, normal))
        slope_push += _dot(slope_middle, point) / total + slope_total
        _add(hand, v, -2 * slope_push * push[g] * max(hand.distance[v], 0.0) / CONTACT_REACH**2)
        slope_point = _plus(_cross(normal, slope_torque), 1 / total, slope_middle)
        slope_normal = _plus(slope_force, 1.0, _cross(slope_torque, point))
        if lengths[g] > LEAST_NORM:
            slope_normal = _plus(slope_normal, -_dot(normal, slope_normal), normal)
        for i in range(3):
            ahead, behind = _beside(walls, hand, v, i, NORMAL_STEP), _beside(walls, hand, v, i, -NORMAL_STEP)
            change = _plus((ahead[1], ahead[2], ahead[3]), -1.0, (behind[1], behind[2], behind[3]))
            slope_point = _plus(slope_point, slope_normal[i] / lengths[g], change)
        for i in range(3):
            hand.slope_verts_object[v, i] += push[g] * slope_point[i]
    return value


@inner
def posture(skin: Skin, weights: Weights, parameters: Float64[np.ndarray, " 51"], hand: Posed) -> float:
    """Joint limits, twist and spread, and middle joints that bend unlike their base, each squared and weighed."""
    total, slope = 0.0, hand.slope
    for n in range(NUM_ANGLES):
        angle, joint, axis = parameters[n], n // 3, n % 3
        over = max(angle - skin.angle_high[joint, axis], 0.0) + max(skin.angle_low[joint, axis] - angle, 0.0)
        side = 1.0 if angle > skin.angle_high[joint, axis] else -1.0
        total += weights.limit * over * over
        slope[n] += 2 * weights.limit * over * side
        if axis != 1:
            total += weights.spread * angle * angle
            slope[n] += 2 * weights.spread * angle
    for k in range(len(PIP)):
        middle, base = 3 * PIP[k] + 1, 3 * MCP[k] + 1
        apart = parameters[middle] - parameters[base]
        total += weights.coupling * apart * apart
        slope[middle] += 2 * weights.coupling * apart
        slope[base] -= 2 * weights.coupling * apart
    return total


@inner
def crossing(weights: Weights, hand: Posed) -> float:
    """w sum over pairs of different fingers' outer bones of max(distance - |m1 - m2|, 0)², with m their middles."""
    total = 0.0
    for one in range(NUM_FINGERS):
        for other in range(one):
            for p in range(1, 1 + OUTER_BONES):
                for q in range(1, 1 + OUTER_BONES):
                    first, second = FINGER_CHAINS[one], FINGER_CHAINS[other]
                    total += _bones_cross(weights, hand, first[p], first[p + 1], second[q], second[q + 1])
    return total


@inner
def _bones_cross(weights: Weights, hand: Posed, a: int, b: int, c: int, d: int) -> float:
    """The same of the bone between joints a and b and that between c and d."""
    joints, slope = hand.joints, hand.slope_joints
    apart = _plus(_plus(_row(joints, a), 1.0, _row(joints, b)), -1.0, _plus(_row(joints, c), 1.0, _row(joints, d)))
    gap = sqrt(_dot(apart, apart)) / 2
    short = weights.crossing_distance - gap
    if short <= 0.0:
        return 0.0
    if gap > 0.0:
        for i in range(3):
            pull = weights.crossing * short * apart[i] / (2 * gap)
            slope[a, i] -= pull
            slope[b, i] -= pull
            slope[c, i] += pull
            slope[d, i] += pull
    return weights.crossing * short * short


@inner
def _beside(walls: Walls, hand: Posed, v: int, axis: int, step: float) -> Looked:
    """The distance beside a vertex, and its slope."""
    x, y, z = _row(hand.verts_object, v)
    if axis == 0:
        x += step
    elif axis == 1:
        y += step
    else:
        z += step
    return distance(walls.distance, x, y, z)


@inner
def _row(a: Float64[np.ndarray, "n 3"], n: int) -> Vector:
    return a[n, 0], a[n, 1], a[n, 2]


@inner
def _plus(a: Vector, share: float, b: Vector) -> Vector:
    return a[0] + share * b[0], a[1] + share * b[1], a[2] + share * b[2]


@inner
def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@inner
def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
