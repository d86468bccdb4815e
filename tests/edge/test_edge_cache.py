"""What the cache answers: hits, variants, validation, staleness; by Cache-Status and the origin's count."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.edge_client import Edge, Reply, eventually, head, serve
from support.web_origin import Asked, Line, WebOrigin, reply

FRESH = "Cache-Control: max-age=600"
ETAG = 'ETag: "v1"'


def numbered(*lines: str, status: str = "200 OK"):
    """An answer that says how often it was given."""
    made = 0

    def answer(asked: Asked, line: Line) -> None:
        nonlocal made
        made += 1
        line.send(reply(b"%d" % made, *lines, status=status))

    return answer


def test_a_miss_then_hits(edge: Edge, origin: WebOrigin) -> None:
    """Source: RFC 9111 §4, RFC 9211 §2"""
    path = origin.new(reply(b"page", FRESH, "X-Own: 1", "Connection: x-hop", "X-Hop: 1"))
    with edge.connect() as client:
        miss = client.ask(path)
        assert miss.cache == "Uncork; fwd=uri-miss; fwd-status=200; stored; detail=miss"
        assert miss["age"] in (None, "0") and miss["x-hop"] is None
        hits = [client.ask(path) for _ in range(4)]
    for hit in hits:
        assert hit.body == b"page" and hit["x-own"] == "1" and hit["x-hop"] is None
        assert hit.hit and "ttl=" in hit.cache
        assert 0 <= int(hit["age"] or "-1") < 100
        assert hit["etag"] == hits[0]["etag"] is not None
    assert origin.count(path) == 1


def test_the_age_of_a_page_grows(edge: Edge, origin: WebOrigin) -> None:
    """From what the origin's own caches had added. Source: RFC 9111 §4.2.3, §5.1"""
    path = origin.new(reply(b"page", FRESH, "Age: 100"))
    with edge.connect() as client:
        client.ask(path)
        first = client.ask(path)
        assert 100 <= int(first["age"] or "0") < 110
        eventually(lambda: int(client.ask(path)["age"] or "0") > int(first["age"] or "0"))
        assert client.ask(path).hit


@pytest.mark.parametrize(
    "lines",
    [
        ("Cache-Control: no-store",),
        ("Cache-Control: private, max-age=60",),
        (FRESH, "Set-Cookie: a=b"),
        (FRESH, "Vary: *"),
        ("Cache-Control: max-age=0",),
        (),
        ("Expires: 0",),
        ("CDN-Cache-Control: no-store", FRESH),
    ],
)
def test_what_is_never_stored(edge: Edge, edge3: Edge, origin: WebOrigin, lines: tuple[str, ...]) -> None:
    """Source: RFC 9111 §3, §7.3"""
    for one in (edge, edge3):
        path = origin.new(numbered(*lines))
        assert [one.ask(path).body for _ in range(5)] == [b"%d" % (i + 1) for i in range(5)]
        assert all(not one.ask(path).hit for _ in range(2))


def test_a_request_with_authorization_is_its_own(edge: Edge, origin: WebOrigin) -> None:
    """It neither gets what is stored nor leaves anything. Source: RFC 9111 §3.5"""
    path = origin.new(lambda asked, line: line.send(reply((asked["authorization"] or "-").encode(), FRESH)))
    for _ in range(2):
        assert edge.ask(path, "Authorization: Basic YTpi").body == b"Basic YTpi"
        assert edge.ask(path).body == b"-"
        assert edge.ask(path, "Authorization: Basic Yzpk").body == b"Basic Yzpk"
    assert edge.ask(path).hit


@pytest.mark.parametrize(
    ("lines", "hit"),
    [
        (("CDN-Cache-Control: max-age=600", "Cache-Control: no-store"), True),
        (("CDN-Cache-Control: max-age=600", "Cache-Control: max-age=0"), True),
        (("Cache-Control: s-maxage=600, max-age=0",), True),
        (("Cache-Control: s-maxage=0, max-age=600",), False),
        (("CDN-Cache-Control: max-age=0", "Cache-Control: max-age=600"), False),
        (("Uncork-Cache-Control: max-age=600", "CDN-Cache-Control: no-store"), True),
        (("Uncork-Cache-Control: no-store", "CDN-Cache-Control: max-age=600"), False),
        (("Expires: Fri, 01 Jan 2100 00:00:00 GMT",), True),
    ],
)
def test_who_says_how_long(edge: Edge, origin: WebOrigin, lines: tuple[str, ...], hit: bool) -> None:
    """Source: RFC 9213 §2.2, RFC 9111 §4.2.1"""
    path = origin.new(numbered(*lines))
    first, second = edge.ask(path), edge.ask(path)
    assert second.hit is hit
    assert not any(name.startswith("uncork-") for name, _ in (*first.lines, *second.lines))


def test_vary(edge: Edge, edge3: Edge, origin: WebOrigin) -> None:
    """A page for each value; the names that any of a URL's pages depends on count for all.
    Source: RFC 9111 §4.1"""

    def answer(asked: Asked, line: Line) -> None:
        language = asked["accept-language"]
        if language == "de":
            line.send(
                reply(b"de " + (asked["x-theme"] or "-").encode(), FRESH, "Vary: Accept-Language, X-Theme")
            )
        else:
            line.send(reply((language or "-").encode(), FRESH, "Vary: accept-language"))

    for one in (edge, edge3):
        path = origin.new(answer)
        for _ in range(3):
            assert one.ask(path).body == b"-"
            assert one.ask(path, "Accept-Language: fr").body == b"fr"
            assert one.ask(path, "Accept-Language: de").body == b"de -"
            assert one.ask(path, "Accept-Language: de", "X-Theme: dark").body == b"de dark"
            assert one.ask(path, "Accept-Language: fr").body == b"fr"
        found = one.ask(path, "Accept-Language: de", "X-Theme: dark")
        assert found.hit and "Accept-Language, X-Theme" in (found["vary"] or "")
        # One page for each of the four, and at most one more for what was stored before a name was known.
        assert origin.count(path) <= 6
        assert "vary-miss" in one.ask(path, "Accept-Language: it").cache


def test_a_query_is_a_page_of_its_own(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(lambda asked, line: line.send(reply(asked.target.encode(), FRESH)))
    for _ in range(3):
        for query in ("", "?", "?a", "?a=1", "?A=1"):
            assert edge.ask(path + query).body == (path + query).encode()
    assert origin.count(path) == 5


def test_hosts_are_apart(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(lambda asked, line: line.send(reply((asked["host"] or "").encode(), FRESH)))
    for _ in range(3):
        for host in ("a", "b", "a:81"):
            assert edge.ask(path, host=host).body == host.encode()
    assert edge.ask(path, host="A:80").body == b"a"
    assert origin.count(path) == 3


def test_304_206_and_head_from_the_store(edge: Edge, origin: WebOrigin) -> None:
    """Source: RFC 9110 §13, §14, §9.3.2"""
    modified = "Mon, 02 Nov 2026 10:00:00 GMT"
    path = origin.new(reply(b"0123456789", FRESH, ETAG, f"Last-Modified: {modified}"))
    long = origin.new(reply(b"0123456789" * 1000, FRESH))
    edge.ask(long)
    for turn in range(3):
        with edge.connect() as client:
            assert client.ask(path).body == b"0123456789"
            for line in ('If-None-Match: "v1"', 'If-None-Match: W/"v1", "x"', "If-None-Match: *"):
                found = client.ask(path, line)
                assert found.status == 304 and found["etag"] == '"v1"' and found.hit, (turn, line)
                assert found["content-length"] is None and found["content-type"] is None
            assert client.ask(path, f"If-Modified-Since: {modified}").status == 304
            assert client.ask(path, 'If-None-Match: "v2"', f"If-Modified-Since: {modified}").status == 200
            found = client.ask(path, "Range: bytes=2-4")
            assert (found.status, found.body, found["content-range"]) == (206, b"234", "bytes 2-4/10")
            assert client.ask(path, "Range: bytes=0-0").body == b"0"
            assert client.ask(path, "Range: bytes=-1").body == b"9"
            assert client.ask(path, "Range: bytes=20-").status == 416
            assert client.ask(path, "Range: lines=1-2").status == 200
            assert client.ask(path, "Range: bytes=2-4", 'If-Range: "v1"').status == 206
            assert client.ask(path, "Range: bytes=2-4", 'If-Range: "v2"').status == 200
            several = client.ask(long, "Range: bytes=0-1,8000-8001")
            assert several.status == 206 and "multipart/byteranges" in (several["content-type"] or "")
            found = client.ask(path, method="HEAD")
            assert found["content-length"] == "10" and found.hit
            assert client.ask(path, 'If-Match: "v2"').status == 200  # the origin's to evaluate
    assert origin.count(path) == 1


def test_head_and_range_of_what_is_not_stored(edge: Edge, origin: WebOrigin) -> None:
    """They are passed on, and nothing is stored of what comes."""
    path = origin.new(
        lambda asked, line: line.send(
            reply(b"23", FRESH, "Content-Range: bytes 2-3/10", status="206 Partial Content")
            if asked["range"]
            else reply(b"" if asked.method == "HEAD" else b"0123456789", FRESH)
        )
    )
    found = edge.ask(path, "Range: bytes=2-3")
    assert found.status == 206 and found.body == b"23" and "detail=pass-range" in found.cache
    assert origin.last(path)["range"] == "bytes=2-3"
    assert edge.ask(path, method="HEAD").status == 200 and origin.last(path).method == "HEAD"
    assert edge.ask(path).body == b"0123456789"
    assert edge.ask(path).hit
    assert edge.ask(path, "Range: bytes=0-1").hit


def test_validation_with_the_origin(edge: Edge, origin: WebOrigin) -> None:
    """A page that must be asked about is asked about, and a 304 makes it last on. Source: RFC 9111 §4.3"""
    asked_with: list[str | None] = []

    def answer(asked: Asked, line: Line) -> None:
        asked_with.append(asked["if-none-match"])
        if asked["if-none-match"] == '"v1"':
            line.send(
                b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\nCache-Control: no-cache\r\nX-New: 1\r\n\r\n'
            )
        else:
            line.send(reply(b"page", "Cache-Control: no-cache", ETAG, "X-New: 0"))

    path = origin.new(answer)
    assert edge.ask(path).body == b"page"
    for _ in range(2):
        found = edge.ask(path)
        assert found.body == b"page" and found["x-new"] == "1"
        assert "fwd=stale; fwd-status=304" in found.cache
    found = edge.ask(path, 'If-None-Match: "v1"')
    assert found.status == 304
    found = edge.ask(path, 'If-None-Match: "other"')
    assert found.status == 200 and found.body == b"page"
    assert asked_with == [None, '"v1"', '"v1"', '"v1"', '"v1"']


def test_what_a_client_demands(edge: Edge, origin: WebOrigin) -> None:
    """Source: RFC 9111 §5.2.1"""
    path = origin.new(numbered(FRESH))
    assert edge.ask(path, "Cache-Control: only-if-cached").status == 504
    assert edge.ask(path).body == b"1"
    assert edge.ask(path, "Cache-Control: only-if-cached").body == b"1"
    assert edge.ask(path, "Cache-Control: max-age=500").body == b"1"
    found = edge.ask(path, "Cache-Control: no-cache")
    assert found.body == b"2" and "fwd=request" in found.cache
    assert edge.ask(path).body == b"2"
    assert edge.ask(path, "Cache-Control: no-store").body == b"3"
    assert edge.ask(path).body == b"2"


def test_what_a_client_demands_where_it_has_no_say(tmp_path: Path, origin: WebOrigin) -> None:
    """Source: RFC 9111 §5.2.1, by which all of it is advice"""
    path = origin.new(numbered(FRESH))
    with serve(tmp_path, origin.url, "--no-request-directives") as edge:
        for demand in ("no-cache", "no-store", "max-age=0", "min-fresh=9999", "only-if-cached"):
            assert edge.ask(path, f"Cache-Control: {demand}").body == b"1"


@pytest.mark.parametrize("workers", [1, 3])
def test_stale_while_revalidate(edge: Edge, edge3: Edge, origin: WebOrigin, workers: int) -> None:
    """The stale page is sent at once, and renewed once per machine. Source: RFC 5861 §3"""
    one = edge if workers == 1 else edge3
    go = threading.Event()
    made = 0

    def answer(asked: Asked, line: Line) -> None:
        nonlocal made
        made += 1
        mine = made
        if mine > 1:
            assert go.wait(20)
        line.send(
            reply(
                b"%d" % mine, f"Cache-Control: max-age={1 if mine == 1 else 600}, stale-while-revalidate=600"
            )
        )

    path = origin.new(answer)
    one.ask(path)
    eventually(lambda: "hit-stale" in one.ask(path).cache)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: one.ask(path), range(40)))
    assert {reply.body for reply in found} == {b"1"} and all("hit-stale" in reply.cache for reply in found)
    go.set()
    eventually(lambda: one.ask(path).body == b"2")
    assert origin.count(path) == 2


def test_stale_if_error(edge: Edge, origin: WebOrigin) -> None:
    """Source: RFC 5861 §4"""
    path = origin.new(reply(b"good", "Cache-Control: max-age=1, stale-if-error=600"))
    edge.ask(path)
    for status in ("500 Oops", "502 Bad Gateway", "503 Busy", "504 Late"):
        origin.at(path, reply(b"bad", status=status))
        eventually(lambda: "stale-if-error" in edge.ask(path).cache)
        assert edge.ask(path).body == b"good"
    origin.at(path, b"nonsense")
    assert edge.ask(path).body == b"good"
    origin.at(path, reply(b"gone", status="404 Not Found"))
    assert edge.ask(path).body == b"gone"
    strict = origin.new(reply(b"good", "Cache-Control: max-age=1, must-revalidate"))
    edge.ask(strict)
    origin.at(strict, reply(b"bad", status="500 Oops"))
    eventually(lambda: edge.ask(strict).status == 500)


def test_an_error_does_not_keep_the_next_answer_out(edge: Edge, origin: WebOrigin) -> None:
    """One bad moment of the origin, and the page is cached as soon as it is there again."""
    path = origin.new(reply(b"bad", status="500 Oops"))
    for _ in range(3):
        assert edge.ask(path).status == 500
    origin.at(path, reply(b"good", FRESH))
    edge.ask(path)
    assert edge.ask(path).hit


def test_a_page_that_is_for_one_query_only_leaves_the_others_alone(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(
        lambda asked, line: line.send(reply(b"x", "Set-Cookie: a=b" if "login" in asked.target else FRESH))
    )
    edge.ask(f"{path}?login")
    edge.ask(f"{path}?page=1")
    assert edge.ask(f"{path}?page=1").hit


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "WHATEVER"])
def test_unsafe_methods_invalidate(edge3: Edge, origin: WebOrigin, method: str) -> None:
    """The URL itself, and what Location and Content-Location name of its origin. Source: RFC 9111 §4.4"""
    other, foreign = origin.new(numbered(FRESH)), origin.new(numbered(FRESH))
    get = numbered(FRESH)

    def answer(asked: Asked, line: Line) -> None:
        if asked.method == "GET":
            get(asked, line)
        elif "fails" in asked.target:
            line.send(reply(b"no", status="403 Forbidden"))
        else:
            line.send(reply(b"done", f"Location: {other}", f"Content-Location: http://elsewhere{foreign}"))

    path = origin.new(answer)

    def ask() -> list[bytes]:
        return [edge3.ask(url).body for url in (path, other, foreign)]

    assert ask() == ask() == [b"1", b"1", b"1"]
    assert edge3.ask(f"{path}?fails", method=method, content=b"x").status == 403
    assert ask() == [b"1", b"1", b"1"]
    assert edge3.ask(path, method=method, content=b"x").body == b"done"
    assert ask() == [b"2", b"2", b"1"]


def test_cache_groups(edge: Edge, origin: WebOrigin) -> None:
    """Source: RFC 9875"""
    path = origin.new(numbered(FRESH, 'Cache-Groups: "news", "sport"'))
    post = origin.new(reply(b"done", 'Cache-Group-Invalidation: "sport"'))
    assert edge.ask(path).body == edge.ask(path).body == b"1"
    assert edge.ask(post, method="POST").status == 200
    assert edge.ask(path).body == b"2"


def test_tags_stay_inside(edge: Edge, origin: WebOrigin) -> None:
    tags = ("Surrogate-Key: a b", "Cache-Tag: c", "xkey: d", 'Cache-Groups: "e"')
    for control in (FRESH, "Cache-Control: no-store"):
        path = origin.new(reply(b"page", control, *tags, "Uncork-Anything: x"))
        for _ in range(4):
            found = edge.ask(path)
            for name in ("surrogate-key", "cache-tag", "xkey", "cache-groups", "uncork-anything"):
                assert found[name] is None


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("chunked", [False, True])
def test_one_key_one_fetch(edge: Edge, edge3: Edge, origin: WebOrigin, workers: int, chunked: bool) -> None:
    """However many ask at once, the origin is asked once; and all get the stream while it is being stored."""
    one = edge if workers == 1 else edge3
    more = threading.Event()
    body = bytes(range(256)) * 400

    def answer(asked: Asked, line: Line) -> None:
        line.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n")
        if chunked:
            line.send(b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            assert more.wait(20)
            line.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        else:
            line.send(b"Content-Length: %d\r\n\r\nfirst" % (len(body) + 5))
            assert more.wait(20)
            line.send(body)

    path = origin.new(answer)
    clients = [one.connect() for _ in range(30)]
    for client in clients:
        client.request(path)
    found: list[Reply] = []
    for client in clients:
        found.append(client.head())
        assert (client.chunk() if chunked else client.exactly(5)) == b"first"
    more.set()
    for client in clients:
        if chunked:
            got = b""
            while piece := client.chunk():
                got += piece
            assert got == body
        else:
            assert client.exactly(len(body)) == body
        client.sock.close()
    assert origin.count(path) == 1
    assert sum("collapsed" in answer.cache for answer in found) == 29
    assert one.ask(path).body == b"first" + body
    assert origin.count(path) == 1


def test_different_queries_do_not_wait_for_each_other(edge: Edge, origin: WebOrigin) -> None:
    """Nothing is known of a URL yet, and one of its queries takes long."""
    more = threading.Event()

    def answer(asked: Asked, line: Line) -> None:
        if "slow" in asked.target:
            assert more.wait(20)
        line.send(reply(asked.target.encode(), FRESH))

    path = origin.new(answer)
    with edge.connect() as slow:
        slow.request(f"{path}?slow")
        eventually(lambda: origin.count(path) == 1)
        assert edge.ask(f"{path}?fast").body == f"{path}?fast".encode()
        more.set()
        assert slow.reply().body == f"{path}?slow".encode()


def test_a_fetch_outlives_its_client(edge: Edge, origin: WebOrigin) -> None:
    """Who asked first leaves; who waits along, and the store, get it all."""
    more = threading.Event()

    def answer(asked: Asked, line: Line) -> None:
        line.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 10\r\n\r\n01234")
        assert more.wait(20)
        line.send(b"56789")

    path = origin.new(answer)
    first, second = edge.connect(), edge.connect()
    first.request(path)
    assert first.head().status == 200
    second.request(path)
    assert second.head().status == 200
    first.reset()
    more.set()
    assert second.exactly(10) == b"0123456789"
    eventually(lambda: edge.ask(path).hit)
    assert origin.count(path) == 1
    second.sock.close()


def test_a_response_that_breaks_off_is_not_stored(edge: Edge, origin: WebOrigin) -> None:
    """And whoever reads it notices. Source: RFC 9111 §3.3, RFC 9112 §8"""
    broken = {
        "length": b"Content-Length: 10\r\n\r\n01234",
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
    }
    for how, rest in broken.items():

        def answer(asked: Asked, line: Line, rest: bytes = rest) -> str:
            line.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n" + rest)
            return "close"

        path = origin.new(answer)
        for _ in range(2):
            with edge.connect() as client:
                client.request(path)
                found = client.head()
                if found.status == 502:  # it broke before anything was sent on
                    continue
                assert found.status == 200
                assert not client.rest().endswith(b"0\r\n\r\n"), how
        origin.at(path, reply(b"whole", FRESH))
        edge.ask(path)
        assert edge.ask(path).body == b"whole"


def test_negative_answers_are_stored_as_long_as_they_say(edge: Edge, origin: WebOrigin) -> None:
    said = origin.new(numbered(FRESH, status="404 Not Found"))
    assert [edge.ask(said).body for _ in range(3)] == [b"1"] * 3
    silent = origin.new(numbered(status="404 Not Found"))
    assert [edge.ask(silent).body for _ in range(3)] == [b"1", b"2", b"3"]


def test_compressed_variants(edge: Edge, origin: WebOrigin) -> None:
    """They appear beside the page, each with a validator of its own, and the miss says already that there
    may be some. Source: RFC 9110 §8.4, §8.8.3.3, §12.5.5"""
    body = b"<p>compressible</p>" * 500
    for etag in ((), (ETAG,)):
        path = origin.new(reply(body, FRESH, "Content-Type: text/html", "Vary: Cookie", *etag))
        miss = edge.ask(path)
        assert miss["vary"] == "Cookie, Accept-Encoding"
        eventually(lambda path=path: edge.ask(path, "Accept-Encoding: br, gzip")["content-encoding"] == "br")
        plain = edge.ask(path)
        coded = {coding: edge.ask(path, f"Accept-Encoding: {coding}") for coding in ("br", "gzip")}
        assert plain.body == body and plain["content-encoding"] is None and plain["vary"] == miss["vary"]
        assert len({plain["etag"], coded["br"]["etag"], coded["gzip"]["etag"]}) == 3
        for coding, found in coded.items():
            assert found["content-encoding"] == coding and len(found.body) < len(body) // 4
            assert found["vary"] == miss["vary"] and found.hit
            assert (
                edge.ask(path, f"Accept-Encoding: {coding}", f"If-None-Match: {found['etag']}").status == 304
            )
            assert edge.ask(path, f"If-None-Match: {found['etag']}").status == 200
        assert edge.ask(path, "Accept-Encoding: br;q=0, gzip;q=0")["content-encoding"] is None
        assert origin.count(path) == 1


def test_the_vary_of_a_miss_that_is_streamed(edge: Edge, edge3: Edge, origin: WebOrigin) -> None:
    """Downstream caches must know from the first answer on."""

    def slowly(asked: Asked, line: Line) -> None:
        line.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Type: text/css\r\n")
        line.send(b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert more.wait(20)
        line.send(b"0\r\n\r\n")

    for one in (edge, edge3):
        more = threading.Event()
        path = origin.new(slowly)
        with one.connect() as client:
            client.request(path)
            assert client.head()["vary"] == "Accept-Encoding"
            more.set()
            assert client.chunk() == b"first"
        eventually(lambda one=one, path=path: one.ask(path).hit)
        assert one.ask(path)["vary"] == "Accept-Encoding"


def test_a_page_larger_than_is_stored_is_served_all_the_same(edge: Edge, origin: WebOrigin) -> None:
    size = 70 << 20
    path = origin.new(lambda asked, line: line.send(reply(b"x" * size, FRESH)))
    with edge.connect() as client:
        client.request(path)
        assert client.head()["content-length"] == str(size)
        assert client.exactly(size) == b"x" * size
    assert not edge.ask(path, "Cache-Control: only-if-cached").hit


def test_the_origin_has_a_date_or_gets_one(edge: Edge, origin: WebOrigin) -> None:
    """Source: RFC 9110 §6.6.1"""
    date = "Mon, 02 Nov 2026 10:00:00 GMT"
    dated = origin.new(reply(b"x", "Cache-Control: max-age=99999999", f"Date: {date}"))
    undated = origin.new(reply(b"x", FRESH))
    first = None
    for _ in range(4):
        assert edge.ask(dated)["date"] == date
        assert (first := first or edge.ask(undated)["date"]) == edge.ask(undated)["date"]
    assert int(edge.ask(dated)["age"] or "0") > 1000


def test_http_1_0_gets_hits_too(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(numbered(FRESH))
    for _ in range(3):
        with edge.connect() as client:
            client.send(head("Host: h", path=path, version="1.0"))
            assert client.reply().body == b"1"


def test_times_are_told_within_reason(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(reply(b"x", "Cache-Control: max-age=2"))
    edge.ask(path)
    began = time.monotonic()
    eventually(lambda: not edge.ask(path).hit)
    assert time.monotonic() - began < 10
