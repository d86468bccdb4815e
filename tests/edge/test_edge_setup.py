"""A Setup survives its way into a worker, and a foreign one is refused."""

import dataclasses
import json
import os

import pytest

from uncork.caching.storable import CacheOptions
from uncork.edge.resolve import Symlinks
from uncork.edge.setup import (
    BadSetup,
    BufferSetup,
    CacheSetup,
    FilesSetup,
    Kind,
    Listener,
    LogFormat,
    LogSetup,
    Mount,
    Setup,
)
from uncork.edge.static import HashedBy
from uncork.wire.limits import Limits

FULL = Setup(
    index=1,
    count=4,
    generation=3,
    state_dir="/srv/state",
    listeners=(Listener(7, Kind.TCP, "127.0.0.1:80"), Listener(8, Kind.UNIX, "unix:/a")),
    internal_fd=9,
    internal_paths=("/srv/state/workers/0.sock",),
    origins=("http+unix:/srv/o.sock",),
    origin_idle_seconds=60.0,
    origin_seconds=7.5,
    static=(Mount("/static/", "/srv/static"),),
    internal_files=(Mount("/protected/", "/srv/private"),),
    static_only=False,
    cache=CacheSetup(CacheOptions(default_ttl=5, heuristic_fraction=0.5), keep_tags=True),
    buffers=BufferSetup(requests=False, response_bytes=0),
    files=FilesSetup(Symlinks.NEVER, max_age=None, hashed_by=(HashedBy.VITE, HashedBy.DJANGO)),
    limits=Limits(fields=7, idle_seconds=2),
    log=LogSetup("-", LogFormat.JSON),
    purge_token="secret",
    trust_forwarded=("10.0.0.0/8",),
)


@pytest.mark.parametrize("setup", [FULL, Setup(0, 1, 1, "/s")], ids=["full", "least"])
def test_round_trip(setup: Setup) -> None:
    assert Setup.from_json(setup.to_json()) == setup


def test_every_field_of_the_full_one_differs_from_its_default() -> None:
    for field in dataclasses.fields(Setup):
        if field.name != "static_only":
            assert getattr(FULL, field.name) != getattr(Setup(0, 1, 1, "/s"), field.name, None)


def test_through_a_descriptor() -> None:
    fd = FULL.to_descriptor()
    inherited = os.dup(fd)
    os.close(fd)
    assert Setup.from_environment({"UNCORK_SETUP_FD": str(inherited)}) == FULL
    with pytest.raises(OSError):
        os.fstat(inherited)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": "red"}, "setup: unknown key 'colour'"),
        ({"cache": {"ttl": 1}}, "setup.cache: unknown key 'ttl'"),
        ({"index": "1"}, "setup.index: '1' is not a int"),
        ({"index": True}, "setup.index"),
        ({"listeners": [{"fd": 1, "kind": "udp", "address": ""}]}, r"setup.listeners\[0\].kind: 'udp'"),
        ({"origins": "http://a"}, "setup.origins"),
    ],
)
def test_what_it_does_not_know_is_an_error(change: dict[str, object], said: str) -> None:
    with pytest.raises(BadSetup, match=said):
        Setup.from_json(json.dumps({**json.loads(FULL.to_json()), **change}))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"index": 1}', "null"])
def test_what_is_no_setup_is_an_error(text: str) -> None:
    with pytest.raises(BadSetup):
        Setup.from_json(text)
