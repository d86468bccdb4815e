"""`uncork explain`: what is stored for a request, and why it was answered so.

Lives here: the command, and what is told. Doesn't know: how a request is decided (`edge.decide`); it asks the
store, the purge clock and that very decision, and a supervisor, where one runs, why a page is not shared.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from uncork.caching.directives import parse_directives
from uncork.caching.freshness import current_age, remaining
from uncork.cli.arguments import options_named, with_options
from uncork.cli.purge import find_state_dir, open_clock
from uncork.edge.control import ask_supervisor
from uncork.edge.decide import Refuse, Serve, decide, decide_alone
from uncork.edge.passing import mark_keys
from uncork.edge.plan import BadConfiguration
from uncork.edge.statedir import StateDirError
from uncork.edge.storedpages import PageAnswers
from uncork.pages.clock import COUNTER, EVERYTHING, PurgeClock, Verdict
from uncork.pages.keys import Input
from uncork.pages.page import Page
from uncork.pages.tags import tag_slot, url_tags
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request
from uncork.semantics.targets import BadTarget, split_target
from uncork.stores.contract import StoredPage
from uncork.stores.disk import DiskStore
from uncork.stores.lookup import Found, find
from uncork.wire.requests import Refused, parse_field_line


@click.command(
    epilog="""\b
Examples:
  uncork explain https://example.org/news/?page=2
  uncork explain https://example.org/ --header 'Cookie: sessionid=abc' --header 'Accept-Language: de'"""
)
@click.argument("url")
@click.option("--header", "-H", "headers", multiple=True, metavar="LINE", help="Of the request. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@with_options(options_named("state_dir"))
@click.option(
    "--config", metavar="FILE", help="The configuration file.  [default: uncork.toml beside manage.py]"
)
def explain(
    url: str, headers: tuple[str, ...], as_json: bool, state_dir: str | None, config: str | None
) -> int:
    """Show what is stored for a request: its key, what selects it, whether it is valid, and why not."""
    request = parse_request(url, headers)
    path = find_state_dir(state_dir, config)
    if not (path / "pages").is_dir():
        raise BadConfiguration(f"there are no pages in {path}")
    table = open_clock(path)
    try:
        store = DiskStore(path / "pages")
        try:
            found = explanation(store, table.clock, request, time.time(), path)
        finally:
            store.close()
    except OSError as error:
        raise BadConfiguration(f"can't read the pages in {path}: {error.strerror}") from None
    finally:
        table.close(clean=False)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(told(found)))
    return 0


def parse_request(url: str, headers: tuple[str, ...] = ()) -> Request:
    """A GET for that URL with these field lines. Raises BadConfiguration."""
    try:
        fields = Fields([parse_field_line(os.fsencode(line)) for line in headers])
    except Refused:
        raise BadConfiguration("a header is a line like 'Cookie: a=b'") from None
    target = os.fsencode(url.partition("#")[0])
    if not target.lower().startswith((b"http://", b"https://")):
        raise BadConfiguration("say a whole URL, like https://example.org/path/")
    secured = target[:5].lower() == b"https"
    try:
        scheme, authority, path, query = split_target(target, b"GET", None, b"https" if secured else b"http")
    except BadTarget as problem:
        raise BadConfiguration(f"{url}: {problem}") from None
    return Request(b"GET", scheme, authority, path, query, b"1.1", fields)


def explanation(
    store: DiskStore, clock: PurgeClock, request: Request, now: float, state_dir: Path | None = None
) -> dict[str, Any]:
    """All that is known of a request, as JSON has it. `now` is in seconds since the epoch; with a state
    directory its supervisor is asked for the marks."""
    directives = parse_directives(request.fields.get(b"cache-control"))
    alone = decide_alone(request, directives)
    found = find(store, request)
    stored = found.stored
    page = None if stored is None else stored.page
    verdict = Verdict.VALID if page is None else clock.verdict(page.stamp, page.slots)
    decision = alone or decide(request, directives, page, bool(found.names), verdict, now)
    by = "store" if isinstance(decision, Serve) else "edge" if isinstance(decision, Refuse) else "origin"
    try:
        return {
            "url": _text(request.url),
            "key": found.key.hex(),
            "primary_key": found.primary.hex(),
            "file": str(Path(store.path_of(found.key))),
            "known": found.known,
            "known_as": None if found.known else _known_otherwise(store, request),
            "inputs": _inputs(found.inputs),
            "answered": {"by": by, "reason": decision.why.value},
            "marks": _marks(found, request, state_dir),
            "page": None if stored is None else _page(stored, clock, verdict, request, now),
        }
    finally:
        if stored is not None:
            stored.close()


def _known_otherwise(store: DiskStore, request: Request) -> str | None:
    """The URL with the other scheme, if something is known of that: so it comes to an edge that doesn't trust
    the proxy in front of it."""
    other = replace(request, scheme=b"http" if request.scheme == b"https" else b"https")
    found = find(store, other)
    if found.stored is not None:
        found.stored.close()
    return _text(other.url) if found.known else None


def _page(
    stored: StoredPage, clock: PurgeClock, verdict: Verdict, request: Request, now: float
) -> dict[str, Any]:
    page = stored.page
    freshness = page.freshness
    sent = Fields(PageAnswers(keep_tags=False, compresses=True).fields(page))
    return {
        "made_for": _text(page.url),
        "status": page.status,
        "inputs": _inputs(page.inputs),
        "vary": _text(sent.get(b"vary")),
        "cache_control": _text(sent.get(b"cache-control")),
        "etag": _text(sent.get(b"etag") or stored.etag()),
        "stored_at": freshness.response_time,
        "age": round(current_age(freshness, now), 3),
        "lifetime": freshness.lifetime,
        "lifetime_from": freshness.source.name.lower().replace("_", "-"),
        "ttl": remaining(freshness, now),
        "stale_while_revalidate": freshness.stale_while_revalidate,
        "stale_if_error": freshness.stale_if_error,
        "no_cache": freshness.no_cache,
        "bytes": {(coding.decode() or "identity"): length for coding, (_, length) in stored.bodies.items()},
        "verdict": verdict.value,
        "stamp": page.stamp,
        "counter": clock.words[COUNTER],
        "slots": list(page.slots),
        "purged_by": _purged_by(page, clock, request),
    }


def _purged_by(page: Page, clock: PurgeClock, request: Request) -> list[dict[str, Any]]:
    """The slots of a page that were purged since it was made, and the tags of its URL that stand there."""
    names = {EVERYTHING: ["everything"]}
    for alone in (True, False):
        for tag in url_tags(request.authority, request.path, request.query, alone):
            names.setdefault(tag_slot(tag, clock.slots), []).append(_text(tag) or "")
    slots = clock.purged_since(page.stamp, page.slots)
    return [{"slot": slot, "tags": sorted(set(names.get(slot, ())))} for slot in slots]


def _marks(found: Found, request: Request, state_dir: Path | None) -> list[dict[str, Any]]:
    """Why workers pass the request: the reasons of their marks, that which holds longest first."""
    if state_dir is None:
        return []
    keys = [key.hex() for key in mark_keys(found, request)]
    try:
        workers = ask_supervisor(state_dir, "marks", keys=keys)["marks"]
    except StateDirError:
        return []
    marks = [mark for worker in workers for mark in worker.values()]
    longest: dict[Any, float] = {}
    for mark in marks:
        longest[mark["reason"]] = max(mark["seconds"], longest.get(mark["reason"], 0.0))
    return [
        {"reason": reason, "seconds": seconds}
        for reason, seconds in sorted(longest.items(), key=lambda item: -item[1])
    ]


def told(found: dict[str, Any]) -> Iterator[str]:
    """What an explanation says, in lines for people."""
    answered = found["answered"]
    yield f"url:        {found['url']}"
    yield f"key:        {found['key']}"
    yield f"file:       {found['file']}"
    if found["inputs"]:
        yield "selected by:"
        yield from _rows(found["inputs"])
    elif found["known"]:
        yield "selected by: nothing but the URL without its query"
    else:
        yield "selected by: not known yet, for nothing was ever stored of this URL"
    if found["known_as"]:
        yield f"            but something is known of {found['known_as']}, as it comes to the edge"
    yield f"answered:   {_BY[answered['by']]} ({answered['reason']})"
    for mark in found["marks"]:
        reason = mark["reason"] or "it names a file to be sent"
        yield f"not shared: {reason}; passed without a wait for {mark['seconds']:.0f} s more"
    page = found["page"]
    if page is None:
        yield "stored:     nothing for this request"
        return
    sizes = ", ".join(f"{coding} {size:,}" for coding, size in page["bytes"].items())
    yield f"stored:     {page['status']}, made for {page['made_for']}; bytes: {sizes}"
    if page["inputs"] != found["inputs"]:
        yield "which read:"
        yield from _rows(page["inputs"])
    yield f"Vary:       {page['vary'] or '-'}"
    yield f"fresh:      {_freshness(page)}"
    yield f"tags:       in {len(page['slots'])} slots of the purge clock"
    yield f"clock:      {page['verdict']}; stamp {page['stamp']}, now {page['counter']}"
    for purged in page["purged_by"]:
        tags = ", ".join(purged["tags"]) or "a tag of what it read"
        yield f"purged by:  {tags} (slot {purged['slot']})"
    if page["stamp"] > page["counter"]:
        yield "purged by:  its stamp is of another clock"


_BY = {"store": "from the store", "origin": "by the origin", "edge": "by the edge itself"}


def _freshness(page: dict[str, Any]) -> str:
    ttl = page["ttl"]
    when = f"for {ttl} s more" if ttl > 0 else f"not for {-ttl} s"
    if page["no_cache"]:
        when = "never without asking the origin"
    return f"{when}: {page['age']:.0f} s old, lifetime {page['lifetime']} s ({page['lifetime_from']})"


def _rows(inputs: list[dict[str, Any]]) -> Iterator[str]:
    width = max(len(one["name"]) for one in inputs)
    for one in inputs:
        yield f"  {one['name']:{width}}  {'-' if one['value'] is None else repr(one['value'])}"


def _inputs(inputs: tuple[Input, ...]) -> list[dict[str, Any]]:
    return [{"name": _text(name), "value": _text(value)} for name, value in inputs]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")
