"""Which container streams prepared grasps better: tar shards of webdataset, or chunks of litdata.

    python benchmarks/streaming_formats.py [items]

The same items, a 40³ crop of signed distances in whole steps of half a millimetre and 137 numbers, are written through
each library's public interface and read back, shuffled, by one process.
"""

import json
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from hoprior.datasets.training.datamodule import object_grids
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import rigid

SHARD = 256


def items(num: int) -> list[bytes]:
    """Made-up grasps of the mug of the demo."""
    mug = load_mesh(Path(__file__).parents[1] / "hoprior" / "assets" / "meshes" / "mug.obj")
    sdf = SdfGrid.from_mesh(mug, resolution=48, margin=0.06)
    generator = torch.Generator().manual_seed(0)
    spec = GridSpec((0.09, 0.0, 0.03), 0.18, 40)
    made = []
    for i in range(num):
        turn = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
        turn = turn * torch.det(turn)
        T = rigid(turn[None], 0.08 * torch.randn(1, 3, generator=generator))
        crop = (object_grids([sdf], T, spec)[0, 0] / 5e-4).round().clamp(-127, 127).to(torch.int8)
        numbers = torch.randn(137, generator=generator).numpy().tobytes()
        meta = json.dumps({"object": f"mug_{i}", "text": "a hand holding a mug"}).encode()
        made.append(numbers + len(meta).to_bytes(4, "little") + meta + zlib.compress(crop.numpy().tobytes(), 6))
    return made


def decoded(item: bytes) -> int:
    """What training would do with an item, so that both pay for it."""
    item = bytes(item)
    size = int.from_bytes(item[548:552], "little")
    crop = np.frombuffer(zlib.decompress(item[552 + size :]), np.int8).reshape(40, 40, 40)
    return int(crop[0, 0, 0]) + len(json.loads(item[552 : 552 + size])) + len(np.frombuffer(item[:548], np.float32))


def write_webdataset(made: list[bytes], folder: Path) -> None:
    """Tar shards."""
    import webdataset

    folder.mkdir()
    for start in range(0, len(made), SHARD):
        with webdataset.TarWriter(str(folder / f"{start:06d}.tar")) as writer:
            for i, item in enumerate(made[start : start + SHARD]):
                writer.write({"__key__": f"{start + i:07d}", "grasp": item})


def read_webdataset(folder: Path) -> Iterator[bytes]:
    """Shuffled over shards and in a buffer."""
    import webdataset

    shards = [str(path) for path in sorted(folder.glob("*.tar"))]
    dataset = webdataset.WebDataset(shards, shardshuffle=100, nodesplitter=None).shuffle(1000)
    return (item["grasp"] for item in dataset)


def _same(item: bytes) -> bytes:
    return item


def write_litdata(made: list[bytes], folder: Path) -> None:
    """Chunks."""
    import litdata

    litdata.optimize(_same, made, output_dir=str(folder), chunk_size=SHARD, num_workers=1, verbose=False)


def read_litdata(folder: Path) -> Iterator[bytes]:
    """Shuffled over chunks and within them."""
    import litdata

    return iter(litdata.StreamingDataset(str(folder), shuffle=True))


def main() -> None:
    """Prints items a second and sizes."""
    made = items(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
    with tempfile.TemporaryDirectory() as place:
        for name, write, read in (
            ("webdataset", write_webdataset, read_webdataset),
            ("litdata", write_litdata, read_litdata),
        ):
            folder = Path(place) / name
            start = time.perf_counter()
            write(made, folder)
            wrote = time.perf_counter() - start
            start = time.perf_counter()
            count = sum(1 for item in read(folder) if decoded(item) is not None)
            took = time.perf_counter() - start
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            sys.stdout.write(
                f"{name}: {len(made) / wrote:.0f} items/s written, {count} read at {count / took:.0f} items/s, "
                f"{size / len(made) / 1000:.1f} kB an item\n"
            )


if __name__ == "__main__":
    main()
