"""What every store must do, as checks that can be run on any.

Lives here: the contract's sentences as code. A test suite runs each of `CHECKS` on each kind of store.
Doesn't know: any kind of store, and no test framework: a check fails by AssertionError.

A check is handed a function that opens the store: each call gives another process's view of the same pages.
"""

from collections.abc import Callable
from dataclasses import replace

from uncork.caching.freshness import Freshness
from uncork.pages.keys import primary_key
from uncork.pages.page import Page
from uncork.pages.pagefile import MOST_HEAD, TooLarge
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request
from uncork.stores.contract import Signpost, Store, StoredPage
from uncork.stores.lookup import find, learn, place

Opener = Callable[[], Store]
Check = Callable[[Opener], None]

PAGE = Page(
    url=b"http://example.org/",
    status=200,
    fields=Fields([(b"content-type", b"text/plain"), (b"etag", b'"1"')]),
    freshness=Freshness(response_time=1e9, corrected_initial_age=0.0, lifetime=60),
    stamp=1,
    slots=(1, 2),
)
KEY = primary_key(b"http", b"example.org", b"/")
BODY = bytes(range(256)) * 40


def what_is_committed_is_found_by_all(open_store: Opener) -> None:
    one, other = open_store(), open_store()
    _put(one, KEY, PAGE, BODY)
    for store in (one, other):
        stored = _page_at(store)
        assert stored.page == PAGE
        assert stored.read() == BODY
        assert list(stored.bodies) == [b""]
        stored.close()


def what_is_not_committed_is_not_found(open_store: Opener) -> None:
    store = open_store()
    assert store.lookup(KEY) is None
    writer = store.create(KEY, PAGE)
    writer.write(BODY)
    assert store.lookup(KEY) is None
    writer.abort()
    writer.abort()
    assert store.lookup(KEY) is None


def what_was_there_stays_until_the_commit(open_store: Opener) -> None:
    store = open_store()
    _put(store, KEY, PAGE, b"old")
    writer = store.create(KEY, PAGE)
    writer.write(b"new")
    assert _body_at(store) == b"old"
    writer.commit().close()
    assert _body_at(store) == b"new"
    aborted = store.create(KEY, PAGE)
    aborted.abort()
    assert _body_at(store) == b"new"


def the_committed_page_is_ready_to_be_sent(open_store: Opener) -> None:
    writer = open_store().create(KEY, PAGE, [b"query:q"])
    for at in range(0, len(BODY), 1000):
        writer.write(BODY[at : at + 1000])
    stored = writer.commit()
    assert (stored.page, stored.names, stored.read()) == (PAGE, (b"query:q",), BODY)
    stored.close()
    writer.abort()
    assert stored.fd == -1


def a_body_may_be_empty(open_store: Opener) -> None:
    store = open_store()
    _put(store, KEY, PAGE, b"")
    assert _body_at(store) == b""


def a_page_stays_readable_when_it_is_replaced_or_removed(open_store: Opener) -> None:
    store = open_store()
    _put(store, KEY, PAGE, BODY)
    stored = _page_at(store)
    _put(store, KEY, PAGE, b"new")
    assert stored.read() == BODY
    assert store.remove(KEY)
    assert not store.remove(KEY)
    assert store.lookup(KEY) is None
    store.close()
    assert stored.read() == BODY
    stored.close()


def keys_do_not_touch_each_other(open_store: Opener) -> None:
    store = open_store()
    keys = [primary_key(b"http", b"example.org", b"/%d" % number) for number in range(20)]
    for key in keys:
        _put(store, key, PAGE, key)
    for key in keys:
        assert _body_at(store, key) == key


def equal_bodies_have_the_same_strong_validator(open_store: Opener) -> None:
    store = open_store()
    etags = []
    for body in (BODY, BODY, b"other"):
        _put(store, KEY, PAGE, body)
        stored = _page_at(store)
        etags.append(stored.etag())
        stored.close()
    assert etags[0] == etags[1] != etags[2]
    assert etags[0].startswith(b'"') and etags[0].endswith(b'"')


def codings_stand_beside_the_identity(open_store: Opener) -> None:
    store = open_store()
    _put(store, KEY, PAGE, BODY, [b"query:q"])
    first = _page_at(store)
    assert store.add_codings(KEY, first, {b"zstd": b"z", b"br": b"b"})
    first.close()
    second = _page_at(store)
    assert store.add_codings(KEY, second, {b"gzip": b"g"})
    assert not store.add_codings(KEY, second, {b"gzip": b"x"})  # it is no longer the page at the key
    second.close()
    stored = _page_at(store)
    assert {coding: stored.read(coding) for coding in stored.bodies} == {
        b"": BODY,
        b"br": b"b",
        b"gzip": b"g",
        b"zstd": b"z",
    }
    assert (stored.page, stored.names) == (PAGE, (b"query:q",))
    stored.close()


def codings_are_not_added_to_another_page(open_store: Opener) -> None:
    store = open_store()
    _put(store, KEY, PAGE, BODY)
    stored = _page_at(store)
    _put(store, KEY, PAGE, BODY[::-1])
    assert not store.add_codings(KEY, stored, {b"br": b"b"})
    store.remove(KEY)
    assert not store.add_codings(KEY, stored, {b"br": b"b"})
    stored.close()
    assert store.lookup(KEY) is None


def a_validated_page_keeps_its_bodies(open_store: Opener) -> None:
    store = open_store()
    _put(store, KEY, PAGE, BODY, [b"query:q"])
    stored = _page_at(store)
    store.add_codings(KEY, stored, {b"br": b"b"})
    stored.close()
    stored = _page_at(store)
    later = replace(PAGE, stamp=2, fields=Fields([(b"etag", b'"1"'), (b"x-long", b"x" * 5000)]))
    fresh = store.freshen(KEY, stored, later)
    assert fresh is not None
    assert store.freshen(KEY, stored, PAGE) is None
    stored.close()
    found = _page_at(store)
    for entry in (fresh, found):
        assert (entry.page, entry.names, entry.read(), entry.read(b"br")) == (
            later,
            (b"query:q",),
            BODY,
            b"b",
        )
        entry.close()


def names_grow_at_a_key_with_or_without_a_page(open_store: Opener) -> None:
    store = open_store()
    assert store.record(KEY, [b"query:b"]) == (b"query:b",)
    assert store.record(KEY, [b"query:a"]) == (b"query:a", b"query:b")
    assert store.lookup(KEY) == Signpost((b"query:a", b"query:b"))
    _put(store, KEY, PAGE, BODY, [b"query:c"])
    assert store.record(KEY, []) == (b"query:a", b"query:b", b"query:c")
    assert store.record(KEY, [b"query:d"]) == (b"query:a", b"query:b", b"query:c", b"query:d")
    stored = _page_at(store)
    assert (stored.names, stored.read()) == ((b"query:a", b"query:b", b"query:c", b"query:d"), BODY)
    stored.close()


def what_does_not_fit_is_refused_at_once(open_store: Opener) -> None:
    store = open_store()
    try:
        store.create(KEY, replace(PAGE, url=b"x" * MOST_HEAD))
    except TooLarge:
        pass
    else:
        raise AssertionError("TooLarge was not raised")
    assert store.lookup(KEY) is None


def a_long_head_is_read_whole(open_store: Opener) -> None:
    store = open_store()
    page = replace(PAGE, fields=Fields([(b"x-%d" % number, b"v" * 400) for number in range(50)]))
    _put(store, KEY, page, BODY)
    stored = _page_at(store)
    assert (stored.page, stored.read()) == (page, BODY)
    stored.close()


def a_request_finds_the_page_of_its_own_inputs(open_store: Opener) -> None:
    store = open_store()
    requests = [
        _request(),
        _request(b"q=1"),
        _request(b"q=2"),
        _request(None, b"sid=a"),
        _request(b"q=1", b"sid=a"),
        _request(b"q=1", b"sid=b"),
    ]
    for request in requests:
        assert find(store, request).stored is None
        _render(store, request, [b"query:q", b"cookie:sid"])
    for request in requests:
        stored = find(store, request).stored
        assert stored is not None
        assert stored.read() == request.url + (request.fields.get(b"cookie") or b"")
        stored.close()


def a_request_finds_one_page_whatever_nobody_reads(open_store: Opener) -> None:
    store = open_store()
    _render(store, _request(b"q=1&utm_source=x", b"_ga=1"), [b"query:q", b"cookie:sid"])
    stored = find(store, _request(b"utm_source=y&q=1", b"_ga=2; theme=dark")).stored
    assert stored is not None
    stored.close()


def a_page_keeps_to_its_own_inputs_when_names_are_lost(open_store: Opener) -> None:
    """Two processes record at the same time, and the names of one are lost."""
    store = open_store()
    _render(store, _request(None, b"sid=secret"), [b"cookie:sid"])
    _render(store, _request(), [b"cookie:sid"])
    private = find(store, _request(None, b"sid=secret"))
    assert private.stored is not None
    private.stored.close()
    store.remove(KEY)
    writer = store.create(KEY, replace(PAGE, inputs=((b"cookie:sid", None),)), ())
    writer.write(b"for nobody in particular")
    writer.commit().close()
    assert find(store, _request(None, b"sid=secret")).stored is None
    anonymous = find(store, _request()).stored
    assert anonymous is not None
    anonymous.close()


def a_page_is_found_after_more_names_became_known(open_store: Opener) -> None:
    store = open_store()
    _render(store, _request(b"q=1"), [b"query:q"])
    _render(store, _request(b"q=2", b"sid=a"), [b"cookie:sid"])
    for request in (_request(b"q=1"), _request(b"q=2", b"sid=a")):
        stored = find(store, request).stored
        assert stored is not None
        stored.close()
    assert find(store, _request(b"q=1", b"sid=a")).stored is None


def what_a_render_read_is_known_though_its_page_is_not_stored(open_store: Opener) -> None:
    store = open_store()
    private = _request(b"q=1", b"sid=secret")
    found = find(store, private)
    assert not found.known
    learned = learn(store, private, found, [b"cookie:sid"])
    assert learned.inputs == ((b"cookie:sid", b"sid=secret"),) and learned.key != KEY
    for request in (_request(), _request(b"q=1"), private):
        found = find(store, request)
        assert found.known and found.names == (b"cookie:sid",) and found.stored is None
    assert find(store, private).key == learned.key
    _render(store, _request(b"q=1"), [b"query:q"])
    again = find(store, private)
    assert again.names == (b"cookie:sid", b"query:q") and again.stored is None
    assert learn(store, private, again, [b"cookie:sid"]).key == again.key
    stored = find(store, _request(b"q=1")).stored
    assert stored is not None
    stored.close()


def names_of_a_later_version_are_a_miss(open_store: Opener) -> None:
    store = open_store()
    store.record(KEY, [b"moon:phase"])
    assert find(store, _request()).stored is None
    _put(store, KEY, PAGE, BODY)
    assert find(store, _request()).stored is None


def what_happened_is_counted(open_store: Opener) -> None:
    store = open_store()
    store.lookup(KEY)
    _put(store, KEY, PAGE, BODY)
    _page_at(store).close()
    store.remove(KEY)
    counted = store.statistics()
    assert (counted.hits, counted.written, counted.removed, counted.refused) == (1, 1, 1, 0)
    assert counted.misses >= 1 and counted.written_bytes > len(BODY)
    store.lookup(KEY)
    assert counted != store.statistics()


CHECKS: tuple[Check, ...] = (
    what_is_committed_is_found_by_all,
    what_is_not_committed_is_not_found,
    what_was_there_stays_until_the_commit,
    the_committed_page_is_ready_to_be_sent,
    a_body_may_be_empty,
    a_page_stays_readable_when_it_is_replaced_or_removed,
    keys_do_not_touch_each_other,
    equal_bodies_have_the_same_strong_validator,
    codings_stand_beside_the_identity,
    codings_are_not_added_to_another_page,
    a_validated_page_keeps_its_bodies,
    names_grow_at_a_key_with_or_without_a_page,
    what_does_not_fit_is_refused_at_once,
    a_long_head_is_read_whole,
    a_request_finds_the_page_of_its_own_inputs,
    a_request_finds_one_page_whatever_nobody_reads,
    a_page_keeps_to_its_own_inputs_when_names_are_lost,
    a_page_is_found_after_more_names_became_known,
    what_a_render_read_is_known_though_its_page_is_not_stored,
    names_of_a_later_version_are_a_miss,
    what_happened_is_counted,
)


def _put(store: Store, key: bytes, page: Page, body: bytes, names: list[bytes] | None = None) -> None:
    writer = store.create(key, page, names or ())
    writer.write(body)
    writer.commit().close()


def _page_at(store: Store, key: bytes = KEY) -> StoredPage:
    entry = store.lookup(key)
    assert isinstance(entry, StoredPage)
    return entry


def _body_at(store: Store, key: bytes = KEY) -> bytes:
    entry = _page_at(store, key)
    body = entry.read()
    entry.close()
    return body


def _request(query: bytes | None = None, cookie: bytes | None = None) -> Request:
    fields = Fields([] if cookie is None else [(b"cookie", cookie)])
    return Request(b"GET", b"http", b"example.org", b"/", query, b"1.1", fields)


def _render(store: Store, request: Request, read: list[bytes]) -> None:
    """Store a page that read these inputs, as an edge does after a miss."""
    found = find(store, request)
    if found.stored is not None:
        found.stored.close()
    at = place(store, request, found.primary, read)
    page = replace(PAGE, url=request.url, inputs=at.inputs)
    body = request.url + (request.fields.get(b"cookie") or b"")
    _put(store, at.key, page, body, list(at.names) if at.key == at.primary else None)
