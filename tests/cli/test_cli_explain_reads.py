"""`uncork explain` of a project's page: what a render reads by its names, and which purge was the last."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.notes_project import SERVE, URLS, ask, fill, make_notes_project, run
from support.uncork_process import REAL, Uncork
from uncork.purging.table import ClockTable


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_notes_project(tmp_path_factory.mktemp("notes"))


@pytest.fixture(scope="module")
def uncork(project: Path) -> Iterator[Uncork]:
    with Uncork(*SERVE, cwd=project, program=REAL) as found:
        yield found


def explained(project: Path, uncork: Uncork, path: str, *more: str) -> dict[str, Any]:
    url = f"http://{uncork.address}{path}"
    found: dict[str, Any] = json.loads(run(project, "explain", url, "--json", *more))
    return found


def tables(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {table["table"]: table for table in found["reads"]["data"]["tables"]}


def test_what_a_page_read_of_the_data(project: Path, uncork: Uncork) -> None:
    fill(uncork)
    found = explained(project, uncork, "/2/")
    rows = [{"column": "id", "values": ["2"], "only": ["text"]}]
    assert tables(found)["mysite_note"]["rows"] == rows
    assert found["page"]["unnamed_slots"] == 0
    listed = tables(explained(project, uncork, "/"))["mysite_note"]
    assert listed["existence"] and listed["columns"] == ["text"]
    assert listed["rows"] == [{"column": "id", "values": ["1", "2", "3"], "only": ["text"]}]
    counted = explained(project, uncork, "/count/")
    assert counted["reads"]["data"]["own"] == ["weather"]
    assert tables(counted)["mysite_note"] == {
        "table": "mysite_note",
        "whole": False,
        "existence": True,
        "columns": [],
        "rows": [],
    }
    assert tables(explained(project, uncork, "/raw/"))["mysite_note"]["whole"]
    text = run(project, "explain", f"http://{uncork.address}/")
    assert "  mysite_note   rows id=1, 2, 3, of them text\n" in text
    assert "  mysite_note   which rows there are\n" in text


def test_what_a_page_read_of_the_request_and_where(project: Path, uncork: Uncork) -> None:
    found = explained(project, uncork, "/")["reads"]
    line = 1 + URLS.splitlines().index('    theme = request.COOKIES.get("theme", "bright")')
    place = f"{project / 'mysite' / 'urls.py'}:{line}"
    assert found["inputs"] == [{"name": "cookie:theme", "place": place}]
    assert found["unshared"] is None and found["reasons"] == []
    text = run(project, "explain", f"http://{uncork.address}/")
    assert f"  cookie:theme  mysite/urls.py:{line}\n" in text


def test_why_a_page_is_not_shared_and_where_that_was_read(project: Path, uncork: Uncork) -> None:
    cookie = ("--header", "Cookie: sessionid=0123456789abcdefghijklmnopqrstuv")
    found = explained(project, uncork, "/hello/", *cookie)["reads"]
    assert found["unshared"] == "session"
    line = 1 + URLS.splitlines().index(
        "    return HttpResponse(f\"hello {request.user.get_username() or 'stranger'}\")"
    )
    (reason,) = found["reasons"]
    assert reason == {"reason": "session", "place": f"{project / 'mysite' / 'urls.py'}:{line}"}
    text = run(project, "explain", f"http://{uncork.address}/hello/", *cookie)
    assert f"not shared: session, read at mysite/urls.py:{line}\n" in text


def test_what_purged_a_page_last(project: Path, uncork: Uncork) -> None:
    fill(uncork)
    ask(uncork, "/write/2/?mood=calm&text=zwei")
    page = explained(project, uncork, "/2/")["page"]
    assert page["verdict"] == "purged"
    last = page["last_purge"]
    assert last["of"][0] == "db:mysite_note.id=2~text" and not last["soft"]
    assert 0 <= page["stored_at"] - last["at"] + page["age"] < 60
    text = run(project, "explain", f"http://{uncork.address}/2/")
    assert " s ago; of\n  mysite_note: text of rows id=2\n" in text
    ask(uncork, "/2/")
    page = explained(project, uncork, "/2/")["page"]
    assert page["verdict"] == "valid" and page["last_purge"]["counter"] == last["counter"]
    assert "ago, before it was made; of" in run(project, "explain", f"http://{uncork.address}/2/")


def test_nobody_is_asked_without_a_wish_or_a_site(project: Path, uncork: Uncork, tmp_path: Path) -> None:
    fill(uncork)
    found = explained(project, uncork, "/2/", "--no-render")
    assert found["reads"] is None and found["not_asked"] is None and found["page"] is not None
    assert "read now" not in run(project, "explain", f"http://{uncork.address}/2/", "--no-render")


def test_a_client_is_told_nothing(uncork: Uncork, project: Path) -> None:
    table = ClockTable(project / ".uncork")
    name = table.name.decode()
    table.close(clean=False)
    fresh = ask(uncork, "/hello/?x", f"Uncork-Explain: {name}", f"Uncork-Edge: {name}", "Cookie: sessionid=x")
    assert fresh.status == 200 and not fresh.hit
    assert not [name for name in ("tags", "places", "reasons", "fallbacks") if fresh[f"uncork-{name}"]]
