"""Group normalisation of features with channels last, and its slopes, each sample at a time while it is in the cache.

y = (x - m) / sqrt(v + eps) * weight + bias, with m and v the mean and variance of a group of channels over all points
(Wu and He 2018, "Group Normalization"). torch's own takes three to ten times as long for this layout.
"""

from math import sqrt
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt16, UInt32
from torch import Tensor

from hoprior.kernels.compiling import inner, kernel, source_digest
from hoprior.kernels.threads import in_shares

SOURCES = source_digest()
Features = Float32[np.ndarray, "b n c"] | UInt16[np.ndarray, "b n c"]
"""In single precision, or the bits of bfloat16: the upper half of single precision's."""
Flat = Float32[np.ndarray, " c"]
Flat2 = Float32[np.ndarray, "b c"]


@inner
def _load(half: bool, source: Features, bits: UInt32[np.ndarray, "n c"], values: Float32[np.ndarray, "n c"]) -> None:
    """A sample's features into `values`, whose bits `bits` are."""
    points, channels = source.shape
    for j in range(points):
        if half:
            for k in range(channels):
                bits[j, k] = np.uint32(source[j, k]) << np.uint32(16)
        else:
            for k in range(channels):
                values[j, k] = source[j, k]


@inner
def _store(half: bool, bits: UInt32[np.ndarray, "n c"], values: Float32[np.ndarray, "n c"], target: Features) -> None:
    """The way back: to the nearest number of 16 bits, of two the even one."""
    points, channels = target.shape
    for j in range(points):
        if half:
            for k in range(channels):
                whole = bits[j, k]
                odd = (whole >> np.uint32(16)) & np.uint32(1)
                target[j, k] = (whole + np.uint32(0x7FFF) + odd) >> np.uint32(16)
        else:
            for k in range(channels):
                target[j, k] = values[j, k]


@inner
def _sum(values: Flat, g: int, size: int) -> float:
    """Over the channels of a group."""
    total = 0.0
    for k in range(g * size, (g + 1) * size):
        total += values[k]
    return total


@kernel
def normalise(
    half: bool, groups: int, eps: float, x: Features, weight: Flat, bias: Flat, y: Features, moments: Any
) -> str:
    """y of x; `moments` (b, groups, 2) are the means and the inverse deviations."""
    num, points, channels = x.shape
    size = channels // groups
    bits = np.empty((points, channels), np.uint32)
    values = bits.view(np.float32)
    sums, squares = np.empty(channels, np.float32), np.empty(channels, np.float32)
    scale, shift = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for i in range(num):
        _load(half, x[i], bits, values)
        sums[:] = 0.0
        squares[:] = 0.0
        for j in range(points):
            for k in range(channels):
                sums[k] += values[j, k]
        for g in range(groups):
            moments[i, g, 0] = _sum(sums, g, size) / (points * size)
            for k in range(g * size, (g + 1) * size):
                shift[k] = moments[i, g, 0]
        for j in range(points):
            for k in range(channels):
                off = values[j, k] - shift[k]
                squares[k] += off * off
        for g in range(groups):
            mean, inverse = moments[i, g, 0], 1.0 / sqrt(_sum(squares, g, size) / (points * size) + eps)
            moments[i, g, 1] = inverse
            for k in range(g * size, (g + 1) * size):
                scale[k] = weight[k] * inverse
                shift[k] = bias[k] - mean * weight[k] * inverse
        for j in range(points):
            for k in range(channels):
                values[j, k] = values[j, k] * scale[k] + shift[k]
        _store(half, bits, values, y[i])
    return SOURCES


@kernel
def normalise_slopes(
    half: bool,
    groups: int,
    x: Features,
    weight: Flat,
    moments: Any,
    slope: Features,
    of_x: Features,
    of_weight: Flat2,
    of_bias: Flat2,
) -> str:
    """The slope in x, and what each sample gives each channel's weight and bias, of a slope in y.

    With z = (x - m) / d, s the slope in y and u = s * weight: slope in x = (u - mean(u) - z mean(u z)) / d, slope in
    weight = sum of s z, in bias sum of s; means over a group's channels and points.
    """
    num, points, channels = x.shape
    size = channels // groups
    bits, other = np.empty((points, channels), np.uint32), np.empty((points, channels), np.uint32)
    values, slopes = bits.view(np.float32), other.view(np.float32)
    sums, products = np.empty(channels, np.float32), np.empty(channels, np.float32)
    a, b, c = np.empty(channels, np.float32), np.empty(channels, np.float32), np.empty(channels, np.float32)
    for i in range(num):
        _load(half, x[i], bits, values)
        _load(half, slope[i], other, slopes)
        sums[:] = 0.0
        products[:] = 0.0
        for k in range(channels):
            a[k] = moments[i, k // size, 0]
        for j in range(points):
            for k in range(channels):
                sums[k] += slopes[j, k]
                products[k] += slopes[j, k] * (values[j, k] - a[k])
        for g in range(groups):
            mean, inverse = moments[i, g, 0], moments[i, g, 1]
            total, product = 0.0, 0.0
            for k in range(g * size, (g + 1) * size):
                of_weight[i, k] = products[k] * inverse
                of_bias[i, k] = sums[k]
                total += sums[k] * weight[k]
                product += products[k] * weight[k] * inverse
            total /= points * size
            product /= points * size
            for k in range(g * size, (g + 1) * size):
                a[k] = weight[k] * inverse
                b[k] = -product * inverse * inverse
                c[k] = -total * inverse - b[k] * mean
        for j in range(points):
            for k in range(channels):
                slopes[j, k] = a[k] * slopes[j, k] + b[k] * values[j, k] + c[k]
        _store(half, other, slopes, of_x[i])
    return SOURCES


class GroupNormalised(torch.autograd.Function):
    """`apply(x, weight, bias, groups, eps)` for x (b, c, z, y, x), channels last, in single precision or bfloat16."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        """Normalised, in x's precision."""
        y = torch.empty_like(x)
        source, target = _rows(x), _rows(y)
        moments = np.empty((len(x), groups, 2))
        scale, shift = weight.detach().float().numpy(), bias.detach().float().numpy()
        half = x.dtype != torch.float32

        def some(first: int, last: int) -> None:
            share = slice(first, last)
            normalise(half, groups, eps, source[share], scale, shift, target[share], moments[share])

        in_shares(len(x), some)
        ctx.save_for_backward(x, weight)
        ctx.moments = moments
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None, None]:
        """Slopes of x, weight and bias."""
        x, weight = ctx.saved_tensors
        channels = len(weight)
        slope = slope.to(x.dtype).contiguous(memory_format=torch.channels_last_3d)
        of_x = torch.empty_like(x)
        source, given, target = _rows(x), _rows(slope), _rows(of_x)
        scale, half, groups = weight.detach().float().numpy(), x.dtype != torch.float32, ctx.moments.shape[1]
        of_weight, of_bias = np.empty((2, len(x), channels), np.float32)

        def some(first: int, last: int) -> None:
            s = slice(first, last)
            of_those = (of_weight[s], of_bias[s])
            normalise_slopes(half, groups, source[s], scale, ctx.moments[s], given[s], target[s], *of_those)

        in_shares(len(x), some)
        # A sum over samples at the end does not depend on who did which.
        sums = [torch.from_numpy(each.sum(axis=0)).to(weight.dtype) for each in (of_weight, of_bias)]
        wanted = ctx.needs_input_grad
        return of_x, sums[0] if wanted[1] else None, sums[1] if wanted[2] else None, None, None


def _rows(x: Float[Tensor, "b c D H W"]) -> Features:
    """The same memory as (b, points, channels)."""
    flat = x.detach().permute(0, 2, 3, 4, 1).reshape(len(x), -1, x.shape[1])
    return flat.numpy() if x.dtype == torch.float32 else flat.view(torch.int16).numpy().view(np.uint16)
