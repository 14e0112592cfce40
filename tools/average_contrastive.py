"""Averages contrastive priors that were trained apart into one file, as the shipped one is (docs/priors.md).

usage: python tools/average_contrastive.py FIRST.safetensors SECOND.safetensors ... OUT.safetensors
"""

import sys

from hoprior.models.contrastive import ContrastivePrior


def main() -> None:
    """Reads all but the last file, writes the last."""
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    *priors, out = sys.argv[1:]
    ContrastivePrior.together([ContrastivePrior.from_safetensors(path) for path in priors]).save_safetensors(out)


if __name__ == "__main__":
    main()
