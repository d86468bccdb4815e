"""`uncork explain`: what is stored for a request, and why it was answered so.

Lives here: the command, and what is told. Doesn't know: how a request is decided (`edge.decide`); it asks the
store, the purge clock and that very decision, and where a supervisor runs, why a page is not shared, and the
site itself for a render that tells what it reads by names (`fresh`).
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from uncork.caching.directives import parse_directives
from uncork.caching.freshness import current_age, remaining
from uncork.cli.arguments import options_named, with_options
from uncork.cli.fresh import Fresh, NotAsked, fresh_render
from uncork.cli.purge import find_state_dir, open_clock
from uncork.cli.reads import last_purge, reads_of, told_last_purge, told_reads
from uncork.edge.control import ask_supervisor
from uncork.edge.decide import Refuse, Serve, decide, decide_alone
from uncork.edge.passing import mark_keys
from uncork.edge.plan import BadConfiguration
from uncork.edge.statedir import StateDirError
from uncork.edge.storedpages import PageAnswers
from uncork.pages.clock import COUNTER, EVERYTHING, Verdict
from uncork.pages.keys import Input
from uncork.pages.page import Page
from uncork.pages.tags import RECORDED, response_tags, tag_slot, url_tags
from uncork.purging.table import ClockTable
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
@click.option("--no-render", is_flag=True, help="Ask nobody for the page: tell what is stored and no more.")
@with_options(options_named("state_dir"))
@click.option(
    "--config", metavar="FILE", help="The configuration file.  [default: uncork.toml beside manage.py]"
)
def explain(
    url: str,
    headers: tuple[str, ...],
    as_json: bool,
    no_render: bool,
    state_dir: str | None,
    config: str | None,
) -> int:
    """Show what is stored for a request: its key, what selects it, whether it is valid, what purged it last.

    Where the site runs, it makes the page once more, and tells what that reads: rows and columns, parts of
    the request with file and line, and why it can't be shared.
    """
    request = parse_request(url, headers)
    path = find_state_dir(state_dir, config)
    if not (path / "pages").is_dir():
        raise BadConfiguration(f"there are no pages in {path}")
    table = open_clock(path)
    try:
        store = DiskStore(path / "pages")
        try:
            found = explanation(store, table, request, time.time(), path, renders=not no_render)
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
    store: DiskStore,
    table: ClockTable,
    request: Request,
    now: float,
    state_dir: Path | None = None,
    renders: bool = False,
) -> dict[str, Any]:
    """All that is known of a request, as JSON has it. `now` is in seconds since the epoch; with a state
    directory its supervisor is asked for the marks, and the site for a render, if it `renders`."""
    fresh: Fresh | None = None
    not_asked = None
    if renders and state_dir is not None:
        try:
            fresh = fresh_render(state_dir, table, request)
        except NotAsked as why:
            not_asked = str(why)
    clock = table.clock
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
            "page": None if stored is None else _page(stored, table, verdict, request, now, fresh),
            "reads": None if fresh is None else reads_of(fresh),
            "not_asked": not_asked,
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
    stored: StoredPage, table: ClockTable, verdict: Verdict, request: Request, now: float, fresh: Fresh | None
) -> dict[str, Any]:
    page, clock = stored.page, table.clock
    tags = () if fresh is None else fresh.told.tags
    names = _names(page, request, tags, clock.slots)
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
        "unnamed_slots": None if fresh is None else len({*page.slots} - names.keys()),
        "purged_by": [
            {"slot": slot, "tags": [_text(tag) for tag in names.get(slot, ())]}
            for slot in clock.purged_since(page.stamp, page.slots)
        ],
        "last_purge": last_purge(table, page.slots, names),
    }


def _names(page: Page, request: Request, tags: Iterable[bytes], slots: int) -> dict[int, list[bytes]]:
    """What stands in slots of a page: the tags of its URL, those that its response names, and those that a
    render has."""
    names = {EVERYTHING: [b"everything"]}
    where = request.authority, request.path, request.query
    known = [tag for alone in (True, False) for tag in url_tags(*where, alone)]
    known += response_tags(page.fields, request.scheme + b"://" + request.authority)
    for tag in dict.fromkeys([RECORDED, *known, *tags]):
        names.setdefault(tag_slot(tag, slots), []).append(tag)
    return {slot: found for slot, found in names.items() if slot == EVERYTHING or slot in page.slots}


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
    yield from _told_page(found)
    if found["reads"] is not None:
        yield from told_reads(found["reads"])
    elif found["not_asked"]:
        yield f"read now:   not known, for {found['not_asked']}"


def _told_page(found: dict[str, Any]) -> Iterator[str]:
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
    unnamed = f", {page['unnamed_slots']} of what a render reads no more" if page["unnamed_slots"] else ""
    yield f"tags:       in {len(page['slots'])} slots of the purge clock{unnamed}"
    yield f"clock:      {page['verdict']}; stamp {page['stamp']}, now {page['counter']}"
    for purged in page["purged_by"]:
        tags = ", ".join(purged["tags"]) or "a tag of what it read"
        yield f"purged by:  {tags} (slot {purged['slot']})"
    if page["stamp"] > page["counter"]:
        yield "purged by:  its stamp is of another clock"
    if page["last_purge"] is not None:
        yield from told_last_purge(
            page["last_purge"], page["stored_at"] + page["age"], page["verdict"] == "valid"
        )
    elif page["verdict"] != "valid":
        yield "last purge: so many were made since that this one is forgotten"


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
