"""Many meshes in one process beside a shell loop, two workers beside one, and memory as meshes grow.

usage: python benchmarks/many_meshes.py loop [--meshes FOLDER] [--count 100] [--looped 4] [--work out/many]
       python benchmarks/many_meshes.py workers [--count 20] [--engine local|ray]

Without `--meshes` they are the shapes of the package pybullet_data, of which this copies so many. `loop` does all of
them in one process and the first `--looped` one process each, and tells seconds a mesh, of the clock and of processors
(those of children too). `workers` does the same meshes with one worker and with two.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

SMALL = [
    *("--num", "2", "--no-report", "--config.pool", "256", "--config.guiding.steps", "16"),
    *("--config.refining.steps", "40", "--config.local-search.iterations", "1", "--config.faults.simulate", "false"),
]
"""A search that is small, so that what is around it shows."""
FULL = ["--num", "10", "--no-report"]


def main() -> None:
    """Prints what the module's docstring says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("loop", "workers"))
    parser.add_argument("--meshes", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--looped", type=int, default=4)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--full", action="store_true", help="ten grasps each, with simulation")
    parser.add_argument("--work", type=Path, default=Path("out/many"))
    given = parser.parse_args()
    shutil.rmtree(given.work, ignore_errors=True)
    meshes = given.work / "meshes"
    copy_meshes(given.meshes or pybullet_meshes(), meshes, given.count)
    flags = FULL if given.full else SMALL
    if given.meshes is None:
        flags = [*flags, "--size", "8cm"]  # they are as large as houses
    if given.what == "loop":
        compare_with_loop(meshes, given.work, given.looped, flags)
    else:
        compare_workers(meshes, given.work, given.engine, flags)


def pybullet_meshes() -> Path:
    """The folder of pybullet's thousand shapes."""
    import pybullet_data

    return Path(pybullet_data.__file__).parent / "random_urdfs"


def copy_meshes(source: Path, folder: Path, count: int) -> None:
    """The first meshes below a folder, flat."""
    folder.mkdir(parents=True)
    for path in sorted(source.rglob("*.obj"))[:count]:
        shutil.copy(path, folder / path.name)


def command(mesh: Path, out: Path, flags: list[str], *more: str) -> list[str]:
    """`hoprior run grasp` as a new process."""
    return [sys.executable, "-m", "hoprior", "run", "grasp", "--mesh", str(mesh), "--out", str(out), *flags, *more]


def timed(words: list[str]) -> tuple[float, float, int]:
    """Seconds of the clock and of processors, and the exit status."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    status = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, spent, status


def compare_with_loop(meshes: Path, work: Path, looped: int, flags: list[str]) -> None:
    """Seconds a mesh of one process for all, and of a process each."""
    files = sorted(meshes.iterdir())
    one = []
    for path in files[:looped]:
        one.append(timed(command(path, work / "loop" / path.stem, flags)))
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run = subprocess.Popen(command(meshes, work / "many", flags), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    resident = []
    while run.poll() is None:
        done = len(list((work / "many").glob("*/grasps.json")))
        resident.append((done, resident_mb(run.pid)))
        time.sleep(1)
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    manifest = json.loads((work / "many" / "manifest.json").read_text())
    print("counts", manifest["counts"], "exit status", run.returncode)
    each, looped_each = spent / len(files), sum(s[1] for s in one) / looped
    print(f"a process each: {sum(s[0] for s in one) / looped:.2f} s a mesh, {looped_each:.2f} of processors")
    print(f"one process: {clock / len(files):.2f} s a mesh, {each:.2f} of processors: 1/{looped_each / each:.1f}")
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        at = max((pair for pair in resident if pair[0] <= share * len(files)), default=(0, 0))
        print(f"resident after {at[0]} meshes: {at[1]:.0f} MB")


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def compare_workers(meshes: Path, work: Path, engine: str, flags: list[str]) -> None:
    """Seconds of one worker and of two for the same meshes."""
    for workers in (1, 2):
        cluster, more = None, ["--workers", str(workers)]
        if engine == "ray":
            from ray.cluster_utils import Cluster

            about = {"num_cpus": workers, "object_store_memory": 100_000_000, "include_dashboard": False}
            cluster = Cluster(initialize_head=True, head_node_args=about)
            more = ["--engine", "ray", "--cluster", cluster.address]
        clock, _, status = timed(command(meshes, work / f"workers{workers}", flags, *more))
        items = json.loads((work / f"workers{workers}" / "manifest.json").read_text())
        busy = sum(item["seconds"] or 0 for item in items["items"])
        print(
            f"{workers} {engine}: {clock:.1f} s, busy {busy:.1f}, exit status {status}, {items['counts']}", flush=True
        )
        if cluster is not None:
            cluster.shutdown()


if __name__ == "__main__":
    main()
