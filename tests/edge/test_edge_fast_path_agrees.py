"""The fast path is a memo of an answer, never a second set of rules: it says what the long way says."""

import random
import re
from itertools import product

import pytest

from support.edge_client import Edge, Reply, eventually
from support.web_origin import Asked, Line, WebOrigin, reply

PAST = "Sat, 01 Aug 2026 12:00:00 GMT"
SLOW = "X-Asked-The-Long-Way: yes"  # with this the head is one that was never seen
CODINGS = "Accept-Encoding: gzip, br"


def comparable(found: Reply) -> tuple[int, list[tuple[str, str]], bytes]:
    """Without what changes with time: Age and ttl in seconds, and the Date where it is our own."""
    kept = [
        (name, re.sub(r"ttl=-?\d+", "ttl=*", "*" if name in ("age", "date") else value))
        for name, value in found.lines
    ]
    return found.status, sorted(kept), found.body


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (f"Date: {PAST}",),
        (f"Date: {PAST}", "Age: 7", "Via: 1.1 somebody"),
        ('ETag: "a"', "Server: origin", "Content-Language: en"),
        (f"Last-Modified: {PAST}", "Content-Type: text/html; charset=utf-8"),
        ("Vary: Accept-Encoding", "Cache-Tag: a, b", "Surrogate-Key: c"),
        ("Connection: X-Hop", "X-Hop: 1", "X-End: 2", "X-End: 3"),
        ('Cache-Status: Elsewhere; hit; detail="first"', "Cache-Status: Second; hit"),
    ],
    ids=lambda fields: ",".join(field.partition(":")[0] for field in fields) or "none",
)
def test_a_page(edge: Edge, origin: WebOrigin, fields: tuple[str, ...]) -> None:
    path = origin.new(reply(b"a page " * 100, "Cache-Control: max-age=100000000", *fields))
    with edge.connect() as client:
        client.ask(path, CODINGS)
        if any("text/html" in field for field in fields):  # its variants are made in the background
            eventually(lambda: client.ask(path, CODINGS)["content-encoding"])
        first = client.ask(path, CODINGS, SLOW)
        etag = first["etag"] or ""
        before = edge.snapshot()["hot"]["hits"]
        for condition in ((), (f"If-None-Match: {etag}",), ('If-None-Match: "other"',)):
            slow = [client.ask(path, *condition, CODINGS, f"{SLOW}{number}") for number in range(2)]
            fast = [client.ask(path, *condition, CODINGS) for _ in range(3)]
            assert slow[0].hit and fast[0].hit
            for found in [*slow, *fast]:
                assert comparable(found) == comparable(slow[0])
            dates = {found["date"] for found in [*slow, *fast]}
            if f"Date: {PAST}" in fields:
                assert dates == {PAST}  # it tells when the origin made it. Source: RFC 9110 §6.6.1
        assert edge.snapshot()["hot"]["hits"] > before
    assert origin.count(path) == 1


def test_a_file(edge: Edge) -> None:
    with edge.connect() as client:
        first = client.ask("/files/small.txt")
        before = edge.snapshot()["hot"]["hits"]
        for condition in ((), (f"If-None-Match: {first['etag']}",)):
            slow = client.ask("/files/small.txt", *condition, SLOW)
            for _ in range(3):
                assert comparable(client.ask("/files/small.txt", *condition)) == comparable(slow)
        assert edge.snapshot()["hot"]["hits"] > before


COOKIES = [
    (),
    ("Cookie: ",),
    ("Cookie:",),
    ("Cookie: a=1",),
    ("Cookie:   a=1 ",),
    ("COOKIE: a=1",),
    ("Cookie: a=2",),
    ("Cookie: a=1; b=2",),
    ("Cookie: a=1", "Cookie: b=2"),
    ("Cookie: b=2", "cookie: a=1"),
    ("Cookie: a=1", "Referer: http://h/", "Cookie: b=2"),
    ("Cookie: a=1, b=2",),
]
LANGUAGES = [
    (),
    ("Accept-Language: ",),
    ("Accept-Language: de",),
    ("Accept-Language: DE;q=1.0",),
    ("Accept-Language: de, en;q=0.5",),
    ("Accept-Language: en;q=0.5, de",),
    ("Accept-Language: de", "Accept-Language: en;q=0.5"),
    ("accept-language: de;q=1.000,en;q=0.50",),
]
FRESH = "Cache-Control: max-age=100000"


def said(name: str, lines: tuple[str, ...]) -> str | None:
    """The value of a field, as it is put together from its lines. Source: RFC 9110 §5.3"""
    found = [line.partition(":")[2].strip() for line in lines if line.lower().startswith(f"{name}:")]
    return ", ".join(found) if found else None


def even(languages: str | None) -> str | None:
    """The same for two values that mean the same."""
    if languages is None:
        return None
    return re.sub(
        r";q=1(\.0*)?(?=,|$)", "", re.sub(r"(\.[1-9]*)0+", r"\1", languages.lower().replace(" ", ""))
    )


@pytest.mark.parametrize("codings", [(), (CODINGS,), ("Accept-Encoding: deflate",)])
@pytest.mark.parametrize(
    "vary", ["Cookie", "Accept-Language", "cookie, accept-language", "Accept-Encoding, Cookie"]
)
def test_pages_that_vary(edge: Edge, origin: WebOrigin, vary: str, codings: tuple[str, ...]) -> None:
    """Each request gets the page that was made for its own values, from wherever it comes."""

    def echo(asked: Asked, line: Line) -> None:
        line.send(reply(repr((asked["cookie"], asked["accept-language"])).encode(), FRESH, f"Vary: {vary}"))

    path = origin.new(echo)
    kinds = list(product(COOKIES, LANGUAGES))
    dice = random.Random(vary)
    visits = [kind for kind in dice.sample(kinds, 30) for _ in range(6)]
    dice.shuffle(visits)
    before = edge.snapshot()["hot"]["hits"]
    with edge.connect() as client:
        for number, (cookies, languages) in enumerate(visits):
            lines = (*codings, *languages, *cookies)
            fast = client.ask(path, *lines)
            slow = client.ask(path, *lines, f"{SLOW}{number}")
            assert slow.hit
            if fast.hit:
                assert comparable(fast) == comparable(slow)
            for found in (fast, slow):
                cookie, language = eval(found.body)
                if "cookie" in vary.lower():
                    assert cookie == said("cookie", cookies)
                if "language" in vary.lower():
                    assert even(language) == even(said("accept-language", languages))
    assert edge.snapshot()["hot"]["hits"] - before > len(visits) // 6


def test_more_begins_to_select(edge: Edge, origin: WebOrigin) -> None:
    """A page that varied on nothing, then on the language, then on cookies, too."""
    vary: list[str] = []

    def echo(asked: Asked, line: Line) -> None:
        line.send(reply(repr((asked["cookie"], asked["accept-language"])).encode(), FRESH, *vary))

    path = origin.new(echo)
    with edge.connect() as client:
        for step in ([], ["Vary: Accept-Language"], ["Vary: Accept-Language, Cookie"], ["Vary: Cookie"]):
            vary[:] = step
            edge.purge("--url", f"http://h{path}")
            for _ in range(6):
                for cookie, language in product(("a=1", "a=2"), ("de", "en")):
                    found = client.ask(path, f"Accept-Language: {language}", f"Cookie: {cookie}")
                    made_for, made_in = eval(found.body)
                    assert "Cookie" not in str(step) or made_for == cookie
                    assert "Language" not in str(step) or made_in == language
            assert found.hit


def test_a_client_that_says_what_it_likes_fills_no_memory(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(reply(b"page", FRESH, "Vary: Cookie"))
    before = edge.snapshot()["hot"]
    with edge.connect() as client:
        for number in range(400):
            for _ in range(3):
                client.ask(path, f"Cookie: {number}")
        after = edge.snapshot()["hot"]
        assert after["hits"] > before["hits"]
        assert 100 < after["answers"] - before["answers"] <= 128
        assert client.ask(path, "Cookie: 399").hit and client.ask(path, "Cookie: 0").hit
