"""Messages, methods and status codes: RFC 9110 §9, §15."""

from http import HTTPStatus

import pytest

from uncork.semantics.fields import Fields
from uncork.semantics.messages import HOP_BY_HOP, IDEMPOTENT_METHODS, SAFE_METHODS, Request, has_body, reason


@pytest.mark.parametrize(
    ("query", "target"),
    [(None, b"/a"), (b"", b"/a?"), (b"q=1", b"/a?q=1")],
    ids=["absent", "empty", "present"],
)
def test_an_absent_query_is_not_an_empty_one(query: bytes | None, target: bytes) -> None:
    """RFC 9110 §4.2.3 calls no two of these equivalent."""
    request = Request(b"GET", b"http", b"h:8000", b"/a", query, b"1.1", Fields())
    assert request.target == target
    assert request.url == b"http://h:8000" + target


@pytest.mark.parametrize(
    ("method", "safe", "idempotent"),
    [
        # RFC 9110 §9.2.1, §9.2.2, and the table of §18.2
        (b"GET", True, True),
        (b"HEAD", True, True),
        (b"OPTIONS", True, True),
        (b"TRACE", True, True),
        (b"PUT", False, True),
        (b"DELETE", False, True),
        (b"POST", False, False),
        (b"CONNECT", False, False),
        (b"PATCH", False, False),
        (b"get", False, False),
    ],
)
def test_methods(method: bytes, safe: bool, idempotent: bool) -> None:
    assert (method in SAFE_METHODS) is safe
    assert (method in IDEMPOTENT_METHODS) is idempotent


@pytest.mark.parametrize(
    ("name", "one_connection"),
    [
        # RFC 9110 §7.6.1, RFC 9111 §3.1
        (b"connection", True),
        (b"keep-alive", True),
        (b"proxy-authenticate", True),
        (b"proxy-authorization", True),
        (b"proxy-connection", True),
        (b"te", True),
        (b"trailer", True),
        (b"transfer-encoding", True),
        (b"upgrade", True),
        (b"content-length", False),
        (b"content-encoding", False),
        (b"date", False),
        (b"via", False),
        (b"set-cookie", False),
        (b"authorization", False),
        (b"max-forwards", False),
    ],
)
def test_fields_of_one_connection(name: bytes, one_connection: bool) -> None:
    assert (name in HOP_BY_HOP) is one_connection


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        # RFC 9112 §6.3
        (b"GET", 200, True),
        (b"POST", 404, True),
        (b"HEAD", 200, False),
        (b"GET", 304, False),
        (b"GET", 204, False),
        (b"GET", 101, False),
        (b"GET", 206, True),
        (b"GET", 416, True),
    ],
)
def test_which_responses_have_content(method: bytes, status: int, expected: bool) -> None:
    assert has_body(method, status) is expected


def test_reason_phrases_are_the_registered_ones() -> None:
    assert reason(416) == b"Range Not Satisfiable"
    assert reason(599) == b""
    # the standard library keeps older names of three, and a joke
    older = {413, 414, 416, 418, 422}
    assert all(reason(status) == status.phrase.encode() for status in HTTPStatus if status not in older)
