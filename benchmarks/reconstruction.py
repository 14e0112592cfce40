"""The benchmark of reconstruction: twelve clips, two of each of six kinds of object, with and without the prior.

    python benchmarks/reconstruction.py film OUT [--frames 30]
    python benchmarks/reconstruction.py run OUT [--preset fast] [--without]    (goes on where it stopped)
    python benchmarks/reconstruction.py run OUT --pose     (the pose prior guides the hands, beside the others)
    python benchmarks/reconstruction.py run OUT --video    (from the pictures and masks alone: the landmarker's hands)
    python benchmarks/reconstruction.py table OUT
    python benchmarks/reconstruction.py mouths OUT         (where the prior of shapes takes the carved objects' mouths)
    python benchmarks/reconstruction.py rough OUT          (films six clips as people film, and more with --clips)
    python benchmarks/reconstruction.py real OUT --folders CLIP ...   (clips with a known truth, a row each, and means)
    python benchmarks/reconstruction.py known OUT          (the objects' meshes are given: how far their poses are off)
    python benchmarks/reconstruction.py stand-ins OUT      (things of their kind take the objects' place)
    python benchmarks/reconstruction.py calibration OUT    (films and reconstructs what trust is calibrated on)
    python benchmarks/reconstruction.py trust OUT [--refit]   (how often what is called good is good; trust's constants)

Without --clips the twelve are filmed; `film OUT --clips mug_11 frying-pan_11` films others, of any family and number.

The kinds are those of HOI4D that G-HOP reports, as far as hoprior has families for them (a camera stands for the toy
car). Objects and grasps are made with seeds that no prior was trained on; the hands' shapes, the motion, the cameras
and all errors are drawn, too. Seconds are the processor's.
"""

import argparse
import json
import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trust as trust_bench

from hoprior.common.io import strict_json, write_atomically, write_folder
from hoprior.datasets.clips.clip import Clip, read_clip
from hoprior.datasets.clips.files import frame_picture, pictures
from hoprior.datasets.clips.film import FilmConfig, film
from hoprior.datasets.clips.scene import procedural_scene
from hoprior.datasets.clips.truth import mask_overlaps, measure
from hoprior.datasets.clips.video import read_video_clip
from hoprior.errors import HopriorError
from hoprior.evaluation.reconstruction import COLUMNS
from hoprior.hand import load_hand
from hoprior.language.phrases import sentence_for
from hoprior.priors.registry import load_prior
from hoprior.priors.text_encoders import encode_texts
from hoprior.tasks.reconstruct.cavity import filmed
from hoprior.tasks.reconstruct.config import PRESETS
from hoprior.tasks.reconstruct.fit import Fit
from hoprior.tasks.reconstruct.of_kind import examples_of
from hoprior.tasks.reconstruct.task import DEFAULT_PRIORS, reconstruct, result_of
from hoprior.vision.video import write_video

KINDS = ("mug", "bottle", "bowl", "knife", "teapot", "camera")
NUMBERS = (101, 102)
ROUGH_KINDS = ("mug", "bottle", "bowl", "hammer", "teapot", "camera")
"""Kinds that are filmed as people film: two of them are round vessels, one is long, two are of several parts."""
ROUGH_NUMBER = 201
STEPS = ("film", "rough", "run", "table", "mouths", "real", "known", "stand-ins", "calibration", "trust")
PRIORS = {"with": DEFAULT_PRIORS, "without": (), "pose": (*DEFAULT_PRIORS, (1.0, "pose"))}


def film_all(out: Path, frames: int, clips: list[str]) -> None:
    """Films what is not there yet."""
    hand = load_hand()
    for name in clips or [f"{kind}_{number}" for kind in KINDS for number in NUMBERS]:
        folder, (kind, number) = out / "clips" / name, name.rsplit("_", 1)
        if folder.exists():
            continue
        scene = procedural_scene(kind.replace("-", " "), int(number), frames, hand)
        write_folder(folder, lambda place, s=scene, n=int(number): film(s, hand, place, FilmConfig(seed=n)))
        print(folder, flush=True)


def rough_film(kind: str, number: int) -> tuple[dict[str, float], FilmConfig]:
    """How a thing is filmed as people film: turns and slips of the scene, and the film's faults, drawn by the number.

    Slips are of 8 to 20 degrees and of about as many millimetres; one clip in three hardly turns.
    """
    rng = np.random.default_rng([number, sum(map(ord, kind))])
    moved = {"turn": float(rng.choice([25.0, 70.0, 120.0])), "slip": float(rng.uniform(8, 20))}
    errors = FilmConfig(
        seed=number,
        mask_noise=float(rng.integers(1, 4)),
        mask_faults=float(rng.uniform(0, 0.3)),
        missing=float(rng.choice([0.0, 0.1])),
        missing_hands=float(rng.uniform(0, 0.35)),
        cut=float(rng.choice([0.0, 0.3])),
    )
    return moved, errors


def film_rough(out: Path, frames: int, clips: list[str]) -> None:
    """Films things as people film them: masks off, pieces missing, slips, flat views, edges, hands lost."""
    hand = load_hand()
    for name in clips or [f"{kind}_{ROUGH_NUMBER}" for kind in ROUGH_KINDS]:
        folder, (kind, number) = out / "clips" / name, name.rsplit("_", 1)
        if folder.exists():
            continue
        moved, errors = rough_film(kind, int(number))
        scene = procedural_scene(kind.replace("-", " "), int(number), frames, hand, **moved)
        write_folder(folder, lambda place, s=scene, e=errors: film(s, hand, place, e))
        print(folder, {key: round(value, 1) for key, value in moved.items()}, errors, flush=True)


def filmed_as_video(folder: Path, video: Path) -> Clip:
    """A clip as a plain video shows it: pictures and masks, and nothing of hands or cameras; with its truth."""
    clip = read_clip(folder)
    if not video.exists():
        frames = [np.asarray(frame_picture(file).convert("RGB")) for file in pictures(folder / "image")]
        video.parent.mkdir(parents=True, exist_ok=True)
        write_video(video, frames, clip.fps)
    seen = read_video_clip(video, folder / "hand_mask", folder / "obj_mask", clip.text, clip.side, len(clip))
    return replace(seen, truth=clip.truth)


def run_all(out: Path, preset: str, priors: str, video: bool, clips: list[str]) -> None:
    """Reconstructs what has no result yet, and measures it."""
    # One of each kind first, so that what a stopped run has is of all kinds.
    for folder in sorted((out / "clips").iterdir(), key=lambda path: path.name.split("_")[::-1]):
        if clips and folder.name not in clips:
            continue
        name = f"{preset}_{priors}{'_video' if video else ''}"
        target = out / "results" / name / f"{folder.name}.json"
        if target.exists():
            continue
        began, wall = time.process_time(), time.perf_counter()
        clip = filmed_as_video(folder, out / "videos" / f"{folder.name}.mp4") if video else read_clip(folder)
        result = reconstruct(clip, priors=PRIORS[priors], preset=preset)
        found: dict[str, Any] = measure(result, clip) | {
            "trust": result.trust,
            "evidence": dict(result.evidence),
            "cpu_seconds": time.process_time() - began,
            "wall_seconds": time.perf_counter() - wall,
            "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        }
        write_atomically(target, lambda path, f=found: path.write_text(strict_json(f), encoding="utf-8"))
        result.save(out / "results" / name / folder.name, videos=False)
        told = {key: round(value, 3) for key, value in found.items() if isinstance(value, float)}
        print(name, folder.name, told, flush=True)


def calibrate(out: Path, frames: int, preset: str, clips: list[str]) -> None:
    """Films what trust is calibrated on, as far as it is not there, and reconstructs it."""
    hand = load_hand()
    for name in clips or [f"{kind}_{number}" for number in trust_bench.NUMBERS for kind in trust_bench.KINDS]:
        folder, (kind, number) = out / "clips" / name, name.rsplit("_", 1)
        if not folder.exists():
            moved, rough = rough_film(kind, int(number))
            moved = {} if trust_bench.is_clean(int(number)) else moved
            scene = procedural_scene(kind.replace("-", " "), int(number), frames, hand, **moved)
            errors = trust_bench.calibration_film(kind, int(number), rough)
            write_folder(folder, lambda place, s=scene, e=errors: film(s, hand, place, e))
        try:
            run_all(out, preset, "with", trust_bench.is_video(int(number)), [name])
        except HopriorError as error:
            print(f"{name}: {error}", flush=True)


def trusted(out: Path, refit: bool) -> None:
    """How often trust came true in all results that are there."""
    found = trust_bench.read_results(sorted((out / "results").iterdir()))
    trust_bench.trust_table(found)
    if refit:
        trust_bench.refit(found)


SUCCESS = 0.9
"""A clip is a success if its F10 is at least this."""
REAL_COLUMNS = (
    "f5",
    "f10",
    "cd_cm2",
    "cd_cm",
    "seen_cm2",
    "unseen_cm2",
    "mpjpe_cm",
    "motion_deg",
    "motion_cm",
    "mask_iou",
)


def real(folders: list[Path], preset: str, priors: str, frames: int) -> None:
    """Reconstructs clips whose truth is known; one that fails counts as none of a success."""
    rows: dict[str, dict[str, float]] = {}
    columns = [*REAL_COLUMNS, "mask_iou_min", "trust", "minutes"]
    print(f"| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}", flush=True)
    for folder in folders:
        began = time.process_time()
        try:
            clip = read_clip(folder, frames)
            result = reconstruct(clip, priors=PRIORS[priors], preset=preset)
        except HopriorError as error:
            print(f"| {folder.name} | failed: {error} |", flush=True)
            continue
        overlap = mask_overlaps(result, clip)
        told = {"mask_iou": float(np.nanmean(overlap)), "mask_iou_min": float(np.nanmin(overlap))}
        told["trust"] = float("nan") if result.trust is None else result.trust
        found = measure(result, clip) | told | {"minutes": (time.process_time() - began) / 60}
        rows[folder.name] = {column: found.get(column, float("nan")) for column in columns}
        print(f"| {folder.name} | {' | '.join(f'{found.get(c, np.nan):.3g}' for c in columns)} |", flush=True)
        print(f"  mask IoU of each frame: {' '.join(f'{value:.2f}' for value in overlap)}", flush=True)
        for note in result.notes:
            print(f"  {note}", flush=True)
    means = [np.nanmean([row[column] for row in rows.values()]) for column in columns] if rows else []
    print(f"| mean of {len(rows)} | {' | '.join(f'{mean:.3g}' for mean in means)} |")
    good = sum(row["f10"] >= SUCCESS for row in rows.values())
    print(f"success (F10 of {SUCCESS} and more): {good} of {len(folders)}")


KNOWN_COLUMNS = ("object_turn_deg", "object_shift_cm", "mask_iou", "minutes")
MAX_TURN_DEG, MAX_SHIFT_CM = 10.0, 1.0
"""A known object is found if it is off by no more than this."""


def known(folders: list[Path], preset: str, frames: int) -> None:
    """Finds the clips' own meshes in the hands, a row each, and means; one that fails is not found."""
    rows: list[list[float]] = []
    print(f"| | {' | '.join(KNOWN_COLUMNS)} |\n|---|{'---|' * len(KNOWN_COLUMNS)}", flush=True)
    for folder in folders:
        began = time.process_time()
        try:
            clip = read_clip(folder, frames)
            if clip.truth is None:
                raise HopriorError(f"{folder.name}: has no ground truth")
            result = reconstruct(clip, mesh=clip.truth.mesh, preset=preset)
        except HopriorError as error:
            print(f"| {folder.name} | failed: {error} |", flush=True)
            continue
        overlap, minutes = float(np.nanmean(mask_overlaps(result, clip))), (time.process_time() - began) / 60
        rows.append([*(result.metrics[column] for column in KNOWN_COLUMNS[:2]), overlap, minutes])
        print(f"| {folder.name} | {' | '.join(f'{value:.3g}' for value in rows[-1])} |", flush=True)
    for name, reduce in (("mean", np.mean), ("median", np.median)):
        print(f"| {name} of {len(rows)} | {' | '.join(f'{value:.3g}' for value in reduce(rows, axis=0))} |")
    found = sum(row[0] <= MAX_TURN_DEG and row[1] <= MAX_SHIFT_CM for row in rows)
    print(f"found (within {MAX_TURN_DEG:g} degrees and {MAX_SHIFT_CM:g} cm): {found} of {len(folders)}")


STAND_IN_COLUMNS = ("mask_iou", "mask_iou_min", "f5", "f10", "cd_cm2", "seconds")


def stand_ins(folders: list[Path], preset: str, frames: int) -> None:
    """Puts things of the kind in the objects' place, which are fitted no further; a row each, and means."""
    config, rows = replace(PRESETS[preset], steps=1), []
    print(f"| | {' | '.join(STAND_IN_COLUMNS)} |\n|---|{'---|' * len(STAND_IN_COLUMNS)}", flush=True)
    for folder in folders:
        began, clip = time.process_time(), read_clip(folder, frames)
        fit = Fit(clip, load_hand(clip.hand), (), None, config, stand_ins=examples_of(clip.text))
        fit.run()
        result = result_of(clip, fit)
        overlap, found = mask_overlaps(result, clip), measure(result, clip)
        seconds = time.process_time() - began
        rows.append([np.nanmean(overlap), np.nanmin(overlap), *(found[c] for c in STAND_IN_COLUMNS[2:-1]), seconds])
        print(f"| {folder.name} | {' | '.join(f'{value:.3g}' for value in rows[-1])} |", flush=True)
    print(f"| mean of {len(rows)} | {' | '.join(f'{value:.3g}' for value in np.mean(rows, axis=0))} |")


def mouths(out: Path, clips: list[str]) -> None:
    """How long the mouth is that the prior of shapes expects of carved objects, and how far from up as they stand."""
    prior: Any = load_prior("shape_completion")
    hand, config = load_hand(), replace(PRESETS["fast"], steps=1)
    told = ("all", "no hand", "no up", "neither", "no name")
    print(f"| length / degrees from +z | {' | '.join(told)} |\n|---|{'---|' * len(told)}")
    for folder in sorted((out / "clips").iterdir()):
        if clips and folder.name not in clips:
            continue
        clip = read_clip(folder)
        assert clip.truth is not None
        up = clip.truth.T_hand_object[len(clip) // 2, :3, 2]
        scene = Fit(clip, hand, (), None, config).run()
        row = []
        for what in told:
            known = filmed(scene)
            known = known._replace(joints=None) if what in ("no hand", "neither") else known
            known = known._replace(up=None) if what in ("no up", "neither") else known
            cond = encode_texts(prior, [sentence_for(None if what == "no name" else clip.text)])
            with torch.no_grad():
                mouth = prior.complete(scene.grid(scene.base), cond, known, mirrored=True).mouth.mean(dim=0)
            away = float(torch.rad2deg(torch.acos((mouth @ up / mouth.norm()).clamp(-1, 1))))
            row.append(f"{float(mouth.norm()):.2f} / {away:.0f}")
        print(f"| {folder.name} | {' | '.join(row)} |", flush=True)


def table(out: Path) -> None:
    """Means over the clips that every run has."""
    runs = {
        folder.name: {f.stem: json.loads(f.read_text()) for f in folder.glob("*.json")}
        for folder in sorted((out / "results").iterdir())
    }
    shared = sorted(set.intersection(*(set(run) for run in runs.values())))
    columns = [*COLUMNS, "cpu_seconds", "peak_gb"]
    print(f"{len(shared)} clips: {', '.join(shared)}\n\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, run in runs.items():
        means = [np.mean([run[clip][column] for clip in shared]) for column in columns]
        print(f"| {name} | {' | '.join(f'{mean:.3g}' for mean in means)} |")
    for clip in shared:
        for name, run in runs.items():
            print(f"| {clip}, {name} | {' | '.join(f'{run[clip][column]:.3g}' for column in columns)} |")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--without", action="store_true", help="without any prior")
    parser.add_argument("--pose", action="store_true", help="with the pose prior, too")
    parser.add_argument("--video", action="store_true", help="as a plain video, with the clip's masks")
    parser.add_argument("--refit", action="store_true", help="for the step trust: make its constants anew")
    parser.add_argument("--clips", nargs="*", default=[], help="only these")
    parser.add_argument("--folders", nargs="*", type=Path, default=[], help="of clips: real, known, stand-ins")
    arguments = parser.parse_args()
    if arguments.step == "film":
        film_all(arguments.out, arguments.frames, arguments.clips)
    elif arguments.step == "rough":
        film_rough(arguments.out, arguments.frames, arguments.clips)
    elif arguments.step in ("real", "known", "stand-ins"):
        folders = arguments.folders or sorted((arguments.out / "clips").iterdir())
        if arguments.step == "real":
            real(folders, arguments.preset, "without" if arguments.without else "with", arguments.frames)
        else:
            judged = known if arguments.step == "known" else stand_ins
            judged(folders, arguments.preset, arguments.frames)
    elif arguments.step == "run":
        priors = "without" if arguments.without else "pose" if arguments.pose else "with"
        run_all(arguments.out, arguments.preset, priors, arguments.video, arguments.clips)
    elif arguments.step == "calibration":
        calibrate(arguments.out, arguments.frames, arguments.preset, arguments.clips)
    elif arguments.step == "trust":
        trusted(arguments.out, arguments.refit)
    elif arguments.step == "mouths":
        mouths(arguments.out, arguments.clips)
    else:
        table(arguments.out)


if __name__ == "__main__":
    main()
