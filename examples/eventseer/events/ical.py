"""An event as a calendar object. Source: RFC 5545"""

from datetime import UTC, date, timedelta

from events.models import Event


def _text(value: str) -> str:
    """Source: RFC 5545 §3.3.11"""
    escaped = value.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return escaped.replace("\r\n", "\n").replace("\n", "\\n")


def _fold(line: str) -> bytes:
    """Lines of at most 75 octets, none broken inside a character. Source: RFC 5545 §3.1"""
    lines, current = [], b""
    for character in line:
        encoded = character.encode()
        if len(current) + len(encoded) > 75:
            lines.append(current)
            current = b" "
        current += encoded
    return b"\r\n".join([*lines, current]) + b"\r\n"


def _entry(uid: str, stamp: str, first: date, after: date, summary: str, *others: str) -> list[str]:
    return [
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"DTSTAMP:{stamp}",
        f"DTSTART;VALUE=DATE:{first:%Y%m%d}",
        f"DTEND;VALUE=DATE:{after:%Y%m%d}",
        f"SUMMARY:{_text(summary)}",
        *others,
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
    ]


def calendar(events: list[Event], host: str, site: str) -> bytes:
    """The events and their deadlines, as the bytes of a `text/calendar` file. `site` is `https://host`."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Eventseer//Example site of Uncork//EN"]
    for event in events:
        stamp = f"{event.updated.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        url = f"URL:{site}{event.get_absolute_url()}"
        place = f"LOCATION:{_text(f'{event.city}, {event.country_name}')}"
        day = timedelta(days=1)
        uid, title = f"event-{event.pk}@{host}", f"{event.name}: {event.title}"
        lines += _entry(uid, stamp, event.starts, event.ends + day, title, place, url)
        if event.deadline:
            uid, title = f"deadline-{event.pk}@{host}", f"{event.name}: submission deadline"
            lines += _entry(uid, stamp, event.deadline, event.deadline + day, title, url)
    lines.append("END:VCALENDAR")
    return b"".join(map(_fold, lines))
