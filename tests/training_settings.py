"""Options of `hoprior fit` with which a training takes seconds, and what it has logged."""

import csv
from pathlib import Path

CONFIGS = Path(__file__).resolve().parent.parent / "configs"

SMALL_VQVAE = [
    "--model.grid_resolution=16",
    "--model.channels=[8]",
    "--model.res_blocks=1",
    "--model.decoder_channels=[8,16]",
    "--model.decoder_res_blocks=1",
    "--model.latent_channels=4",
    "--model.levels=[5,5,5,5]",
    "--model.warmup_steps=1",
]
SMALL_PRIOR = ["--model.channels=[16,16]", "--model.head_dim=16", "--model.text_dim=6", "--model.warmup_steps=1"]
QUIET = [
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.log_every_n_steps=1",
    "--trainer.check_val_every_n_epoch=1",
    "--trainer.accelerator=cpu",
    "--trainer.precision=32",
]


def column(folder: Path, name: str) -> list[float]:
    """What the CSV files of a folder have logged under a name."""
    rows = [row for path in sorted(folder.rglob("metrics.csv")) for row in csv.DictReader(path.open())]
    return [float(row[name]) for row in rows if row.get(name)]
