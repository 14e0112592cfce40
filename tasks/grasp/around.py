"""What is around the object of a grasp, as it is told: a table, other things, parts to keep free and parts to hold."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.errors import ArgumentError, HopriorError
from hoprior.geometry.files.reading import read_mesh_file
from hoprior.geometry.mesh import ObjectMesh, mirrored, surface_in
from hoprior.geometry.rest_pose import AXES
from hoprior.geometry.sdf import SdfGrid, signed_distance
from hoprior.geometry.state import RestPoses
from hoprior.geometry.surface_parts import distances_to, surface_samples
from hoprior.geometry.units import number_text, parse_length
from hoprior.language.categories import describe
from hoprior.language.phrases import GENERIC_TEXT, sentence, sentence_for
from hoprior.physics.mouths import VesselMouths
from hoprior.physics.surroundings import FOREARM_LENGTH, Obstacle, Part, Surroundings, Table, Thing
from hoprior.tasks.grasp.parts_told import HeldPart, PartFinder, is_mesh

MeshGiven = str | Path | trimesh.Trimesh
PLANE = re.compile(r"(-?[xyz])\s*=\s*(\S.*)", re.IGNORECASE)
SUNK = 0.01
"""Depth (m) to which an object may reach below its table, as scans do."""
HAND_REACH = 0.2 + FOREARM_LENGTH
"""How far (m) from an object the elbow of a hand that holds it may be."""
THING_RESOLUTION = 112
"""Of the distances to other things: cells of about a centimetre, as far as elbows get."""
KEPT_FREE = 0.006
"""How far (m) hands stay from a part that is kept free: skin that is 5 mm off counts as touching."""
SAME_SURFACE, SAME_SHARE = 0.001, 0.7
"""A scene of whose surface so much of the object is so near (m) holds the object itself."""
INSIDE_SHARE = 0.05
"""The share of an object's surface that may be deeper than `SUNK` in other things."""
UNNAMED = "a mesh"
"""What a mesh is called that is in no file."""
CHECKED = 1000
"""Points of the surface that are asked."""


@dataclass(frozen=True)
class Around:
    """What is told; see `hoprior.grasp` for each."""

    table: str = "none"
    scene: MeshGiven | None = None
    avoid: str | None = None
    avoid_mesh: MeshGiven | None = None
    contact_on: MeshGiven | None = None

    @property
    def told(self) -> bool:
        """Whether anything is."""
        return self.table != "none" or any(
            each is not None for each in (self.scene, self.avoid, self.avoid_mesh, self.contact_on)
        )


class Found(NamedTuple):
    """What a search is to know of it, in its own frame."""

    surroundings: Surroundings | None = None
    held: HeldPart | None = None
    rest: RestPoses | None = None
    """How the object stands."""
    sdf: SdfGrid | None = None
    """Of the object, where it had to be made."""
    table: dict[str, Any] | None = None
    """`up` and `height` (m) of the table, in the object's frame."""


class ObjectPlace(NamedTuple):
    """An object, and the search's frame beside its own: moved to the middle, mirrored for left hands."""

    object_mesh: ObjectMesh
    surface: ObjectMesh
    """The object in the search's frame."""
    origin: Float[np.ndarray, " 3"]
    side: str

    def in_search(self, argument: str, given: MeshGiven) -> trimesh.Trimesh:
        """A mesh that stands beside the object, in the search's frame (m).

        Raises:
            HopriorError: its file cannot be read, or has no faces.
        """
        mesh, per_unit = given, 1.0
        if not isinstance(mesh, trimesh.Trimesh):
            path = Path(mesh)
            file = read_mesh_file(path)
            mesh, said = surface_in(file, path.name), file.metres_per_unit
            per_unit = self.object_mesh.metres_per_unit if said is None else said
        verts = per_unit * np.asarray(mesh.vertices, dtype=np.float64) - self.origin
        if not len(mesh.faces) or not np.isfinite(verts).all():
            raise ArgumentError(
                argument, _named(given), "has no faces, or vertices that are not finite: export it again"
            )
        moved = trimesh.Trimesh(verts, mesh.faces, process=False)
        return moved if self.side == "right" else mirrored(moved)

    def direction(self, axis: str) -> Float[Tensor, " 3"]:
        """An axis of the object's frame, such as "-y", in the search's."""
        up = torch.tensor(AXES[axis.removeprefix("-").lower()]) * (-1.0 if axis.startswith("-") else 1.0)
        return self.turned(up)

    def turned(self, direction: Float[Tensor, " 3"]) -> Float[Tensor, " 3"]:
        """A direction of either frame in the other."""
        return direction if self.side == "right" else direction * direction.new_tensor([1.0, -1.0, 1.0])


def find_around(
    told: Around,
    place: ObjectPlace,
    rest: RestPoses | None,
    priors: Sequence[Any],
    said: str,
    keep_out: bool,
    hand_size: float,
    device: torch.device,
) -> Found:
    """What is told, found on the object; nothing where nothing is told.

    Args:
        rest: the ways in which the object may stand.
        priors: of which one may know parts by words.
        said: what is said of hands at the object.
        keep_out: whether a vessel's mouth is up where it can be.
        hand_size: the hand's length over that of the average hand.

    Raises:
        HopriorError: something cannot be read, or contradicts the object; the sentence says what to do.
    """
    if not told.told:
        return Found(rest=rest)
    surface = place.surface
    sdf = SdfGrid.from_mesh(surface).to(device)
    obstacles: list[Obstacle] = []
    record = None
    if told.table != "none":
        table, rest = _table(told.table, place, sdf, rest, keep_out)
        obstacles.append(table)
        up = place.turned(table.up).double().numpy()
        record = {"up": up.round(6).tolist(), "height": round(table.height + float(up @ place.origin), 6)}
    if told.scene is not None:
        mesh = place.in_search("scene", told.scene)
        _check_scene(mesh, place, _named(told.scene))
        obstacles += things(mesh, surface, 0.0)
    finder = PartFinder(surface, sdf, priors, said)
    if told.avoid is not None:
        obstacles.append(Part(distances_to(finder.called("avoid", told.avoid)), KEPT_FREE))
    if told.avoid_mesh is not None:
        mesh = place.in_search("avoid_mesh", told.avoid_mesh)
        finder.in_mesh("avoid_mesh", mesh, _named(told.avoid_mesh))
        obstacles += things(mesh, surface, KEPT_FREE)
    held = None
    if told.contact_on is not None:
        if isinstance(told.contact_on, str) and not is_mesh(told.contact_on):
            points = finder.called("contact_on", told.contact_on)
        else:
            mesh = place.in_search("contact_on", told.contact_on)
            points = finder.in_mesh("contact_on", mesh, _named(told.contact_on))
        held = HeldPart.of(points, device)
    surroundings = Surroundings(obstacles, hand_size).to(device) if obstacles else None
    return Found(surroundings, held, rest, sdf, record)


def _table(
    told: str, place: ObjectPlace, sdf: SdfGrid, rest: RestPoses | None, keep_out: bool
) -> tuple[Table, RestPoses]:
    """The table, and the one way in which the object stands on it."""
    verts = torch.tensor(np.asarray(place.surface.mesh.vertices), dtype=torch.float32)
    if told == "auto":
        if rest is None:
            raise ArgumentError(
                "table", told, "cannot tell how the object stands: say which way is up (up z), or where it is (z=0.75)"
            )
        known = VesselMouths(sdf, rest).rest if keep_out else rest
        assert known is not None, "ways to stand stay known"
        up = known.likeliest_up()
        height = float((verts @ up).min())
        return Table(up, height), _standing(up, height)
    plane = PLANE.fullmatch(told.strip())
    if plane is None:
        raise ArgumentError("table", told, "is no table: use auto, none, or the height of its top, z=0.75 or y=75cm")
    axis, length = plane.groups()
    try:
        height = float(length)
    except ValueError:
        try:
            height = parse_length(length.lstrip("+-")) * (-1.0 if length.startswith("-") else 1.0)
        except ArgumentError as error:
            raise ArgumentError("table", told, f"has no height of its top: {length!r} {error.problem}") from error
    up = place.direction(axis)
    height -= float(place.turned(up).double().numpy() @ place.origin)
    lowest = float((verts @ up).min())
    if lowest < height - SUNK:
        at = lowest + float(place.turned(up).double().numpy() @ place.origin)
        down = f"{axis}={number_text(round(at, 4), 4)} m"
        raise ArgumentError("table", told, f"goes through the object, which reaches down to {down}: give that, or auto")
    return Table(up, height), _standing(up, lowest)


def _standing(up: Float[Tensor, " 3"], base: float) -> RestPoses:
    return RestPoses(up[None], torch.zeros(1), torch.tensor([base]))


def _check_scene(mesh: trimesh.Trimesh, place: ObjectPlace, name: str) -> None:
    """Refuses a scene that holds the object, or that the object stands in."""
    distance = signed_distance(mesh, surface_samples(place.surface.mesh, CHECKED))
    if (np.abs(distance) < SAME_SURFACE).mean() > SAME_SHARE:
        raise ArgumentError("scene", name, "holds the object itself: leave it out of this file")
    if (distance < -SUNK).mean() > INSIDE_SHARE:
        raise ArgumentError("scene", name, "goes through the object: give both in one frame and unit, apart")


def things(mesh: trimesh.Trimesh, surface: ObjectMesh, margin: float) -> list[Obstacle]:
    """A mesh as an obstacle; none where it is out of reach."""
    reach = np.array([[-HAND_REACH], [HAND_REACH]]) + surface.mesh.bounds
    lower, upper = np.maximum(mesh.bounds[0], reach[0]), np.minimum(mesh.bounds[1], reach[1])
    if (lower > upper).any():
        return []
    grid = SdfGrid.from_mesh(mesh, resolution=THING_RESOLUTION, bounds=np.stack([lower, upper]))
    return [Thing(mesh, grid, margin)]


def roomiest(
    pool: Float[Tensor, "n 4 4"], joints_hand: Float[Tensor, "1 21 3"], surroundings: Surroundings, num: int
) -> Float[Tensor, "m 4 4"]:
    """Of placements the `num` that are least in the way, from its two halves alike, in their order where they are free.

    Raises:
        HopriorError: no placement leaves room for palm and forearm.
    """
    joints = joints_hand.expand(len(pool), -1, -1)
    if not surroundings.room_for_palm(pool, joints).any():
        raise HopriorError(
            f"no hand has room: of {len(pool)} placements none keeps palm and forearm off the table, the scene and what"
            " is to be left free: take away what is near the object, or leave less free"
        )
    misplaced = surroundings.misplaced(pool, joints)
    chosen = [
        half[cost.argsort(stable=True)[: num // 2]]
        for half, cost in zip(pool.chunk(2), misplaced.chunk(2), strict=True)
    ]
    return torch.cat(chosen)


def said_of_part(text: str | None, name: str) -> str:
    """What is said of hands when a part is looked for: the text, or else what a file's name says.

    Example:
        >>> said_of_part(None, "025_mug"), said_of_part("a knife", "model")
        ('a hand holding a mug', 'a hand holding a knife')
    """
    if text is not None and text.strip():
        return sentence_for(text)
    found = describe(name)
    return sentence(found.name) if found.known else GENERIC_TEXT


def recorded(told: Around, found: Found) -> dict[str, Any]:
    """What results keep of it, by name; nothing where nothing was told.

    Example:
        >>> recorded(Around(), Found())
        {}
    """
    if not told.told:
        return {}
    names = ("scene", "avoid", "avoid_mesh", "contact_on")
    kept = {name: getattr(told, name) for name in names if getattr(told, name) is not None}
    return {"table": found.table} | {name: value if name == "avoid" else _named(value) for name, value in kept.items()}


def _named(given: MeshGiven) -> str:
    return UNNAMED if isinstance(given, trimesh.Trimesh) else str(given)
