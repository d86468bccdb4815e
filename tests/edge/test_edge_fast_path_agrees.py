"""The fast path is a memo of an answer, never a second set of rules: it says what the long way says."""

import re

import pytest

from support.edge_client import Edge, Reply, eventually
from support.web_origin import WebOrigin, reply

PAST = "Sat, 01 Aug 2026 12:00:00 GMT"
SLOW = "X-Asked-The-Long-Way: yes"  # with this the head is one that was never seen
CODINGS = "Accept-Encoding: gzip, br"


def comparable(found: Reply) -> tuple[int, list[tuple[str, str]], bytes]:
    """Without what changes with time: Age and ttl in seconds, and the Date where it is our own."""
    kept = [
        (name, re.sub(r"ttl=-?\d+", "ttl=*", "*" if name in ("age", "date") else value))
        for name, value in found.lines
    ]
    return found.status, sorted(kept), found.body


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (f"Date: {PAST}",),
        (f"Date: {PAST}", "Age: 7", "Via: 1.1 somebody"),
        ('ETag: "a"', "Server: origin", "Content-Language: en"),
        (f"Last-Modified: {PAST}", "Content-Type: text/html; charset=utf-8"),
        ("Vary: Accept-Encoding", "Cache-Tag: a, b", "Surrogate-Key: c"),
        ("Connection: X-Hop", "X-Hop: 1", "X-End: 2", "X-End: 3"),
        ('Cache-Status: Elsewhere; hit; detail="first"', "Cache-Status: Second; hit"),
    ],
    ids=lambda fields: ",".join(field.partition(":")[0] for field in fields) or "none",
)
def test_a_page(edge: Edge, origin: WebOrigin, fields: tuple[str, ...]) -> None:
    path = origin.new(reply(b"a page " * 100, "Cache-Control: max-age=100000000", *fields))
    with edge.connect() as client:
        client.ask(path, CODINGS)
        if any("text/html" in field for field in fields):  # its variants are made in the background
            eventually(lambda: client.ask(path, CODINGS)["content-encoding"])
        first = client.ask(path, CODINGS, SLOW)
        etag = first["etag"] or ""
        before = edge.snapshot()["hot"]["hits"]
        for condition in ((), (f"If-None-Match: {etag}",), ('If-None-Match: "other"',)):
            slow = [client.ask(path, *condition, CODINGS, f"{SLOW}{number}") for number in range(2)]
            fast = [client.ask(path, *condition, CODINGS) for _ in range(3)]
            assert slow[0].hit and fast[0].hit
            for found in [*slow, *fast]:
                assert comparable(found) == comparable(slow[0])
            dates = {found["date"] for found in [*slow, *fast]}
            if f"Date: {PAST}" in fields:
                assert dates == {PAST}  # it tells when the origin made it. Source: RFC 9110 §6.6.1
        assert edge.snapshot()["hot"]["hits"] > before
    assert origin.count(path) == 1


def test_a_file(edge: Edge) -> None:
    with edge.connect() as client:
        first = client.ask("/files/small.txt")
        before = edge.snapshot()["hot"]["hits"]
        for condition in ((), (f"If-None-Match: {first['etag']}",)):
            slow = client.ask("/files/small.txt", *condition, SLOW)
            for _ in range(3):
                assert comparable(client.ask("/files/small.txt", *condition)) == comparable(slow)
        assert edge.snapshot()["hot"]["hits"] > before
