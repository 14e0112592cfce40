"""What evaluations found, as pages of tables and plots."""

from collections.abc import Mapping
from typing import Any

from hoprior.evaluation.grasps import COLUMNS, Evaluation, table_rows
from hoprior.results.folder import package_versions
from hoprior.results.report.page import Page, made_from
from hoprior.results.report.tables import table
from hoprior.results.report.words import MEASURES, facts


def grasps_metrics_page(found: Evaluation, about: Mapping[str, Any]) -> Page:
    """Depth, contact and so on of sets of grasps, a row an object."""
    rows = table_rows(found)
    drawn = table("Objects", rows, COLUMNS, "docs/metrics.md says what each column is.", means=("mean of objects",))
    grasps = sum(len(measured) for measured in found.grasps.values())
    return metrics_page("Metrics of grasps", f"{grasps} grasps of {len(found.rows)} objects", [drawn], about)


def reconstruction_metrics_page(found: Mapping[str, float], clip: str) -> Page:
    """Figures of a reconstruction against the truth, in words."""
    told = {label: (value, why) for label, value, why in facts(found)}
    other = {name: (f"{value:.3f}", "docs/metrics.md") for name, value in found.items() if name not in MEASURES}
    rows = [{"cells": [label, value, why]} for label, (value, why) in {**told, **other}.items()]
    drawn = {"title": "Against the truth", "columns": ["", "value", "what it is"], "rows": rows}
    return metrics_page("Metrics of a reconstruction", clip, [drawn], {})


def metrics_page(title: str, subtitle: str, tables: list[dict[str, Any]], about: Mapping[str, Any]) -> Page:
    """A page of tables, with what it was made from."""
    return Page("metrics", title, subtitle, tables=tables, about=made_from(about, package_versions(), {}))
