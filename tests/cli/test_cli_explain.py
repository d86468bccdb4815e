"""`uncork explain`: what it tells of a request is what the edge does with it."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.edge_client import Edge, serve
from support.recorded import cookie, recorded
from support.uncork_process import run_uncork
from support.web_origin import Asked, Line, WebOrigin, reply
from uncork.cli.explain import explanation, parse_request, told
from uncork.pages.record import Unshared
from uncork.pages.tags import tag_slot
from uncork.purging.table import ClockTable
from uncork.stores.disk import DiskStore

FRESH = "Cache-Control: max-age=600"


@pytest.fixture(scope="module")
def origin() -> Iterator[WebOrigin]:
    found = WebOrigin()
    yield found
    found.stop()


@pytest.fixture(scope="module", params=[1, 3])
def edge(
    request: pytest.FixtureRequest, origin: WebOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    with serve(tmp_path_factory.mktemp("explain"), origin.url, workers=request.param) as found:
        yield found


def explained(edge: Edge, url: str, *headers: str) -> dict[str, Any]:
    with closing(ClockTable(edge.state_dir)) as table, closing(DiskStore(edge.state_dir / "pages")) as store:
        request = parse_request(url, headers)
        found = explanation(store, table, request, time.time(), edge.state_dir)
    assert json.loads(json.dumps(found)) == found
    return found


def said(edge: Edge, url: str, *headers: str) -> str:
    return "\n".join(told(explained(edge, url, *headers)))


def run(edge: Edge, *arguments: str) -> str:
    """What the program prints."""
    found = run_uncork("explain", *arguments, "--state-dir", str(edge.state_dir), cwd=edge.cwd)
    assert found.returncode == 0, found.stderr
    return found.stdout


def by_session(asked: Asked, line: Line) -> None:
    who = cookie(asked, "sessionid")
    unshared = None if who is None else Unshared.SESSION
    inputs = ["cookie:sessionid", "query:page", "field:accept-language"]
    line.send(recorded(asked, f"for {who}", inputs=inputs, tags=[f"t{asked.path}"], unshared=unshared))


def test_of_what_nothing_is_known(edge: Edge, origin: WebOrigin) -> None:
    url = f"http://h{origin.path()}"
    found = explained(edge, url)
    assert found["page"] is None and not found["known"] and found["known_as"] is None
    assert found["answered"] == {"by": "origin", "reason": "miss"}
    assert "not known yet" in said(edge, url)


def test_a_page_and_what_selects_it(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(by_session)
    edge.ask(f"{path}?page=2&utm=1", "Accept-Language: de")
    lines = ("Cookie: _ga=1", "Accept-Language: de")
    found = explained(edge, f"http://H:80{path}?utm=3&page=2#top", *lines)
    inputs = [
        {"name": "cookie:sessionid", "value": None},
        {"name": "field:accept-language", "value": "de"},
        {"name": "query:page", "value": "page=2"},
    ]
    assert found["inputs"] == inputs
    assert found["answered"] == {"by": "store", "reason": "hit"}
    assert found["key"] != found["primary_key"] and Path(found["file"]).is_file()
    page = found["page"]
    assert page["inputs"] == inputs and page["status"] == 200
    assert page["made_for"] == f"http://h{path}?page=2&utm=1"
    assert page["vary"] == "Cookie, accept-language" and page["cache_control"] == "no-cache"
    assert (page["lifetime"], page["lifetime_from"], page["verdict"]) == (600, "max-age", "valid")
    assert 590 <= page["ttl"] <= 600 and 0 <= page["age"] < 10
    assert tag_slot(f"t{path}".encode(), ClockTable(edge.state_dir).clock.slots) in page["slots"]
    text = said(edge, f"http://h{path}?page=2", *lines)
    for line in (
        "answered:   from the store (hit)",
        "  query:page             'page=2'",
        "clock:      valid;",
    ):
        assert line in text
    other = explained(edge, f"http://h{path}?page=3")
    assert other["page"] is None and other["answered"]["reason"] == "variant-miss"


def test_who_is_passed_and_why(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(by_session)
    edge.ask(path, "Cookie: sessionid=me")
    found = explained(edge, f"http://h{path}", "Cookie: sessionid=you")
    assert found["page"] is None
    (mark,) = found["marks"]
    assert mark["reason"] == "session" and 0 < mark["seconds"] <= 60
    assert explained(edge, f"http://h{path}")["marks"] == []
    assert "not shared: session; passed" in said(edge, f"http://h{path}", "Cookie: sessionid=you")
    private = origin.new(reply(b"x", "Cache-Control: private"))
    edge.ask(f"{private}?a")
    assert explained(edge, f"http://h{private}?a")["marks"][0]["reason"] == "private"
    assert explained(edge, f"http://h{private}?b")["marks"] == []


@pytest.mark.parametrize(
    ("what", "soft", "by"),
    [
        (("--url", "http://h{path}"), False, "url:h{path}"),
        (("--url", "http://h{path}?page=1"), False, "queries:h{path}"),
        (("--prefix", "http://h{path}"), True, "prefix:h{path}/"),
        (("--tag", "t{path}"), False, None),
        (("--all",), True, "everything"),
    ],
)
def test_what_was_purged_and_by_what(
    edge: Edge, origin: WebOrigin, what: tuple[str, ...], soft: bool, by: str | None
) -> None:
    path = origin.new(by_session)
    edge.ask(path)
    edge.purge(*(part.format(path=path) for part in what), *(("--soft",) if soft else ()))
    found = explained(edge, f"http://h{path}")
    page = found["page"]
    assert page["verdict"] == ("purged softly" if soft else "purged")
    assert found["answered"]["reason"] == ("hit-stale" if soft else "purged")
    (purged,) = page["purged_by"]
    assert purged["tags"] == ([] if by is None else [by.format(path=path)])
    shown = "a tag of what it read" if by is None else by.format(path=path)
    assert f"purged by:  {shown} (slot {purged['slot']})" in said(edge, f"http://h{path}")


def test_a_page_without_a_record(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(reply(b"x", FRESH, "Vary: Accept-Language"))
    edge.ask(f"{path}?a=1")
    found = explained(edge, f"http://h{path}?a=1")
    assert [one["name"] for one in found["inputs"]] == ["field:accept-language", "query"]
    assert found["answered"]["by"] == "store"
    assert explained(edge, f"http://h{path}?a=1", "Authorization: Basic x")["answered"] == {
        "by": "origin",
        "reason": "pass-authorization",
    }


def test_the_other_scheme_is_named(edge: Edge, origin: WebOrigin) -> None:
    path = origin.new(reply(b"x", FRESH))
    edge.ask(path)
    assert explained(edge, f"https://h{path}")["known_as"] == f"http://h{path}"
    assert f"something is known of http://h{path}" in said(edge, f"https://h{path}")


def test_it_works_without_a_supervisor(tmp_path: Path, origin: WebOrigin) -> None:
    path = origin.new(by_session)
    with serve(tmp_path, origin.url) as edge:
        edge.ask(path)
        edge.ask(path, "Cookie: sessionid=me")
    assert explained(edge, f"http://h{path}")["answered"]["by"] == "store"
    assert explained(edge, f"http://h{path}", "Cookie: sessionid=me")["marks"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/a"], "say a whole URL"),
        (["http:///a"], "not a host"),
        (["http://h/a b"], "a control character, a space"),
        (["http://h/", "--header", "Cookie"], "a header is a line like"),
        (["http://h/", "--state-dir", "."], "there are no pages in"),
        (["http://h/", "--state-dir", "missing"], "there is no state directory"),
        ([], "Missing argument 'URL'"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: list[str], message: str) -> None:
    found = run_uncork("explain", *arguments, cwd=tmp_path)
    assert found.returncode == 2 and message in found.stderr
    assert all(line.startswith("uncork: ") for line in found.stderr.splitlines())
    assert not list(tmp_path.iterdir())
