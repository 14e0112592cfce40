"""Hands together with the objects they hold, sampled from text: `hoprior.generate(...)` and `hoprior run generate`.

With a prior of poses the command draws hands alone (`poses.py`).

After G-HOP (Ye et al., CVPR 2024, Sec. 3.1): the interaction-grid prior draws an object's latents and a hand's field
side by side. The object's surface is the zero level of the decoded distances; the hand's joints are inverted from its
field, and a hand model is fitted to them. What a draw must be like to be kept is in `plausibility.py`.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.compute import torch_device
from hoprior.common.console import Progress
from hoprior.errors import HopriorError
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.geometry.mesh import mirrored
from hoprior.hand import HandModel
from hoprior.hand.pose import mirror_points
from hoprior.language.phrases import sentence_for
from hoprior.models.grid_prior import GridPrior
from hoprior.models.grid_sampling import field_residual, sample_grids
from hoprior.priors.diffusion import spawn
from hoprior.priors.registry import load_prior
from hoprior.priors.text_encoders import encode_texts
from hoprior.results.folder import package_versions
from hoprior.results.interactions import InteractionSample, InteractionSamples, reasons_text
from hoprior.tasks.generate.plausibility import Candidate, Plausible, count_faults, examine
from hoprior.tasks.shared import right_hand, shown_hand

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GenerateConfig:
    """How draws are made and judged.

    Attributes:
        batch_size: most draws at a time.
        draws_each: how many draws a sample may cost, on the average, before the rest is given up.
        plausible: limits beyond which a draw is thrown away.
    """

    batch_size: int = 16
    draws_each: int = 8
    plausible: Plausible = field(default_factory=Plausible)

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.draws_each < 1:
            raise HopriorError(
                f"--draw: batch_size is {self.batch_size} and draws_each {self.draws_each}: both are at least 1"
            )


def sample_interactions(
    prior: GridPrior,
    cond: Float[Tensor, "n tokens dim"] | None,
    num: int,
    *,
    steps: int = 50,
    guidance_scale: float = 3.0,
    generator: torch.Generator | None = None,
) -> InteractionGrid:
    """`num` hands and objects drawn together, as they come: nothing is checked or thrown away.

    Args:
        cond: text features, one row a sample; None for the null condition, any grasp.
        steps: from T to 0; must divide the prior's T.
        guidance_scale: of classifier-free guidance; 1 is none.
        generator: source of all noise; torch's default generator if None. Sample i does not depend on `num`.

    Returns:
        Distances and joints in the right hand's frame, metres; joints may be NaN.

    Raises:
        HopriorError: steps that do not divide T.
    """
    x0 = sample_grids(prior, cond, num, steps=steps, guidance_scale=guidance_scale, generator=generator)
    with torch.no_grad():
        return prior.decode(x0)


def generate(
    text: str,
    num: int = 8,
    *,
    prior: str | GridPrior = "grid",
    guidance: float = 3.0,
    steps: int = 50,
    seed: int = 0,
    hand: str | HandModel = "open",
    side: str = "right",
    device: str = "auto",
    config: GenerateConfig | None = None,
    progress: Progress | None = None,
) -> InteractionSamples:
    """Hands holding objects, both drawn from a text.

    Args:
        text: what to draw, "a hand holding a hammer by the handle", or just "a hammer".
        num: how many samples.
        prior: an interaction-grid prior: its name, its file, or the prior itself.
        guidance: scale of classifier-free guidance; 1 is none.
        steps: of the sampler; must divide the prior's number of timesteps.
        seed: the same seed gives the same samples on the same machine; sample i does not depend on `num`.
        hand: "open" or "mano", or a model of your own, which stays as it is; a left one needs side="left". The open
            hand has its average shape, which the priors were trained with; another model's shape is fitted too.
        side: "right" or "left".
        device: where the prior computes: "auto", "cpu", "cuda" ...
        config: how draws are made and judged.
        progress: told the stage and the share of the work that is done.

    Returns:
        The samples, in the hand frame, metres. Where too few draws were plausible there are fewer than `num`, which
        `summary()` says and the log warns of.

    Raises:
        HopriorError: an argument cannot be used, the prior cannot be sampled, or no draw was plausible.
    """
    if not text.strip():
        raise HopriorError('--text is empty: say what the hand holds, "a hammer"')
    if num < 1:
        raise HopriorError(f"--num is {num}: ask for at least one sample")
    if side not in ("right", "left"):
        raise HopriorError(f"--side '{side}' is unknown: use right or left")
    began = time.perf_counter()
    config = config or GenerateConfig()
    chosen = torch_device(device)
    right = right_hand(hand, side)
    loaded_prior = load_prior(prior) if isinstance(prior, str) else prior
    grid_prior = as_grid_prior(loaded_prior, prior if isinstance(prior, str) else type(prior).__name__).to(chosen)
    sentence = sentence_for(text)
    cond = encode_texts(grid_prior, [sentence])
    loaded = time.perf_counter()
    sampler = Sampler(grid_prior, cond, right, steps, guidance, seed, chosen, config)
    kept, candidates = sampler.run(num, progress or (lambda stage, share: None))
    rejected = count_faults(candidates)
    if not kept:
        raise HopriorError(
            f"text '{text}': none of {len(candidates)} draws was plausible ({reasons_text(rejected)}): try other words,"
            " another seed, or a prior that was trained for longer"
        )
    shown = shown_hand(right, side)
    samples = InteractionSamples(
        samples=tuple(_sample(candidate, shown, side) for candidate in kept),
        faces=shown.faces.cpu().numpy(),
        text=text,
        sentence=sentence,
        asked=num,
        draws=len(candidates),
        rejected=rejected,
        seed=seed,
        config={
            "task": "generate",
            "text": text,
            "num": num,
            "prior": prior if isinstance(prior, str) else type(prior).__name__,
            "guidance": guidance,
            "steps": steps,
            "seed": seed,
            "hand": right.name,
            "side": side,
            "device": str(chosen),
            "draw": asdict(config),
        },
        versions=package_versions(),
        timings={"load": loaded - began, "sample": time.perf_counter() - loaded},
    )
    if len(kept) < num:
        logger.warning("text '%s': %s", text, samples.summary())
    return samples


def as_grid_prior(prior: object, name: str) -> GridPrior:
    """A prior that is of interactions.

    Raises:
        HopriorError: it is of another kind.
    """
    if not isinstance(prior, GridPrior):
        draws = "draws hands alone: use generate_poses" if hasattr(prior, "decode") else "judges but cannot be sampled"
        raise HopriorError(
            f"prior '{name}' is a {type(prior).__name__}, which {draws}, or choose grid, or the file of another"
            " interaction-grid prior"
        )
    return prior.eval()


class Sampler:
    """Draws from a prior until enough of them are plausible. Each draw has a noise of its own, by its number."""

    def __init__(
        self,
        prior: GridPrior,
        cond: Float[Tensor, "1 tokens dim"] | None,
        hand: HandModel,
        steps: int,
        guidance: float,
        seed: int,
        device: torch.device,
        config: GenerateConfig,
    ) -> None:
        self.prior = prior
        self.cond = None if cond is None else cond.to(device)
        self.hand = hand.cpu()
        self.steps, self.guidance = steps, guidance
        self.generator = torch.Generator().manual_seed(seed)
        self.config = config

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
        """The next draws, examined."""
        streams = [spawn(self.generator, torch.device("cpu")) for _ in range(count)]
        x0 = sample_grids(
            self.prior,
            None if self.cond is None else self.cond.expand(count, -1, -1),
            count,
            steps=self.steps,
            guidance_scale=self.guidance,
            generator=streams,
            progress=on_step,
        )
        with torch.no_grad():
            grid = self.prior.decode(x0)
            residual = field_residual(self.prior, x0, grid.joints_hand)
        grid = InteractionGrid(grid.object_sdf.float().cpu(), grid.joints_hand.cpu(), grid.spec)
        return examine(
            grid,
            residual.cpu(),
            self.hand,
            self.config.plausible,
            field_joints=self.prior.hand_joints,
            fit_betas=self.hand.name != "open",
        )


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
        betas=pose.betas[0].numpy(),
        global_orient=pose.global_orient[0].numpy(),
        transl=pose.transl[0].numpy(),
        object_mesh=mesh,
        measures=candidate.measures,
    )
