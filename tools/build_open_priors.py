"""Builds the companion package of weights that learnt from nothing but open data (packages/hoprior-open-priors).

usage: python tools/build_open_priors.py [WEIGHTS] [OUT]

WEIGHTS is a folder of `contrastive-open.safetensors`, `pose-open.safetensors` ... as `hoprior export` writes them
(docs/how_priors_were_made.md says how they are trained), without it the ones that lie in the package's own folder; what
is not there is left out. OUT is where the wheel goes, `dist` without.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hoprior.errors import HopriorError
from hoprior.priors.installed import COMPANIONS
from hoprior.priors.pretrained import load_safetensors

PACKAGE = Path(__file__).resolve().parent.parent / "packages" / "hoprior-open-priors"
WEIGHTS = PACKAGE / "weights"


def assemble(weights: Path, folder: Path) -> list[str]:
    """Puts the package with the weights of a folder into a new one; the names of the priors in it.

    Raises:
        HopriorError: no weights of a known name there, or damaged ones.
    """
    found = {name: path for name in COMPANIONS if (path := weights / f"{name}.safetensors").is_file()}
    if not found:
        raise HopriorError(f"{weights}: has none of {', '.join(f'{name}.safetensors' for name in COMPANIONS)}")
    for path in found.values():
        load_safetensors(path)
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns(WEIGHTS.name))
    place = folder / "hoprior_open_priors" / "weights"
    place.mkdir()
    for path in found.values():
        shutil.copy(path, place)
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as project:
        for name in found:
            project.write(f'{name} = "hoprior_open_priors:{name.replace("-", "_")}"\n')
    return sorted(found)


def build(weights: Path, out: Path) -> list[str]:
    """Writes the wheel; the names of the priors in it. Raises as `assemble` does."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PACKAGE.name
        names = assemble(weights, copy)
        pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(out.resolve()), str(copy)]
        subprocess.run(pip, check=True)
    return names


def main() -> None:
    """The command line."""
    if len(sys.argv) > 3 or "--help" in sys.argv:
        sys.exit(__doc__)
    weights, out = (*map(Path, sys.argv[1:]), *(WEIGHTS, Path("dist"))[len(sys.argv) - 1 :])
    try:
        print(f"{out}: {', '.join(build(weights, out))}")
    except HopriorError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
