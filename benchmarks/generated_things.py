"""Forty sentences over twenty things, four draws each: what is kept, how hands meet objects, how long it takes, sheets.

usage: python benchmarks/generated_things.py [--prior interaction] [--draws 4] [--sentences 40] [--out out/things]

Each sentence is drawn from as `hoprior.generate` does, with so many draws and no second try, so that the share that is
kept is of first draws. A sheet of every five sentences is written to look at, and one of the first
draws (`firsts.png`); `things.json` has all figures.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from rich.console import Console

import hoprior
from hoprior.common.console import notes_console
from hoprior.errors import HopriorError
from hoprior.rendering.rasterizer import OBJECT_GREY, SKIN
from hoprior.rendering.sheet import Cell, draw_sheet
from hoprior.tasks.generate import GenerateConfig

SENTENCES = (
    ("a mug", "a hand drinking from a mug"),
    ("a hammer", "a hand holding a hammer by the handle"),
    ("a bottle", "a hand pouring from a bottle"),
    ("a bowl", "a hand holding a bowl by its rim"),
    ("a wine glass", "a hand holding a wine glass by its stem"),
    ("a pair of scissors", "a hand using a pair of scissors"),
    ("a knife", "a hand cutting with a knife"),
    ("a screwdriver", "a hand using a screwdriver"),
    ("a spoon", "a hand holding a spoon"),
    ("a teapot", "a hand pouring from a teapot"),
    ("a frying pan", "a hand cooking with a frying pan"),
    ("a pen", "a hand writing with a pen"),
    ("a camera", "a hand holding a camera"),
    ("a phone", "someone using a phone"),
    ("an apple", "a hand holding an apple"),
    ("a banana", "a hand peeling a banana"),
    ("a book", "a hand holding a book"),
    ("a flashlight", "a hand switching on a flashlight"),
    ("a toothbrush", "a hand brushing teeth with a toothbrush"),
    ("a light bulb", "a hand screwing in a light bulb"),
)
"""Each thing by its bare name, and in use."""
A_SHEET = 5


def main() -> None:
    """Draws, prints a row a sentence and the means, and writes the sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", default="interaction")
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--sentences", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--as-drawn", action="store_true", help="without finishing by contact")
    parser.add_argument("--out", type=Path, default=Path("out/things"))
    given = parser.parse_args()
    # The bare names first: a part of the forty is still one sentence of every thing.
    texts = [pair[k] for k in (0, 1) for pair in SENTENCES][: given.sentences]
    config = GenerateConfig(draws_each=1, finish=not given.as_drawn, show_rejected=True)
    console = Console(width=120)
    given.out.mkdir(parents=True, exist_ok=True)
    rows, cells, firsts = [], [], []
    with notes_console().status("drawing"):
        for i, text in enumerate(texts):
            began = time.perf_counter()
            try:
                found = hoprior.generate(text, given.draws, priors=[(1.0, given.prior)], seed=given.seed, config=config)
            except HopriorError as error:
                console.print(f"{text}: {error}", highlight=False)
                rows.append({"text": text, "kept": 0, "draws": given.draws, "seconds": time.perf_counter() - began})
                continue
            measures = [dict(sample.measures) for sample in found]
            row = {"text": text, "kept": len(found), "draws": found.draws, "rejected": dict(found.rejected)}
            row |= {"seconds": time.perf_counter() - began, "measures": measures}
            rows.append(row)
            depth = np.mean([one["max_depth_cm"] for one in measures])
            console.print(
                f"{text:<42} kept {len(found)} of {found.draws}  depth {depth:.2f}"
                f" cm  overlap {np.mean([m['volume_cm3'] for m in measures]):.2f} cm³  {row['seconds']:.1f} s"
                f"  {dict(found.rejected) or ''}",
                highlight=False,
            )
            for sample in found:
                held = (sample.object_mesh.vertices, sample.object_mesh.faces, OBJECT_GREY)
                meshes = [(sample.verts_hand, found.faces, SKIN), held]
                cells.append(Cell(meshes, np.eye(3), sample.side, text[:34], ""))
            firsts.append(cells[-len(found)])
            if (i + 1) % A_SHEET == 0 and cells:
                sheet = draw_sheet(given.prior, f"{len(cells)} draws", cells)
                sheet.save(given.out / f"things_{(i + 1) // A_SHEET}.png")
                cells = []
    if firsts:
        draw_sheet(given.prior, "the first draw of each that was kept", firsts[:20]).save(given.out / "firsts.png")
    kept, draws = sum(row["kept"] for row in rows), sum(row["draws"] for row in rows)
    measures = [one for row in rows for one in row.get("measures", [])]
    seconds = sum(row["seconds"] for row in rows)
    console.print(
        f"kept {kept} of {draws} draws ({kept / draws:.0%}); depth"
        f" {np.mean([m['max_depth_cm'] for m in measures]):.2f} cm, overlap"
        f" {np.mean([m['volume_cm3'] for m in measures]):.2f} cm³, a bone through the object in"
        f" {np.mean([m['bones_through'] > 0 for m in measures]):.0%}, {seconds / draws:.1f} s a draw",
        highlight=False,
    )
    (given.out / "things.json").write_text(json.dumps({"prior": given.prior, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
