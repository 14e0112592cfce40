"""Priors asked which way postures are likelier: energies by their gradient, denoisers by what they see in noise."""

import torch

from hoprior.hand import HandPose
from hoprior.priors.posture import LikelyPosture
from hoprior.priors.protocols import PriorInfo


class Fist:
    """Likes every angle at half a radian."""

    info = PriorInfo(reads=frozenset({"hand_pose"}))

    def energy(self, state: HandPose, cond: None = None) -> torch.Tensor:
        return 2 * (state.hand_pose - 0.5).square().sum(dim=(1, 2))


class Single:
    """A denoiser of hand poses that has seen one posture only."""

    alphas_cumprod = torch.linspace(0.999, 0.001, 100)
    pose_shape = (15, 3)
    known = 0.3

    def encode(self, state: HandPose) -> torch.Tensor:
        return state.hand_pose

    def decode(self, x0: torch.Tensor) -> HandPose:
        return HandPose.of(x0)

    def predict_noise(self, x_t: torch.Tensor, t: torch.Tensor, cond: None) -> torch.Tensor:
        abar = self.alphas_cumprod[t][:, None, None]
        return (x_t - abar.sqrt() * self.known) / (1 - abar).sqrt()


def test_an_energys_pull_is_its_gradient() -> None:
    hand_pose = torch.rand(4, 15, 3)
    pull = LikelyPosture([(3.0, Fist())], [None], spread=0.2)
    torch.testing.assert_close(pull(hand_pose), 3 * 4 * (hand_pose - 0.5))


def test_a_denoisers_pull_leads_to_what_it_has_seen() -> None:
    hand_pose = torch.rand(4, 15, 3)
    pull = LikelyPosture([(1.0, Single())], [None], spread=0.2)
    torch.testing.assert_close(hand_pose - 0.2**2 * pull(hand_pose), torch.full_like(hand_pose, 0.3), atol=1e-3, rtol=0)


def test_a_posture_is_pulled_as_it_is_alone() -> None:
    hand_pose = torch.rand(3, 15, 3)
    pull = LikelyPosture([(1.0, Single()), (1.0, Fist())], [None, None], spread=0.2)
    torch.testing.assert_close(pull(hand_pose)[1:2], pull(hand_pose[1:2]), atol=1e-3, rtol=0)
