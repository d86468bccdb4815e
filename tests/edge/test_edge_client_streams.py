"""What lasts: uploads, downloads, upgrades, events; and what becomes of them when one side leaves."""

import hashlib
import json
import socket
import threading
from pathlib import Path

import pytest

from support.edge_client import Client, Edge, descriptors, eventually, head, resident_kib, serve
from support.web_origin import Asked, Line, WebOrigin, reply

NO_STORE = "Cache-Control: no-store"
MIB = 1 << 20


def digest_of(asked: Asked, line: Line) -> None:
    line.send(reply(hashlib.sha256(asked.content).hexdigest().encode(), NO_STORE))


def test_expect_100_continue(edge: Edge, origin: WebOrigin) -> None:
    """The content is asked for when it is wanted, and not asked for when it came anyway.
    Source: RFC 9110 §10.1.1"""
    path = origin.new(digest_of)
    wanted = hashlib.sha256(b"hello").hexdigest().encode()
    with edge.connect() as client:
        for _ in range(2):
            client.send(head("Host: h", "Expect: 100-continue", "Content-Length: 5", path=path, method="PUT"))
            assert client.head().status == 100
            client.send(b"hello")
            assert client.reply().body == wanted
        client.send(
            head("Host: h", "Expect: 100-Continue", "Content-Length: 5", path=path, method="PUT") + b"hello"
        )
        assert client.reply().body == wanted
        # No content, and HTTP/1.0: no interim response
        client.send(head("Host: h", "Expect: 100-continue", path="/files/small.txt"))
        assert client.reply().interim == []
        client.send(
            head(
                "Host: h", "Expect: 100-continue", "Content-Length: 5", path=path, method="PUT", version="1.0"
            )
            + b"hello"
        )
        found = client.reply()
        assert found.interim == [] and found.body == wanted
        assert client.ended()


def test_content_nobody_wants_is_not_asked_for(edge: Edge) -> None:
    """A final answer instead of 100: the client needn't send. Source: RFC 9110 §10.1.1"""
    with edge.connect() as client:
        lines = ("Host: h", "Expect: 100-continue", "Content-Length: 5000000")
        client.send(head(*lines, path="/files/small.txt", method="POST"))
        found = client.reply()
        assert found.interim == [] and found.status == 405
        assert found["connection"] == "close"
        assert client.ended()


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_arrives_as_it_was_sent(
    edge: Edge, streaming: Edge, origin: WebOrigin, chunked: bool
) -> None:
    for one in (edge, streaming):
        asked = upload(one, origin, chunked)
        assert (asked["transfer-encoding"] is not None) is (chunked and one is streaming)
        assert asked["trailer"] is None


def upload(edge: Edge, origin: WebOrigin, chunked: bool) -> Asked:
    path = origin.new(digest_of)
    content = bytes(range(256)) * (16 * MIB // 256)
    with edge.connect() as client:
        if chunked:
            client.send(head("Host: h", "Transfer-Encoding: chunked", path=path, method="POST"))
            for at in range(0, len(content), 100_000):
                piece = content[at : at + 100_000]
                client.send(b"%X;ext=1\r\n%s\r\n" % (len(piece), piece))
            client.send(b"0\r\nTrailer: x\r\n\r\n")
        else:
            client.send(
                head("Host: h", f"Content-Length: {len(content)}", path=path, method="POST") + content
            )
        assert client.reply().body == hashlib.sha256(content).hexdigest().encode()
        asked = origin.last(path)
        assert client.ask(path, method="POST").status == 200
        return asked


def test_an_upload_waits_for_a_slow_origin(streaming: Edge, origin: WebOrigin) -> None:
    """Back-pressure: what the origin doesn't read stays with the client, not in our memory."""
    go = threading.Event()
    read: list[int] = []

    def slow(asked: Asked, line: Line) -> None:
        go.wait(20)
        left = int(asked["content-length"] or "0")
        while left:
            left -= len(line.some())
        read.append(left)
        line.send(reply(b"done", NO_STORE))

    path = origin.new(slow, lazy=True)
    quick = origin.new(reply(b"quick", NO_STORE))
    (pid,) = streaming.workers()
    size = 60 * MIB
    with streaming.connect() as client:
        before = resident_kib(pid)
        client.send(head("Host: h", f"Content-Length: {size}", path=path, method="POST"))
        client.sock.settimeout(1.0)
        sent = 0
        block = bytes(MIB)
        with pytest.raises(TimeoutError):
            while sent < size:
                sent += client.sock.send(block[: size - sent])
        assert sent < 40 * MIB
        assert resident_kib(pid) - before < 8 * 1024
        assert streaming.ask(quick).status == 200
        client.sock.settimeout(20)
        go.set()
        while sent < size:
            sent += client.sock.send(block[: size - sent])
        assert client.reply().body == b"done"
        assert resident_kib(pid) - before < 16 * 1024


def test_an_answer_before_the_end_of_an_upload(streaming: Edge, origin: WebOrigin) -> None:
    """It reaches the client, which is still sending, and is not lost in a reset. Source: RFC 9112 §9.6"""

    def early(asked: Asked, line: Line) -> str:
        line.send(reply(b"too much", NO_STORE, "Connection: close", status="413 Content Too Large"))
        line.sock.shutdown(socket.SHUT_WR)
        line.closed()
        return "close"

    path = origin.new(early, lazy=True)
    with streaming.connect() as client:
        client.send(head("Host: h", f"Content-Length: {4 * MIB}", path=path, method="POST") + bytes(100_000))
        found = client.reply()
        assert (found.status, found.body, found["connection"]) == (413, b"too much", "close")
        client.send(bytes(100_000))
        assert client.ended()


def test_both_ways_at_once(streaming: Edge, origin: WebOrigin) -> None:
    """An origin that answers each piece of an upload as it comes."""

    def echo(asked: Asked, line: Line) -> None:
        line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: no-store\r\n\r\n")
        left = int(asked["content-length"] or "0")
        while left:
            data = line.some()
            left -= len(data)
            line.send(b"%x\r\n%s\r\n" % (len(data), data))
        line.send(b"0\r\n\r\n")

    path = origin.new(echo, lazy=True)
    with streaming.connect() as client:
        client.send(head("Host: h", "Content-Length: 5", path=path, method="POST"))
        assert client.head().status == 200
        for i in range(5):
            client.send(b"%d" % i)
            assert client.chunk() == b"%d" % i
        assert client.chunk() == b""


def test_events_come_as_they_are_sent(edge: Edge, edge3: Edge, origin: WebOrigin) -> None:
    """Server-sent events: each arrives before the next one is sent."""
    turn: list[threading.Event] = []

    def events(asked: Asked, line: Line) -> None:
        line.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n")
        line.send(b"Transfer-Encoding: chunked\r\n\r\n")
        for i, event in enumerate(turn):
            assert event.wait(20)
            line.send(b"9\r\ndata: %d\n\n\r\n" % i)
        line.send(b"0\r\n\r\n")

    path = origin.new(events)
    for one in (edge, edge3):
        for _ in range(2):
            turn[:] = [threading.Event() for _ in range(5)]
            with one.connect() as client:
                client.request(path, "Accept: text/event-stream")
                assert client.head()["content-type"] == "text/event-stream"
                for i, event in enumerate(turn):
                    event.set()
                    assert client.chunk() == b"data: %d\n\n" % i
                assert client.chunk() == b""


def upgrade(asked: Asked, line: Line) -> str:
    assert asked["connection"] == "upgrade" and asked["upgrade"] == "websocket"
    line.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        b"X-Own: 1\r\n\r\nfirst",
    )
    while data := line.some():
        line.send(data.upper())
    line.send(b"bye")
    return "close"


UPGRADE = ("Connection: keep-alive, Upgrade", "Upgrade: websocket")


def test_an_upgrade_is_passed_through(edge: Edge, origin: WebOrigin) -> None:
    """After the 101, bytes go both ways until both have ended. Source: RFC 9110 §7.8"""
    path = origin.new(upgrade)
    with edge.connect() as client:
        client.request(path, *UPGRADE)
        found = client.head()
        assert found.status == 101 and found["upgrade"] == "websocket" and found["x-own"] == "1"
        assert (found["connection"] or "").lower() == "upgrade"
        assert client.exactly(5) == b"first"
        for i in range(10):
            client.send(b"ping %d" % i)
            assert client.exactly(6) == b"PING %d" % i
        sent = bytes(range(97, 123)) * 40_000
        sender = threading.Thread(target=client.send, args=(sent,))
        sender.start()
        assert client.exactly(len(sent)) == sent.upper()
        sender.join()
        client.sock.shutdown(socket.SHUT_WR)
        assert client.rest() == b"bye"


def test_an_upgrade_that_is_refused_is_an_answer(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(reply(b"no", NO_STORE, status="426 Upgrade Required"))
    with edge.connect() as client:
        for _ in range(2):
            assert client.ask(path, *UPGRADE).status == 426


def test_either_end_of_a_tunnel_may_leave(edge: Edge, origin: WebOrigin) -> None:
    left: list[bool] = []

    def silent(asked: Asked, line: Line) -> str:
        line.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        left.append(line.closed())
        return "close"

    def leaves(asked: Asked, line: Line) -> str:
        line.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nlast"
        )
        return "close"

    path = origin.new(silent)
    for leave in (Client.reset, lambda client: client.sock.close()):
        left.clear()
        client = edge.connect()
        client.request(path, *UPGRADE)
        assert client.head().status == 101
        leave(client)
        eventually(lambda: left)
    with edge.connect() as client:
        client.request(origin.new(leaves), *UPGRADE)
        assert client.head().status == 101
        assert client.rest() == b"last"


def test_a_response_before_the_response(edge: Edge, origin: WebOrigin) -> None:
    """Source: RFC 8297"""
    path = origin.new(
        lambda asked, line: line.send(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n", reply(b"page", NO_STORE)
        )
    )
    edge.ask(path)  # the first is fetched for whoever asks, and can't know of it
    assert edge.ask(path).interim == [103]


def test_half_closed_clients_get_their_answer(edge: Edge, origin: WebOrigin) -> None:
    """`printf … | nc`: the end of what a client sends is not the end of the client. Source: RFC 9112 §9.6"""
    page = origin.new(reply(b"page", "Cache-Control: max-age=60"))
    slow = origin.new(lambda asked, line: (threading.Event().wait(0.3), line.send(reply(b"slow", NO_STORE))))
    echo = origin.new(lambda asked, line: line.send(reply(asked.content, NO_STORE)))
    requests = [
        (head("Host: h", path=slow), [b"slow"]),
        (head("Host: h", path=page), [b"page"]),
        (head("Host: h", path=page), [b"page"]),
        (head("Host: h", "Content-Length: 3", path=echo, method="POST") + b"abc", [b"abc"]),
        (head("Host: h", path=slow) + head("Host: h", path=page) + b"GET / HT", [b"slow", b"page"]),
        (head("Host: h", path="/files/large.bin"), [bytes(range(256)) * 4096 * 8]),
        (head("Host: h", path=slow) * 3, [b"slow"] * 3),
    ]
    for data, bodies in requests:
        with edge.connect() as client:
            client.send(data)
            client.sock.shutdown(socket.SHUT_WR)
            for body in bodies:
                assert client.reply().body == body
            assert client.ended()


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nHost", b"\r\n", b"POST / HTTP/1.1\r\n"])
def test_an_end_before_a_request(edge: Edge, data: bytes) -> None:
    with edge.connect() as client:
        client.send(data)
        client.sock.shutdown(socket.SHUT_WR)
        assert client.ended()


def test_an_end_in_the_middle_of_an_upload(streaming: Edge, origin: WebOrigin) -> None:
    """The origin must not take what came for all there is."""
    over: list[str] = []

    def wait(asked: Asked, line: Line) -> str:
        try:
            line.content(asked)
            over.append("whole")
        except (EOFError, OSError):
            over.append("broken off")
        return "close"

    path = origin.new(wait, lazy=True)
    for lines, content in (
        (["Content-Length: 10"], b"12345"),
        (["Transfer-Encoding: chunked"], b"3\r\nabc\r\n"),
    ):
        over.clear()
        with streaming.connect() as client:
            client.send(head("Host: h", *lines, path=path, method="POST") + content)
            client.sock.shutdown(socket.SHUT_WR)
            assert client.ended()
        eventually(lambda: over)
        assert over == ["broken off"]


def test_a_slow_reader_keeps_nobody_waiting(edge: Edge, origin: WebOrigin) -> None:
    """Neither of a file nor of a response of the origin; and what it doesn't read is not in memory."""
    size = 40 * MIB
    huge = origin.new(lambda asked, line: line.send(reply(bytes(size), NO_STORE)))
    (pid,) = edge.workers()
    before = resident_kib(pid)
    slow = [edge.connect() for _ in range(10)]
    for i, client in enumerate(slow):
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 131072)
        client.request(huge if i % 2 else "/files/large.bin")
        assert client.head().status == 200
    with edge.connect() as fast:
        for _ in range(50):
            assert fast.ask("/files/small.txt").status == 200
    assert resident_kib(pid) - before < 30 * 1024
    assert len(slow[0].exactly(8 * MIB)) == 8 * MIB
    assert len(slow[1].exactly(size)) == size
    for client in slow:
        client.sock.close()


def test_pieces_of_any_size_arrive_whole(edge: Edge) -> None:
    """Partial sends: a reader with a small window gets every byte of a file, once."""
    wanted = bytes(range(256)) * 4096 * 8
    with edge.connect() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 131072)
        client.request("/files/large.bin")
        client.request("/files/small.txt")
        client.request("/files/large.bin", "Range: bytes=1-3,100-5000000")
        assert client.reply().body == wanted
        assert client.reply().body == b"small file\n" * 20
        parts = client.reply()
        assert parts.status == 206 and wanted[100:5000001] in parts.body


def test_a_client_that_leaves_is_forgotten(edge: Edge, origin: WebOrigin) -> None:
    """Files are closed, and what the origin still does for nobody is given up."""
    huge = origin.new(lambda asked, line: line.send(reply(bytes(20 * MIB), NO_STORE)))
    (pid,) = edge.workers()
    for _ in range(5):  # the origin's connections, the thread, and whatever else is made once
        edge.ask("/files/large.bin")
        edge.ask(huge)
    edge.ask("/files/small.txt")
    eventually(lambda: edge.snapshot()["connections"] == 0)
    before = descriptors(pid)
    memory = resident_kib(pid)
    for turn in range(60):
        client = edge.connect()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 131072)
        client.request(huge if turn % 3 == 0 else "/files/large.bin")
        client.head()
        if turn % 2:
            client.reset()
        else:
            client.sock.close()
    eventually(lambda: edge.snapshot()["connections"] == 0)
    eventually(lambda: descriptors(pid) <= before + 2)
    assert resident_kib(pid) - memory < 20 * 1024


@pytest.mark.parametrize("workers", [1, 3])
def test_a_client_that_leaves_while_the_origin_thinks(
    edge: Edge, edge3: Edge, origin: WebOrigin, workers: int
) -> None:
    """What is asked for it alone is given up at the origin, too."""
    one = edge if workers == 1 else edge3
    began = threading.Semaphore(0)
    given_up: list[bool] = []

    def think(asked: Asked, line: Line) -> str:
        began.release()
        given_up.append(line.closed())
        return "close"

    path = origin.new(think)
    for lines, method in (((), "POST"), (("Authorization: Basic eDp5",), "GET")):
        given_up.clear()
        client = one.connect()
        client.request(path, *lines, method=method)
        assert began.acquire(timeout=20)
        client.reset()
        eventually(lambda: given_up)


def test_a_client_of_a_unix_socket_that_leaves(tmp_path: Path, origin: WebOrigin) -> None:
    """There, unlike with TCP, a close can be told from the end of what is sent."""
    given_up: list[bool] = []
    began = threading.Semaphore(0)

    def think(asked: Asked, line: Line) -> str:
        began.release()
        given_up.append(line.closed())
        return "close"

    path = origin.new(think)
    with serve(tmp_path, origin.url, bind=f"unix:{tmp_path}/s") as edge:
        client = Client(f"unix:{tmp_path}/s")
        client.request(path, method="POST")
        assert began.acquire(timeout=20)
        client.sock.close()
        eventually(lambda: given_up)
        assert edge.snapshot()["connections"] == 0


def test_what_is_sent_ahead_of_an_endless_answer_is_bounded(edge: Edge, origin: WebOrigin) -> None:
    """A client that goes on sending requests while it reads an answer slowly fills nobody's memory."""
    stop = threading.Event()

    def endless(asked: Asked, line: Line) -> str:
        line.send(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n")
        while not stop.is_set():
            line.send(bytes(65536))
        return "close"

    path = origin.new(endless)
    (pid,) = edge.workers()
    before = resident_kib(pid)
    with edge.connect() as client:
        client.request(path)
        client.head()
        client.sock.settimeout(0.05)
        ahead = b"GET /files/small.txt HTTP/1.1\r\nHost: h\r\n\r\n" * 4000
        sent = read = 0
        while read < 60 * MIB:
            try:
                sent += client.sock.send(ahead[sent % 41 :])
            except TimeoutError:
                pass
            read += len(client.sock.recv(MIB))
        stop.set()
    assert resident_kib(pid) - before < 16 * 1024


def test_who_leaves_before_the_end_is_in_the_log(tmp_path: Path, origin: WebOrigin) -> None:
    """With what was sent, and 499 where that was nothing, as nginx has it."""
    waits, go = threading.Semaphore(0), threading.Event()

    def think(asked: Asked, line: Line) -> str:
        waits.release()
        line.closed()
        return "close"

    def begin(asked: Asked, line: Line) -> str:
        line.send(reply(bytes(100), NO_STORE)[:-10])
        waits.release()
        go.wait(20)
        return "close"

    thinks, begins = origin.new(think), origin.new(begin)
    huge = origin.new(lambda asked, line: (line.send(reply(bytes(30 * MIB), NO_STORE)), waits.release()))
    log = tmp_path / "access.log"
    with serve(tmp_path, origin.url, "--access-log", str(log), "--access-log-format", "json") as edge:

        def entry(number: int) -> tuple[object, ...]:
            eventually(lambda: log.exists() and log.read_text().count("\n") >= number)
            *_, last = log.read_text().splitlines()
            found = json.loads(last)
            return found["request"].split()[1], found["status"], found["bytes"], found["outcome"]

        def ask(path: str, *lines: str, method: str = "GET") -> Client:
            client = edge.connect()
            client.request(path, *lines, method=method)
            return client

        with ask(thinks, method="POST") as client:
            assert waits.acquire(timeout=20)
            client.reset()
        assert entry(1) == (thinks, 499, 0, "client-gone")

        with ask("/upload", "Content-Length: 10", method="POST") as client:
            client.sock.shutdown(socket.SHUT_WR)
            assert client.ended()
        assert entry(2) == ("/upload", 499, 0, "client-gone")

        with ask(begins) as client:
            assert client.head().status == 200 and len(client.exactly(90)) == 90
            client.reset()
        assert entry(3) == (begins, 200, 90, "client-gone")

        with ask(begins) as client:
            assert client.head().status == 200 and len(client.exactly(90)) == 90
            go.set()  # the origin is who leaves
            assert client.ended()
        assert entry(4) == (begins, 200, 90, "broken-off")

        with edge.connect() as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.request(huge)
            assert client.head().status == 200
            client.exactly(MIB)
            client.reset()
        path, status, size, outcome = entry(5)
        assert (path, status, outcome) == (huge, 200, "client-gone")
        assert MIB <= int(str(size)) < 20 * MIB
        assert edge.snapshot()["outcomes"] == {"client-gone": 4, "broken-off": 1}
    assert log.read_text().count("\n") == 5


def test_every_request_is_in_the_log(tmp_path: Path, origin: WebOrigin) -> None:
    """One line each, with what was sent, and why."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.txt").write_bytes(b"hello")
    page = origin.new(reply(b"page", "Cache-Control: max-age=60"))
    log = tmp_path / "access.log"
    more = ("--static", f"/files/={files}", "--access-log", str(log), "--access-log-format", "json")
    with serve(tmp_path, origin.url, *more) as edge:
        with edge.connect() as client:
            for _ in range(5):
                client.ask(page, "Referer: http://r/")
            client.ask(page, method="HEAD")
            client.ask("/files/a.txt")
            client.send(b"broken\r\n\r\n")
            client.reply()
        eventually(lambda: log.read_text().count("\n") >= 8)
        entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["status"] for entry in entries] == [200] * 7 + [400]
    assert [entry["bytes"] for entry in entries[:7]] == [4] * 5 + [0, 5]
    assert [entry["outcome"] for entry in entries[:6]] == ["miss", "hit", "hit", "hit", "hit", "hit"]
    assert entries[0]["request"] == f"GET {page} HTTP/1.1" and entries[4]["referer"] == "http://r/"
    assert {entry["peer"] for entry in entries} == {"127.0.0.1"}
