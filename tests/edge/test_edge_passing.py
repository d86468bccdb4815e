"""Responses that can't be shared go through without a task, a store or a parser: they arrive as ever."""

import json
import socket
import time
from itertools import count
from pathlib import Path

import pytest

from support.edge_client import Edge, eventually, head, serve
from support.web_origin import Asked, Line, WebOrigin, reply

FRESH = "Cache-Control: max-age=600"


def told(*lines: str):
    """An answer that repeats what was asked, in a head of which some lines never repeat."""
    numbers = count()

    def answer(asked: Asked, line: Line) -> None:
        number = next(numbers)
        body = json.dumps({"cookie": asked["cookie"], "number": number}).encode() + b"." * (number % 7)
        volatile = (f"Set-Cookie: a={number}", f"Set-Cookie: b={number}%", f'ETag: "{number}"')
        line.send(reply(body, "X-Percent: 100%", *lines, *volatile))

    return answer


@pytest.mark.parametrize(
    "fields", [(), ("Cache-Control: no-store",), ("Connection: keep-alive", "Vary: Cookie")]
)
def test_each_gets_its_own(edge: Edge, origin: WebOrigin, fields: tuple[str, ...]) -> None:
    path = origin.new(told(*fields))
    with edge.connect() as client:
        for number in range(12):
            found = client.ask(path, "User-Agent: x", f"Cookie: c={number}", f"Referer: http://h/{number}")
            answer, _, rest = found.body.partition(b"}")
            assert json.loads(answer + b"}") == {"cookie": f"c={number}", "number": number}
            assert rest == b"." * (number % 7)
            assert found.all("set-cookie") == [f"a={number}", f"b={number}%"]
            assert found["etag"] == f'"{number}"' and found["x-percent"] == "100%"
            assert found["via"] == "1.1 uncork" and len(found.all("date")) == 1
            why = "no-store" if "Cache-Control: no-store" in fields else "set-cookie"
            assert found.cache.endswith("detail=pass-known" if number else f"detail=pass-unshared.{why}")
    asked = origin.last(path)
    assert (asked["referer"], asked["user-agent"]) == ("http://h/11", "x")
    assert asked["x-forwarded-for"] == "127.0.0.1" and asked["host"] == asked["x-forwarded-host"] == "h"


@pytest.mark.parametrize(
    "more", [(), ("Cookie: a=1",), ("Referer: /", "If-None-Match: x"), ("X-Forwarded-For: ::1",)]
)
def test_what_was_decided_before_is_done_as_what_is_decided_anew(
    edge: Edge, origin: WebOrigin, more: tuple[str, ...]
) -> None:
    """`Pragma` makes a request one for which there is no memo."""
    seen = []

    def answer(asked: Asked, line: Line) -> None:
        seen.append(sorted(item for item in asked.lines if item[0] != "pragma"))
        line.send(reply(b"page", "Cache-Control: private", "X-Own: 1"))

    path = origin.new(answer)
    with edge.connect() as client:
        for _ in range(4):
            client.ask(path, *more)
        memo, anew = client.ask(path, *more), client.ask(path, *more, "Pragma: x")
    assert memo.body == anew.body and memo.status == anew.status
    assert [line for line in memo.lines if line[0] != "date"] == [
        line for line in anew.lines if line[0] != "date"
    ]
    assert seen[-1] == seen[-2]


def test_who_is_not_trusted_is_not_taken_for_who_is(tmp_path: Path, origin: WebOrigin) -> None:
    """Whatever was decided for requests that look the same."""
    path = origin.new(lambda asked, line: line.send(reply(f"{asked['x-forwarded-proto']}".encode())))
    with (
        serve(tmp_path, origin.url, "--trust-forwarded", "127.0.0.1/32") as edge,
        edge.connect() as proxy,
        edge.connect() as stranger,
    ):
        place = stranger.sock.getpeername()
        stranger.sock.close()
        stranger.sock = socket.create_connection(place, source_address=("127.0.0.2", 0))
        for _ in range(6):
            for scheme in ("http", "https"):
                line = f"X-Forwarded-Proto: {scheme}"
                assert proxy.ask(path, line).body == scheme.encode()
                assert stranger.ask(path, line).body == b"http"


@pytest.mark.parametrize(
    ("trusted", "told"), [("unix", b"https 192.0.2.1, 192.0.2.2"), ("127.0.0.1", b"http None")]
)
def test_a_proxy_that_comes_by_a_unix_socket_is_believed_where_that_was_said(
    tmp_path: Path, origin: WebOrigin, trusted: str, told: bytes
) -> None:
    def answer(asked: Asked, line: Line) -> None:
        line.send(reply(f"{asked['x-forwarded-proto']} {asked['x-forwarded-for']}".encode()))

    path, bind = origin.new(answer), f"unix:{tmp_path}/u.sock"
    with serve(tmp_path, origin.url, "--trust-forwarded", trusted, bind=bind) as edge:
        for _ in range(4):
            more = ("X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.1, 192.0.2.2")
            assert edge.ask(path, *more).body == told


@pytest.mark.parametrize(
    ("reason", "lines", "status"),
    [
        ("private", ("Cache-Control: private",), "200 OK"),
        ("vary-all", (FRESH, "Vary: *"), "200 OK"),
        ("no-freshness", (), "200 OK"),
        ("already-stale", ("Cache-Control: max-age=0",), "200 OK"),
        ("status-without-freshness", (), "500 Internal Server Error"),
        ("status-about-the-request", (FRESH,), "429 Too Many Requests"),
    ],
)
@pytest.mark.parametrize("workers", [1, 3])
def test_why_nothing_is_stored_is_told(
    edge: Edge, edge3: Edge, origin: WebOrigin, workers: int, reason: str, lines: tuple[str, ...], status: str
) -> None:
    """Source: RFC 9211 §2.8"""
    for _ in range(3):  # heads that the origin repeats are taken apart by another way
        found = (edge if workers == 1 else edge3).ask(origin.new(reply(b"x", *lines, status=status)))
        code = status.partition(" ")[0]
        assert found.cache == f"Uncork; fwd=miss; fwd-status={code}; detail=pass-unshared.{reason}"


def test_pipelined_requests_are_passed_in_their_order(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(told())
    with edge.connect() as client:
        client.ask(path)
        client.send(b"".join(head("Host: h", f"Cookie: {number}", path=path) for number in range(20)))
        for number in range(20):
            assert json.loads(client.reply().body.rstrip(b"."))["cookie"] == str(number)


def test_what_is_passed_is_asked_for_as_ever(edge: Edge, origin: WebOrigin) -> None:
    """Source: RFC 9111 §5.2.1.7"""
    path = origin.new(told())
    with edge.connect() as client:
        for _ in range(3):
            client.ask(path)
        assert client.ask(path, "Cache-Control: only-if-cached").status == 504
        assert client.ask(path, method="HEAD").cache.endswith("detail=pass-method")
        assert client.ask(path, "Range: bytes=0-1").cache.endswith("detail=pass-range")
        assert client.ask(path, "Connection: x-own", "X-Own: 1").status == 200
    assert origin.last(path)["x-own"] is None


def test_a_url_that_is_passed_has_other_queries_and_they_may_be_stored(edge: Edge, origin: WebOrigin) -> None:
    def answer(asked: Asked, line: Line) -> None:
        line.send(reply(b"page", FRESH if asked.target.endswith("?page") else "Cache-Control: no-store"))

    path = origin.new(answer)
    with edge.connect() as client:
        for _ in range(3):
            client.ask(path)
        client.ask(path + "?page")
        for _ in range(3):
            assert client.ask(path + "?page").hit
            assert client.ask(path).cache.endswith("detail=pass-known")


def test_workers_pass_without_the_home_of_the_key(edge3: Edge, origin: WebOrigin) -> None:
    path = origin.new(told())

    def through_home() -> int:
        workers = edge3.status(edge3.state_dir)["workers"]
        return sum(worker["snapshot"]["relayed"] for worker in workers)

    before = through_home()
    clients = [edge3.connect() for _ in range(12)]
    for _ in range(4):
        for client in clients:
            assert client.ask(path).status == 200
    for client in clients:
        client.sock.close()
    assert through_home() - before <= 2
    assert origin.count(path) == 48


def test_a_request_is_logged_and_counted_once_whichever_worker_answers(
    tmp_path: Path, origin: WebOrigin
) -> None:
    log = tmp_path / "access.log"
    paths = [origin.new(reply(b"x", FRESH)) for _ in range(24)]
    with serve(
        tmp_path, origin.url, "--access-log", str(log), "--access-log-format", "json", workers=3
    ) as edge:
        for path in paths:
            for _ in range(2):
                edge.ask(path)
        snapshots = [worker["snapshot"] for worker in edge.status(edge.state_dir)["workers"]]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == sum(snapshot["requests"] for snapshot in snapshots) == 2 * len(paths)
    assert sum(line["outcome"] == "miss" for line in lines) == len(paths)
    assert sum(line["outcome"] == "hit" for line in lines) == len(paths)
    assert sum(snapshot["pages"]["forwarded"] for snapshot in snapshots) == len(paths)
    assert sum(snapshot["relayed"] for snapshot in snapshots) > 0  # of 24 keys some have another home


def by_cookie(*lines: str):
    """An answer that may be shared if nobody is logged in; its body tells who was."""

    def answer(asked: Asked, line: Line) -> None:
        who = asked["cookie"]
        line.send(reply(f"for {who}".encode(), *(("Cache-Control: private",) if who else (FRESH,)), *lines))

    return answer


LOGGED_IN = "Cookie: session=1"


def test_a_visitor_who_is_logged_in_keeps_no_page_from_the_others(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(by_cookie("Vary: Cookie"))
    with edge.connect() as client:
        for _ in range(4):
            assert not client.ask(path, LOGGED_IN).hit
        eventually(lambda: client.ask(path).hit)
        asked = origin.count(path)
        for _ in range(3):
            assert client.ask(path).body == b"for None"
            assert client.ask(path, LOGGED_IN).body == b"for session=1"
        assert origin.count(path) == asked + 3


@pytest.mark.parametrize("query", ["", "?a=1"])
def test_who_comes_by_turns_keeps_no_page_from_the_store(edge: Edge, origin: WebOrigin, query: str) -> None:
    path = origin.new(by_cookie("Vary: Cookie")) + query
    with edge.connect() as client:

        def turn() -> bool:
            found = client.ask(path)
            assert found.body == b"for None"
            assert client.ask(path, LOGGED_IN).body == b"for session=1"
            return found.hit

        eventually(turn, 30)  # which of the two is looked at is left to chance
        assert turn() and turn()


def test_every_worker_learns_that_a_page_is_stored(edge3: Edge, origin: WebOrigin) -> None:
    path = origin.new(by_cookie("Vary: Cookie"))
    clients = [edge3.connect() for _ in range(12)]
    try:
        for _ in range(3):
            for client in clients:
                assert client.ask(path, LOGGED_IN).body == b"for session=1"

        def turn() -> bool:
            hits = [client.ask(path).hit for client in clients]
            assert {client.ask(path, LOGGED_IN).body for client in clients} == {b"for session=1"}
            return all(hits)

        eventually(turn, 30)

        def through_home() -> int:
            workers = edge3.status(edge3.state_dir)["workers"]
            return sum(worker["snapshot"]["relayed"] for worker in workers)

        before = through_home()
        for client in clients:
            assert client.ask(path).hit
        assert through_home() == before  # each finds it in the store by itself
    finally:
        for client in clients:
            client.sock.close()


def test_what_comes_is_looked_at_once_a_second(edge: Edge, origin: WebOrigin) -> None:
    """What is fetched for all is asked for without the condition, and can't be stored: each look at a
    response that could be costs the origin one request more."""

    def answer(asked: Asked, line: Line) -> None:
        line.send(reply(b"page", FRESH if asked["if-none-match"] else "Cache-Control: private"))

    path = origin.new(answer)
    with edge.connect() as client:
        began = time.monotonic()
        client.ask(path)
        asks = 0
        while (lasted := time.monotonic() - began) < 3.5:
            assert not client.ask(path, 'If-None-Match: "x"').hit
            asks += 1
        eventually(lambda: origin.count(path) >= 1 + asks + 2)
        assert origin.count(path) <= 1 + asks + lasted + 1


def test_what_can_never_be_stored_is_asked_for_once_by_each(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(told())
    with edge.connect() as client:
        until = time.monotonic() + 1.5
        asks = 0
        while time.monotonic() < until:
            assert client.ask(path).status == 200
            asks += 1
    assert origin.count(path) == asks
