"""Answers of an origin that says what its renders read, as the middleware says it."""

from collections.abc import Collection

from support.web_origin import Asked, reply
from uncork.pages.record import Unshared, format_record, record_of
from uncork.purging.table import DEFAULT_SLOTS


def cookie(asked: Asked, name: str) -> str | None:
    """The value of a request's cookie."""
    for pair in (asked["cookie"] or "").split("; "):
        known, equals, value = pair.partition("=")
        if equals and known == name:
            return value
    return None


def record_lines(
    asked: Asked,
    inputs: Collection[str] = (),
    tags: Collection[str] = (),
    unshared: Unshared | None = None,
    clock: str | None = None,
) -> list[str]:
    """The record's field lines, for the edge that asked; or for the edge with another clock."""
    name = (clock or asked["uncork-edge"] or "").encode()
    named, tagged = [one.encode() for one in inputs], [tag.encode() for tag in tags]
    record = record_of(name, DEFAULT_SLOTS, named, tagged, unshared)
    return [f"{field.decode()}: {value.decode()}" for field, value in format_record(record)]


def recorded(
    asked: Asked,
    body: bytes | str,
    *lines: str,
    inputs: Collection[str] = (),
    tags: Collection[str] = (),
    unshared: Unshared | None = None,
    status: str = "200 OK",
) -> bytes:
    """A response with its record: browsers ask each time, and the edge keeps it for ten minutes."""
    more = ["Cache-Control: no-cache", "Uncork-Cache-Control: max-age=600"]
    if unshared is not None:
        more = ["Cache-Control: private, no-cache"]
    vary = sorted({"Cookie" for one in inputs if one.startswith("cookie:")}) + [
        one.removeprefix("field:") for one in inputs if one.startswith("field:")
    ]
    if vary and not any(line.startswith("Vary:") for line in lines):
        more.append(f"Vary: {', '.join(vary)}")
    content = body.encode() if isinstance(body, str) else body
    said = record_lines(asked, inputs, tags, unshared)
    return reply(content, *more, *lines, *said, status=status)
