"""What could not be shared is passed for a while, and nobody waits for another's.

Lives here: the marks of such URLs, and that the store has nothing of them.
Doesn't know: how a page is fetched (`fetching`), and how a request is passed on (`pages`).
"""

from dataclasses import dataclass
from random import random

from uncork.net.loop import Loop
from uncork.pages.keys import WHOLE_QUERY, variant_key
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
    """The last response for a key could not be shared: so it is passed `until` then (monotonic seconds; 0
    from the moment that one came which could be)."""

    until: float
    look_at: float = 0.0

    def due(self, now: float) -> bool:
        """Whether what comes for a request of `now` is to be looked at; it is said of one in a second."""
        if now < self.look_at:
            return False
        self.look_at = now + _LOOK_SECONDS * (1.0 + random())
        return True


@dataclass(slots=True)
class Absence:
    """The store has nothing of a URL, whatever its query. So it is taken `until` then (monotonic seconds; 0
    from the moment this worker knows of something that was stored of it): where it is no longer true, the
    origin is asked once too often, and no harm is done. `primary` is the key."""

    primary: bytes
    until: float


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
        mark = self._marks.get(shared_key(found, request))
        return mark if mark is not None and mark.until > self.loop.poller.now else None

    def absence(self, request: Request) -> Absence | None:
        """That the store has nothing of a URL, if it is known: then the store need not be asked."""
        absence = self._absent.get((request.scheme, request.authority, request.path))
        return absence if absence is not None and absence.until > self.loop.poller.now else None

    def set(self, found: Found, request: Request) -> None:
        """The response to this request could not be shared: for a while nobody needs to wait for another."""
        if len(self._marks) >= _MOST_MARKS:
            self._marks.clear()
            for absence in self._absent.values():
                absence.until = 0.0
            self._absent.clear()
        until = self.loop.poller.now + _PASS_SECONDS
        key = shared_key(found, request)
        mark = self._marks.get(key)
        if mark is None:
            self._marks[key] = Mark(until)
        else:
            mark.until = until
        if found.stored is None and not found.names:
            url = (request.scheme, request.authority, request.path)
            self._absent.setdefault(url, Absence(found.primary, until)).until = until

    def clear(self, mark: Mark | None, request: Request) -> None:
        """A response to this request is being stored: it is not passed any more, nor is the URL absent."""
        if mark is not None:
            mark.until = 0.0
        absence = self._absent.pop((request.scheme, request.authority, request.path), None)
        if absence is not None:
            absence.until = 0.0


def shared_key(found: Found, request: Request) -> bytes:
    """The key of what requests share: that of the page, and while nothing is known of what selects among
    the pages of a URL, that of the page for this query. Others must not wait for it in vain."""
    if found.names or request.query is None:
        return found.key
    return variant_key(found.primary, ((WHOLE_QUERY, request.query),))
