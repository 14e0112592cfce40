"""How often rays and a depth buffer agree on which of a hand's joints are hidden: the figure of docs/refine.md.

usage: python benchmarks/occlusion.py [--num 200] [--pixels 768] [--seed 0]

Hands bent within their limits and turned at random stand before a camera. A depth buffer says which face is seen at a
joint's pixel, and how far before the joint it is; the rule for the joint's own flesh is the rays' own.
"""

import argparse

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from hoprior.hand import HandModel, HandOutput, load_hand
from hoprior.hand.occlusion import OWN_REACH, TOUCHING, hidden_by_hand, own_faces
from hoprior.rendering.rasterizer import nearest_face

FOCAL = 1.6
"""In half widths of the picture."""
BENT = 0.6
"""Largest share of the way from the relaxed hand to the joint limits."""


def posed(hand: HandModel, count: int, seed: int) -> HandOutput:
    """Hands before a camera, bent and turned at random."""
    generator = torch.Generator().manual_seed(seed)
    share = BENT * torch.rand(count, 15, 3, generator=generator)
    angles = hand.relaxed_angles + share * (hand.angle_high - hand.relaxed_angles)
    orient = 2.0 * torch.randn(count, 3, generator=generator)
    transl = torch.tensor([0.0, 0.0, 0.6]) + 0.03 * torch.randn(count, 3, generator=generator)
    return hand(hand.angles_to_pose(angles), None, orient, transl)


def hidden_in_depth_buffer(hand: HandModel, output: HandOutput, pixels: int) -> Bool[Tensor, "b 21"]:
    """Which joints a depth buffer of `pixels` squared says are hidden."""
    own, faces = own_faces(hand).numpy(), hand.faces.numpy()
    hidden = []
    for verts, joints in zip(output.verts.double().numpy(), output.joints.double().numpy(), strict=True):
        nearest = nearest_face(verts * [1, -1, 1], faces, FOCAL, pixels, pixels)
        column, row = (pixels / 2 * (1 + FOCAL * joints[:, :2].T / joints[:, 2]) - 0.5).round().astype(int)
        face = nearest[row, column]
        a, b, c = (verts[faces[face, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        ray = joints / joints[:, 2:]
        depth = (a * normal).sum(axis=1) / (ray * normal).sum(axis=1)
        before = (joints[:, 2] - depth) * np.linalg.norm(ray, axis=1)
        reach = np.where(own[np.arange(21), face], OWN_REACH, TOUCHING)
        hidden.append((face >= 0) & (before > reach))
    return torch.from_numpy(np.stack(hidden))


def main() -> None:
    """Prints the agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--pixels", type=int, default=768)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    hand = load_hand()
    output = posed(hand, options.num, options.seed)
    rays = hidden_by_hand(hand, output.verts, output.joints)
    buffer = hidden_in_depth_buffer(hand, output, options.pixels)
    agreed = (rays == buffer).float().mean()
    print(
        f"{options.num} hands, {21 * options.num} joints, {100 * rays.float().mean():.1f} % of them hidden by rays:"
        f" rays and a depth buffer of {options.pixels}² pixels agree on {100 * agreed:.2f} %"
    )


if __name__ == "__main__":
    main()
