"""Given and family names by origin, from `names.txt`. Every person that is made of them is invented."""

import random
from pathlib import Path

Names = tuple[list[str], list[str]]


def _read() -> tuple[list[Names], list[int]]:
    # A paragraph for each origin: its weight and what it is, the given names, the family names.
    origins, weights = [], []
    for paragraph in Path(__file__).with_name("names.txt").read_text("utf-8").split("\n\n"):
        heading, given, family = paragraph.splitlines()
        weights.append(int(heading.split()[0]))
        origins.append((given.split(), [name.replace("_", " ") for name in family.split()]))
    return origins, weights


ORIGINS, WEIGHTS = _read()


def person(chance: random.Random) -> tuple[str, str]:
    """Given names and family name of somebody who does not exist."""
    given_names, family_names = chance.choices(ORIGINS, WEIGHTS)[0]
    given, family = chance.choice(given_names), chance.choice(family_names)
    draw = chance.random()
    if draw < 0.22:
        given += f" {chance.choice('ABCDEFGHIJKLMNOPRSTVWYZ')}."
    elif draw > 0.96:  # people marry across borders
        family = chance.choice(chance.choices(ORIGINS, WEIGHTS)[0][1])
    return given, family
