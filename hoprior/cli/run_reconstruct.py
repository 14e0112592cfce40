"""`hoprior run reconstruct`: object and hand of a clip in 3D."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments, parse_priors
from hoprior.cli.eval_reconstruct import show
from hoprior.cli.places import results_folder
from hoprior.cli.told_many import tell_many
from hoprior.common.console import notes_console, progress_bar, saying
from hoprior.datasets.clips.clip import read_clip
from hoprior.errors import ArgumentError, HopriorError
from hoprior.results.reconstructions import CHECKPOINT, VIDEO, check_writable
from hoprior.tasks.reconstruct.config import FitConfig
from hoprior.tasks.reconstruct.many import are_clips, clip_items, reconstruct_many
from hoprior.tasks.reconstruct.task import Preset, reconstruct

RENAMED = {"fit": "config"}
"""Former names of options and their groups."""


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
    frames: int | tuple[int, int] | None = None,
    text: str | None = None,
    mesh: Path | None = None,
    init_mesh: Path | None = None,
    mesh_unit: str | None = None,
    size: str | None = None,
    scale: float | None = None,
    part: str | None = None,
    out: Path | None = None,
    hand: str | None = None,
    side: str | None = None,
    hand_length: str | None = None,
    betas: str | None = None,
    prior: str | None = None,
    preset: Preset = "default",
    fast: bool = False,
    minutes: float | None = None,
    max_frames: int = 40,
    seed: int = 0,
    device: str = "auto",
    no_report: bool = False,
    workers: int = 1,
    engine: str = "local",
    cluster: str = "auto",
    config: FitConfig | None = None,
) -> dict[str, Any]:
    """Reconstruct the object and the hand of a clip: a mesh, poses of every frame, videos, and metrics.

    Args:
        clip: a clip folder as G-HOP and DiffHOI have them (image/, obj_mask/, hand_mask/, cameras_hoi.npz, hands.npz).
            Or many: a folder with such folders in it and below, or a pattern in quotes ("clips/2024*").
        video: or a video file; hands come from --hands or are found, masks from the next options or from SAM 2.
        hoi4d: or the folder of HOI4D, with --sequence.
        sequence: of HOI4D: ZY20210800001/H1/C2/N05/S100/s02/T5.
        hands: an estimator's files for a clip or a video: .npz of HaMeR, .json as FreiHAND's, or a folder of them.
        hand_masks: folder of the hand's masks, a picture for each frame of the video.
        object_masks: the same of the object's.
        segment: SAM 2's weights for masks that are not given: facebook/sam2.1-hiera-small.
        object_point: x and y of a pixel on the object in the first frame with a hand, to show SAM 2: [320, 200].
        frames: so many frames, spread evenly over the clip: 5; or first and last frame of HOI4D's sequence: [60, 120].
        text: what the object is: "a mug"; the clip's own text if not given. Of many clips, "{name}" in it is what
            each is called.
        mesh: the object's own mesh, where it is known: only hands and poses are fitted.
        init_mesh: a mesh that is like the object, of any size, as image-to-3D models make them: the fit begins there.
        mesh_unit: of --mesh: m, cm, mm or in; what the file says, or else m.
        size: instead of a unit, how long the longest side of --mesh is: 12cm.
        scale: one unit of --mesh counts for so many: 0.3.
        part: the name of the part of --mesh that is the object, where the file holds several.
        out: folder for the results, where a run that was interrupted goes on; without it out/mug_reconstruction, by
            the clip's name.
        hand: the hand model: mano, open; the clip's if not given. It poses --hands, too.
        side: of the hand, right or left, where a clip folder does not say so; right if not given.
        hand_length: whose hand it is, from the wrist to the middle finger's tip: 16.5cm; the clip's if not given.
        betas: or its shape in the hand model's own coefficients, up to ten: 1,-0.5.
        prior: priors and their weights: name:weight,name:weight; "none" for no prior; grid:1,shape_completion:1 if
            not given, and contrastive:1 with --mesh.
        preset: fast, default or best.
        fast: the same as --preset fast.
        minutes: a limit on the time; what was reached by then is the result.
        max_frames: more frames are thinned out; --frames 5 says the same.
        seed: the same seed gives the same result on the same machine.
        device: auto, cpu, cuda.
        no_report: leave out report.html, the page to look at the results.
        workers: of many clips: processes, of one thread each where they are several.
        engine: of many clips: local, or ray for the machines of a Ray cluster.
        cluster: address of that cluster; auto is the one that this machine belongs to.
        config: settings of your own, instead of a preset's; or a YAML file of them.

    Example:
        hoprior run reconstruct --clip clips/mug --text "a mug" --fast
        hoprior run reconstruct --video clip.mp4 --hand-masks hand --object-masks object --text "a mug"
        hoprior run reconstruct --clip clips --fast --out reconstructions --workers 2
    """

    from hoprior.results.report import write_report

    if sum(source is not None for source in (clip, video, hoi4d)) != 1:
        raise HopriorError("say what to reconstruct: --clip FOLDER, --video FILE, or --hoi4d FOLDER --sequence NAME")
    span = frames if isinstance(frames, tuple) else None
    name, count = ("frames", frames) if isinstance(frames, int) else ("max_frames", max_frames)
    if count < 2:
        raise ArgumentError(name, count, "is too few: use at least 2")
    if span is not None and hoi4d is None:
        raise ArgumentError("frames", str(list(span)), "is a range, as HOI4D's sequences have it: give a number")
    out = results_folder(out, clip or video or sequence, "reconstruction")
    settings: dict[str, Any] = {
        **{"mesh": mesh, "init_mesh": init_mesh, "mesh_unit": mesh_unit, "size": size, "scale": scale, "part": part},
        **{"priors": None if prior is None else parse_priors(prior), "hand": hand, "hand_length": hand_length},
        **{"betas": betas, "side": side, "seed": seed, "device": device, "config": config},
        **{"preset": "fast" if fast else preset, "minutes": minutes},
    }
    console = notes_console()
    if clip is not None and are_clips(clip):
        if hands is not None:
            raise HopriorError("--hands is for one clip: of many, each folder has its own cameras and hands")
        kind: dict[str, Any] = {"workers": workers, "engine": engine, "cluster": cluster, "report": not no_report}
        outcomes = reconstruct_many(clip, out, text, max_frames=count, tell=saying(console), **kind, **settings)
        return tell_many(outcomes, len(clip_items(clip)), out, "clips", "reconstructions", console)
    if workers != 1 or engine != "local":
        raise HopriorError("--workers and --engine share many clips out: this is one, give a folder of them")
    check_writable(out)
    with progress_bar(console) as progress:
        progress("reading the clip", 0.0)
        if clip is not None:
            source = read_clip(clip, count, hand, hands, side)
        elif video is not None:
            from hoprior.datasets.clips.video import read_video_clip

            source = read_video_clip(
                video,
                hand_masks,
                object_masks,
                text,
                side or "right",
                count,
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
            source = read_hoi4d_clip(hoi4d, sequence, side or "right", count, frames=span)
        for note in source.notes:
            console.print(f"{source.name}: {note}", style="dim")

        result = reconstruct(
            source,
            text,
            **settings,
            progress=progress,
            checkpoint=out / CHECKPOINT,
            say=saying(console, f"{source.name}: "),
        )
        progress("drawing the videos", 1.0)
        result.save(out)
        seen = VIDEO if no_report else write_report(out).name
    for note in result.notes[len(source.notes) :]:
        console.print(f"{source.name}: {note}", style="dim")
    if result.metrics:
        show(dict(result.metrics))
    worth = "" if result.trust is None else f"trust {result.trust:.2f} ({result.trust_word}), "
    console.print(f"{len(result)} frames in {out}: {worth}look at {out / seen}", highlight=False)
    return {"out": out, "frames": len(result), "trust": result.trust, "metrics": dict(result.metrics or {})}


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior run reconstruct`."""
    return call_with_arguments(run_reconstruct, "hoprior run reconstruct", args, RENAMED)
