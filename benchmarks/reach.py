"""Ways to grasps: how many are free of collisions, and what they cost. Run on folders of `hoprior run grasp`.

python benchmarks/reach.py OUT [OUT ...]
"""

import sys
import time
from pathlib import Path

from hoprior.geometry.mesh import prepare_mesh
from hoprior.results.grasps import GraspResults


def main(folders: list[str]) -> None:
    """One line a folder: free ways, seconds of processor time for all its grasps without mending the mesh; the sum."""
    free = total = 0
    for folder in folders:
        results = GraspResults.load(folder)
        item = prepare_mesh(results.object_mesh, results.object_name)
        began = time.process_time()
        ways = [grasp.reach for grasp in results.with_reach(item)]
        seconds = time.process_time() - began
        found = sum(way is not None and way.free for way in ways)
        worst = max(1000 * way.depth for way in ways if way is not None)
        print(
            f"{Path(folder).name}: {found} of {len(ways)} free, {worst:.1f} mm too deep at worst, {seconds:.1f} s",
            flush=True,
        )
        free, total = free + found, total + len(ways)
    print(f"all: {free} of {total} free ({100 * free / total:.0f} %)")


if __name__ == "__main__":
    main(sys.argv[1:])
