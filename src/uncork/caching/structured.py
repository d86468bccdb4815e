"""Structured fields, as far as the fields of caching need them: dictionaries, lists, strings.

Lives here: RFC 9651's grammar, strict as it demands: one error makes the whole field void.
Doesn't know: what a member means.
"""

import re
from enum import Enum
from typing import NamedTuple


class Malformed(ValueError):
    """The value isn't a structured field of the wanted type. The field counts as absent."""


class Kind(Enum):
    """The type of a member. Source: RFC 9651 §3.3"""

    INTEGER = "integer"
    DECIMAL = "decimal"
    STRING = "string"
    TOKEN = "token"
    BYTES = "byte sequence"
    BOOLEAN = "boolean"
    DATE = "date"
    DISPLAY = "display string"
    INNER_LIST = "inner list"


class Item(NamedTuple):
    """A member without its parameters. `value` is an int for INTEGER, 0 or 1 for BOOLEAN, the unescaped
    bytes for STRING, and the bytes as sent for every other kind."""

    kind: Kind
    value: int | bytes


# Repeated groups are atomic, not possessive: in CPython 3.11.2, Debian 12's own, a possessive group keeps
# what its last round consumed before it failed, and lets "a; " pass (gh-106052).

# Source: RFC 9651 §4.2.3.3
key = rb"[a-z*][a-z0-9_\-.*]*+"
# Each alternative starts with a byte that no other starts with. Source: RFC 9651 §4.2.3.1, §4.2.4 to §4.2.10
sf_integer_or_decimal = rb"-?[0-9]{1,12}\.[0-9]{1,3}|-?[0-9]{1,15}+"
sf_string = rb'"(?>(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"'
sf_token = rb"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+"
sf_binary = rb":[A-Za-z0-9+/=]*+:"
sf_boolean = rb"\?[01]"
sf_date = rb"@-?[0-9]{1,15}+"
sf_display_string = rb'%"(?>(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*)"'
bare_item = b"(?:%s)" % b"|".join(
    (sf_integer_or_decimal, sf_string, sf_token, sf_binary, sf_boolean, sf_date, sf_display_string)
)
# Source: RFC 9651 §4.2.3.2
parameters = rb"(?>(?:;\x20*+" + key + b"(?:=" + bare_item + b")?)*)"
# Source: RFC 9651 §4.2.1.2
inner_list = rb"\(\x20*+(?>(?:" + bare_item + parameters + rb"(?:\x20++|(?=\))))*)\)"
value = b"(?P<value>" + bare_item + b"|" + inner_list + b")" + parameters

_LIST_MEMBER = re.compile(value)
# A key alone is true. Source: RFC 9651 §4.2.2
_DICTIONARY_MEMBER = re.compile(b"(?P<key>" + key + b")(?:=" + value + b"|" + parameters + b")")
_SEPARATOR = re.compile(rb"[ \t]*+,[ \t]*+")
_ESCAPE = re.compile(rb"\\(.)")

_KINDS = {
    b'"': Kind.STRING, b":": Kind.BYTES, b"?": Kind.BOOLEAN, b"@": Kind.DATE, b"%": Kind.DISPLAY,
    b"(": Kind.INNER_LIST,
}  # fmt: skip


def parse_dictionary(field: bytes) -> dict[bytes, Item]:
    """The members by key; of a key that comes twice, the last one. Raises Malformed.

    Source: RFC 9651 §4.2.2
    """
    return {match["key"]: _item(match["value"]) for match in _members(_DICTIONARY_MEMBER, field)}


def parse_list(field: bytes) -> list[Item]:
    """The members in order. Raises Malformed. Source: RFC 9651 §4.2.1"""
    return [_item(match["value"]) for match in _members(_LIST_MEMBER, field)]


def quoted(text: bytes) -> bytes:
    """The text as a String; a byte that no String can hold is percent-encoded. Source: RFC 9651 §4.1.6"""
    escaped = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"' + re.sub(rb"[^\x20-\x7e]", lambda found: b"%%%02X" % found[0][0], escaped) + b'"'


def _members(member: re.Pattern[bytes], field: bytes) -> list[re.Match[bytes]]:
    field = field.strip(b" ")
    found: list[re.Match[bytes]] = []
    position = 0
    while position < len(field):
        match = member.match(field, position)
        if match is None:
            raise Malformed(f"no member at byte {position}")
        found.append(match)
        position = match.end()
        if position == len(field):
            break
        separator = _SEPARATOR.match(field, position)
        if separator is None or separator.end() == len(field):
            raise Malformed(f"no separator at byte {position}")
        position = separator.end()
    return found


def _item(text: bytes | None) -> Item:
    if text is None:
        return Item(Kind.BOOLEAN, 1)
    first = text[:1]
    kind = _KINDS.get(first)
    if kind is Kind.STRING:
        return Item(kind, _ESCAPE.sub(rb"\1", text[1:-1]))
    if kind is Kind.BOOLEAN:
        return Item(kind, int(text[1:]))
    if kind is not None:
        return Item(kind, text)
    if first.isdigit() or first == b"-":
        return Item(Kind.DECIMAL, text) if b"." in text else Item(Kind.INTEGER, int(text))
    return Item(Kind.TOKEN, text)
