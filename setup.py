"""Maps the four top-level code folders into the package: hoprior.models lives in models/, and so on."""

from setuptools import find_namespace_packages, find_packages, setup

FOLDERS = ["models", "tasks", "datasets", "configs"]


def mapped_packages(folder: str) -> list[str]:
    """`hoprior.<folder>` and every package below it."""
    return [f"hoprior.{folder}"] + [f"hoprior.{folder}.{sub}" for sub in find_namespace_packages(folder)]


setup(
    packages=find_packages(include=["hoprior", "hoprior.*"]) + [p for f in FOLDERS for p in mapped_packages(f)],
    package_dir={f"hoprior.{folder}": folder for folder in FOLDERS},
    package_data={
        "hoprior": ["py.typed", "*.pyi", "assets/*", "assets/*/*"],
        "hoprior.configs": ["*.yaml", "*/*.yaml"],
    },
)
