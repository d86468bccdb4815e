"""Taking pages back: the next request of every worker is answered from after the purge."""

import json
from pathlib import Path

import pytest

from support.edge_client import Client, Edge, Reply, eventually, head, serve
from support.web_origin import Asked, Line, WebOrigin, reply

TOKEN = "Authorization: Bearer let-me-purge"


class Counter:
    """An origin's page that tells how often it was made."""

    def __init__(self, *lines: str) -> None:
        self.made = 0
        self.lines = lines

    def __call__(self, asked: Asked, line: Line) -> None:
        self.made += 1
        line.send(reply(b"%d" % self.made, *self.lines))


def bodies(edge: Edge, path: str, host: str = "h", times: int = 24) -> set[bytes]:
    """What fresh connections get, over all workers."""
    return {edge.ask(path, host=host).body for _ in range(times)}


def warm(edge: Edge, path: str) -> list[Client]:
    """Connections over all workers, each of which has had the page from memory."""
    clients = [edge.connect() for _ in range(12)]
    for client in clients:
        for _ in range(3):
            client.ask(path)
    return clients


@pytest.mark.parametrize(
    "arguments",
    [
        ("--tag", "article-7"),
        ("--tag", "authors"),
        ("--tag", "from-cache-tag"),
        ("--tag", "from-xkey"),
        ("--url", "http://h{path}"),
        ("--url", "https://h{path}"),
        ("--prefix", "http://h{path}"),
        ("--all",),
    ],
)
def test_all_workers_refuse_the_old_page_on_their_next_request(
    edge3: Edge, origin: WebOrigin, arguments: tuple[str, ...]
) -> None:
    page = Counter(
        "Cache-Control: max-age=600",
        *("Surrogate-Key: article-7 authors", "Cache-Tag: other, from-cache-tag", "xkey: from-xkey"),
    )
    path = origin.new(page)
    clients = warm(edge3, path)
    assert page.made == 1
    edge3.purge(*(argument.format(path=path) for argument in arguments))
    assert {client.ask(path).body for client in clients} == {b"2"}
    assert page.made == 2
    for client in clients:
        client.sock.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--tag", "article-70"),
        ("--url", "http://other{path}"),
        ("--url", "http://h{path}/"),
        ("--prefix", "http://h{path}x"),
    ],
)
def test_a_purge_of_something_else_changes_nothing(
    edge3: Edge, origin: WebOrigin, arguments: tuple[str, ...]
) -> None:
    page = Counter("Cache-Control: max-age=600", "Surrogate-Key: article-7")
    path = origin.new(page)
    edge3.ask(path)
    edge3.purge(*(argument.format(path=path) for argument in arguments))
    assert bodies(edge3, path) == {b"1"}


def test_a_soft_purge_serves_the_old_page_until_there_is_a_new_one(edge3: Edge, origin: WebOrigin) -> None:
    page = Counter("Cache-Control: max-age=600", "Surrogate-Key: soft-one")
    path = origin.new(page)
    clients = warm(edge3, path)
    edge3.purge("--tag", "soft-one", "--soft")
    first = clients[0].ask(path)
    assert first.body == b"1" and "hit-stale" in first.cache
    eventually(lambda: {client.ask(path).body for client in clients} == {b"2"})
    assert page.made == 2
    for client in clients:
        client.sock.close()


def test_a_purge_while_a_page_is_made(edge3: Edge, origin: WebOrigin) -> None:
    """What was begun before a purge is never served to who asks after it."""
    made = 0

    def answer(asked: Asked, line: Line) -> None:
        nonlocal made
        made += 1
        mine = made
        if mine == 1:
            edge3.purge("--tag", "in-flight")
        line.send(reply(b"%d" % mine, "Cache-Control: max-age=600", "Surrogate-Key: in-flight"))

    path = origin.new(answer)
    assert edge3.ask(path).body == b"1"
    assert bodies(edge3, path) == {b"2"}


def test_a_url_is_purged_with_its_queries(edge: Edge, origin: WebOrigin) -> None:
    page = Counter("Cache-Control: max-age=600")
    path = origin.new(page)

    def ask() -> list[bytes]:
        return [edge.ask(path + query).body for query in ("", "?a=1", "?b=2")]

    assert ask() == ask() == [b"1", b"2", b"3"]
    edge.purge("--url", f"http://h{path}?a=1")
    assert ask() == [b"1", b"4", b"3"]
    edge.purge("--url", f"http://h{path}")
    assert ask() == [b"5", b"6", b"7"]


def purge(edge: Edge, path: str, *lines: str) -> Reply:
    return edge.ask(path, TOKEN, *lines, method="PURGE")


def test_purge_over_http(edge: Edge, origin: WebOrigin) -> None:
    page = Counter(
        "Cache-Control: max-age=600", "Surrogate-Key: by-http", "Cache-Tag: by-tag", "xkey: by-xkey"
    )
    path = origin.path()
    below = f"{path}/below/x"
    origin.at(below, page)

    def made_by(found: Reply, *purged: str, soft: bool = False) -> int:
        assert found.status == 200 and found["content-type"] == "application/json"
        assert json.loads(found.body) == {"purged": list(purged), "soft": soft}
        return int(edge.ask(below).body)

    assert edge.ask(below).body == edge.ask(below).body == b"1"
    assert made_by(purge(edge, below), f"url http://h{below}") == 2
    assert made_by(purge(edge, f"{path}/*"), f"prefix http://h{path}/") == 3
    assert made_by(purge(edge, "/", "Surrogate-Key: x by-http"), "tag x", "tag by-http") == 4
    assert made_by(purge(edge, "/", "Cache-Tag: x, by-tag"), "tag x", "tag by-tag") == 5
    assert made_by(purge(edge, "/", "xkey-purge: by-xkey"), "tag by-xkey") == 6
    assert made_by(purge(edge, f"{path}/other"), f"url http://h{path}/other") == 6
    assert made_by(purge(edge, f"{path}/be*"), f"url http://h{path}/be*") == 6
    # A URL isn't purged by a request that names tags
    assert made_by(purge(edge, below, "Surrogate-Key: other"), "tag other") == 6
    # Whatever else the request has
    assert (
        made_by(purge(edge, below, "Cache-Control: no-store", "Range: bytes=0-1"), f"url http://h{below}")
        == 7
    )
    assert made_by(purge(edge, below, "Fastly-Soft-Purge: 1"), f"url http://h{below}", soft=True) == 7
    eventually(lambda: edge.ask(below).body == b"8")
    assert not [asked for asked in origin.asked if asked.method == "PURGE"]


@pytest.mark.parametrize(
    "line",
    [
        "X: y",
        "Authorization: Bearer let-me-purge2",
        "Authorization: Bearer",
        "Authorization: Basic let-me-purge",
    ],
)
def test_purge_over_http_without_the_token(edge: Edge, origin: WebOrigin, line: str) -> None:
    page = Counter("Cache-Control: max-age=600")
    path = origin.new(page)
    edge.ask(path)
    assert edge.ask(path, line, method="PURGE").status == 403
    assert edge.ask(path).body == b"1" and page.made == 1


def test_purge_over_http_of_nothing(edge: Edge) -> None:
    assert purge(edge, "/", "Surrogate-Key:").status == 400


def test_purge_over_http_without_a_host(edge: Edge, origin: WebOrigin) -> None:
    """It is for the address that it came to, as any request without one."""
    page = Counter("Cache-Control: max-age=600")
    path = origin.new(page)

    def ask(*lines: str, method: str = "GET") -> Reply:
        with edge.connect() as client:
            client.send(head(*lines, path=path, method=method, version="1.0"))
            return client.reply()

    assert [ask().body, ask().body] == [b"1", b"1"]
    found = ask(TOKEN, method="PURGE")
    assert found.status == 200 and f"url http://{edge.address}{path}".encode() in found.body
    assert ask().body == b"2"


def test_no_purge_over_http_unless_it_was_allowed(edge3: Edge, origin: WebOrigin, tmp_path: Path) -> None:
    """Nor is the origin asked."""
    page = Counter("Cache-Control: max-age=600")
    path = origin.new(page)
    edge3.ask(path)
    for lines in ((), (TOKEN,), ("Authorization: Bearer",)):
        found = edge3.ask(path, *lines, method="PURGE")
        assert found.status == 405 and found["allow"] is not None
    assert edge3.ask(path).body == b"1" and page.made == 1


def test_purges_last_over_a_restart(tmp_path: Path, origin: WebOrigin) -> None:
    """A page that was purged while nobody served is gone; the others are still there."""
    kept, gone = Counter("Cache-Control: max-age=600"), Counter("Cache-Control: max-age=600", "xkey: gone")
    kept_path, gone_path = origin.new(kept), origin.new(gone)
    for turn in range(2):
        with serve(tmp_path, origin.url) as edge:
            assert edge.ask(kept_path).hit is bool(turn)
            assert edge.ask(gone_path).body == b"%d" % (turn + 1)
        edge.purge("--tag", "gone")
    assert (kept.made, gone.made) == (1, 2)
