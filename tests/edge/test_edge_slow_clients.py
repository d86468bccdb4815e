"""Slow clients hold none of the origin's threads, of which a real gunicorn has one or two."""

import hashlib
import os
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.django_project import make_project
from support.edge_client import Client, Edge, descriptors, eventually, head, resident_kib, serve
from support.web_origin import Asked, Line, WebOrigin, reply

MIB = 1 << 20

URLS = """\
import hashlib

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def upload(request):
    digest = hashlib.sha256()
    while data := request.read(65536):
        digest.update(data)
    return HttpResponse(digest.hexdigest() + " " + request.headers.get("Content-Length", "-"))


@csrf_exempt
def form(request):
    return HttpResponse(f"{request.POST['a']} {request.FILES['f'].size}")


@never_cache
def large(request, size):
    return HttpResponse(bytes(range(256)) * (size // 256))


urlpatterns = [
    path("quick", never_cache(lambda request: HttpResponse("quick"))),
    path("upload", upload),
    path("form", form),
    path("large/<int:size>", large),
]
"""


@pytest.fixture(scope="module", params=[1, 2])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """A Django site behind gunicorn with one or two threads."""
    project = make_project(
        tmp_path_factory.mktemp("site"),
        "ALLOWED_HOSTS = ['h']\nDATA_UPLOAD_MAX_MEMORY_SIZE = None\n",
    )
    (project / "mysite" / "urls.py").write_text(URLS)
    arguments = ("--origin-workers", "1", "--origin-threads", str(request.param))
    with Edge("serve", *arguments, cwd=project) as found:
        yield found


def test_uploads_that_trickle_in_hold_no_thread(site: Edge) -> None:
    content = b"x" * 2 * MIB
    slow: list[Client] = []
    for lines in ((f"Content-Length: {len(content)}",), ("Transfer-Encoding: chunked",)) * 2:
        client = site.connect()
        client.send(head("Host: h", *lines, method="POST", path="/upload"))
        slow.append(client)
    pieces = [content[at : at + MIB // 2] for at in range(0, len(content), MIB // 2)]
    for piece in pieces:
        for i, client in enumerate(slow):
            client.send(b"%x\r\n%s\r\n" % (len(piece), piece) if i % 2 else piece)
        assert site.ask("/quick").body == b"quick"
    wanted = f"{hashlib.sha256(content).hexdigest()} {len(content)}".encode()
    for i, client in enumerate(slow):
        if i % 2:
            client.send(b"0\r\n\r\n")
        assert client.reply().body == wanted
        client.sock.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_form_that_comes_with_its_head(site: Edge, chunked: bool) -> None:
    """Django reads no content without a length."""
    part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    content = part % (b"a", b"one") + part % (b'f"; filename="f', b"12345") + b"--x--\r\n"
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(content)}"
    data = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content) if chunked else content
    lines = ("Host: h", "Content-Type: multipart/form-data; boundary=x", framing)
    with site.connect() as client:
        for _ in range(3):
            client.send(head(*lines, method="POST", path="/form") + data)
            assert client.reply().body == b"one 5"


def slow_reader(edge: Edge, path: str, *lines: str) -> Client:
    """One that asks, and reads nothing."""
    client = edge.connect()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.request(path, *lines)
    return client


def test_readers_that_stand_still_hold_no_thread(site: Edge) -> None:
    size = 5 * MIB
    slow = [slow_reader(site, f"/large/{size}") for _ in range(4)]
    for _ in range(3):
        assert site.ask("/quick").body == b"quick"
    for client in slow:
        assert client.reply().body == bytes(range(256)) * (size // 256)
        assert client.ask("/quick").body == b"quick"  # the connection goes on
        client.sock.close()


# What the origin doesn't get to see


def test_the_origin_is_not_asked_before_the_content_is_here(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(lambda asked, line: line.send(reply(asked.content, "Cache-Control: no-store")))
    with edge.connect() as client:
        client.send(head("Host: h", "Expect: 100-continue", "Content-Length: 6", path=path, method="PUT"))
        assert client.head().status == 100
        client.send(b"abc")
        assert edge.ask("/files/small.txt").status == 200
        assert origin.count(path) == 0
        client.send(b"def")
        assert client.reply().body == b"abcdef"
    assert origin.count(path) == 1 and origin.last(path)["expect"] is None


@pytest.mark.parametrize("size", [1000, 4 * MIB])
def test_a_client_that_leaves_costs_the_origin_nothing(edge: Edge, origin: WebOrigin, size: int) -> None:
    path = origin.new(reply(b"never"))
    (pid,) = edge.workers()
    before = descriptors(pid)
    for leave in (Client.reset, lambda client: client.sock.close()):
        client = edge.connect()
        client.send(head("Host: h", f"Content-Length: {size + 1}", path=path, method="POST") + bytes(size))
        eventually(lambda: descriptors(pid) > before)
        leave(client)
        eventually(lambda: descriptors(pid) <= before)
    assert origin.count(path) == 0


def test_content_that_is_too_large_never_reaches_the_origin(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(reply(b"never"))
    with edge.connect() as client:
        client.send(head("Host: h", "Transfer-Encoding: chunked", path=path, method="POST"))
        piece = b"%x\r\n%s\r\n" % (MIB, bytes(MIB))
        for _ in range(64):
            client.send(piece)
        client.send(b"1\r\nx")
        assert client.reply().status == 413
    assert origin.count(path) == 0


def test_content_that_stops_coming(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(reply(b"never"))
    with edge.connect() as client:
        client.send(head("Host: h", "Content-Length: 10", path=path, method="POST") + b"12345")
        assert client.reply().status == 408
    assert origin.count(path) == 0


def test_large_content_is_not_in_memory(edge: Edge, origin: WebOrigin) -> None:
    """Neither while it comes nor while the origin is slow to read it."""
    go = threading.Event()

    def slow(asked: Asked, line: Line) -> None:
        go.wait(20)
        line.send(reply(hashlib.sha256(line.content(asked)).hexdigest().encode(), "Cache-Control: no-store"))

    path = origin.new(slow, lazy=True)
    (pid,) = edge.workers()
    content = os.urandom(MIB) * 60
    before = resident_kib(pid)
    with edge.connect() as client:
        client.send(head("Host: h", f"Content-Length: {len(content)}", path=path, method="POST") + content)
        eventually(lambda: origin.count(path))
        assert resident_kib(pid) - before < 8 * 1024
        go.set()
        assert client.reply().body == hashlib.sha256(content).hexdigest().encode()
        assert resident_kib(pid) - before < 8 * 1024
    assert not list(edge.state_dir.glob("spool*"))


# What waits for clients


def test_what_waits_for_readers_is_on_disk(tmp_path: Path, origin: WebOrigin) -> None:
    """The origin is done with all of them, and each costs less than a megabyte of memory."""
    done = threading.Semaphore(0)
    content = os.urandom(MIB) * 12

    def large(asked: Asked, line: Line) -> None:
        line.send(reply(content, "Cache-Control: no-store"))
        done.release()

    path = origin.new(large)
    with serve(tmp_path, origin.url) as edge:
        (pid,) = edge.workers()
        edge.ask(path)
        before, files = resident_kib(pid), descriptors(pid)
        readers = [slow_reader(edge, path) for _ in range(20)]
        for _ in range(len(readers) + 1):
            assert done.acquire(timeout=20)
        assert resident_kib(pid) - before < len(readers) * 1024
        for client in readers[:10]:
            assert client.reply().body == content
        for client in readers:
            client.reset()
        eventually(lambda: descriptors(pid) <= files)


@pytest.mark.parametrize("limit", [0, 2 * MIB])
def test_beyond_its_limit_the_origin_waits(tmp_path: Path, origin: WebOrigin, limit: int) -> None:
    content = os.urandom(MIB) * 40
    sent: list[int] = []

    def large(asked: Asked, line: Line) -> None:
        line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: no-store\r\n\r\n")
        for at in range(0, len(content), MIB):
            line.send(b"%x\r\n%s\r\n" % (MIB, content[at : at + MIB]))
            sent.append(at)
        line.send(b"0\r\n\r\n")

    path = origin.new(large)
    with serve(tmp_path, origin.url, "--response-buffer-bytes", str(limit)) as edge:
        (pid,) = edge.workers()
        before = resident_kib(pid)
        with slow_reader(edge, path) as client:
            client.head()
            stalled_after = -1
            while stalled_after != len(sent):  # no progress in a second
                stalled_after = len(sent)
                threading.Event().wait(1)
            assert stalled_after < 30
            assert resident_kib(pid) - before < 4 * 1024
            found = b""
            while data := client.chunk():
                found += data
            assert found == content and len(sent) == 40


def test_a_response_that_breaks_off_while_it_waits(edge: Edge, origin: WebOrigin) -> None:
    """What came is sent before the client is told that the end is missing. Source: RFC 9112 §8"""
    content = os.urandom(MIB) * 10
    over = threading.Event()

    def broken(asked: Asked, line: Line) -> str:
        line.send(reply(content + b"more", "Cache-Control: no-store")[:-4])
        over.set()
        return "close"

    path = origin.new(broken)
    with slow_reader(edge, path) as client:
        assert over.wait(20)
        assert client.head().status == 200
        assert client.exactly(len(content)) == content
        assert client.ended()


# What goes wrong


def test_a_full_disk_makes_the_origin_wait(tmp_path: Path, origin: WebOrigin) -> None:
    content = os.urandom(MIB) * 12
    path = origin.new(reply(content, "Cache-Control: no-store"))
    with serve(tmp_path, origin.url) as edge:
        (pid,) = edge.workers()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (MIB, resource.RLIM_INFINITY))
        with slow_reader(edge, path) as client:
            edge.wait_for("no room for what a slow client is to get: File too large")
            assert client.reply().body == content
            assert client.ask(path).body == content
        with slow_reader(edge, path) as client, slow_reader(edge, path) as another:
            assert client.reply().body == another.reply().body == content
        assert edge.stop() == 0
        assert sum("no room for" in line for line in edge.lines) == 1


def test_a_full_disk_costs_one_upload(tmp_path: Path, origin: WebOrigin) -> None:
    """The limit on the size of a file stands for the end of a disk."""
    path = origin.new(lambda asked, line: line.send(reply(b"%d" % len(asked.content))))
    with serve(tmp_path, origin.url) as edge:
        (pid,) = edge.workers()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (MIB, resource.RLIM_INFINITY))
        large = head("Host: h", f"Content-Length: {8 * MIB}", path=path, method="POST") + bytes(4 * MIB)
        with edge.connect() as client:
            client.send(large)
            found = client.reply()
            assert (found.status, found["retry-after"]) == (503, "5")
        edge.wait_for("no room for the request's content: File too large")
        assert origin.count(path) == 0
        assert edge.ask(path, method="POST", content=bytes(MIB // 2)).body == b"%d" % (MIB // 2)
        assert edge.snapshot()["outcomes"]["no-room"] == 1


def test_an_upload_that_is_under_way_outlives_a_stop(tmp_path: Path, origin: WebOrigin) -> None:
    path = origin.new(lambda asked, line: line.send(reply(hashlib.sha256(asked.content).digest())))
    content = os.urandom(2 * MIB)
    with serve(tmp_path, origin.url) as edge:
        with edge.connect() as client, edge.connect() as idle:
            client.send(head("Host: h", f"Content-Length: {len(content)}", path=path, method="POST"))
            client.send(content[:MIB])
            idle.ask(path)
            edge.send(signal.SIGTERM)
            assert idle.sock.recv(1) == b""  # the worker is about to stop
            client.send(content[MIB:])
            found = client.reply()
            assert found.body == hashlib.sha256(content).digest()
            assert found["connection"] == "close"
        assert edge.process.wait(20) == 0


def test_content_in_memory_is_sent_again_where_that_is_allowed(edge: Edge, origin: WebOrigin) -> None:
    """An idempotent request on a connection that the origin closed. Source: RFC 9110 §9.2.2"""
    seen: list[tuple[str, bytes]] = []

    def forgetful(asked: Asked, line: Line) -> str | None:
        seen.append((asked.method, asked.content))
        if len(seen) % 3 == 2:
            return "close"
        line.send(reply(b"done", "Cache-Control: no-store"))
        return None

    path = origin.new(forgetful)
    with edge.connect() as client:
        for content in (b"one", b"two"):
            assert client.ask(path, method="PUT", content=content).body == b"done"
        assert seen == [("PUT", b"one"), ("PUT", b"two"), ("PUT", b"two")]
        assert client.ask(path, method="POST", content=b"three").body == b"done"
        assert client.ask(path, method="POST", content=b"four").status == 502
    assert len(seen) == 5
