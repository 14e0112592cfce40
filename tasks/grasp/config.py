"""The settings of the grasp task."""

from dataclasses import dataclass, field

from hoprior.hand.holding import HoldingFit
from hoprior.hand.placement import LocalSearchConfig
from hoprior.physics.contact import ContactWeights
from hoprior.physics.soft_tissue import FleshWeights
from hoprior.tasks.grasp.descent import DescentConfig
from hoprior.tasks.grasp.faults import FaultWeights

SHALLOW = ContactWeights(
    penetration_weight=6000.0,
    penetration_tolerance=0.0005,
    hand_weight=8.0,
    hand_reach=0.01,
    hand_gap=0.003,
    press_depth=0.001,
)
"""Contact that is wide rather than deep: flesh gives way a millimetre, and what is near comes near enough to touch."""
WRAPPING = DescentConfig(steps=240, hold_position=60_000.0, hold_rotation=600.0, hold_angles=5.0, clearance=0.001)
"""Fingers wrap around what the hand holds, and hardly move the hand: where it is, priors know better than flesh."""


CLIMBING = LocalSearchConfig(iterations=4)
"""Random placements are centimetres apart; what a prior likes most lies between them."""


@dataclass(frozen=True)
class GraspConfig:
    """How a grasp is searched, guided and refined.

    pool: placements that energies judge before any optimisation.
    denoised_alone: how many of them denoisers judge where there is no energy, a random share.
    local_search: how often each hand of the shortlist goes to the best of how many placements near it.
    spare: hands that are optimised beyond those asked for, as a share, so that the ranking has something to leave out.
    simulated: hands that are simulated beyond those asked for, likewise as a share.
    proposed: of thin-walled objects, how many hands get fingers for each that is optimised; those whose fingers cannot
        close from open without meeting a wall are left out, and all close as far as they can. On solid ones a finger
        that grazes an edge means little, and the priors' fingers and order are kept.
    keep_out: whether fingers keep out of the mouths of vessels (`hoprior.physics.mouths`). A sentence that says
        otherwise turns it off.
    mouth_weight: what a finger that would be in a mouth, or beneath a vessel that stands, costs a placement, in
        standard deviations of a prior's score.
    crowded: placements that are drawn for each of the pool where something around the object is to be left free.
    contact_on_weight: of what draws hands to a part that is to be held.
    keep_off_weight: of what keeps hands off parts that people keep theirs off (`hoprior.language.phrases.KEPT_OFF`).
    spacing: between hands of the shortlist (m, mean over joints).
    holding: how hands follow the joints that priors propose.
    guiding: the descent with priors, on `contact`.
    guide_every, guide_weight: an energy's gradient is taken every so many steps, and held between; its weight.
    denoise_every, denoise_weight: the same of a denoiser's score distillation.
    refining: the descent on `flesh` that follows, without priors.
    guidance_scale, t_range: of score distillation, the latter in fractions of T. A denoiser that says itself at which
        noise it judges well (`PriorInfo.noise_range`) is asked there, here and in Eq. 3.
    pose_every, pose_weight, pose_range: the same of denoisers that look at nothing but how the fingers are bent;
        the range in fractions of T.
    pose_hold: their weight beside flesh in `refining`; 0 leaves the fingers to the flesh.
    score_timesteps, score_range: noise levels of Eq. 3, how many and which (fractions of T). High ones tell placements
        apart: beneath, a denoiser sees in the noisy grid itself how hand and object lie.
    rank_energies: how much energies count in the ranking beside denoisers, whose scores are noisy.
    """

    pool: int = 8192
    denoised_alone: int = 1024
    local_search: LocalSearchConfig = CLIMBING
    spare: float = 0.7
    simulated: float = 0.3
    proposed: float = 3.0
    keep_out: bool = True
    mouth_weight: float = 2.0
    crowded: int = 4
    contact_on_weight: float = 4.0
    keep_off_weight: float = 1.0
    spacing: float = 0.015
    holding: HoldingFit = field(default_factory=HoldingFit)
    guiding: DescentConfig = field(default_factory=lambda: DescentConfig(steps=80, hold_angles=5.0))
    guide_every: int = 4
    guide_weight: float = 0.15
    denoise_every: int = 16
    denoise_weight: float = 0.008
    pose_every: int = 4
    pose_weight: float = 1.0
    pose_range: tuple[float, float] = (0.05, 0.3)
    pose_hold: float = 0.0
    refining: DescentConfig = WRAPPING
    guidance_scale: float = 2.0
    t_range: tuple[float, float] = (0.55, 0.8)
    score_timesteps: int = 2
    score_range: tuple[float, float] = (0.85, 0.95)
    rank_energies: float = 2.0
    contact: ContactWeights = SHALLOW
    flesh: FleshWeights = field(default_factory=FleshWeights)
    faults: FaultWeights = field(default_factory=FaultWeights)
