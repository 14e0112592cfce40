"""Takes the VQ-VAE out of a grid prior's file, or puts one with another decoder in (docs/priors.md).

usage: python tools/vqvae_of_grid.py take GRID.safetensors VQVAE.safetensors
       python tools/vqvae_of_grid.py put  GRID.safetensors VQVAE.safetensors

The U-Net of a grid prior has learnt the latents of its encoder: `put` refuses a VQ-VAE whose encoder is another.
"""

import sys
from pathlib import Path

import torch

from hoprior.models.grid_prior import GridPrior
from hoprior.models.vqvae import SdfVQVAE


def main() -> None:
    """Writes VQVAE (take), or GRID anew (put)."""
    if len(sys.argv) != 4 or sys.argv[1] not in ("take", "put"):
        sys.exit(__doc__)
    what, grid_path, vqvae_path = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    prior = GridPrior.from_safetensors(grid_path)
    if what == "take":
        prior.vqvae.save_safetensors(vqvae_path)
        return
    vqvae = SdfVQVAE.from_safetensors(vqvae_path)
    ours, theirs = prior.vqvae.encoder.state_dict(), vqvae.encoder.state_dict()
    if ours.keys() != theirs.keys() or any(not torch.equal(ours[name], theirs[name]) for name in ours):
        sys.exit(f"{vqvae_path}: its encoder is not that of {grid_path}: the U-Net would not know its latents")
    prior.vqvae.load_state_dict(vqvae.state_dict())
    prior.save_safetensors(grid_path)


if __name__ == "__main__":
    main()
