"""What each of our models makes of a batch, as pictures: how a training goes is seen before its figures tell."""

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor

from hoprior.geometry.grid import GridSpec
from hoprior.geometry.isosurface import marching_cubes
from hoprior.geometry.shape_box import FIELD_RESOLUTION, REACH, ShapeBox
from hoprior.hand import load_hand
from hoprior.hand.pose import HandPose
from hoprior.models.contrastive import ContrastivePrior
from hoprior.models.grasp_type import KINDS, GraspTypePrior
from hoprior.models.grid_prior import GridPrior
from hoprior.models.interaction_draws import draw_objects
from hoprior.models.interaction_prior import InteractionPrior
from hoprior.models.networks.placement_encoder import JOINTS_SEEN
from hoprior.models.parts import PartsPrior
from hoprior.models.pose_prior import PosePrior
from hoprior.models.shape_autoencoder import ShapeAutoencoder
from hoprior.models.shape_completion import ShapeCompletionPrior
from hoprior.models.text_match import TextMatchPrior
from hoprior.models.vqvae import SdfVQVAE
from hoprior.priors.diffusion import ddim_sample
from hoprior.rendering import OBJECT_GREY, SKIN
from hoprior.rendering.panels import heat_table, scene_rows, score_strips, skeleton
from hoprior.rendering.rasterizer import SceneMesh

SHOWN = 6
"""Elements of a batch that are drawn."""
STEPS = 20
"""Of the sampler of drawn samples; at most, as it must divide the schedule."""
SEED = 0
UNIT = GridSpec((0.0, 0.0, 0.0), REACH, FIELD_RESOLUTION)
"""The box of a shape of which one code stands for the whole."""
EXPECTED = (0.25, 0.55, 0.55)
"""The colour of joints that a model expects."""

Batch = Mapping[str, Any]


@singledispatch
def pictures(model: object, batch: Batch) -> dict[str, Image]:
    """Pictures by name, of what a model makes of a validation batch; none of a model that nobody drew yet."""
    return {}


@pictures.register
def _of_vqvae(model: SdfVQVAE, batch: Batch) -> dict[str, Image]:
    given = batch["object_sdf"][:SHOWN]
    rows = {"given": _solids(given, model.spec), "decoded": _solids(model(given), model.spec)}
    return {"objects": scene_rows(rows, _corners(model.spec))}


@pictures.register
def _of_grid_prior(model: GridPrior, batch: Batch) -> dict[str, Image]:
    if not model.normalized:  # before the first step it has no scale to draw by
        return {}
    shown = _recorded_first(batch)[:SHOWN]
    text, given = batch["text"][shown], batch["object_sdf"][shown]
    drawn = model.sample_interactions(text, len(text), steps=_steps(len(model.schedule)), generator=_generator()).grid
    rows = {
        "recorded": _held(given, batch["joints_hand"][shown], model.spec),
        "drawn": _held(drawn.object_sdf, drawn.joints_hand, model.spec),
    }
    return {"interactions": scene_rows(rows, _corners(model.spec))}


@pictures.register
def _of_shape_autoencoder(model: ShapeAutoencoder, batch: Batch) -> dict[str, Image]:
    given = batch["field"][:SHOWN]
    decoded = _decoded(model, model.encode(given))
    return {"objects": scene_rows({"given": _solids(given, UNIT), "decoded": _solids(decoded, UNIT)}, _corners(UNIT))}


@pictures.register
def _of_interaction_prior(model: InteractionPrior, batch: Batch) -> dict[str, Image]:
    if not model.normalized:
        return {}
    codes, text = batch["code"][:SHOWN], batch["text"][:SHOWN]
    steps = _steps(len(model.schedule))
    drawn = draw_objects(model, text, len(text), steps=steps, guidance_scale=1.0, generator=_generator())
    rows = {"recorded": codes, "drawn": model.decode_objects(drawn)[0]}
    solids = {name: _solids(_decoded(model.shapes, each), UNIT) for name, each in rows.items()}
    return {"objects": scene_rows(solids, _corners(UNIT))}


def _decoded(shapes: ShapeAutoencoder, codes: Float[Tensor, "b code"]) -> Float[Tensor, "b 1 r r r"]:
    """Distances of coded shapes in their boxes, whose sides are brought to one length."""
    r = FIELD_RESOLUTION
    places = torch.from_numpy(ShapeBox.lattice(r)).to(codes)
    return shapes.decoder(codes, places.expand(len(codes), -1, -1)).float().view(-1, 1, r, r, r)


@pictures.register
def _of_pose_prior(model: PosePrior, batch: Batch) -> dict[str, Image]:
    if not model.normalized:
        return {}
    recorded, text = batch["hand_pose"][:SHOWN], batch["text"][:SHOWN]
    shape = model.encode(HandPose.of(recorded)).shape
    steps = _steps(len(model.schedule))
    rows = {"recorded": recorded}
    for name, cond in (("told the text", text), ("told nothing", None)):
        x0 = ddim_sample(model, tuple(shape), cond, steps=steps, generator=_generator())
        rows[name] = model.decode(x0).hand_pose
    hand = load_hand()
    verts = {name: hand(poses.detach().cpu().float()).verts.numpy() for name, poses in rows.items()}
    faces = hand.faces.numpy()
    meshes = {name: [[(each, faces, SKIN)] for each in hands] for name, hands in verts.items()}
    return {"hands": scene_rows(meshes, np.concatenate(list(verts["recorded"])))}


@pictures.register
def _of_contrastive(model: ContrastivePrior, batch: Batch) -> dict[str, Image]:
    logit, joints = model.judged_fields(batch["object_sdf"])
    logit = (logit + batch["up_known"] * model._up_logit(batch["up_hand"])).float().cpu()
    return _judged(model.spec, batch, logit, joints)


@pictures.register
def _of_text_match(model: TextMatchPrior, batch: Batch) -> dict[str, Image]:
    texts = torch.cat([batch["text"][:, None], batch["other_texts"]], dim=1)
    logit = model._heard(batch["object_sdf"], texts)[0].float().cpu()
    strips = {"its sentence": logit[:, 0].numpy(), "others'": logit[:, 1:].flatten().numpy()}
    return {"sentences": score_strips(strips, "log-odds that a sentence is the place's own")}


@pictures.register
def _of_grasp_type(model: GraspTypePrior, batch: Batch) -> dict[str, Image]:
    kind, told = batch["kind"].cpu(), batch["told"].cpu()
    seen, heard = model.kind_of(batch["joints"]).cpu(), model.net.hears(batch["texts"]).softmax(dim=1).cpu()
    found = {"joints": _means_by(kind, seen, KINDS), "sentences": _means_by(told, heard, KINDS + 1)}
    return {
        name: heat_table(table, f"kinds of grasp by {name}", "what it is", "what it is taken for")
        for name, table in found.items()
    }


@pictures.register
def _of_parts(model: PartsPrior, batch: Batch) -> dict[str, Image]:
    odds, fits = model._odds(batch).float().cpu(), batch["fits"].cpu()  # type: ignore[arg-type]
    names_a_part = ~fits.all(dim=2)
    strips = {
        "on the part": odds[names_a_part & fits.any(dim=2)][fits[names_a_part & fits.any(dim=2)]].numpy(),
        "elsewhere": odds[names_a_part][~fits[names_a_part]].numpy(),
    }
    return {"places": score_strips(strips, "log-odds that a sentence speaks of a place")}


@pictures.register
def _of_shapes(model: ShapeCompletionPrior, batch: Batch) -> dict[str, Image]:
    shown = {name: values[:SHOWN] for name, values in batch.items() if isinstance(values, Tensor)}
    found = model._loss(shown)[1]
    spec = GridSpec((0.0, 0.0, 0.0), 1.0, shown["hull"].shape[-1])
    whole = torch.maximum(shown["filled"], -shown["hollow"])
    rows = {
        "hull": _solids(shown["hull"], spec),
        "completed": _solids(torch.maximum(found[:, :1], -found[:, 1:]), spec),
        "true": _solids(whole, spec),
    }
    # From above, at a slant: hollows are seen.
    return {"objects": scene_rows(rows, _corners(spec), view=(-0.5, 0.5, -0.7), up=(0.0, 0.0, 1.0))}


def _judged(
    spec: GridSpec, batch: Batch, logit: Float[Tensor, " b"], joints: Float[Tensor, "b j 3"]
) -> dict[str, Image]:
    """Scores of recorded and of other placements, and the best and worst of each with the joints expected there."""
    recorded = batch["recorded"].bool().cpu()
    strips = {"recorded": logit[recorded].numpy(), "others": logit[~recorded].numpy()}
    order = logit.argsort(descending=True)
    half = SHOWN // 2
    groups = [order[recorded[order]][:half], order[recorded[order]][-half:], order[~recorded[order]][:half]]
    shown = torch.cat([groups[0], groups[1], groups[2]])
    named = ["recorded"] * (len(groups[0]) + len(groups[1])) + ["other"] * len(groups[2])
    expected = batch["joints_hand"][shown].clone()
    expected[:, JOINTS_SEEN] = joints[shown].to(expected)
    rows = {
        "placed": _held(batch["object_sdf"][shown], batch["joints_hand"][shown], spec),
        "expected": _held(batch["object_sdf"][shown], expected, spec, EXPECTED),
    }
    captions = [f"{name} {float(logit[k]):+.1f}" for name, k in zip(named, shown.tolist(), strict=True)]
    return {
        "scores": score_strips(strips, "log-odds that a person made the placement"),
        "placements": scene_rows(rows, _corners(spec), captions),
    }


def _held(
    sdf: Float[Tensor, "b 1 D H W"],
    joints: Float[Tensor, "b 21 3"],
    spec: GridSpec,
    colour: Sequence[float] = SKIN,
) -> list[list[SceneMesh]]:
    bones = joints.detach().cpu().float().numpy()
    return [[*solid, *skeleton(hand, colour)] for solid, hand in zip(_solids(sdf, spec), bones, strict=True)]


def _solids(sdf: Float[Tensor, "b 1 D H W"], spec: GridSpec) -> list[list[SceneMesh]]:
    """A mesh for each grid; none where it has no surface, as those of a young network."""
    found: list[list[SceneMesh]] = []
    for field in sdf.detach().cpu().float()[:, 0]:
        if not bool((field < 0).any() and (field > 0).any()):
            found.append([])
            continue
        mesh = marching_cubes(field, spec)
        found.append([(mesh.vertices, mesh.faces, OBJECT_GREY)])
    return found


def _corners(spec: GridSpec) -> Float[np.ndarray, "8 3"]:
    """Of what a picture must show: what lies in a grid's own corners is seldom looked at."""
    return GridSpec(spec.center, 0.7 * spec.half_extent, 2).points().numpy().astype(float)


def _recorded_first(batch: Batch) -> Tensor:
    return (~batch["recorded"].bool()).long().argsort(stable=True)


def _means_by(group: Tensor, values: Float[Tensor, "n c"], count: int) -> Float[np.ndarray, "g c"]:
    """The mean of the rows of each group; zero of a group that has none."""
    total = torch.zeros(count, values.shape[1]).index_add(0, group, values.float())
    return (total / group.bincount(minlength=count).clamp(min=1)[:, None]).numpy()


def _steps(length: int) -> int:
    """The most steps up to `STEPS` that divide a schedule.

    Example:
        >>> _steps(1000), _steps(50), _steps(7)
        (20, 10, 7)
    """
    return max(k for k in range(1, STEPS + 1) if length % k == 0)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)
