"""Pages of evaluations that go by what trains priors, which takes seconds to load; other pages do without it."""

from collections.abc import Mapping
from typing import Any

from hoprior.evaluation.pages import metrics_page
from hoprior.evaluation.prior import TABLES, PriorEvaluation, table_title
from hoprior.evaluation.prior_quality import MEAN
from hoprior.evaluation.refinement import RefineEvaluation
from hoprior.results.report.page import Page
from hoprior.results.report.tables import lines_chart, table

MM_NOTE = "PA-MPJPE: mean distance of the 21 joints after the best similarity; bars are 95 % bootstrap intervals."


def prior_metrics_page(found: PriorEvaluation, settings: Mapping[str, Any]) -> Page:
    """The tables of a prior that draws hands with objects, of what it has."""
    drawn = [
        table(table_title(found, title), getattr(found, name), columns, means=(MEAN, "generated"))
        for name, title, columns in TABLES
        if getattr(found, name)
    ]
    return metrics_page("Metrics of a prior", str(settings.get("prior", "")), drawn, settings)


def refine_metrics_page(found: RefineEvaluation, settings: Mapping[str, Any]) -> Page:
    """Errors by method and by how much of a hand is hidden."""
    columns = {level: (f"{level}\nn = {count}", "{:.2f}") for level, count in found.counts.items()}
    drawn = table("PA-MPJPE, mm", found.errors, columns, MM_NOTE)
    levels = [level for level in found.counts if level != "all"]
    errors = {name: {level: row[level] for level in levels} for name, row in found.errors.items()}
    intervals = {name: {level: row[level] for level in levels} for name, row in found.intervals.items()}
    drawn["chart"] = lines_chart(errors, intervals, "mm") if levels else None
    hands = found.counts.get("all", sum(found.counts.values()))
    return metrics_page("Errors of refined hands", f"{hands} hands", [drawn], settings)
