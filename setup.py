"""Maps the four top-level code folders into the package: hoprior.models lives in models/, and so on."""

from setuptools import find_namespace_packages, find_packages, setup

FOLDERS = ["models", "tasks", "datasets", "configs"]


def mapped_packages(folder: str) -> list[str]:
    """`hoprior.<folder>` and every package below it."""
    return [f"hoprior.{folder}"] + [f"hoprior.{folder}.{sub}" for sub in find_namespace_packages(folder)]


ASSETS = ["hoprior.assets"] + [f"hoprior.assets.{sub}" for sub in find_namespace_packages("hoprior/assets")]
"""Folders of files, which setuptools wants to be told as packages."""


setup(
    packages=[
        *find_packages(include=["hoprior", "hoprior.*"]),
        *ASSETS,
        *(package for folder in FOLDERS for package in mapped_packages(folder)),
    ],
    package_dir={f"hoprior.{folder}": folder for folder in FOLDERS},
    package_data={
        "hoprior": ["py.typed", "*.pyi"],
        **{folder: ["*"] for folder in ASSETS},
        "hoprior.configs": ["*.yaml", "*/*.yaml"],
    },
)
