"""How well trust tells which reconstructions are right, and how its constants are made.

    python benchmarks/reconstruction.py calibration OUT [--clips mug_301 ...]   (films the clips, and reconstructs them)
    python benchmarks/reconstruction.py trust OUT [--refit]                     (a table; the constants, made anew)

Numbers whose rest by three is 1 are filmed cleanly, 2 as people film, and 0 likewise but given as plain videos, whose
hands the landmarker finds; estimated hands are 6 to 22 mm off. None is among the twelve, nor a real one.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize
from scipy.special import expit

from hoprior.datasets.clips.film import FilmConfig
from hoprior.results.reconstructions import TRUST_WORDS, trust_word
from hoprior.tasks.reconstruct.evidence import Evidence
from hoprior.tasks.reconstruct.trust import SIGNS, signs_of, trust_of

KINDS = (
    *("mug", "cup", "bottle", "bowl", "knife", "teapot", "camera", "hammer", "can", "spray-bottle", "wrench", "phone"),
    *("banana", "power-drill", "small-box", "wine-glass", "jar", "spoon", "flashlight", "pitcher"),
)
NUMBERS = (302, 301, 303)
HAND_NOISE = (0.006, 0.022)
RIGHT_F10, RIGHT_SCALE = 0.9, 1.25
"""A result is right if its F10 is above the first, and its size within the second: F10 is measured after the best
similarity, which brings a splinter to the size of a phone."""
LEAST = {"torn": 0.7}
"""Nobody wants a torn thing, near as it may lie to the true surface."""
RIDGE = 0.005
"""The squared weight of each sign costs so much beside the mean negative logarithm of what came true."""


def calibration_film(kind: str, number: int, rough: FilmConfig) -> FilmConfig:
    """How a clip of the calibration is filmed: cleanly or as `rough` has it, with hands better or worse."""
    noise = float(np.random.default_rng([number, 5, sum(map(ord, kind))]).uniform(*HAND_NOISE))
    return replace(FilmConfig(seed=number) if is_clean(number) else rough, hand_noise=noise)


def is_clean(number: int) -> bool:
    """Whether clips of this number are filmed cleanly."""
    return number % 3 == 1


def is_video(number: int) -> bool:
    """Whether clips of this number are given as plain videos."""
    return number % 3 == 0


def is_right(found: dict[str, float]) -> bool:
    """Whether a result that was measured is right."""
    return found["f10"] > RIGHT_F10 and max(found["scale"], 1 / found["scale"]) < RIGHT_SCALE


def read_results(folders: list[Path]) -> dict[str, dict[str, Any]]:
    """What runs measured, by the clips' names."""
    found = {}
    for folder in folders:
        for file in sorted(folder.glob("*.json")):
            told = json.loads(file.read_text(encoding="utf-8"))
            if told.get("evidence"):
                found[file.stem] = told
    return found


def trust_table(found: dict[str, dict[str, Any]]) -> None:
    """A row for each result, worst first, and how often each word came true."""
    columns = ("f10", "scale")
    signs = tuple(SIGNS)
    print(f"| | {' | '.join(columns)} | trust | {' | '.join(signs)} |\n|---|{'---|' * (len(columns) + len(signs) + 1)}")
    rows = {name: (trust_of(Evidence(**told["evidence"])), told) for name, told in found.items()}
    for name, (trust, told) in sorted(rows.items(), key=lambda row: row[1][0]):
        strength = signs_of(Evidence(**told["evidence"]))
        cells = [f"{told[column]:.2f}" for column in columns] + [f"{trust:.2f}"]
        print(f"| {name} | {' | '.join(cells + [f'{strength[sign]:.2f}' for sign in signs])} |")
    print("\n| called | results | of these F10 over .9 | and of the right size |\n|---|---|---|---|")
    for _, word in TRUST_WORDS:
        called = [told for trust, told in rows.values() if trust_word(trust) == word]
        over, right = sum(told["f10"] > RIGHT_F10 for told in called), sum(map(is_right, called))
        print(f"| {word} | {len(called)} | {over} | {right} |")
    good = sum(trust_word(trust) == TRUST_WORDS[0][1] and is_right(told) for trust, told in rows.values())
    print(f"right ones that are called good: {good} of {sum(is_right(told) for _, told in rows.values())}")


def refit(found: dict[str, dict[str, Any]]) -> None:
    """The constants of `hoprior/tasks/reconstruct/trust.py` that explain these results best; and, each result told by
    constants that were made without its kind of object, how often words come true."""
    names = list(found)
    x = np.array([[signs_of(Evidence(**found[name]["evidence"]))[sign] for sign in SIGNS] for name in names])
    right = np.array([is_right(found[name]) for name in names])
    base, weights = _fitted(x, right)
    print(f"\nBASE = {base:.2f}")
    for sign, weight in zip(SIGNS, weights, strict=True):
        print(f"{sign}: {weight:.2f}")
    kinds = np.array([name.rsplit("_", 1)[0] for name in names])
    told = np.zeros(len(names))
    for kind in np.unique(kinds):
        base, weights = _fitted(x[kinds != kind], right[kinds != kind])
        told[kinds == kind] = expit(base - x[kinds == kind] @ weights)
    for least, word in TRUST_WORDS:
        called = np.array([trust_word(each) == word for each in told])
        print(f"without their kind, called {word} (from {least}): {called.sum()}, right {right[called].sum()}")


def _fitted(x: Float[np.ndarray, "n k"], right: Bool[np.ndarray, " n"]) -> tuple[float, Float[np.ndarray, " k"]]:
    """Base and weights, none of which is below 0, or `LEAST`."""

    def cost(parameters: Float[np.ndarray, " k1"]) -> float:
        logit = parameters[0] - x @ parameters[1:]
        return float(np.logaddexp(0, np.where(right, -logit, logit)).mean() + RIDGE * np.square(parameters[1:]).sum())

    start = np.ones(x.shape[1] + 1)
    least = [LEAST.get(sign, 0.0) for sign in SIGNS]
    found = minimize(cost, start, bounds=[(None, None)] + [(low, None) for low in least])
    return float(found.x[0]), found.x[1:]
