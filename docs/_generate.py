"""The parts of docs/ that are made from the source: run as `python docs/_generate.py`, or `make docs`.

Lives here: the tables of reasons, and what is supported, read from the `Source: RFC …` lines of the code.
Doesn't know: the prose around them, which is left as it is; and `configuration.md`, which
`python -m uncork.cli.reference` writes.

Each part stands between `<!-- made: NAME -->` and `<!-- end -->` in a page.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple, TypeVar

from uncork.caching.storable import NotStorable
from uncork.edge.decide import FORWARD, Why
from uncork.pages.record import Unshared

T = TypeVar("T", bound=Enum)

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "src" / "uncork"

_PART = re.compile(r"(<!-- made: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

# What a reason means to who reads it in a log; a member that is not told here ends the run.
_WHYS = {
    Why.HIT: "stored, and fresh",
    Why.HIT_STALE: "stored, and stale (`stale-while-revalidate`) or purged softly; it is being renewed",
    Why.STALE_ERROR: "stored, and stale: the origin failed (`stale-if-error`)",
    Why.VALIDATED: "stored, and stale; the origin said 304, so it is good again",
    Why.MISS: "nothing was stored for this URL",
    Why.VARIANT_MISS: "it is known what selects among the pages of this URL (query, cookies, other fields), "
    "and nothing was stored for what this request has of that",
    Why.PURGED: "what was stored had been purged",
    Why.EXPIRED: "what was stored was stale, and the origin sent a new one",
    Why.REQUEST: "the client's `no-cache`, `max-age` or `min-fresh` asked for something newer",
    Why.PASS_METHOD: "not a GET; or a HEAD of a page that is not stored",
    Why.PASS_UPGRADE: "a WebSocket",
    Why.PASS_CONTENT: "a GET or HEAD with content",
    Why.PASS_AUTHORIZATION: "the request has `Authorization`",
    Why.PASS_RANGE: "a part was asked of a page that is not stored",
    Why.PASS_NO_STORE: "the request says `no-store`",
    Why.PASS_KNOWN: "the last response could not be stored: for a minute nobody waits for another's",
    Why.PASS_UNSHARED: "the response may not be stored, for one of the reasons below, or "
    "[of its render](recording-edge.md#what-is-not-shared); without one, it names a file to be sent",
    Why.ONLY_IF_CACHED: "the client wants a stored response only, and there is none: 504",
    Why.NO_ROOM: "the disk takes no more of the request's content: 503",
    Why.ORIGIN_FAILED: "the origin takes no connection: 503",
    Why.ORIGIN_TIMEOUT: "the origin took too long: 504",
    Why.ORIGIN_BROKEN: "what the origin sent is no HTTP, or broke off: 502",
    Why.CLIENT_GONE: "the client went away before its answer was complete: in the log with what was sent, "
    "with 499 if that was nothing",
    Why.BROKEN_OFF: "an answer that had begun could not be completed, and its connection was closed",
}

_NOT_STORABLE = {
    NotStorable.METHOD: "only responses to GET are stored",
    NotStorable.REQUEST_CONTENT: "the request had content, which no cache key holds",
    NotStorable.REQUEST_NO_STORE: "the request said `no-store`",
    NotStorable.AUTHORIZATION: "it had `Authorization`, and the response no `public` and the like",
    NotStorable.INTERIM: "1xx is no response yet",
    NotStorable.PARTIAL: "206 is a part",
    NotStorable.NOT_MODIFIED: "304 has no content",
    NotStorable.ABOUT_THE_REQUEST: "the status is about one request, not the page (408, 412, 416, 429, …)",
    NotStorable.NOT_UNDERSTOOD: "`must-understand`, and a status that is not known here",
    NotStorable.NO_STORE: "`no-store`",
    NotStorable.PRIVATE: "`private`",
    NotStorable.SET_COOKIE: "`Set-Cookie`, whatever else it says: a cookie is meant for one visitor",
    NotStorable.VARY_ALL: "`Vary: *`",
    NotStorable.VARY_CLIENT: "`Vary: X-Forwarded-For`: another page for each client's address",
    NotStorable.STATUS: "a status that is cacheable only when the response names a lifetime",
    NotStorable.NO_FRESHNESS: "no lifetime, no validator, and no lifetime by default",
    NotStorable.ALREADY_STALE: "stale when it came, and no validator",
}

_UNSHARED = {
    Unshared.SESSION: "it read a session, and the request had one; or the user of it",
    Unshared.CSRF: "it holds a CSRF token, which is one visitor's own",
    Unshared.NONCE: "it holds a nonce of a Content-Security-Policy, which must not be used twice",
    Unshared.MESSAGES: "it showed messages that were meant for one visitor, once",
    Unshared.CLIENT_ADDRESS: "it read the client's address",
    Unshared.WHOLE_REQUEST: "it went through all that the server knows of the request",
    Unshared.NEVER: "its view is marked so",
    Unshared.WROTE: "it wrote to the database, or purged: who gets a stored page would not have that done",
    Unshared.STREAMED: "it is streamed: what it reads was not known when its head was sent",
    Unshared.TOO_MANY_TAGS: "it has more tags of the application's own than a response's head can hold",
    Unshared.NOT_RECORDED: "something kept the recorder from its work",
}

_RFCS = {
    "1952": "GZIP file format",
    "2046": "MIME media types",
    "3986": "URI: generic syntax",
    "5861": "stale-while-revalidate and stale-if-error",
    "6265": "HTTP state management (cookies)",
    "6585": "additional status codes",
    "7239": "Forwarded",
    "7303": "XML media types",
    "7725": "status 451",
    "7763": "text/markdown",
    "7932": "Brotli",
    "8246": "immutable responses",
    "8259": "JSON",
    "8615": "well-known URIs",
    "8878": "Zstandard",
    "9110": "HTTP semantics",
    "9111": "HTTP caching",
    "9112": "HTTP/1.1",
    "9211": "Cache-Status",
    "9213": "targeted cache control",
    "9239": "JavaScript media types",
    "9651": "structured field values",
    "9875": "cache groups",
}


def reasons() -> str:
    """What becomes of a request: each `Why`, and how `Cache-Status` tells it."""
    told = [_row("reason", "`Cache-Status`", ""), _row("---", "---", "---")]
    told += [_row(f"`{why.value}`", _status(why), _WHYS[why]) for why in _all(Why, _WHYS)]
    return "\n".join(told)


def _status(why: Why) -> str:
    if why is Why.HIT:
        return "`hit`"
    if why in (Why.HIT_STALE, Why.STALE_ERROR):
        return f"`hit`, `detail={why.value}`"
    if why is Why.VALIDATED:
        return "as of the reason it was asked for, `fwd-status=304`"
    if why in FORWARD:
        detail = f"{why.value}.REASON" if why is Why.PASS_UNSHARED else why.value
        return f"`fwd={FORWARD[why].value}`, `detail={detail}`"
    return "–"


def hindrances() -> str:
    """Each reason not to store a response."""
    told = [_row("reason", ""), _row("---", "---")]
    told += [_row(f"`{one.value}`", _NOT_STORABLE[one]) for one in _all(NotStorable, _NOT_STORABLE)]
    return "\n".join(told)


def unshared() -> str:
    """Each reason of a render not to share its page."""
    told = [_row("reason", ""), _row("---", "---")]
    told += [_row(f"`{one.value}`", _UNSHARED[one]) for one in _all(Unshared, _UNSHARED)]
    return "\n".join(told)


def _all(members: type[T], told: dict[T, str]) -> list[T]:
    missing = [one for one in members if one not in told]
    if missing:
        sys.exit(f"{Path(__file__).name}: say what these mean: {', '.join(map(str, missing))}")
    return list(members)


class Citation(NamedTuple):
    rfc: str
    section: str  # "" for the whole RFC
    module: str  # "semantics.ranges"


# What may follow "Source:", over several lines of a docstring or comment.
_SOURCE = re.compile(r"Source:((?:\s|#|,|;|RFC [0-9]+(?:'s \w+)?|§[0-9.]*[0-9]|to (?=§)|\([^()]*\))+)")
_CITED = re.compile(r"RFC ([0-9]+)|§([0-9.]*[0-9](?: to §[0-9.]*[0-9])?)")


def citations() -> Iterator[Citation]:
    """All of the source, file by file."""
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for found in _SOURCE.finditer(path.read_text()):
            rfc, whole = "", False
            for number, section in _CITED.findall(" ".join(found[1].replace("#", " ").split())):
                if number:
                    if whole:
                        yield Citation(rfc, "", module)
                    rfc, whole = number, True
                elif rfc:
                    whole = False
                    yield Citation(rfc, section, module)
            if whole:
                yield Citation(rfc, "", module)


def supported() -> str:
    """A table for each RFC: the sections that are cited, and by what."""
    places: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for rfc, section, module in citations():
        if module not in places[rfc][section]:
            places[rfc][section].append(module)
    told = []
    # The most cited first: they are what Uncork is about.
    for rfc in sorted(places, key=lambda rfc: (-len(places[rfc]), rfc)):
        link = f"https://www.rfc-editor.org/rfc/rfc{rfc}"
        told += [f"### [RFC {rfc}]({link}): {_RFCS[rfc]}", ""]
        told += [_row("section", "implemented in"), _row("---", "---")]
        for section in sorted(places[rfc], key=_order):
            named = f"[§{section}]({link}#section-{section.split()[0]})" if section else "all"
            told.append(_row(named, ", ".join(f"`{module}`" for module in places[rfc][section])))
        told.append("")
    return "\n".join(told).rstrip()


def _order(section: str) -> tuple[list[int], str]:
    return [int(part) for part in section.split()[0].split(".")] if section else [], section


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


PARTS: dict[str, Callable[[], str]] = {
    "reasons": reasons,
    "hindrances": hindrances,
    "unshared": unshared,
    "supported": supported,
}


def made(page: str) -> str:
    """A page with its made parts made anew."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part[2]]()}\n{part[3]}", page)


def pages() -> Iterator[tuple[Path, str]]:
    """Each page that has such parts, and what it should be."""
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text()
        if _PART.search(page):
            yield path, made(page)


if __name__ == "__main__":
    for path, page in pages():
        changed = path.read_text() != page
        path.write_text(page)
        print(f"{path.relative_to(DOCS.parent)}: {'written' if changed else 'as it was'}")
