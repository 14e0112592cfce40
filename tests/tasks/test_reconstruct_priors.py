"""What priors do in a reconstruction: each has its role, and those of bent fingers hold the hands."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from held_box import HAND, QUICK, QUICK_OPTIONS
from torch import Tensor

from hoprior.cli.entry import main
from hoprior.datasets.clips.clip import Clip
from hoprior.geometry.state import HandObjectState
from hoprior.priors.protocols import INTERACTION, PriorInfo
from hoprior.priors.registry import load_prior
from hoprior.results.reconstructions import CHECKPOINT, INDEX
from hoprior.tasks.reconstruct.fit import Fit
from hoprior.tasks.reconstruct.guides import roles_of
from hoprior.tasks.reconstruct.losses import LossWeights

SHORT = replace(QUICK, hand_steps=4, steps=4, rounds=0)


class Bent:
    """A prior that looks at nothing but how fingers are bent: it wants each joint's rotation to be that of `pose`."""

    text_encoder_name = None
    info = PriorInfo(reads=frozenset({"hand_pose"}))

    def __init__(self, pose: Tensor) -> None:
        self.pose = pose

    def energy(self, state: Any, cond: Tensor | None) -> Tensor:
        assert state.hand_pose is not None
        return (state.hand_pose - self.pose).square().sum(dim=(1, 2))


class Leaning:
    """Pulls hands along an axis of the object, and writes down how it was told that fingers are bent."""

    text_encoder_name = None

    def __init__(self, info: PriorInfo | None = None) -> None:
        self.info, self.told = info or PriorInfo(), set[tuple[int, ...] | None]()

    def energy(self, state: HandObjectState, cond: object = None) -> Tensor:
        self.told.add(None if state.hand_pose is None else tuple(state.hand_pose.shape[1:]))
        return state.T_object_hand[:, 0, 3]


def test_each_prior_has_one_role() -> None:
    shape, pose, grid = (load_prior(name) for name in ("shape_completion", "pose", "grid"))
    bent, leaning = Bent(torch.zeros(15, 3)), Leaning(PriorInfo(reads=INTERACTION | {"hand_pose"}))
    roles = roles_of([(1.0, shape), (2.0, bent), (3.0, leaning), (4.0, pose), (5.0, grid)])
    assert roles.shape == [(1.0, shape)]
    assert roles.interaction == [(3.0, leaning), (5.0, grid)]
    assert roles.pose == [(2.0, bent), (4.0, pose)]


@pytest.mark.parametrize("changes", [{"hand_steps": 40, "steps": 1}, {"hand_steps": 1, "steps": 40}])
def test_priors_of_bent_fingers_bend_them_in_both_stages(clip: Clip, changes: dict[str, int]) -> None:
    angles = HAND.pose_to_angles(clip.hand_pose.hand_pose).mean(dim=0) + torch.tensor([0.0, 0.2, 0.0])
    wanted = HAND.angles_to_pose(angles.clamp(HAND.angle_low, HAND.angle_high))
    config = replace(SHORT, **changes, weights=replace(LossWeights(), pose_prior=10.0))
    away = []
    for priors in ([], [(1.0, Bent(wanted))]):
        found = Fit(clip, HAND, priors, None, config).run().place(mesh=False).hand_pose
        away.append(float((found.detach() - wanted).abs().mean()))
    assert away[1] < 0.8 * away[0]


def test_priors_of_bent_fingers_change_no_other_draw(clip: Clip) -> None:
    config = replace(SHORT, weights=replace(LossWeights(), pose_prior=0.0))
    alone, beside = (
        Fit(clip, HAND, [(1.0, Leaning()), *others], None, config).run()
        for others in ([], [(1.0, Bent(torch.zeros(15, 3)))])
    )
    for name, value in alone.state_dict().items():
        assert torch.equal(value, beside.state_dict()[name]), name


@pytest.mark.parametrize(("reads", "told"), [(INTERACTION, None), (INTERACTION | {"hand_pose"}, (15, 3))])
def test_priors_are_told_how_fingers_are_bent_if_they_look_at_it(clip: Clip, reads: Any, told: Any) -> None:
    prior = Leaning(PriorInfo(reads=reads))
    Fit(clip, HAND, [(1.0, prior)], None, replace(SHORT, prior_start=0.0)).run()
    assert prior.told == {told}


def test_guides_go_on_where_they_were(clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoprior.tasks.reconstruct.checkpoint.CHECKPOINT_SECONDS", 0.0)
    config = replace(SHORT, steps=12, prior_start=0.0)
    priors, cond = [(1.0, load_prior("pose"))], torch.zeros(1, 1, 384)
    whole = Fit(clip, HAND, priors, cond, config).run()

    def kill(stage: str, share: float, losses: dict[str, float]) -> None:
        if stage == "fitting everything" and share > 0.6:
            raise KeyboardInterrupt

    file = tmp_path / CHECKPOINT
    with pytest.raises(KeyboardInterrupt):
        Fit(clip, HAND, priors, cond, config, checkpoint=file).run(kill)
    first, resumed = (Fit(clip, HAND, priors, cond, config, checkpoint=path) for path in (None, file))
    assert first.poses is not None and resumed.poses is not None
    resumed.run()
    assert resumed.poses.guidances[0].step == 2 + 6
    torch.testing.assert_close(resumed.scene.angles, whole.angles, atol=1e-4, rtol=0)


@pytest.mark.parametrize("prior", ["pose", "grid:1,shape_completion:1,pose:1"])
def test_the_pose_prior_serves_reconstruction(folder: Path, tmp_path: Path, prior: str) -> None:
    settings = [*QUICK_OPTIONS, "--config.stand-ins=false", "--no-report"]
    assert main(["run", "reconstruct", "--clip", str(folder), "--prior", prior, "--out", str(tmp_path), *settings]) == 0
    index = json.loads((tmp_path / INDEX).read_text())
    assert "pose prior" in index["losses"][0] and np.isfinite(index["losses"][0]["pose prior"])
