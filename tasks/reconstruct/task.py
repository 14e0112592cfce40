"""Hand and object in 3D out of a clip: `hoprior.reconstruct(...)` and `hoprior run reconstruct`.

After G-HOP (Ye et al., CVPR 2024, Sec. 3.2.1): one implicit object shared over time, a hand and the object's place in
it in every frame, fitted to masks and guided by priors. What is solved for is in `scene.py`, what it must
agree with in `losses.py`, how it is fitted in `fit.py`; its first guess comes from
`visual_hull.py` and `pose_alignment.py`, what no mask shows from `cavity.py`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import trimesh

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.compute import torch_device
from hoprior.common.console import progress_bar, saying
from hoprior.datasets.clips.clip import Clip, read_clip
from hoprior.errors import HopriorError
from hoprior.evaluation.reconstruction import measure
from hoprior.language.phrases import sentence_for
from hoprior.priors.base import weighted_sum
from hoprior.priors.protocols import CompletesShape
from hoprior.priors.registry import prior_on
from hoprior.priors.text_encoders import encode_texts
from hoprior.results.folder import package_versions
from hoprior.results.reconstructions import CHECKPOINT, Reconstruction, check_writable
from hoprior.tasks.grasp.task import parse_priors
from hoprior.tasks.reconstruct.config import PRESETS, FitConfig
from hoprior.tasks.reconstruct.fit import Fit, Report
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.shared import right_hand

logger = logging.getLogger(__name__)

Preset = Literal["fast", "default", "best"]
NARROW = 20.0
"""Degrees between the frames' directions below which masks hardly bound an object's depth."""
BESIDE, LAST = 0.002, 6
"""How far (m) a surface may pass the masks' outlines, in the mean of so many of the last losses; one that is right
passes them by a millimetre."""
DEFAULT_PRIORS: tuple[tuple[float, str], ...] = ((1.0, "grid"), (1.0, "shape_completion"))


def reconstruct(
    clip: Clip | str | Path,
    text: str | None = None,
    *,
    priors: Sequence[tuple[float, str | Any]] | None = None,
    preset: Preset = "default",
    config: FitConfig | None = None,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    checkpoint: Path | None = None,
    report: Report | None = None,
    say: Callable[[str], object] = logger.info,
) -> Reconstruction:
    """Object, hands and their relation, out of a clip.

    Args:
        clip: a clip, or a clip folder.
        text: what the object is, "a mug"; the clip's own text if None.
        priors: weights and priors (names, files, class paths or prior objects); the embedded priors of grids and
            of shapes if None, and none at all if empty.
        preset: "fast", "default" or "best"; `config` instead for settings of one's own.
        minutes: a limit on the time; the result is then what was reached.
        seed: of all draws.
        device: "auto", "cpu", "cuda" ...
        checkpoint: a file from which an interrupted run goes on, if all that the result follows from is the same.
        report: told the stage, the share of the work that is done, and the losses.
        say: told, if there is a checkpoint, whether the run goes on from it, or what differs; the log if not given.

    Raises:
        HopriorError: the clip, a prior or an argument cannot be used; the sentence says why.
    """
    if minutes is not None and minutes <= 0:
        raise HopriorError(f"--minutes is {minutes}: give a time above zero")
    if preset not in PRESETS:
        raise HopriorError(f"--preset '{preset}' is unknown: use {', '.join(PRESETS)}")
    began = time.perf_counter()
    where = torch_device(device)
    clip = clip if isinstance(clip, Clip) else read_clip(clip)
    config = config or PRESETS[preset]
    text = text if text is not None else clip.text
    chosen = DEFAULT_PRIORS if priors is None else tuple(priors)
    terms = [(w, prior_on(p, where, "reconstruct")) for w, p in chosen]
    everything = weighted_sum(terms) if terms else None
    cond = None
    if everything is not None and everything.text_encoder_name is not None:
        cond = encode_texts(everything, [sentence_for(text)])
    # Priors that complete objects are asked for the object itself, the others guide.
    shapes = [(w, p) for w, p in terms if isinstance(p, CompletesShape)]
    guides = [(w, p) for w, p in terms if not isinstance(p, CompletesShape)]
    prior = weighted_sum(guides) if guides else None
    model = right_hand(clip.hand, clip.side)
    fit = Fit(
        clip,
        model,
        prior,
        cond,
        config,
        shapes=shapes,
        seed=seed,
        device=where,
        checkpoint=checkpoint,
        minutes=minutes,
    )
    loaded = time.perf_counter()
    scene = fit.run(report, say)
    result = _as_filmed(clip, scene)
    result = replace(
        result,
        notes=(*result.notes, *astray(fit.missed), *beside_masks(fit), *narrow_view(scene)),
        text=text,
        losses=tuple(fit.history),
        config={
            "task": "reconstruct",
            "clip": clip.name,
            "priors": [[w, p if isinstance(p, str) else type(p).__name__] for w, p in chosen],
            "preset": preset,
            "minutes": minutes,
            "seed": seed,
            "device": str(where),
            "steps_done": fit.step,
            "fit": asdict(config),
        },
        timings={"load": loaded - began, "fit": time.perf_counter() - loaded},
    )
    return replace(result, metrics=measure(result, clip)) if clip.truth is not None else result


def astray(missed: float) -> list[str]:
    """A sentence if the masks of different frames miss each other by so much (m), whatever was done about the hands."""
    if missed <= 0:
        return []
    return [
        f"the object's masks miss each other by {1000 * missed:.0f} mm, so hands or masks are far off and its shape is"
        " rough: give a better estimator's hands with --hands"
    ]


def beside_masks(fit: Fit) -> list[str]:
    """A sentence if the fitted surface passes by the masks' contours: hands that contradict each other leave no shape
    that all frames could show."""
    away = [losses["contour"] for losses in fit.history[-LAST:] if "contour" in losses]
    if not away or not fit.config.weights.contour:
        return []
    beside = sum(away) / len(away) / fit.config.weights.contour
    if beside < BESIDE:
        return []
    return [
        f"the object passes its masks' outlines by {1000 * beside:.0f} mm, so hands contradict each other and its shape"
        " is not to be trusted: give a better estimator's hands with --hands"
    ]


@torch.no_grad()
def narrow_view(scene: Scene) -> list[str]:
    """A sentence if all frames see the object from nearly the same side, and nothing otherwise."""
    away = scene.place(mesh=False).T_object_camera[:, :3, 3] - (scene.lower + scene.upper) / 2
    away = away / away.norm(dim=1, keepdim=True)
    arc = float(torch.rad2deg(torch.acos((away @ away.T).clamp(-1, 1)).max()))
    if arc >= NARROW:
        return []
    return [
        f"the object is seen from {arc:.0f} degrees around it only: how deep it reaches is a guess; film more sides"
    ]


@torch.no_grad()
def _as_filmed(clip: Clip, scene: Scene) -> Reconstruction:
    """The scene as a result, mirrored back where the hand was a left one."""
    scene.model.cpu()
    placed, mesh = scene.place(), scene.mesh()
    T_camera_hand, T_hand_object = placed.T_camera_hand.numpy(), placed.T_hand_object.numpy()
    verts, joints = placed.hand.verts.numpy(), placed.hand.joints.numpy()
    intrinsics, image, faces = placed.intrinsics.numpy().copy(), clip.image, scene.model.faces
    pose = scene.model.angles_to_pose(scene.hand_angles())
    if clip.side == "left":
        flip_x, flip_y = np.diag([-1.0, 1.0, 1.0, 1.0]), np.diag([1.0, -1.0, 1.0, 1.0])
        T_camera_hand, T_hand_object = flip_x @ T_camera_hand @ flip_y, flip_y @ T_hand_object @ flip_y
        verts, joints = verts * [1, -1, 1], joints * [1, -1, 1]
        mesh = trimesh.Trimesh(mesh.vertices * [1, -1, 1], mesh.faces[:, ::-1], process=False)
        intrinsics[:, 2] = image.shape[2] - intrinsics[:, 2]
        image, faces = image[:, :, ::-1], faces.flip(-1)
        pose = pose * torch.tensor([-1.0, 1.0, -1.0])
    return Reconstruction(
        name=clip.name,
        hand=clip.hand,
        side=clip.side,
        text=clip.text,
        object_mesh=mesh,
        T_camera_hand=T_camera_hand,
        T_hand_object=T_hand_object,
        hand_pose=pose.numpy(),
        betas=(scene.betas_start + scene.betas).numpy(),
        verts_hand=verts,
        joints_hand=joints,
        faces=faces.numpy(),
        image=image,
        intrinsics=intrinsics,
        frame=clip.frame,
        fps=clip.fps,
        versions=package_versions(),
        notes=clip.notes,
    )


def run_reconstruct(
    clip: Path | None = None,
    video: Path | None = None,
    hoi4d: Path | None = None,
    sequence: str | None = None,
    hands: Path | None = None,
    hand_masks: Path | None = None,
    object_masks: Path | None = None,
    segment: str | None = None,
    object_point: tuple[float, float] | None = None,
    frames: tuple[int, int] | None = None,
    text: str | None = None,
    out: Path = Path("out"),
    hand: str | None = None,
    side: str | None = None,
    prior: str = "grid:1,shape_completion:1",
    preset: Preset = "default",
    fast: bool = False,
    minutes: float | None = None,
    max_frames: int = 40,
    seed: int = 0,
    device: str = "auto",
    fit: FitConfig | None = None,
) -> None:
    """Reconstruct the object and the hand of a clip: a mesh, poses of every frame, videos, and metrics.

    Args:
        clip: a clip folder as G-HOP and DiffHOI have them (image/, obj_mask/, hand_mask/, cameras_hoi.npz, hands.npz).
        video: or a video file; hands come from --hands or are found, masks from the next options or from SAM 2.
        hoi4d: or the folder of HOI4D, with --sequence.
        sequence: of HOI4D: ZY20210800001/H1/C2/N05/S100/s02/T5.
        hands: an estimator's files for a clip or a video: .npz of HaMeR, .json as FreiHAND's, or a folder of them.
        hand_masks: folder of the hand's masks, a picture for each frame of the video.
        object_masks: the same of the object's.
        segment: SAM 2's weights for masks that are not given: facebook/sam2.1-hiera-small.
        object_point: x and y of a pixel on the object in the first frame with a hand, to show SAM 2: [320, 200].
        frames: first and last frame of HOI4D's sequence: [60, 120].
        text: what the object is: "a mug"; the clip's own text if not given.
        out: folder for the results; a run that was interrupted goes on from there.
        hand: the hand model, where a folder does not say it, and to pose --hands with: mano, open.
        side: of the hand, right or left, where a clip folder does not say so; right if not given.
        prior: priors and their weights: name:weight,name:weight; "none" for no prior.
        preset: fast, default or best.
        fast: the same as --preset fast.
        minutes: a limit on the time; what was reached by then is the result.
        max_frames: more frames are thinned out.
        seed: the same seed gives the same result on the same machine.
        device: auto, cpu, cuda.
        fit: settings of one's own, instead of a preset's.
    """
    from rich.console import Console

    if sum(source is not None for source in (clip, video, hoi4d)) != 1:
        raise HopriorError("say what to reconstruct: --clip FOLDER, --video FILE, or --hoi4d FOLDER --sequence NAME")
    if max_frames < 2:
        raise HopriorError(f"--max-frames is {max_frames}: use at least 2")
    check_writable(out)
    console = Console(stderr=True)
    with progress_bar(console) as progress:
        progress("reading the clip", 0.0)
        if clip is not None:
            source = read_clip(clip, max_frames, hand, hands, side)
        elif video is not None:
            from hoprior.datasets.clips.video import read_video_clip

            source = read_video_clip(
                video,
                hand_masks,
                object_masks,
                text,
                side or "right",
                max_frames,
                hands=hands,
                hand=hand or "open",
                segment=segment,
                object_point=object_point,
                device=device,
            )
        else:
            from hoprior.datasets.clips.hoi4d import read_hoi4d_clip

            if sequence is None:
                raise HopriorError("--hoi4d needs a sequence: --sequence ZY20210800001/H1/C2/N05/S100/s02/T5")
            assert hoi4d is not None
            source = read_hoi4d_clip(hoi4d, sequence, side or "right", max_frames, frames=frames)
        for note in source.notes:
            console.print(f"{source.name}: {note}", style="dim")

        def report(stage: str, share: float, losses: dict[str, float]) -> None:
            shown = ("mask", "keypoints", "prior")
            told = " ".join(f"{name} {losses[name]:.3f}" for name in shown if name in losses)
            progress(f"{stage} {told}", share)

        result = reconstruct(
            source,
            text,
            priors=parse_priors(prior),
            preset="fast" if fast else preset,
            config=fit,
            minutes=minutes,
            seed=seed,
            device=device,
            checkpoint=out / CHECKPOINT,
            report=report,
            say=saying(console, f"{source.name}: "),
        )
        progress("drawing the videos", 1.0)
        result.save(out)
    for note in result.notes[len(source.notes) :]:
        console.print(f"{source.name}: {note}", style="dim")
    if result.metrics:
        from hoprior.evaluation.reconstruction import show

        show(dict(result.metrics))
    console.print(f"{len(result)} frames in {out}: look at {out / 'overlay.mp4'}", highlight=False)


def main(args: Sequence[str] | None = None) -> None:
    """The command line of `hoprior run reconstruct`."""
    call_with_arguments(run_reconstruct, "hoprior run reconstruct", args)
