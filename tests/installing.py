"""Installs the packages of tests/foreign as pip would, without a network: into a folder, with their entry points."""

import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = Path(__file__).parent / "foreign"
INSTALL = "import sys, setuptools; setuptools.setup(script_args=sys.argv[1:])"


def install_packages(target: Path, work: Path) -> None:
    """Puts every foreign package into `target`; `work` is an empty folder to build in.

    Only setuptools is needed, which torch needs as well; pip would build wheels, for which old ones lack a package.
    """
    for package in sorted(path.parent for path in PACKAGES.glob("*/pyproject.toml")):
        copy = shutil.copytree(package, work / package.name)
        command = [
            *("-q", "install_lib", "--install-dir", str(target)),
            *("install_egg_info", "--install-dir", str(target)),
        ]
        subprocess.run([sys.executable, "-c", INSTALL, *command], cwd=copy, check=True, capture_output=True)
