"""Connected parts of grids and of surfaces."""

from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Bool, Int
from scipy import ndimage


@dataclass(frozen=True)
class Regions:
    """The connected parts of a grid's chosen cells.

    Example:
        >>> regions = Regions.of(np.array([True, True, False, True]))
        >>> regions.label, regions.cells, regions.largest
        (array([1, 1, 0, 2], dtype=int32), array([2, 1]), array([ True,  True, False, False]))
    """

    label: Int[np.ndarray, "*d"]
    """Number of each cell's part, from 1; 0 where no cell is chosen."""
    cells: Int[np.ndarray, " k"]
    """How many cells each part has, part 1 first."""

    @classmethod
    def of(cls, chosen: Bool[np.ndarray, "*d"], corners: bool = False) -> "Regions":
        """Parts of cells that share a face, or, with `corners`, at least a corner."""
        structure = np.ones((3,) * chosen.ndim) if corners else None
        label, count = ndimage.label(chosen, structure=structure)
        return cls(label, np.bincount(label.reshape(-1), minlength=count + 1)[1:])

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def largest(self) -> Bool[np.ndarray, "*d"]:
        """The cells of the part with the most of them, the first of equal ones; there must be one."""
        return self.label == 1 + int(self.cells.argmax())


def large_parts(mesh: trimesh.Trimesh, share: float) -> trimesh.Trimesh:
    """The parts of a surface that have more than `share` of the largest part's volume, as one mesh.

    Example:
        >>> near, far = trimesh.creation.box((0.1, 0.1, 0.1)), trimesh.creation.box((0.01, 0.01, 0.01))
        >>> both = trimesh.util.concatenate([near, far.apply_translation([1.0, 0.0, 0.0])])
        >>> large_parts(both, share=0.1).extents.round(3)
        array([0.1, 0.1, 0.1])
    """
    parts = mesh.split(only_watertight=False)
    volumes = np.abs([part.volume for part in parts])
    kept = [part for part, volume in zip(parts, volumes, strict=True) if volume > share * volumes.max()]
    joined = trimesh.util.concatenate(kept)
    assert isinstance(joined, trimesh.Trimesh)
    return joined
