"""What a view may say itself: `from uncork.django import cached, never, depends_on, purge, if_match`.

Lives here: how long a page may be shared, that it may not be, tags of the project's own, and `If-Match`.
Doesn't know: how any of it reaches the edge.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.db import connections, transaction
from django.http import HttpResponse
from django.utils.http import quote_etag

from uncork.django.clock import clock_table
from uncork.django.recording import current, entered
from uncork.django.transactions import in_transaction, purge_at_commit
from uncork.django.transactions import purge as purge_now
from uncork.pages.pagefile import digest
from uncork.pages.record import Unshared
from uncork.semantics.etags import ANY, parse_etag_list, strong_match, with_coding
from uncork.semantics.messages import SAFE_METHODS
from uncork.semantics.negotiation import KNOWN_CODINGS

View = TypeVar("View", bound=Callable[..., Any])


def cached(*bare: object, max_age: float = 0) -> Callable[[View], View]:
    """For a view, sync or async: its page may be shared for so many seconds, unless what it read changes.

    For a class, `method_decorator(cached(max_age=3600), name="dispatch")`. Of several, the shortest counts,
    and what the view's response says itself if that is shorter.
    """
    if bare:
        raise TypeError("say @cached(max_age=SECONDS)")
    if isinstance(max_age, bool) or not isinstance(max_age, int | float) or max_age <= 0:
        raise ValueError(f"cached(max_age=…) takes a number of seconds above 0, not {max_age!r}")

    def allow() -> None:
        if (recording := entered()) is not None:
            recording.allow(max_age)

    return partial(_first, allow)


def never(view: View) -> View:
    """For a view, sync or async: its page is for the one request that asked for it."""

    def refuse() -> None:
        for recording in current():
            recording.refuse(Unshared.NEVER, _name(view))

    return _first(refuse, view)


def depends_on(*tags: str) -> None:
    """The page that is being made is purged by each of these tags. Outside of a render, nothing is.

    Raises ValueError for a tag that is empty, or begins like those of tables, `db:`.
    """
    found = [_tag(tag) for tag in tags]
    for tag in found:
        if tag.startswith(b"db:"):
            raise ValueError(f"{tag.decode()!r}: tags that begin with db: are those of tables")
    for recording in current():
        for tag in found:
            recording.depends_on(tag)


def purge(*names: str, soft: bool = False) -> None:
    """Purge every page that has one of these tags, of this machine: when the transaction commits, and at once
    where there is none. Softly: they may be served stale while they are renewed.

    Raises ValueError for an empty tag.
    """
    tags = [_tag(tag) for tag in names]
    for recording in current():
        recording.refuse(Unshared.WROTE)
    opened = connections.all(initialized_only=True)
    writing = [found for found in opened if found.connection is not None and in_transaction(found)]
    for connection in writing:
        if soft and connection.in_atomic_block:
            transaction.on_commit(partial(_purge_softly, tags), using=connection.alias)
        else:
            purge_at_commit(tags, connection.alias)
    if not writing:
        _purge_softly(tags) if soft else purge_now(tags)


def if_match(request: Any, current_page: HttpResponse | str | None) -> HttpResponse | None:
    """The response with status 412 for an unsafe request that was made for another version of a page than the
    current one; None when the view may go on.

    `current_page`: the response that a GET would get now; or its ETag, quoted or not; None when there is no
    such page. Of a response without an ETag it is the one that the edge makes of its content.
    Source: RFC 9110 §13.1.1
    """
    value = request.META.get("HTTP_IF_MATCH")
    if value is None or request.method.encode() in SAFE_METHODS:
        return None
    wanted = parse_etag_list(value.encode("latin-1"))
    if current_page is not None:
        etag = _etag(current_page)
        # The client has the tag of the content coding that it got.
        etags = [etag, *(with_coding(etag, coding) for coding in KNOWN_CODINGS)]
        if wanted is ANY or any(strong_match(etag, tag) for etag in etags for tag in wanted):
            return None
    return HttpResponse(status=412)


def _etag(page: HttpResponse | str) -> bytes:
    if not isinstance(page, str):
        if "ETag" not in page:
            return b'"' + digest(page.content).hex().encode() + b'"'
        page = page["ETag"]
    quoted: str = quote_etag(page)
    return quoted.encode("latin-1")


def _first(do: Callable[[], None], view: View) -> View:
    """The view, with something to be done before it."""
    if not callable(view):
        raise TypeError(f"{view!r} is no view")

    @wraps(view)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        do()
        return view(*arguments, **named)

    if iscoroutinefunction(view):
        markcoroutinefunction(wrapper)
    return wrapper  # type: ignore[return-value]


def _name(view: Any) -> str:
    return f"{getattr(view, '__module__', '')}.{getattr(view, '__qualname__', type(view).__name__)}"


def _tag(tag: str) -> bytes:
    found = tag.encode()
    if not found.strip():
        raise ValueError("a tag is not empty")
    return found


def _purge_softly(tags: list[bytes]) -> None:
    if (table := clock_table()) is not None:
        table.purge(tags, soft=True)
