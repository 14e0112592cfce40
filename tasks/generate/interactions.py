"""Hands together with the objects they hold, sampled from text: `hoprior.generate(...)` and `hoprior run generate`.

With a prior of poses the command draws hands alone (`poses.py`).

After G-HOP (Ye et al., CVPR 2024, Sec. 3.1). The prior of interactions draws a code of the whole object and then hands
for it; the interaction-grid prior an object's latents and a hand's field side by side, of which the joints are inverted
and a hand model is fitted to them. Contact then brings both together (`finishing.py`); what a draw must be like to be
kept is in `plausibility.py`.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.common.console import Progress
from hoprior.errors import HopriorError
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.geometry.mesh import mirrored
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState
from hoprior.hand import HandModel, fit_joints, load_hand
from hoprior.hand.pose import mirror_points
from hoprior.hand.shape import Betas, HandShape
from hoprior.priors.asking import shaped
from hoprior.priors.guidance import score
from hoprior.priors.protocols import AnyPrior, SamplesHands, SamplesInteractions, info_of
from hoprior.priors.registry import prior_on
from hoprior.priors.streams import spawn
from hoprior.results.folder import package_versions
from hoprior.results.interactions import InteractionSample, InteractionSamples, RejectedDraw
from hoprior.results.samples import reasons_text
from hoprior.tasks.generate.finishing import finished
from hoprior.tasks.generate.plausibility import Candidate, count_faults, examine
from hoprior.tasks.generate.request import GenerateConfig, Request, with_former_names
from hoprior.tasks.shared import NamedPrior, Priors, shown_hand

logger = logging.getLogger(__name__)

DEFAULT_PRIORS: Priors = ((1.0, "interaction"),)
GUIDANCE_SCALE = 3.0
"""Of hands with objects, where nothing else is said."""
JUDGED_CELLS = 48
"""Of the longest side of a drawn object, when its grasp is judged."""


def generate(
    text: str,
    num: int = 8,
    *,
    priors: Priors = DEFAULT_PRIORS,
    hand: str | HandModel = "open",
    side: str = "right",
    hand_length: str | float | None = None,
    betas: Betas | None = None,
    seed: int = 0,
    device: str = "auto",
    config: GenerateConfig | None = None,
    progress: Progress | None = None,
    prior: str | AnyPrior | None = None,
    guidance: float | None = None,
    steps: int | None = None,
) -> InteractionSamples:
    """Hands holding objects, both drawn from a text.

    Args:
        text: what to draw, "a hand holding a hammer by the handle", or just "a hammer".
        num: how many samples.
        priors: weights and priors, of which one draws (`SamplesInteractions`); the others, which judge hands at
            objects, put what is drawn in order, best first.
        hand: "open" or "mano", or a hand's model. The open hand has its average shape, which the priors were trained
            with; another model's shape is fitted too.
        side: "right" or "left".
        hand_length: whose hand it is: from the wrist to the middle finger's tip, "16.5cm" or metres; the average hand
            (18.7 cm) without.
        betas: or its shape in the hand model's own coefficients, up to ten, "1,-0.5" or numbers.
        seed: the same seed gives the same samples on the same machine; sample i does not depend on `num`.
        device: where the priors compute: "auto", "cpu", "cuda" ...
        config: how draws are made and judged.
        progress: told the stage and the share of the work that is done.
        prior: former name of `priors`.
        guidance: former name of `config.guidance_scale`.
        steps: former name of `config.steps`.

    Returns:
        The samples, in the hand frame, metres. Where too few draws were plausible there are fewer than `num`, which
        `summary()` says and the log warns of.

    Raises:
        HopriorError: an argument cannot be used, the prior cannot be sampled, or no draw was plausible.

    Example:
        >>> samples = hoprior.generate("a hammer", num=4, seed=1)  # doctest: +SKIP
        >>> print(samples.summary())  # doctest: +SKIP
        >>> samples[0].object_mesh.extents, samples[0].hand_pose.shape  # doctest: +SKIP
    """
    priors, config = with_former_names(priors, config or GenerateConfig(), prior, guidance, steps)
    asked = Request.of(text, num, priors, hand, side, seed, device, config, HandShape(hand_length, betas))
    drawing, judges = asked.drawing(SamplesInteractions)
    drawer = drawing.prior
    scale = asked.guidance_scale(drawer, GUIDANCE_SCALE)
    cond, of_object = asked.condition(drawer), asked.object_condition(drawer)
    sampler = Sampler(drawer, cond, asked.right, seed, asked.device, config, scale, text, of_object)
    asked.warn_of_things(drawer, instead=sampler.of_object is not None)
    loaded = time.perf_counter()
    kept, candidates = sampler.run(num, progress or (lambda stage, share: None))
    rejected = count_faults(candidates)
    if not kept:
        raise HopriorError(
            f"text '{text}': none of {len(candidates)} draws was plausible ({reasons_text(rejected)}): try other words,"
            " another seed, or a prior that was trained for longer"
        )
    kept = _ordered(kept, judges, asked)
    shown = shown_hand(asked.right, side)
    samples = InteractionSamples(
        samples=tuple(_sample(candidate, shown, side) for candidate in kept),
        faces=shown.faces.cpu().numpy(),
        text=text,
        sentence=asked.sentence,
        asked=num,
        draws=len(candidates),
        rejected=rejected,
        seed=seed,
        config=asked.as_config(),
        versions=package_versions(),
        timings={"load": loaded - asked.began, "sample": time.perf_counter() - loaded},
        shown_rejected=tuple(_rejected(candidates, shown, side)) if config.show_rejected else (),
    )
    if len(kept) < num:
        logger.warning("text '%s': %s", text, samples.summary())
    return samples


def _ordered(kept: list[Candidate], judges: Sequence[NamedPrior], asked: Request) -> list[Candidate]:
    """Draws in the order of the judges' scores, each brought to mean 0 and deviation 1; as drawn without judges."""
    if not judges:
        return kept
    totals = torch.zeros(len(kept))
    for weight, judge, _ in judges:
        scores = torch.stack([_score(candidate, judge, asked) for candidate in kept])
        spread = (scores.std() if len(kept) > 1 else torch.zeros(())).clamp(min=info_of(judge).min_score_std)
        totals += weight * (scores - scores.mean()) / spread
    return [kept[i] for i in totals.argsort(descending=True, stable=True)]


def _score(candidate: Candidate, judge: AnyPrior, asked: Request) -> Float[Tensor, ""]:
    """What a judge says of a draw."""
    assert candidate.object_mesh is not None and candidate.pose is not None, "a draw without a fault has both"
    state = HandObjectState(
        SdfGrid.from_mesh(candidate.object_mesh, resolution=JUDGED_CELLS).to(asked.device),
        torch.eye(4, device=asked.device)[None],
        candidate.joints_hand[None].to(asked.device),
        hand_pose=candidate.pose.hand_pose.to(asked.device),
    )
    generator = torch.Generator().manual_seed(asked.seed)
    return score(judge, state, asked.condition(judge), generator=generator)[0].cpu()


class Sampler:
    """Draws from a prior until enough of them are plausible. Each draw has a noise of its own, by its number.

    Where hands are drawn for objects, these are of `of_object`, what is said of them alone, if it is given.
    """

    def __init__(
        self,
        prior: SamplesInteractions,
        cond: Float[Tensor, "1 tokens dim"] | None,
        hand: HandModel,
        seed: int,
        device: torch.device,
        config: GenerateConfig,
        scale: float = GUIDANCE_SCALE,
        text: str = "",
        of_object: Float[Tensor, "1 tokens dim"] | None = None,
    ) -> None:
        self.prior, self.text, self.scale, self.device = prior, text, scale, device
        self.cond = None if cond is None else cond.to(device)
        self.hand = hand
        self.generator = torch.Generator().manual_seed(seed)
        self.config = config
        chooses = config.finish and config.hands > 1 and isinstance(prior, SamplesHands)
        self.of_object = of_object.to(device) if chooses and of_object is not None else None
        self.judge = prior_on(config.judge, device, "grasp") if chooses and config.judge else None

    def run(self, num: int, progress: Progress) -> tuple[list[Candidate], list[Candidate]]:
        """At most `num` plausible draws, and all draws that it took."""
        candidates: list[Candidate] = []
        kept: list[Candidate] = []
        limit = num * self.config.draws_each
        while len(kept) < num and len(candidates) < limit:
            missing, done = num - len(kept), len(kept) / num
            count = min(missing, self.config.batch_size, limit - len(candidates))
            stage = "sampling" if not candidates else f"{len(kept)} of {len(candidates)} draws kept"

            def on_step(share: float, stage: str = stage, done: float = done, part: float = count / num) -> None:
                progress(stage, done + share * part)

            drawn = self.draw(count, on_step)
            candidates += drawn
            kept += [candidate for candidate in drawn if candidate.fault is None]
        return kept, candidates

    def draw(self, count: int, on_step: Callable[[float], object] | None = None) -> list[Candidate]:
        """The next draws, finished and examined."""
        streams = [spawn(self.generator, torch.device("cpu")) for _ in range(count)]
        cond = self.cond if self.of_object is None else self.of_object
        draws = self.prior.sample_interactions(
            None if cond is None else cond.expand(count, -1, -1),
            count,
            steps=self.config.steps,
            guidance_scale=self.scale,
            generator=streams,
            progress=on_step,
        )
        grid, residual = draws.grid, draws.residual
        method = "sample_interactions"
        sdf = shaped(self.prior, method, grid.object_sdf, count, 1, *grid.spec.shape, what="distances")
        joints = shaped(self.prior, method, grid.joints_hand, count, 21, 3, what="joints")
        grid = InteractionGrid(sdf.detach().float().cpu(), joints.detach().cpu(), grid.spec)
        residual = torch.zeros(count) if draws.hand_pose is not None else torch.full((count,), torch.nan)
        residual = residual if draws.residual is None else draws.residual.cpu()
        # The open hand's shape is that of the priors' training, and a shape that was asked for stays.
        fit_betas = self.hand.name != "open" and not bool(self.hand.betas.any())
        as_drawn = self.hand.name == "open" and not bool(self.hand.betas.any())
        return examine(
            grid,
            residual,
            self.hand,
            self.config.plausible,
            draws.drawn_joints,
            fit_betas,
            draws.meshes,
            draws.hand_pose if as_drawn else None,
            partial(self._finish, streams) if self.config.finish else None,
        )

    def _finish(
        self,
        streams: Sequence[torch.Generator],
        i: int,
        mesh: trimesh.Trimesh,
        sdf: SdfGrid,
        hand_pose: Float[Tensor, "15 3"],
    ) -> tuple[Float[Tensor, "15 3"], Float[Tensor, "4 4"]]:
        """The best of a draw's hand and of others that the prior would have at its object; of these alone where the
        draw's hand was told of the object only."""
        poses, places = hand_pose[None], torch.eye(4)[None]
        if isinstance(self.prior, SamplesHands) and self.config.hands > 1:
            kept = int(self.of_object is None)
            poses, places = poses[:kept], places[:kept]
            found = self.prior.sample_hands_at(
                sdf.to(self.device),
                self.cond,
                self.config.hands - kept,
                steps=self.config.steps,
                guidance_scale=self.scale,
                generator=streams[i],
            )
            offered = found.hand_pose.cpu()
            if self.hand.name != "open":  # priors draw the open hand's poses
                offered = fit_joints(self.hand, load_hand().joints_only(offered)).pose.hand_pose
            poses = torch.cat([poses, offered])
            places = torch.cat([places, found.T_object_hand.cpu()])
        return finished(mesh, sdf, poses, places, self.hand, self.text, self.judge)


def _sample(candidate: Candidate, model: HandModel, side: str) -> InteractionSample:
    """A draw, which is a right hand's, as a sample of the side that was asked for."""
    pose, mesh, joints = candidate.pose, candidate.object_mesh, candidate.joints_hand
    assert pose is not None and mesh is not None, "a draw without a fault has both"
    if side == "left":
        pose, mesh, joints = pose.mirrored(), mirrored(mesh), mirror_points(joints)
    output = model.cpu()(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    return InteractionSample(
        hand=model.name,
        side=side,
        joints_hand=joints.numpy(),
        fitted_joints_hand=output.joints[0].numpy(),
        verts_hand=output.verts[0].numpy(),
        hand_pose=pose.hand_pose[0].numpy(),
        betas=(model.betas + pose.betas[0]).numpy(),
        global_orient=pose.global_orient[0].numpy(),
        transl=pose.transl[0].numpy(),
        object_mesh=mesh,
        measures=candidate.measures,
    )


def _rejected(candidates: Sequence[Candidate], model: HandModel, side: str) -> Iterator[RejectedDraw]:
    """The draws that were thrown away, as hands of the side that was asked for."""
    for candidate in candidates:
        pose, mesh = candidate.pose, candidate.object_mesh
        if candidate.fault is None or pose is None:
            continue
        if side == "left":
            pose, mesh = pose.mirrored(), None if mesh is None else mirrored(mesh)
        verts = model.cpu()(pose.hand_pose, pose.betas, pose.global_orient, pose.transl).verts[0]
        yield RejectedDraw(candidate.fault, side, verts.numpy(), mesh)
