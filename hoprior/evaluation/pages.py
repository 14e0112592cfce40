"""What evaluations found, as pages of tables and plots."""

from collections.abc import Mapping
from typing import Any

from hoprior.evaluation.grasps import COLUMNS, Evaluation, table_rows
from hoprior.evaluation.prior import TABLES, PriorEvaluation, table_title
from hoprior.evaluation.prior_quality import MEAN
from hoprior.evaluation.refinement import RefineEvaluation
from hoprior.results.folder import package_versions
from hoprior.results.report.page import Page, made_from
from hoprior.results.report.tables import lines_chart, table
from hoprior.results.report.words import MEASURES, facts

MM_NOTE = "PA-MPJPE: mean distance of the 21 joints after the best similarity; bars are 95 % bootstrap intervals."


def grasps_metrics_page(found: Evaluation, about: Mapping[str, Any]) -> Page:
    """Depth, contact and so on of sets of grasps, a row an object."""
    rows = table_rows(found)
    drawn = table("Objects", rows, COLUMNS, "docs/metrics.md says what each column is.", means=("mean of objects",))
    grasps = sum(len(measured) for measured in found.grasps.values())
    return _page("Metrics of grasps", f"{grasps} grasps of {len(found.rows)} objects", [drawn], about)


def prior_metrics_page(found: PriorEvaluation, settings: Mapping[str, Any]) -> Page:
    """The tables of an interaction-grid prior."""
    drawn = [
        table(table_title(found, title), getattr(found, name), columns, means=(MEAN, "generated"))
        for name, title, columns in TABLES
    ]
    return _page("Metrics of a prior", str(settings.get("prior", "")), drawn, settings)


def refine_metrics_page(found: RefineEvaluation, settings: Mapping[str, Any]) -> Page:
    """Errors by method and by how much of a hand is hidden."""
    columns = {level: (f"{level}\nn = {count}", "{:.2f}") for level, count in found.counts.items()}
    drawn = table("PA-MPJPE, mm", found.errors, columns, MM_NOTE)
    levels = [level for level in found.counts if level != "all"]
    errors = {name: {level: row[level] for level in levels} for name, row in found.errors.items()}
    intervals = {name: {level: row[level] for level in levels} for name, row in found.intervals.items()}
    drawn["chart"] = lines_chart(errors, intervals, "mm") if levels else None
    hands = found.counts.get("all", sum(found.counts.values()))
    return _page("Errors of refined hands", f"{hands} hands", [drawn], settings)


def reconstruction_metrics_page(found: Mapping[str, float], clip: str) -> Page:
    """Figures of a reconstruction against the truth, in words."""
    told = {label: (value, why) for label, value, why in facts(found)}
    other = {name: (f"{value:.3f}", "docs/metrics.md") for name, value in found.items() if name not in MEASURES}
    rows = [{"cells": [label, value, why]} for label, (value, why) in {**told, **other}.items()]
    drawn = {"title": "Against the truth", "columns": ["", "value", "what it is"], "rows": rows}
    return _page("Metrics of a reconstruction", clip, [drawn], {})


def _page(title: str, subtitle: str, tables: list[dict[str, Any]], about: Mapping[str, Any]) -> Page:
    return Page("metrics", title, subtitle, tables=tables, about=made_from(about, package_versions(), {}))
