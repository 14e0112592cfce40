"""Twenty everyday objects that no prior of hoprior has seen: from openly licensed meshes into a folder of .ply files.

usage: apt-get download sweethome3d-furniture && dpkg-deb -x sweethome3d-furniture_*.deb FURNITURE
       python benchmarks/unseen_objects.py FURNITURE OUT [--mug red_mug.obj]

Nineteen are models of Sweet Home 3D's contributed furniture (Debian's package `sweethome3d-furniture`: by Kator Legaz,
Scopia and BlendSwap's contributors, CC BY 3.0 or CC0), scaled to the sizes that their catalogues tell; the twentieth is
LIBERO's red mug (MIT). OUT gets metres, z up, standing on z = 0.
"""

import argparse
import io
import re
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

Box = tuple[tuple[float, float, float], tuple[float, float, float]]
WHOLE: Box = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Unseen:
    """One of the objects.

    catalogue, model: the archive of furniture and the model's name in it.
    stands: whether it stands where it is taken from, so that nobody's hand comes from beneath.
    keep_off: the part that a hand keeps off, such as a blade, as a box in shares of the object's own.
    """

    catalogue: str
    model: str
    stands: bool = False
    keep_off: Box | None = None


OBJECTS: dict[str, Unseen] = {
    "red_mug": Unseen("", "red_mug", stands=True),
    "coffee_mug": Unseen("KatorLegaz", "coffee-mug", stands=True),
    "tumbler": Unseen("KatorLegaz", "12-oz-glass", stands=True),
    "spray_bottle": Unseen("KatorLegaz", "spray-bottle", stands=True),
    "flashlight": Unseen("KatorLegaz", "flashlight"),
    "plate": Unseen("KatorLegaz", "bread-plate"),
    "milk_jug": Unseen("Scopia", "creamer", stands=True),
    "teapot": Unseen("Scopia", "teapot", stands=True, keep_off=((0.0, 0.25, 0.5), (0.1, 0.75, 0.85))),
    "camera": Unseen("Scopia", "basic_camera"),
    "hammer": Unseen("Scopia", "marteau"),
    "screwdriver": Unseen("Scopia", "tournevis"),
    "wine_glass": Unseen("BlendSwap-CC-BY", "glass", stands=True),
    "cocktail_glass": Unseen("BlendSwap-CC-BY", "cocktailGlass", stands=True),
    "moka_pot": Unseen("BlendSwap-CC-BY", "espressokettle", stands=True, keep_off=((0.0, 0.3, 0.7), (0.12, 0.7, 1.0))),
    "kitchen_knife": Unseen("BlendSwap-CC-BY", "kitchenKnife", keep_off=((0.0, 0.43, 0.0), (1.0, 1.0, 1.0))),
    "beer_bottle": Unseen("BlendSwap-CC-BY", "beer_bottle", stands=True),
    "spoon": Unseen("BlendSwap-CC-BY", "spoon"),
    "table_tennis_bat": Unseen("BlendSwap-CC-BY", "tableTennisBat"),
    "beer_mug": Unseen("BlendSwap-CC-0", "beerGlass", stands=True),
    "scissors": Unseen("BlendSwap-CC-0", "cissors_swap", keep_off=((0.0, 0.0, 0.0), (0.4, 1.0, 1.0))),
}
"""By the name that they are called by."""


def entry_of(archive: zipfile.ZipFile, model: str) -> dict[str, str]:
    """What an archive's catalogue says of a model: its file, width, depth and height in cm, and how it is turned."""
    text = archive.read("PluginFurnitureCatalog.properties").decode("latin1")
    entries: dict[str, dict[str, str]] = defaultdict(dict)
    for key, number, value in re.findall(r"^(\w+)#(\d+)=(.*)$", text, re.MULTILINE):
        entries[number][key] = value.strip()
    for entry in entries.values():
        if entry.get("model", "").endswith(f"/{model}.obj"):
            return entry
    raise SystemExit(f"{archive.filename}: no model '{model}': is this sweethome3d-furniture 1.8?")


def mesh_of(archive: zipfile.ZipFile, model: str) -> trimesh.Trimesh:
    """A model in metres, z up."""
    entry = entry_of(archive, model)
    file = io.BytesIO(archive.read(entry["model"].removeprefix("/")))
    mesh = trimesh.load(file, file_type="obj", force="mesh", process=False, skip_materials=True)
    turned = np.array(entry.get("modelRotation", "1 0 0 0 1 0 0 0 1").split(), dtype=float).reshape(3, 3)
    verts = mesh.vertices @ turned.T
    size = np.array([float(entry[side]) for side in ("width", "height", "depth")]) / 100
    low, high = verts.min(axis=0), verts.max(axis=0)
    verts = (verts - (low + high) / 2) / (high - low) * size
    verts = verts[:, [0, 2, 1]] * [1, -1, 1]
    verts[:, 2] -= verts[:, 2].min()
    return trimesh.Trimesh(verts, mesh.faces, process=False)


def main() -> None:
    """Write the objects that were found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("furniture", type=Path, help="where the package was unpacked")
    parser.add_argument("out", type=Path)
    parser.add_argument("--mug", type=Path, help="LIBERO's red_mug.obj; left out without it")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, unseen in OBJECTS.items():
        if not unseen.catalogue:
            if args.mug:
                trimesh.load(args.mug, force="mesh", process=False, skip_materials=True).export(
                    args.out / f"{name}.ply"
                )
            continue
        with zipfile.ZipFile(next(args.furniture.rglob(f"{unseen.catalogue}.sh3f"))) as archive:
            mesh_of(archive, unseen.model).export(args.out / f"{name}.ply")


if __name__ == "__main__":
    main()
