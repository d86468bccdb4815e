"""Countries, and the cities of the seeded events and organisations: `places.txt`, one country a line."""

from pathlib import Path


def _read() -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    countries: dict[str, str] = {}
    cities: list[tuple[str, str]] = []
    for line in Path(__file__).with_name("places.txt").read_text("utf-8").splitlines():
        country, _, there = line.partition(": ")
        code, _, countries[code] = country.partition(" ")
        cities += [(city, code) for city in there.split(", ")]
    return countries, tuple(cities)


# ISO 3166 code: name, in the order of the names; and (city, code of its country)
_countries, CITIES = _read()
COUNTRIES = dict(sorted(_countries.items(), key=lambda item: item[1]))


def choices() -> list[tuple[str, str]]:
    """For a model's field. A function, so that the migrations don't list the countries."""
    return list(COUNTRIES.items())
