"""Hand and object in 3D out of a clip: `hoprior.reconstruct(...)` and `hoprior run reconstruct`.

After G-HOP (Ye et al., CVPR 2024, Sec. 3.2.1): one implicit object shared over time, a hand and the object's place in
it in every frame, fitted to masks and guided by priors. What is solved for is in `scene.py`, what it must
agree with in `losses.py` and `stages.py`, how it is fitted in `fit.py`; its first guess comes from
`visual_hull.py` and `pose_alignment.py`, what no mask shows from `cavity.py`; priors act by `guides.py`.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import trimesh

from hoprior.common.compute import torch_device
from hoprior.common.console import Progress
from hoprior.datasets.clips.clip import Clip, read_clip
from hoprior.datasets.clips.truth import measure, measure_known_object
from hoprior.errors import ArgumentError, HopriorError
from hoprior.geometry.mesh import ObjectMesh, mirrored, prepare_mesh, read_surface
from hoprior.geometry.transforms import mirrored_in_picture, mirrored_transform
from hoprior.geometry.units import length_text
from hoprior.hand import HandModel
from hoprior.hand.shape import Betas, HandShape, resized_in_view
from hoprior.language.phrases import sentence_for
from hoprior.priors.base import weighted_sum
from hoprior.priors.text_encoders import encode_texts
from hoprior.results.folder import package_versions
from hoprior.results.reconstructions import CONFIDENCE, Reconstruction
from hoprior.tasks.objects import as_object_mesh
from hoprior.tasks.reconstruct.completion import guessed_of, is_better, needs_stand_in, stand_in_note
from hoprior.tasks.reconstruct.config import PRESETS, FitConfig
from hoprior.tasks.reconstruct.evidence import Evidence
from hoprior.tasks.reconstruct.fit import Fit, Watch
from hoprior.tasks.reconstruct.inflation import FLAT_ARC
from hoprior.tasks.reconstruct.known_object import KnownObject
from hoprior.tasks.reconstruct.observations import shown_points
from hoprior.tasks.reconstruct.of_kind import examples_of
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.reconstruct.trust import trust_note, trust_of
from hoprior.tasks.shared import Priors, check_side, check_told, load_priors, priors_as_config, renamed, right_hand

logger = logging.getLogger(__name__)

Preset = Literal["fast", "default", "best"]
MAX_CONTOUR_ERROR = 0.002
"""How far (m) a surface may pass the masks' outlines; one that is right passes them by a millimetre."""
MAX_PLACEMENT_MISS = 0.005
"""Metres that a known object may miss its masks by, in the mean; one that is right misses them by a few millimetres."""
USUAL_LENGTH = 0.15
"""Longest side (m) that a mesh of unknown size is given until its size is found."""
DEFAULT_PRIORS: tuple[tuple[float, str], ...] = ((1.0, "grid"), (1.0, "shape_completion"))
KNOWN_OBJECT_PRIORS: tuple[tuple[float, str], ...] = ((1.0, "contrastive"),)
"""Where the object's mesh is given; the shape of one is known, and which way round it is held is not."""


def reconstruct(
    clip: Clip | str | Path,
    text: str | None = None,
    *,
    mesh: str | Path | trimesh.Trimesh | ObjectMesh | None = None,
    init_mesh: str | Path | trimesh.Trimesh | None = None,
    mesh_unit: str | None = None,
    size: str | float | None = None,
    scale: float | None = None,
    part: str | None = None,
    priors: Priors | None = None,
    hand: str | HandModel | None = None,
    side: str | None = None,
    hand_length: str | float | None = None,
    betas: Betas | None = None,
    seed: int = 0,
    device: str = "auto",
    config: FitConfig | None = None,
    progress: Progress | None = None,
    preset: Preset = "default",
    minutes: float | None = None,
    checkpoint: Path | None = None,
    say: Callable[[str], object] = logger.info,
    report: Watch | None = None,
) -> Reconstruction:
    """Object, hands and their relation, out of a clip.

    Args:
        clip: a clip, or a clip folder.
        text: what the object is, "a mug"; the clip's own text if None.
        mesh: the object, where it is known: its size and shape stay, hands and poses are what is fitted.
        init_mesh: a mesh that is like the object, as image-to-3D models make them, of any size and however turned: it
            is brought to the masks, and its shape fitted from there.
        mesh_unit: of the file `mesh`, as `grasp` takes it.
        size: of the file `mesh`, likewise.
        scale: of the file `mesh`, likewise.
        part: of the file `mesh`, likewise.
        priors: weights and priors (names, files, class paths or prior objects), none at all if empty. If None, the
            embedded priors of grids and of shapes, or, with a `mesh`, the one that judges where hands are. Those that
            look at nothing but how fingers are bent, as "pose" does, guide the hands.
        hand: "open", "mano" or a model of your own, which stays as it is; the clip's if None. Where it is another than
            the clip's, hands begin as the clip has them bent and placed, with the model's average shape.
        side: "right" or "left", where a clip folder does not say it; the clip's if None.
        hand_length: whose hand it is: from the wrist to the middle finger's tip, "16.5cm" or metres; object and hand
            are as large as that makes them. The fit begins with it; with the clip's shape if None.
        betas: or its shape in the hand model's own coefficients, up to ten, "1,-0.5" or numbers.
        seed: the same seed gives the same result on the same machine.
        device: "auto", "cpu", "cuda" ...
        config: settings of your own instead of a preset's.
        progress: told the stage and the share of the work that is done.
        preset: "fast", "default" or "best".
        minutes: a limit on the time; the result is then what was reached.
        checkpoint: a file from which an interrupted run goes on, if all that the result follows from is the same.
        say: told, if there is a checkpoint, whether the run goes on from it, or what differs; the log if not given.
        report: former name of `progress`; it is told the losses, too.

    Returns:
        The object, and the hand and the object's place in every frame; metres, of the side that was filmed.

    Raises:
        HopriorError: the clip, a prior or an argument cannot be used; the sentence says why.

    Example:
        >>> found = hoprior.reconstruct("clips/mug", "a mug", preset="fast", minutes=10.0)  # doctest: +SKIP
        >>> found.object_mesh.extents, found.T_hand_object.shape  # doctest: +SKIP
        >>> found.save("out")  # doctest: +SKIP
    """
    if report is not None:
        renamed("report", "progress")
    if minutes is not None and minutes <= 0:
        raise ArgumentError("minutes", minutes, "is no time: give one above zero")
    if preset not in PRESETS:
        raise ArgumentError("preset", preset, f"is unknown: use {', '.join(PRESETS)}")
    check_told(text, seed)
    if side is not None:
        check_side(side)
    began = time.perf_counter()
    where = torch_device(device)
    clip = _clip_of(clip, hand, side)
    config = config or PRESETS[preset]
    text = text if text is not None else clip.text
    usual = DEFAULT_PRIORS if mesh is None else KNOWN_OBJECT_PRIORS
    chosen = usual if priors is None else tuple(priors)
    terms = [(one.weight, one.prior) for one in load_priors(chosen, "reconstruct", where)]
    known = None
    if mesh is not None and init_mesh is not None:
        raise ArgumentError("init_mesh", str(init_mesh), "contradicts a mesh that is known: give one of them")
    if mesh is not None:
        known = KnownObject(_as_in(clip, as_object_mesh(mesh, text, mesh_unit, size, scale, part)))
    elif init_mesh is not None:
        known = KnownObject(_as_in(clip, _of_usual_length(init_mesh)), sized=False, rigid=False)
    listening = weighted_sum(terms) if terms else None
    cond = None
    if listening is not None and listening.text_encoder_name is not None:
        cond = encode_texts(listening, [sentence_for(text)])
    model = right_hand(clip.hand if hand is None else hand, clip.side)
    resized = resized_in_view(clip.hand_pose, model, HandShape(hand_length, betas))
    clip = clip if resized is clip.hand_pose else replace(clip, hand_pose=resized)
    fit = Fit(
        clip,
        model,
        terms,
        cond,
        config,
        seed=seed,
        device=where,
        checkpoint=checkpoint,
        minutes=minutes,
        known=known,
    )
    loaded = time.perf_counter()
    watch = _watching(progress, report)
    fit.run(watch, say)
    result = result_of(clip, fit)
    if terms and config.stand_ins and needs_stand_in(result, clip) and not fit.out_of_time:
        watch("trying things of its kind", 1.0, {})
        other = Fit(
            clip,
            model,
            (),
            None,
            config,
            seed=seed,
            device=where,
            minutes=fit.minutes_left,
            stand_ins=examples_of(text),
        )
        other.run()
        guess = result_of(clip, other)
        if is_better(guess, result):
            result, fit = replace(guess, notes=(*guess.notes, stand_in_note(result, other))), other
    result = replace(
        result,
        text=text,
        losses=tuple(fit.history),
        config={
            "task": "reconstruct",
            "clip": clip.name,
            "hand_origin": model.origin(clip.side),
            "mesh": None if known is None else known.mesh.source or known.mesh.name,
            "priors": priors_as_config(chosen),
            "preset": preset,
            "minutes": minutes,
            "seed": seed,
            "device": str(where),
            "steps_done": fit.step,
            "config": asdict(config),
        },
        timings={"load": loaded - began, "fit": time.perf_counter() - loaded},
    )
    if clip.truth is None:
        return result
    errors = measure_known_object(result, clip) if mesh is not None else {}
    return replace(result, metrics=measure(result, clip) | errors)


def result_of(clip: Clip, fit: Fit) -> Reconstruction:
    """What a fit found, with what is to be said of it, and how far it is to be trusted."""
    result, known = _as_filmed(clip, fit), fit.known
    notes = placement_note(fit)
    if known is not None and known.rigid:
        return replace(result, notes=(*result.notes, *notes))
    if fit.stand_in is None:
        notes += mask_inconsistency_note(fit.hull_gap) + contour_error_note(fit)
    if known is not None:
        return replace(result, notes=(*result.notes, *notes))
    if fit.stand_in is None:
        notes += viewpoint_note(fit.scene) + turn_note(fit)
    evidence = Evidence.of(result, clip, fit.outline_error, fit.miss, fit.ruggedness, fit.rough, guessed_of(fit))
    notes += trust_note(evidence)
    return replace(result, notes=(*result.notes, *notes), trust=trust_of(evidence), evidence=evidence.plain())


def _as_in(clip: Clip, mesh: ObjectMesh) -> ObjectMesh:
    """A mesh as a clip has it: of a left hand, in the mirror."""
    return mesh.mirrored() if clip.side == "left" else mesh


def _of_usual_length(mesh: str | Path | trimesh.Trimesh) -> ObjectMesh:
    """A mesh of any size, brought to `USUAL_LENGTH`.

    Raises:
        HopriorError: it cannot be read, or has no extent.
    """
    surface = mesh.copy() if isinstance(mesh, trimesh.Trimesh) else read_surface(Path(mesh))
    name = "init_mesh" if isinstance(mesh, trimesh.Trimesh) else Path(mesh).name
    longest = float(np.ptp(surface.vertices, axis=0).max()) if len(surface.vertices) else 0.0
    if not 0 < longest < np.inf:
        raise HopriorError(f"{name}: the mesh has no extent, or vertices that are NaN or infinite: export it again")
    surface.apply_scale(USUAL_LENGTH / longest)
    return prepare_mesh(surface, name)


def _clip_of(clip: Clip | str | Path, hand: str | HandModel | None, side: str | None) -> Clip:
    """The clip, its hands those of the model `hand`, if it is given.

    Raises:
        HopriorError: there is none, it is damaged, or its hand is of another side.
    """
    if not isinstance(clip, Clip):
        clip = read_clip(clip, hand=hand if isinstance(hand, str) else None, side=side)
    if side is not None and side != clip.side:
        raise ArgumentError(
            "side", side, f"contradicts the clip '{clip.name}', which is of a {clip.side} hand: leave it out"
        )
    name = hand.name if isinstance(hand, HandModel) else hand or clip.hand
    if name == clip.hand:
        return clip
    # A shape's coefficients mean something to the model that they are of alone; angles are the same to all.
    pose = replace(clip.hand_pose, betas=torch.zeros_like(clip.hand_pose.betas))
    return replace(clip, hand=name, hand_pose=pose)


def _watching(progress: Progress | None, report: Watch | None) -> Watch:
    """Tells either what it wants to know."""

    def watch(stage: str, share: float, losses: dict[str, float]) -> None:
        if progress is not None:
            progress(stage, share)
        if report is not None:
            report(stage, share, losses)

    return watch


def mask_inconsistency_note(hull_gap: float) -> list[str]:
    """A sentence if the masks of different frames miss each other by so much (m), whatever was done about the hands."""
    if hull_gap <= 0:
        return []
    return [
        f"the object's masks miss each other by {length_text(hull_gap, 2)}, so hands or masks are far off and its"
        " shape is rough: give a better estimator's hands with --hands"
    ]


def contour_error_note(fit: Fit) -> list[str]:
    """A sentence if the fitted surface passes by the masks' contours: hands that contradict each other leave no shape
    that all frames could show."""
    if fit.outline_error < MAX_CONTOUR_ERROR:
        return []
    return [
        f"the object passes its masks' outlines by {length_text(fit.outline_error, 2)}, so hands contradict each other"
        " and its shape is not to be trusted: give a better estimator's hands with --hands"
    ]


def placement_note(fit: Fit) -> list[str]:
    """A sentence if a known object does not fit its masks wherever it is put."""
    if fit.mesh_miss is None or fit.mesh_miss < MAX_PLACEMENT_MISS:
        return []
    return [
        f"the mesh misses its masks by {length_text(fit.mesh_miss, 2)} wherever it is put: is it this object, and"
        " its unit right?"
    ]


@torch.no_grad()
def viewpoint_note(scene: Scene) -> list[str]:
    """A sentence if all frames see the object from nearly the same side, and nothing otherwise."""
    away = scene.place(mesh=False).T_object_camera[:, :3, 3] - (scene.lower + scene.upper) / 2
    away = away / away.norm(dim=1, keepdim=True)
    arc = float(torch.rad2deg(torch.acos((away @ away.T).clamp(-1, 1)).max()))
    if arc >= FLAT_ARC:
        return []
    return [
        f"the object is seen from {arc:.0f} degrees around it only: how deep it reaches is a guess; film more sides"
    ]


def turn_note(fit: Fit) -> list[str]:
    """A sentence if the object was taken to turn less than the hands."""
    if fit.turn_share == 1:
        return []
    return [
        f"the masks contradict the hands' turns: the object is taken to make {100 * fit.turn_share:.0f} % of them, so"
        " its sides that are not seen are a guess"
    ]


@torch.no_grad()
def _as_filmed(clip: Clip, fit: Fit) -> Reconstruction:
    """The fit's scene as a result, mirrored back where the hand was a left one."""
    scene, known = fit.scene, fit.known
    scene.model.cpu()
    placed, given = scene.place(), known.mesh.mesh if known is not None and known.rigid else None
    shape = given if fit.stand_in is None else fit.stand_in.mesh
    mesh = scene.mesh() if shape is None else shape.copy()
    normals = torch.tensor(mesh.vertex_normals, dtype=torch.float32)
    if given is not None:
        confidence = torch.ones(len(normals))
    else:
        confidence = shown_points(scene, torch.tensor(mesh.vertices, dtype=torch.float32), normals, clip.object_mask)
    T_camera_hand, T_hand_object = placed.T_camera_hand.numpy(), placed.T_hand_object.numpy()
    verts, joints = placed.hand.verts.numpy(), placed.hand.joints.numpy()
    intrinsics, image, faces = placed.intrinsics.numpy().copy(), clip.image, scene.model.faces
    pose = scene.model.angles_to_pose(scene.hand_angles())
    if clip.side == "left":
        T_camera_hand = mirrored_in_picture(placed.T_camera_hand).numpy()
        T_hand_object = mirrored_transform(placed.T_hand_object).numpy()
        verts, joints = verts * [1, -1, 1], joints * [1, -1, 1]
        mesh = mirrored(mesh)
        intrinsics[:, 2] = image.shape[2] - intrinsics[:, 2]
        image, faces = image[:, :, ::-1], faces.flip(-1)
        pose = pose * torch.tensor([-1.0, 1.0, -1.0])
    # Not as colours: viewers would show them as the object's.
    mesh.vertex_attributes[CONFIDENCE] = confidence.numpy()
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
