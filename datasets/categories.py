"""What objects are called: words of the datasets to classes, with size, shape and parts."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    name: str


def describe(word: str) -> Category:
    return Category(re.sub(r"^\d+(-[a-z])?_", "", word).replace("_", " "))
