"""A hand through a video: `hoprior.refine_video(...)` and `hoprior run refine --video`.

What the landmarker sees in each frame becomes the most likely motion of one hand with one shape, under a prior of hand
poses (`hoprior.vision.hand_track`, `hoprior.hand.motion`), through frames in which the hand is not seen.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.compute import torch_device
from hoprior.common.console import Progress
from hoprior.datasets.clips.video import chosen_frames
from hoprior.errors import ArgumentError, HopriorError
from hoprior.geometry.camera import project
from hoprior.hand import HandModel
from hoprior.hand.motion import MotionConfig
from hoprior.hand.pose import mirror_points
from hoprior.hand.shape import Betas, HandShape
from hoprior.language.phrases import sentence_for
from hoprior.priors.posture import LikelyPosture
from hoprior.priors.protocols import text_encoder_of
from hoprior.priors.text_encoders import encode_texts
from hoprior.results.folder import package_versions
from hoprior.results.motions import HandMotion
from hoprior.tasks.shared import (
    NamedPrior,
    Priors,
    check_side,
    check_told,
    load_priors,
    priors_as_config,
    reads_pose_alone,
    right_hand,
)
from hoprior.vision.following import UNSURE, choose_hand
from hoprior.vision.hand_track import HandTrack, track_hand
from hoprior.vision.video import video_info

MM_PER_M = 1000.0
MAX_FRAMES = 240
GUESSED = "focal length unknown: distance to the camera is a guess"
TOLD_SHAPE = 0.05
"""Standard deviations by which a hand may differ from the shape that was told."""
DEFAULT_PRIORS: Priors = ((1.0, "pose"),)


def refine_video(
    video: str | Path,
    text: str | None = None,
    *,
    priors: Priors = DEFAULT_PRIORS,
    hand: str | HandModel = "open",
    side: str = "auto",
    hand_length: str | float | None = None,
    betas: Betas | None = None,
    seed: int = 0,
    device: str = "auto",
    config: MotionConfig | None = None,
    progress: Progress | None = None,
    focal: float | None = None,
    max_frames: int = MAX_FRAMES,
) -> HandMotion:
    """The motion of one hand of a video: smooth, of one shape, and filled in where the hand is not seen.

    Args:
        video: a file of any format that ffmpeg reads; frames of a changing rate are taken evenly in time.
        text: what the hand does, "a hand drinking from a mug", for priors that listen.
        priors: weights and priors that judge how hands are bent; none at all for smoothness and joint limits alone.
        hand: "open" or "mano", or a hand's model.
        side: "right" or "left" says which hand is followed; "auto" follows the one that is seen most surely.
        hand_length: whose hand it is: from the wrist to the middle finger's tip, "16.5cm" or metres; an average hand's
            without, as far as nothing else is seen.
        betas: or its shape in the hand model's own coefficients, up to ten, "1,-0.5" or numbers.
        seed: the same seed gives the same motion.
        device: where the priors compute: "auto", "cpu", "cuda" ...
        config: how sure sightings are, and how hands move.
        progress: told the stage and the share of the work that is done.
        focal: pixels of the video as it is read (at most 1280 a side); without it a view of 53 degrees is taken.
        max_frames: more frames are thinned out evenly.

    Returns:
        The hand in every frame, with how sure each joint is, and which frames show it.

    Raises:
        HopriorError: the video cannot be read, shows no such hand, or a prior or an argument cannot be used.

    Example:
        >>> import hoprior
        >>> motion = hoprior.refine_video("clip.mp4", side="right")  # doctest: +SKIP
        >>> motion.joints.shape, motion.seen.sum(), motion.uncertainty_mm.mean()  # doctest: +SKIP
        >>> motion.save("out")  # doctest: +SKIP
    """
    check_side(side, "auto")
    check_told(None, seed)
    if max_frames < 2:
        raise ArgumentError("max_frames", max_frames, "is too few: use at least 2")
    began, path = time.perf_counter(), Path(video)
    config, tell = config or MotionConfig(), progress or (lambda stage, share: None)
    tell("reading the video", 0.0)
    info = video_info(path)
    if info.frames == 1:
        raise HopriorError(f"{path}: holds one frame, where motion takes two: save it as a photo, and give --image")
    numbers, images, whole = chosen_frames(path, max(info.frames, 1), max_frames, even=True)
    seconds = np.asarray(numbers) / max(info.fps, 1e-3)
    read = time.perf_counter()
    tell("finding the hand", 0.1)
    chosen = choose_hand(images, side)
    shape = HandShape(hand_length, betas)
    model = right_hand(hand, chosen.side, shape)
    if hand_length is not None or betas is not None:
        config = replace(config, shape=min(config.shape, TOLD_SHAPE))
    chosen_device = torch_device(device)
    posture = posture_of(load_priors(priors, "reconstruct", chosen_device), text, config, seed)
    track = track_hand(
        images,
        seconds,
        chosen.side,
        model,
        focal=focal,
        posture=posture,
        config=config,
        progress=lambda share: tell("following the hand", 0.2 + 0.7 * share),
    )
    tell("drawing", 0.9)
    notes = [] if len(numbers) == whole else [f"{len(numbers)} of {whole} frames are used"]
    if chosen.others:
        notes.append(
            f"another hand is seen in {chosen.others} of {chosen.asked} frames that were looked at: the"
            f" {chosen.side} one is followed (--side)"
        )
    if chosen.balance < UNSURE:
        notes.append(f"unsure whether it is a right or a left hand: taken for a {chosen.side} one, --side says it")
    notes += [] if focal else [GUESSED]
    return replace(
        _motion(track, model, images, numbers, seconds),
        name=path.stem,
        fps=info.fps * len(numbers) / max(whole, 1),
        text=text,
        source=str(path),
        notes=(*notes, *track.notes),
        seed=seed,
        config={
            "task": "refine",
            "video": str(path),
            "text": text,
            "priors": priors_as_config(priors),
            "hand": model.name,
            "hand_origin": model.origin(chosen.side),
            "side": side,
            "focal": focal,
            "max_frames": max_frames,
            "seed": seed,
            "device": str(chosen_device),
            "motion": asdict(config),
        },
        versions=package_versions(),
        timings={"read": read - began, "follow": time.perf_counter() - read},
    )


def posture_of(terms: Sequence[NamedPrior], text: str | None, config: MotionConfig, seed: int) -> LikelyPosture | None:
    """What pulls fingers to likely postures, of priors that look at nothing but how fingers are bent.

    Raises:
        HopriorError: one looks at more.
    """
    for one in terms:
        if not reads_pose_alone(one.prior):
            raise HopriorError(
                f"prior '{one.name}' looks at more than how a hand is bent, and a video has nothing else to show it:"
                " use pose, or another prior of hand poses"
            )
    conds: list[Float[Tensor, "1 tokens dim"] | None] = []
    for one in terms:
        heard = bool(text and text.strip()) and text_encoder_of(one.prior) is not None
        device = one.prior.alphas_cumprod.device if hasattr(one.prior, "alphas_cumprod") else "cpu"
        conds.append(encode_texts(one.prior, [sentence_for(text)], device=device) if heard else None)
    used = [(one.weight, one.prior) for one in terms]
    return LikelyPosture(used, conds, config.posture, seed) if used else None


def _motion(
    track: HandTrack, right: HandModel, images: list[np.ndarray], numbers: list[int], seconds: np.ndarray
) -> HandMotion:
    """A track with its skin, in arrays."""
    is_left = track.side == "left"
    posed = track.pose.mirrored() if is_left else track.pose
    verts = right(posed.hand_pose, posed.betas, posed.global_orient, posed.transl).verts
    pose, K = track.pose, torch.from_numpy(track.K)
    return HandMotion(
        name="",
        side=track.side,
        hand=right.name,
        frame=np.asarray(numbers),
        seconds=np.asarray(seconds, dtype=float),
        seen=track.seen,
        lost=track.lost,
        hand_pose=pose.hand_pose.numpy(),
        betas=(pose.betas + right.betas).numpy(),
        global_orient=pose.global_orient.numpy(),
        transl=pose.transl.numpy(),
        joints=track.joints,
        uv=project(torch.from_numpy(track.joints), K[None]).numpy(),
        sighted_uv=track.keypoints,
        uncertainty_mm=MM_PER_M * track.spread,
        verts=(mirror_points(verts) if is_left else verts).numpy(),
        faces=(right.faces.flip(-1) if is_left else right.faces).numpy(),
        K=track.K,
        images=tuple(images),
        fps=1.0,
    )
