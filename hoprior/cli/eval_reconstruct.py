"""`hoprior eval reconstruct`: a reconstruction against the truth of its clip."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from hoprior.cli.arguments import call_with_arguments, with_leading
from hoprior.common.console import answers_console
from hoprior.common.io import check_place, rounded, strict_json, write_atomically, write_table
from hoprior.datasets.clips.clip import read_clip
from hoprior.datasets.clips.truth import compare
from hoprior.errors import HopriorError
from hoprior.evaluation.pages import reconstruction_metrics_page
from hoprior.evaluation.reconstruction import COLUMNS, read_result
from hoprior.metrics.reconstruction import (
    ALIGN_SEED,
    POINTS,
)
from hoprior.results.folder import package_versions
from hoprior.results.report.tables import write_page_beside

FORMAT = "hoprior-reconstruction-metrics/1"


def evaluate_reconstruction(
    results: Path, clip: Path, out: Path | None = None, no_report: bool = False
) -> dict[str, Any]:
    """Measure a reconstruction against its clip's ground truth.

    Args:
        results: folder that `hoprior run reconstruct` wrote.
        clip: the clip's folder, with oObj.obj and eval_poses.npz.
        out: file of the results, .json; a .csv stands beside it. metrics.json in the results' folder if not given.
        no_report: leave out the page of the tables, the same name with .html.

    Example:
        hoprior eval reconstruct out/mug_reconstruction --clip clips/mug
    """
    out = out or results / "metrics.json"
    check_place(out.absolute().parent)
    poses, mesh = read_result(results)
    frame = [int(number) for number in poses["frame"]]
    source = read_clip(clip, max_frames=max(frame) + 1 if frame else 1)
    missing = set(frame) - set(source.frame)
    if missing:
        raise HopriorError(f"{results}: has frame {min(missing)}, {clip} has not: is it a result of this clip?")
    from dataclasses import replace

    assert source.truth is None or len(source.frame) == len(source.truth.joints_hand)
    keep = torch.tensor([source.frame.index(number) for number in frame])
    if source.truth is not None:
        names = ("T_hand_object", "T_camera_hand", "joints_hand")
        source = replace(source, truth=replace(source.truth, **{n: getattr(source.truth, n)[keep] for n in names}))
    found = compare(mesh, poses["T_hand_object"], poses["joints_camera"], source)
    document = {"format": FORMAT, "clip": source.name, "points": POINTS, "seed": ALIGN_SEED, "metrics": found}
    document["versions"] = package_versions()
    write_atomically(out, lambda path: path.write_text(strict_json(document), encoding="utf-8"))

    write_table(out.with_suffix(".csv"), ("metric", "value"), [(name, rounded(value)) for name, value in found.items()])
    write_page_beside(out, None if no_report else reconstruction_metrics_page(found, source.name))
    show(found)
    return {"out": out, "metrics": found}


def show(found: dict[str, float]) -> None:
    """Prints what was measured."""
    from rich.table import Table

    table = Table("F5", "F10", "CD, cm²", "unseen, cm²", "CD_h, cm²", "MPJPE, cm", "scaled", "PA", "AUC", box=None)
    table.add_row(*(f"{found[name]:.3f}" if name in found else "-" for name in COLUMNS))
    answers_console().print(table)


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior eval reconstruct`."""
    return call_with_arguments(evaluate_reconstruction, "hoprior eval reconstruct", with_leading(args, "results"))
