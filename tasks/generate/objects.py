"""Objects without hands, drawn from a text: `hoprior.generate_objects(...)`, `hoprior run generate --object-only`.

With a part of an object, as one view sees it, objects are drawn that have a surface there (`CompletesObjects`).
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.common.console import Progress
from hoprior.errors import ArgumentError, HopriorError
from hoprior.geometry.files.reading import read_mesh_file
from hoprior.geometry.units import length_text
from hoprior.priors.protocols import CompletesObjects, SamplesObjects
from hoprior.results.folder import package_versions
from hoprior.results.objects import ObjectSample, ObjectSamples
from hoprior.results.samples import reasons_text
from hoprior.tasks.generate.plausibility import CM_PER_M, Plausible, whole_object
from hoprior.tasks.generate.request import GenerateConfig, Request
from hoprior.tasks.shared import Priors

DEFAULT_PRIORS: Priors = ((1.0, "interaction"),)
GUIDANCE_SCALE = 1.0
SEEN_POINTS, FEWEST_POINTS = 1024, 100
"""Taken of a part that is given as a mesh; at least to be given as points."""
HIDDEN = 1.3
"""How many times longer the whole may be than what is seen of it, where that alone is as large as draws may be."""


def generate_objects(
    text: str,
    num: int = 8,
    *,
    priors: Priors = DEFAULT_PRIORS,
    partial: str | Path | trimesh.Trimesh | None = None,
    seed: int = 0,
    device: str = "auto",
    config: GenerateConfig | None = None,
    progress: Progress | None = None,
) -> ObjectSamples:
    """Objects without hands, drawn from a text.

    Args:
        text: what to draw: "a mug".
        num: how many objects.
        priors: one prior that draws objects alone (`SamplesObjects`), with a weight.
        partial: a part of an object that those drawn are to have: a mesh or points of its surface, metres, +z up.
        seed: the same seed gives the same objects on the same machine.
        device: where the prior computes: "auto", "cpu", "cuda" ...
        config: how they are drawn and judged.
        progress: told the stage and the share of the work that is done.

    Returns:
        The objects, metres: each about the middle of its box, or, with `partial`, in its frame, the best fit first.
        Where too few draws were plausible there are fewer than `num`.

    Raises:
        HopriorError: an argument cannot be used, the prior draws no objects alone, or no draw was plausible.

    Example:
        >>> objects = hoprior.generate_objects("a mug", num=4)  # doctest: +SKIP
        >>> objects[0].object_mesh.extents, objects.summary()  # doctest: +SKIP
    """
    config = config or GenerateConfig()
    asked = Request.of(text, num, priors, "open", "right", seed, device, config)
    drawing, judges = asked.drawing(SamplesObjects if partial is None else CompletesObjects)
    if judges:
        raise HopriorError(f"prior '{judges[0].name}' has nothing to do: objects alone are drawn by one prior")
    prior = drawing.prior
    seen = None if partial is None else seen_of(partial, seed)
    plausible = config.plausible if seen is None else _of_its_size(config.plausible, seen)
    of_object = asked.object_condition(prior)
    asked.warn_of_things(prior, instead=of_object is not None)
    cond = asked.condition(prior) if of_object is None else of_object
    generator = torch.Generator().manual_seed(seed)
    loaded = time.perf_counter()
    kept: list[ObjectSample] = []
    faults: list[str] = []
    while len(kept) < num and len(kept) + len(faults) < num * config.draws_each:
        count = num - len(kept)
        options: dict[str, Any] = {
            "steps": config.steps,
            "guidance_scale": asked.guidance_scale(prior, GUIDANCE_SCALE),
            "generator": generator,
            "progress": None if progress is None else lambda share: progress("sampling", share),
        }
        told = None if cond is None else cond.expand(count, -1, -1)
        if seen is None:
            meshes = prior.sample_objects(told, count, **options)
        else:
            meshes = prior.complete_objects(seen.points, told, count, **options)
        for mesh in meshes:
            measures: dict[str, float] = {}
            whole, fault = whole_object(mesh, measures, plausible)
            if fault is None and whole is not None:
                if seen is not None:
                    _, miss, _ = trimesh.proximity.closest_point(whole, seen.points.double().numpy())
                    measures["partial_cm"] = CM_PER_M * float(miss.mean())
                    whole.apply_transform(seen.T_given_seen)
                measures.pop("object_cut", None)
                kept.append(ObjectSample(whole, measures))
            else:
                faults.append(fault or "without an object")
    rejected = {fault: faults.count(fault) for fault in dict.fromkeys(faults)}
    draws = len(kept) + len(faults)
    if not kept:
        raise HopriorError(
            f"text '{text}': none of {draws} draws was plausible ({reasons_text(rejected)}): try other words or"
            " another seed"
        )
    settings = {name: value for name, value in asked.as_config().items() if not name.startswith(("hand", "side"))}
    return ObjectSamples(
        samples=tuple(kept),
        text=text,
        sentence=asked.sentence,
        asked=num,
        draws=draws,
        rejected=rejected,
        seed=seed,
        config={
            **settings,
            "objects_alone": True,
            "partial": str(partial) if isinstance(partial, (str, Path)) else None,
        },
        versions=package_versions(),
        timings={"load": loaded - asked.began, "sample": time.perf_counter() - loaded},
    )


class Seen(NamedTuple):
    """What is given of an object."""

    points: Float[Tensor, "n 3"]
    """Of its surface, m, +z up."""
    T_given_seen: Float[np.ndarray, "4 4"]
    """From there to the frame in which it was given, m."""


def seen_of(partial: str | Path | trimesh.Trimesh, seed: int) -> Seen:
    """Points of the surface of what is given of an object.

    Raises:
        HopriorError: it cannot be read, has too few points, or is of no size that a hand could hold.

    Example:
        >>> points, T_given_seen = seen_of(trimesh.creation.box((0.1, 0.1, 0.1)), seed=0)
        >>> points.shape, bool((T_given_seen == np.eye(4)).all())
        (torch.Size([1024, 3]), True)
    """
    turn = np.eye(4)
    if isinstance(partial, (str, Path)):
        file = read_mesh_file(Path(partial))
        surfaces = list(file.parts.values())
        points = _on_surface(sum(surfaces[1:], start=surfaces[0]), seed) if surfaces else np.asarray(file.points)
        points = points * (file.metres_per_unit or 1.0)
        if file.up == "y":
            turn = trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0))
            points = points @ turn[:3, :3]
    else:
        points = _on_surface(partial, seed) if len(partial.faces) else np.asarray(partial.vertices)
    if len(points) < FEWEST_POINTS:
        raise ArgumentError("partial", str(partial), f"has {len(points)} points: at least {FEWEST_POINTS} are needed")
    if not 0.01 < np.ptp(points, axis=0).max() < 1.0:
        size = length_text(float(np.ptp(points, axis=0).max()))
        raise ArgumentError("partial", str(partial), f"is {size} long: give it in metres, 1 cm to 1 m")
    return Seen(torch.from_numpy(np.array(points)).float(), turn)


def _of_its_size(limits: Plausible, seen: Seen) -> Plausible:
    """The limits, but that what is seen to be larger than draws may be can be completed."""
    longest = CM_PER_M * float(np.ptp(seen.points.numpy(), axis=0).max())
    return replace(limits, max_size_cm=max(limits.max_size_cm, HIDDEN * longest))


def _on_surface(mesh: trimesh.Trimesh, seed: int) -> Float[np.ndarray, "n 3"]:
    return np.asarray(trimesh.sample.sample_surface(mesh, SEEN_POINTS, seed=seed)[0])
