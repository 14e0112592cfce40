"""Writes the mug that `make demo` grasps: one of the procedural set, metres, z up."""

from pathlib import Path

from hoprior.datasets.procedural.source import Procedural

OUT = Path(__file__).resolve().parent.parent / "hoprior" / "assets" / "meshes" / "mug.obj"


def main() -> None:
    """The first mug of seed 0."""
    source = Procedural(1, seed=0)
    mesh = source.mesh(source.objects()[0])
    OUT.parent.mkdir(exist_ok=True)
    mesh.export(OUT, digits=5, header="The first mug of hoprior's procedural set, metres, z up. CC0.")


if __name__ == "__main__":
    main()
