"""How a scene is fitted to a clip: first the hands, then the object is carved, then everything together."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.adam import Adam
from hoprior.common.interrupts import HeldBack
from hoprior.datasets.clips.clip import Clip
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.transforms import invert
from hoprior.hand import HandModel
from hoprior.tasks.reconstruct.cavity import MIN_OPENING_CONFIDENCE, Hollow, hollow_in, hollow_out
from hoprior.tasks.reconstruct.checkpoint import Checkpoint, FitState, key_of
from hoprior.tasks.reconstruct.config import FitConfig
from hoprior.tasks.reconstruct.descent import descend, optimizer_of
from hoprior.tasks.reconstruct.guides import InteractionGuide, PoseGuide, roles_of
from hoprior.tasks.reconstruct.in_plane import align_in_plane, bring_centroids_together, turn_less
from hoprior.tasks.reconstruct.inflation import FULL_ARC
from hoprior.tasks.reconstruct.known_object import KnownObject, place_known
from hoprior.tasks.reconstruct.of_kind import Example
from hoprior.tasks.reconstruct.pose_alignment import agreeing, register
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.reconstruct.stages import HandStage, SceneStage, Stage
from hoprior.tasks.reconstruct.stand_in import StandIn, find_stand_in
from hoprior.tasks.reconstruct.visual_hull import Carver, ruggedness

logger = logging.getLogger(__name__)

Watch: TypeAlias = Callable[[str, float, dict[str, float]], object]
"""Told the stage, the share of the work that is done, and the losses."""

HANDS_DONE, CARVING_DONE = 0.12, 0.14
"""Shares of the work, as progress tells them, after which the hands are fitted and the object is carved."""
HANDS_TIME = 0.3
"""Share of the time that the hands may take where time is limited."""
TURN_SHARES = (1.0, 0.5, 0.0)
"""Shares of the hands' turns that the object may have taken part in."""
AGREED_MISS = 0.0025
"""Masks that miss the object by less (m) agree with each other, and the hands are believed."""
HISTORY_EVERY, LAST_LOSSES = 10, 6
"""Steps between two losses that a result keeps; and how many of the last tell how far outlines are missed."""


class Fit:
    """A fit of one clip that can be stopped, saved and taken up again.

    Args:
        clip: what was seen.
        model: the right hand.
        priors: weights and priors, each of which acts in its role (`guides.py`); none of them for none.
        cond: text features for all that listen to text, or None.
        config: see `FitConfig`.
        seed: of all draws.
        device: where it computes.
        checkpoint: a file that is kept up to date, and taken up if it is there and of the same run.
        minutes: when so much time has passed, the remaining steps are left out; no limit if None.
        known: the object's shape, if it is known, or where its fit begins.
        stand_ins: things of which the one that fits best takes the object's place; its shape is not fitted.
    """

    def __init__(
        self,
        clip: Clip,
        model: HandModel,
        priors: Iterable[tuple[float, Any]],
        cond: Float[Tensor, "1 tokens dim"] | None,
        config: FitConfig,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        checkpoint: Path | None = None,
        minutes: float | None = None,
        known: KnownObject | None = None,
        stand_ins: Sequence[Example] = (),
    ) -> None:
        self.clip, self.config, self.minutes, self.known, self.seed = clip, config, minutes, known, seed
        self.device = torch.device(device)
        self.cond = None if cond is None else cond.to(self.device)
        self.scene = Scene(clip, model)
        self.generator = torch.Generator().manual_seed(seed)
        terms = list(priors)
        roles = roles_of(terms)
        self.shapes = [(weight, shape) for weight, shape in roles.shape if weight]
        # Where the shape is known, masks say the rest: priors of hands at objects judge where it is, and guide nothing.
        given = known is not None or bool(stand_ins)
        rigid = bool(stand_ins) or (known is not None and known.rigid)
        guides = [] if rigid else roles.interaction
        self.judges = roles.interaction if given else []
        self.stand_ins = stand_ins
        self.stand_in: StandIn | None = None
        self.interaction = InteractionGuide(guides, self.cond, config, seed) if guides else None
        self.poses = PoseGuide(roles.pose, self.cond, config, seed) if roles.pose else None
        self.checkpoint = Checkpoint(checkpoint, key_of(clip, model, terms, cond, config, seed, known))
        self.stage, self.step, self.spent, self.began = "hands", 0, 0.0, time.monotonic()
        self.history: list[dict[str, float]] = []
        self.hollow = Hollow(0.0, torch.zeros(3))
        self.hull_gap = 0.0
        self.rough, self.turn_share = False, 1.0
        self.miss, self.ruggedness = math.nan, math.nan
        self.mesh_miss: float | None = None

    def run(self, watch: Watch | None = None, say: Callable[[str], object] = logger.info) -> Scene:
        """Fits to the end, or until time is up; `say` is told if it goes on from the checkpoint, or why it does not."""
        watch = watch or (lambda stage, share, losses: None)
        state, why_not = self.checkpoint.read()
        if why_not is not None:
            say(f"started anew, because {why_not}")
        if state is not None:
            self._take_up(state)
            where = f"step {self.step} of {self.config.steps}" if self.stage == "all" else f"the {self.stage}"
            say(f"resumed at {where}, from {self.checkpoint.path}")
        if self.stage == "hands":
            self._fit_hands(watch, state)
        if self.stage == "carving":
            watch("carving the object", HANDS_DONE, {})
            self._guess_object()
            self.stage, state = "all", None
        self._fit_all(watch, state)
        return self.scene

    # The three stages.

    def _fit_hands(self, watch: Watch, state: FitState | None) -> None:
        scene = self.scene.to(self.device)
        stage = HandStage(scene, self.clip, self.config, self.generator, self.poses)
        optimizer = self._run(stage, scene, watch, state, (0.0, HANDS_DONE), HANDS_TIME)
        self.stage, self.step = "carving", 0
        self._keep(stage, scene, optimizer)
        self.scene = scene.cpu()

    def _guess_object(self) -> None:
        """Carves the object, and mends the poses by what is left, in turn; or puts a stand-in in its place."""
        if self.stand_ins:
            self._put_stand_in()
            return
        config, carver = self.config, Carver.of(self.clip)
        # Where no hand was seen, its place and the object's are a guess until they are brought to the object.
        start = copy.deepcopy(self.scene, {id(self.scene.model): self.scene.model})
        self.hull_gap = carver.carve(self.scene, config.resolution)
        if self.known is not None:
            self._put(self.known, carver)
            steps, rate = config.rounds * config.register_steps, config.register_rate
            register(self.scene, self.clip, config.weights, steps, rate, self.generator)
            return
        missed = self._mend_poses(carver)
        if float(missed.nanmedian()) > AGREED_MISS:
            self.rough = True
            self._place_object(start, carver)
            missed = self._mend_poses(carver)
        self.miss, self.ruggedness = float(missed.nanmedian()), ruggedness(self.scene.base)
        # What masks leave is what priors of shapes have learnt from; the fit rounds it.
        scene = self.scene.to(self.device)
        found = [(weight, hollow_in(scene, scene.base, shape, self.cond)) for weight, shape in self.shapes]
        self.scene = scene.cpu()
        if found:
            self.hollow = max(found, key=lambda each: each[0] * each[1].sure)[1]

    def _mend_poses(self, carver: Carver) -> Tensor:
        """Registers and carves in turn; by how much (m) each frame's rays miss the object at the end."""
        config, missed = self.config, torch.full((len(self.clip),), torch.nan)
        for _ in range(config.rounds):
            if self.rough:
                align_in_plane(self.scene, self.clip, self.generator)
            steps, rate = config.register_steps, config.register_rate
            missed = register(self.scene, self.clip, config.weights, steps, rate, self.generator)
            rules = (agreeing(missed), FULL_ARC) if self.rough else ()
            self.hull_gap = carver.carve(self.scene, config.resolution, *rules)
        return missed

    def _place_object(self, start: Scene, carver: Carver) -> None:
        """Begins again where masks contradict each other: brings the object to them, turning as the hands do or less.

        Hands of a video are estimated wrong by tens of degrees. Turns that nobody made leave something torn, or with
        fins, though it lies in its masks: what counts is by how much masks miss it, and how rugged it is.
        """
        best = math.inf
        for share in TURN_SHARES:
            scene = copy.deepcopy(start, {id(start.model): start.model})
            if share < 1:
                turn_less(scene, share)
            bring_centroids_together(scene, self.clip)
            # Where no hand was seen, its place and the object's are a guess until they are brought to the object.
            carver.carve(scene, self.config.resolution, self.clip.has_hand, FULL_ARC)
            missed = align_in_plane(scene, self.clip, self.generator)
            found = float(missed.nanmedian()) * ruggedness(scene.base) ** 2
            logger.info("with %g of the hands' turns: %.1f mm", share, 1000 * found)
            if found < best:
                best, self.turn_share, self.scene = found, share, scene
        self.hull_gap = carver.carve(self.scene, self.config.resolution, None, FULL_ARC)

    def _put(self, known: KnownObject, carver: Carver) -> None:
        """Puts a known object where the masks have it."""
        placement = place_known(self.scene, carver, known, self.seed, self.judges, self.cond)
        grid = SdfGrid.from_mesh(known.scaled(placement.size), self.config.resolution)
        self.scene.set_object(grid.values, grid.lower, grid.upper, rigid=known.rigid)
        self.scene.put(placement.T_camera_hand, placement.T_hand_object)
        self.mesh_miss = placement.miss

    def _put_stand_in(self) -> None:
        """Puts what fits best of the things that may take the object's place where the masks have it."""
        scene, clip = self.scene, self.clip
        found = find_stand_in(scene, clip, self.stand_ins, self.seed)
        grid = SdfGrid.from_mesh(found.mesh, self.config.resolution)
        scene.set_object(grid.values, grid.lower, grid.upper, rigid=True)
        T_camera_hand = scene.place(mesh=False).T_camera_hand.detach()
        T_hand_object = invert(T_camera_hand) @ found.T_camera_object
        if clip.has_hand.any():
            # Where no hand was seen, it goes with the object.
            seen = clip.has_hand.nonzero()[:, 0]
            T_hand_object = T_hand_object[seen[(torch.arange(len(clip))[:, None] - seen).abs().argmin(dim=1)]]
        scene.put(found.T_camera_object @ invert(T_hand_object), T_hand_object)
        self.stand_in, self.miss, self.ruggedness = found, found.miss, ruggedness(scene.base)

    def _fit_all(self, watch: Watch, state: FitState | None) -> None:
        scene = self.scene.to(self.device)
        stage = SceneStage(scene, self.clip, self.config, self.generator, self.interaction, self.poses)
        self._run(stage, scene, watch, state, (CARVING_DONE, 1.0), 1.0)
        self._hollow_out()
        self.scene = scene.cpu()

    def _run(
        self,
        stage: Stage,
        scene: Scene,
        watch: Watch,
        state: FitState | None,
        progress: tuple[float, float],
        time_share: float,
    ) -> Adam:
        """The remaining steps of a stage, kept now and then; at Ctrl-C or SIGTERM, which wait for the step's end, too.

        Args:
            state: that the stage goes on from, if it does.
            progress: shares of all work that are done before and after it.
            time_share: of the time that there is, after which it ends.
        """
        optimizer = optimizer_of(scene, self.config)
        if state is not None:
            optimizer.load_state_dict(state.optimizer)
            stage.load_drawn(state.drawn)
        if self.rough:
            # Rays of masks that contradict each other, and a hand that is off, spoil a shape that all masks made.
            for group in optimizer.param_groups:
                group["start"] *= not group["damped"]
        with HeldBack() as held:
            if self.stage == "all" and state is None:  # what was carved is dear
                self._keep(stage, scene, optimizer)
            for step in range(self.step, stage.steps):
                losses = self._descend(stage, optimizer, scene, step)
                if self.stage == "all" and step % HISTORY_EVERY == 0:
                    self.history.append({"step": step, **losses})
                before, after = progress
                watch(stage.name, before + (after - before) * step / stage.steps, losses)
                self.step = step + 1
                if held.asked or self.checkpoint.is_due():
                    self._keep(stage, scene, optimizer)
                if held.asked or self._time_is_up(time_share):
                    break
        return optimizer

    @torch.no_grad()
    def _hollow_out(self) -> None:
        """Takes out of the object the air that the priors of shapes know of, if they take it for a vessel."""
        scene = self.scene
        if self.known is None and not self.stand_ins and self.hollow.sure > MIN_OPENING_CONFIDENCE:
            scene.set_object(hollow_out(scene, scene.distances(), self.hollow), scene.lower, scene.upper)

    def _descend(self, stage: Stage, optimizer: Adam, scene: Scene, step: int) -> dict[str, float]:
        """One step of a stage; its losses as numbers."""
        losses = stage.losses(step)
        descend(optimizer, scene, losses, step, stage.steps)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    @property
    def outline_error(self) -> float:
        """By how much (m) the surface passes the masks' outlines, in the mean of the last losses; 0 if none tells."""
        away = [losses["contour"] for losses in self.history[-LAST_LOSSES:] if "contour" in losses]
        if not away or not self.config.weights.contour:
            return 0.0
        return sum(away) / len(away) / self.config.weights.contour

    # The clock, and what is kept.

    def _seconds(self) -> float:
        return self.spent + time.monotonic() - self.began

    @property
    def minutes_left(self) -> float | None:
        """Of the time that the fit has; None without a limit."""
        return None if self.minutes is None else max(0.0, self.minutes - self._seconds() / 60)

    @property
    def out_of_time(self) -> bool:
        """Whether that is up."""
        return self._time_is_up(1.0)

    def _time_is_up(self, share: float) -> bool:
        return self.minutes is not None and self._seconds() > 60 * self.minutes * share

    def _keep(self, stage: Stage, scene: Scene, optimizer: Adam) -> None:
        """Writes the checkpoint, where one is wanted."""
        if self.checkpoint.path is not None:
            self.checkpoint.write(self._state(stage, scene, optimizer))

    def _state(self, stage: Stage, scene: Scene, optimizer: Adam) -> FitState:
        return FitState(
            stage=self.stage,
            step=self.step,
            spent=self._seconds(),
            scene=scene.state_dict(),
            drawn=stage.drawn(),
            optimizer=optimizer.state_dict(),
            generator=self.generator.get_state(),
            interaction=None if self.interaction is None else self.interaction.state(),
            poses=None if self.poses is None else self.poses.state(),
            history=self.history,
            hull_gap=self.hull_gap,
            hollow=[self.hollow.sure, *self.hollow.mouth.tolist()],
            rough=self.rough,
            turn_share=self.turn_share,
            miss=self.miss,
            ruggedness=self.ruggedness,
            mesh_miss=self.mesh_miss,
        )

    def _take_up(self, state: FitState) -> None:
        """Goes on from what `_state` gave."""
        self.stage = state.stage
        rigid = self.known is not None and self.known.rigid
        if self.stage == "all":
            self.scene.set_object(state.scene["base"], state.scene["lower"], state.scene["upper"], rigid)
        self.scene.load_state_dict(state.scene)
        self.step, self.spent, self.history, self.hull_gap = state.step, state.spent, state.history, state.hull_gap
        sure, *mouth = state.hollow
        self.hollow = Hollow(sure, torch.tensor(mouth))
        self.rough, self.turn_share = state.rough, state.turn_share
        self.miss, self.ruggedness, self.mesh_miss = state.miss, state.ruggedness, state.mesh_miss
        self.generator.set_state(state.generator)
        for guide, kept in ((self.interaction, state.interaction), (self.poses, state.poses)):
            if guide is not None and kept is not None:
                guide.load_state(kept)
