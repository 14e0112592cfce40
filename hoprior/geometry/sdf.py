"""Signed distances to a mesh: exact ones from a choice of engines, and fast differentiable look-ups in a grid.

Negative inside, metres, in the object's frame. docs/sdf_engines.md compares the engines.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
import trimesh
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.engines import ENGINES, igl_lattice_distance
from hoprior.geometry.lookup import trilinear
from hoprior.geometry.mesh import ObjectMesh

Mesh = trimesh.Trimesh | ObjectMesh
EXACT_BAND = 0.005
"""Distance from the surface (metres) up to which a grid holds the engine's values: the width that counts as contact."""


def surface_of(mesh: Mesh) -> trimesh.Trimesh:
    """The surface that bounds the inside: an `ObjectMesh`'s solid, or the mesh itself.

    Example:
        >>> box = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> surface_of(box) is box
        True
    """
    return mesh.solid if isinstance(mesh, ObjectMesh) else mesh


def signed_distance(mesh: Mesh, points: Float[np.ndarray, "n 3"], engine: str = "igl") -> Float[np.ndarray, " n"]:
    """Signed distances (metres, negative inside) from points to a mesh.

    Raises:
        HopriorError: the engine is unknown or not installed.

    Example:
        >>> box = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> signed_distance(box, np.array([[0.0, 0.0, 0.0], [0.08, 0.0, 0.0]])).round(3)
        array([-0.05,  0.03])
    """
    if engine not in ENGINES:
        raise HopriorError(f"unknown SDF engine '{engine}': choose one of {', '.join(sorted(ENGINES))}.")
    if len(points) == 0:
        return np.zeros(0)
    points = np.ascontiguousarray(points, dtype=np.float64)
    try:
        return np.asarray(ENGINES[engine](surface_of(mesh), points), dtype=np.float64).reshape(-1)
    except ImportError as error:
        raise HopriorError(f"SDF engine '{engine}' is not installed ({error}): install it, or use 'igl'.") from error


def _on_lattice(
    mesh: Mesh, axes: Sequence[np.ndarray], chosen: Bool[np.ndarray, "D H W"], cell: float, engine: str
) -> Float[np.ndarray, " n"]:
    """Signed distances from the chosen points of a cubic lattice."""
    points = _lattice(axes)[chosen.reshape(-1)]
    surface = surface_of(mesh)
    if engine == "igl" and surface.is_watertight and len(points):
        return igl_lattice_distance(surface, points, chosen, cell)
    return signed_distance(mesh, points, engine)


def _lattice(axes: Sequence[np.ndarray]) -> np.ndarray:
    """Points (n, 3) as x, y, z of a lattice given by its z, y and x, the last running fastest."""
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.stack([x, y, z], axis=-1).reshape(-1, 3)


@dataclass(frozen=True)
class SdfGrid:
    """A mesh's signed distances on a box of cubic cells; look-ups are trilinear and differentiable in the points.

    Attributes:
        values: signed distances (z, y, x), metres.
        lower: position of `values[0, 0, 0]` in the object's frame, metres.
        upper: position of `values[-1, -1, -1]`.

    Example:
        >>> grid = SdfGrid.from_mesh(trimesh.creation.box((0.1, 0.1, 0.1)), resolution=16)
        >>> point = torch.tensor([[0.06, 0.0, 0.0]], requires_grad=True)
        >>> distance = grid(point)
        >>> distance.sum().backward()
        >>> round(float(distance.detach()), 3), point.grad.round(decimals=2)
        (0.01, tensor([[1., 0., 0.]]))
    """

    values: Float[Tensor, "D H W"]
    lower: Float[Tensor, " 3"]
    upper: Float[Tensor, " 3"]

    @classmethod
    def from_mesh(
        cls,
        mesh: Mesh,
        resolution: int = 96,
        margin: float = 0.04,
        engine: str = "igl",
        bounds: Float[np.ndarray, "2 3"] | None = None,
    ) -> "SdfGrid":
        """Signed distances on about `resolution`³ cubic cells that fill the mesh's box and `margin` metres around it;
        of a large mesh those in another box, whose corners are `bounds` (m).

        The number of cells is what is fixed, so a long thin tool gets finer cells than a cube around it would give.
        Values within `EXACT_BAND` of the surface are the engine's own. Farther away every second point is, and those
        between are interpolated: four times faster, and the surface decides nothing there.
        """
        bounds = surface_of(mesh).bounds if bounds is None else bounds
        lower, upper = bounds[0] - margin, bounds[1] + margin
        cell = float(np.prod(upper - lower)) ** (1 / 3) / (resolution - 1)
        # Odd numbers of points, so that every second one reaches from face to face.
        shape = 2 * np.ceil((upper - lower) / (2 * cell)).astype(int) + 1
        lower = (bounds.sum(axis=0) - cell * (shape - 1)) / 2
        axes = [lower[k] + cell * np.arange(shape[k]) for k in (2, 1, 0)]

        every_second = [axis[::2] for axis in axes]
        everywhere = np.ones([len(axis) for axis in every_second], dtype=bool)
        coarse = _on_lattice(mesh, every_second, everywhere, 2 * cell, engine).reshape(everywhere.shape)
        size = [len(axis) for axis in axes]
        values = (
            F.interpolate(torch.from_numpy(coarse)[None, None], size=size, mode="trilinear", align_corners=True)
            .numpy()
            .reshape(size)
        )
        # Distances change by at most one a metre, so no point of the band has a higher value than this between others.
        near = np.abs(values) < EXACT_BAND + 2 * math.sqrt(3) * cell
        values[near] = _on_lattice(mesh, axes, near, cell, engine)
        upper = lower + cell * (shape - 1)
        return cls(*(torch.tensor(a, dtype=torch.float32) for a in (values, lower, upper)))

    @property
    def cell(self) -> float:
        """Size of a cell, metres."""
        return float(self.upper[0] - self.lower[0]) / (self.values.shape[2] - 1)

    def to(self, device: torch.device | str) -> "SdfGrid":
        """The same grid on another device."""
        return replace(self, values=self.values.to(device), lower=self.lower.to(device), upper=self.upper.to(device))

    def of_rows(self, rows: Int[Tensor, " k"]) -> "SdfGrid":
        """Itself: it is the object of all rows."""
        return self

    def __call__(self, points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b"]:
        """Signed distance (metres) at points in the object's frame.

        Beyond the box it is the value at the nearest point of the box plus the distance to it: never less than the
        truth, and off by at most twice the gap between the surface and the box's face.
        """
        # torch's CPU kernel gives each element of a batch to a thread, so the batch is kept where there is one.
        batch = points.reshape(len(points) if points.dim() == 3 else 1, -1, 3)
        boxed = batch.clamp(self.lower, self.upper)
        unit = 2 * (boxed - self.lower) / (self.upper - self.lower) - 1
        grid = self.values.expand(len(batch), 1, -1, -1, -1)
        # How far beyond is taken in metres, as the points are: this is asked at every step of every search, and
        # `trilinear_distance` would scale there and back.
        return (trilinear(grid, unit)[:, 0] + (batch - boxed).norm(dim=-1)).reshape(points.shape[:-1])


@dataclass(frozen=True)
class SdfGridBatch:
    """Several objects' grids in one flat tensor; element i of a batch of points looks up object `index[i]`.

    Grids may differ in shape and cell. `batch[index]` chooses the objects of a batch; nothing is copied.

    Example:
        >>> cube = SdfGrid(torch.ones(2, 2, 2), lower=torch.zeros(3), upper=torch.full((3,), 0.1))
        >>> both = SdfGridBatch.stack([cube, SdfGrid(torch.zeros(3, 3, 3), cube.lower, cube.upper)])
        >>> both(torch.full((2, 1, 3), 0.05)), both[torch.tensor([1, 1, 0])](torch.full((3, 1, 3), 0.05)).shape
        (tensor([[1.],
                [0.]]), torch.Size([3, 1]))
    """

    values: Float[Tensor, " cells"]
    shape: Int[Tensor, "k 3"]
    offset: Int[Tensor, " k"]
    lower: Float[Tensor, "k 3"]
    upper: Float[Tensor, "k 3"]
    index: Int[Tensor, " b"]

    @classmethod
    def stack(cls, grids: Sequence[SdfGrid]) -> "SdfGridBatch":
        """All grids of a list, in its order."""
        sizes = torch.tensor([grid.values.numel() for grid in grids])
        return cls(
            values=torch.cat([grid.values.reshape(-1) for grid in grids]),
            shape=torch.tensor([grid.values.shape for grid in grids], device=grids[0].values.device),
            offset=(sizes.cumsum(0) - sizes).to(grids[0].values.device),
            lower=torch.stack([grid.lower for grid in grids]),
            upper=torch.stack([grid.upper for grid in grids]),
            index=torch.arange(len(grids), device=grids[0].values.device),
        )

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Int[Tensor, " b"]) -> "SdfGridBatch":
        """Look-ups for a batch whose element i uses the i-th of these objects: `self.index[index[i]]`."""
        return replace(self, index=self.index[index.to(self.index.device)])

    def of_rows(self, rows: Int[Tensor, " k"]) -> "SdfGridBatch":
        """Look-ups for some rows of the batch."""
        return self[rows]

    def grid(self, k: int) -> SdfGrid:
        """The k-th of the grids that were stacked, whichever elements of the batch use it."""
        start, shape = int(self.offset[k]), self.shape[k].tolist()
        return SdfGrid(self.values[start : start + math.prod(shape)].view(shape), self.lower[k], self.upper[k])

    def to(self, device: torch.device | str) -> "SdfGridBatch":
        """The same grids on another device."""
        names = ("values", "shape", "offset", "lower", "upper", "index")
        return SdfGridBatch(**{name: getattr(self, name).to(device) for name in names})

    def __call__(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """Signed distance (metres) at points (b, n, 3), each row in the frame of its own object."""
        lower, upper = self.lower[self.index][:, None], self.upper[self.index][:, None]
        depth, height, width = (self.shape[self.index, k][:, None] for k in range(3))
        boxed = points.clamp(lower, upper)
        last = torch.stack([width, height, depth], dim=-1) - 1
        position = (boxed - lower) / (upper - lower) * last
        corner = torch.minimum(position.detach().long().clamp(min=0), last - 1)
        fraction = position - corner
        x, y, z = fraction.unbind(-1)
        start = self.offset[self.index][:, None] + (corner[..., 2] * height + corner[..., 1]) * width + corner[..., 0]
        row, layer = width, width * height

        def along_x(first: Tensor) -> Tensor:
            return torch.lerp(self.values[first], self.values[first + 1], x)

        front = torch.lerp(along_x(start), along_x(start + row), y)
        back = torch.lerp(along_x(start + layer), along_x(start + layer + row), y)
        return torch.lerp(front, back, z) + (points - boxed).norm(dim=-1)
