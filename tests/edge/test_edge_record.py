"""What a render says that it read decides who gets its page, and when it is purged."""

import json
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.edge_client import Edge, Reply, eventually, serve
from support.recorded import cookie, record_lines, recorded
from support.web_origin import Asked, Line, WebOrigin, reply
from uncork.pages.record import Unshared
from uncork.purging.table import ClockTable

ME = "Cookie: sessionid=me; _ga=1"
YOU = "Cookie: sessionid=you"
SESSION = "cookie:sessionid"


@pytest.fixture(scope="module", params=[1, 4])
def site(
    request: pytest.FixtureRequest, origin: WebOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    """An edge with one worker, and one with four."""
    cwd = tmp_path_factory.mktemp("recorded")
    log = ("--access-log", str(cwd / "access.log"), "--access-log-format", "json")
    with serve(cwd, origin.url, *log, workers=request.param) as found:
        yield found


@pytest.fixture
def table(site: Edge) -> ClockTable:
    return ClockTable(site.state_dir)


def by_session(asked: Asked, line: Line) -> None:
    """A page that greets who is logged in."""
    who = cookie(asked, "sessionid")
    unshared = Unshared.SESSION if who is not None else None
    line.send(recorded(asked, f"for {who}", inputs=[SESSION], unshared=unshared))


def asks(site: Edge, path: str, *lines: str, times: int = 6) -> list[Reply]:
    """The answers over so many connections, which come to whichever worker."""
    return [site.ask(path, *lines) for _ in range(times)]


def files(site: Edge) -> list[Path]:
    return [path for path in (site.state_dir / "pages").rglob("*") if path.is_file() and len(path.name) == 30]


# What the two tell each other


def test_the_origin_is_told_the_clock_and_clients_are_told_nothing(
    site: Edge, origin: WebOrigin, table: ClockTable
) -> None:
    seen: list[Asked] = []

    def answer(asked: Asked, line: Line) -> None:
        seen.append(asked)
        line.send(recorded(asked, "x", "Uncork-Other: 1", inputs=["query:a"], tags=["t"]))

    path = origin.new(answer)
    before = set(files(site))
    for method in ("GET", "GET", "HEAD", "POST"):
        found = site.ask(
            path, "Uncork-Edge: forged", "uncork_edge: forged", "Uncork-Record: 1 x", method=method
        )
        assert not [name for name, _ in found.lines if name.startswith("uncork")]
    for asked in seen:
        assert [line for line in asked.lines if line[0].startswith("uncork")] == [
            ("uncork-edge", table.name.decode())
        ]
    (file,) = set(files(site)) - before
    stored = file.read_bytes()
    assert b"uncork-cache-control" in stored  # which a 304 need not repeat
    for name in (b"uncork-record", b"uncork-inputs", b"uncork-slots"):
        assert name not in stored


@pytest.mark.parametrize("foreign", ["clock", "version", "input", "slot", "reason"])
def test_a_record_that_is_not_for_us_has_no_effect(site: Edge, origin: WebOrigin, foreign: str) -> None:
    """All is as HTTP has it for everyone; what was said to us alone rests on the record."""

    def lines(asked: Asked) -> list[str]:
        said = record_lines(asked, ["query:a"], ["t"], Unshared.SESSION if foreign == "reason" else None)
        match foreign:
            case "clock":
                return record_lines(asked, ["query:a"], clock="0" * 16)
            case "version":
                return [line.replace("record: 1", "record: 2") for line in said]
            case "input":
                return [line.replace("query:a", "weather") for line in said]
            case "slot":
                return [f"{line}9999999" if line.startswith("uncork-slots") else line for line in said]
        return [line.replace("session", "whim") for line in said]

    def answer(asked: Asked, line: Line) -> None:
        line.send(reply(asked.target.encode(), "Cache-Control: max-age=60", *lines(asked)))

    def answer_us(asked: Asked, line: Line) -> None:
        line.send(reply(b"x", "Uncork-Cache-Control: max-age=60", *lines(asked)))

    path, for_us = origin.new(answer), origin.new(answer_us)
    for query in ("?utm=1", "?utm=2", "?utm=1"):
        found = site.ask(path + query)
        assert found.body.decode() == path + query
        assert not [name for name, _ in found.lines if name.startswith("uncork")]
    assert found.hit
    assert [site.ask(for_us).hit for _ in range(3)] == [False] * 3


# Which requests are alike


def test_what_nobody_read_splits_nothing(site: Edge, origin: WebOrigin) -> None:
    def answer(asked: Asked, line: Line) -> None:
        line.send(recorded(asked, "page", inputs=["query:page", SESSION, "field:accept-language"]))

    path = origin.new(answer)
    site.ask(path)
    for number in range(8):
        found = site.ask(
            f"{path}?utm_source={number}", f"Cookie: _ga={number}", f"User-Agent: {number}", "Referer: /"
        )
        assert found.hit and found.body == b"page"
    assert origin.count(path) == 1
    assert not site.ask(f"{path}?page=2").hit
    assert site.ask(f"{path}?utm=1&page=2").hit
    assert not site.ask(path, "Accept-Language: de").hit
    assert not site.ask(path, YOU).hit
    assert origin.count(path) == 4


def test_more_is_read_by_other_code_paths(site: Edge, origin: WebOrigin) -> None:
    """What one render read is asked of all: the names of a URL only become more."""

    def answer(asked: Asked, line: Line) -> None:
        shown = cookie(asked, "theme")
        inputs = ["query:tab", *(["cookie:theme"] if "tab=look" in asked.target else [])]
        body = f"{asked.target.count('tab=look')} {shown if len(inputs) > 1 else '-'}"
        line.send(recorded(asked, body, inputs=inputs))

    path = origin.new(answer)
    for _ in range(2):
        for theme in ("dark", "light"):
            assert site.ask(path, f"Cookie: theme={theme}").body == b"0 -"
            assert site.ask(f"{path}?tab=look", f"Cookie: theme={theme}").body == f"1 {theme}".encode()
            assert site.ask(f"{path}?tab=look", f"Cookie: theme={theme}; b=c").hit


@pytest.mark.parametrize(
    ("vary", "splits"),
    [
        ("Cookie", False),  # which cookies, the record says
        ("Cookie, Accept-Language", True),
        ("Accept-Language", True),
        ("X-Forwarded-Proto", False),
    ],
)
def test_vary_has_a_say_where_it_names_more(site: Edge, origin: WebOrigin, vary: str, splits: bool) -> None:
    def answer(asked: Asked, line: Line) -> None:
        line.send(recorded(asked, "x", f"Vary: {vary}", inputs=[SESSION]))

    path = origin.new(answer)
    site.ask(path)
    assert site.ask(path, "Cookie: _ga=1").hit
    assert site.ask(path, "Accept-Language: de").hit is not splits


def test_vary_cookie_counts_whole_where_no_cookie_was_recorded(site: Edge, origin: WebOrigin) -> None:
    path = origin.new(lambda asked, line: line.send(recorded(asked, "x", "Vary: Cookie")))
    site.ask(path)
    assert not site.ask(path, "Cookie: _ga=1").hit


@pytest.mark.parametrize(
    "name", ["x-real-ip", "x-forwarded-proto", "host", "x_odd", "uncork-edge", "connection"]
)
def test_what_the_origin_never_sees_of_a_client_is_no_input(site: Edge, origin: WebOrigin, name: str) -> None:
    path = origin.new(lambda asked, line: line.send(recorded(asked, "x", inputs=[f"field:{name}"])))
    site.ask(path)
    more = () if name in ("host", "connection") else (f"{name}: 1",)
    assert site.ask(path, *more).hit


# What can't be shared


@pytest.mark.parametrize("reason", list(Unshared))
def test_why_a_page_is_not_shared_is_told(site: Edge, origin: WebOrigin, reason: Unshared) -> None:
    """In the answer and in the log, whichever worker was asked. Source: RFC 9211 §2.8"""
    path = origin.new(lambda asked, line: line.send(recorded(asked, "x", unshared=reason)))
    first, *others = asks(site, path)
    assert first.cache == f"Uncork; fwd=miss; fwd-status=200; detail=pass-unshared.{reason.value}"
    assert not any(found.hit for found in others)
    assert origin.count(path) == 6
    log = site.cwd / "access.log"
    lines: list[dict] = []

    def logged() -> bool:
        lines[:] = [
            one
            for text in log.read_text().splitlines()
            if f" {path} " in (one := json.loads(text))["request"]
        ]
        return len(lines) == 6

    eventually(logged)
    assert {one["reason"] for one in lines} == {reason.value}
    assert {one["outcome"] for one in lines} <= {"pass-unshared", "pass-known"}


@pytest.mark.parametrize("lines", [("Set-Cookie: a=1",), ("Vary: *",)])
def test_a_record_allows_nothing_that_http_forbids(
    site: Edge, origin: WebOrigin, lines: tuple[str, ...]
) -> None:
    path = origin.new(lambda asked, line: line.send(recorded(asked, "x", *lines)))
    assert not any(found.hit for found in asks(site, path))


def test_what_depends_on_the_clients_address_is_not_shared(site: Edge, origin: WebOrigin) -> None:
    path = origin.new(lambda asked, line: line.send(recorded(asked, "x", inputs=["field:x-forwarded-for"])))
    found = asks(site, path)
    assert found[0].cache.endswith("detail=pass-unshared.client-address")
    assert not any(one.hit for one in found)


@pytest.mark.parametrize("first", ["me", "nobody"])
def test_who_is_logged_in_gets_a_page_of_his_own_and_the_others_share_one(
    site: Edge, origin: WebOrigin, first: str
) -> None:
    """Whoever comes first. Of one who is logged in, it becomes known what the page reads."""
    path = origin.new(by_session)
    if first == "me":
        assert [found.body for found in asks(site, path, ME)] == [b"for me"] * 6
    missed = site.ask(path, "Cookie: _ga=2")
    assert not missed.hit and missed.body == b"for None" and "stored" in missed.cache
    for number in range(8):
        found = site.ask(f"{path}?utm={number}", f"Cookie: _ga={number}")
        assert found.hit and found.body == b"for None"
    asked = origin.count(path)
    for who, lines in (("me", ME), ("you", YOU), ("me", ME)):
        found = asks(site, path, lines)
        assert {one.body for one in found} == {f"for {who}".encode()}
        assert not any(one.hit for one in found)
    assert origin.count(path) == asked + 18
    assert site.ask(path).hit


def test_many_who_are_logged_in_and_many_who_are_not(site: Edge, origin: WebOrigin) -> None:
    path = origin.new(by_session)
    clients = [site.connect() for _ in range(8)]
    try:
        for turn in range(12):
            for number, client in enumerate(clients):
                if (turn + number) % 3 == 0:
                    found = client.ask(path, f"Cookie: _ga={turn}; sessionid={number}")
                    assert found.body == f"for {number}".encode() and not found.hit
                else:
                    found = client.ask(path, f"Cookie: _ga={turn}")
                    assert found.body == b"for None" and (found.hit or turn == 0)
    finally:
        for client in clients:
            client.sock.close()
    # Each who is logged in, and one for the others; looks may have fetched it once more.
    assert 32 + 1 <= origin.count(path) <= 32 + 3


@pytest.mark.parametrize("strangers", [1, 12])
def test_nobody_is_passed_for_having_waited_for_one_who_is_logged_in(
    site: Edge, origin: WebOrigin, strangers: int
) -> None:
    """The first of all is logged in; the others come while his page is made."""
    begun, finish = threading.Event(), threading.Event()

    def answer(asked: Asked, line: Line) -> None:
        if cookie(asked, "sessionid") == "me":
            begun.set()
            assert finish.wait(20)
        by_session(asked, line)

    path = origin.new(answer)
    # All over one worker's connection count, whichever is home: who waits is seen by nobody but the edge.
    with ThreadPoolExecutor(strangers + 2) as pool:
        mine = pool.submit(site.ask, path, ME)
        assert begun.wait(20)
        others = [pool.submit(site.ask, path, f"Cookie: _ga={number}") for number in range(strangers)]
        yours = pool.submit(site.ask, path, YOU)
        threading.Event().wait(0.3)  # let them arrive; who comes later finds what is known by then
        finish.set()
        assert mine.result().body == b"for me"
        assert yours.result().body == b"for you"
        found = [other.result() for other in others]
    assert {one.body for one in found} == {b"for None"}
    assert all(one.hit or "stored" in one.cache for one in found)
    assert origin.count(path) == 3
    assert all(one.hit for one in asks(site, path))


def test_one_who_is_logged_in_does_not_get_what_he_waited_for(site: Edge, origin: WebOrigin) -> None:
    begun, finish = threading.Event(), threading.Event()

    def answer(asked: Asked, line: Line) -> None:
        if cookie(asked, "sessionid") is None:
            begun.set()
            assert finish.wait(20)
        by_session(asked, line)

    path = origin.new(answer)
    with ThreadPoolExecutor(3) as pool:
        nobody = pool.submit(site.ask, path)
        assert begun.wait(20)
        mine, yours = pool.submit(site.ask, path, ME), pool.submit(site.ask, path, YOU)
        threading.Event().wait(0.2)
        finish.set()
        assert nobody.result().body == b"for None"
        assert mine.result().body == b"for me" and yours.result().body == b"for you"


def test_who_invents_sessions_fills_nothing(site: Edge, origin: WebOrigin) -> None:
    path = origin.new(by_session)
    before = len(files(site))
    with site.connect() as client:
        for number in range(300):
            assert client.ask(path, f"Cookie: sessionid=x{number}").body == f"for x{number}".encode()
        assert len(files(site)) == before + 1  # what is known of the URL
        assert not client.ask(path).hit
        assert client.ask(path).hit
        assert len(files(site)) == before + 1


def test_a_page_that_does_not_read_the_session_is_for_all(site: Edge, origin: WebOrigin) -> None:
    path = origin.new(lambda asked, line: line.send(recorded(asked, "x")))
    site.ask(path, ME)
    for lines in ((), (YOU,), ("Cookie: _ga=1",)):
        assert all(found.hit for found in asks(site, path, *lines))
    assert origin.count(path) == 1


def test_a_page_that_stops_reading_the_session_is_stored_again(site: Edge, origin: WebOrigin) -> None:
    """Who is logged in has been passed; a response that could be shared is noticed."""
    personal = [True]

    def answer(asked: Asked, line: Line) -> None:
        unshared = Unshared.SESSION if personal else None
        line.send(recorded(asked, "x", inputs=[SESSION], unshared=unshared))

    path = origin.new(answer)
    with site.connect() as client:
        for _ in range(4):
            assert not client.ask(path, ME).hit
        personal.clear()
        eventually(lambda: client.ask(path, ME).hit)


# When it is purged


def test_a_write_purges_what_read_it(site: Edge, origin: WebOrigin, table: ClockTable) -> None:
    numbers = iter(range(100))

    def answer(asked: Asked, line: Line) -> None:
        tags = ["db:event.id=1", f"db:event.id=1{asked.path}"]
        line.send(recorded(asked, f"{next(numbers)}", "Cache-Tag: own", inputs=["query:a"], tags=tags))

    path = origin.new(answer)
    for tag in (f"db:event.id=1{path}", "db:event.id=1", "own"):
        before = site.ask(path).body
        assert site.ask(path, "Cookie: _ga=1").body == before
        table.purge([b"db:event.id=2"])
        assert site.ask(path).body == before
        table.purge([tag.encode()])
        assert all(found.body != before for found in asks(site, path, times=2))


@pytest.mark.parametrize("query", ["", "?page=2", "?page=2&utm=9", "?page=2&utm=1"])
def test_a_purge_of_a_url_reaches_the_page_whichever_query_it_was_made_for(
    site: Edge, origin: WebOrigin, query: str
) -> None:
    numbers = iter(range(100))
    path = origin.new(
        lambda asked, line: line.send(recorded(asked, f"{next(numbers)}", inputs=["query:page"]))
    )
    before = site.ask(f"{path}?page=2&utm=1").body
    assert site.ask(f"{path}?page=2&utm=9").body == before
    site.purge("--url", f"http://h{path}{query}")
    assert site.ask(f"{path}?page=2").body != before


def test_after_a_purge_one_render_is_for_all_queries(
    site: Edge, origin: WebOrigin, table: ClockTable
) -> None:
    """By then it is known that none of them was read."""
    slow = threading.Event()

    def answer(asked: Asked, line: Line) -> None:
        if slow.is_set():
            threading.Event().wait(0.3)
        line.send(recorded(asked, "x", tags=[f"t{asked.path}"]))

    path = origin.new(answer)
    site.ask(path)
    table.purge([f"t{path}".encode()])
    slow.set()
    with ThreadPoolExecutor(8) as pool:
        assert {found.body for found in pool.map(site.ask, [f"{path}?utm={n}" for n in range(8)])} == {b"x"}
    assert origin.count(path) == 2


# A stored page that is still right


def validated(*versions: tuple[list[str], list[str], Unshared | None]):
    """An answer whose bytes stay the same, while what it reads changes: 304 to who has it."""
    left = list(versions)

    def answer(asked: Asked, line: Line) -> None:
        inputs, tags, unshared = left.pop(0) if len(left) > 1 else left[0]
        tags = [tag + asked.path for tag in tags]
        if asked["if-none-match"] == '"e"':
            line.send(
                recorded(
                    asked,
                    b"",
                    'ETag: "e"',
                    inputs=inputs,
                    tags=tags,
                    unshared=unshared,
                    status="304 Not Modified",
                )
            )
        else:
            line.send(recorded(asked, "same", 'ETag: "e"', inputs=inputs, tags=tags, unshared=unshared))

    return answer


@pytest.mark.parametrize("tag", ["a", "b"])
def test_a_304_brings_a_record_of_its_own(site: Edge, origin: WebOrigin, table: ClockTable, tag: str) -> None:
    """A view may say 304 by what little it has read: what the page read before counts on."""
    path = origin.new(validated(([], ["a"], None), ([], ["b"], None)))
    site.ask(path)
    assert "fwd-status=304" in site.ask(path, "Cache-Control: no-cache").cache
    assert site.ask(path).hit
    table.purge([f"{tag}{path}".encode()])
    assert site.ask(path).cache.endswith("detail=purged")


def test_a_304_that_read_more(site: Edge, origin: WebOrigin) -> None:
    path = origin.new(validated((["query:a"], [], None), (["query:a", SESSION], [], None)))
    site.ask(path)
    assert site.ask(path, YOU).hit
    assert "fwd-status=304" in site.ask(path, "Cache-Control: no-cache").cache
    assert site.ask(path).hit
    eventually(lambda: not site.ask(path, YOU).hit)  # memory looks at the page again within a second
    assert all(found.hit for found in asks(site, path, "Cookie: _ga=1"))


def test_a_304_to_one_who_has_what_it_read_is_no_validation_for_all(site: Edge, origin: WebOrigin) -> None:
    """The page was for everyone, and is now for who has this cookie: it is fetched for its own place."""
    path = origin.new(validated(([], [], None), (["cookie:theme"], [], None)))
    site.ask(path)
    theme = "Cookie: theme=dark"
    assert "fwd-status=200" in site.ask(path, theme, "Cache-Control: no-cache").cache
    assert site.ask(path, theme).hit
    assert site.ask(path).hit and not site.ask(path, "Cookie: theme=light").hit


def test_a_304_to_who_is_logged_in_is_his_own(site: Edge, origin: WebOrigin) -> None:
    path = origin.new(validated(([], [], None), ([SESSION], [], Unshared.SESSION)))
    site.ask(path)
    found = site.ask(path, ME, "Cache-Control: no-cache")
    assert found.status == 200 and found.cache.endswith("detail=pass-unshared.session")
    assert not site.ask(path, ME).hit


def test_a_304_without_a_record_says_too_little(site: Edge, origin: WebOrigin) -> None:
    def answer(asked: Asked, line: Line) -> None:
        if asked["if-none-match"]:
            line.send(reply(b"", 'ETag: "e"', status="304 Not Modified"))
        else:
            line.send(recorded(asked, "x", 'ETag: "e"'))

    path = origin.new(answer)
    site.ask(path)
    assert "fwd-status=200" in site.ask(path, "Cache-Control: no-cache").cache


# Where the store takes nothing


@pytest.mark.parametrize("vary", [False, True])
def test_a_full_disk_gives_nobody_the_page_of_another(tmp_path: Path, origin: WebOrigin, vary: bool) -> None:
    """Who waited for it is compared with what it read, although it is kept nowhere."""
    begun, finish = threading.Event(), threading.Event()

    def answer(asked: Asked, line: Line) -> None:
        theme = cookie(asked, "theme")
        if theme == "a":
            begun.set()
            assert finish.wait(20)
        if vary:
            line.send(reply(f"{theme}".encode(), "Cache-Control: max-age=60", "Vary: Cookie"))
        else:
            line.send(recorded(asked, f"{theme}", inputs=["cookie:theme"]))

    path = origin.new(answer)
    with serve(tmp_path, origin.url) as edge, ThreadPoolExecutor(4) as pool:
        (pid,) = edge.workers()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        first = pool.submit(edge.ask, path, "Cookie: theme=a")
        assert begun.wait(20)
        others = {name: pool.submit(edge.ask, path, f"Cookie: theme={name}") for name in ("b", "c")}
        threading.Event().wait(0.2)
        finish.set()
        assert first.result().body == b"a"
        assert {name: one.result().body for name, one in others.items()} == {"b": b"b", "c": b"c"}


def test_a_full_disk_keeps_nobody_from_his_page(tmp_path: Path, origin: WebOrigin) -> None:
    path = origin.new(by_session)
    with serve(tmp_path, origin.url) as edge:
        (pid,) = edge.workers()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        for _ in range(3):
            assert edge.ask(path, ME).body == b"for me"
            assert edge.ask(path).body == b"for None"


# From memory


def test_visitors_who_differ_in_what_nobody_read_share_one_memo(tmp_path: Path, origin: WebOrigin) -> None:
    path = origin.new(by_session)
    with serve(tmp_path, origin.url) as edge, edge.connect() as client:
        lines = ("User-Agent: x", "Accept-Encoding: gzip")
        for _ in range(3):
            client.ask(path, *lines, "Cookie: _ga=0")
        before = edge.snapshot()["hot"]
        for number in range(64):
            found = client.ask(path, *lines, f"Cookie: _ga=GA1.{number}; consent=1")
            assert found.hit and found.body == b"for None"
            if number % 8 == 0:
                assert client.ask(path, *lines, f"Cookie: _ga={number}; sessionid=x").body == b"for x"
        after = edge.snapshot()["hot"]
        assert after["hits"] - before["hits"] == 64
        assert after["answers"] == before["answers"]


def test_who_is_passed_is_passed_without_a_look_into_the_store(tmp_path: Path, origin: WebOrigin) -> None:
    """Whether or not something is stored for the others."""
    path = origin.new(by_session)
    with serve(tmp_path, origin.url) as edge, edge.connect() as client:
        for stored in (False, True):
            if stored:
                for _ in range(2):
                    client.ask(path)
            for number in range(4):
                client.ask(path, f"Cookie: sessionid={number}")

            def looks() -> int:
                store = edge.snapshot()["store"]
                return store["hits"] + store["misses"]

            before = looks()
            for number in range(20):
                found = client.ask(path, f"Cookie: a=b; sessionid=x{number}")
                assert found.body == f"for x{number}".encode()
                assert found.cache.endswith("detail=pass-known")
            assert looks() == before
        assert client.ask(path).hit
