"""What objects are called: words of the datasets to classes, with size, shape and parts."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    name: str


def describe(word: str) -> Category:
    word = re.sub(r"^\d+(-[a-z])?_", "", word)
    word = re.sub(r"_(s|)\d+$", "", word)
    return Category(re.sub(r"([a-z])([A-Z])", r"\1 \2", word).lower().replace("_", " "))
