"""Filters of the site's templates."""

from datetime import date

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def prose(text: str) -> SafeString:
    """Paragraphs and lists of plain text: an empty line between paragraphs, `- ` before an item."""
    parts = []
    for paragraph in text.replace("\r\n", "\n").split("\n\n"):
        lines = [line.strip() for line in paragraph.strip().split("\n")]
        if all(line.startswith("- ") for line in lines):
            items = format_html_join("", "<li>{}</li>", ((line[2:],) for line in lines))
            parts.append(format_html("<ul>{}</ul>", items))
        elif paragraph.strip():
            lines = format_html_join(SafeString("<br>"), "{}", ((line,) for line in lines))
            parts.append(format_html("<p>{}</p>", lines))
    return SafeString("\n".join(parts))


@register.filter
def until(first: date, last: date) -> str:
    """`3–5 March 2027`, `30 March – 2 April 2027`"""
    if first == last:
        return f"{first.day} {first:%B %Y}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{last.day} {last:%B %Y}"
    if first.year == last.year:
        return f"{first.day} {first:%B} – {last.day} {last:%B %Y}"
    return f"{first.day} {first:%B %Y} – {last.day} {last:%B %Y}"


@register.simple_tag
def day(when: date, kind: str = "") -> SafeString:
    """A leaf of a calendar. A tag, because lists have many: three `date` filters would cost more."""
    leaf = '<time class="day {}" datetime="{}"><b>{}</b>{} <i>{}</i></time>'
    return format_html(leaf, kind, when.isoformat(), when.day, when.strftime("%b"), when.year)


@register.filter
def thousands(number: int) -> str:
    return f"{number:,}"
