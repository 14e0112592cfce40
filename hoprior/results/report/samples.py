"""The pages of what was drawn from a text: hands with objects, and hands alone."""

from pathlib import Path
from typing import Any

import numpy as np

from hoprior.geometry.repair import simplify
from hoprior.results.interactions import FORMAT as SAMPLES_FORMAT
from hoprior.results.interactions import SAMPLES
from hoprior.results.objects import FORMAT as OBJECTS_FORMAT
from hoprior.results.objects import OBJECTS, STANDING
from hoprior.results.poses import FORMAT as POSES_FORMAT
from hoprior.results.poses import POSES
from hoprior.results.report.arrays import PageArrays, rounded
from hoprior.results.report.page import Page, made_from
from hoprior.results.report.parts import MODES, hand_views, held_parts
from hoprior.results.report.reading import read_index, read_scene
from hoprior.results.report.words import brief, facts
from hoprior.results.samples import thrown_away_text

MAX_SAMPLES = 60
MAX_OBJECT_FACES = 5000
"""Of each sample's object: unlike a grasped one, no two share it."""


def samples_page(folder: Path) -> Page:
    """The page of hands with objects.

    Raises:
        HopriorError: they are missing, damaged, or of another version.
    """
    index = read_index(folder, SAMPLES.index_name, SAMPLES_FORMAT)
    arrays = PageArrays()
    items = []
    for number, sample in enumerate(index["samples"][:MAX_SAMPLES]):
        scene = read_scene(folder / Path(sample["glb"]).name)
        hand, held = scene["hand"], simplify(scene["object"], MAX_OBJECT_FACES)
        parts = held_parts(arrays, np.asarray(hand.vertices), np.asarray(hand.faces), held)
        items.append(_item(number, sample, parts, sample["fitted_joints_hand"]))
    told = f"{len(index['samples'])} samples of {index['draws']} draws{thrown_away_text(index['rejected'])}"
    return _page("samples", index, told, arrays, items, MODES)


def poses_page(folder: Path) -> Page:
    """The page of hands alone.

    Raises:
        HopriorError: they are missing, damaged, or of another version.
    """
    index = read_index(folder, POSES.index_name, POSES_FORMAT)
    arrays = PageArrays()
    items = []
    for number, pose in enumerate(index["poses"][:MAX_SAMPLES]):
        hand = read_scene(folder / Path(pose["glb"]).name)["hand"]
        parts = [{"role": "hand", "mesh": arrays.mesh(np.asarray(hand.vertices), np.asarray(hand.faces))}]
        items.append(_item(number, pose, parts, pose["joints_hand"]))
    return _page("poses", index, f"{len(index['poses'])} hands", arrays, items, ("plain",))


def objects_page(folder: Path) -> Page:
    """The page of objects alone.

    Raises:
        HopriorError: they are missing, damaged, or of another version.
    """
    index = read_index(folder, OBJECTS.index_name, OBJECTS_FORMAT)
    arrays = PageArrays()
    items = []
    for number, sample in enumerate(index["objects"][:MAX_SAMPLES]):
        mesh = simplify(read_scene(folder / Path(sample["glb"]).name)["object"], MAX_OBJECT_FACES)
        parts = [{"role": "object", "mesh": arrays.mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces))}]
        item = {"title": f"object {number + 1}", "brief": brief(sample["measures"]), "parts": parts}
        items.append({**item, "views": hand_views(STANDING, "right"), "facts": facts(sample["measures"])})
    told = f"{len(index['objects'])} objects of {index['draws']} draws{thrown_away_text(index['rejected'])}"
    return _page("objects", index, told, arrays, items, ("plain",))


def _item(number: int, sample: dict[str, Any], parts: list[dict[str, Any]], joints: Any) -> dict[str, Any]:
    return {
        "title": f"sample {number + 1}",
        "brief": brief(sample["measures"]),
        "parts": parts,
        "joints": [rounded(joints)],
        "views": hand_views(np.eye(3), sample["side"]),
        "facts": [("hand", sample["side"], f"model: {sample['hand']}"), *facts(sample["measures"])],
    }


def _page(
    kind: str, index: dict[str, Any], told: str, arrays: PageArrays, items: list[dict[str, Any]], modes: tuple[str, ...]
) -> Page:
    listed = len(index[kind])
    shown = told if listed <= MAX_SAMPLES else f"{told}; the first {MAX_SAMPLES} are shown"
    about = [("the prior was told", index["sentence"])]
    about += made_from(index["config"], index["versions"], index["timings"])
    return Page(kind, f"“{index['text']}”", shown, arrays, items, modes=modes, about=about)
