"""The origin gives no answer, or one that can't be passed on."""

import re
from pathlib import Path

import pytest

from support.edge_client import Edge, eventually, serve
from support.web_origin import Asked, Line, WebOrigin, reply

BROKEN = [
    (b"nonsense\r\n\r\n", "malformed"),
    (b"HTTP/1.1 abc\r\n\r\n", "malformed"),
    (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "malformed"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "malformed"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "malformed"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "malformed"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "malformed"),
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "malformed"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", "head-too-large"),
    (b"HTTP/1.1 200 OK\r\nX", "truncated"),
    (b"", "closed"),
]


@pytest.mark.parametrize(("data", "why"), BROKEN)
def test_a_broken_response_is_502_and_the_log_says_why(
    edge: Edge, origin: WebOrigin, data: bytes, why: str
) -> None:
    """Whoever is asked, and however: the connection to the client is as good as before.
    Source: RFC 9110 §15.6.3"""

    def answer(asked: Asked, line: Line) -> str:
        line.send(data)
        return "close"

    path = origin.new(answer)
    with edge.connect() as client:
        for method in ("GET", "POST", "GET"):
            found = client.ask(path, method=method)
            assert found.status == 502 and b"<h1>" in found.body
            assert found["cache-control"] == "no-store"
            edge.wait_for(rf"http://h{path}: no answer from the origin: {why}")
        assert client.ask("/files/small.txt").status == 200
    origin.at(path, reply(b"well again"))
    assert edge.ask(path).body == b"well again"


@pytest.mark.parametrize("workers", [1, 3])
def test_how_long_the_origin_may_take(tmp_path: Path, workers: int) -> None:
    """The limit is for the beginning of an answer and for each pause in it. Source: RFC 9110 §15.6.5"""

    def silent(asked: Asked, line: Line) -> str:
        line.closed()
        return "close"

    def halts(asked: Asked, line: Line) -> str:
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        line.closed()
        return "close"

    origin = WebOrigin()
    with serve(tmp_path, origin.url, "--origin-timeout", "400ms", workers=workers) as edge:
        for _ in range(4):
            path = origin.new(silent)
            assert edge.ask(path).status == 504
            edge.wait_for(rf"http://h{path}: no answer from the origin: response-timeout")
            assert origin.count(path) == 1
        path = origin.new(halts)
        with pytest.raises(AssertionError, match="closed after 4 of 9 bytes"):
            edge.ask(path)
        edge.wait_for(rf"{path}: .*read-timeout")
    origin.stop()


@pytest.mark.parametrize("workers", [1, 3])
def test_the_origin_is_down(tmp_path: Path, workers: int) -> None:
    """503 for what is not stored, and what is stored goes on being served: fresh, and stale."""
    origin = WebOrigin()
    fresh = origin.new(reply(b"fresh", "Cache-Control: max-age=600"))
    stale = origin.new(reply(b"stale", "Cache-Control: max-age=1"))
    strict = origin.new(reply(b"strict", "Cache-Control: max-age=1, must-revalidate"))
    renewed = origin.new(reply(b"renewed", "Cache-Control: max-age=1, stale-while-revalidate=600"))
    paths = (fresh, stale, strict, renewed)
    with serve(tmp_path, origin.url, workers=workers) as edge:
        assert f"origin:    {origin.url}, no request has ended yet" in edge.shown()
        for path in paths:
            edge.ask(path)
        origin.stop()
        eventually(lambda: not edge.ask(stale).cache.startswith("Uncork; hit; ttl=0"))
        for _ in range(4):
            found = edge.ask("/never-seen")
            assert found.status == 503 and found["retry-after"] is not None and b"<h1>" in found.body
            assert edge.ask("/never-seen", method="POST", content=b"x").status == 503
            assert edge.ask(fresh).hit
            eventually(lambda: "stale-if-error" in edge.ask(stale).cache)
            assert edge.ask(stale).body == b"stale"
            eventually(lambda: edge.ask(strict).status == 503)
            assert edge.ask(renewed).body == b"renewed"
        edge.wait_for("connect-refused")
        failed = r"the last request failed \d s ago \(connect-refused\), \d+ requests, \d+ failures"
        assert re.search(rf"origin:    http\S+, {failed}", edge.shown())
        origin.start()
        for path in paths:
            origin.at(path, reply(b"back", "Cache-Control: max-age=600"))
        assert edge.ask("/never-seen").status == 404
        assert re.search(
            r"origin:    http\S+, the last request was answered \d s ago, \d+ requests", edge.shown()
        )
        assert edge.ask(strict).body == b"back"
        eventually(lambda: edge.ask(stale).body == edge.ask(renewed).body == b"back")
        assert edge.ask(fresh).body == b"fresh"
    origin.stop()


def test_purged_pages_are_not_served_though_the_origin_is_down(tmp_path: Path) -> None:
    origin = WebOrigin()
    path = origin.new(reply(b"old", "Cache-Control: max-age=600"))
    with serve(tmp_path, origin.url) as edge:
        assert edge.ask(path).body == edge.ask(path).body == b"old"
        origin.stop()
        edge.purge("--all", "--soft")
        assert edge.ask(path).body == b"old"
        edge.purge("--all")
        assert edge.ask(path).status == 503
