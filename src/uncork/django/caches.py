"""Django's cache framework: what a render puts into a cache goes with what it had read by then.

Lives here: watching the caches of the process. Doesn't know: what a value is, and which backend keeps it.

A value that a render put in depends on nothing that this render had not read. So beside it, under a key of
our own, goes what that was: the tags, the purge clock's reading before the first of them, and until when it
is good. Whoever gets the value in a render depends on the same. Values themselves are left as they are, for
other programs may share the cache; that a note belongs to a value is told by the value's digest.

Where nobody knows what a value was made of, or that has changed since, a page that holds it is shared for a
short time only. A cache is never made to forget: the same page made anew would hold the same value.
"""

import pickle
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.dummy import DummyCache

from uncork.django.clock import clock_table
from uncork.django.recording import Recording, current, enter
from uncork.pages.clock import Verdict
from uncork.pages.record import MOST_TAGS
from uncork.pages.tags import fold, tag_slots

UNKNOWN_SECONDS = 10.0
"""How long a page may be shared that holds a cached value of which nobody knows what it was made of."""

Renders = tuple[Recording, ...]

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Note:
    """What a cached value was made of. `clock` names the purge clock of `stamp`, `until` is in seconds since
    the epoch (None: no end is known)."""

    digest: bytes
    clock: bytes
    stamp: int
    tags: tuple[bytes, ...]
    until: float | None


def install() -> None:
    """Watch every cache that this process opens from now on."""
    from django.core.cache import CacheHandler, caches

    opened = CacheHandler.create_connection
    if getattr(opened, "watches", False):
        return

    def create_connection(self: Any, alias: str) -> Any:
        return watch(opened(self, alias))

    create_connection.watches = True  # type: ignore[attr-defined]
    CacheHandler.create_connection = create_connection
    for cache in caches.all(initialized_only=True):
        watch(cache)


def watch(cache: Any) -> Any:
    """Have a cache note what goes into it and comes out of it."""
    kind = type(cache)
    if isinstance(cache, BaseCache) and not isinstance(cache, DummyCache | Watched):
        cache.__class__ = _kinds.get(kind) or _kinds.setdefault(
            kind, type(kind.__name__, (Watched, kind), {})
        )
    return cache


_kinds: dict[type, type] = {}


class Watched:
    """In front of the class of a cache. What isn't here is made of these by `BaseCache`."""

    # Reads

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        with _Inside() as renders:
            value = super().get(key, _MISSING, version)  # type: ignore[misc]
            if value is _MISSING:
                _miss(renders, self, [key], version)
                return default
            if renders:
                _carry(renders, value, super().get(_note_key(key), None, version))  # type: ignore[misc]
            return value

    def get_many(self, keys: Iterable[Any], version: Any = None) -> Any:
        with _Inside() as renders:
            keys = list(keys)
            found = super().get_many(keys, version)  # type: ignore[misc]
            _miss(renders, self, [key for key in keys if key not in found], version)
            if renders and found:
                notes = super().get_many([_note_key(key) for key in found], version)  # type: ignore[misc]
                for key, value in found.items():
                    _carry(renders, value, notes.get(_note_key(key)))
            return found

    def has_key(self, key: Any, version: Any = None) -> Any:
        with _Inside() as renders:
            _know_nothing(renders)
            return super().has_key(key, version)  # type: ignore[misc]

    def incr(self, key: Any, delta: int = 1, version: Any = None) -> Any:
        with _Inside() as renders:
            _know_nothing(renders)
            return super().incr(key, delta, version)  # type: ignore[misc]

    # Writes

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> Any:
        with _Inside() as renders:
            done = super().set(key, value, timeout, version)  # type: ignore[misc]
            self._note(renders, {key: value}, timeout, version)
            return done

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> Any:
        with _Inside() as renders:
            added = super().add(key, value, timeout, version)  # type: ignore[misc]
            if added:
                self._note(renders, {key: value}, timeout, version)
            return added

    def set_many(self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> Any:
        with _Inside() as renders:
            failed = super().set_many(data, timeout, version)  # type: ignore[misc]
            self._note(renders, data, timeout, version)
            return failed

    def _note(self, renders: Renders | None, data: Mapping[Any, Any], timeout: Any, version: Any) -> None:
        """Keep what these values were made of; outside of a render, forget what that was before."""
        if renders is None:
            return
        for render in renders:
            render.missed.difference_update([(id(self), key, version) for key in data])
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout  # type: ignore[attr-defined]
        made_of = _made_of(renders, seconds)
        if made_of is None:
            super().delete_many([_note_key(key) for key in data], version)  # type: ignore[misc]
        else:
            notes = {_note_key(key): made_of(value) for key, value in data.items()}
            super().set_many(notes, timeout, version)  # type: ignore[misc]


class _Depth(threading.local):
    inside = False


_depth = _Depth()


class _Inside:
    """For the time of one of a cache's own methods. On entry: the renders that called it; None when it was
    called by another such method, for only the outermost counts. What the cache itself reads, from a table of
    the database as it may be, is no read of theirs."""

    __slots__ = ("_nested", "_reads")

    def __enter__(self) -> Renders | None:
        self._nested = _depth.inside
        if self._nested:
            return None
        renders = current()
        _depth.inside = True
        self._reads = enter(None)
        self._reads.__enter__()
        return renders

    def __exit__(self, *_: object) -> None:
        if not self._nested:
            _depth.inside = False
            self._reads.__exit__(None, None, None)


def _made_of(renders: Renders, seconds: float | None) -> Callable[[Any], Note] | None:
    """What makes the note of a value that is being put in for so long; None when nobody could say what it was
    made of."""
    table = clock_table() if renders else None
    if table is None:
        return None
    tags = fold(set().union(*[render.all_tags() for render in renders]), MOST_TAGS)
    if tags is None:
        return None
    ends = [time.time() + render.max_age for render in renders if render.max_age is not None]
    if seconds is not None:
        ends.append(time.time() + seconds)
    name, stamp, end = table.name, min(render.stamp for render in renders), min(ends, default=None)
    return lambda value: Note(_digest(value), name, stamp, tuple(sorted(tags)), end)


def _carry(renders: Renders, value: Any, note: Any) -> None:
    """Renders got this value: they depend on what it was made of."""
    table = clock_table()
    if (
        table is None
        or not isinstance(note, Note)
        or note.clock != table.name
        or note.digest != _digest(value)
    ):
        _know_nothing(renders)
        return
    clock = table.clock
    valid = clock.verdict(note.stamp, tag_slots(note.tags, clock.slots)) is Verdict.VALID
    for render in renders:
        render.tags.update(note.tags)
        if not valid:
            render.bound(UNKNOWN_SECONDS)
        elif note.until is not None:
            render.bound(max(note.until - time.time(), UNKNOWN_SECONDS))


def _miss(renders: Renders | None, cache: Any, keys: Iterable[Any], version: Any) -> None:
    """Renders found nothing. Who puts it there knows what it is made of; to others it may come any time."""
    for render in renders or ():
        render.missed.update([(id(cache), key, version) for key in keys])


def end(render: Recording) -> None:
    """The page is made: what it missed in a cache, somebody else may put there."""
    if render.missed:
        _know_nothing((render,))


def _know_nothing(renders: Renders | None) -> None:
    for render in renders or ():
        render.bound(UNKNOWN_SECONDS)
        render.fall_back("a cached value of which it isn't known what it was made of")


def _note_key(key: Any) -> str:
    """No longer than any backend takes, whatever the key."""
    return "uncork." + blake2b(str(key).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _digest(value: Any) -> bytes:
    content = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else pickle.dumps(value, 5)
    return blake2b(content, digest_size=16, person=type(value).__name__.encode()[:16]).digest()
