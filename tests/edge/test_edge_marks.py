"""Marks of what is passed: for whom they hold, and that nobody fills them."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from uncork.caching.storable import NotStorable
from uncork.edge.passing import Marks, mark_keys
from uncork.net.loop import Loop
from uncork.pages.keys import primary_key, select, variant_key
from uncork.pages.record import Unshared
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request
from uncork.stores.lookup import Found

NAMES = (b"cookie:lang", b"cookie:sid", b"query:q")


@pytest.fixture
def marks() -> Iterator[Marks]:
    with closing(Loop()) as loop:
        yield Marks(loop)


def asked(cookie: bytes | None = None, query: bytes | None = None, path: bytes = b"/") -> Request:
    fields = Fields([] if cookie is None else [(b"cookie", cookie)])
    return Request(b"GET", b"http", b"h", path, query, b"1.1", fields)


def found(request: Request, names: tuple[bytes, ...] = NAMES) -> Found:
    """What the store says that has no page, and knows these names; it knows nothing without any."""
    primary = primary_key(request.scheme, request.authority, request.path)
    inputs = select(names, request)
    return Found(primary, names, inputs, variant_key(primary, inputs), None, known=bool(names))


def is_marked(marks: Marks, request: Request, names: tuple[bytes, ...] = NAMES) -> bool:
    return marks.mark(found(request, names), request) is not None


def test_all_who_have_the_same_cookies_share_the_mark_of_a_render(marks: Marks) -> None:
    me = asked(b"sid=1")
    marks.set(found(me), me, Unshared.SESSION, absent=True)
    for cookie in (b"sid=2", b"a=b; sid=3", b"sid=", b"sid=1; sid=2"):
        assert is_marked(marks, asked(cookie))
    for other in (
        asked(),
        asked(b"lang=de"),
        asked(b"sid=1; lang=de"),
        asked(b"sid=1", b"q=1"),
        asked(b"sid"),
    ):
        assert not is_marked(marks, other)


def test_what_http_forbids_is_marked_for_the_very_request(marks: Marks) -> None:
    me = asked(b"sid=1")
    marks.set(found(me), me, NotStorable.PRIVATE, absent=True)
    assert is_marked(marks, me) and not is_marked(marks, asked(b"sid=2"))
    unknown = asked(b"sid=1", b"q")
    marks.set(found(unknown, ()), unknown, NotStorable.PRIVATE, absent=True)
    assert is_marked(marks, unknown, ()) and not is_marked(marks, asked(b"sid=1", b"p"), ())


def test_who_invents_cookies_makes_no_marks(marks: Marks) -> None:
    for number in range(30_000):
        me = asked(b"sid=%d" % number)
        marks.set(found(me), me, Unshared.SESSION, absent=True)
    assert len(marks._marks) == 1 and len(marks._absent) == 1


def test_who_invents_urls_fills_nothing(marks: Marks) -> None:
    first = asked()
    marks.set(found(first, ()), first, None, absent=True)
    absence = marks.absence(first)
    assert absence is not None
    for number in range(30_000):
        me = asked(b"sid=1", b"%d" % number, b"/%d" % (number % 20_000))
        marks.set(found(me, NAMES if number % 2 else ()), me, NotStorable.PRIVATE, absent=True)
        assert len(marks._marks) <= 10_000 and len(marks._absent) <= 10_000
    assert absence.until == 0.0  # who remembers it is told


def test_absence_is_of_what_was_looked_for(marks: Marks) -> None:
    me = asked(b"sid=1")
    marks.set(found(me, ()), me, Unshared.SESSION, absent=True)
    first = marks.absence(me)
    assert first is not None and first.names == ()
    marks.set(found(me), me, Unshared.SESSION, absent=True)
    second = marks.absence(me)
    assert second is not None and second.names == NAMES and first.until == 0.0
    assert second.found(asked(b"sid=2", b"q=1")) == found(asked(b"sid=2", b"q=1"))
    marks.clear(marks.mark(found(me), me), me)
    assert marks.absence(me) is None and second.until == 0.0 and not is_marked(marks, me)


def test_nothing_is_absent_of_a_page_for_everyone(marks: Marks) -> None:
    me = asked()
    everyones = Found(b"k" * 16, (), (), b"k" * 16, None, known=True)
    assert marks.set_absence(everyones, me, 9e9) is None
    marks.set(everyones, me, Unshared.NEVER, absent=False)
    assert marks.absence(me) is None


def test_marks_are_told_by_their_keys(marks: Marks) -> None:
    me, you = asked(b"sid=1"), asked(b"sid=2")
    marks.set(found(me), me, Unshared.SESSION, absent=True)
    (told,) = marks.told(mark_keys(found(you), you)).values()
    assert told["reason"] == "session" and 0 < told["seconds"] <= 60
    assert marks.told(mark_keys(found(asked()), asked())) == {}
