"""What a render puts into Django's caches goes with what it was made of, in every backend that Django has."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from django.core.management import call_command
from django.test import override_settings
from redis import exceptions as redis_errors

from support.uncork_process import PATIENCE, free_port
from uncork.django import caches as watching
from uncork.django import clock, recording
from uncork.django.recording import Recording
from uncork.purging.table import ClockTable


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClockTable]:
    """The purge clock of this process, for the test."""
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("UNCORK_STATE_DIR", str(tmp_path / "state"))
    found = ClockTable(tmp_path / "state")
    monkeypatch.setattr(clock, "_table", found)
    monkeypatch.setattr(clock, "_due", float("inf"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    directory = tmp_path_factory.mktemp("redis")
    command = [
        "redis-server",
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(directory),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            yield f"redis://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture(params=["memory", "files", "database", "redis"])
def cache(request: pytest.FixtureRequest, tmp_path: Path, table: ClockTable) -> Iterator[Any]:
    found: BaseCache
    match request.param:
        case "memory":
            found = LocMemCache(str(tmp_path), {})
        case "files":
            found = FileBasedCache(str(tmp_path / "cache"), {})
        case "database":
            request.getfixturevalue("sqlite")
            with override_settings(
                CACHES={
                    "default": {
                        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
                        "LOCATION": "cached",
                    }
                }
            ):
                call_command("createcachetable", verbosity=0)
            found = DatabaseCache("cached", {})
        case _:
            found = RedisCache(request.getfixturevalue("redis"), {})
            deadline = time.monotonic() + PATIENCE
            while True:
                try:
                    found.clear()
                    break
                except redis_errors.ConnectionError:
                    assert time.monotonic() < deadline
    yield watching.watch(found)
    found.clear()
    found.close()


class Render:
    """with Render(table) as recording: … is in it what counts."""

    def __init__(self, table: ClockTable) -> None:
        self.recording = recording.start(table.clock.stamp())
        self._entered = recording.enter(self.recording)

    def __enter__(self) -> Recording:
        self._entered.__enter__()
        return self.recording

    def __exit__(self, *_: object) -> None:
        self._entered.__exit__(None, None, None)
        self.recording.close()


def test_tags_go_with_a_value(cache: Any, table: ClockTable) -> None:
    with Render(table) as maker:
        maker.read_table("before")
        cache.set("fragment", "made of two tables", 300)
        maker.read_table("after")
    assert maker.max_age is None
    with Render(table) as reader:
        assert cache.get("fragment") == "made of two tables"
    assert b"db:before" in reader.all_tags() and b"db:after" not in reader.all_tags()
    assert reader.max_age is not None and 200 < reader.max_age <= 300
    assert not reader.fallbacks


@pytest.mark.parametrize(
    "value", [{"rows": [1, 2.5, None]}, b"bytes", 17, "", ("a", frozenset({"b"}))], ids=lambda v: repr(v)[:12]
)
def test_values_are_what_they_were(cache: Any, table: ClockTable, value: object) -> None:
    with Render(table) as maker:
        maker.read_table("t")
        cache.set("k", value)
        assert cache.get_or_set("other", lambda: value) == value
        assert cache.set_many({"many": value}) == []
        assert cache.add("k", "not") is False and cache.add("new", value) is True
    with Render(table) as reader:
        assert cache.get_many(["k", "many", "none"]) == {"k": value, "many": value}
        assert cache.get("new") == cache.get("other") == value
        assert cache.get("none", 7) == 7
    assert b"db:t" in reader.all_tags() and not reader.fallbacks
    assert cache.get("k") == value  # out of a render, too


def test_a_value_from_nobody_knows_where(cache: Any, table: ClockTable) -> None:
    cache.set("k", "v", None)
    with Render(table) as reader:
        assert cache.get("k") == "v"
    assert reader.max_age == watching.UNKNOWN_SECONDS and reader.fallbacks


def test_a_value_that_was_set_anew_outside_of_a_render(cache: Any, table: ClockTable) -> None:
    with Render(table) as maker:
        maker.read_table("t")
        cache.set("k", "v")
    cache.set("k", "v")  # the same, and made of who knows what
    with Render(table) as reader:
        cache.get("k")
    assert reader.max_age == watching.UNKNOWN_SECONDS


def test_a_value_that_somebody_else_replaced(cache: Any, table: ClockTable) -> None:
    with Render(table) as maker:
        maker.read_table("t")
        cache.set("k", "v")
    kind, cache.__class__ = cache.__class__, cache.__class__.__mro__[2]  # a program without the recorder
    cache.set("k", "another")
    cache.__class__ = kind
    with Render(table) as reader:
        assert cache.get("k") == "another"
    assert reader.max_age == watching.UNKNOWN_SECONDS


def test_a_value_whose_data_changed_since(cache: Any, table: ClockTable) -> None:
    """A page made anew would hold the same old value: it may not be kept for long."""
    with Render(table) as maker:
        maker.read_table("t")
        table.purge([b"db:t"])  # while it is made
        cache.set("k", "v")
    with Render(table) as reader:
        cache.get("k")
    assert reader.max_age == watching.UNKNOWN_SECONDS and b"db:t" in reader.all_tags()


def test_what_goes_from_cache_to_cache(cache: Any, table: ClockTable) -> None:
    with Render(table) as first:
        first.read_table("t")
        cache.set("a", "v", 60)
    with Render(table):
        cache.set("b", cache.get("a") + "!", 3600)
    with Render(table) as reader:
        cache.get("b")
    assert b"db:t" in reader.all_tags() and reader.max_age is not None and reader.max_age <= 60


def test_counters_and_looks_are_of_unknown_make(cache: Any, table: ClockTable) -> None:
    cache.set("n", 1)
    for look in (lambda: cache.incr("n"), lambda: cache.decr("n"), lambda: "n" in cache):
        with Render(table) as reader:
            look()
        assert reader.max_age == watching.UNKNOWN_SECONDS


def test_what_is_not_there_may_come(cache: Any, table: ClockTable) -> None:
    one, other = (recording.start(table.clock.stamp()) for _ in range(2))
    with recording.enter(one):
        assert cache.get("a") is None and cache.get_or_set("b", "made") == "made"
        assert cache.get_many(["b", "c", "d"]) == {"b": "made"}
        cache.set_many({"a": 1, "c": 2})
        cache.add("d", 3)
    with recording.enter(other):
        assert cache.get("z") is None and cache.get("a") == 1
    for render in (one, other):
        render.close()
        watching.end(render)
    assert one.max_age is None or one.max_age > watching.UNKNOWN_SECONDS
    assert other.max_age == watching.UNKNOWN_SECONDS


def test_the_table_of_a_cache_is_no_data_of_the_page(cache: Any, table: ClockTable) -> None:
    with Render(table) as render:
        cache.set("k", "v")
        cache.get("k")
    assert render.all_tags() == set()


def test_a_cache_that_is_opened_later_is_watched() -> None:
    script = """
import sys
from django.conf import settings
settings.configure(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "none": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}})
from uncork.django import caches as watching
watching.install(); watching.install()
from django.core.cache import cache, caches
cache.set("k", 1)
print(type(caches["default"]).__mro__[1].__name__, type(caches["none"]).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, timeout=PATIENCE
    )
    assert done.stdout.split() == ["Watched", DummyCache.__name__], done.stderr
    assert caches is not None
