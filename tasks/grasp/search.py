"""The search behind the grasp task: many placements, judged before any optimisation, then a diverse few made exact.

After G-HOP (Ye et al., CVPR 2024, Sec. 3.2.2), in another order: the priors see thousands of placements first, the best
of them, apart from each other, become hands whose fingers a prior proposes; score distillation and contact move them
together; refinement on the exact mesh holds the placement; and the ranking (Eq. 3) is made anew at the end.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.common.console import Progress
from hoprior.geometry.mesh import ObjectMesh, thin_walled
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState, RestPoses, transform_points
from hoprior.hand import HandModel, fit_joints
from hoprior.hand.joint_order import THUMB_CMC
from hoprior.hand.placement import diverse_best, hill_climb, random_placements, surface_points
from hoprior.physics.collision import CollisionGuard
from hoprior.physics.contact import ContactEnergy
from hoprior.physics.mouths import VesselMouths
from hoprior.physics.soft_tissue import FleshEnergy
from hoprior.physics.surroundings import Surroundings
from hoprior.priors.asking import placement_energies, shaped
from hoprior.priors.base import WeightedPrior, all_repeat
from hoprior.priors.guidance import SDSGuidance, is_energy, score, sum_terms
from hoprior.priors.protocols import (
    HoldsPosture,
    LooksAtObject,
    ProposesJoints,
    ProposesPlacements,
    ScoresPlacements,
    info_of,
    text_encoder_of,
)
from hoprior.tasks.grasp.around import roomiest
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig, GraspBatch
from hoprior.tasks.grasp.faults import FAULTS, GraspFaults
from hoprior.tasks.grasp.guided import descend_guided
from hoprior.tasks.grasp.judging import PlacementJudge, Terms, Verdict, in_batches, of_placements, quick_looks
from hoprior.tasks.grasp.ranking import Ranked, simulated_best, spare_hands
from hoprior.tasks.grasp.terms import Guide, HeldGuidance, Posture, ScoreNormalizer, reads_placement, reads_pose
from hoprior.tasks.shared import name_of, told_apart

SCREEN_BATCH, SCREEN_BATCH_OF_A_GPU = 128, 1024
"""Hands that are judged at once: as many as a processor's caches hold, and as keep a GPU from waiting for the next."""
SCORE_BATCH = 64
"""The same of a score on a processor, and of a denoiser's anywhere."""
FINGERS = 5
SOFT_START = 0.3
"""Share of the penetration's weight with which guiding begins, so that hands may start through the surface."""


class GraspSearch:
    """One object, one hand model, any prior: the stages of a search, each usable on its own."""

    def __init__(
        self,
        surface: ObjectMesh,
        hand: HandModel,
        prior: WeightedPrior | None,
        cond: Float[Tensor, "1 tokens dim"] | None = None,
        rest: RestPoses | None = None,
        config: GraspConfig | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        names: Sequence[str] | None = None,
        surroundings: Surroundings | None = None,
        sdf: SdfGrid | None = None,
        fingers_known: bool = False,
    ) -> None:
        self.device = torch.device(device)
        self.surface, self.hand = surface, hand.to(self.device)
        self.cond = None if cond is None else cond.to(self.device)
        self.rest = None if rest is None else RestPoses(*(part.to(self.device) for part in rest))
        self.sdf = (SdfGrid.from_mesh(surface) if sdf is None else sdf).to(self.device)
        terms = [] if prior is None else prior.terms
        # Under which each prior's score is told: the names given, or those of classes.
        self.names = told_apart(names or [name_of(term) for _, term in terms], taken=FAULTS)
        # Priors that look at the whole object do so once.
        self.terms = [(w, term.at_object(self.sdf) if isinstance(term, LooksAtObject) else term) for w, term in terms]
        self.energies = [(weight, term) for weight, term in self.terms if is_energy(term)]
        denoisers = [(weight, term) for weight, term in self.terms if not is_energy(term)]
        self.denoisers = [(weight, term) for weight, term in denoisers if reads_placement(term)]
        self.pose_denoisers = [(weight, term) for weight, term in denoisers if not reads_placement(term)]
        self.reads_pose = any(reads_pose(term) for _, term in self.terms)
        self.posture_priors = [(weight, Posture(term)) for weight, term in self.terms if isinstance(term, HoldsPosture)]
        able = [[p for _, p in terms if isinstance(p, ProposesJoints)] for terms in (self.energies, self.denoisers)]
        self.proposing = able[0] or able[1][:1]
        self.fingers_known = fingers_known or bool(self.proposing)
        self.config = config or GraspConfig()
        self.seed, self.surroundings = seed, surroundings
        mouths = VesselMouths(self.sdf, self.rest) if self.config.keep_out else None
        self.mouths = mouths if mouths is not None and mouths.any else None
        self.rest = self.rest if self.mouths is None else self.mouths.rest
        # To bones, mouths that fingers keep out of are as solid as walls.
        bones_sdf = self.sdf if self.mouths is None else self.mouths.plugged
        self.contact = ContactEnergy(self.hand, self.sdf, self.config.contact, bones_sdf, surroundings)
        self.flesh = FleshEnergy(self.hand, self.sdf, self.config.contact, self.config.flesh, bones_sdf, surroundings)
        self.collisions = CollisionGuard(self.hand, bones_sdf)
        self.guarded = self.mouths is not None or thin_walled(surface.solid)
        self.guard = self.collisions if self.guarded else None
        self.faults = GraspFaults(surface, self.hand, self.sdf, self.config.faults, self.mouths, surroundings)

    def state(self, hands: GraspBatch) -> HandObjectState:
        """The hands as priors see them; how they are bent only where a prior reads that."""
        hand_pose = self.hand.angles_to_pose(hands.angles)
        joints = self.hand.joints_only(hand_pose)
        return HandObjectState(self.sdf, hands.T_object_hand, joints, self.rest, hand_pose if self.reads_pose else None)

    def condition(self, prior: Any, num: int) -> Float[Tensor, "b tokens dim"] | None:
        """The text's features for a batch; none for a prior that listens to no text."""
        if self.cond is None or text_encoder_of(prior) is None:
            return None
        return self.cond.expand(num, -1, -1)

    def run(self, num: int, progress: Progress | None = None) -> Ranked:
        """`num` grasps, best first; what they are ranked by; and what each prior, and contact, says of them."""
        report = progress or (lambda stage, share: None)
        self.faults.prepare()
        report("judging placements", 0.0)
        wanted = num + spare_hands(num, self.config.spare)
        hands = self.shortlist(round(self.config.proposed * wanted) if self.guarded else wanted)
        report("proposing fingers", 0.25)
        hands = self.with_proposed_fingers(hands)
        if self.guarded:
            hands = self.with_fingers_outside(hands, wanted)
        hands = self.guide(hands, lambda share: report("guided by the prior", 0.3 + 0.45 * share))
        if not self.guarded:
            hands = self.with_fingers_before(hands)
        hands = self.refine(hands, lambda share: report("refining contact", 0.75 + 0.2 * share))
        report("ranking", 0.95)
        ranked = self.rank(hands, num)
        report("done", 1.0)
        return ranked

    def shortlist(self, num: int) -> GraspBatch:
        """Diverse placements that score well: the best of `config.pool` random ones, moved to better ones near.

        Energies judge and move, by their quick looks where they have such, and order those that are left themselves.
        Denoisers, which cost ten times as much, choose only where there is no energy, among a random share. The fingers
        are relaxed, so that priors which look at fingers alone have no say.
        """
        config = self.config
        generator = torch.Generator().manual_seed(self.seed)
        pool = self.placements(config.pool * (1 if self.surroundings is None else config.crowded), generator)
        if self.surroundings is not None:
            pool = roomiest(pool, self.joints(GraspBatch(self._relaxed(1), pool[:1])), self.surroundings, config.pool)
        hands = GraspBatch(self._relaxed(len(pool)), pool)
        quick = quick_looks(self.energies)
        energies = scorers = of_placements(quick)
        if self.denoisers and not energies:
            scorers = self.denoisers
            share = torch.randperm(len(pool), generator=generator)[: max(num, config.denoised_alone)]
            hands = hands[share.to(self.device)]
        judge = PlacementJudge(scorers, partial(self.score_placements, scorers, energies=quick), config.mouth_weight)
        score = judge(hands)
        best = self.diverse(hands, score, num)
        if energies:
            hands, score = hands[best], score[best]
            placements, score = hill_climb(
                hands.T_object_hand,
                score,
                lambda T: judge(GraspBatch(self._relaxed(len(T)), T)),
                config.local_search,
                generator,
            )
            hands = GraspBatch(hands.angles, placements)
            if any(looked is not prior for (_, looked), (_, prior) in zip(quick, self.energies, strict=True)):
                score = judge(hands, partial(self.score_placements, of_placements(self.energies)))
            best = self.diverse(hands, score, num)
        return hands[best]

    def placements(self, num: int, generator: torch.Generator) -> Float[Tensor, "n 4 4"]:
        """Random placements; half of them those that priors propose, where any can for what is said.

        Priors that propose share that half evenly.
        """
        pool = random_placements(self.surface.solid, num, generator, hand_size=self.hand.size).to(self.device)
        proposals = []
        for _, prior in self.energies:
            if isinstance(prior, ProposesPlacements):
                points, normals = surface_points(self.surface.solid, num // 2, generator)
                cond = self.condition(prior, 1)
                proposed = prior.propose_placements(points.to(self.device), normals.to(self.device), cond, generator)
                if proposed is not None:
                    proposals.append(shaped(prior, "propose_placements", proposed, None, 4, 4))
        if proposals:
            # Points are drawn at random from the surface, so that the first of them are as good as any.
            proposed = torch.cat([each[: num // 2 // len(proposals)] for each in proposals])
            pool[: len(proposed)] = proposed
        return pool

    def diverse(self, hands: GraspBatch, score: Float[Tensor, " b"], num: int) -> Int[Tensor, " k"]:
        """The `num` of the best score that lie apart."""
        return diverse_best(score, hands.T_object_hand, self.joints(hands), num, self.config.spacing)

    def _relaxed(self, num: int) -> Float[Tensor, "b 15 3"]:
        return self.hand.relaxed_angles.expand(num, -1, -1)

    def joints(self, hands: GraspBatch) -> Float[Tensor, "b 21 3"]:
        """Joints in the hand's frame."""
        return self.hand.joints_only(self.hand.angles_to_pose(hands.angles))

    @torch.no_grad()
    def score_placements(self, terms: Terms, hands: GraspBatch, energies: Terms | None = None) -> Verdict:
        """Each prior's score of each hand, the joints being where the energies would have them at its placement.

        Energies (its own if None) are asked in order: one may say where joints are, the next how words shift these.

        Returns:
            The scores, and how many of the hand's fingers would be out of place (`out_of_place`).
        """
        known = self.energies if energies is None else energies

        def judged(some: GraspBatch) -> Verdict:
            scores, state = self._scores(terms, self.state(some), known)
            return scores, self.out_of_place(state.T_object_hand, state.joints_hand)

        on_cpu = self.device.type == "cpu"
        by_threads = on_cpu and all_repeat((*terms, *known))
        return in_batches(judged, hands, SCREEN_BATCH if on_cpu else SCREEN_BATCH_OF_A_GPU, by_threads)

    def out_of_place(
        self, T_object_hand: Float[Tensor, "b 4 4"], joints_hand: Float[Tensor, "b 21 3"]
    ) -> Float[Tensor, " b"]:
        """How many fingers of each hand are in a mouth, beneath a vessel that stands, or in what is left free."""
        misplaced = joints_hand.new_zeros(len(joints_hand))
        if self.surroundings is not None:
            misplaced = self.surroundings.misplaced(T_object_hand, joints_hand)
        if self.mouths is None:
            return misplaced
        joints = transform_points(T_object_hand, joints_hand)
        return misplaced + (self.mouths.fingers_inside(joints) + FINGERS * self.mouths.beneath(joints))

    def _scores(
        self, terms: Terms, state: HandObjectState, energies: Terms
    ) -> tuple[list[Float[Tensor, " b"]], HandObjectState]:
        """The scores, and the state with the joints where the energies would have them."""
        known: dict[int, Tensor] = {}
        bent = state
        for _, prior in energies:
            if isinstance(prior, ScoresPlacements):
                seen = bent if reads_pose(prior) else state
                energy, joints = placement_energies(prior, seen, self.condition(prior, len(state)))
                # Of these joints nobody knows how they are bent.
                known[id(prior)], state = -energy, replace(state, joints_hand=joints, hand_pose=None)
        scores = [
            known[id(prior)] if id(prior) in known else self.score(prior, bent if reads_pose(prior) else state)
            for _, prior in terms
        ]
        return scores, state

    def score(self, prior: Any, state: HandObjectState) -> Float[Tensor, " b"]:
        """A prior's score of states (Eq. 3, as a likelihood ratio), with this search's common random numbers."""
        generator = torch.Generator().manual_seed(self.seed)
        return score(
            prior,
            state,
            self.condition(prior, len(state)),
            self.config.score_timesteps,
            generator=generator,
            t_range=self._noise(prior, self.config.score_range),
            contrast=1.0,
            batch_size=SCREEN_BATCH_OF_A_GPU if is_energy(prior) and self.device.type != "cpu" else SCORE_BATCH,
        )

    def _noise(self, prior: Any, usual: tuple[float, float]) -> tuple[float, float]:
        """Fractions of T between which a denoiser is asked; `usual` are those of denoisers of hands at objects."""
        return info_of(prior).noise_range or (usual if reads_placement(prior) else self.config.pose_range)

    @torch.no_grad()
    def proposed_joints(self, state: HandObjectState) -> tuple[Float[Tensor, "b 21 3"], bool]:
        """Where priors would have the joints, those of `state` where none can say; and `PriorInfo.fingertips_only`.

        Energies are asked in their order, each given what those before it propose; the first denoiser only where no
        energy proposes: a mean is closer to people's fingers than a draw, and costs one forward.
        """
        bent, tips_only = state, False
        for prior in self.proposing:
            generator = torch.Generator().manual_seed(self.seed)
            seen = bent if reads_pose(prior) else state
            joints = prior.propose_joints(seen, self.condition(prior, len(state)), generator)
            joints = shaped(prior, "propose_joints", joints, len(state), 21, 3)
            if not torch.equal(joints, state.joints_hand):
                state, tips_only = replace(state, joints_hand=joints, hand_pose=None), info_of(prior).fingertips_only
        return state.joints_hand, tips_only

    def with_proposed_fingers(self, hands: GraspBatch) -> GraspBatch:
        """The hands with the fingers that a prior proposes for their placements, by inverse kinematics.

        The wrist stays where the placement has it; but where only a prior's fingertips are to be followed, these are
        where it has them, and the palm follows as it must (`HoldingFit`).
        """
        if not self.terms:
            return hands
        joints, tips_only = self.proposed_joints(self.state(hands))
        if tips_only:
            return GraspBatch(*self.config.holding(self.hand, transform_points(hands.T_object_hand, joints)))
        weights = (torch.arange(21, device=self.device) != THUMB_CMC).float()
        pose = fit_joints(self.hand, joints, weights=weights).pose
        return GraspBatch(self.hand.pose_to_angles(pose.hand_pose), hands.T_object_hand)

    @torch.no_grad()
    def with_fingers_outside(self, hands: GraspBatch, num: int) -> GraspBatch:
        """The `num` hands with the fewest fingers in the way, in their order, closed from open around the object.

        Priors that keep fingers as told also judge what the way leaves of these.
        """
        angles, blocked = self.collisions.close_fingers(hands.angles, hands.T_object_hand)
        closed, cost = GraspBatch(angles, hands.T_object_hand), blocked.float()
        if self.posture_priors:
            state = self.state(closed)
            cost = cost - sum_terms(self.score(prior, state) for _, prior in self.posture_priors)
        return closed[cost.argsort(stable=True)[:num].sort().values]

    def with_fingers_before(self, hands: GraspBatch) -> GraspBatch:
        """The same hands without fingers that have gone through a handle while they were guided.

        Hands start through the surface, and an unguarded finger leaves it on the nearer side, be that the far one.
        """
        return GraspBatch(self.collisions.with_fingers_before(hands.angles, hands.T_object_hand), hands.T_object_hand)

    def guide(self, hands: GraspBatch, report: Callable[[float], None]) -> GraspBatch:
        """Score distillation and contact, together, over articulation and placement."""
        config, guidance = self._kept(self.config.guiding), HeldGuidance(self.guides())
        return descend_guided(hands, self.contact, guidance, self._looks, config, self.guard, SOFT_START, report)

    def _kept(self, config: DescentConfig) -> DescentConfig:
        """A descent's settings; fingers that nobody has bent, or knows (`fingers_known`), are nothing to hold on to."""
        return config if self.fingers_known else replace(config, hold_angles=0.0)

    def _looks(self, hands: GraspBatch) -> tuple[HandObjectState, Float[Tensor, "b tokens dim"] | None]:
        return self.state(hands), None if self.cond is None else self.cond.expand(len(hands), -1, -1)

    def guides(self) -> list[Guide]:
        """The guides of the energies, of the denoisers, and of those of fingers alone."""
        config, guides = self.config, []
        if self.energies:
            steps = -(-config.guiding.steps // config.guide_every)
            energies = SDSGuidance(WeightedPrior(quick_looks(self.energies)), steps, seed=self.seed)
            guides.append(Guide(config.guide_every, config.guide_weight, energies))
        guides += self._distilled(self.denoisers, config.guiding.steps, config.denoise_every, config.denoise_weight)
        guides += self._distilled(self.pose_denoisers, config.guiding.steps, config.pose_every, config.pose_weight)
        return guides

    def _distilled(
        self, denoisers: Sequence[tuple[float, Any]], steps: int, every: int, weight: float
    ) -> Iterator[Guide]:
        """Score distillation of denoisers over a descent of so many steps: a guide for each range of noise."""
        by_noise: dict[tuple[float, float], list[tuple[float, Any]]] = {}
        for term in denoisers:
            by_noise.setdefault(self._noise(term[1], self.config.t_range), []).append(term)
        for t_range, terms in by_noise.items():
            guidance = SDSGuidance(
                WeightedPrior(terms),
                -(-steps // every),
                guidance_scale=self.config.guidance_scale,
                t_range=t_range,
                seed=self.seed,
            )
            yield Guide(every, weight, guidance)

    def refine(self, hands: GraspBatch, report: Callable[[float], None]) -> GraspBatch:
        """Wide, shallow contact, holding the placement; of the priors only those that keep fingers."""
        config, refining, guides = self.config, self._kept(self.config.refining), []
        if self.posture_priors:
            posture = SDSGuidance(WeightedPrior(self.posture_priors), refining.steps, seed=self.seed)
            guides.append(Guide(1, config.guide_weight, posture))
        if config.pose_hold:
            steps = refining.steps
            guides += self._distilled(self.pose_denoisers, steps, config.pose_every, config.pose_hold)
        guidance = HeldGuidance(guides)
        return descend_guided(hands, self.flesh, guidance, self._looks, refining, self.collisions, report=report)

    @torch.no_grad()
    def rank(self, hands: GraspBatch, num: int) -> Ranked:
        """The best `num` of finished hands, best first.

        They are ranked by the priors' scores, less what physics finds wrong. Simulation costs more than all the rest:
        at most the better ones by the rest of the ranking (`GraspConfig.simulated`) are simulated.
        """
        scores = self.faults(hands.angles, hands.T_object_hand)
        scores["faults"] = sum_terms(scores.values())
        total = -scores["faults"]
        if self.terms:
            state = self.state(hands)
            columns = [self.score(prior, state) for _, prior in self.terms]
            counted = [(w * (self.config.rank_energies if is_energy(prior) else 1.0), prior) for w, prior in self.terms]
            total = total + ScoreNormalizer.of(counted, columns)(columns)
            scores |= dict(zip(self.names, columns, strict=True))
        ranked = Ranked(hands, total, scores).best(num + spare_hands(num, self.config.simulated))
        return simulated_best(ranked, self.faults, num)
