"""Where a hand and an object touch: a map over both surfaces, and one contact for each bone that presses."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import igl
import numpy as np
import trimesh
from jaxtyping import Float, Int

from hoprior.geometry.sdf import signed_distance
from hoprior.hand.bones import BONE_ENDS, BONE_STARTS, KNUCKLES
from hoprior.hand.joint_order import JOINT_NAMES

CONTACT_DISTANCE = 0.005
"""A vertex that is inside the object or this close to it (m) touches it."""
PALM = "palm"
BONE_NAMES: tuple[str, ...] = (*(JOINT_NAMES[start] for start in BONE_STARTS), PALM)
"""Of the bones that press: each finger's three, by the joint that they start at, and the palm."""


@dataclass(frozen=True, eq=False)
class Contact:
    """What one bone's skin does at the object; metres, in the object's frame.

    Attributes:
        finger: "index", "middle", "pinky", "ring", "thumb" or "palm".
        bone: one of `BONE_NAMES`.
        point: where, on the object's surface: the middle of the skin that touches, weighted by its pressure.
        normal: of the object's surface there, outwards.
        depth: of the skin's deepest vertex in the object; 0 where none is inside.
        area: of the skin that touches, m².
        pressure_share: of all that the hand presses, what this bone does. Flesh counts as an even layer of springs as
            thick as `CONTACT_DISTANCE`.
        part: the object's part that is touched, where its parts are known.
    """

    finger: str
    bone: str
    point: Float[np.ndarray, " 3"]
    normal: Float[np.ndarray, " 3"]
    depth: float
    area: float
    pressure_share: float
    part: str | None = None


@dataclass(frozen=True, eq=False)
class ContactMap:
    """All contacts of one hand, the one that presses most first, and how near each vertex is to touching.

    Attributes:
        hand, item: of each vertex of the hand and of the object: 1 where the surfaces meet or the other one's inside
            is, falling to 0 at a gap of `CONTACT_DISTANCE`.
    """

    contacts: tuple[Contact, ...]
    hand: Float[np.ndarray, " v"]
    item: Float[np.ndarray, " n"]

    def moved(self, by: Float[np.ndarray, " 3"]) -> "ContactMap":
        """The same of a hand and an object that are elsewhere."""
        contacts = tuple(replace(contact, point=contact.point + by) for contact in self.contacts)
        return replace(self, contacts=contacts)


def contact_map(
    verts: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    joints: Float[np.ndarray, "21 3"],
    item: trimesh.Trimesh,
    parts: Mapping[str, trimesh.Trimesh] | None = None,
) -> ContactMap:
    """Contacts of a hand's vertices at an object, metres in one frame.

    Args:
        verts, faces: the hand, wound outwards.
        joints: by which the skin belongs to bones.
        item: the object, wound outwards; it may have holes.
        parts: surfaces of its parts, by name, where they are known.

    Example:
        >>> from hoprior.hand import load_hand
        >>> import torch
        >>> hand = load_hand()
        >>> flat = hand(torch.zeros(1, 15, 3))
        >>> table = trimesh.creation.box((0.4, 0.4, 0.1))  # its top under the palm, which looks down at it
        >>> verts, joints = flat.verts[0].numpy() * [1, -1, -1], flat.joints[0].numpy() * [1, -1, -1]
        >>> height = 0.05 - verts[:, 2].min()
        >>> found = contact_map(verts + [0, 0, height], hand.faces.numpy(), joints + [0, 0, height], table)
        >>> bool(found.hand.max() == 1.0), found.contacts[0].normal.round(3) + 0.0
        (True, array([0., 0., 1.]))
    """
    verts, joints = np.asarray(verts, dtype=float), np.asarray(joints, dtype=float)
    hand = trimesh.Trimesh(verts, faces, process=False)
    distance = signed_distance(item, verts)
    gaps = np.full(len(item.vertices), np.inf)
    low, high = verts.min(axis=0) - CONTACT_DISTANCE, verts.max(axis=0) + CONTACT_DISTANCE
    near = ((item.vertices > low) & (item.vertices < high)).all(axis=1)
    gaps[near] = signed_distance(hand, np.asarray(item.vertices)[near])
    contacts = _contacts(hand, distance, joints, item, parts or {})
    return ContactMap(contacts, _closeness(distance), _closeness(gaps))


def _closeness(distance: np.ndarray) -> np.ndarray:
    return (1 - distance / CONTACT_DISTANCE).clip(0, 1)


def _contacts(
    hand: trimesh.Trimesh,
    distance: np.ndarray,
    joints: np.ndarray,
    item: trimesh.Trimesh,
    parts: Mapping[str, trimesh.Trimesh],
) -> tuple[Contact, ...]:
    area = np.zeros(len(hand.vertices))
    np.add.at(area, hand.faces.reshape(-1), np.repeat(hand.area_faces / 3, 3))
    pressure = area * (CONTACT_DISTANCE - distance).clip(min=0)
    if pressure.sum() == 0:
        return ()
    bone = bone_of(np.asarray(hand.vertices), joints)
    pressing = [k for k in range(len(BONE_NAMES)) if pressure[bone == k].sum() > 0]
    middles = np.array([np.average(hand.vertices[bone == k], axis=0, weights=pressure[bone == k]) for k in pressing])
    _, face, points = _nearest(item, middles)
    touched: list[str | None] = [None] * len(pressing)
    if parts:
        away = np.array([_nearest(surface, points)[0] for surface in parts.values()])
        touched = [list(parts)[k] for k in away.argmin(axis=0)]
    found = []
    for k, on, point, part in zip(pressing, face, points, touched, strict=True):
        own = bone == k
        name = BONE_NAMES[k]
        found.append(
            Contact(
                finger=name.rstrip("123"),
                bone=name,
                point=point,
                normal=np.array(item.face_normals[on]),
                depth=float(-distance[own].min(initial=0.0)),
                area=float(area[own & (distance < CONTACT_DISTANCE)].sum()),
                pressure_share=float(pressure[own].sum() / pressure.sum()),
                part=part,
            )
        )
    return tuple(sorted(found, key=lambda contact: -contact.pressure_share))


def bone_of(verts: Float[np.ndarray, "v 3"], joints: Float[np.ndarray, "21 3"]) -> Int[np.ndarray, " v"]:
    """Which bone (an index of `BONE_NAMES`) each vertex of a hand is nearest to.

    Example:
        >>> joints = np.zeros((21, 3))
        >>> joints[17] = [0.02, 0.0, 0.0]  # the index finger's tip
        >>> BONE_NAMES[bone_of(np.array([[0.02, 0.0, 0.005]]), joints)[0]]
        'index3'
    """
    starts = [*BONE_STARTS, *[0] * len(KNUCKLES)]
    ends = [*BONE_ENDS, *KNUCKLES]
    away = []
    for start, end in zip(joints[starts], joints[ends], strict=True):
        along = end - start
        share = ((verts - start) @ along / max(float(along @ along), 1e-12)).clip(0, 1)
        away.append(np.linalg.norm(verts - start - share[:, None] * along, axis=1))
    return np.argmin(away, axis=0).clip(max=len(BONE_STARTS))


def _nearest(surface: trimesh.Trimesh, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances (m), faces and places on a surface that are nearest to points."""
    verts = np.ascontiguousarray(surface.vertices, dtype=np.float64)
    faces = np.ascontiguousarray(surface.faces, dtype=np.int64)
    squared, face, place = igl.point_mesh_squared_distance(np.ascontiguousarray(points), verts, faces)
    return np.sqrt(squared), face, place
