"""Human grasps of an object mesh, ranked: `hoprior.grasp(...)` and `hoprior run grasp`.

After G-HOP (Ye et al., CVPR 2024, Sec. 3.2.2); how the search goes is told in `search.py`.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.common.compute import torch_device
from hoprior.common.console import Progress
from hoprior.errors import ArgumentError
from hoprior.geometry.mesh import ObjectMesh
from hoprior.geometry.repair import precision_at
from hoprior.geometry.rest_pose import rest_poses
from hoprior.geometry.rotations import rotmat_to_rotvec
from hoprior.geometry.state import transform_points
from hoprior.geometry.transforms import mirrored_transform
from hoprior.hand import HandModel, HandPose
from hoprior.hand.mano import ManoHand
from hoprior.hand.shape import Betas, HandShape
from hoprior.kernels.choice import why_torch
from hoprior.language.phrases import GENERIC_TEXT, kept_off, reaches_inside, sentence, sentence_for
from hoprior.physics.contact import ContactEnergy
from hoprior.physics.soft_tissue import FleshEnergy
from hoprior.priors.base import weighted_sum
from hoprior.priors.protocols import EnergyPrior, FindsParts, info_of, text_encoder_of
from hoprior.priors.text_encoders import encode_texts
from hoprior.results.folder import package_versions
from hoprior.results.grasps import GraspResult, GraspResults
from hoprior.tasks.grasp.around import Around, ObjectPlace, find_around, recorded, said_of_part
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import GraspBatch
from hoprior.tasks.grasp.parts_told import HeldPart, handle_by_shape, wordings_cond
from hoprior.tasks.grasp.search import GraspSearch
from hoprior.tasks.grasp.terms import HeardInWordings, KeepsOff
from hoprior.tasks.objects import as_object_mesh
from hoprior.tasks.shared import (
    NamedPrior,
    Priors,
    check_num,
    check_side,
    check_told,
    load_priors,
    priors_as_config,
    right_hand,
    shown_hand,
)

DEFAULT_PRIORS: tuple[tuple[float, str], ...] = (
    (1.0, "contrastive"),
    (1.5, "grid"),
    (1.0, "text_match"),
    (3.0, "parts"),
    (4.0, "grasp_type"),
)
"""Weights and names of the embedded priors."""


def grasp(
    mesh: str | Path | trimesh.Trimesh | ObjectMesh,
    text: str | None = None,
    num: int = 10,
    *,
    hand: str | HandModel = "open",
    side: str = "right",
    hand_length: str | float | None = None,
    betas: Betas | None = None,
    priors: Priors = DEFAULT_PRIORS,
    up: str = "auto",
    mesh_unit: str | None = None,
    size: str | float | None = None,
    scale: float | None = None,
    part: str | None = None,
    table: str = "none",
    scene: str | Path | trimesh.Trimesh | None = None,
    avoid: str | None = None,
    avoid_mesh: str | Path | trimesh.Trimesh | None = None,
    contact_on: str | Path | trimesh.Trimesh | None = None,
    seed: int = 0,
    device: str = "auto",
    config: GraspConfig | None = None,
    progress: Progress | None = None,
) -> GraspResults:
    """Ranked human grasps of an object.

    Args:
        mesh: a file, or a mesh in metres.
        text: what the object is or is held for, "a mug"; None leaves it open.
        num: how many grasps.
        hand: "open" or "mano", or a hand model of your own, which stays as it is. A left one needs side="left".
        side: "right" or "left".
        hand_length: whose hand it is: from the wrist to the middle finger's tip, "16.5cm" or metres; the average hand
            (18.7 cm) without.
        betas: or its shape in the hand model's own coefficients, up to ten, "1,-0.5" or numbers.
        priors: weights and priors (names, files, class paths or prior objects); none at all for plain optimisation.
        up: which way up the object stands when it is reached for; see `rest_poses`.
        mesh_unit: of a file: "m", "cm", "mm" or "in"; None for what the file says, else metres. An `ObjectMesh` knows
            its own.
        size: of a file, instead: how long the object's longest side is, "12cm" or metres.
        scale: of a file: one of its units counts for so many.
        part: of a file: the name of the part that is the object; None for all but floors and shapes for collisions.
        table: what the object stands on, off which hand and forearm are kept: "none"; "auto", a plane beneath the
            object as it is likeliest to stand (see `up`); or where its top is in the mesh's frame, "z=0.75", metres.
        scene: a mesh of whatever else must not be touched, in the object's frame (a file in its unit, else metres).
        avoid: a part of the object that is left free, "the blade", found by the prior of parts.
        avoid_mesh: a mesh, likewise, in which that part of the object lies.
        contact_on: a part of the object that hands are drawn to, in words or as a mesh.
        seed: the same seed gives the same grasps on the same machine.
        device: "auto", "cpu", "cuda" ...
        config: settings of the search.
        progress: told the stage and the share of the work that is done.

    Returns:
        The grasps, best first; metres, in the mesh's axes.

    Raises:
        HopriorError: the mesh, a prior, the hand or an argument cannot be used; the sentence says why.

    Example:
        >>> grasps = hoprior.grasp("mug.obj", "a mug", num=5)  # doctest: +SKIP
        >>> grasps[0].score, grasps[0].transl, grasps[0].joints_object.shape  # doctest: +SKIP
        >>> grasps.save("out")  # doctest: +SKIP
    """
    check_told(text, seed)
    check_num(num)
    check_side(side)
    began = time.perf_counter()
    chosen = torch_device(device)
    object_mesh = as_object_mesh(mesh, text, mesh_unit, size, scale, part)
    config = config or GraspConfig()
    if reaches_inside(text):
        config = replace(config, keep_out=False)
    # Left hands are searched as right hands in a mirrored world, which is the only one that priors know.
    # The search is done with the object's middle at the origin, in single precision; what it finds is moved back.
    origin = object_mesh.mesh.bounds.mean(axis=0)
    centred = object_mesh.moved(-origin)
    surface = centred if side == "right" else centred.mirrored()
    right = right_hand(hand, side, HandShape(hand_length, betas))
    said = sentence_for(text)
    loaded_priors = load_priors(priors, "grasp", chosen)
    rest = rest_poses(centred.solid, up, usual=object_mesh.up or "z")
    if rest is not None and side == "left":
        rest = rest.mirrored()
    told = Around(table, scene, avoid, avoid_mesh, contact_on)
    around = find_around(
        told,
        ObjectPlace(object_mesh, surface, origin, side),
        rest,
        [term.prior for term in loaded_priors],
        said_of_part(text, object_mesh.name),
        config.keep_out,
        right.size,
        chosen,
    )
    asked = _asked(loaded_priors, said)
    if around.held is not None:
        asked.append(NamedPrior(config.contact_on_weight, around.held, "contact_on"))
    handle = None if around.held is not None else handle_by_shape(surface, said)
    if handle is not None:
        asked = _told_by_shape(asked, HeldPart.of(handle, chosen))
    asked = _in_wordings(asked, said) + _keeping_off(asked, text, config.keep_off_weight)
    prior = weighted_sum((term.weight, term.prior) for term in asked) if asked else None
    cond = None
    if prior is not None and prior.text_encoder_name is not None:
        cond = encode_texts(prior, [said])
    names = [term.name for term in asked]
    search = GraspSearch(
        surface, right, prior, cond, around.rest, config, seed, chosen, names, around.surroundings, around.sdf
    )
    loaded = time.perf_counter()
    hands, ranking, scores = search.run(num, progress)
    timings = {"load": loaded - began, "search": time.perf_counter() - loaded}
    shown = shown_hand(right, side)
    return GraspResults(
        grasps=tuple(_results(hands, ranking, scores, shown, side, object_mesh.mesh)),
        faces=shown.faces.cpu().numpy(),
        object_mesh=object_mesh.mesh,
        object_name=object_mesh.name,
        source=object_mesh.source,
        metres_per_unit=object_mesh.metres_per_unit,
        text=text,
        seed=seed,
        config={
            "task": "grasp",
            "num": num,
            "hand": right.name,
            "hand_origin": shown.origin(),
            "side": side,
            "betas": [round(x, 6) for x in right.betas.tolist()],
            "priors": priors_as_config(priors),
            "up": up,
            **recorded(told, around),
            "mesh_unit": mesh_unit,
            "size": size,
            "scale": scale,
            "part": part,
            "device": str(chosen),
            "mesh_notes": [*object_mesh.notes, *up_notes(object_mesh, up)],
            "config": asdict(config),
            "checks": search.faults.checks,
            "descents": descents_by(search.flesh),
        },
        versions=package_versions(),
        timings=timings,
        object_parts=object_mesh.parts,
    )


def up_notes(object_mesh: ObjectMesh, up: str) -> list[str]:
    """Which axis was taken for up, where the file's format decides it.

    Example:
        >>> box = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> up_notes(ObjectMesh(box, solid=box, up="y", up_reason="glTF is"), "auto")
        ['taken as y-up, as glTF is: --up z (or another axis) if it is not.']
    """
    if up != "auto" or object_mesh.up is None:
        return []
    other = "y" if object_mesh.up == "z" else "z"
    return [f"taken as {object_mesh.up}-up, as {object_mesh.up_reason}: --up {other} (or another axis) if it is not."]


def descents_by(energy: ContactEnergy | FleshEnergy) -> str:
    """What hands descend an energy by: compiled kernels, or torch and why."""
    reason = why_torch(energy)
    return "compiled kernels" if reason is None else f"torch ({reason})"


def _asked(priors: Sequence[NamedPrior], said: str) -> list[NamedPrior]:
    """The priors that have something to judge by: where nothing is said, not those of words alone.

    Raises:
        ArgumentError: there are priors, and none is left.
    """
    asked = [term for term in priors if not (said == GENERIC_TEXT and info_of(term.prior).requires_text)]
    if priors and not asked:
        raise ArgumentError(
            "text", None, "says nothing, and the priors that were chosen judge by words alone: give one"
        )
    return asked


def _keeping_off(priors: Sequence[NamedPrior], text: str | None, weight: float) -> list[NamedPrior]:
    """What keeps hands off a blade and its like, where a sentence speaks of one and a prior finds it."""
    part = kept_off(text)
    finders = [term.prior for term in priors if isinstance(term.prior, FindsParts) and text_encoder_of(term.prior)]
    if part is None or not finders or weight == 0:
        return []
    cond = wordings_cond(finders[0], f"{sentence(part[0])} by its {part[1]}")
    return [NamedPrior(weight, KeepsOff(finders[0], cond), "kept_off")]


def _told_by_shape(priors: Sequence[NamedPrior], handle: HeldPart) -> list[NamedPrior]:
    """Priors of parts give way to the part itself, which they do not know; the others are left as they are."""
    return [
        term._replace(prior=handle) if isinstance(term.prior, FindsParts) and text_encoder_of(term.prior) else term
        for term in priors
    ]


def _in_wordings(priors: Sequence[NamedPrior], said: str) -> list[NamedPrior]:
    """Priors of parts are told the sentence in wordings of their own, the others are left as they are."""
    return [
        term._replace(prior=HeardInWordings(term.prior, wordings_cond(term.prior, said)))
        if isinstance(term.prior, FindsParts) and isinstance(term.prior, EnergyPrior) and text_encoder_of(term.prior)
        else term
        for term in priors
    ]


def _as_smplx(
    model: HandModel, hand_pose: Float[Tensor, "15 3"], T_object_hand: Float[np.ndarray, "4 4"]
) -> dict[str, np.ndarray]:
    """What smplx.MANO takes for a MANO hand; nothing for other hands."""
    if not isinstance(model, ManoHand):
        return {}
    placed = torch.from_numpy(T_object_hand).float()
    pose = replace(
        HandPose.of(hand_pose[None]),
        global_orient=rotmat_to_rotvec(placed[None, :3, :3]),
        transl=placed[None, :3, 3],
    )
    return {name: value[0].numpy() for name, value in model.to_smplx(pose)._asdict().items()}


def _results(
    hands: GraspBatch, ranking: Tensor, scores: dict[str, Tensor], model: HandModel, side: str, mesh: trimesh.Trimesh
) -> list[GraspResult]:
    """Hands of the search, which are right ones, as grasps of the side that was asked for, at the object's place."""
    hands = GraspBatch(hands.angles.cpu(), hands.T_object_hand.cpu())
    ranked, columns = ranking.tolist(), {name: column.tolist() for name, column in scores.items()}
    hand_pose, T_object_hand = model.cpu().angles_to_pose(hands.angles), hands.T_object_hand
    if side == "left":
        T_object_hand = mirrored_transform(T_object_hand)
    output = model(hand_pose)
    verts = transform_points(T_object_hand, output.verts)
    joints = transform_points(T_object_hand, output.joints)
    origin, kind = mesh.bounds.mean(axis=0), precision_at(mesh)
    placed = T_object_hand.double().numpy()
    placed[:, :3, 3] += origin
    return [
        GraspResult(
            score=ranked[i],
            hand=model.name,
            side=side,
            hand_pose=hand_pose[i].numpy(),
            betas=model.betas.numpy(),
            T_object_hand=placed[i].astype(kind),
            joints_object=(joints[i].double().numpy() + origin).astype(kind),
            verts_object=(verts[i].double().numpy() + origin).astype(kind),
            scores={name: column[i] for name, column in columns.items()},
            smplx=_as_smplx(model, hand_pose[i], placed[i]),
        )
        for i in range(len(hands))
    ]
