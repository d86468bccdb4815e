"""HTTP dates: RFC 9110 §5.6.7, read as a cache reads them (RFC 9111 §4.2)."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uncork.semantics.dates import format_date, parse_date

NOW = 1_800_000_000  # 15 January 2027
EXAMPLE = 784111777  # the example of §5.6.7

moments = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0))


def seconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # §5.6.7: the three forms
        (b"Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE),
        (b"Sun Nov  6 08:49:37 1994", EXAMPLE),
        (b"Wed Nov 16 08:49:37 1994", EXAMPLE + 10 * 86400),
        (b"Thu, 01 Jan 1970 00:00:00 GMT", 0),
        (b"Wed, 31 Dec 1969 23:59:59 GMT", -1),
        (b"Tue, 29 Feb 2000 00:00:00 GMT", 951782400),
        # §5.6.7: a leap second is the nearest countable second before it
        (b"Sat, 31 Dec 2016 23:59:60 GMT", 1483228799),
        # RFC 9111 §4.2: case does not matter to a cache
        (b"sun, 06 nov 1994 08:49:37 gmt", EXAMPLE),
        (b"SUNDAY, 06-NOV-94 08:49:37 GMT", EXAMPLE),
        (b"sUN nOV  6 08:49:37 1994", EXAMPLE),
        # a day name that isn't the date's own says nothing new
        (b"Mon, 06 Nov 1994 08:49:37 GMT", EXAMPLE),
        # RFC 9111 §4.2: another zone is invalid
        (b"Sun, 06 Nov 1994 08:49:37 UTC", None),
        (b"Sun, 06 Nov 1994 08:49:37 EST", None),
        (b"Sun, 06 Nov 1994 08:49:37 +0000", None),
        (b"Sun, 06 Nov 1994 08:49:37", None),
        # no such form
        (b"", None),
        (b"0", None),
        (b"-1", None),
        (b"784111777", None),
        (b"now", None),
        (b"1994-11-06T08:49:37Z", None),
        (b"Sun, 6 Nov 1994 08:49:37 GMT", None),
        (b"Sun, 06 Nov 94 08:49:37 GMT", None),
        (b"Sun, 06-Nov-1994 08:49:37 GMT", None),
        (b"Sun 06 Nov 1994 08:49:37 GMT", None),
        (b"Sun,  06 Nov 1994 08:49:37 GMT", None),
        (b"Sun, 06 Nov 1994 8:49:37 GMT", None),
        (b"Sun, 06 Nov 1994 08.49.37 GMT", None),
        (b"Sun, 06 Nov 1994 08:49 GMT", None),
        (b"Sun, 06 Nov 1994 08:49:37 GMT\n", None),
        (b" Sun, 06 Nov 1994 08:49:37 GMT", None),
        (b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", None),
        (b"Sun, 06-Nov-94 08:49:37 GMT", None),
        (b"Sun Nov 06 08:49:37 94", None),
        (b"Sun, \xd9\xa0\xd9\xa6 Nov 1994 08:49:37 GMT", None),
        # no such day or time
        (b"Thu, 31 Feb 1994 08:49:37 GMT", None),
        (b"Thu, 29 Feb 1900 00:00:00 GMT", None),
        (b"Sun, 00 Nov 1994 08:49:37 GMT", None),
        (b"Sun, 06 Nov 0000 08:49:37 GMT", None),
        (b"Sun, 06 Nov 1994 24:00:00 GMT", None),
        (b"Sun, 06 Nov 1994 08:60:37 GMT", None),
        (b"Sun, 06 Nov 1994 08:49:61 GMT", None),
    ],
)
def test_a_date_is_read_strictly_but_in_any_case(value: bytes, expected: int | None) -> None:
    assert parse_date(value, NOW) == expected


def at(*parts: int) -> int:
    return seconds(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("value", "now", "expected"),
    [
        # §5.6.7: more than 50 years in the future is the most recent year in the past with these digits
        (b"Saturday, 01-Jan-70 00:00:00 GMT", at(2027, 1, 1), at(2070, 1, 1)),
        (b"Saturday, 01-Jan-77 00:00:00 GMT", at(2027, 1, 1), at(2077, 1, 1)),
        (b"Saturday, 01-Jan-77 00:00:01 GMT", at(2027, 1, 1), at(1977, 1, 1, 0, 0, 1)),
        (b"Saturday, 01-Jan-78 00:00:00 GMT", at(2027, 1, 1), at(1978, 1, 1)),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", at(2043, 1, 1), at(1994, 11, 6, 8, 49, 37)),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", at(2045, 1, 1), at(2094, 11, 6, 8, 49, 37)),
        # the turn of a century, seen from before it
        (b"Saturday, 01-Jan-01 00:00:00 GMT", at(2099, 6, 1), at(2101, 1, 1)),
        (b"Saturday, 01-Jan-00 00:00:00 GMT", at(1999, 12, 31), at(2000, 1, 1)),
        # 29 February is looked up in the year that is meant
        (b"Tuesday, 29-Feb-00 00:00:00 GMT", at(2027, 1, 1), at(2000, 2, 29)),
        (b"Monday, 29-Feb-00 00:00:00 GMT", at(2060, 1, 1), None),
    ],
)
def test_the_century_of_two_digits_depends_on_now(value: bytes, now: int, expected: int | None) -> None:
    assert parse_date(value, now) == expected


@given(moments, st.floats(0, 0.999))
def test_what_is_written_is_read_back(moment: datetime, fraction: float) -> None:
    written = format_date(seconds(moment))
    assert written == moment.strftime(f"%a, %d %b {moment.year:04} %H:%M:%S GMT").encode()
    assert parse_date(written, NOW) == seconds(moment)
    if abs(seconds(moment)) < 1e12:  # where a float has room for the fraction
        assert format_date(seconds(moment) + fraction) in (written, format_date(seconds(moment) + 1))


@given(moments)
def test_the_three_forms_say_the_same(moment: datetime) -> None:
    asctime = moment.strftime(f"%a %b {moment.day:2} %H:%M:%S {moment.year:04}").encode()
    rfc850 = moment.strftime("%A, %d-%b-%y %H:%M:%S GMT").encode()
    assert parse_date(asctime, NOW) == seconds(moment)
    if 1000 < moment.year < 9900:
        assert parse_date(rfc850, seconds(moment)) == seconds(moment)


@given(moments, moments)
def test_a_two_digit_year_is_never_more_than_50_years_ahead_nor_100_years_from_there(
    moment: datetime, now: datetime
) -> None:
    if 200 < now.year < 9900:
        read = parse_date(moment.strftime("%A, %d-%b-%y %H:%M:%S GMT").encode(), seconds(now))
        if read is not None:
            ahead = read - seconds(now)
            assert -50.01 * 366 * 86400 < ahead < 50.01 * 365.26 * 86400


@given(st.binary(max_size=40) | st.text("SunModay ,:0123456789GT-NovJ", max_size=40).map(str.encode))
@example(b"9" * 5000)
def test_any_bytes_are_a_date_or_not_and_raise_nothing(value: bytes) -> None:
    assert parse_date(value, NOW) is None or len(value) >= 24


@pytest.mark.parametrize("seconds", [float("inf"), 1e300, -1e300, 253402300800, -62135596801])
def test_a_time_out_of_reach_is_the_nearest_that_can_be_written(seconds: float) -> None:
    edge = b"Fri, 31 Dec 9999 23:59:59 GMT" if seconds > 0 else b"Mon, 01 Jan 0001 00:00:00 GMT"
    assert format_date(seconds) == edge


def test_a_fraction_is_rounded_down_before_the_epoch_too() -> None:
    assert format_date(0.999) == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert format_date(-0.001) == b"Wed, 31 Dec 1969 23:59:59 GMT"


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
def test_no_local_time_gets_near_a_date() -> None:
    """RFC 9111 §4.2: a local time zone must not influence a comparison."""
    assert format_date(1751371200) == b"Tue, 01 Jul 2025 12:00:00 GMT"
    for value in (
        b"Tue, 01 Jul 2025 12:00:00 GMT",
        b"Tuesday, 01-Jul-25 12:00:00 GMT",
        b"Tue Jul  1 12:00:00 2025",
    ):
        assert parse_date(value, NOW) == 1751371200
