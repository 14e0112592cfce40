"""Pictures of a synthetic set: a contact sheet of grasps, and plots of what was made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from hoprior.datasets.synthetic.manifest import read_manifest
from hoprior.datasets.synthetic.shards import SyntheticShard, read_shard
from hoprior.errors import HopriorError
from hoprior.geometry.state import transform_points
from hoprior.hand import load_hand
from hoprior.language.taxonomy import BY_NUMBER, grasp_type
from hoprior.rendering.rasterizer import OBJECT_GREY, SKIN
from hoprior.rendering.sheet import Cell, draw_sheet

MARGIN = 8
INK, FAINT_INK, BAR = (40, 44, 52), (110, 116, 128), (96, 132, 178)
PLOT_WIDTH, ROW = 760, 20


def chosen_grasps(folder: Path, num: int, number: int | None = None) -> list[tuple[SyntheticShard, int]]:
    """At most `num` grasps of a set, kinds in turn (or all of kind `number`), from as many objects as possible.

    Raises:
        HopriorError: the set has no such grasps, or a shard is damaged.
    """
    if number is not None:
        grasp_type(number)
    if num < 1:
        raise HopriorError(f"--num {num}: ask for at least one grasp")
    found: dict[int, list[tuple[int, SyntheticShard, int]]] = {}
    for entry in read_manifest(folder)["shards"]:
        if not entry["grasps"]:
            continue
        shard = read_shard(folder / entry["file"])
        assert shard.grasps is not None
        seen: dict[int, int] = {}
        for i, sample in enumerate(shard.grasps):
            kind = sample.label.taxonomy
            if number in (None, kind):
                found.setdefault(kind, []).append((seen.get(kind, 0), shard, i))
                seen[kind] = seen.get(kind, 0) + 1
    if not found:
        what = "grasps" if number is None else f"grasps of kind {number} ({grasp_type(number).name})"
        raise HopriorError(f"{folder}: the set has no {what}")
    # The first of every object before the second of any.
    lists = [sorted(found[kind], key=lambda item: item[0]) for kind in sorted(found)]
    turns = max(len(items) for items in lists)
    mixed = [items[turn] for turn in range(turns) for items in lists if turn < len(items)][:num]
    mixed.sort(key=lambda item: item[1].grasps[item[2]].label.taxonomy if item[1].grasps else 0)
    return [(shard, i) for _, shard, i in mixed]


def sheet_of(grasps: Sequence[tuple[SyntheticShard, int]], title: str) -> Image.Image:
    """A picture of grasps, two views each, with what kind they are of which part of what, and what for."""
    return draw_sheet(title, f"{len(grasps)} grasps", [_cell(shard, i) for shard, i in grasps])


def _cell(shard: SyntheticShard, i: int) -> Cell:
    assert shard.grasps is not None
    sample, label = shard.grasps[i], shard.grasps[i].label
    hand = load_hand(sample.hand)
    verts = hand(hand.angles_to_pose(sample.angles[None]), sample.betas[None]).verts
    placed = transform_points(sample.T_object_hand[None], verts)[0].numpy()
    kind = grasp_type(label.taxonomy)
    return Cell(
        meshes=[(placed, hand.faces.numpy(), SKIN), (shard.mesh.vertices, shard.mesh.faces, OBJECT_GREY)],
        rotation=sample.T_object_hand.numpy()[:3, :3],
        side=sample.side,
        label=f"{kind.number} {kind.name}",
        remark=f"{shard.info.category}, {label.part}, {label.intention}, {1000 * float(shard.depth[i]):.1f} mm deep",
    )


def stats_plot(manifest: dict[str, Any]) -> Image.Image:
    """Bars of how many grasps there are of each kind and of each category."""
    kinds = [(f"{n} {row['name']}", row["held"]) for n, row in manifest["taxonomy"].items()]
    categories = [(name, row["held"]) for name, row in manifest["categories"].items()]
    rows = max(len(kinds), len(categories))
    plot = Image.new("RGB", (PLOT_WIDTH, (rows + 3) * ROW), (255, 255, 255))
    draw = ImageDraw.Draw(plot)
    title = f"{manifest['grasps']} grasps of {manifest['objects']} objects, {len(BY_NUMBER)} kinds of grasp"
    draw.text((MARGIN, 6), title, INK, _font(16))
    _bars(draw, kinds, 0)
    _bars(draw, categories, PLOT_WIDTH // 2 + MARGIN)
    return plot


def _bars(draw: ImageDraw.ImageDraw, rows: Sequence[tuple[str, int]], left: int) -> None:
    most = max((value for _, value in rows), default=0) or 1
    for k, (name, value) in enumerate(rows):
        top, start = (k + 2) * ROW, left + 165
        draw.text((left + MARGIN, top + 1), name, INK, _font(12))
        length = round(150 * value / most)
        if length:
            draw.rectangle((start, top + 3, start + length, top + ROW - 4), BAR)
        draw.text((start + length + 4, top + 1), str(value), FAINT_INK, _font(12))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
