"""GroupNorm, quick where networks only judge."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

QUICK = (torch.float32, torch.bfloat16)


class QuickGroupNorm(nn.GroupNorm):
    """GroupNorm that does not keep networks waiting which judge on a CPU, with channels last.

    y = (x - m) / sqrt(v + eps) * weight + bias, with m and v of each group, as ever. torch's own kernel takes three
    to five times as long for this layout at 8³ points; where gradients are wanted, and for all else, it is the one
    that runs.

    Example:
        >>> norm, x = QuickGroupNorm(2, 8).requires_grad_(False), torch.randn(1, 8, 4, 4, 4)
        >>> torch.equal(norm(x), nn.functional.group_norm(x, 2, norm.weight, norm.bias))
        True
    """

    def forward(self, input: Float[Tensor, "b c *size"]) -> Float[Tensor, "b c *size"]:
        """Normalised, in the input's precision."""
        judges = not torch.is_grad_enabled() and input.device.type == "cpu" and input.dtype in QUICK
        if not (judges and self.affine and input.dim() == 5):
            return super().forward(input)
        if not input.is_contiguous(memory_format=torch.channels_last_3d):
            return super().forward(input)
        num, channels, *size = input.shape
        values = input.permute(0, 2, 3, 4, 1).reshape(num, -1, channels).float()
        grouped = (num, self.num_groups, channels // self.num_groups)
        count = values.shape[1] * grouped[2]
        mean = values.sum(dim=1).view(grouped).sum(dim=2, keepdim=True) / count
        square = torch.linalg.vector_norm(values, dim=1).square().view(grouped).sum(dim=2, keepdim=True) / count
        scale = self.weight.view(grouped[1:]) * (square - mean.square() + self.eps).clamp(min=self.eps).rsqrt()
        shift = self.bias.view(grouped[1:]) - mean * scale
        normalised = torch.addcmul(shift.view(num, 1, channels), values, scale.view(num, 1, channels))
        return normalised.to(input.dtype).view(num, *size, channels).permute(0, 4, 1, 2, 3)
