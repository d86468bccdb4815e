"""The access log: whole lines in both formats, nothing a client writes breaks them."""

import json
import os
import re
from pathlib import Path

import pytest

from uncork.edge.accesslog import AccessLog
from uncork.edge.hot import Hot
from uncork.edge.setup import LogFormat
from uncork.edge.trust import TrustedProxies
from uncork.wire.known import KnownHeads, Shape, cut
from uncork.wire.limits import Limits

NO_PROXIES = TrustedProxies()
HEAD = (
    b"GET /a HTTP/1.1\r\nHost: h\r\nUser-Agent: %s\r\nReferer: %s\r\nAccept: */*\r\nCookie: secret=1\r\n\r\n"
)

# What GoAccess, AWStats and their like expect. Source: the Apache HTTP Server's "combined" format
combined = re.compile(
    r"(\S+) - - \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] "
    r'"([^"]*)" (\d{3}) (\d+) "([^"]*)" "([^"]*)"'
)


def shape_of(agent: bytes, referer: bytes) -> tuple[Shape, list[bytes]]:
    head = HEAD % (agent, referer)
    parts = cut(head)
    block = KnownHeads(Limits()).assemble(parts).block
    return block.shape(parts, head.find(b"\r\n")), parts[2::3]


def hot_answer() -> Hot:
    hot = Hot(200, "whole", b'"x"')
    hot.length = 1234
    return hot


def logged(log: AccessLog, path: Path) -> list[str]:
    log.flush()
    return path.read_text().splitlines()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def test_a_line_of_the_fast_path_and_one_of_the_long_way_are_alike(path: Path) -> None:
    log = AccessLog(str(path), LogFormat.COMBINED, NO_PROXIES)
    shape, values = shape_of(b"Browser/1.0", b"http://h/before")
    log.hot(b"127.0.0.1", b"GET /a HTTP/1.1", hot_answer(), False, shape, values)
    log.add(
        b"127.0.0.1",
        b"GET /a HTTP/1.1",
        200,
        1234,
        shape.block.items,
        shape.volatile(values),
        "whole",
        0.01,
    )
    first, second = logged(log, path)
    assert first == second
    match = combined.fullmatch(first)
    assert match is not None
    assert match.group(1, 3, 4, 5, 6, 7) == (
        "127.0.0.1",
        "GET /a HTTP/1.1",
        "200",
        "1234",
        "http://h/before",
        "Browser/1.0",
    )


def test_a_304_has_no_content(path: Path) -> None:
    log = AccessLog(str(path), LogFormat.COMBINED, NO_PROXIES)
    hot = hot_answer()
    shape, values = shape_of(b"B", b"r")
    for not_modified in (True, False, True):
        log.hot(b"::1", b"GET /a HTTP/1.1", hot, not_modified, shape, values)
    assert [line.split('"')[2].strip() for line in logged(log, path)] == ["304 0", "200 1234", "304 0"]


@pytest.mark.parametrize("form", [LogFormat.COMBINED, LogFormat.JSON])
def test_no_client_breaks_a_line(path: Path, form: LogFormat) -> None:
    log = AccessLog(str(path), form, NO_PROXIES)
    shape, values = shape_of(b'a"b\\c\xff\td', b'" 200 0 "forged')
    log.hot(b"127.0.0.1", b'GET /"\xe4 HTTP/1.1', hot_answer(), False, shape, values)
    log.add(b"127.0.0.1", b'GET /"\xe4 HTTP/1.1', 400, 0, shape.block.items, shape.volatile(values), "x", 0.0)
    for line in logged(log, path):
        assert line.isascii() and line.isprintable()
        if form is LogFormat.COMBINED:
            match = combined.fullmatch(line)
            assert match is not None
            assert match[6] == "\\x22 200 0 \\x22forged"
            assert match[7] == "a\\x22b\\x5cc\\xff\\x09d"
        else:
            assert json.loads(line)["referer"] == "\\x22 200 0 \\x22forged"


def test_json_says_why(path: Path) -> None:
    log = AccessLog(str(path), LogFormat.JSON, NO_PROXIES)
    shape, values = shape_of(b"B", b"r")
    log.hot(b"127.0.0.1", b"GET /a HTTP/1.1", hot_answer(), False, shape, values)
    log.add(b"127.0.0.1", b"GET /b HTTP/1.1", 503, 7, (), (), "origin-failed", 0.25)
    ready, failed = map(json.loads, logged(log, path))
    assert ready["outcome"] == "whole" and ready["status"] == 200 and ready["user_agent"] == "B"
    assert failed["outcome"] == "origin-failed" and failed["seconds"] == 0.25 and failed["bytes"] == 7


def test_cookies_are_not_logged(path: Path) -> None:
    for form in LogFormat:
        log = AccessLog(str(path), form, NO_PROXIES)
        shape, values = shape_of(b"B", b"r")
        log.hot(b"127.0.0.1", b"GET /a HTTP/1.1", hot_answer(), False, shape, values)
        log.flush()
    assert "secret" not in path.read_text()


def test_a_file_that_was_moved_away_is_opened_anew(path: Path) -> None:
    log = AccessLog(str(path), LogFormat.COMBINED, NO_PROXIES)
    log.add(b"1.2.3.4", b"GET /before HTTP/1.1", 200, 0, (), (), "hit", 0.0)
    moved = path.with_suffix(".1")
    os.rename(path, moved)
    log.reopen()
    log.add(b"1.2.3.4", b"GET /after HTTP/1.1", 200, 0, (), (), "hit", 0.0)
    log.flush()
    assert "/before" in moved.read_text() and "/after" in path.read_text()


def test_what_can_not_be_written_is_counted_and_costs_nobody_an_answer() -> None:
    log = AccessLog("/dev/full", LogFormat.COMBINED, NO_PROXIES)
    for _ in range(3):
        log.add(b"1.2.3.4", b"GET / HTTP/1.1", 200, 0, (), (), "hit", 0.0)
    log.flush()
    assert log.lost == 3


def test_many_lines_are_written_without_waiting_for_the_second(path: Path) -> None:
    log = AccessLog(str(path), LogFormat.COMBINED, NO_PROXIES)
    for _ in range(2000):
        log.add(b"1.2.3.4", b"GET / HTTP/1.1", 200, 0, (), (), "hit", 0.0)
    assert path.read_text().count("\n") > 1000
