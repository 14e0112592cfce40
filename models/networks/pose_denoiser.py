"""The pose prior's denoiser: the noisy pose and the time as tokens that read the words, then a residual MLP.

After InterHandGen (Lee et al., CVPR 2024), whose condition on the other hand is replaced by text, as in the
affordance-guided prior (Suzuki et al., Sec. 2.2). Words come in by cross-attention, to which a text that is repeated
says nothing new: one null token stands for a text of any length.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hoprior.models.networks.blocks import timestep_embedding, zeroed


class PoseDenoiser(nn.Module):
    """Noisy joint rotations -> what the prior predicts of them.

    Args:
        joints, joint_dim: shape of a pose.
        text_dim: of the text's features.
        width, layers, heads, expansion: of the transformer, in which two tokens attend to each other and to the words.
        mlp_blocks: residual blocks that read the pose's token, scaled and shifted by time and text.
        dropout: in both.
    """

    def __init__(
        self,
        joints: int,
        joint_dim: int,
        text_dim: int,
        width: int = 256,
        layers: int = 2,
        heads: int = 4,
        expansion: int = 2,
        mlp_blocks: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.pose_shape = (joints, joint_dim)
        self.width = width
        self.embed_pose = nn.Linear(joints * joint_dim, width)
        self.embed_time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        # Encoders differ in the scale of their features; MiniLM's have unit length, thus 0.05 each.
        self.embed_text = nn.Sequential(nn.LayerNorm(text_dim), nn.Linear(text_dim, width))
        # Which of the two tokens is the pose.
        self.kind = nn.Parameter(0.02 * torch.randn(2, width))
        layer = nn.TransformerDecoderLayer(
            width, heads, expansion * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerDecoder(layer, layers)
        self.mlp = nn.ModuleList(ResidualMLP(width, expansion * width, dropout) for _ in range(mlp_blocks))
        self.head = nn.Sequential(nn.LayerNorm(width), zeroed(nn.Linear(width, joints * joint_dim)))

    def forward(
        self,
        x_t: Float[Tensor, "b joints dim"],
        t: Float[Tensor, " b"],
        text: Float[Tensor, "b tokens text_dim"],
    ) -> Float[Tensor, "b joints dim"]:
        """The prediction, in the pose's shape; `t` in steps of the noise schedule."""
        time = self.embed_time(timestep_embedding(t, self.width))
        words = self.embed_text(text)
        pose = self.embed_pose(x_t.flatten(1))
        h = self.transformer(torch.stack([pose, time], dim=1) + self.kind, words)[:, 0]
        condition = time + words.mean(dim=1)
        for block in self.mlp:
            h = block(h, condition)
        return self.head(h).unflatten(1, self.pose_shape)


class ResidualMLP(nn.Module):
    """LayerNorm, scaled and shifted by a condition, then two linear layers, with a skip."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = zeroed(nn.Linear(width, 2 * width))
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.SiLU(), nn.Dropout(dropout), zeroed(nn.Linear(hidden, width))
        )

    def forward(self, h: Float[Tensor, "b width"], condition: Float[Tensor, "b width"]) -> Float[Tensor, "b width"]:
        """`h` and what the layers add to it."""
        scale, shift = self.modulate(F.silu(condition)).chunk(2, dim=-1)
        return h + self.layers(self.norm(h) * (1 + scale) + shift)
