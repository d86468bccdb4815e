"""What could not be shared is passed for a while, and nobody waits for another's.

Lives here: the marks of such requests, and that the store has nothing for them.
Doesn't know: how a page is fetched (`fetching`), and how a request is passed on (`pages`).

A mark is for a key. Where a record said which inputs the render read, it is for all visitors of a *kind*:
those who have the same of these cookies, whatever is in them. So all who are logged in share one, and who
invents cookies fills no memory. What is passed is always answered rightly: a mark can only cost a hit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import random
from typing import Any

from uncork.edge.recorded import Hindrance
from uncork.net.loop import Loop
from uncork.pages.keys import WHOLE_QUERY, Input, select, variant_key
from uncork.pages.record import Unshared
from uncork.semantics.messages import Request
from uncork.stores.lookup import Found

# For how long a URL whose response could not be shared is passed without waiting for others. Seconds.
_PASS_SECONDS = 60.0
# How long after one a response to such a URL is looked at again, or up to twice as long: of visitors who come
# by turns, it must not always be the same one's. Seconds.
_LOOK_SECONDS = 1.0
_MOST_MARKS = 10_000


@dataclass(slots=True)
class Mark:
    """The last response for a key could not be shared, for this reason (None: it named a file): so it is
    passed `until` then (monotonic seconds; 0 from the moment that one came which could be)."""

    until: float
    reason: Hindrance | None = None
    look_at: float = 0.0

    def due(self, now: float) -> bool:
        """Whether what comes for a request of `now` is to be looked at; it is said of one in a second."""
        if now < self.look_at:
            return False
        self.look_at = now + _LOOK_SECONDS * (1.0 + random())
        return True


@dataclass(slots=True)
class Absence:
    """The store has nothing of a URL that is for marked requests; without `names`, nothing at all, whatever
    the query. `names` are the inputs that select among its pages, `primary` is its key.

    So it is taken `until` then (monotonic seconds; 0 from the moment this worker knows of something that was
    stored of it): where it is no longer true, the origin is asked once too often, and no harm is done.
    """

    primary: bytes
    names: tuple[bytes, ...]
    until: float

    def found(self, request: Request) -> Found:
        """What a look into the store would find."""
        inputs = select(self.names, request)
        key = variant_key(self.primary, inputs)
        return Found(self.primary, self.names, inputs, key, None, known=bool(self.names))


class Marks:
    """Those of one worker."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self._marks: dict[bytes, Mark] = {}
        self._absent: dict[tuple[bytes, bytes, bytes], Absence] = {}  # by scheme, authority and path

    def mark(self, found: Found, request: Request) -> Mark | None:
        """That a request is passed, if it is."""
        if not self._marks:
            return None
        return self._of_kind(found.primary, found.inputs) or self._valid(shared_key(found, request))

    def mark_of(self, primary: bytes, inputs: tuple[Input, ...]) -> Mark | None:
        """The same for a URL of which it is known what selects among its pages."""
        return self._of_kind(primary, inputs) or self._valid(variant_key(primary, inputs))

    def told(self, keys: Iterable[bytes]) -> dict[str, dict[str, Any]]:
        """The marks of these keys, by the key in hexadecimal: why, and for how many seconds they hold."""
        now = self.loop.poller.now
        found = [(key, mark) for key in keys if (mark := self._valid(key)) is not None]
        return {
            key.hex(): {
                "reason": None if mark.reason is None else mark.reason.value,
                "seconds": round(mark.until - now, 3),
            }
            for key, mark in found
        }

    def absence(self, request: Request) -> Absence | None:
        """That the store has nothing of a URL, if it is known: then the store need not be asked."""
        absence = self._absent.get((request.scheme, request.authority, request.path))
        return absence if absence is not None and absence.until > self.loop.poller.now else None

    def set(self, found: Found, request: Request, reason: Hindrance | None, absent: bool) -> None:
        """The response to this request could not be shared: for a while nobody needs to wait for another.

        `absent`: nothing is stored for this request, not even what must not be used.
        """
        if len(self._marks) >= _MOST_MARKS:
            self._marks.clear()
            for absence in self._absent.values():
                absence.until = 0.0
            self._absent.clear()
        until = self.loop.poller.now + _PASS_SECONDS
        key = None
        if isinstance(reason, Unshared):
            key = _kind_key(found.primary, found.inputs)
        if key is None:
            key = shared_key(found, request)
        mark = self._marks.get(key)
        if mark is None:
            self._marks[key] = Mark(until, reason)
        else:
            mark.until = until
            mark.reason = reason
        if absent:
            self.set_absence(found, request, until)

    def set_absence(self, found: Found, request: Request, until: float) -> Absence | None:
        """A look into the store has found nothing for this request, which is marked until then."""
        if found.known and not found.names:  # there is a page for everyone
            return None
        url = (request.scheme, request.authority, request.path)
        absence = self._absent.get(url)
        if absence is not None and absence.names == found.names:
            absence.until = max(absence.until, until)
            return absence
        if absence is not None:
            absence.until = 0.0
        absence = self._absent[url] = Absence(found.primary, found.names, until)
        return absence

    def clear(self, mark: Mark | None, request: Request) -> None:
        """A response to this request is being stored: it is not passed any more, nor is the URL absent."""
        if mark is not None:
            mark.until = 0.0
        absence = self._absent.pop((request.scheme, request.authority, request.path), None)
        if absence is not None:
            absence.until = 0.0

    def _of_kind(self, primary: bytes, inputs: tuple[Input, ...]) -> Mark | None:
        key = _kind_key(primary, inputs)
        return None if key is None else self._valid(key)

    def _valid(self, key: bytes) -> Mark | None:
        mark = self._marks.get(key)
        return mark if mark is not None and mark.until > self.loop.poller.now else None


def mark_keys(found: Found, request: Request) -> list[bytes]:
    """The keys by which a request may be marked, that of its kind first."""
    kind = _kind_key(found.primary, found.inputs)
    return [*([] if kind is None else [kind]), shared_key(found, request)]


def shared_key(found: Found, request: Request) -> bytes:
    """The key of what requests share: that of the page, and while nothing is known of what selects among
    the pages of a URL, that of the page for this query. Others must not wait for it in vain."""
    if found.known or request.query is None:
        return found.key
    return variant_key(found.primary, ((WHOLE_QUERY, request.query),))


def _kind_key(primary: bytes, inputs: tuple[Input, ...]) -> bytes | None:
    """The key of all visitors who have the same cookies, whatever is in them; None for who has none.

    No cookie's value is empty, for its name is part of it: it is no page's key.
    """
    kind = [
        (name, b"" if value is not None and name.startswith(b"cookie:") else value) for name, value in inputs
    ]
    return variant_key(primary, kind) if kind != list(inputs) else None
