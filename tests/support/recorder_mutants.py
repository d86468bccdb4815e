"""Rules of the recorder and of the edge, each broken on purpose: what the soak has to find.

A mutant of the origin is applied in each process of the site when Django is set up, by an app that
`mutated_settings` writes for it; one of the edge in each worker, by `support.mutated_worker`.
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

Apply = Callable[[], None]

APP = """\
from django.apps import AppConfig


class Mutated(AppConfig):
    name = "mutated"

    def ready(self):
        from support.recorder_mutants import MUTANTS

        MUTANTS[{name!r}].apply()
"""

SETTINGS = """\
from recorded.settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "uncork.django", "mutated.Mutated"]
"""


@dataclass(frozen=True)
class Mutant:
    name: str
    apply: Apply
    edge: bool
    """Whether it is one of the edge, not of the origin."""
    always: bool
    """Whether it is looked for in the short run, too."""


MUTANTS: dict[str, Mutant] = {}


def mutant(*, edge: bool = False, always: bool = False) -> Callable[[Apply], Apply]:
    def known(apply: Apply) -> Apply:
        assert apply.__doc__
        name = apply.__name__
        MUTANTS[name] = Mutant(name, apply, edge, always)
        return apply

    return known


def mutated_settings(directory: Path, name: str) -> None:
    """Write what makes a site that mutant: its settings are `mutated_settings`."""
    app = directory / "mutated"
    app.mkdir()
    (app / "__init__.py").write_text(APP.format(name=name))
    (directory / "mutated_settings.py").write_text(SETTINGS)


def mutated_program(name: str) -> Sequence[str]:
    """`uncork`, with the workers of that mutant."""
    return (sys.executable, str(Path(__file__).with_name("mutated_worker.py")), "--with", name)


def replace(module: str, name: str, made_of: Callable[[Any], Any]) -> None:
    """Put `made_of(what is there)` in the place of a function of a module, or a method `Class.method`."""
    holder: Any = import_module(module)
    *path, last = name.split(".")
    for part in path:
        holder = getattr(holder, part)
    setattr(holder, last, made_of(getattr(holder, last)))


def drop(module: str, name: str, answer: Any = None) -> None:
    """Have a function do nothing."""
    replace(module, name, lambda original: lambda *arguments, **named: answer)


# What a render reads of the request


def _without(kind: bytes) -> None:
    """Inputs whose names begin so are not recorded."""

    def skipping(original: Any) -> Any:
        def count(self: Any, what: Any, depth: int) -> None:
            if not isinstance(what, bytes) or not what.startswith(kind):
                original(self, what, depth + 1)

        return count

    replace("uncork.django.requestreads", "Reads.count", skipping)


@mutant(always=True)
def a_cookie_is_not_recorded() -> None:
    """Pages for visitors whose cookies differ are one."""
    _without(b"cookie:")


@mutant()
def a_field_is_not_recorded() -> None:
    """Pages in all languages are one."""
    _without(b"field:")


@mutant()
def a_parameter_is_not_recorded() -> None:
    """All pages of a list are one, whatever they are asked for."""
    _without(b"query")


# What a render reads of the data


@mutant(always=True)
def which_rows_there_are_is_not_recorded() -> None:
    """A list lacks what was added to it."""
    drop("uncork.django.recording", "Recording.read_existence")


@mutant()
def columns_are_not_recorded() -> None:
    """A condition that other rows meet now."""
    drop("uncork.django.recording", "Recording.read_columns")


@mutant()
def whole_tables_are_not_recorded() -> None:
    """What came from queries of which only the tables are known."""
    drop("uncork.django.recording", "Recording.read_table")


@mutant()
def one_row_of_several_is_recorded() -> None:
    """`IN (1, 2, 3)` counts as 1."""

    def only_first(original: Any) -> Any:
        def read_rows(self: Any, table: Any, column: Any, values: Any, *more: Any, **named: Any) -> Any:
            return original(self, table, column, sorted(values)[:1], *more, **named)

        return read_rows

    replace("uncork.django.recording", "Recording.read_rows", only_first)


@mutant()
def what_nobody_understood_is_not_recorded() -> None:
    """A query that could be of any table is of none."""
    drop("uncork.django.recording", "Recording.read_everything")


@mutant()
def a_thread_is_nobodys() -> None:
    """What is read in a context that no render entered counts for none."""

    def only_own(original: Any) -> Any:
        recording = import_module("uncork.django.recording")

        def current() -> Any:
            return original() if recording._current.get(None) is not None else ()

        return current

    for module in ("recording", "queries", "caches"):
        replace(f"uncork.django.{module}", "current", only_own)


@mutant()
def cached_values_carry_nothing() -> None:
    """What comes from a cache was made of nothing."""
    drop("uncork.django.caches", "_carry")


# The edge


@mutant(edge=True)
def what_is_found_is_not_compared() -> None:
    """A page is looked for by what the last render of its URL read, and taken for whatever is there."""
    for module in ("lookup", "disk"):
        replace(f"uncork.stores.{module}", "union", lambda original: lambda known, new: original((), new))
    drop("uncork.stores.lookup", "matches", True)


@mutant(edge=True)
def cookies_select_nothing() -> None:
    """All visitors get the page of the first."""
    drop("uncork.pages.keys", "_cookies")


@mutant(edge=True, always=True)
def stamped_when_stored() -> None:
    """A page is as new as its last byte, not as what was read for its first."""

    def late(original: Any) -> Any:
        def _open(self: Any, *arguments: Any) -> Any:
            return original(self, *arguments[:-1], self.table.clock.stamp())

        return _open

    replace("uncork.edge.fetching", "Fetcher._open", late)


@mutant(edge=True)
def what_is_for_one_request_is_stored() -> None:
    """The record's reason against it is not heeded."""

    def shared(original: Any) -> Any:
        def parse_record(*arguments: Any) -> Any:
            record = original(*arguments)
            return record and dataclasses.replace(record, unshared=None)

        return parse_record

    replace("uncork.edge.recorded", "parse_record", shared)


@mutant(edge=True)
def a_purged_page_is_valid() -> None:
    """Nobody looks at the clock."""

    def always(original: Any) -> Any:
        verdict = import_module("uncork.pages.clock").Verdict
        return lambda self, stamp, slots: verdict.VALID

    replace("uncork.pages.clock", "PurgeClock.verdict", always)
