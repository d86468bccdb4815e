"""Conditional requests: RFC 9110 §13."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.semantics.conditional import Precondition, evaluate, if_range_matches
from uncork.semantics.dates import format_date
from uncork.semantics.fields import Fields

NONE, PASSED, NOT_MODIFIED, FAILED = Precondition

CHANGED = 784111777
NOW = CHANGED + 1000.5
SAME, BEFORE, AFTER = (format_date(CHANGED + delta) for delta in (0, -1, 1))
TAG, WEAK = b'"x"', b'W/"x"'


def row(
    expected: Precondition,
    *fields: tuple[bytes, bytes],
    method: bytes = b"GET",
    etag: bytes | None = TAG,
    last_modified: int | None = CHANGED,
    exists: bool = True,
    at_origin: bool = True,
) -> object:
    return expected, fields, method, etag, last_modified, exists, at_origin


IM, INM, IMS, IUS = b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"


@pytest.mark.parametrize(
    ("expected", "fields", "method", "etag", "last_modified", "exists", "at_origin"),
    [
        row(NONE),
        row(NONE, (b"range", b"bytes=0-0"), (b"if-range", b'"y"')),
        # §13.1.1 If-Match: a list, compared strongly
        row(PASSED, (IM, TAG)),
        row(PASSED, (IM, b'"y", "x"')),
        row(PASSED, (IM, b'"y"'), (IM, b'"x"')),
        row(FAILED, (IM, b'"y"')),
        row(FAILED, (IM, WEAK)),
        row(FAILED, (IM, WEAK), etag=WEAK),
        row(FAILED, (IM, TAG), etag=WEAK),
        row(FAILED, (IM, TAG), etag=None),
        row(PASSED, (IM, TAG), method=b"PUT"),
        row(FAILED, (IM, b'"y"'), method=b"PUT"),
        # §13.1.1: * is any current representation
        row(PASSED, (IM, b"*")),
        row(PASSED, (IM, b"*"), etag=None),
        row(FAILED, (IM, b"*"), exists=False, etag=None, last_modified=None),
        row(FAILED, (IM, b"nonsense")),
        # §13.1.2 If-None-Match: a list, *, compared weakly
        row(NOT_MODIFIED, (INM, TAG)),
        row(NOT_MODIFIED, (INM, WEAK)),
        row(NOT_MODIFIED, (INM, TAG), etag=WEAK),
        row(NOT_MODIFIED, (INM, WEAK), etag=WEAK),
        row(NOT_MODIFIED, (INM, b'"y", W/"x"')),
        row(NOT_MODIFIED, (INM, b'"y"'), (INM, b'"x"')),
        row(NOT_MODIFIED, (INM, b"*")),
        row(NOT_MODIFIED, (INM, b"*"), etag=None),
        row(NOT_MODIFIED, (INM, TAG), method=b"HEAD"),
        row(FAILED, (INM, TAG), method=b"PUT"),
        row(FAILED, (INM, b"*"), method=b"PUT"),
        row(FAILED, (INM, TAG), method=b"QUERY"),
        row(PASSED, (INM, b"*"), method=b"PUT", exists=False, etag=None, last_modified=None),
        row(PASSED, (INM, b'"y"')),
        row(PASSED, (INM, b'"x-br"')),
        row(PASSED, (INM, TAG), etag=b'"x-br"'),
        row(PASSED, (INM, TAG), etag=None),
        row(PASSED, (INM, b"nonsense")),
        row(PASSED, (INM, b'"X"')),
        # §13.1.3 If-Modified-Since
        row(NOT_MODIFIED, (IMS, SAME)),
        row(NOT_MODIFIED, (IMS, AFTER)),
        row(NOT_MODIFIED, (IMS, format_date(NOW + 86400))),
        row(NOT_MODIFIED, (IMS, b"Sunday, 06-Nov-94 08:49:37 GMT")),
        row(NOT_MODIFIED, (IMS, b"Sun Nov  6 08:49:37 1994")),
        row(NOT_MODIFIED, (IMS, SAME), method=b"HEAD"),
        row(PASSED, (IMS, BEFORE)),
        row(NONE, (IMS, b"yesterday")),
        row(NONE, (IMS, SAME), (IMS, SAME)),
        row(NONE, (IMS, SAME), last_modified=None),
        row(NONE, (IMS, SAME), method=b"POST"),
        row(NONE, (IMS, b""), method=b"GET"),
        # §13.1.3: ignored when there is an If-None-Match, whatever that says
        row(PASSED, (INM, b'"y"'), (IMS, SAME)),
        row(NOT_MODIFIED, (INM, TAG), (IMS, BEFORE)),
        row(PASSED, (INM, TAG), (IMS, SAME), etag=None),
        # §13.1.4 If-Unmodified-Since
        row(PASSED, (IUS, SAME)),
        row(PASSED, (IUS, AFTER)),
        row(FAILED, (IUS, BEFORE)),
        row(FAILED, (IUS, BEFORE), method=b"DELETE"),
        row(NONE, (IUS, b"yesterday")),
        row(NONE, (IUS, BEFORE), last_modified=None),
        # §13.1.4: ignored when there is an If-Match
        row(PASSED, (IM, TAG), (IUS, BEFORE)),
        row(FAILED, (IM, b'"y"'), (IUS, SAME)),
        # §13.2.2: steps 1 and 2 come before 3 and 4
        row(FAILED, (IM, b'"y"'), (INM, TAG)),
        row(NOT_MODIFIED, (IM, TAG), (INM, TAG)),
        row(FAILED, (IUS, BEFORE), (IMS, AFTER)),
        row(NOT_MODIFIED, (IUS, SAME), (IMS, SAME)),
        row(PASSED, (IM, TAG), (INM, b'"y"')),
        # §13.2.1: methods that select no representation
        row(NONE, (IM, b'"y"'), (INM, TAG), method=b"OPTIONS"),
        row(NONE, (IM, b'"y"'), method=b"TRACE"),
        row(NONE, (INM, b"*"), method=b"CONNECT"),
        # RFC 9111 §4.3.2: a cache leaves If-Match and If-Unmodified-Since to the origin
        row(NONE, (IM, b'"y"'), at_origin=False),
        row(NONE, (IUS, BEFORE), at_origin=False),
        row(NOT_MODIFIED, (IM, b'"y"'), (INM, TAG), at_origin=False),
        row(NOT_MODIFIED, (IUS, BEFORE), (IMS, SAME), at_origin=False),
    ],
)
def test_preconditions(
    expected: Precondition,
    fields: tuple[tuple[bytes, bytes], ...],
    method: bytes,
    etag: bytes | None,
    last_modified: int | None,
    exists: bool,
    at_origin: bool,
) -> None:
    assert evaluate(method, Fields(fields), etag, last_modified, NOW, exists, at_origin=at_origin) is expected


def test_there_is_a_representation_unless_said_otherwise() -> None:
    assert evaluate(b"GET", Fields([(INM, b"*")]), None, None, NOW) is NOT_MODIFIED


tags = st.sampled_from([b'"x"', b'W/"x"', b'"y"', b'W/"y"', b"*", b'"x", "y"', b"x", b""])
dates = st.sampled_from([SAME, BEFORE, AFTER, b"never"])
conditions = st.fixed_dictionaries({}, optional={IM: tags, INM: tags, IMS: dates, IUS: dates})


@given(
    conditions,
    st.sampled_from([b"GET", b"HEAD", b"PUT", b"DELETE", b"POST"]),
    st.sampled_from([None, b'"x"', b'W/"x"']),
    st.sampled_from([None, CHANGED]),
)
def test_the_outcome_keeps_to_what_every_recipient_must_hold(
    fields: dict[bytes, bytes], method: bytes, etag: bytes | None, last_modified: int | None
) -> None:
    """§13.1, §13.2: rules about outcomes, said another way than the steps are."""
    outcome = evaluate(method, Fields(fields.items()), etag, last_modified, NOW)
    reading = method in (b"GET", b"HEAD")
    if outcome is NOT_MODIFIED:
        assert reading and (INM in fields or IMS in fields)
    if outcome is FAILED and reading:
        assert IM in fields or IUS in fields
    if not fields:
        assert outcome is NONE
    for ignored, by in ((IMS, INM), (IUS, IM)):
        if ignored in fields and by in fields:
            without = {name: value for name, value in fields.items() if name != ignored}
            assert evaluate(method, Fields(without.items()), etag, last_modified, NOW) is outcome
    if etag is None and IM in fields and fields[IM] != b"*":
        assert outcome is FAILED
    if IM not in fields and IUS not in fields:
        assert evaluate(method, Fields(fields.items()), etag, last_modified, NOW, at_origin=False) is outcome


@pytest.mark.parametrize(
    ("value", "etag", "last_modified", "date", "expected"),
    [
        # §13.1.5: without it the range may be honoured
        (None, TAG, CHANGED, NOW, True),
        (None, None, None, NOW, True),
        # §13.1.5: a tag, compared strongly; one that doesn't match gives the full 200
        (TAG, TAG, CHANGED, NOW, True),
        (b'"y"', TAG, CHANGED, NOW, False),
        (WEAK, TAG, CHANGED, NOW, False),
        (WEAK, WEAK, CHANGED, NOW, False),
        (TAG, WEAK, CHANGED, NOW, False),
        (TAG, b'"x-br"', CHANGED, NOW, False),
        (TAG, None, CHANGED, NOW, False),
        # §13.1.5: one tag, no list and no *
        (b'"y", "x"', TAG, CHANGED, NOW, False),
        (b"*", TAG, CHANGED, NOW, False),
        # §13.1.5: a date must be the same, not merely later
        (SAME, TAG, CHANGED, NOW, True),
        (SAME, None, CHANGED, NOW, True),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", TAG, CHANGED, NOW, True),
        (BEFORE, TAG, CHANGED, NOW, False),
        (AFTER, TAG, CHANGED, NOW, False),
        (SAME, TAG, None, NOW, False),
        # §8.8.2.2: within the second of the change a date is a weak validator
        (SAME, TAG, CHANGED, CHANGED + 0.9, False),
        (SAME, TAG, CHANGED, CHANGED + 1, True),
        (b"nonsense", TAG, CHANGED, NOW, False),
        (b"", TAG, CHANGED, NOW, False),
        (b'x"', b'x"', CHANGED, NOW, False),
    ],
)
def test_if_range(
    value: bytes | None, etag: bytes | None, last_modified: int | None, date: float, expected: bool
) -> None:
    fields = Fields([] if value is None else [(b"if-range", value)])
    assert if_range_matches(fields, etag, last_modified, date) is expected
