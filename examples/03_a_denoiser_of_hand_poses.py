"""A denoiser of hand poses, whose best guess is known without training, draws hands and the hidden joints of a hand."""

import torch

import hoprior
from hoprior.geometry.camera import intrinsics, project
from hoprior.geometry.state import Articulated
from hoprior.hand import HandPose
from hoprior.tasks.generate import GenerateConfig
from hoprior.vision.estimates import HandEstimate


class RelaxedHands:
    """Poses are normal, with a deviation of 0.15 rad around the relaxed hand."""

    text_encoder_name = None  # it listens to no text
    info = hoprior.PriorInfo(reads=frozenset({"hand_pose"}), licence="CC0-1.0")
    pose_shape = (15, 3)
    std = 0.15

    def __init__(self) -> None:
        hand = hoprior.load_hand()
        self.mean = hand.angles_to_pose(hand.relaxed_angles[None])[0]
        self.alphas_cumprod = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), dim=0)

    def encode(self, state: Articulated) -> torch.Tensor:
        assert state.hand_pose is not None, "tasks fill what `info` says is read"
        return (state.hand_pose - self.mean) / self.std

    def decode(self, x0: torch.Tensor) -> HandPose:
        return HandPose.of(self.mean + self.std * x0)

    def predict_noise(self, x_t: torch.Tensor, t: torch.Tensor, cond: torch.Tensor | None) -> torch.Tensor:
        return (1 - self.alphas_cumprod[t]).sqrt()[:, None, None] * x_t  # of N(0, 1), whatever x_t is


prior = RelaxedHands()
drawn = hoprior.generate_poses("a hand", 4, priors=[(1.0, prior)], config=GenerateConfig(steps=50))
print("thumb to index, cm:", [round(sample.measures["aperture_cm"], 1) for sample in drawn.samples])

# A flat hand half a metre before a camera, whose index finger (joints 1 to 3, and tip 17) is hidden.
pose = HandPose(torch.zeros(1, 15, 3), torch.zeros(1, 10), torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 0.5]]))
joints = hoprior.load_hand().joints_only(pose.hand_pose, None, pose.global_orient, pose.transl)
K = intrinsics((640, 480), 500.0)
hidden = torch.zeros(21, dtype=torch.bool)
hidden[[2, 3, 17]] = True
seen = HandEstimate("hand", "right", pose, K, (640, 480), project(joints, K[None])[0], torch.ones(21), occluded=hidden)
refined = hoprior.refine(seen, priors=[(1.0, prior)])
print("the index finger bends by", refined[0].hand_pose[:3].round(2).tolist(), "rad")
