"""One key, one render: any number of concurrent misses cost one origin request per machine."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.edge_client import Edge, Reply, eventually
from support.web_origin import Asked, Line, WebOrigin
from uncork.purging.table import ClockTable

CLIENTS = 40


class Renders:
    """A page that takes its time, and says how often it was rendered."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.begun = 0
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, asked: Asked, line: Line) -> None:
        with self._lock:
            self.begun += 1
            number = self.begun
        body = b"render %d of %s;" % (number, asked.target.encode())
        body *= self.size // len(body) + 1
        half = len(body) // 2
        self.go_on.wait(20)
        line.send(
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60, stale-while-revalidate=60\r\n"
            b"Cache-Tag: it\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        line.send(body[:half], body[half:])


def ask_all(edge: Edge, renders: Renders, targets: list[str]) -> list[Reply]:
    """All at once, each over a connection of its own, while the render is kept from its end."""
    together = threading.Barrier(len(targets) + 1)

    def ask(target: str) -> Reply:
        with edge.connect() as client:
            together.wait(20)
            return client.ask(target)

    renders.go_on.clear()
    with ThreadPoolExecutor(len(targets)) as pool:
        asked = [pool.submit(ask, target) for target in targets]
        together.wait(20)
        threading.Timer(0.3, renders.go_on.set).start()
        return [one.result() for one in asked]


@pytest.mark.parametrize("size", [100, 3_000_000], ids=["small", "large"])
def test_concurrent_misses(edge3: Edge, origin: WebOrigin, size: int) -> None:
    renders = Renders(size)
    path = origin.new(renders)
    table = ClockTable(edge3.state_dir)
    for number in (1, 2):
        replies = ask_all(edge3, renders, [path] * CLIENTS)
        assert renders.begun == number
        bodies = {reply.body for reply in replies}
        assert len(bodies) == 1 and b"render %d of" % number in bodies.pop()
        assert edge3.ask(path).hit
        table.purge([b"it"])
    workers = edge3.status(edge3.state_dir)["workers"]
    assert sum(worker["snapshot"]["requests"] > 0 for worker in workers) > 1, "all came to one worker"


def test_concurrent_misses_of_several_variants(edge3: Edge, origin: WebOrigin) -> None:
    """The first that are asked for at once don't know yet what selects among them."""
    renders = Renders(1000)
    path = origin.new(renders)
    targets = [f"{path}?q={number}" for number in range(8)]
    ask_all(edge3, renders, [path])
    before = renders.begun
    replies = ask_all(edge3, renders, targets * 6)
    assert renders.begun == before + len(targets)
    for target, reply in zip(targets * 6, replies, strict=True):
        assert f"of {target};".encode() in reply.body


def test_a_stale_page_is_renewed_once(edge3: Edge, origin: WebOrigin) -> None:
    renders = Renders(1000)
    path = origin.new(renders)
    ask_all(edge3, renders, [path])
    ClockTable(edge3.state_dir).purge([b"it"], soft=True)
    replies = ask_all(edge3, renders, [path] * CLIENTS)  # served before the renewal can end
    assert all(b"render 1" in reply.body for reply in replies)
    eventually(lambda: edge3.ask(path).body.startswith(b"render 2"))
    assert renders.begun == 2
