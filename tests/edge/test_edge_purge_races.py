"""What must not come back after a purge, and what an unsafe request makes old before it is answered."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.edge_client import Client, Edge, eventually
from support.web_origin import Asked, Line, WebOrigin, reply
from uncork.purging.table import ClockTable

DATE = "Sat, 01 Aug 2026 12:00:00 GMT"


@pytest.fixture
def table(edge: Edge) -> ClockTable:
    return ClockTable(edge.state_dir)


def test_a_page_purged_softly_is_not_validated_by_its_date(
    edge: Edge, origin: WebOrigin, table: ClockTable
) -> None:
    """Both versions are of the same second, so that their origin takes one for the other."""
    versions = [b"old"]

    def answer(asked: Asked, line: Line) -> None:
        fields = ("Cache-Control: max-age=60", f"Last-Modified: {DATE}", f"Cache-Tag: t{asked.path}")
        if asked["if-modified-since"] == DATE:
            line.send(reply(b"", *fields, status="304 Not Modified"))
        else:
            line.send(reply(versions[-1], *fields))

    path = origin.new(answer)
    assert edge.ask(path).body == b"old"
    versions.append(b"new")
    table.purge([b"t" + path.encode()], soft=True)
    edge.ask(path)
    eventually(lambda: edge.ask(path).body == b"new")


def test_a_304_brings_tags_of_its_own(edge: Edge, origin: WebOrigin, table: ClockTable) -> None:
    """The page reads another row since; its bytes happen to be the same."""
    versions = [(b"one", "a")]

    def answer(asked: Asked, line: Line) -> None:
        body, tag = versions[-1]
        fields = ("Cache-Control: max-age=60", f'ETag: "{body.decode()}"', f"Cache-Tag: {tag}{asked.path}")
        if asked["if-none-match"] == f'"{body.decode()}"':
            line.send(reply(b"", *fields, status="304 Not Modified"))
        else:
            line.send(reply(body, *fields))

    path = origin.new(answer)
    edge.ask(path)
    versions.append((b"one", "b"))
    assert "fwd-status=304" in edge.ask(path, "Cache-Control: no-cache").cache
    versions.append((b"two", "b"))
    assert edge.ask(path).body == b"one"
    table.purge([b"b" + path.encode()])
    assert edge.ask(path).body == b"two"


def test_a_304_that_varies_otherwise_is_no_validation(edge: Edge, origin: WebOrigin) -> None:
    """By now the page is in the language of who asks."""
    vary: list[str] = []

    def answer(asked: Asked, line: Line) -> None:
        fields = ("Cache-Control: max-age=60", 'ETag: "x"', *vary)
        if asked["if-none-match"] == '"x"' and asked["accept-language"] in (None, "en"):
            line.send(reply(b"", *fields, status="304 Not Modified"))
        else:
            line.send(reply((asked["accept-language"] or "en").encode(), *fields))

    path = origin.new(answer)
    assert edge.ask(path, "Accept-Language: en").body == b"en"
    vary.append("Vary: Accept-Language")
    assert edge.ask(path, "Accept-Language: en", "Cache-Control: no-cache").body == b"en"
    assert edge.ask(path, "Accept-Language: de").body == b"de"
    assert edge.ask(path, "Accept-Language: en").body == b"en"


@pytest.mark.parametrize("streamed", [False, True])
def test_who_has_changed_a_page_sees_the_change(edge: Edge, origin: WebOrigin, streamed: bool) -> None:
    """Also who asks again before the answer to the change has arrived. Source: RFC 9111 §4.4"""
    versions = [b"old"]
    finish = threading.Event()

    def answer(asked: Asked, line: Line) -> None:
        if asked.method != "POST":
            line.send(reply(versions[-1], "Cache-Control: max-age=60"))
            return
        versions.append(b"new")
        if not streamed:
            line.send(reply(b"changed"))
            return
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
        finish.wait(10)
        line.send(b"changed")

    path = origin.new(answer)
    for _ in range(2):
        assert edge.ask(path).body == b"old"
    with edge.connect() as client:
        if streamed:
            client.request(path, method="POST", content=b"x")
            assert client.head().status == 200
            assert edge.ask(path).body == b"new"
            finish.set()
        else:
            ahead = Client(edge.address)
            post = b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx" % path.encode()
            get = b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % path.encode()
            with ahead:
                ahead.send(post + get)
                assert ahead.reply().body == b"changed"
                assert ahead.reply().body == b"new"


@pytest.mark.parametrize(
    "fields",
    [("Cache-Control: max-age=0", 'ETag: "{}"'), ("Cache-Control: no-cache", 'ETag: "{}"'), ('ETag: "{}"',)],
    ids=["stale at once", "no-cache", "silent"],
)
def test_a_fetch_under_way_is_no_answer_to_who_came_later(
    edge: Edge, origin: WebOrigin, fields: tuple[str, ...]
) -> None:
    """A page that must be validated each time: who has seen it change and asks gets one that was made
    since, and those who waited together get the same. Source: RFC 9111 §4, §5.2.2.4"""
    versions = ["old"]
    began = [threading.Event() for _ in range(3)]
    go_on = [threading.Event() for _ in range(3)]
    renders: list[str] = []

    def answer(asked: Asked, line: Line) -> None:
        version = versions[-1]  # what a render reads, it reads at its beginning
        number = len(renders)
        renders.append(version)
        began[number].set()
        go_on[number].wait(10)
        line.send(reply(version.encode(), *(field.format(version) for field in fields)))

    path = origin.new(answer)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(edge.ask, path)
        assert began[0].wait(10)
        versions.append("new")
        later = [pool.submit(edge.ask, path) for _ in range(5)]
        eventually(lambda: edge.snapshot()["connections"] >= 6)
        go_on[0].set()
        assert first.result().body == b"old"
        assert began[1].wait(10)
        go_on[1].set()
        assert [one.result().body for one in later] == [b"new"] * 5
    assert renders == ["old", "new"]
