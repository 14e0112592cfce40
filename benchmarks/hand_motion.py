"""How near the motion of a video's hand is to the truth, beside each frame's sighting with straight lines between them.

    python benchmarks/hand_motion.py CLIP ... [--lost 0.3]

CLIPs are folders with a truth, as `benchmarks/reconstruction.py film` or `hoprior data render-clip` write them, or as
G-HOP has them. Their pictures are taken as a video: nothing else of them is shown. `--lost` leaves out the sightings of
such a share of the frames, in spells, as of a hand that moves fast. Joints are beside the wrist, in the camera's axes.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.stats import spearmanr

from hoprior.datasets.clips.clip import read_truth
from hoprior.datasets.clips.files import frame_picture, pictures, read_settings
from hoprior.datasets.clips.film import spells
from hoprior.hand import HandPose, load_hand
from hoprior.hand.motion import MotionConfig
from hoprior.hand.steadiness import filled, follows
from hoprior.metrics.reconstruction import joint_errors
from hoprior.priors.posture import LikelyPosture
from hoprior.priors.registry import load_prior
from hoprior.vision.following import follow_hand
from hoprior.vision.hand_track import motion_of

COLUMNS = ("seen_mm", "filled_mm", "pa_seen_mm", "pa_filled_mm", "acceleration", "rank")
WAYS = ("each frame alone", "motion, no prior", "motion")
MM_PER_M, MM_PER_CM = 1000.0, 10.0


def errors(
    joints: Float[np.ndarray, "n 21 3"], truth: Float[np.ndarray, "n 21 3"], seen: Bool[np.ndarray, " n"], fps: float
) -> dict[str, float]:
    """Mean errors (mm) in frames with and without a sighting, raw and after a similarity; of acceleration (m/s²)."""
    beside, true = joints - joints[:, :1], truth - truth[:, :1]
    off = MM_PER_M * np.linalg.norm(beside - true, axis=-1).mean(axis=1)
    fitted = [MM_PER_CM * joint_errors(a[None], b[None]).mpjpe_pa_cm for a, b in zip(joints, truth, strict=True)]
    wrong = np.diff(beside - true, n=2, axis=0) * fps**2
    parts = {"seen_mm": (off, seen), "filled_mm": (off, ~seen)}
    parts |= {"pa_seen_mm": (np.array(fitted), seen), "pa_filled_mm": (np.array(fitted), ~seen)}
    found = {name: float(values[chosen].mean()) if chosen.any() else np.nan for name, (values, chosen) in parts.items()}
    return found | {"acceleration": float(np.linalg.norm(wrong, axis=-1).mean())}


def measure(folder: Path, lost: float, posture: LikelyPosture) -> tuple[int, dict[str, dict[str, float]]]:
    """Sightings that count, and the columns of each way."""
    images = [np.asarray(frame_picture(file).convert("RGB")) for file in pictures(folder / "image")]
    settings, truth = read_settings(folder / "clip.json", None, None), read_truth(folder, len(images))
    assert truth is not None, f"{folder} has no truth"
    turn, place = truth.T_camera_hand[:, :3, :3], truth.T_camera_hand[:, None, :3, 3]
    true = (truth.joints_hand @ turn.mT + place).numpy()
    right = load_hand("open", "right")
    model = right if settings.side == "right" else right.mirrored()
    found = follow_hand(images, settings.side, model)
    gone = spells(len(images), lost, np.random.default_rng(len(folder.name))) > 0
    found = [None if away else one for one, away in zip(found, gone, strict=True)]
    seconds = np.arange(len(images)) / settings.fps
    nan = HandPose(*(torch.full((len(images), *size), torch.nan) for size in ((15, 3), (10,), (3,), (3,))))
    for k, one in enumerate(found):
        if one is not None:
            for name in ("hand_pose", "betas", "global_orient", "transl"):
                getattr(nan, name)[k] = getattr(one.pose, name)[0]
    kept = follows(nan, seconds)
    pose, _ = filled(
        HandPose(
            *(
                torch.where(torch.from_numpy(kept).view(-1, *[1] * (part.ndim - 1)), part, torch.nan)
                for part in (nan.hand_pose, nan.betas, nan.global_orient, nan.transl)
            )
        )
    )
    alone = model.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl).numpy()
    rows = {WAYS[0]: errors(alone, true, kept, settings.fps)}
    for way, likely in zip(WAYS[1:], (None, posture), strict=True):
        track = motion_of(found, seconds, settings.side, right, (), likely)
        rows[way] = errors(track.joints, true, kept, settings.fps)
        off = np.linalg.norm((track.joints - track.joints[:, :1]) - (true - true[:, :1]), axis=-1)
        rows[way]["rank"] = float(spearmanr(track.spread[:, 1:].ravel(), off[:, 1:].ravel()).statistic)
    return int(kept.sum()), rows


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--lost", type=float, default=0.0, help="share of the frames whose sightings are left out")
    arguments = parser.parse_args()
    posture = LikelyPosture([(1.0, load_prior("pose"))], [None], MotionConfig().posture)
    every: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    print(f"| | way | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}", flush=True)
    for folder in arguments.clips:
        count, rows = measure(folder, arguments.lost, posture)
        for way, row in rows.items():
            every[way].append(row)
            shown = " | ".join(f"{row.get(column, np.nan):.3g}" for column in COLUMNS)
            print(f"| {folder.name}, {count} seen | {way} | {shown} |", flush=True)
    for way, rows_of in every.items():
        means = [np.nanmean([row.get(column, np.nan) for row in rows_of] or [np.nan]) for column in COLUMNS]
        print(f"| mean of {len(rows_of)} | {way} | {' | '.join(f'{mean:.3g}' for mean in means)} |")


if __name__ == "__main__":
    main()
