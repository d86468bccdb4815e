"""What is decided, row by row; and that the memo of ready answers never says anything else."""

import gzip
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.edge_client import Client, Edge, Reply, eventually, serve
from support.pages import FRESHNESS, page
from support.web_origin import WebOrigin, reply
from uncork.caching.directives import parse_directives
from uncork.edge.decide import (
    FORWARD,
    Decision,
    Fetch,
    Pass,
    Refuse,
    Revalidate,
    Serve,
    Why,
    decide,
    decide_alone,
)
from uncork.pages.clock import Verdict
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request

NOW = 1_800_000_000.0
LIFETIME = replace(
    FRESHNESS,
    response_time=NOW - 100,
    corrected_initial_age=0.0,
    lifetime=600,
    stale_while_revalidate=60,
    must_revalidate=False,
)
FIELDS = Fields([(b"cache-control", b"max-age=600")])
TAGGED = Fields([(b"etag", b'"x"')])


def request(method: bytes = b"GET", **fields: bytes) -> Request:
    items = [(name.replace("_", "-").encode(), value) for name, value in fields.items()]
    return Request(method, b"http", b"h", b"/", None, b"1.1", Fields(items))


def decision(
    asked: Request, age: float | None = 100.0, verdict: Verdict = Verdict.VALID, fields: Fields = FIELDS
) -> Decision:
    """`age` of the page that is stored, in seconds; None when there is none."""
    directives = parse_directives(asked.fields.get(b"cache-control"))
    alone = decide_alone(asked, directives)
    if alone is not None:
        return alone
    found = None
    if age is not None:
        found = page(freshness=replace(LIFETIME, response_time=NOW - age), fields=fields)
    return decide(asked, directives, found, False, verdict, NOW)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # RFC 9110 §9.2.1: nothing but GET and HEAD is answered from a store
        (request(b"POST"), Pass(Why.PASS_METHOD)),
        (request(b"OPTIONS"), Pass(Why.PASS_METHOD)),
        (request(b"get"), Pass(Why.PASS_METHOD)),
        # RFC 9110 §7.8
        (request(connection=b"Upgrade", upgrade=b"websocket"), Pass(Why.PASS_UPGRADE)),
        (request(upgrade=b"websocket"), Serve(Why.HIT)),
        # RFC 9110 §9.3.1: content of a GET may well select
        (request(content_length=b"1"), Pass(Why.PASS_CONTENT)),
        (request(content_length=b"0"), Serve(Why.HIT)),
        (request(transfer_encoding=b"chunked"), Pass(Why.PASS_CONTENT)),
        # RFC 9111 §3.5, and stricter
        (request(authorization=b"Basic x"), Pass(Why.PASS_AUTHORIZATION)),
        # RFC 9111 §5.2.1.5
        (request(cache_control=b"no-store"), Pass(Why.PASS_NO_STORE)),
        # RFC 9111 §4
        (request(), Serve(Why.HIT)),
        (request(b"HEAD"), Serve(Why.HIT)),
        (request(range=b"bytes=0-1"), Serve(Why.HIT)),
        # RFC 9111 §5.2.1
        (request(cache_control=b"max-age=50"), Fetch(Why.REQUEST)),
        (request(cache_control=b"max-age=200"), Serve(Why.HIT)),
        (request(cache_control=b"min-fresh=550"), Fetch(Why.REQUEST)),
        (request(cache_control=b"no-cache"), Fetch(Why.REQUEST)),
        (request(cache_control=b"no-cache, only-if-cached"), Refuse(504, Why.ONLY_IF_CACHED)),
        (request(cache_control=b"only-if-cached"), Serve(Why.HIT)),
    ],
)
def test_with_a_fresh_page(asked: Request, expected: Decision) -> None:
    assert decision(asked) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request(), Fetch(Why.MISS)),
        (request(cache_control=b"only-if-cached"), Refuse(504, Why.ONLY_IF_CACHED)),
        (request(range=b"bytes=0-1"), Pass(Why.PASS_RANGE)),
        (request(b"HEAD"), Pass(Why.PASS_METHOD)),
    ],
)
def test_with_nothing_stored(asked: Request, expected: Decision) -> None:
    assert decision(asked, None) == expected


def test_with_other_variants_stored() -> None:
    assert decide(request(), parse_directives(None), None, True, Verdict.VALID, NOW) == Fetch(
        Why.VARIANT_MISS
    )


@pytest.mark.parametrize(
    ("age", "fields", "expected"),
    [
        (599, FIELDS, Serve(Why.HIT)),
        # RFC 5861 §3
        (601, FIELDS, Serve(Why.HIT_STALE, renew=True)),
        (661, FIELDS, Fetch(Why.EXPIRED)),
        # RFC 9111 §4.3.1
        (661, TAGGED, Revalidate(Why.EXPIRED)),
    ],
)
def test_as_a_page_ages(age: float, fields: Fields, expected: Decision) -> None:
    assert decision(request(), age, fields=fields) == expected


@pytest.mark.parametrize(
    ("verdict", "age", "expected"),
    [
        # Never validated: a validator with the precision of a second would bring it back
        (Verdict.PURGED, 100, Fetch(Why.PURGED)),
        (Verdict.PURGED, 601, Fetch(Why.PURGED)),
        (Verdict.SOFT, 100, Serve(Why.HIT_STALE, renew=True)),
        (Verdict.SOFT, 661, Revalidate(Why.EXPIRED)),
    ],
)
def test_what_was_purged(verdict: Verdict, age: float, expected: Decision) -> None:
    assert decision(request(), age, verdict, TAGGED) == expected


def test_what_goes_to_the_origin_has_its_word_in_cache_status() -> None:
    """Source: RFC 9211 §2.2"""
    told = {why for why in Why if why.name.startswith("PASS_")} | {
        *(Why.MISS, Why.VARIANT_MISS, Why.PURGED, Why.EXPIRED, Why.VALIDATED, Why.REQUEST)
    }
    assert FORWARD.keys() >= told


# The memo. Two servers in front of the same origin and files: one remembers, one can't.

HTML = b"<p>compressible content</p>" * 100
CHANGING = re.compile(r"ttl=-?\d+")
Pair = tuple[Edge, Edge, dict[str, str]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    origin = WebOrigin()
    files = tmp_path_factory.mktemp("files")
    (files / "plain.txt").write_bytes(b"plain " * 50)
    (files / "style.css").write_bytes(b"p { }\n" * 400)
    (files / "style.css.gz").write_bytes(gzip.compress(b"p { }\n" * 400, mtime=0))
    (files / "large.bin").write_bytes(bytes(200_000))
    (files / "app.0123456789ab.js").write_bytes(b"js()\n" * 20)
    for file in files.iterdir():
        os.utime(file, (time.time() - 3600, time.time() - 3600))
    fresh = "Cache-Control: max-age=3600"
    date = "Date: Mon, 23 Nov 2026 10:00:00 GMT"
    paths = {
        "page": origin.new(reply(b"page", fresh, date)),
        "tagged": origin.new(reply(b"tagged" * 20, "Cache-Control: max-age=99999999", 'ETag: "v1"', date)),
        "weak": origin.new(
            reply(b"weak", fresh, 'ETag: W/"v1"', "Last-Modified: Mon, 02 Nov 2026 10:00:00 GMT")
        ),
        "varied": origin.new(reply(b"varied", fresh, "Vary: Accept-Encoding, X-Theme")),
        "html": origin.new(reply(HTML, fresh, "Content-Type: text/html")),
        "big": origin.new(reply(bytes(100_000), fresh)),
        "absent": origin.new(reply(b"absent", fresh, status="404 Not Found")),
        "moved": origin.new(reply(b"", fresh, "Location: /x", status="301 Moved Permanently")),
        "own": origin.new(reply(b"own", "Cache-Control: no-store")),
        **{
            name: f"/files/{name}"
            for name in ("plain.txt", "style.css", "large.bin", "app.0123456789ab.js", "no")
        },
    }
    more = ("--static", f"/files/={files}")
    with (
        serve(tmp_path_factory.mktemp("with"), origin.url, *more) as remembering,
        serve(tmp_path_factory.mktemp("without"), origin.url, *more, "--memory-bytes", "0") as other,
    ):
        for edge in (remembering, other):
            for path in paths.values():
                edge.ask(path)
            for coding in ("br", "gzip"):
                eventually(
                    lambda edge=edge, coding=coding: (
                        edge.ask(paths["html"], f"Accept-Encoding: {coding}")["content-encoding"] == coding
                    )
                )
        yield remembering, other, paths
        assert remembering.snapshot()["hot"]["hits"] > 100
        assert other.snapshot()["hot"]["hits"] == 0
    origin.stop()


def told(found: Reply) -> tuple[object, ...]:
    """An answer without what changes with time, and without what is told only of who had to be asked."""
    lines = {
        (name, CHANGING.sub("ttl=", value)) for name, value in found.lines if name not in ("date", "age")
    }
    return found.status, found.body, sorted(lines), found["age"] is None, found["date"] is None


asked_for = st.sampled_from(
    ["page", "page", "tagged", "weak", "varied", "html", "html", "big", "absent", "moved", "own"] * 2
    + ["plain.txt", "style.css", "large.bin", "app.0123456789ab.js", "no"]
)
LAST = "the tag of the last answer for it"
line = st.one_of(
    st.sampled_from(["Cookie: a=b", "cookie: c", "Referer: http://r/", "COOKIE: d", "X-Theme: dark"]),
    st.sampled_from(
        [
            "Accept-Encoding: br, gzip",
            "Accept-Encoding: gzip",
            "accept-encoding: identity",
            "Accept-Encoding:",
        ]
    ),
    st.sampled_from(
        [
            f"If-None-Match: {LAST}",
            f"if-none-match: {LAST}",
            f"If-None-Match:{LAST}",
            f"IF-NONE-MATCH: {LAST}",
        ]
    ),
    st.sampled_from(
        ['If-None-Match: "v1"', "If-None-Match: *", 'If-None-Match: "no", W/"v1"', 'If-None-Match: ""']
    ),
    st.sampled_from(
        [
            *(
                "If-Modified-Since: Mon, 02 Nov 2026 10:00:00 GMT",
                "if-modified-since: Mon, 02 Nov 2099 10:00:00 GMT",
            ),
            *("If-Modified-Since: never", f"If-Match: {LAST}", 'If-Match: "no"', "If-Range: x"),
        ]
    ),
    st.sampled_from(["Range: bytes=0-3", "Range: bytes=-2", "Range: bytes=900000-", "range: bytes=0-0"]),
    st.sampled_from(
        [
            "Cache-Control: no-cache",
            "Cache-Control: max-age=0",
            "Pragma: no-cache",
            "Cache-Control: only-if-cached",
        ]
    ),
    st.sampled_from(
        ["Authorization: x", "Connection: keep-alive", "Connection: close", "Upgrade: x", "TE: trailers"]
    ),
)
step = st.tuples(
    st.sampled_from(["GET"] * 8 + ["HEAD", "POST"]),
    asked_for,
    st.sampled_from(["", "", "", "?q"]),
    st.lists(line, max_size=3),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(step, st.integers(1, 4)), min_size=1, max_size=12))
def test_the_memo_agrees_with_what_is_decided(
    pair: Pair, steps: list[tuple[tuple[str, str, str, list[str]], int]]
) -> None:
    *edges, paths = pair
    clients = [edge.connect() for edge in edges]
    tags: dict[str, str] = {}
    try:
        for (method, name, query, lines), times in steps:
            if (
                name == "html"
            ):  # its variants are made in their own time, which is over: nothing makes it anew
                method, query = "HEAD" if method == "HEAD" else "GET", ""
                lines = [text for text in lines if not text.startswith(("Cache-Control", "Pragma"))]
            asked = [text.replace(LAST, tags.get(name, '"none"')) for text in lines]
            for _ in range(times):
                found = []
                for i, edge in enumerate(edges):
                    found.append(clients[i].ask(paths[name] + query, *asked, method=method))
                    if found[-1]["connection"] == "close":
                        assert clients[i].ended()
                        clients[i].sock.close()
                        clients[i] = Client(edge.address)
                assert told(found[0]) == told(found[1]), (method, name, query, asked)
                if (tag := found[0]["etag"]) is not None:
                    tags[name] = tag
    finally:
        for client in clients:
            client.sock.close()
