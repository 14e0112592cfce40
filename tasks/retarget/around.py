"""What lies around the object of a person's grasps, for a robot's hand to keep off, too."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.mesh import ObjectMesh
from hoprior.geometry.state import SignedDistance
from hoprior.physics.robots.kinematics import POINT_SPACING
from hoprior.physics.surroundings import Obstacle, Surroundings, Table
from hoprior.tasks.grasp.around import KEPT_FREE, UNNAMED, ObjectPlace, things

TOLD = ("table", "scene", "avoid", "avoid_mesh")
"""What grasps' settings say of it."""
BETWEEN = POINT_SPACING / 2
"""How much nearer (m) a hand's edges may be than the points by which it is looked at."""


class Around(NamedTuple):
    """What is kept off, in the frame of the object near the origin, and a sentence on each thing that is not."""

    surroundings: Surroundings | None
    up: Float[np.ndarray, " 3"] | None
    """Of the table, if there is one."""
    notes: tuple[str, ...]

    def with_object(self, sdf: SignedDistance) -> SignedDistance:
        """Signed distance to the nearest of the object and all that is around it."""
        if self.surroundings is None:
            return sdf
        distance = self.surroundings.distance

        def nearest(points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
            return torch.minimum(sdf(points), distance(points) - BETWEEN)

        return nearest


def around_of(config: dict[str, Any], item: ObjectMesh, near: ObjectMesh, place: Float[np.ndarray, " 3"]) -> Around:
    """What the settings of a person's grasps say, found again.

    Args:
        item: the object, with the unit of its file.
        near: the same, moved by `-place`.
    """
    obstacles: list[Obstacle] = []
    notes, up = [], None
    if (table := config.get("table")) is not None:
        up = np.asarray(table["up"], dtype=float)
        height = float(table["height"]) - float(up @ place)
        obstacles.append(Table(torch.tensor(up, dtype=torch.float32), height))
    for name, margin in (("scene", 0.0), ("avoid_mesh", KEPT_FREE)):
        if (given := config.get(name)) is None:
            continue
        if given == UNNAMED:
            notes.append(
                f"the robot does not heed what the grasps keep off ({name}): it was a mesh in memory, not a file"
            )
            continue
        try:
            mesh = ObjectPlace(item, near, place, "right").in_search(name, Path(given))
        except HopriorError as error:
            notes.append(f"the robot does not heed what the grasps keep off ({name}): {error}")
            continue
        obstacles += things(mesh, near, margin)
    if (words := config.get("avoid")) is not None:
        notes.append(
            f"the robot does not heed the part that the grasps leave free ('{words}'): give it as a mesh, --avoid-mesh"
        )
    return Around(Surroundings(obstacles) if obstacles else None, up, tuple(notes))
