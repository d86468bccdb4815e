"""A slow, broken or hostile client costs a bounded amount of memory, and never gets another's response.

Every response carries the nonce of its request. Among clients that behave there are others that don't; the
worker's memory and descriptors are what they were when those have gone.
"""

import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.edge_client import Edge, descriptors, eventually, resident_kib, serve
from support.raw_client import RawClient, request
from support.soak import soak
from support.web_origin import Asked, Line, WebOrigin, reply

CLIENTS = 4
HOSTILE = 6
MIB = 1 << 20
LARGE = 24 * MIB

# What clients may cost in all, in KiB: a few hundred connections of at most some hundred KiB each.
MOST_KIB = 64 * 1024


def echo(asked: Asked, line: Line) -> None:
    line.send(reply((asked["x-nonce"] or "").encode(), "Cache-Control: no-store"))


def cached(asked: Asked, line: Line) -> None:
    line.send(reply(asked.target.encode() * 50, "Cache-Control: max-age=60"))


def large(asked: Asked, line: Line) -> None:
    """More than any client is going to read."""
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nCache-Control: no-store\r\n\r\n" % LARGE)
    for _ in range(LARGE // MIB):
        line.send(bytes(MIB))


@pytest.fixture
def edge(origin: WebOrigin, tmp_path: Path) -> Iterator[Edge]:
    files = tmp_path / "files"
    files.mkdir()
    (files / "large.bin").write_bytes(bytes(LARGE))
    for path, answer in (("/echo", echo), ("/cached", cached), ("/large", large)):
        origin.at(path, answer)
    with serve(
        tmp_path,
        origin.url,
        *("--static", f"/files/={files}", "--head-timeout", "1s", "--body-timeout", "1s"),
        *("--idle-timeout", "3s", "--send-timeout", "3s"),
    ) as found:
        yield found


def half_a_head(dice: random.Random, address: tuple[str, int]) -> None:
    """Some of a request, then silence, the end, or a reset."""
    data = request("/echo", x_nonce="half", cookie="a" * dice.randrange(4000))
    with socket.create_connection(address, 10) as sock:
        sock.sendall(data[: dice.randrange(1, len(data))])
        leave(dice, sock)


def half_a_body(dice: random.Random, address: tuple[str, int]) -> None:
    with socket.create_connection(address, 10) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\nX-Nonce: half\r\n\r\n")
        sock.sendall(bytes(dice.randrange(300_000)))
        leave(dice, sock)


def garbage(dice: random.Random, address: tuple[str, int]) -> None:
    with socket.create_connection(address, 10) as sock:
        sock.sendall(dice.randbytes(dice.randrange(1, 70_000)))
        leave(dice, sock)


def a_mangled_request(dice: random.Random, address: tuple[str, int]) -> None:
    """A request of which some bytes are others, pipelined with one that is whole."""
    data = bytearray(request(dice.choice(("/echo", "/cached?x", "/files/large.bin")), x_nonce="mangled"))
    for _ in range(dice.randrange(1, 4)):
        data[dice.randrange(len(data))] = dice.choice(b"\r\n\0: \t/%\xff,\x80HhGg")
    with socket.create_connection(address, 10) as sock:
        sock.sendall(bytes(data) + request("/echo", x_nonce="mangled"))
        leave(dice, sock)


def smuggled(dice: random.Random, address: tuple[str, int]) -> None:
    """Two framings, or a bad one, with a request inside that nobody should hear."""
    inner = request("/echo", x_nonce="smuggled")
    framing = dice.choice(
        (
            b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked, identity\r\n",
            b"Transfer-Encoding : chunked\r\n",
            b"Content-Length: 3\r\nContent-Length: 4\r\n",
            b"Content-Length: +4\r\n",
            b"Transfer-Encoding: xchunked\r\n",
        )
    )
    with socket.create_connection(address, 10) as sock:
        sock.sendall(
            b"POST /echo HTTP/1.1\r\nHost: h\r\nX-Nonce: outer\r\n" + framing + b"\r\n0\r\n\r\n" + inner
        )
        answered = read_all(sock)
        assert b"smuggled" not in answered, answered


def reset_in_the_middle(dice: random.Random, address: tuple[str, int]) -> None:
    with socket.create_connection(address, 10) as sock:
        sock.sendall(request(dice.choice(("/large", "/files/large.bin"))))
        sock.recv(dice.randrange(1, 100_000))
        reset(sock)


def never_read(dice: random.Random, address: tuple[str, int]) -> None:
    """Ask for much, over and over, and take nothing."""
    with socket.create_connection(address, 10) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(dice.uniform(0.2, 1.5))
        try:
            while True:
                sock.sendall(request(dice.choice(("/large", "/files/large.bin", "/cached?much"))) * 20)
        except OSError:
            pass


def read_slowly(dice: random.Random, address: tuple[str, int]) -> None:
    with socket.create_connection(address, 10) as sock:
        sock.sendall(request("/large"))
        for _ in range(dice.randrange(20)):
            sock.recv(1000)
            time.sleep(0.05)


WAYS: tuple[Callable[[random.Random, tuple[str, int]], None], ...] = (
    half_a_head,
    half_a_body,
    garbage,
    a_mangled_request,
    smuggled,
    reset_in_the_middle,
    never_read,
    read_slowly,
)


def leave(dice: random.Random, sock: socket.socket) -> None:
    match dice.randrange(3):
        case 0:
            reset(sock)
        case 1:
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)
        case 2:
            sock.settimeout(dice.uniform(0.05, 1.5))
            read_all(sock)


def read_all(sock: socket.socket) -> bytes:
    found = b""
    try:
        while (data := sock.recv(65536)) and len(found) < MIB:
            found += data
    except OSError:
        pass
    return found


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_they_cost_little_and_get_nothing_of_others(edge: Edge) -> None:
    counts: Counter[str] = Counter()
    (pid,) = edge.workers()
    over = time.monotonic()
    most = [0]
    host, _, port = edge.address.rpartition(":")
    address = (host, int(port))

    def behave(number: int) -> None:
        """What each of these asks is answered, with its own nonce."""
        dice = random.Random(number)
        with RawClient(edge.address) as client:
            while time.monotonic() < over:
                nonce = f"{dice.getrandbits(64):016x}"
                if dice.random() < 0.5:
                    body = dice.randbytes(dice.randrange(100)) if dice.random() < 0.3 else None
                    method = "GET" if body is None else "POST"
                    assert client.ask("/echo", method, body, x_nonce=nonce).body == nonce.encode()
                else:
                    target = f"/cached?{dice.randrange(50)}"
                    assert client.ask(target, x_nonce=nonce).body == target.encode() * 50
                counts["good"] += 1

    def misbehave(number: int) -> None:
        dice = random.Random(number)
        while time.monotonic() < over:
            way = dice.choice(WAYS)
            try:
                way(dice, address)
            except OSError:  # refused, or reset before it was done
                pass
            counts[way.__name__] += 1

    def watch() -> None:
        while time.monotonic() < over:
            most[0] = max(most[0], resident_kib(pid))
            time.sleep(0.1)

    def load(seconds: float) -> None:
        nonlocal over
        over = time.monotonic() + seconds
        with ThreadPoolExecutor(CLIENTS + HOSTILE + 1) as pool:
            work = [pool.submit(watch)]
            work += [pool.submit(behave, number) for number in range(CLIENTS)]
            work += [pool.submit(misbehave, 100 + number) for number in range(HOSTILE)]
            for one in work:
                one.result()

    def quiet() -> bool:
        """All the clients are forgotten but the one that asks nothing."""
        return edge.snapshot()["connections"] == 0

    load(2.0)  # what is loaded, opened and cached once
    eventually(quiet)
    open_before, before = descriptors(pid), resident_kib(pid)
    load(soak(6.0))
    eventually(quiet)
    assert edge.workers() == [pid], "the worker did not live"
    eventually(lambda: descriptors(pid) <= open_before + 8)  # connections to the origin come and go
    after = resident_kib(pid)
    assert most[0] - before < MOST_KIB, f"{before} KiB before, at most {most[0]}, {counts}"
    assert after - before < MOST_KIB / 4, f"{before} KiB before, {after} after, {counts}"
    assert counts["good"] > 500 and all(counts[way.__name__] for way in WAYS), counts
