"""`hoprior run refine`: the whole hand of a photo, occluded joints too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments, parse_priors
from hoprior.cli.places import results_folder
from hoprior.common.console import notes_console, progress_bar
from hoprior.errors import HopriorError
from hoprior.hand.motion import MotionConfig
from hoprior.results.motions import VIDEO_NAME
from hoprior.results.refinements import HANDS
from hoprior.tasks.refine.judging import HeldObject
from hoprior.tasks.refine.sampling import RefineConfig
from hoprior.tasks.refine.task import refine
from hoprior.tasks.refine.video import MAX_FRAMES, refine_video
from hoprior.vision.estimates.kept import FOLDER, KeptHands

DEFAULT_CONFIG = RefineConfig()
DEFAULT_MOTION = MotionConfig()
RENAMED = {"denoise": "config", "denoise.guidance": "config.guidance_scale"}


def run_refine(
    image: Path | None = None,
    pose: Path | None = None,
    video: Path | None = None,
    text: str | None = None,
    mask: Path | None = None,
    hand_box: str | None = None,
    prior: str = "pose",
    hand: str = "open",
    side: str = "auto",
    hand_length: str | None = None,
    betas: str | None = None,
    focal: float | None = None,
    segment: str | None = None,
    seed: int = 0,
    device: str = "auto",
    out: Path | None = None,
    object_mesh: Path | None = None,
    object_pose: Path | None = None,
    mesh_unit: str | None = None,
    size: str | None = None,
    scale: float | None = None,
    part: str | None = None,
    object_mask: Path | None = None,
    no_report: bool = False,
    max_frames: int = MAX_FRAMES,
    config: RefineConfig = DEFAULT_CONFIG,
    motion: MotionConfig = DEFAULT_MOTION,
) -> dict[str, Any]:
    """Hands that are right where the camera cannot see: parameters, a GLB each, overlays, and the settings.

    Args:
        image: a photo, or a folder of photos; with --pose, the photo of that estimate.
        pose: an estimate to refine instead of a photo's: .npz of HaMeR or WiLoR, .json or .npz of keypoints, a folder.
        video: or a video: one hand is followed through it, its motion is smooth, and filled in where it is not seen.
        text: what the hand does: "a hand drinking from a mug".
        mask: picture in which the visible part of the hand is white; for a folder, a folder of such.
        hand_box: where the hand is in the photo: left,top,right,bottom in pixels, several with ; between them; for a
            folder a .json file of them by the photos' names.
        prior: what draws hidden joints: pose, or the name or file of another prior of hand poses; with --object-mesh,
            priors that judge hands at objects may follow: pose:1,grid:0.5.
        hand: open (embedded) or mano (your own MANO files, in HOPRIOR_MANO_DIR).
        side: right or left; auto takes what is found.
        hand_length: whose hand it is, from the wrist to the middle finger's tip: 16.5cm; as it is found without.
        betas: or its shape in the hand model's own coefficients, up to ten: 1,-0.5.
        focal: focal length of the photo, pixels; without it the one in its EXIF data, else a guess.
        segment: finds the mask with SAM 2 (pip install 'hoprior[segment]'): facebook/sam2.1-hiera-small, or a folder.
        seed: the same seed gives the same hands.
        device: auto, cpu, cuda, mps.
        out: folder for the results; without it out/photo_hands, by the name of what is refined.
        object_mesh: file of the object that the hand holds, for priors that judge.
        object_pose: where it is before the camera: .json or .npz with the 4x4 matrix T_camera_object, m.
        mesh_unit: of --object-mesh: m, cm, mm or in; without it what the file says, else m.
        size: of --object-mesh, instead of a unit: how long its longest side is: 12cm.
        scale: of --object-mesh: one unit of the file counts for so many.
        part: of --object-mesh: name of the part of a scene that is the object.
        object_mask: picture in which whatever may be in front of the hand is white; for a folder, a folder of such.
            Without it, that is found by the photo's colours.
        no_report: leave out report.html, the page to look at the results.
        max_frames: of a video: more are thinned out evenly.
        config: how poses are refined.
        motion: of a video: how sure sightings are, and how hands move.

    Example:
        hoprior run refine --image photo.jpg --text "a hand drinking from a mug"
        hoprior run refine --pose hamer.npz --image photo.jpg
        hoprior run refine --video clip.mp4 --side right
    """

    from hoprior.results.report import write_report

    if video is not None:
        of_photos = {
            "image": image,
            "pose": pose,
            "mask": mask,
            "hand_box": hand_box,
            "segment": segment,
            "object_mesh": object_mesh,
            "object_pose": object_pose,
            "object_mask": object_mask,
        }
        unused = [f"--{name.replace('_', '-')}" for name, value in of_photos.items() if value is not None]
        if unused:
            raise HopriorError(f"{', '.join(unused)} and --video: a video is refined alone, leave the others out")
        return _refine_video(
            video,
            results_folder(out, video, "hands"),
            no_report,
            text=text,
            priors=parse_priors(prior),
            hand=hand,
            side=side,
            hand_length=hand_length,
            betas=betas,
            focal=focal,
            seed=seed,
            device=device,
            config=motion,
            max_frames=max_frames,
        )
    if image is None and pose is None:
        raise HopriorError("nothing to refine: give --image PHOTO, --pose FILE of an estimator, or --video FILE")
    if (object_mesh is None) != (object_pose is None):
        raise HopriorError("an object is given by two files: --object-mesh and --object-pose")
    held = None
    if object_mesh is not None and object_pose is not None:
        held = HeldObject.from_files(object_mesh, object_pose, mesh_unit, text=text, size=size, scale=scale, part=part)
    out = results_folder(out, pose or image, "hands")
    HANDS.check_writable(out)
    console = notes_console()
    with progress_bar(console) as progress:
        hands = refine(
            pose or image,  # type: ignore[arg-type]
            text,
            image=image if pose else None,
            mask=mask,
            object_mask=object_mask,
            priors=parse_priors(prior),
            held=held,
            hand=hand,
            side=side,
            hand_length=hand_length,
            betas=betas,
            focal=focal,
            hand_box=hand_box or (),
            keep=out / FOLDER,
            segment=segment,
            seed=seed,
            device=device,
            config=config,
            progress=progress,
        )
        progress("writing", 0.95)
        hands.save(out)
        KeptHands(out / FOLDER).clear()
        seen = HANDS.sheet_name if no_report else write_report(out).name
    for name, reason in hands.skipped.items():
        console.print(f"skipped {name}: {reason}", style="yellow", highlight=False, markup=False)
    for note in dict.fromkeys(note for item in hands for note in item.notes):
        console.print(note, style="dim", highlight=False, markup=False)
    for item in hands:
        hidden = int(item.occluded.sum())
        change = f"mean change {item.change_mm.mean():.1f} mm" if hidden else "nothing to refine"
        console.print(f"{item.name}: {item.side} hand, {hidden} of 21 joints occluded, {change}", highlight=False)
    console.print(f"{len(hands)} hands in {out}: look at {out / seen}", highlight=False)
    return {"out": out, "index": out / HANDS.index_name, "hands": len(hands), "skipped": dict(hands.skipped)}


def _refine_video(video: Path, out: Path, no_report: bool, **settings: Any) -> dict[str, Any]:
    """The motion of a video's hand, saved and told."""
    from hoprior.results.report import write_report

    HANDS.check_writable(out)
    console = notes_console()
    with progress_bar(console) as progress:
        found = refine_video(video, progress=progress, **settings)
        progress("writing", 0.95)
        found.save(out)
        shown = VIDEO_NAME if no_report else write_report(out).name
    for note in found.notes:
        console.print(note, style="dim", highlight=False, markup=False)
    seen, count = int(found.seen.sum()), len(found)
    doubt = found.uncertainty_mm[~found.lost, 1:].mean() if not found.lost.all() else float("nan")
    console.print(
        f"{found.name}: {found.side} hand, seen in {seen} of {count} frames, joints beside the wrist to {doubt:.0f} mm"
        f"; look at {out / shown}",
        highlight=False,
    )
    return {"out": out, "index": out / HANDS.index_name, "frames": count, "seen": seen}


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior run refine`."""
    return call_with_arguments(run_refine, "hoprior run refine", args, RENAMED)
