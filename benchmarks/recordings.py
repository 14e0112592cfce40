"""How fast recorded datasets are listed, read and prepared, on made-up copies in the official layouts.

    python benchmarks/recordings.py index|read|prepare

`index` lists a million frames from the cache; `read` gives samples a processor second of every adapter, without
images, and with MANO's parameters turned into joints, all at once; `prepare` gives grasps a second with one worker and
with two, and the memory of a quarter of the objects beside that of all.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))

from made_up_mano import write_mano_folder  # noqa: E402
from recording_layouts import LAYOUTS, write_folder  # noqa: E402
from recording_scenes import make_scene  # noqa: E402

from hoprior.datasets.recordings.hands import Hands  # noqa: E402
from hoprior.datasets.recordings.index import Entry, FrameIndex  # noqa: E402
from hoprior.datasets.recordings.record import RecordedSample, joints_of  # noqa: E402
from hoprior.datasets.recordings.registry import open_dataset  # noqa: E402
from hoprior.datasets.streaming.pack import read_manifest  # noqa: E402

MILLION = 1_000_000
FRAMES = 60
OBJECTS, GRASPS = 64, 48
SUBDIVISIONS = 3
"""Of the made-up mesh, which then has as many faces as a scan that was thinned for use."""


def say(text: str) -> None:
    """One line of results."""
    sys.stdout.write(f"{text}\n")


def entries(num: int) -> Iterator[Entry]:
    """As many frames as HOGraspNet has, named as its are."""
    for i in range(num):
        trial, frame = divmod(i, 250)
        subject, thing = trial % 99 + 1, trial % 30 + 1
        group = f"230905_S{subject:02d}_obj_{thing:02d}_grasp_{trial % 28 + 1:02d}/trial_{trial // 4}/mas"
        yield Entry(group, f"mas_{frame}", str(thing), f"S{subject}")


def measure_index(place: Path) -> None:
    """Time and memory of a million frames from the cache, with their splits."""
    FrameIndex.from_entries(entries(MILLION)).save(place / "index.npz", "x")
    size = (place / "index.npz").stat().st_size
    pid = os.fork()
    if pid == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        index = FrameIndex.load(place / "index.npz", "x")
        assert index is not None and len(index) == MILLION
        listed = time.perf_counter() - start
        test = index.splits(lambda entry: "test" if int(entry.subject[1:]) > 73 else "train")
        whole = time.perf_counter() - start
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
        say(
            f"index: {MILLION:,} frames listed in {listed:.2f} s, with splits in {whole:.2f} s "
            f"({int((test == 2).sum()):,} test), {grown:.0f} MB more memory, {size / 1e6:.0f} MB on disk"
        )
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)


def measure_reading(place: Path, hands: Hands, mano: Path) -> None:
    """Samples a second of each adapter, by the processor's time: what else the machine does is left out."""
    for name, layout in LAYOUTS.items():
        root = place / name
        root.mkdir()
        layout.write(root, make_scene(hands, num=FRAMES, **(layout.scene or {})))
        adapter = open_dataset(name, root, mano)
        adapter.index()
        start = time.process_time()
        samples = [s for _, s in adapter.walk() if isinstance(s, RecordedSample)]
        read = time.process_time() - start
        joints_of(samples)
        whole = time.process_time() - start
        rates = [len(samples) / seconds for seconds in (read, whole)]
        say(f"read {name}: {rates[0]:.0f} samples/s of one core, {rates[1]:.0f} with joints")
        shutil.rmtree(root)


def measure_preparation(place: Path, hands: Hands, mano: Path) -> None:
    """Grasps a second into shards, and the largest process's memory; each run is the command, with its start."""
    roots = {count: place / f"folder{count}" for count in (OBJECTS // 4, OBJECTS)}
    for root in roots.values():
        for kind in ("grasps", "objects"):
            (root / kind).mkdir(parents=True)
    faces = 0
    for k in range(OBJECTS):
        part = place / f"part{k}"
        part.mkdir()
        scene = make_scene(hands, num=GRASPS, seed=k)
        for _ in range(SUBDIVISIONS):
            scene.mesh = scene.mesh.subdivide()
        faces = len(scene.mesh.faces)
        write_folder(part, scene)
        for count, root in roots.items():
            if k < count:
                shutil.copy(part / "grasps" / "mug.npz", root / "grasps" / f"mug{k}.npz")
                shutil.copy(part / "objects" / "mug.ply", root / "objects" / f"mug{k}.ply")
    took, few = {}, OBJECTS // 4
    for objects, workers in ((few, 1), (OBJECTS, 1), (few, 2), (OBJECTS, 2)):
        out = place / f"out-{objects}-{workers}"
        took[objects, workers], busy, memory = _prepare(roots[objects], out, mano, workers)
        say(
            f"prepare: {read_manifest(out)['items']} grasps of {objects} objects ({faces:,} faces each), workers "
            f"{workers}: {took[objects, workers]:.1f} s ({busy:.1f} s of processors), {memory:.0f} MB at most"
        )
    more = {workers: took[OBJECTS, workers] - took[few, workers] for workers in (1, 2)}
    rates = [GRASPS * (OBJECTS - few) / more[workers] for workers in (1, 2)]
    say(
        f"prepare: once started, {rates[0]:.0f} grasps/s with one worker, {rates[1]:.0f} with two: "
        f"{rates[1] / rates[0]:.2f} times as fast; load {os.getloadavg()[0]:.1f}"
    )
    same = [sorted(e["sha256"] for e in read_manifest(place / f"out-{OBJECTS}-{k}")["shards"]) for k in (1, 2)]
    say(f"prepare: the shards of one and of two workers are {'the same' if same[0] == same[1] else 'NOT the same'}")


def _prepare(root: Path, out: Path, mano: Path, workers: int) -> tuple[float, float, float]:
    """Seconds of `hoprior data prepare`, those of all processors together, and megabytes of its largest process."""
    call = "import sys; from hoprior.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["data", "prepare", "folder", str(root), "--out", str(out), "--split", "all", "--frames", str(GRASPS)]
    arguments += ["--mano-dir", str(mano), "--workers", str(workers)]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", call, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(2)
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def main() -> None:
    """Measures what is asked for."""
    what = sys.argv[1] if len(sys.argv) > 1 else "read"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["HOPRIOR_CACHE_DIR"] = str(place / "cache")
        if what == "index":
            measure_index(place)
            return
        mano = place / "mano"
        mano.mkdir()
        write_mano_folder(mano)
        measure = {"read": measure_reading, "prepare": measure_preparation}[what]
        measure(place, Hands(mano), mano)


if __name__ == "__main__":
    main()
