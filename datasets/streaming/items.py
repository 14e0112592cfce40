"""One grasp as bytes: everything that training needs, so that nothing else has to be at hand.

The object is a crop of its signed distances, fixed in the hand's frame, larger than what a prior looks at, so that
hands can still be turned and moved; in whole steps of half a millimetre, compressed. The hand fields that priors learn
are functions of the 21 joints, which are here exactly.
"""

import json
import struct
import zlib
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

from hoprior.common.reading import expect, interpreting, parse_json
from hoprior.datasets.samples.cache import Shard
from hoprior.datasets.training.datamodule import object_grids
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand.landmarks import PALM_CENTRE
from hoprior.language.labels import GraspLabel, label_from

STEP = 5e-4
"""Metres of one step of a stored distance."""
LIMIT = 127
COLUMNS = {"T_object_hand": (4, 4), "angles": (15, 3), "betas": (10,), "joints_hand": (21, 3), "up_object": (3,)}
LEVEL = 6
MEMBER = "grasp"
"""The ending of an item's name in a tar shard. One file an item: tar adds a kilobyte to each."""
MOST_RESOLUTION = 512
NAMED = ("object", "source", "category", "sequence", "text")
LENGTHS = struct.Struct("<3I")
"""An item starts with the lengths of its parts: what it is (JSON), numbers (float32), distances (zlib)."""


@dataclass(frozen=True)
class StreamSpec:
    """The crop that is stored: a cube around the palm, in the hand's frame.

    `half_extent` is larger than the priors' grids by what augmentation moves; distances are clamped at
    ±`LIMIT * STEP` = 6.35 cm, beyond what any of them looks at.
    """

    center: tuple[float, float, float] = PALM_CENTRE
    half_extent: float = 0.18
    resolution: int = 40

    @property
    def grid(self) -> GridSpec:
        """The crop's points."""
        return GridSpec(self.center, self.half_extent, self.resolution)


@dataclass(frozen=True)
class StreamedGrasp:
    """One item, read. `key` names it uniquely; `sentences` are all that fit it, the first the plainest."""

    key: str
    crop: SdfGrid
    tensors: dict[str, Tensor]
    recorded: bool
    object: str
    source: str
    category: str
    sequence: str
    text: str
    label: GraspLabel


def encoded(shard: Shard, rows: list[int], spec: StreamSpec) -> list[tuple[str, bytes]]:
    """Grasps of an object as items for a shard, in the order of `rows`: a unique key and the content of each."""
    grasps = shard.grasps
    T = grasps.T_object_hand[rows]
    crops = object_grids([shard.sdf] * len(rows), T, spec.grid)[:, 0]
    steps = (crops / STEP).round().clamp(-LIMIT, LIMIT).to(torch.int8).numpy()
    numbers = torch.cat([grasps.tensors()[name][rows].flatten(1).float() for name in COLUMNS], dim=1).numpy()
    made = []
    for i, row in enumerate(rows):
        sample = grasps[row]
        meta = {
            "object": sample.object.key,
            "source": sample.object.source,
            "category": sample.object.category,
            "sequence": sample.sequence,
            "recorded": sample.recorded,
            "text": sample.text,
            "label": asdict(sample.label),
            "grid": asdict(spec),
        }
        parts = (
            json.dumps(meta).encode(),
            numbers[i].astype("<f4").tobytes(),
            zlib.compress(steps[i].tobytes(), LEVEL),
        )
        # Tar shards take the first dot for the end of a key.
        key = f"{sample.object.key}-{row:06d}".replace(".", "_").replace("/", "_")
        made.append((key, LENGTHS.pack(*map(len, parts)) + b"".join(parts)))
    return made


def decoded(key: str, content: bytes) -> StreamedGrasp:
    """An item of a shard.

    Raises:
        HopriorError: it is damaged.
    """
    with interpreting(key, "prepare the set again", "damaged item"):
        lengths = LENGTHS.unpack_from(content)
        ends = list(accumulate(lengths, initial=LENGTHS.size))
        described, plain, packed = (content[start:end] for start, end in pairwise(ends))
        meta = parse_json(described, key, "prepare the set again")
        expect(meta, {name: str for name in NAMED} | {"recorded": bool, "label": dict, "grid": dict})
        expect(meta["grid"], {"center": [int | float], "half_extent": int | float, "resolution": int})
        spec = StreamSpec(**{**meta["grid"], "center": tuple(meta["grid"]["center"])})
        if not (isinstance(spec.resolution, int) and 0 < spec.resolution <= MOST_RESOLUTION):
            raise ValueError(f"a grid of {spec.resolution} points a side")
        # One byte more than it should be shows that it is more, and takes no room.
        unpacked = zlib.decompressobj().decompress(packed, spec.resolution**3 + 1)
        steps = np.frombuffer(unpacked, dtype=np.int8).reshape(spec.grid.shape)
        numbers = torch.from_numpy(np.frombuffer(plain, dtype="<f4").copy())
        sizes = [int(np.prod(shape)) for shape in COLUMNS.values()]
        parts = numbers.split(sizes)
        tensors = {name: part.view(shape) for (name, shape), part in zip(COLUMNS.items(), parts, strict=True)}
        label = label_from(meta["label"])
        lower = torch.tensor(spec.grid.lower)
        crop = SdfGrid(torch.from_numpy(steps.astype(np.float32) * STEP), lower, lower + 2 * spec.half_extent)
    named = {name: meta[name] for name in ("recorded", *NAMED)}
    return StreamedGrasp(key=key, crop=crop, tensors=tensors, label=label, **named)
