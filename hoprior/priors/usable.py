"""Which tasks can use which prior: asked when a prior is loaded, so that nothing fails in the middle of a task."""

from collections.abc import Callable
from typing import Any

from hoprior.errors import HopriorError
from hoprior.priors.protocols import (
    CompletesObjects,
    CompletesShape,
    DenoisesHandPoses,
    EnergyPrior,
    SamplesHandPoses,
    SamplesInteractions,
    SamplesObjects,
    ScorePrior,
    info_of,
)

DRAWS_OBJECTS = (SamplesInteractions, SamplesObjects, CompletesObjects)
"""Abilities by which objects are drawn, with hands or without."""
OF_HANDS = frozenset({"T_object_hand", "joints_hand", "hand_pose"})
"""Parts of a state that say something of the hand."""


def judges(prior: Any) -> bool:
    """Whether it can guide and rank states.

    Example:
        >>> class Low:
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> judges(Low()), judges_interactions(Low()), draws_poses(Low())
        (True, True, False)
    """
    return isinstance(prior, (EnergyPrior, ScorePrior))


def judges_hands(prior: Any) -> bool:
    """Whether it can guide and rank states, and looks at the hand in them."""
    return judges(prior) and bool(info_of(prior).reads & OF_HANDS)


def judges_interactions(prior: Any) -> bool:
    """Whether it can guide and rank where a hand is at an object."""
    return judges(prior) and {"T_object_hand", "sdf"} <= info_of(prior).reads


def draws_poses(prior: Any) -> bool:
    """Whether hands alone can be drawn from it."""
    return isinstance(prior, (SamplesHandPoses, DenoisesHandPoses))


TASKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "grasp": (judges_hands, "an energy or a denoiser that looks at hands"),
    "generate": (
        lambda prior: isinstance(prior, DRAWS_OBJECTS) or draws_poses(prior),
        "a prior that can be sampled (sample_interactions, sample_objects, sample_hand_poses, or a denoiser of hand"
        " poses)",
    ),
    "refine": (
        lambda prior: isinstance(prior, DenoisesHandPoses) or judges_interactions(prior),
        "a denoiser of hand poses; beside one, where the object is given, priors that judge hands at objects",
    ),
    "reconstruct": (
        lambda prior: judges(prior) or isinstance(prior, CompletesShape),
        "an energy, a denoiser, or a prior that completes shapes",
    ),
}
"""Task -> whether it can use a prior, and what it needs in words."""


def tasks_for(prior: Any) -> tuple[str, ...]:
    """The tasks that can use a prior.

    Example:
        >>> class Lowest:
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> tasks_for(Lowest())
        ('grasp', 'refine', 'reconstruct')
    """
    return tuple(task for task, (can, _) in TASKS.items() if can(prior))


BESIDE = "beside one that draws"


def use_of(prior: Any, name: str, task: str) -> str:
    """How a task uses a prior: "works", `BESIDE` where it judges what another draws, or the sentence that refuses it.

    Example:
        >>> class Lowest:
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> [use_of(Lowest(), "lowest", task) for task in ("grasp", "refine")]
        ['works', 'beside one that draws']
    """
    draws = TASKS["generate"][0](prior) if task == "generate" else isinstance(prior, DenoisesHandPoses)
    if task in ("generate", "refine") and not draws and judges_interactions(prior):
        return BESIDE
    try:
        check_usable(prior, name, task)
    except HopriorError as error:
        return str(error)
    return "works"


def check_usable(prior: Any, name: str, task: str) -> None:
    """Refuses a prior that a task cannot use.

    Raises:
        HopriorError: one sentence: what the task needs, and which tasks can use this prior.

    Example:
        >>> class Low:
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> check_usable(Low(), "low", "grasp")  # no word
        >>> try:
        ...     check_usable(Low(), "low", "generate")
        ... except HopriorError as error:
        ...     print("low" in str(error))
        True
    """
    can, need = TASKS[task]
    if can(prior):
        return
    others = tasks_for(prior)
    where = f"it serves {' and '.join(others)}" if others else "no task can use it"
    raise HopriorError(f"prior '{name}' ({type(prior).__name__}) cannot serve {task}, which needs {need}; {where}")
