"""Hands bent as a text says: `hoprior.generate_poses(...)` and `hoprior run generate --prior pose`.

After the affordance-guided pose prior (Suzuki et al., Sec. 3, "Generation controllability"): poses are drawn from the
prior without any image. What the joints of a hand cannot do is brought back to their limits.
"""

import time
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.console import Progress
from hoprior.errors import HopriorError
from hoprior.hand import HandModel, fit_joints, load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.hand.pose import mirror_points, mirror_rotvec
from hoprior.hand.shape import Betas, HandShape
from hoprior.priors.asking import shaped
from hoprior.priors.diffusion import ddim_sample
from hoprior.priors.protocols import AnyPrior, DenoisesHandPoses, SamplesHandPoses
from hoprior.priors.streams import spawn_each
from hoprior.results.folder import package_versions
from hoprior.results.poses import PoseSample, PoseSamples
from hoprior.tasks.generate.request import GenerateConfig, Request, with_former_names
from hoprior.tasks.shared import Priors, shown_hand

DEFAULT_PRIORS: Priors = ((1.0, "pose"),)
GUIDANCE_SCALE = 1.0
"""Of hands alone, where nothing else is said."""
DRAWS_HANDS = (DenoisesHandPoses, SamplesHandPoses)
ETA = 1.0
"""Ancestral sampling, as of the grid prior: what the first, noisiest steps get wrong is forgotten."""
THUMB_TIP, INDEX_TIP = JOINT_NAMES.index("thumb_tip"), JOINT_NAMES.index("index_tip")


@torch.no_grad()
def sample_poses(
    prior: DenoisesHandPoses | SamplesHandPoses,
    cond: Float[Tensor, "n tokens dim"] | None,
    num: int,
    *,
    steps: int = 50,
    guidance_scale: float = 1.0,
    generator: torch.Generator | None = None,
    progress: Callable[[float], object] | None = None,
) -> Float[Tensor, "n 15 3"]:
    """Poses (axis-angle, right hand) from noise alone, as they come: by the prior's own sampler, or by DDIM.

    Args:
        prior: what draws.
        cond: text features, one row a pose; None for the null condition.
        num: how many.
        steps: from T to 0; must divide a denoiser's T.
        guidance_scale: of classifier-free guidance; 1 is none.
        generator: source of all noise; pose i does not depend on `num`.
        progress: told after each step the share of the steps that is done.

    Raises:
        HopriorError: steps that do not divide T.
    """
    streams = spawn_each(generator, num, torch.device("cpu"))
    if isinstance(prior, SamplesHandPoses):
        drawn = prior.sample_hand_poses(
            cond, num, steps=steps, guidance_scale=guidance_scale, generator=streams, progress=progress
        )
        return shaped(prior, "sample_hand_poses", drawn, num, 15, 3)
    x0 = ddim_sample(
        prior,
        (num, *prior.pose_shape),
        cond,
        steps=steps,
        guidance_scale=guidance_scale,
        generator=streams,
        eta=ETA,
        progress=progress,
    )
    hand_pose = prior.decode(x0).hand_pose
    assert hand_pose is not None, "what a denoiser of hand poses decodes says how hands are bent"
    return hand_pose


def aperture(joints: Float[Tensor, "n 21 3"]) -> Float[Tensor, " n"]:
    """Distance from the thumb's tip to the index finger's, in the joints' unit.

    Example:
        >>> joints = torch.zeros(1, 21, 3)
        >>> joints[0, THUMB_TIP, 0] = 0.05
        >>> aperture(joints)
        tensor([0.0500])
    """
    return (joints[:, THUMB_TIP] - joints[:, INDEX_TIP]).norm(dim=-1)


def generate_poses(
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
) -> PoseSamples:
    """Hands bent as a text says.

    Args:
        text: "a right hand holding a large ball with a power sphere grasp", or just "a ball". `hoprior describe`
            writes such sentences.
        num: how many hands.
        priors: one prior that draws hands alone (`DenoisesHandPoses` or `SamplesHandPoses`), with a weight.
        hand: "open" or "mano", or a hand's model: its joints are brought where the open hand's are.
        side: "right" or "left".
        hand_length: whose hand it is: from the wrist to the middle finger's tip, "16.5cm" or metres; the average hand
            (18.7 cm) without.
        betas: or its shape in the hand model's own coefficients, up to ten, "1,-0.5" or numbers.
        seed: the same seed gives the same hands on the same machine; hand i does not depend on `num`.
        device: where the prior computes: "auto", "cpu", "cuda" ...
        config: how they are drawn: `guidance_scale` and `steps`.
        progress: told the stage and the share of the work that is done.
        prior: former name of `priors`.
        guidance: former name of `config.guidance_scale`.
        steps: former name of `config.steps`.

    Returns:
        Hands in the hand frame, metres.

    Raises:
        HopriorError: an argument cannot be used, or the prior draws no hands alone.

    Example:
        >>> hands = hoprior.generate_poses("a hand holding a large ball", num=4)  # doctest: +SKIP
        >>> hands.summary(), hands[0].hand_pose.shape  # doctest: +SKIP
    """
    priors, config = with_former_names(priors, config or GenerateConfig(), prior, guidance, steps)
    asked = Request.of(text, num, priors, hand, side, seed, device, config, HandShape(hand_length, betas))
    drawing, judges = asked.drawing(DRAWS_HANDS)
    if judges:
        raise HopriorError(f"prior '{judges[0].name}' has nothing to do: hands alone are drawn by one prior")
    cond = asked.condition(drawing.prior)
    loaded = time.perf_counter()
    hand_pose = sample_poses(
        drawing.prior,
        None if cond is None else cond.expand(num, -1, -1),
        num,
        steps=config.steps,
        guidance_scale=asked.guidance_scale(drawing.prior, GUIDANCE_SCALE),
        generator=torch.Generator().manual_seed(seed),
        progress=None if progress is None else lambda share: progress("sampling", share),
    ).cpu()
    return PoseSamples(
        samples=_samples(asked.right, hand_pose, side),
        faces=shown_hand(asked.right, side).faces.cpu().numpy(),
        text=text,
        sentence=asked.sentence,
        seed=seed,
        config=asked.as_config(),
        versions=package_versions(),
        timings={"load": loaded - asked.began, "sample": time.perf_counter() - loaded},
    )


def _samples(model: HandModel, hand_pose: Float[Tensor, "n 15 3"], side: str) -> tuple[PoseSample, ...]:
    """Drawn poses of right open hands as hands of a model and a side."""
    open_hand = load_hand()
    hand_pose, beyond = open_hand.within_limits(hand_pose)
    if model.name != "open":
        hand_pose = fit_joints(model, open_hand.joints_only(hand_pose)).pose.hand_pose
    right = model(hand_pose)
    measures = (100 * aperture(right.joints), torch.rad2deg(beyond))
    mirrored = side == "left"
    verts, joints = (mirror_points(p) if mirrored else p for p in right)
    hand_pose = mirror_rotvec(hand_pose) if mirrored else hand_pose
    return tuple(
        PoseSample(
            hand=model.name,
            side=side,
            hand_pose=hand_pose[i].numpy(),
            betas=model.betas.numpy(),
            joints_hand=joints[i].numpy(),
            verts_hand=verts[i].numpy(),
            measures={"aperture_cm": float(measures[0][i]), "beyond_limits_deg": float(measures[1][i])},
        )
        for i in range(len(hand_pose))
    )
