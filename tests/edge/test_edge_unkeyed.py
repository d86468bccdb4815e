"""What a client says of itself, and no key holds, reaches no shared page."""

import socket
from pathlib import Path

import pytest

from support.edge_client import Client, Edge, serve
from support.web_origin import Asked, Line, WebOrigin, reply

STORED = "Cache-Control: max-age=1000"


def echo(asked: Asked, line: Line) -> None:
    """Tells which of the request's fields reached the origin."""
    named = ("script-name", "script_name", "path_info", "x-forwarded-port", "x-forwarded-ssl", "x-real-ip")
    heard = [f"{name}={asked[name]}" for name in (*named, "x-forwarded-proto", "x-forwarded-host")]
    line.send(reply("\n".join(heard).encode(), STORED))


@pytest.mark.parametrize(
    "hostile",
    [
        "SCRIPT_NAME: /news",  # gunicorn takes it off the path
        "Path_Info: /other",
        "X-Forwarded-Port: 1234",
        "X-Forwarded-Ssl: on",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "X-Real-IP: 6.6.6.6",
        "X_Forwarded_Proto: https",
    ],
)
def test_a_page_made_for_a_hostile_request_is_as_any_other(
    edge: Edge, origin: WebOrigin, hostile: str
) -> None:
    plain, poisoned = origin.new(echo), origin.new(echo)
    expected = edge.ask(plain).body
    assert edge.ask(poisoned, hostile).body == expected
    assert edge.ask(poisoned).body == expected
    assert edge.ask(poisoned).hit


def test_a_refusal_of_one_request_keeps_nobody_from_the_store(edge: Edge, origin: WebOrigin) -> None:
    def answer(asked: Asked, line: Line) -> None:
        line.send(reply(b"no", status="400 Bad Request") if asked["x-odd"] else reply(b"yes", STORED))

    path = origin.new(answer)
    assert edge.ask(path, "X-Odd: 1").body == b"no"
    assert edge.ask(path).body == b"yes"
    assert edge.ask(path).hit


@pytest.mark.parametrize("lines", [("Upgrade: h2c",), ("Upgrade: h2c, websocket",), ("Upgrade: foo",)])
def test_nothing_but_websocket_is_tunnelled(edge: Edge, origin: WebOrigin, lines: tuple[str, ...]) -> None:
    path = origin.new(lambda asked, line: line.send(reply(str(asked["upgrade"]).encode())))
    assert edge.ask(path, "Connection: Upgrade", *lines).body == b"None"


def test_the_scheme_that_a_trusted_proxy_tells_is_part_of_the_key(tmp_path: Path, origin: WebOrigin) -> None:
    path = origin.new(echo)
    with serve(tmp_path, origin.url, "--trust-forwarded", "127.0.0.0/8", workers=2) as edge:
        for _ in range(6):  # from the origin, from the store, and from memory; over both workers
            for scheme in ("http", "https"):
                told = edge.ask(path, f"X-Forwarded-Proto: {scheme}").body.decode()
                assert f"x-forwarded-proto={scheme}" in told
    assert origin.count(path) == 2


def stranger_to(edge: Edge) -> Client:
    """A client whose address is 127.0.0.2."""
    client = edge.connect()
    place = client.sock.getpeername()
    client.sock.close()
    client.sock = socket.create_connection(place, 20, source_address=("127.0.0.2", 0))
    return client


@pytest.mark.parametrize("more", [(), ("Cookie: a=1",)])
def test_who_is_not_trusted_gets_no_page_from_memory_that_is_for_who_is(
    tmp_path: Path, origin: WebOrigin, more: tuple[str, ...]
) -> None:
    path = origin.new(echo)
    told = "X-Forwarded-Proto: https"
    with (
        serve(tmp_path, origin.url, "--trust-forwarded", "127.0.0.1/32") as edge,
        edge.connect() as proxy,
        stranger_to(edge) as stranger,
    ):
        assert b"x-forwarded-proto=http\n" in stranger.ask(path, *more).body
        for _ in range(4):
            before = edge.snapshot()["hot"]["hits"]
            for _ in range(4):
                assert b"x-forwarded-proto=https" in proxy.ask(path, told, *more).body
            # What stood in the way of a stranger: the https page is in memory, and the fast path sends it.
            assert edge.snapshot()["hot"]["hits"] > before
            assert b"x-forwarded-proto=http\n" in stranger.ask(path, told, *more).body
            with stranger_to(edge) as another, edge.connect() as proxy_too:
                for _ in range(2):
                    assert b"x-forwarded-proto=http\n" in another.ask(path, told, *more).body
                    assert b"x-forwarded-proto=https" in proxy_too.ask(path, told, *more).body
    assert origin.count(path) == 2


def test_a_page_for_one_address_is_for_no_other(tmp_path: Path, origin: WebOrigin) -> None:
    """What the origin is told of a client's address is in no key, whatever the client says of it."""

    def answer(asked: Asked, line: Line) -> None:
        told = (asked["x-forwarded-for"] or "-").encode()
        line.send(reply(told, STORED, "Vary: Accept, X-Forwarded-For"))

    path = origin.new(answer)
    with (
        serve(tmp_path, origin.url, "--trust-forwarded", "127.0.0.1/32", workers=2) as edge,
        stranger_to(edge) as stranger,
    ):
        for forged in ("6.6.6.6", "7.7.7.7"):
            for _ in range(3):
                line = f"X-Forwarded-For: {forged}"
                assert stranger.ask(path, line).body == b"127.0.0.2"
                found = edge.ask(path, line)
                assert found.body == f"{forged}, 127.0.0.1".encode()
                assert not found.hit
    assert origin.count(path) == 12


def test_what_the_origin_never_sees_selects_nothing(edge: Edge, origin: WebOrigin) -> None:
    names = ("X-Real-IP", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Under_Score")
    path = origin.new(reply(b"page", STORED, f"Vary: {', '.join(names)}, Accept"))
    for number in range(3):
        assert edge.ask(path, *(f"{name}: {number}" for name in names)).body == b"page"
    assert origin.count(path) == 1
    assert edge.ask(path, "Accept: text/html").body == b"page"
    assert origin.count(path) == 2


def test_what_another_worker_asks_for_is_that_ones_to_count(tmp_path: Path, origin: WebOrigin) -> None:
    """Also where the answer is in memory."""
    path = origin.new(lambda asked, line: line.send(reply(b"x", STORED)))
    with serve(tmp_path, origin.url) as edge, edge.connect() as client:
        for _ in range(4):
            client.ask(path, host="127.0.0.1")
        before = edge.snapshot()
        assert before["hot"]["hits"] > 0
        (place,) = edge.state_dir.rglob("workers/0.sock")
        with Client(f"unix:{place}") as peer:
            for number in range(4):
                found = peer.ask(path, f"Uncork-Peer: 192.0.2.{number}", host="127.0.0.1")
                assert found.hit and found["uncork-outcome"] == "hit"
        assert edge.snapshot()["requests"] == before["requests"]


def test_an_empty_line_after_a_request_is_no_head_that_takes_too_long(
    tmp_path: Path, origin: WebOrigin
) -> None:
    path = origin.new(lambda asked, line: line.send(reply(b"x", STORED)))
    with serve(tmp_path, origin.url, "--head-timeout", "1s") as edge, edge.connect() as client:
        for _ in range(3):
            client.ask(path)
        client.request(path)
        client.send(b"\r\n")
        client.reply()
        # A second connection's head really is overdue: when it is told so, this one's would be as well.
        with edge.connect() as slow:
            slow.send(b"GET / HTTP/1.1\r\n")
            assert slow.reply().status == 408
        assert client.ask(path).status == 200
        assert client.ask(path).status == 200
