"""What `settings.UNCORK` may say.

Lives here: the names, their defaults, and what is wrong with a value. Doesn't know: what any of it is for.
"""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed


@dataclass(frozen=True, slots=True)
class Options:
    """`settings.UNCORK = {"max_age": 3600}`.

    `state_dir`: Uncork's directory on this machine, when it isn't `.uncork` beside manage.py.
    `max_age`: seconds that a page may be shared when nothing purges it and its view doesn't say how long. It
    bounds what can't be recorded: the time, chance, other services, files.
    `outbox`: whether processes that have no purge clock leave their purges in a table of the database.
    """

    state_dir: Path | None = None
    max_age: float = 600.0
    outbox: bool = True


@lru_cache(1)
def options() -> Options:
    """The project's. Raises ImproperlyConfigured, and says what was meant."""
    return read_options(getattr(settings, "UNCORK", None) or {})


def read_options(given: Any) -> Options:
    """The options from the value of the setting. Raises ImproperlyConfigured with all that is wrong."""
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"settings.UNCORK is a dictionary of options, not {given!r}")
    names = [field.name for field in fields(Options)]
    unknown = [name for name in given if name not in names]
    problems = [f"settings.UNCORK has no option {name!r}{_meant(str(name), names)}" for name in unknown]
    values: dict[str, Any] = {}
    for name, (parse, expected) in _KINDS.items():
        if name in given:
            try:
                values[name] = parse(given[name])
            except (TypeError, ValueError):
                problems.append(f"settings.UNCORK[{name!r}] is {expected}, not {given[name]!r}")
    if problems:
        raise ImproperlyConfigured("\n".join(problems))
    return Options(**values)


def _path(value: Any) -> Path | None:
    return None if value is None else Path(os.fsdecode(value)).absolute()


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**31:
        raise ValueError
    return float(value)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


_KINDS = {
    "state_dir": (_path, "a path, or None"),
    "max_age": (_seconds, "a number of seconds above 0"),
    "outbox": (_switch, "True or False"),
}


def _meant(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f": there are {', '.join(known)}"


def _on_setting(*, setting: str, **_: Any) -> None:
    if setting == "UNCORK":
        options.cache_clear()


setting_changed.connect(_on_setting)
