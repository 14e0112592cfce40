"""Evaluations have pages of their tables, which go when the figures change."""

import numpy as np
import pytest

from hoprior.common.pages import is_current
from hoprior.evaluation.grasps import Evaluation
from hoprior.evaluation.heavy_pages import prior_metrics_page, refine_metrics_page
from hoprior.evaluation.pages import grasps_metrics_page, reconstruction_metrics_page
from hoprior.evaluation.prior import PriorEvaluation
from hoprior.evaluation.refinement import RefineEvaluation
from hoprior.metrics import GraspMetrics
from hoprior.results.report.tables import lines_chart, table, write_page_beside

FOUND = Evaluation(
    rows={"mug": {"grasps": 1, "max_depth_cm": 0.5}, "jar": {"grasps": 1, "max_depth_cm": 0.25}},
    mean={"grasps": 2, "max_depth_cm": 0.375},
    ranking={},
    grasps={name: [GraspMetrics(0.5, 0.1, 1.0, None, True, 0.1)] for name in ("mug", "jar")},
)


def test_a_prior_without_a_vqvae_has_a_page_without_its_table():
    rows = {"generated": {"samples": 4.0, "coverage_object": 0.5, "bones_in_range": 1.0}}
    found = PriorEvaluation({"split": "val", "seed": 0, "cell_mm": 9.0}, {}, rows, {}, {})
    titles = [drawn["title"] for drawn in prior_metrics_page(found, {"prior": "interaction"}).tables]
    assert titles == ["Samples against recorded grasps of held-out objects", "The same samples, each by itself"]


def test_a_table_has_all_figures_and_no_empty_column():
    (drawn,) = grasps_metrics_page(FOUND, {}).tables
    assert drawn["columns"] == ["", "grasps", "max depth\ncm ↓"]
    assert [row["cells"] for row in drawn["rows"]] == [
        ["mug", "1", "0.50"],
        ["jar", "1", "0.25"],
        ["mean of objects", "2", "0.38"],
    ]
    assert [row["mean"] for row in drawn["rows"]] == [False, False, True]
    assert drawn["rows"][1]["shares"] == [None, 0.5, 0.5]


def test_bars_need_something_to_compare_with():
    assert table("", {"mug": {"a": 1.0}}, {"a": ("a", "{:.1f}")})["rows"][0]["shares"] == [None, None]


@pytest.mark.parametrize("most", [0.013, 1.0, 9.9, 10.1, 730.0])
def test_every_point_of_a_chart_is_on_it(most):
    values = {"a": {"low": most / 3, "high": most}}
    chart = lines_chart(values, {"a": {step: (v, v) for step, v in values["a"].items()}}, "mm")
    heights = [float(part.split('"')[0]) for part in chart.split('cy="')[1:3]]
    labels = [float(part.partition(">")[2].partition("<")[0]) for part in chart.split('text-anchor="end"')[1:]]
    assert labels[-1] >= most, "the axis reaches all"
    assert np.allclose(np.diff(labels), labels[1], rtol=0.01)
    assert 0 < heights[1] < heights[0] < 280


def test_levels_are_drawn_and_all_of_them_told():
    errors = {"first estimate": {"all": 9.0, "Low": 7.0, "High": 12.0}}
    spread = {name: {level: (v - 1, v + 1) for level, v in row.items()} for name, row in errors.items()}
    page = refine_metrics_page(RefineEvaluation(errors, spread, {"all": 3, "Low": 2, "High": 1}, {}), {})
    assert page.tables[0]["rows"][0]["cells"] == ["first estimate", "9.00", "7.00", "12.00"]
    assert ">Low<" in page.tables[0]["chart"] and ">all<" not in page.tables[0]["chart"]


def test_a_reconstruction_is_told_in_words():
    (drawn,) = reconstruction_metrics_page({"f5": 0.5, "auc": 0.25}, "clip").tables
    assert drawn["rows"][0]["cells"][:2] == ["right to 5 mm", "50 %"]
    assert drawn["rows"][1]["cells"][:2] == ["auc", "0.250"]


def test_pages_of_figures_go_with_them(tmp_path):
    index = tmp_path / "my results.json"
    index.write_text("{}")
    page = write_page_beside(index, grasps_metrics_page(FOUND, {"folder": "<b>"}))
    assert page == tmp_path / "my results.html"
    assert is_current(page) and "three.js" not in page.read_text(encoding="utf-8")
    index.write_text("{} ")
    assert not is_current(page)
    assert write_page_beside(index, None) is None and not page.exists()
    page.write_text("somebody's own")
    write_page_beside(index, None)
    assert page.exists()
