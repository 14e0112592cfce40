"""Hands bent as a text says: `hoprior.generate_poses(...)` and `hoprior run generate --prior pose`.

After the affordance-guided pose prior (Suzuki et al., Sec. 3, "Generation controllability"): poses are drawn from the
prior without any image. What the joints of a hand cannot do is brought back to their limits.
"""

import time

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.compute import torch_device
from hoprior.common.console import Progress
from hoprior.errors import HopriorError
from hoprior.hand import HandModel, fit_joints, load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.hand.pose import mirror_points, mirror_rotvec
from hoprior.language.phrases import sentence_for
from hoprior.models.pose_prior import PosePrior
from hoprior.priors.diffusion import ddim_sample, spawn_each
from hoprior.priors.registry import load_prior
from hoprior.priors.text_encoders import encode_texts
from hoprior.results.folder import package_versions
from hoprior.results.poses import PoseSample, PoseSamples
from hoprior.tasks.shared import right_hand, shown_hand

ETA = 1.0
"""Ancestral sampling, as of the grid prior: what the first, noisiest steps get wrong is forgotten."""
THUMB_TIP, INDEX_TIP = JOINT_NAMES.index("thumb_tip"), JOINT_NAMES.index("index_tip")


@torch.no_grad()
def sample_poses(
    prior: PosePrior,
    cond: Float[Tensor, "n tokens dim"] | None,
    num: int,
    *,
    steps: int = 50,
    guidance_scale: float = 1.0,
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, "n 15 3"]:
    """Poses (axis-angle, right hand) from noise alone, as they come.

    Args:
        prior: the pose prior.
        cond: text features, one row a pose; None for the null condition.
        num: how many.
        steps: from T to 0; must divide the prior's T.
        guidance_scale: of classifier-free guidance; 1 is none.
        generator: source of all noise; pose i does not depend on `num`.
        progress: told after each step the share of the steps that is done.

    Raises:
        HopriorError: steps that do not divide T.
    """
    x0 = ddim_sample(
        prior,
        (num, *prior.pose_shape),
        cond,
        steps=steps,
        guidance_scale=guidance_scale,
        generator=spawn_each(generator, num, torch.device("cpu")),
        eta=ETA,
        progress=None if progress is None else lambda share: progress("sampling", share),
    )
    return prior.decode(x0).hand_pose


def aperture(joints: Float[Tensor, "n 21 3"]) -> Float[Tensor, " n"]:
    """Distance from the thumb's tip to the index finger's, in the joints' unit."""
    return (joints[:, THUMB_TIP] - joints[:, INDEX_TIP]).norm(dim=-1)


def within_limits(
    hand: HandModel, hand_pose: Float[Tensor, "n 15 3"]
) -> tuple[Float[Tensor, "n 15 3"], Float[Tensor, " n"]]:
    """Poses brought within a hand's joint limits, and how far (radians) the worst joint of each was beyond."""
    angles = hand.pose_to_angles(hand_pose)
    inside = torch.minimum(torch.maximum(angles, hand.angle_low), hand.angle_high)
    return hand.angles_to_pose(inside), (angles - inside).abs().flatten(1).amax(dim=1)


def generate_poses(
    text: str,
    num: int = 8,
    *,
    prior: str | PosePrior = "pose",
    guidance: float = 1.0,
    steps: int = 50,
    seed: int = 0,
    hand: str | HandModel = "open",
    side: str = "right",
    device: str = "auto",
    progress: Progress | None = None,
) -> PoseSamples:
    """Hands bent as a text says.

    Args:
        text: "a right hand holding a large ball with a power sphere grasp", or just "a ball". `hoprior describe`
            writes such sentences.
        num: how many hands.
        prior: a pose prior: its name, its file, or the prior itself.
        guidance: scale of classifier-free guidance; 1 is none.
        steps: of the sampler; must divide the prior's number of timesteps.
        seed: the same seed gives the same hands on the same machine; hand i does not depend on `num`.
        hand: "open" or "mano", or a model of your own, whose joints are brought where the open hand's are;
            a left one needs side="left".
        side: "right" or "left".
        device: where the prior computes: "auto", "cpu", "cuda" ...
        progress: told the stage and the share of the work that is done.

    Returns:
        Hands of average shape in the hand frame, metres.

    Raises:
        HopriorError: an argument cannot be used, or the prior is no pose prior.
    """
    if not text.strip():
        raise HopriorError('--text is empty: say what the hand does, "a hand holding a large ball"')
    if num < 1:
        raise HopriorError(f"--num is {num}: ask for at least one hand")
    if side not in ("right", "left"):
        raise HopriorError(f"--side '{side}' is unknown: use right or left")
    began = time.perf_counter()
    chosen = torch_device(device)
    found = load_prior(prior) if isinstance(prior, str) else prior
    if not isinstance(found, PosePrior):
        raise HopriorError(f"prior '{prior}' is a {type(found).__name__}, not a pose prior: use pose, or a file of one")
    found = found.to(chosen).eval()
    model = right_hand(hand, side)
    sentence = sentence_for(text)
    cond = encode_texts(found, [sentence], device=chosen)
    loaded = time.perf_counter()
    hand_pose = sample_poses(
        found,
        None if cond is None else cond.expand(num, -1, -1),
        num,
        steps=steps,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(seed),
        progress=progress,
    ).cpu()
    return PoseSamples(
        samples=_samples(model, hand_pose, side),
        faces=shown_hand(model, side).faces.cpu().numpy(),
        text=text,
        sentence=sentence,
        seed=seed,
        config={
            "task": "generate",
            "text": text,
            "num": num,
            "prior": prior if isinstance(prior, str) else type(prior).__name__,
            "guidance": guidance,
            "steps": steps,
            "seed": seed,
            "hand": model.name,
            "side": side,
            "device": str(chosen),
        },
        versions=package_versions(),
        timings={"load": loaded - began, "sample": time.perf_counter() - loaded},
    )


def _samples(model: HandModel, hand_pose: Float[Tensor, "n 15 3"], side: str) -> tuple[PoseSample, ...]:
    """Drawn poses of right open hands as hands of a model and a side."""
    open_hand = load_hand()
    hand_pose, beyond = within_limits(open_hand, hand_pose)
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
            betas=torch.zeros(10).numpy(),
            joints_hand=joints[i].numpy(),
            verts_hand=verts[i].numpy(),
            measures={"aperture_cm": float(measures[0][i]), "beyond_limits_deg": float(measures[1][i])},
        )
        for i in range(len(hand_pose))
    )
