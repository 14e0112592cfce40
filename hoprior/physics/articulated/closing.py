"""A hand brought to the object that it was recorded, or found, to hold: by the centimetre that recordings are off.

Labels of hands that hold things miss the surface by millimetres to two centimetres (DexYCB's thumbs by more than one
in a quarter of the grasps). Before such a grasp is carried out its finger pads are led to points of the surface that
are near and that oppose each other, and the wrist moves along, by no more than labels are off. People's hands and any
others are treated alike.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from hoprior.geometry.state import SignedDistance
from hoprior.physics.articulated.hand import ArticulatedHand
from hoprior.physics.articulated.scene import Placed, place_links
from hoprior.physics.posed import FINGER_PARTS, surface_normals

REACH = 0.035
"""How far (m) a pad is from where it is to go at most."""
MOST_MOVED, MOST_TURNED = 0.01, np.radians(10.0)
"""How far the wrist goes at most: m, and radians about the middle of the hand."""
PAD = 0.7
"""Where along a finger's last capsule its pad is."""
SURFACE_POINTS = 3000
"""So many points of the object's surface pads may go to."""
SOFT = 0.001
"""How deep (m) flesh gives way."""
ROUNDS, STEPS = 4, 8
"""Points are chosen so many times anew, with so many steps of least squares after each."""
PAD_OFF, DEPTH_OFF = 0.003, 0.004
"""What counts as one in the sum of squares: a pad that is so far (m) from its point, a capsule that is so deep, ..."""
HINGE_OFF, MOVED_OFF, TURNED_OFF = 0.25, 0.006, np.radians(6.0)
"""... a hinge that is turned by so much (radians), a wrist that is moved (m) and turned (radians) by so much."""
MOST_STEP = 0.3
"""radians, of a hinge in one step."""
NEAR_OFF, APART_OFF, ASIDE_OFF = 0.01, 15.0, 10.0
"""What counts as one where points are chosen: m from the pad; degrees of normals, and of the line, beyond the next."""
APART, ASIDE = 30.0, 20.0
"""Degrees that normals may be off being opposed, and the line from thumb to finger off them, without a price."""
WORST = 9.0
"""A finger for which there is no cheaper point is left where it is."""
MIDDLE = np.array([0.09, 0.0, 0.0])
"""What a wrist turns about, m in the hand's frame."""
THUMB = len(FINGER_PARTS) - 1


class Surface(NamedTuple):
    """Points of an object's surface and its directions out there, metres, in the object's frame."""

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]

    @classmethod
    def of(cls, mesh: trimesh.Trimesh) -> "Surface":
        """Of a mesh with its faces turned outwards; the same points each time."""
        points, faces = trimesh.sample.sample_surface(mesh, SURFACE_POINTS, seed=0)[:2]
        return cls(np.asarray(points, dtype=float), np.asarray(mesh.face_normals[faces], dtype=float))


@dataclass(frozen=True, eq=False)
class Closed:
    """A hand that is brought to an object.

    Attributes:
        hinges: radians.
        T_object_hand: the wrist in the object's frame, metres.
        goals: finger (`FINGER_PARTS`) -> the point of the object's surface where its pad is to be, metres.
    """

    hinges: Float[np.ndarray, "15 3"]
    T_object_hand: Float[np.ndarray, "4 4"]
    goals: dict[int, Float[np.ndarray, " 3"]]


class _Pad(NamedTuple):
    """A finger's pad: its link, its middle within it (hand's and object's frame, m), where it looks, its radius (m)."""

    link: int
    here: np.ndarray
    place: np.ndarray
    looks: np.ndarray
    radius: float


def pad_of(hand: ArticulatedHand, finger: int) -> tuple[int, Float[np.ndarray, " 3"]]:
    """The link that a finger's pad is on, and the pad's middle within its flesh, metres in that link's frame."""
    link = FINGER_PARTS[finger][-1]
    capsule = hand.links[link].capsules[0]
    return link, capsule.start + PAD * (capsule.end - capsule.start)


def brought_together(
    hand: ArticulatedHand,
    hinges: Float[np.ndarray, "15 3"],
    T_object_hand: Float[np.ndarray, "4 4"],
    sdf: SignedDistance,
    surface: Surface,
) -> Closed:
    """The hand whose pads are at points of the surface that are near and opposed, as near to the given one as can be.

    Damped least squares over hinges and wrist; capsules are kept out of the object. Without a point within `REACH` for
    the thumb and for a finger that could oppose it nothing is led anywhere.

    Args:
        hinges: radians.
        T_object_hand: metres.
        sdf: signed distances (m) to the object.
    """
    fit = _Fit(hand, hinges, T_object_hand, sdf)
    goals: dict[int, int] = {}
    for _ in range(ROUNDS):
        goals = opposed_points(fit.pads(), surface)
        for _ in range(STEPS):
            fit.step({finger: (surface.points[k], surface.normals[k]) for finger, k in goals.items()})
    return Closed(fit.hinges.reshape(15, 3), fit.T, {finger: surface.points[k] for finger, k in goals.items()})


def opposed_points(pads: list[_Pad], surface: Surface) -> dict[int, int]:
    """Which point of the surface each finger's pad is to go to; only fingers that have one, and the thumb with another.

    The sum over fingers of how far pads are, how far normals are from opposing the thumb's and, for the finger that
    suits the thumb best, how far the line between the two leads aside from both normals.
    """
    thumb, thumb_cost = _reachable(pads[THUMB], surface)
    total, choices, surplus = thumb_cost, {}, {}
    for finger in range(THUMB):
        own, cost = _reachable(pads[finger], surface)
        if not len(own) or not len(thumb):
            continue
        normals, opposite = surface.normals[thumb], surface.normals[own]
        plain = _beyond(_degrees(-normals @ opposite.T), APART, APART_OFF) + cost
        line = surface.points[own] - surface.points[thumb][:, None]
        line /= np.linalg.norm(line, axis=2, keepdims=True) + 1e-6
        aside = [_degrees(-(line * normals[:, None]).sum(axis=2)), _degrees((line * opposite).sum(axis=2))]
        straight = plain + sum(_beyond(one, ASIDE, ASIDE_OFF) for one in aside)
        least = np.minimum(plain.min(axis=1), WORST)
        total = total + least
        choices[finger], surplus[finger] = (own, plain, straight), straight.min(axis=1) - least
    if not choices:
        return {}
    row = int((total + np.min(list(surplus.values()), axis=0)).argmin())
    first = min(surplus, key=lambda finger: surplus[finger][row])
    found = {THUMB: int(thumb[row])}
    for finger, (own, plain, straight) in choices.items():
        prices = (straight if finger == first else plain)[row]
        if finger == first or prices.min() < WORST:
            found[finger] = int(own[prices.argmin()])
    return found


def _reachable(pad: _Pad, surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the points within a pad's reach, and their prices: the way there, and a nail instead of a pad."""
    away = np.linalg.norm(surface.points + pad.radius * surface.normals - pad.place, axis=1)
    price = (away / NEAR_OFF) ** 2 + 4 * ((surface.normals @ pad.looks + 0.2) / 0.4).clip(0, None) ** 2
    near = np.flatnonzero(away < REACH)
    return near, price[near]


def _degrees(cosine: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(cosine.clip(-1, 1)))


def _beyond(degrees: np.ndarray, free: float, unit: float) -> np.ndarray:
    return ((degrees - free).clip(0, None) / unit) ** 2


class _Fit:
    """The least squares: what has moved so far, and a step."""

    def __init__(self, hand: ArticulatedHand, hinges: np.ndarray, T: np.ndarray, sdf: SignedDistance) -> None:
        self.hand, self.sdf = hand, sdf
        self.first, self.T_first = hinges.reshape(-1).astype(float), T.astype(float)
        self.hinges = self.first.copy()
        self.low = np.minimum(hand.low.reshape(-1), self.first)
        self.high = np.maximum(hand.high.reshape(-1), self.first)
        self.moved, self.turned = np.zeros(3), np.zeros(3)
        self.middle = self.T_first[:3, :3] @ MIDDLE + self.T_first[:3, 3]
        along = np.linspace(0, 1, 4)[:, None]
        self.inner = [
            (k, capsule.start + along * (capsule.end - capsule.start), capsule.radius)
            for k, link in enumerate(hand.links)
            for capsule in link.capsules
        ]

    @property
    def T(self) -> Float[np.ndarray, "4 4"]:
        """The wrist in the object's frame."""
        turn, found = Rotation.from_rotvec(self.turned).as_matrix(), np.eye(4)
        found[:3, :3] = turn @ self.T_first[:3, :3]
        found[:3, 3] = turn @ (self.T_first[:3, 3] - self.middle) + self.middle + self.moved
        return found

    def _placed(self) -> Placed:
        return place_links(self.hand, self.hinges.reshape(15, 3))

    def pads(self) -> list[_Pad]:
        """The five, as the hand is now."""
        placed, T, found = self._placed(), self.T, []
        for finger in range(len(FINGER_PARTS)):
            link, inside = pad_of(self.hand, finger)
            here = placed.points(link, inside[None])[0]
            looks = np.cross(placed.axes[link][0], here - placed.origins[link])
            looks /= np.linalg.norm(looks) + 1e-9
            radius = self.hand.links[link].capsules[0].radius
            found.append(_Pad(link, here, T[:3, :3] @ here + T[:3, 3], T[:3, :3] @ looks, radius))
        return found

    def step(self, goals: dict[int, tuple[np.ndarray, np.ndarray]]) -> None:
        """One, towards the points (with their normals) that pads are to be at."""
        placed, T, pads = self._placed(), self.T, self.pads()
        scale = np.concatenate([np.full(45, 1 / HINGE_OFF), np.full(3, 1 / MOVED_OFF), np.full(3, 1 / TURNED_OFF)])
        left = [scale * np.concatenate([self.hinges - self.first, self.moved, self.turned])]
        slopes = [np.diag(scale)]
        for finger, (point, normal) in goals.items():
            pad = pads[finger]
            left.append((pad.place - point - (pad.radius - SOFT) * normal) / PAD_OFF)
            slopes.append(self._slope(placed, T, pad.link, pad.here) / PAD_OFF)
        links = np.repeat([link for link, _, _ in self.inner], 4)
        radii = np.repeat([radius for _, _, radius in self.inner], 4)
        inner = np.concatenate([placed.points(link, points) for link, points, _ in self.inner])
        places = torch.tensor(inner @ T[:3, :3].T + T[:3, 3], dtype=torch.float32)[None]
        depth = self.sdf(places)[0].double().numpy() - (radii - SOFT)
        deep = np.flatnonzero(depth < 0)
        if len(deep):
            normals = surface_normals(self.sdf, places[:, deep])[0].double().numpy()
            left.append(depth[deep] / DEPTH_OFF)
            ways = np.stack([self._slope(placed, T, int(links[k]), inner[k]) for k in deep])
            slopes.append(np.einsum("kx,kxh->kh", normals, ways) / DEPTH_OFF)
        gone, slope = np.concatenate(left), np.concatenate(slopes)
        move = -np.linalg.solve(slope.T @ slope + 0.3 * np.diag(scale**2), slope.T @ gone)
        move *= min(1.0, MOST_STEP / (np.abs(move[:45]).max() + 1e-9))
        self.hinges = (self.hinges + move[:45]).clip(self.low, self.high)
        self.moved = _at_most(self.moved + move[45:48], MOST_MOVED)
        turned = Rotation.from_rotvec(move[48:]) * Rotation.from_rotvec(self.turned)
        self.turned = _at_most(turned.as_rotvec(), MOST_TURNED)

    def _slope(self, placed: Placed, T: np.ndarray, link: int, here: np.ndarray) -> Float[np.ndarray, "3 51"]:
        """How a point of a link (m, hand's frame) moves in the object's frame with hinges, wrist's move and turn."""
        levers = np.zeros((3, 15, 3))
        while link > 0:
            levers[:, link - 1] = np.cross(placed.axes[link], here - placed.origins[link]).T
            link = self.hand.links[link].parent
        x, y, z = T[:3, :3] @ here + T[:3, 3] - self.middle - self.moved
        turning = np.array([[0, z, -y], [-z, 0, x], [y, -x, 0]])
        return np.concatenate([T[:3, :3] @ levers.reshape(3, -1), np.eye(3), turning], axis=1)


def _at_most(vector: np.ndarray, length: float) -> np.ndarray:
    return vector * min(1.0, length / (float(np.linalg.norm(vector)) + 1e-9))
