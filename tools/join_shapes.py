"""Gives a prior of interactions the autoencoder whose decoder learnt on: the same encoder, so that codes mean the same.

usage: python tools/join_shapes.py out/interaction.safetensors out/shape_decoder.safetensors OUT.safetensors

`configs/interaction.yaml` may be trained beside `configs/shape_decoder.yaml`, on codes of the autoencoder that both
begin with.
"""

import argparse
from pathlib import Path

import torch

from hoprior.errors import HopriorError
from hoprior.models.interaction_prior import InteractionPrior
from hoprior.models.shape_autoencoder import ShapeAutoencoder


def joined(prior: InteractionPrior, shapes: ShapeAutoencoder) -> InteractionPrior:
    """The prior with the autoencoder's decoder.

    Raises:
        HopriorError: their encoders differ, so that codes would mean other shapes.
    """
    own, other = prior.shapes.encoder.state_dict(), shapes.encoder.state_dict()
    same = own.keys() == other.keys() and all(
        torch.allclose(own[name].float(), other[name].float(), atol=1e-3, rtol=1e-2) for name in own
    )
    if not same:
        raise HopriorError(
            "their encoders differ: train the decoder on from the autoencoder that the prior was trained with"
        )
    prior.shapes.decoder.load_state_dict(shapes.decoder.state_dict())
    return prior


def main() -> None:
    """Reads, joins, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prior", type=Path)
    parser.add_argument("shapes", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    prior, shapes = InteractionPrior.from_safetensors(given.prior), ShapeAutoencoder.from_safetensors(given.shapes)
    joined(prior, shapes).save_safetensors(given.out)


if __name__ == "__main__":
    main()
