"""A stale page that is served is renewed, whichever worker was asked, whatever the origin sends."""

import time

import pytest

from support.edge_client import PATIENCE, Edge
from support.web_origin import Asked, Line, WebOrigin, reply


@pytest.mark.parametrize("how", ["length", "chunked"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_page_that_was_purged_softly_is_renewed(
    origin: WebOrigin, request: pytest.FixtureRequest, workers: int, how: str
) -> None:
    edge: Edge = request.getfixturevalue("edge" if workers == 1 else "edge3")
    versions = iter(range(1, 100))

    def answer(asked: Asked, line: Line) -> None:
        version = b"version %d" % next(versions)
        if how == "length":
            line.send(reply(version, "Cache-Control: s-maxage=600"))
        else:
            line.send(b"HTTP/1.1 200 OK\r\nCache-Control: s-maxage=600\r\nTransfer-Encoding: chunked\r\n\r\n")
            line.send(b"%x\r\n%b\r\n" % (len(version), version), b"0\r\n\r\n")

    path = origin.new(answer)
    assert edge.ask(path).body == b"version 1"
    assert edge.ask(path).hit
    edge.purge("--soft", "--url", f"http://h{path}")
    stale = edge.ask(path)
    assert stale.body == b"version 1" and stale.cache.endswith("detail=hit-stale")
    deadline = time.monotonic() + PATIENCE
    while (found := edge.ask(path)).body != b"version 2":
        assert time.monotonic() < deadline, "never renewed"
        time.sleep(0.01)  # the origin's answer is no sign that it is stored
    assert found.hit and not found.cache.endswith("detail=hit-stale")
    assert origin.count(path) == 2


def test_the_age_of_a_304_counts_and_is_told_once(edge: Edge, origin: WebOrigin) -> None:
    """Source: RFC 9111 §4.2.3, §4.3.4"""

    def answer(asked: Asked, line: Line) -> None:
        if asked["if-none-match"]:
            line.send(reply(b"", "Cache-Control: max-age=60", "Age: 30", status="304 Not Modified"))
        else:
            line.send(reply(b"it", "Cache-Control: max-age=60", "Age: 50", 'ETag: "it"'))

    path = origin.new(answer)
    assert edge.ask(path)["age"] == "50"
    assert "fwd-status=304" in edge.ask(path, "Cache-Control: no-cache").cache
    for _ in range(2):
        found = edge.ask(path)
        assert found.hit and [value for name, value in found.lines if name == "age"] in (["30"], ["31"])


@pytest.mark.parametrize("streamed", [False, True])
def test_what_was_fetched_for_head_is_sent_without_content(
    edge: Edge, origin: WebOrigin, streamed: bool
) -> None:
    """A HEAD has a stale page fetched by GET, and what comes can't be shared. Source: RFC 9110 §9.3.2"""
    say = [b'Cache-Control: max-age=0\r\nETag: "a"\r\n']

    def answer(asked: Asked, line: Line) -> None:
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n" + say[-1] + b"\r\n" + b"01234")
        if streamed:
            time.sleep(0.05)
        line.send(b"56789")

    path = origin.new(answer)
    assert edge.ask(path).body == b"0123456789"
    say.append(b"Cache-Control: private\r\n")
    with edge.connect() as client:
        for _ in range(3):
            found = client.ask(path, method="HEAD")
            assert found.status == 200 and found["content-length"] == "10"
        assert client.ask("/files/small.txt").status == 200
        assert client.seen == b""
