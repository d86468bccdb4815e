"""HTTP dates: seconds since the epoch, to and from the three forms of RFC 9110 §5.6.7.

Lives here: the forms, the century of a two-digit year, and how strict a reader is.
Doesn't know: what time it is, nor any time zone: an HTTP date is in GMT, and the arithmetic is of days.
"""

import re
from datetime import date
from functools import lru_cache

_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_MONTH = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}

_EPOCH = date(1970, 1, 1).toordinal()
# What four digits of a year can say.
_EARLIEST = (date(1, 1, 1).toordinal() - _EPOCH) * 86400
_LATEST = (date(9999, 12, 31).toordinal() - _EPOCH) * 86400 + 86399

_month = rb"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
# A second of 60 is a leap second. Source: RFC 9110 §5.6.7
_time_of_day = rb"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)"

# Caches SHOULD match without regard to case, and take no zone but GMT. Source: RFC 9111 §4.2
# A day name that isn't the date's own is let pass: it is redundant, and nothing says to refuse it.
imf_fixdate = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) " + _month + rb" ([0-9]{4}) " + _time_of_day + rb" GMT",
    re.IGNORECASE,
)
rfc850_date = re.compile(
    rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, ([0-9]{2})-"
    + _month
    + rb"-([0-9]{2}) "
    + _time_of_day
    + rb" GMT",
    re.IGNORECASE,
)
asctime_date = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) " + _month + rb" ([0-9]{2}| [0-9]) " + _time_of_day + rb" ([0-9]{4})",
    re.IGNORECASE,
)


def format_date(seconds: float) -> bytes:
    """The IMF-fixdate of a time in seconds since the epoch, rounded down to a whole second.

    A time before year 1 or after year 9999 becomes the nearest that can be written. Source: RFC 9110 §5.6.7
    """
    days, second = divmod(int(min(max(seconds, _EARLIEST), _LATEST) // 1), 86400)
    day = date.fromordinal(_EPOCH + days)
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        _DAYS[day.weekday()],
        day.day,
        _MONTHS[day.month - 1],
        day.year,
        second // 3600,
        second // 60 % 60,
        second % 60,
    )


def parse_date(value: bytes, now: float) -> int | None:
    """Seconds since the epoch, or None for what isn't an HTTP date in any of its three forms.

    `now`, in seconds since the epoch, decides the century of an rfc850-date. A leap second becomes the
    second before it, the nearest that can be counted. Source: RFC 9110 §5.6.7, RFC 9111 §4.2
    """
    if len(value) == 29:  # what everybody sends: the others are never this long but for rfc850 on Tuesdays
        seconds = _parse_imf_fixdate(value)
        if seconds is not None:
            return seconds
    if (found := rfc850_date.fullmatch(value)) is not None:
        day, month, year, hour, minute, second = found.groups()
        clock = (_MONTH[month.lower()], int(day), int(hour), int(minute), int(second))
        return _seconds(_full_year(int(year), clock, now), *clock)
    if (found := asctime_date.fullmatch(value)) is not None:
        month, day, hour, minute, second, year = found.groups()
        return _seconds(int(year), _MONTH[month.lower()], int(day), int(hour), int(minute), int(second))
    return None


# The same few dates come with every request of a visitor; only values of this one length get here.
@lru_cache(2048)
def _parse_imf_fixdate(value: bytes) -> int | None:
    found = imf_fixdate.fullmatch(value)
    if found is None:
        return None
    day, month, year, hour, minute, second = found.groups()
    return _seconds(int(year), _MONTH[month.lower()], int(day), int(hour), int(minute), int(second))


def _full_year(year: int, clock: tuple[int, int, int, int, int], now: float) -> int:
    """The latest year that ends in these two digits and is not more than 50 years in the future."""
    days, second = divmod(int(min(max(now, _EARLIEST), _LATEST) // 1), 86400)
    today = date.fromordinal(_EPOCH + days)
    limit = today.year + 50
    full = limit - (limit - year) % 100
    if full == limit and clock > (today.month, today.day, second // 3600, second // 60 % 60, second % 60):
        return full - 100
    return full


def _seconds(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:  # 31 February, the year 0
        return None
    return days * 86400 + hour * 3600 + minute * 60 + min(second, 59)
