"""What is stored, for how long, and each named reason not to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.storing import DATE, ETAG, FRESH, NOW, at, cc, cdn, get, plan, stored
from uncork.caching.directives import DELTA_MAX, NO_DIRECTIVES
from uncork.caching.freshness import Freshness
from uncork.caching.reuse import Reuse, judge, stale_if_error_allowed
from uncork.caching.storable import (
    ABOUT_THE_REQUEST,
    CacheOptions,
    NotStorable,
    has_validator,
    plan_storing,
    storable_fields,
)
from uncork.semantics.fields import Field, Fields
from uncork.semantics.messages import HOP_BY_HOP, REASONS, Request, Response


@pytest.mark.parametrize(
    ("source", "request_", "status", "fields", "expected"),
    [
        ("RFC 9111 §2", get(method=b"POST"), 200, [FRESH], NotStorable.METHOD),
        ("RFC 9111 §4.3.5", get(method=b"HEAD"), 200, [FRESH], NotStorable.METHOD),
        ("RFC 9110 §9.1", get(method=b"get"), 200, [FRESH], NotStorable.METHOD),
        ("RFC 9110 §9.3.1", get((b"content-length", b"3")), 200, [FRESH], NotStorable.REQUEST_CONTENT),
        ("RFC 9110 §9.3.1", get((b"transfer-encoding", b"chunked")), 200, [FRESH],
         NotStorable.REQUEST_CONTENT),
        ("RFC 9111 §5.2.1.5", get(cc(b"no-store")), 200, [FRESH], NotStorable.REQUEST_NO_STORE),
        ("RFC 9111 §3.5", get((b"authorization", b"x")), 200, [FRESH], NotStorable.AUTHORIZATION),
        ("RFC 9111 §3.5", get((b"authorization", b"x")), 200, [cc(b"max-age=6, proxy-revalidate")],
         NotStorable.AUTHORIZATION),
        # The targeted field alone decides. Source: RFC 9213 §2.2
        ("RFC 9213 §2.2", get((b"authorization", b"x")), 200, [cc(b"public"), cdn(b"max-age=9")],
         NotStorable.AUTHORIZATION),
        ("RFC 9110 §15.2", get(), 103, [FRESH], NotStorable.INTERIM),
        ("RFC 9111 §3.3", get(), 206, [FRESH], NotStorable.PARTIAL),
        ("RFC 9111 §3", get(), 304, [FRESH], NotStorable.NOT_MODIFIED),
        ("RFC 9111 §5.2.2.3", get(), 599, [cc(b"max-age=6, must-understand")], NotStorable.NOT_UNDERSTOOD),
        ("RFC 9111 §5.2.2.3", get(), 599, [cc(b"max-age=6, no-store, must-understand")],
         NotStorable.NOT_UNDERSTOOD),
        ("RFC 3229 §5.5", get(), 226, [cc(b"max-age=6, must-understand")], NotStorable.NOT_UNDERSTOOD),
        ("RFC 9111 §5.2.2.5", get(), 200, [cc(b"max-age=6, no-store"), ETAG], NotStorable.NO_STORE),
        ("RFC 9111 §5.2.2.5", get(), 200, [cc(b"No-StOrE"), (b"expires", at(60))], NotStorable.NO_STORE),
        ("RFC 9213 §2.2", get(), 200, [FRESH, cdn(b"no-store")], NotStorable.NO_STORE),
        ("RFC 9111 §5.2.2.7", get(), 200, [cc(b"max-age=6, private")], NotStorable.PRIVATE),
        ("RFC 9111 §5.2.2.7", get(), 200, [cc(b'max-age=6, private="x"')], NotStorable.PRIVATE),
        ("RFC 9111 §5.2.2.7", get(), 200, [cc(b"public, s-maxage=6, private")], NotStorable.PRIVATE),
        ("RFC 9111 §5.2.2.3", get(), 200, [cc(b"max-age=6, private, must-understand")], NotStorable.PRIVATE),
        ("RFC 9213 §2.2", get(), 200, [FRESH, cdn(b"private")], NotStorable.PRIVATE),
        ("RFC 9111 §7.3", get(), 200, [FRESH, (b"set-cookie", b"a=b")], NotStorable.SET_COOKIE),
        ("RFC 9111 §7.3", get(), 200, [cc(b"public, s-maxage=6"), (b"set-cookie", b"a=b")],
         NotStorable.SET_COOKIE),
        ("RFC 9111 §4.1", get(), 200, [FRESH, (b"vary", b"*")], NotStorable.VARY_ALL),
        ("RFC 9111 §4.1", get(), 200, [FRESH, (b"vary", b"A, X-Forwarded-For")], NotStorable.VARY_CLIENT),
        ("RFC 9111 §4.1", get(), 200, [FRESH, (b"vary", b"a"), (b"vary", b", *")], NotStorable.VARY_ALL),
        # Nothing says that it may be stored.
        ("RFC 9111 §3", get(), 302, [ETAG], NotStorable.STATUS),
        ("RFC 9111 §3", get(), 201, [(b"last-modified", at(-9999))], NotStorable.STATUS),
        ("RFC 9111 §3", get(), 503, [cc(b"no-cache"), ETAG], NotStorable.STATUS),
        ("RFC 9111 §4.2.2", get(), 200, [], NotStorable.NO_FRESHNESS),
        ("RFC 9111 §4.2.2", get(), 200, [(b"etag", b"unquoted")], NotStorable.NO_FRESHNESS),
        ("RFC 9111 §4.2.2", get(), 200, [cc(b"public")], NotStorable.NO_FRESHNESS),
        ("RFC 5861 §3", get(), 200, [cc(b"stale-while-revalidate=60, stale-if-error=60")],
         NotStorable.NO_FRESHNESS),
        # It could never be used.
        ("RFC 9111 §5.2.2.1", get(), 200, [cc(b"max-age=0")], NotStorable.ALREADY_STALE),
        ("RFC 9111 §5.2.2.1", get(), 200, [cc(b"max-age=x")], NotStorable.ALREADY_STALE),
        ("RFC 9111 §5.2.2.4", get(), 200, [cc(b"max-age=60, no-cache")], NotStorable.ALREADY_STALE),
        ("RFC 9111 §5.2.2.4", get(), 200, [cc(b"max-age=6, no-cache, stale-if-error=9")],
         NotStorable.ALREADY_STALE),
        ("RFC 9111 §5.2.2.2", get(), 200, [cc(b"max-age=0, must-revalidate, stale-if-error=9")],
         NotStorable.ALREADY_STALE),
        ("RFC 9111 §5.3", get(), 200, [(b"expires", b"0")], NotStorable.ALREADY_STALE),
        ("RFC 9111 §5.1", get(), 200, [FRESH, (b"age", b"60")], NotStorable.ALREADY_STALE),
    ],
)  # fmt: skip
def test_not_stored(
    source: str, request_: Request, status: int, fields: list[Field], expected: NotStorable
) -> None:
    assert plan(*fields, request=request_, status=status) is expected


def test_every_reason_has_a_row() -> None:
    rows = {mark.args[1][i][4] for mark in test_not_stored.pytestmark for i in range(len(mark.args[1]))}
    assert rows | {NotStorable.ABOUT_THE_REQUEST} == set(NotStorable)


@pytest.mark.parametrize("status", sorted(ABOUT_THE_REQUEST))
def test_a_status_about_one_request_is_never_stored(status: int) -> None:
    """Source: RFC 6585 §3 to §6, RFC 9110 §15.5.13, §15.5.17"""
    assert plan(cc(b"public, s-maxage=60"), ETAG, status=status) is NotStorable.ABOUT_THE_REQUEST


@pytest.mark.parametrize("status", [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 401, 403, 404, 410, 499,
                                    500, 502, 503, 504, 599])  # fmt: skip
def test_any_other_final_status_is_stored_with_explicit_freshness_and_goes_stale(status: int) -> None:
    """Source: RFC 9111 §3, §4.2"""
    for field in (FRESH, (b"expires", at(60)), cc(b"s-maxage=60"), cdn(b"max-age=60")):
        freshness = stored(field, DATE, status=status)
        assert judge(NO_DIRECTIVES, freshness, NOW + 59.9) is Reuse.FRESH
        assert judge(NO_DIRECTIVES, freshness, NOW + 60) is not Reuse.FRESH


@pytest.mark.parametrize(
    "permission", [cc(b"public, max-age=60"), cc(b"max-age=60, must-revalidate"), cc(b"s-maxage=60")]
)
def test_stored_in_spite_of_authorization(permission: Field) -> None:
    """Source: RFC 9111 §3.5"""
    assert isinstance(plan(permission, request=get((b"authorization", b"x"))), Freshness)


def test_must_understand_lifts_no_store() -> None:
    """Source: RFC 9111 §5.2.2.3"""
    assert stored(cc(b"max-age=3600, no-store, must-understand")).lifetime == 3600


def test_an_empty_content_of_a_get_is_none() -> None:
    assert isinstance(plan(FRESH, request=get((b"content-length", b"0"))), Freshness)


def test_fields_of_the_connection_are_not_stored() -> None:
    """Source: RFC 9111 §3.1"""
    hop = [(name, b"x") for name in sorted(HOP_BY_HOP - {b"connection"})]
    connection = (b"connection", b"a, B")
    kept = [(b"c", b"3"), DATE, FRESH, (b"vary", b"d"), (b"set-cookie2", b"e")]
    fields = Fields([*hop, connection, (b"a", b"1"), (b"b", b"2"), (b"age", b"4"), *kept])
    assert list(storable_fields(fields)) == kept


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ((b"etag", b'"x"'), True),
        ((b"etag", b'W/"x"'), True),
        ((b"etag", b"x"), False),
        ((b"last-modified", at(-5)), True),
        ((b"last-modified", b"0"), False),
        ((b"date", at(-5)), False),
    ],
)
def test_validators(field: Field, expected: bool) -> None:
    """Source: RFC 9110 §8.8"""
    assert has_validator(Fields([field]), NOW) is expected


word = st.sampled_from(
    [b"no-cache", b"no-store", b"private", b"public", b"must-revalidate", b"proxy-revalidate",
     b"must-understand", b"x=y", b"max-age=60", b"max-age=0", b"s-maxage=30", b"max-age=x",
     b"stale-while-revalidate=9", b"stale-if-error=9"]
)  # fmt: skip
value = st.lists(word, max_size=5).map(b", ".join)
field = st.one_of(
    st.tuples(st.sampled_from([b"cache-control", b"cdn-cache-control"]), value),
    st.tuples(
        st.sampled_from([b"expires", b"date", b"last-modified"]),
        st.one_of(st.integers(-(10**6), 10**6).map(at), st.just(b"0")),
    ),
    st.tuples(st.just(b"age"), st.one_of(st.integers(-5, 2**33).map(lambda n: b"%d" % n), st.just(b"x"))),
    st.sampled_from([ETAG, (b"set-cookie", b"a=b"), (b"vary", b"*"), (b"vary", b"cookie"), (b"etag", b"?")]),
)
request = st.builds(
    lambda method, fields: get(*fields, method=method),
    st.sampled_from([b"GET", b"GET", b"GET", b"HEAD", b"POST", b"BREW"]),
    st.lists(
        st.sampled_from([(b"authorization", b"x"), cc(b"no-store"), cc(b"max-stale"), (b"cookie", b"s=1")]),
        max_size=2,
    ),
)
option = st.builds(
    CacheOptions,
    default_ttl=st.sampled_from([0, 9]),
    heuristic_fraction=st.sampled_from([0.0, 0.1, 1.0]),
    negative_ttl=st.sampled_from([0, 9]),
    stale_while_revalidate=st.sampled_from([0, 9]),
    stale_if_error=st.sampled_from([0, 86400]),
)
status = st.one_of(st.sampled_from([200, 404, 301]), st.sampled_from(sorted(REASONS)), st.integers(100, 599))


def said_to_us(fields: Fields, targeted: bool) -> set[bytes]:
    value = fields.get(b"cdn-cache-control" if targeted else b"cache-control")
    return set((value or b"").split(b", "))


@settings(max_examples=500)
@given(request, status, st.lists(field, max_size=6), option, st.floats(0, 100))
def test_what_must_not_be_stored_never_is(
    request_: Request, code: int, listed: list[Field], options: CacheOptions, delay: float
) -> None:
    """Source: RFC 9111 §3, §3.3, §3.5, §4.2.1"""
    fields = Fields(listed)
    found = plan_storing(request_, Response(code, fields), NOW - delay, NOW, options)
    if isinstance(found, NotStorable):
        return
    said = said_to_us(fields, found.targeted)
    assert request_.method == b"GET"
    assert b"no-store" not in (request_.fields.get(b"cache-control") or b"")
    assert b"private" not in said
    assert b"no-store" not in said or b"must-understand" in said
    assert b"set-cookie" not in fields
    assert b"*" not in (fields.get(b"vary") or b"")
    assert code >= 200 and code not in (206, 304, 412, 416, 428, 429, 431, 511)
    if b"authorization" in request_.fields:
        assert {b"public", b"must-revalidate", b"s-maxage=30"} & said
    if b"no-cache" in said:
        assert judge(NO_DIRECTIVES, found, NOW) is Reuse.REVALIDATE
    if {b"must-revalidate", b"proxy-revalidate", b"s-maxage=30", b"no-cache"} & said:
        assert not stale_if_error_allowed(found, NOW + found.lifetime)
    if {b"max-age=0", b"max-age=x"} & said and b"s-maxage=30" not in said and not found.targeted:
        assert judge(NO_DIRECTIVES, found, NOW) is not Reuse.FRESH
    assert 0 <= found.lifetime <= DELTA_MAX and 0 <= found.corrected_initial_age <= DELTA_MAX
    assert Freshness.from_bytes(found.to_bytes()) == found


@given(st.lists(field, max_size=6), status)
def test_a_response_with_a_usable_validator_or_lifetime_is_what_gets_stored(
    listed: list[Field], code: int
) -> None:
    """Nothing is stored that could never be served again."""
    fields = Fields(listed)
    found = plan_storing(get(), Response(code, fields), NOW, NOW, CacheOptions())
    if isinstance(found, Freshness) and not has_validator(fields, NOW):
        assert stale_if_error_allowed(found, NOW) or judge(NO_DIRECTIVES, found, NOW) is not Reuse.REVALIDATE
