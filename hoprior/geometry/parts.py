"""What of a file is the object: parts by name, and floors, collision shells and coarser copies that are left out."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np
import trimesh

from hoprior.errors import ArgumentError
from hoprior.geometry.units import length_text

COLLIDER = re.compile(
    r"^(ucx|ubx|ucp|usp|mcdcx)_|(^|[^a-z])(collision|collider|hitbox|hit_box|bounding_?box|bbox|convex_?hull|physics|"
    r"proxy|vhacd|coacd|(col|colonly|convcol|convcolonly)(?=[._-]?\d*$))",
    re.IGNORECASE,
)
"""Names of shapes for physics: Unreal's prefixes, Godot's suffixes, and plain words."""

FLOOR = re.compile(
    r"(^|[^a-z])(floor|ground|plane|shadow(_?(plane|catcher))?|backdrop|background|platform|table_?top|grid)(?![a-z])",
    re.IGNORECASE,
)
"""Names of what an object stands on in a scene."""

LEVEL = re.compile(r"^(.*?)[._ -]?lod[._ -]?(\d+)(.*)$", re.IGNORECASE)
"""Names of copies with fewer faces: mug_LOD0, mug_LOD1."""

FLAT, SLAB = 1e-3, 0.06
"""Thickness over longest side of a sheet, and of a slab, which is a floor only where its name says so."""
WIDER, WIDER_UNNAMED = 1.15, 1.5
"""How much wider than the rest a floor is on both its sides, where its name says so and where it does not."""
RECTANGLE = 0.98
"""Share of its box that a sheet without such a name fills."""
MOST_LISTED = 12


class Chosen(NamedTuple):
    """The surfaces that are taken for the object, and what was left out, a sentence each."""

    parts: dict[str, trimesh.Trimesh]
    notes: list[str]


def choose_parts(parts: Mapping[str, trimesh.Trimesh], wanted: str | None, name: str, metres_per_unit: float) -> Chosen:
    """The parts of a file that are the object.

    Args:
        parts: by name.
        wanted: name of the part or parts to take, with `*` and `?` for any letters; None leaves out what is no object:
            shapes for collisions, coarser copies, and floors that the rest stands on.
        name: of the file, for messages.
        metres_per_unit: of the parts, for the sizes in messages.

    Raises:
        ArgumentError: no part is called so; the sentence lists the parts with their sizes.

    Example:
        >>> cup, hull = trimesh.creation.box((0.06, 0.06, 0.12)), trimesh.creation.box((0.1, 0.1, 0.2))
        >>> chosen = choose_parts({"Cup": cup, "UCX_Cup": hull}, None, "cup.glb", 1.0)
        >>> list(chosen.parts), chosen.notes
        (['Cup'], ["left out 'UCX_Cup' (20 cm), a shape for collisions."])
    """
    if wanted is not None:
        found = _named(parts, wanted)
        if not found:
            raise ArgumentError(
                "part", wanted, f"is no part of {name}: choose one of {parts_listed(parts, metres_per_unit)}"
            )
        return Chosen(found, [])
    kept, notes = dict(parts), []
    for which, reason in ((_colliders, "a shape for collisions"), (_coarser, "a coarser copy")):
        left_out = which(kept)
        if left_out and len(left_out) < len(kept):
            listed = parts_listed({key: kept[key] for key in left_out}, metres_per_unit)
            notes.append(
                f"left out {listed}, {reason}." if len(left_out) == 1 else f"left out {listed}: {reason} each."
            )
            kept = {key: mesh for key, mesh in kept.items() if key not in left_out}
    for key in list(kept):
        rest = [mesh.bounds for other, mesh in kept.items() if other != key]
        if rest and FLOOR.search(key) and is_floor(kept[key], _around(rest), named=True):
            size = length_text(metres_per_unit * float(kept[key].extents.max()))
            notes.append(f"left out '{key}' ({size}), which the object stands on.")
            del kept[key]
    return Chosen(kept, notes)


def parts_listed(parts: Mapping[str, trimesh.Trimesh], metres_per_unit: float) -> str:
    """ "'Cup' (12 cm), 'Plane' (1 m)": the parts with their longest sides, the largest first.

    Example:
        >>> parts_listed({"Lid": trimesh.creation.box((0.04, 0.04, 0.01))}, 1.0)
        "'Lid' (4 cm)"
    """
    sizes = {key: metres_per_unit * float(mesh.extents.max()) for key, mesh in parts.items()}
    order = sorted(sizes, key=lambda key: -sizes[key])
    listed = ", ".join(f"'{key}' ({length_text(sizes[key])})" for key in order[:MOST_LISTED])
    return listed + (f" and {len(order) - MOST_LISTED} more" if len(order) > MOST_LISTED else "")


def is_floor(sheet: trimesh.Trimesh, rest: np.ndarray, named: bool = False) -> bool:
    """Whether a flat surface is what all the rest, whose bounds (2, 3) are given, stands on.

    Flat, wider than the rest on both sides, and the rest lies to one side of it. One that no name tells must be without
    thickness and a rectangle.

    Example:
        >>> plane = trimesh.Trimesh([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [[0, 1, 2], [0, 2, 3]])
        >>> cup = trimesh.creation.box(bounds=[[-0.1, -0.1, 0.0], [0.1, 0.1, 0.3]])
        >>> is_floor(plane, cup.bounds), is_floor(cup, plane.bounds)
        (True, False)
    """
    extents = np.asarray(sheet.extents)
    thin = int(np.argmin(extents))
    across = [axis for axis in range(3) if axis != thin]
    if extents[thin] > (SLAB if named else FLAT) * extents.max():
        return False
    rest_extents = np.ptp(rest, axis=0)
    if (extents[across] < (WIDER if named else WIDER_UNNAMED) * rest_extents[across]).any():
        return False
    slack = 0.02 * rest_extents.max() + extents[thin]
    below = rest[0, thin] >= sheet.bounds[1, thin] - slack
    above = rest[1, thin] <= sheet.bounds[0, thin] + slack
    if not (below or above):
        return False
    return named or float(sheet.area) >= RECTANGLE * float(extents[across].prod())


def _named(parts: Mapping[str, trimesh.Trimesh], wanted: str) -> dict[str, trimesh.Trimesh]:
    """Parts whose name is the one wanted, else those that fit it when capitals do not count, `*` and `?` do."""
    if wanted in parts:
        return {wanted: parts[wanted]}
    lower = wanted.strip().lower()
    same = {key: mesh for key, mesh in parts.items() if key.lower() == lower}
    return same or {key: mesh for key, mesh in parts.items() if fnmatchcase(key.lower(), lower)}


def _colliders(parts: Mapping[str, trimesh.Trimesh]) -> list[str]:
    return [key for key in parts if COLLIDER.search(key)]


def _coarser(parts: Mapping[str, trimesh.Trimesh]) -> list[str]:
    """Copies of which another one has a lower level."""
    levels: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for key in parts:
        match = LEVEL.match(key)
        if match:
            levels.setdefault((match[1].lower(), match[3].lower()), []).append((int(match[2]), key))
    return [key for group in levels.values() for level, key in group if level > min(group)[0]]


def _around(bounds: list[np.ndarray]) -> np.ndarray:
    both = np.stack(bounds)
    return np.stack([both[:, 0].min(axis=0), both[:, 1].max(axis=0)])
