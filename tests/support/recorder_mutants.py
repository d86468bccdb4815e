"""Rules of the recorder and of the edge, each broken on purpose: what the soak has to find.

A mutant of the origin is applied in each process of the site when Django is set up, by an app that
`mutated_settings` writes for it; one of the edge in each worker, by `support.mutated_worker`.
"""

import sys
import threading
import time
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


@mutant()
def what_the_project_names_is_not_recorded() -> None:
    """`depends_on` has no effect."""
    drop("uncork.django.recording", "Recording.depends_on")


# The rules of queries


@mutant(always=True)
def rows_that_came_back_are_not_recorded() -> None:
    """Only constants count."""
    drop("uncork.django.queries", "_returned")


@mutant()
def any_condition_is_a_conjunction() -> None:
    """`a OR b` counts as `a AND b`, and `NOT a` as `a`."""
    drop("uncork.django.readrules", "is_conjunction", True)


@mutant()
def conditions_on_what_is_looked_up_are_nothing() -> None:
    """A row that is not in the result counts for nothing, though it may come to be."""
    drop("uncork.django.readreturned", "_asked", set())


@mutant()
def texts_read_nothing() -> None:
    """SQL that the ORM didn't make."""
    drop("uncork.django.queries", "_record")


@mutant()
def views_are_tables() -> None:
    """What is behind a view of the database isn't looked at."""
    replace(
        "uncork.django.catalog",
        "Catalog._behind",
        lambda original: lambda self, relation, within: frozenset(relation.name[-1:]),
    )


# What is written


@mutant(always=True)
def values_before_purge_nothing() -> None:
    """Who found a row by its old value finds it for ever."""

    def only_after(original: Any) -> Any:
        tag = import_module("uncork.pages.tags").row_tag
        spelling = import_module("uncork.django.columns").spelling

        def changed(columns: Any, pairs: Any, *more: Any) -> Any:
            tags = original(columns, pairs, *more)
            table = columns.table.encode()
            for before, after in pairs:
                for at in columns.tracked:
                    value = spelling(before[at])
                    if value is not None and before[at] != after[at]:
                        old = tag(table, columns.names[at].encode(), value)
                        tags = {one for one in tags if one != old and not one.startswith(old + b"~")}
            return tags

        return changed

    replace("uncork.django.writes", "changed", only_after)


@mutant()
def what_comes_or_goes_purges_nothing() -> None:
    """Rows that are inserted and deleted."""
    for name in ("came_or_went", "came_again"):
        drop("uncork.django.writes", name, set())


@mutant()
def what_changes_purges_nothing() -> None:
    """Rows that are updated, where they were looked at."""
    drop("uncork.django.writes", "changed", set())


@mutant()
def what_nobody_looked_at_purges_nothing() -> None:
    """Upserts, and SQL that the ORM didn't make."""
    for module in ("write", "statements"):
        drop(f"uncork.django.{module}", "blind", frozenset())


@mutant()
def a_savepoint_that_is_kept_is_forgotten() -> None:
    """What was written in it is dropped when it is released."""

    def forgetting(original: Any) -> Any:
        def release(self: Any, savepoint: str) -> None:
            self.undo(savepoint)
            original(self, savepoint)

        return release

    replace("uncork.django.transactions", "Pending.release", forgetting)


@mutant()
def a_savepoint_undoes_all() -> None:
    """What was written before it is dropped as well."""

    def all_of_it(original: Any) -> Any:
        def undo(self: Any, savepoint: str) -> Any:
            done = original(self, savepoint)
            for collected in self.stack:
                collected.tables.clear()
                collected.others.clear()
            return done

        return undo

    replace("uncork.django.transactions", "Pending.undo", all_of_it)


@mutant()
def purged_before_the_commit() -> None:
    """Who renders in between gets the old data, and a page that nobody will purge."""

    def early(original: Any) -> Any:
        transactions = import_module("uncork.django.transactions")

        def _committing(pending: Any, connection: Any, act: Any) -> Any:
            if tags := pending.tags():
                transactions.purge(tags)
                time.sleep(0.05)
            done = act()
            pending.clear()
            return done

        return _committing

    replace("uncork.django.transactions", "_committing", early)


@mutant()
def purged_a_little_later() -> None:
    """When the writer was told already that it is done."""

    def late(original: Any) -> Any:
        def purge(tags: Any) -> bool:
            threading.Timer(0.1, original, [list(tags)]).start()
            return True

        return purge

    replace("uncork.django.transactions", "purge", late)


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


@mutant(edge=True)
def stamped_when_stored() -> None:
    """A page is as new as its last byte, not as what was read for its first."""

    def late(original: Any) -> Any:
        def _open(self: Any, *arguments: Any) -> Any:
            return original(self, *arguments[:-1], self.table.clock.stamp())

        return _open

    replace("uncork.edge.fetching", "Fetcher._open", late)


@mutant(edge=True)
def a_purged_page_is_valid() -> None:
    """Nobody looks at the clock."""

    def always(original: Any) -> Any:
        verdict = import_module("uncork.pages.clock").Verdict
        return lambda self, stamp, slots: verdict.VALID

    replace("uncork.pages.clock", "PurgeClock.verdict", always)
