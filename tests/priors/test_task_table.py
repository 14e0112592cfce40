"""Which task uses which prior: the table that the command prints and the docs show."""

from pathlib import Path

import pytest
from torch import Tensor

import hoprior
from hoprior.cli.entry import main
from hoprior.cli.priors import task_table
from hoprior.priors import tasks_for
from hoprior.priors.installed import shipped_files
from hoprior.priors.usable import BESIDE, TASKS, check_usable, judges_interactions, use_of

DOCS = Path(__file__).parents[2] / "docs"
OURS = {
    "foreign_poses": ["works"] * 4,
    "foreign_interaction": ["works", "works", BESIDE, "works"],
}
"""Priors of other packages -> how grasp, generate, refine and reconstruct use them."""


class Judges:
    """An energy of hands at objects."""

    def energy(self, state: hoprior.HandObjectState, cond: Tensor | None = None) -> Tensor:
        return state.T_object_hand[:, 2, 3]


class Nothing:
    """No prior."""


def test_the_docs_show_the_table_of_the_shipped_priors() -> None:
    assert task_table(list(shipped_files())) in (DOCS / "extending.md").read_text(encoding="utf-8")


def test_the_command_prints_the_priors_of_other_packages_too(foreign: None, capsys: pytest.CaptureFixture[str]) -> None:
    main(["priors", "--tasks"])
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split("`")[1]: [cell.strip() for cell in line.split("|")[2:-1]] for line in lines if "`" in line}
    assert {name: rows[name] for name in OURS} == OURS and set(rows) >= set(shipped_files())
    refused = [cell for row in rows.values() for cell in row if cell.startswith("no")]
    reasons = [line for line in lines if line[:1].isdigit()]
    assert refused == [f"no ({k})" for k in range(1, len(reasons) + 1)]


@pytest.mark.parametrize("name", ["pose", "grid"])
def test_the_backends_of_both_papers_work_in_at_least_three_tasks(name: str) -> None:
    prior = hoprior.load_prior(name)
    assert sum(use_of(prior, name, task) in ("works", BESIDE) for task in TASKS) >= 3


@pytest.mark.parametrize("prior", [Judges(), Nothing(), "pose", "shape_completion", "contrastive"])
@pytest.mark.parametrize("task", TASKS)
def test_a_cell_says_what_loading_does(prior: object, task: str) -> None:
    """Priors that judge are loaded beside one that draws, and refused alone."""
    prior = hoprior.load_prior(prior) if isinstance(prior, str) else prior
    use = use_of(prior, "it", task)
    if use == BESIDE:
        assert judges_interactions(prior) and task in ("generate", "refine")
    elif task in tasks_for(prior):
        assert use == "works"
    else:
        with pytest.raises(hoprior.HopriorError) as caught:
            check_usable(prior, "it", task)
        assert use == str(caught.value)
