"""What `hoprior eval prior` measures of an interaction-grid prior; docs/metrics.md says what each number is.

Three questions: does its VQ-VAE keep the shape of objects, are its samples like recorded grasps, and do they do what
the text says. Whatever makes samples can be measured: `measure_generation` and `measure_text` take a function.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.datasets.benchmarks.recorded_grids import RecordedGrasps, RecordedGrids, Split, family_of, size_of
from hoprior.errors import HopriorError
from hoprior.evaluation.drawn_grids import BATCH, DrawsGrids, EncodesGrids, as_interactions, decoded, joined
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.hand import HandModel
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.language.phrases import sentence
from hoprior.metrics.generation import (
    chamfer_distances,
    coverage,
    effect,
    joint_distances,
    mean_absolute_distances,
    minimum_matching_distance,
    nearest_neighbour_accuracy,
    recognition,
)
from hoprior.metrics.grids import (
    inside_volumes,
    intersection_volumes,
    largest_part_shares,
    subcell_iou,
    surface,
    surface_clouds,
    surface_distance,
)
from hoprior.metrics.hand_validity import hand_validity

Row = dict[str, float | None]
Sample: TypeAlias = Callable[[Sequence[str], int], InteractionGrid]
"""Texts and a seed in, one sample for each text out, on the CPU; the same seed means the same noise."""

ENTERED = 0.25
"""A grid counts in the VQ-VAE's figures if it holds at least this share of what the fullest grid of its object holds:
where an object barely enters, a cell more or less is half of what is there."""
EMPTY = 1e-6
"""Objects with less than this inside (m³: 1 cm³) are not there."""
WHOLE = 0.9
"""An object is fragmented if its largest part is less than this share of it."""
CLOUD_POINTS = 512
"""Of each surface in the distances of objects."""
REFERENCES = 8
"""Recorded grids of each family that the classifier compares with."""
MEAN = "mean of objects"


@dataclass(frozen=True)
class Measured:
    """A set of interactions, with what comparing it needs and what it says by itself."""

    clouds: Float[Tensor, "n p 3"]
    joints_hand: Float[Tensor, "n 21 3"]
    row: Row


@dataclass(frozen=True)
class Truth:
    """Recorded grasps by split, as the prior's grids, and the hand that they are of."""

    grasps: Mapping[Split, RecordedGrasps]
    split: Split
    hand: HandModel

    def draw(self, split: Split, num: int, generator: torch.Generator) -> RecordedGrids:
        """At most `num` different recorded grasps whose object is there, within the grid."""
        grasps = self.grasps[split]
        # Few objects are out of the grid's reach; a few grasps more make up for them.
        drawn = grasps.draw(min(len(grasps), num + num // 8 + 8), generator)
        there = inside_volumes(drawn.object_sdf, grasps.spec) >= EMPTY
        return drawn[there.nonzero()[:num, 0]]


# The VQ-VAE.


@runtime_checkable
class Autoencoder(Protocol):
    """What is measured of a VQ-VAE of distances: that it gives them back."""

    @property
    def spec(self) -> GridSpec: ...
    @property
    def truncation(self) -> float: ...
    def parameters(self) -> Iterator[Any]: ...
    def __call__(self, sdf: Float[Tensor, "n 1 D H W"], /) -> Float[Tensor, "n 1 D H W"]: ...


def measure_vqvae(vqvae: Autoencoder, truth: RecordedGrids) -> dict[str, Row]:
    """IoU and surface distance of reconstructions: means over each object's grids, and the mean over the objects.

    Only grids that the object enters count (`ENTERED`); the others are counted in `left_out`. `lost` is the share of
    reconstructions without a surface, which have an IoU but no distance.
    """
    if not len(truth):
        raise HopriorError("VQ-VAE: there are no recorded grasps to reconstruct")
    target = truth.object_sdf.clamp(-vqvae.truncation, vqvae.truncation)
    found = reconstruct(vqvae, target)
    counts = entered(truth, vqvae.spec)
    rows: dict[str, Row] = {}
    for name in sorted(set(truth.objects)):
        mine = torch.tensor([other == name for other in truth.objects])
        kept = (mine & counts).nonzero()[:, 0]
        if not len(kept):
            continue
        misses = [_surface_miss(found[k], target[k], vqvae.spec) for k in kept.tolist()]
        seen = [miss for miss in misses if miss is not None]
        rows[name] = {
            "grids": float(len(kept)),
            "left_out": float(mine.sum() - len(kept)),
            "iou": float(subcell_iou(found[kept], target[kept]).mean()),
            "chamfer_mm": 1000 * sum(seen) / len(seen) if seen else None,
            "lost": 1 - len(seen) / len(misses),
        }
    if not rows:
        raise HopriorError("VQ-VAE: no recorded grasp has its object within the prior's grid")
    rows[MEAN] = _mean(list(rows.values()), totals=("grids", "left_out"))
    return rows


def entered(truth: RecordedGrids, spec: GridSpec) -> Bool[Tensor, " n"]:
    """Which grids hold at least `ENTERED` of what the fullest grid of the same object holds, and anything at all."""
    volumes = inside_volumes(truth.object_sdf, spec)
    fullest: dict[str, float] = {}
    for name, volume in zip(truth.objects, volumes.tolist(), strict=True):
        fullest[name] = max(volume, fullest.get(name, 0.0))
    needed = torch.tensor([ENTERED * fullest[name] for name in truth.objects])
    return (volumes >= needed) & (volumes > 0)


@torch.no_grad()
def reconstruct(vqvae: Autoencoder, sdf: Float[Tensor, "n 1 D H W"]) -> Float[Tensor, "n 1 D H W"]:
    """What the VQ-VAE makes of distances (m), on the CPU, whatever device it is on."""
    device = next(vqvae.parameters()).device
    return torch.cat([vqvae(part.to(device)).cpu() for part in sdf.split(BATCH)])


def _surface_miss(found: Float[Tensor, "1 D H W"], target: Float[Tensor, "1 D H W"], spec: GridSpec) -> float | None:
    first, second = surface(found, spec), surface(target, spec)
    return None if first is None or second is None else surface_distance(first, second)


# Samples as a set.


def measure_generation(prior: DrawsGrids, truth: Truth, sample: Sample, num: int, seed: int) -> dict[str, Row]:
    """Samples of the prior against recorded grasps of `truth.split`, and three sets that put the numbers in proportion.

    The samples take the sentences of recorded grasps; `recorded` are those grasps, `reconstructed` the same through
    the prior's latents and fields (where it has such), and `training` are grasps that it was trained with. `num` of
    each at most: half of the recorded grasps that there are.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = truth.draw(truth.split, 2 * num, generator)
    half = min(num, len(drawn) // 2)
    if half < 2:
        raise HopriorError(
            f"split '{truth.split}' has {len(drawn)} recorded grasps to compare with: 4 are the least, and a comparison"
            " that says something takes 128 or more"
        )
    reference, recorded = drawn[:half], drawn[half : 2 * half]
    sets = {
        "generated": sample(recorded.sentences, seed),
        **({"reconstructed": decoded(prior, recorded)} if isinstance(prior, EncodesGrids) else {}),
        "recorded": as_interactions(prior, recorded),
    }
    if truth.split != "train":
        sets["training"] = as_interactions(prior, truth.draw("train", half, generator))
    against = measure_set(as_interactions(prior, reference), truth.hand)
    within = chamfer_distances(against.clouds), joint_distances(against.joints_hand, against.joints_hand)
    rows = {}
    for name, grids in sets.items():
        measured = measure_set(grids, truth.hand)
        rows[name] = {**measured.row, **compare(measured, against, *within)}
    return rows


def measure_set(grids: InteractionGrid, hand: HandModel) -> Measured:
    """What a set of interactions says by itself: hands that can be human, objects that are whole, and their overlap."""
    volumes = inside_volumes(grids.object_sdf, grids.spec)
    empty = volumes < EMPTY
    clouds = surface_clouds(grids.object_sdf, grids.spec, CLOUD_POINTS)
    clouds[empty] = torch.nan
    parts = largest_part_shares(grids.object_sdf)[~empty]
    hands = hand_validity(grids.joints_hand, hand)
    overlap = intersection_volumes(hands.verts_hand, hand.faces, grids.object_sdf, grids.spec)
    row: Row = {
        "samples": float(len(volumes)),
        "bones_in_range": float(hands.bones_in_range.mean()),
        "flexion_excess_deg": float(torch.rad2deg(hands.flexion_excess).mean()),
        "ik_residual_mm": 1000 * float(hands.ik_residual.mean()),
        "volume_cm3": float(overlap.mean()),
        "empty": float(empty.float().mean()),
        "fragmented": float((parts < WHOLE).float().mean()) if len(parts) else None,
    }
    return Measured(clouds, grids.joints_hand, row)


def compare(
    measured: Measured,
    reference: Measured,
    reference_objects: Float[Tensor, "r r"],
    reference_hands: Float[Tensor, "r r"],
) -> Row:
    """Coverage, matching distance and nearest-neighbour accuracy of objects and of hands against a reference.

    Args:
        reference_objects, reference_hands: distances within the reference.
    """
    objects = chamfer_distances(measured.clouds, reference.clouds)
    hands = joint_distances(measured.joints_hand, reference.joints_hand)
    matching = minimum_matching_distance(objects)
    own_objects = chamfer_distances(measured.clouds)
    own_hands = joint_distances(measured.joints_hand, measured.joints_hand)
    return {
        "coverage_object": coverage(objects),
        "mmd_object_cm2": 1e4 * matching if matching < torch.inf else None,
        "nna_object": nearest_neighbour_accuracy(own_objects, objects, reference_objects),
        "coverage_hand": coverage(hands),
        "mmd_hand_cm": 100 * minimum_matching_distance(hands),
        "nna_hand": nearest_neighbour_accuracy(own_hands, hands, reference_hands),
    }


# Text.


def measure_families(prior: DrawsGrids, truth: Truth, sample: Sample, num: int, seed: int) -> dict[str, Row]:
    """Are generated objects what the text names? By the nearest of the training objects' recorded grids.

    The distance is the mean absolute difference of truncated distances in the hand's frame. `held out` is what the
    same classifier makes of recorded grasps of held-out objects whose family it knows.
    """
    generator = torch.Generator().manual_seed(seed)
    references = truth.grasps["train"].draw_each(REFERENCES, generator)
    references = references[_at_most(references.families, REFERENCES, generator)]
    known = set(references.families)
    prompts = references[evenly(references.families, num, generator)]
    unseen = truth.grasps["val"].draw_each(REFERENCES, generator)
    unseen = unseen[[k for k, family in enumerate(unseen.families) if family in known]]
    limit = prior.truncation
    probes = {
        "generated": (sample(prompts.sentences, seed).object_sdf, prompts.families),
        "held out": (unseen.object_sdf, unseen.families),
    }
    rows: dict[str, Row] = {}
    for name, (sdf, families) in probes.items():
        distances = mean_absolute_distances(sdf.clamp(-limit, limit), references.object_sdf.clamp(-limit, limit))
        if (row := recognised(distances, families, references.families)) is not None:
            rows[name] = row
    return rows


def recognised(distances: Float[Tensor, "n r"], families: Sequence[str], references: Sequence[str]) -> Row | None:
    """How many of n samples have a neighbour of their own family nearest; None of no samples."""
    found = recognition(distances, families, references)
    if found is None:
        return None
    return {
        "samples": float(len(families)),
        "families": float(len(set(families))),
        "references": float(len(references)),
        "accuracy": found.accuracy,
        "accuracy_low": found.low,
        "accuracy_high": found.high,
        "chance": found.chance,
    }


def measure_sizes(truth: Truth, sample: Sample, num: int, seed: int) -> dict[str, Row]:
    """Do "small" and "large" change the grip and the object? `num` // 2 pairs of samples, each from the same noise.

    Families are those that the data name with sizes, or all where it names none. The rows `recorded` are the same of
    people's grasps, all splits, at most `REFERENCES` of an object.
    """
    everything = [category for grasps in truth.grasps.values() for category in grasps.categories]
    sized = sorted({family_of(category) for category in everything if size_of(category)})
    families = sized or sorted(set(everything))
    generator = torch.Generator().manual_seed(seed)
    turns = [families[k] for k in torch.randperm(len(families), generator=generator).tolist()]
    names = [turns[k % len(turns)] for k in range(num // 2)]
    groups = [sample([sentence(f"{size} {name}") for name in names], seed) for size in ("small", "large")]
    rows = _size_rows("generated", [grip_and_size(group) for group in groups], paired=True)
    recorded = [_recorded_of_size(truth, size, seed) for size in ("small", "large")]
    if all(recorded):
        rows |= _size_rows("recorded", [grip_and_size(joined(group)) for group in recorded], paired=False)
    return rows


def grip_and_size(grids: InteractionGrid) -> dict[str, Float[Tensor, " n"]]:
    """Distance of the tips of thumb and index finger, and the diameter of the ball of the object's volume; cm."""
    thumb, index = (grids.joints_hand[:, JOINT_NAMES.index(f"{finger}_tip")] for finger in ("thumb", "index"))
    diameter = (6 / torch.pi * inside_volumes(grids.object_sdf, grids.spec)) ** (1 / 3)
    return {"grip aperture": 100 * (thumb - index).norm(dim=1), "object size": 100 * diameter}


def _recorded_of_size(truth: Truth, size: str, seed: int) -> list[InteractionGrid]:
    generator = torch.Generator().manual_seed(seed)
    found = []
    for grasps in truth.grasps.values():
        wanted = [category for category in grasps.categories if size_of(category) == size]
        if wanted:
            drawn = grasps.draw_each(REFERENCES, generator, wanted)
            found.append(InteractionGrid(drawn.object_sdf, drawn.joints_hand, grasps.spec))
    return found


def _size_rows(name: str, groups: Sequence[Mapping[str, Float[Tensor, " n"]]], paired: bool) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for quantity in groups[0]:
        small, large = (group[quantity] for group in groups)
        if not bool(torch.cat([small, large]).isfinite().all()):
            continue  # a field of 15 channels holds no fingertips
        found = effect(small, large, paired=paired)
        rows[f"{quantity}, {name}"] = {
            "small_samples": float(len(small)),
            "large_samples": float(len(large)),
            "small_cm": float(small.mean()),
            "large_cm": float(large.mean()),
            "cohens_d": found.d if found else None,
            "d_low": found.low if found else None,
            "d_high": found.high if found else None,
        }
    return rows


def evenly(labels: Sequence[str], num: int, generator: torch.Generator) -> Int[Tensor, " num"]:
    """Indices of `num` items, their labels taking turns in a random order; items repeat when they run out."""
    order = torch.randperm(len(labels), generator=generator).tolist()
    members: dict[str, list[int]] = {}
    for k in order:
        members.setdefault(labels[k], []).append(k)
    turns = list(members.values())
    picked = [turns[k % len(turns)][(k // len(turns)) % len(turns[k % len(turns)])] for k in range(num)]
    return torch.tensor(picked, dtype=torch.long)


def _at_most(labels: Sequence[str], num: int, generator: torch.Generator) -> list[int]:
    """Indices of at most `num` items with the same label, drawn at random."""
    taken: dict[str, list[int]] = {}
    for k in torch.randperm(len(labels), generator=generator).tolist():
        taken.setdefault(labels[k], []).append(k)
    return sorted(k for items in taken.values() for k in items[:num])


def _mean(rows: Sequence[Row], totals: Sequence[str]) -> Row:
    """Mean of each column over the rows that have it; sums of `totals`."""
    result: Row = {}
    for name in rows[0]:
        values = [value for row in rows if (value := row[name]) is not None]
        total = sum(values)
        result[name] = None if not values else total if name in totals else total / len(values)
    return result
