"""Requests over real connections to a real worker: one after another, many at once, broken, too large."""

import socket
import time
from pathlib import Path

import pytest

from support.edge_client import Client, Edge, eventually, head, serve
from support.web_origin import Line, WebOrigin, reply

PLAIN = reply(b"plain", "Cache-Control: no-store")


def test_a_connection_serves_one_request_after_another(edge: Edge, origin: WebOrigin) -> None:
    """Files, misses, hits, hits from memory and passed requests share a connection. Source: RFC 9112 §9.3"""
    path = origin.new(reply(b"page", "Cache-Control: max-age=60"))
    passed = origin.new(PLAIN)
    with edge.connect() as client:
        for turn in range(4):
            assert client.ask(path).hit is (turn > 0)
            assert client.ask(passed).body == b"plain"
            assert client.ask("/files/small.txt").body == b"small file\n" * 20
            assert client.ask("/nothing-here").status == 404
            assert client.ask(path, method="POST", content=b"data").status == 200
            assert client.ask(path).cache.startswith("Uncork; fwd=")
            assert len(client.ask("/files/large.bin").body) == 8 << 20


def test_pipelined_requests_are_answered_in_order(edge: Edge, origin: WebOrigin) -> None:
    """Of every kind, in one write and byte by byte. Source: RFC 9112 §9.3.2"""
    page = origin.new(reply(b"page", "Cache-Control: max-age=60"))
    slow = origin.new(PLAIN)
    echo = origin.new(lambda asked, line: line.send(reply(asked.content)))
    edge.ask(page)
    requests = [
        (head("Host: h", path=page), b"page"),
        (head("Host: h", path=slow), b"plain"),
        (head("Host: h", "Content-Length: 5", path=echo, method="POST") + b"hello", b"hello"),
        (head("Host: h", path=page), b"page"),
        (
            head("Host: h", "Transfer-Encoding: chunked", path=echo, method="POST")
            + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            b"abcde",
        ),
        (head("Host: h", path="/files/small.txt"), b"small file\n" * 20),
        (b"\r\n" + head("Host: h", "Cookie: a=b", path=page), b"page"),
    ]
    everything = b"".join(request for request, _ in requests) * 3
    with edge.connect() as client:
        client.send(everything)
        for _, body in requests * 3:
            assert client.reply().body == body
    with edge.connect() as client:
        for at in range(len(everything) // 3):
            client.send(everything[at : at + 1])
        for _, body in requests:
            assert client.reply().body == body


def test_thousands_of_pipelined_requests(edge: Edge, origin: WebOrigin) -> None:
    """As many as come in one read; each answer comes once."""
    page = origin.new(reply(b"page", "Cache-Control: max-age=60"))
    edge.ask(page)
    count = 3000
    with edge.connect() as client:
        client.send(
            b"".join(b"GET %s?%d HTTP/1.1\r\nHost:h\r\n\r\n" % (b"/files/small.txt", i) for i in range(count))
        )
        client.send(head("Host: h", "Connection: close", path=page))
        for _ in range(count):
            assert client.reply().status == 200
        assert client.reply().body == b"page"
        assert client.ended()


def test_content_that_comes_after_much_that_was_sent_ahead(edge: Edge, origin: WebOrigin) -> None:
    """What is sent ahead is left unread from some point on; it is read again when it is wanted."""
    echo = origin.new(lambda asked, line: line.send(reply(b"%d" % len(asked.content))))
    waiting = origin.new(lambda asked, line: (eventually(lambda: arrived), line.send(PLAIN)))
    arrived: list[bool] = []
    upload = bytes(400_000)
    post = head("Host: h", f"Content-Length: {len(upload)}", path=echo, method="POST")
    for early in (1, 256 * 1024 - len(post) + 1, 300_000):
        arrived.clear()
        with edge.connect() as client:
            client.send(head("Host: h", path=waiting) + post + upload[:early])
            arrived.append(True)
            assert client.reply().body == b"plain"
            client.send(upload[early:])
            assert client.reply().body == b"400000"


def test_head_is_get_without_content(edge: Edge, origin: WebOrigin) -> None:
    """Source: RFC 9110 §9.3.2"""
    page = origin.new(reply(b"page", "Cache-Control: max-age=60", "X-Own: 1"))
    with edge.connect() as client:
        for path in (page, "/files/small.txt", "/files/large.bin", "/nothing-here", "/files/nothing"):
            for turn in range(3):
                got = client.ask(path)
                asked = client.ask(path, method="HEAD")
                assert asked.status == got.status
                assert asked["content-length"] == str(len(got.body)), (path, turn)
                changing = ("date", "age", "cache-status", "via")
                assert [x for x in asked.lines if x[0] not in changing] == [
                    x for x in got.lines if x[0] not in changing
                ]


def test_head_of_an_error_page(edge: Edge, origin: WebOrigin) -> None:
    broken = origin.new(b"what is this\r\n\r\n")
    with edge.connect() as client:
        found = client.ask(broken, method="HEAD")
        assert found.status == 502 and int(found["content-length"] or 0) > 100
        assert client.ask("/files/small.txt").status == 200


def test_head_of_a_page_that_has_to_be_fetched_again(edge: Edge, origin: WebOrigin) -> None:
    """A stale page is renewed by a GET, whose content a HEAD must not get."""
    page = origin.new(reply(b"old", "Cache-Control: max-age=0", 'ETag: "1"'))
    with edge.connect() as client:
        assert client.ask(page).body == b"old"
        # One that came while the page was on its way may be passed on as it is: HEAD gets no content.
        origin.at(page, lambda asked, line: _drip(line, b"new content" if asked.method == "GET" else None))
        for _ in range(3):
            found = client.ask(page, method="HEAD")
            assert found.status == 200
        assert client.ask("/files/small.txt").body == b"small file\n" * 20


def _drip(line: Line, body: bytes | None) -> None:
    line.send(
        b'HTTP/1.1 200 OK\r\nCache-Control: max-age=0\r\nETag: "2"\r\nTransfer-Encoding: chunked\r\n\r\n'
    )
    if body is None:
        return
    for i in range(len(body)):
        line.send(b"1\r\n%s\r\n" % body[i : i + 1])
    line.send(b"0\r\n\r\n")


def test_options_of_the_whole_server(edge: Edge) -> None:
    """Source: RFC 9110 §9.3.7"""
    with edge.connect() as client:
        for path in ("*", "http://h"):
            found = client.ask(path, method="OPTIONS")
            assert found.status == 204 and found["allow"] is not None


def test_trace_and_connect_are_not_for_us(edge: Edge) -> None:
    """Source: RFC 9110 §9.3.6, §9.3.8"""
    assert edge.ask("/", method="TRACE").status == 405
    assert edge.ask("h:80", method="CONNECT").status == 501


def test_the_absolute_form_wins_over_host(edge: Edge, origin: WebOrigin) -> None:
    """Source: RFC 9112 §3.2.2"""
    path = origin.new(
        lambda asked, line: line.send(reply((asked["host"] or "").encode(), "Cache-Control: max-age=60"))
    )
    with edge.connect() as client:
        for _ in range(3):
            assert client.ask(f"http://Other:80{path}", host="h").body == b"other"
            assert client.ask(path, host="h").body == b"h"
            assert client.ask(path, host="other").body == b"other"
        assert client.ask(f"ftp://other{path}").status == 400


def test_a_host_is_needed_and_one_only(edge: Edge) -> None:
    """Source: RFC 9112 §3.2"""
    for lines in (
        (),
        ("Host: a", "Host: a"),
        ("Host: a", "Host: b"),
        ("Host: a b",),
        ("Host: a/b",),
        ("Host: a,b",),
    ):
        for _ in range(3):
            with edge.connect() as client:
                client.send(head(*lines, path="/files/small.txt"))
                assert client.reply().status == 400, lines
                assert client.ended()


@pytest.mark.parametrize("lines", [("1.0",), ("1.0", "Host:"), ("1.1", "Host:")])
def test_a_request_that_names_no_host_is_for_the_address_it_came_to(
    edge: Edge, origin: WebOrigin, tmp_path: Path, lines: tuple[str, ...]
) -> None:
    """So a site that knows its address answers a plain health check. Source: RFC 9110 §7.2, RFC 9112 §3.3"""
    version, *fields = lines
    path = origin.new(lambda asked, line: line.send(reply(f"{asked['host']}".encode())))
    with edge.connect() as client:
        client.send(head(*fields, path=path, version=version))
        assert client.reply().body == edge.address.encode()
        assert origin.last(path)["x-forwarded-host"] == edge.address
    with edge.connect() as client:
        for _ in range(4 if version == "1.1" else 1):  # a memo may be made of it
            client.send(head(*fields, path=path, version=version))
            assert client.reply().body == edge.address.encode()
    with serve(tmp_path, origin.url, bind=f"unix:{tmp_path}/s"), Client(f"unix:{tmp_path}/s") as client:
        client.send(head(*fields, path=path, version=version))
        assert client.reply().body == b"localhost"


def test_http_1_0(edge: Edge, origin: WebOrigin) -> None:
    """Source: RFC 9112 §9.3, appendix C.2"""
    page = origin.new(reply(b"page", "Cache-Control: max-age=60"))
    stream = origin.new(lambda asked, line: _drip(line, b"in pieces"))
    for lines in ((), ("Host: h",)):
        for path, body in (
            (page, b"page"),
            (stream, b"in pieces"),
            ("/files/small.txt", b"small file\n" * 20),
        ):
            for _ in range(2):
                with edge.connect() as client:
                    client.send(head(*lines, path=path, version="1.0"))
                    found = client.reply()
                    assert found.body == body and found["connection"] == "close"
                    assert found["transfer-encoding"] is None
                    assert client.ended()
    with edge.connect() as client:
        for _ in range(3):
            client.send(head("Host: h", "Connection: Keep-Alive", path=page, version="1.0"))
            found = client.reply()
            assert found.body == b"page" and found["connection"] == "keep-alive"


@pytest.mark.parametrize("path", ["page", "passed", "/files/small.txt", "/files/large.bin", "/files/none"])
def test_connection_close(edge: Edge, origin: WebOrigin, path: str) -> None:
    """Source: RFC 9112 §9.6"""
    if path in ("page", "passed"):
        path = origin.new(reply(b"x", f"Cache-Control: {'max-age=60' if path == 'page' else 'no-store'}"))
    for _ in range(4):
        with edge.connect() as client:
            found = client.ask(path, "Connection: close")
            assert found["connection"] == "close"
            assert client.ended()


MALFORMED = [
    (b"GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: h\r\nX: \0\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: h\n\n", 400),
    (b"GET / HTTP/1.1\r\nHost: h\n\r\n\r\n", 400),
    (b"GET /\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 400),
    (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
    (b"GET /" + b"a" * 40000, 414),
    (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 40000, 431),
    (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: a\r\n" * 120 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"Cookie: a\r\n" * 120 + b"\r\n", 431),
    (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
    (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 200-maybe\r\n\r\n", 417),
    (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
]


@pytest.mark.parametrize(("data", "status"), MALFORMED)
def test_what_is_malformed_is_answered_and_the_connection_closed(
    edge: Edge, data: bytes, status: int
) -> None:
    """The answer can be read although the client has sent more than was read. Exactly one comes."""
    for ahead in (b"", head("Host: h", path="/files/small.txt")):
        with edge.connect() as client:
            client.send(ahead + data + b"more that nobody wants" * 1000)
            if ahead:
                assert client.reply().status == 200
            found = client.reply()
            assert found.status == status
            assert found["connection"] == "close" and b"<h1>" in found.body
            assert client.ended()


def test_limits_hold_whatever_was_seen_before(edge: Edge, origin: WebOrigin) -> None:
    """The head's limits are the same for a head of a known block whose answer is ready."""
    page = origin.new(reply(b"page", "Cache-Control: max-age=60"))
    for path in (page, "/files/small.txt"):
        with edge.connect() as client:
            for _ in range(4):
                assert client.ask(path, "Cookie: a=b").status == 200
        for lines in (["Cookie: a=b"] * 120, ["Cookie: " + "a" * 40_000]):
            with edge.connect() as client:
                for _ in range(2):
                    assert client.ask(path, "Cookie: a=b").status == 200
                assert client.ask(path, *lines).status == 431
                assert client.ended()


def test_a_head_in_pieces_is_given_up_after_its_time(edge: Edge) -> None:
    """Source: RFC 9110 §15.5.9"""
    with edge.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHo")
        assert client.reply().status == 408
        assert client.ended()


def test_content_that_stops_is_given_up_after_its_time(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(PLAIN)
    with edge.connect() as client:
        client.send(head("Host: h", "Content-Length: 10", path=path, method="POST") + b"12345")
        assert client.reply().status == 408
        assert client.ended()


def test_a_chunked_upload_beyond_the_limit(tmp_path: Path, origin: WebOrigin) -> None:
    """Source: RFC 9110 §15.5.14"""
    path = origin.new(PLAIN)
    with serve(tmp_path, origin.url, "--body-bytes", "100KiB") as edge, edge.connect() as client:
        client.send(head("Host: h", "Transfer-Encoding: chunked", path=path, method="POST"))
        for _ in range(20):
            client.send(b"2000\r\n" + bytes(0x2000) + b"\r\n")
        assert client.reply().status == 413
        assert client.ended()
        assert edge.ask(path, method="POST", content=bytes(100 << 10)).status == 200
        assert edge.ask(path, method="POST", content=bytes((100 << 10) + 1)).status == 413


def test_an_idle_connection_is_closed_without_a_word(tmp_path: Path, origin: WebOrigin) -> None:
    with serve(tmp_path, origin.url, "--idle-timeout", "1s") as edge, edge.connect() as client:
        client.ask("/x")
        assert client.ended()


def test_beyond_the_limit_of_connections(tmp_path: Path, origin: WebOrigin) -> None:
    """One more gets a page that says so, and those that are open go on."""
    with serve(tmp_path, origin.url, "--connections", "3") as edge:
        path = origin.new(PLAIN)
        clients = [edge.connect() for _ in range(3)]
        for client in clients:
            assert client.ask(path).status == 200
        for _ in range(5):
            with edge.connect() as late:
                found = late.ask(path)
                assert found.status == 503 and found["connection"] == "close"
                assert found["retry-after"] is not None and b"<h1>" in found.body
                assert late.ended()
        for client in clients:
            assert client.ask(path).status == 200
            client.sock.close()
        eventually(lambda: edge.ask(path).status == 200)


def test_a_unix_socket(tmp_path: Path, origin: WebOrigin) -> None:
    path = origin.new(reply(b"page", "Cache-Control: max-age=60"))
    with (
        serve(tmp_path, origin.url, bind=f"unix:{tmp_path}/s") as edge,
        Client(f"unix:{tmp_path}/s") as client,
    ):
        assert [client.ask(path).body for _ in range(3)] == [b"page"] * 3
        # Who is behind it has no address to tell of.
        client.ask(path, "X-Forwarded-For: 6.6.6.6", method="POST")
        asked = origin.last(path)
        assert asked["x-forwarded-for"] is None and asked["x-forwarded-host"] == "h"
        client.request(path)
        client.sock.shutdown(socket.SHUT_WR)
        assert client.reply().body == b"page"
        assert client.ended()
        assert edge.address


def test_what_connection_names_is_for_us_alone(edge: Edge, origin: WebOrigin) -> None:
    """Named fields are removed before anything is decided: the store must not take an answer to other
    fields than those that select it. But no client can take the framing away from its content.
    Source: RFC 9110 §7.6.1, RFC 9112 §6"""
    echo = origin.new(
        lambda asked, line: line.send(
            reply(
                (asked["accept-language"] or "-").encode(),
                "Cache-Control: max-age=60",
                "Vary: Accept-Language",
            )
        )
    )
    with edge.connect() as client:
        lines = ("Accept-Language: de", "Connection: accept-language")
        assert client.ask(echo, *lines).body == b"-"
        assert client.ask(echo, "Accept-Language: de").body == b"de"
        assert client.ask(echo, *lines).body == b"-"
    post = origin.new(lambda asked, line: line.send(reply(asked.content)))
    smuggled = head("Host: h", path="/smuggled")
    for name in ("content-length", "Content-Length, host, x"):
        found = edge.ask(post, f"Connection: {name}", method="POST", content=smuggled)
        assert found.status == 400 or found.body == smuggled
    with edge.connect() as client:
        client.send(
            head(
                "Host: h",
                "Connection: transfer-encoding",
                "Transfer-Encoding: chunked",
                path=post,
                method="POST",
            )
            + b"3\r\nabc\r\n0\r\n\r\n"
        )
        assert client.reply().body == b"abc"
    assert origin.count("/smuggled") == 0


def test_what_the_origin_is_told_about_the_client(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(PLAIN)
    edge.ask(
        path,
        *(
            "X-Forwarded-For: 6.6.6.6",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: evil",
            "uncork-peer: 6.6.6.6",
        ),
        *(
            "TE: trailers",
            "Keep-Alive: 5",
            "Proxy-Connection: x",
            "Upgrade: h2c",
            "X-Own: yes",
            "Expect: 100-continue",
        ),
        host="Example.ORG:80",
    )
    asked = origin.last(path)
    assert asked["host"] == asked["x-forwarded-host"] == "example.org"
    assert asked["x-forwarded-for"] == "127.0.0.1" and asked["x-forwarded-proto"] == "http"
    assert asked["x-own"] == "yes"
    for name in ("te", "keep-alive", "proxy-connection", "upgrade", "expect", "uncork-peer", "connection"):
        assert asked[name] is None, name


def test_empty_lines_before_a_request_are_ignored(edge: Edge) -> None:
    """Source: RFC 9112 §2.2"""
    small = head("Host: h", path="/files/small.txt")
    with edge.connect() as client:
        for lines in (b"", b"\r\n", b"\r\n" * 100_000, b"", b"\r\n"):
            for data in (lines, small):
                client.send(data)
            assert client.reply().status == 200


def test_empty_lines_keep_no_connection_open(tmp_path: Path, origin: WebOrigin) -> None:
    with serve(tmp_path, origin.url, "--idle-timeout", "1s") as edge, edge.connect() as client:
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - began < 20:
                client.send(b"\r\n")
                time.sleep(0.05)
        assert client.seen == b""


def test_a_head_has_its_time_from_its_first_byte_on(tmp_path: Path, origin: WebOrigin) -> None:
    """An empty line before it is none."""
    with (
        serve(tmp_path, origin.url, "--head-timeout", "2s") as edge,
        edge.connect() as slow,
        edge.connect() as late,
    ):
        late.send(b"\r\n")
        slow.send(b"GET / HTTP/1.1\r\n")
        assert slow.reply().status == 408
        late.send(b"GET / HTTP/1.1\r\n")
        late.sock.settimeout(1.2)  # the edge looks once a second for what is overdue
        with pytest.raises(TimeoutError):
            late.sock.recv(1)
        late.sock.settimeout(20)
        late.send(b"Host: h\r\n\r\n")
        assert late.reply().status == 404
