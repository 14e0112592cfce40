"""Hard negatives for a contrastive prior: the placements that it would choose itself, on objects it has not seen.

Noise-contrastive estimation (Gutmann and Hyvaerinen 2010) learns most from noise that is close to the data. A plain
optimiser's grasps are soon told from people's; what a search with the prior ends with is not. So the objects are
divided into folds, a prior is trained without each fold, and what it likes best there joins the background grasps. A
prior trained on these knows its own mistakes; a second round finds the ones that are left.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.run_key import RunKey, digest, say_start
from hoprior.datasets.samples.cache import (
    Shard,
    is_whole,
    read_index,
    read_shard,
    shard_name,
    why_anew,
    write_index,
    write_shard,
)
from hoprior.datasets.samples.sample import GraspSet, concatenate
from hoprior.datasets.samples.seeding import generator_of
from hoprior.datasets.samples.skin import posed_set
from hoprior.datasets.training.held_out import shuffled
from hoprior.errors import HopriorError
from hoprior.geometry.isosurface import extract_surface
from hoprior.geometry.rest_pose import rest_poses
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState
from hoprior.hand import fit_joints, load_hand
from hoprior.hand.placement import LocalSearchConfig, diverse_best, hill_climb, random_placements

logger = logging.getLogger(__name__)

JUDGED_AT_ONCE = 256

TrainWithout = Callable[[Path, Sequence[str]], Any]
"""Trains a prior on a cache without some objects, and returns it; it must have `placement_energy`."""


@dataclass(frozen=True)
class MiningConfig:
    """How negatives are mined.

    folds: parts of the objects; the prior that judges one has been trained on the others.
    pool: random placements of each object.
    num, spacing: how many of them are kept, the best that are so far apart (m, mean over joints).
    climbs: how often these then go to better ones near them, as a search does.
    sources: whose objects get negatives; those of all where None.
    seed: of everything random.
    """

    folds: int = 3
    pool: int = 4096
    num: int = 160
    spacing: float = 0.01
    climbs: int = 2
    sources: tuple[str, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise HopriorError(f"--folds is {self.folds}: at least 2, since no prior may judge objects it has seen")
        if not 1 <= self.num <= self.pool:
            raise HopriorError(f"--num is {self.num}: it must be from 1 to the {self.pool} placements of --pool")


@dataclass(frozen=True)
class Mined:
    """One object done, of how many, and whether it was there already."""

    done: int
    total: int
    object_key: str
    reused: bool


@torch.no_grad()
def mine_object(prior: Any, shard: Shard, config: MiningConfig, name: str) -> GraspSet:
    """The placements of an object that a prior likes best, with the fingers it expects there, as background grasps."""
    sdf = SdfGrid(shard.sdf.values.float(), shard.sdf.lower, shard.sdf.upper)
    x, y, z = sdf.lower.tolist()
    mesh = extract_surface(sdf.values.numpy(), (x, y, z), sdf.cell)
    generator = generator_of(config.seed, name, shard.grasps.object.key)
    placements, rest, hand = random_placements(mesh, config.pool, generator), rest_poses(mesh), load_hand()
    relaxed = hand.joints_only(hand.angles_to_pose(hand.relaxed_angles[None]))

    def judge(placements: Float[Tensor, "n 4 4"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 21 3"]]:
        parts = [
            prior.placement_energy(HandObjectState(sdf, part, relaxed.expand(len(part), -1, -1), rest))
            for part in placements.split(JUDGED_AT_ONCE)
        ]
        energy, joints = (torch.cat(column) for column in zip(*parts, strict=True))
        return -energy, joints

    score, joints = judge(placements)
    best = diverse_best(score, placements, joints, config.num, config.spacing)
    placements, _ = hill_climb(
        placements[best], score[best], lambda T: judge(T)[0], LocalSearchConfig(config.climbs), generator
    )
    joints = judge(placements)[1]
    angles = hand.pose_to_angles(fit_joints(hand, joints).pose.hand_pose)
    return posed_set(shard.grasps.object, hand, angles, placements, recorded=False, sequences=(name,), subject="prior")


def folds_of(keys: Sequence[str], folds: int) -> list[list[str]]:
    """The objects in as many parts, alike in size, whatever their order."""
    ranked = shuffled(keys)
    return [ranked[k::folds] for k in range(folds)]


def mine_round(
    cache: Path,
    out: Path,
    train_without: TrainWithout,
    config: MiningConfig,
    name: str,
    training: Mapping[str, Any] | None = None,
    say: Callable[[str], object] = logger.info,
) -> Iterator[Mined]:
    """Copies a cache to another folder, its objects with mined negatives besides; yields after every object.

    Objects that are done from the same cache by the same training are kept, so a run that was killed goes on where it
    stopped. The index comes last: a folder
    without one is not finished.

    Args:
        cache: a finished cache, of `hoprior data prepare` or of an earlier round.
        out: the new cache's folder.
        train_without: trains the prior that judges a fold.
        name: of the round, as the negatives' sequence.
        training: what `train_without` follows from besides the cache, by names for people: "the steps" ...
        say: told how much of an earlier run is kept, and why the rest is not; the log if not given.

    Raises:
        HopriorError: the cache is missing or damaged, a source is not in it, or the folder cannot be written.
    """
    entries = {entry["object"]: entry for entry in read_index(cache)}
    present = {entry["source"] for entry in entries.values()}
    if unknown := set(config.sources or ()) - present:
        raise HopriorError(f"--sources names {', '.join(sorted(unknown))}, but {cache} has only {sorted(present)}")
    mined = [key for key, e in entries.items() if config.sources is None or e["source"] in config.sources]
    folds = [sorted(set(entries) - set(mined)), *folds_of(mined, config.folds)]
    keys: dict[str, RunKey] = {}
    for fold in folds:
        learnt_from = sorted(entry["file"] for key, entry in entries.items() if key not in fold)
        for key in fold:
            made_of = {"the object's grasps": entries[key]["file"], "the round": name}
            if key in mined:
                made_of |= {"the settings": config, "the other objects": learnt_from, **(training or {})}
            keys[key] = RunKey.of(made_of)
    whole = {key for key in keys if is_whole(out / _file(key, keys[key]))}
    reasons = Counter(why_anew(out, key, made_of) for key, made_of in keys.items() if key not in whole)
    say_start(say, len(whole), len(keys), reasons, "objects")
    listed: list[dict[str, Any]] = []
    for fold in folds:
        prior = None
        for key in fold:
            if key not in whole:
                shard = read_shard(cache / entries[key]["file"])
                grasps = shard.grasps
                if key in mined:
                    # Trained only when the first object of its fold asks for it.
                    prior = train_without(cache, fold) if prior is None else prior
                    grasps = concatenate([grasps, mine_object(prior, shard, config, name)])
                write_shard(out, Shard(digest(keys[key].plain()), shard.sdf, grasps, keys[key]))
            added = config.num if key in mined else 0
            background = entries[key]["background"] + added
            listed.append(entries[key] | {"file": _file(key, keys[key]), "background": background})
            yield Mined(len(listed), len(entries), key, key in whole)
    write_index(out, sorted(listed, key=lambda entry: entry["object"]))


def _file(key: str, made_of: RunKey) -> str:
    return shard_name(key, digest(made_of.plain()))
