"""Cache tags: what a page can be purged by, and where a tag stands in the purge clock.

Lives here: the tags that a URL has by itself, those that an origin names in its response, those of what a
render read from a database, slots.
Doesn't know: the clock's values, and when anything is purged.

A tag is bytes, compared as they are. Tags of URLs leave out the scheme: behind a TLS terminator the origin,
the edge and the operator see different ones, and a purge that covers both costs one render.
"""

import re
from collections.abc import Collection, Iterable
from urllib.parse import unquote_to_bytes
from zlib import crc32

from uncork.semantics.fields import Fields, members

TAG_FIELDS = frozenset({b"surrogate-key", b"cache-tag", b"xkey", b"cache-groups"})
"""The response fields that name tags; the edge removes them before the client, unless told otherwise."""

DEEPEST_PREFIX = 32
"""So many segments of a path get a prefix tag of their own."""

# The members of Cache-Groups are strings. Source: RFC 9875 §2, RFC 9651 §3.3.3
string_item = re.compile(rb'"((?:[^"\\]|\\["\\])*)"')

_SEPARATORS = re.compile(rb"[,\s]+")
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


class BadPurge(ValueError):
    """Not a URL that can be purged; the message says what was expected."""


def tag_slot(tag: bytes, slots: int) -> int:
    """Where a tag stands in a clock of so many slots: 1 to slots - 1, for 0 is everything.

    Nothing is lost where two tags meet but a page that is purged without need: so no cryptographic hash, at a
    seventh of the time.
    """
    return crc32(tag) % (slots - 1) + 1


def tag_slots(tags: Iterable[bytes], slots: int) -> tuple[int, ...]:
    """Where these tags stand, sorted, each slot once."""
    return tuple(sorted({tag_slot(tag, slots) for tag in tags}))


def url_tags(authority: bytes, path: bytes, query: bytes | None, alone: bool = True) -> list[bytes]:
    """The tags that a page has by its URL: itself without the query, with it, and every prefix of its path.

    `alone`: it is for this query only. One that isn't may answer any, and is purged with each of them.
    Paths are compared decoded, as applications see them: who purges `/a b` gets `/a%20b`.
    """
    plain = unquote_to_bytes(path)
    base = authority + plain
    tags = [b"url:" + base, b"prefix:" + authority + b"/"]
    if not alone:
        tags.append(b"queries:" + base)
    elif query is not None:
        tags.append(b"url:" + base + b"?" + query)
    if plain.startswith(b"/") and plain != b"/":
        whole = plain if plain.endswith(b"/") else plain + b"/"
        at = 1
        for _ in range(DEEPEST_PREFIX):
            at = whole.find(b"/", at) + 1
            if not at:
                break
            tags.append(b"prefix:" + authority + whole[:at])
    return tags


def response_tags(fields: Fields, origin: bytes) -> list[bytes]:
    """The tags that a response names. `origin` is its scheme and authority, b"https://example.org".

    Surrogate-Key is separated by spaces, Cache-Tag by commas, xkey by either.
    """
    tags = (fields.get(b"surrogate-key") or b"").replace(b", ", b" ").split()
    tags += [tag.strip() for tag in (fields.get(b"cache-tag") or b"").split(b",")]
    tags += _SEPARATORS.split(fields.get(b"xkey") or b"")
    tags += [group_tag(origin, group) for group in parse_groups(fields.get(b"cache-groups"))]
    return [tag for tag in dict.fromkeys(tags) if tag]


def parse_groups(value: bytes | None) -> list[bytes]:
    """The groups in Cache-Groups or Cache-Group-Invalidation.

    What is no string is passed over, and the rest kept: too many groups only purge more. Source: RFC 9875 §2
    """
    found = (string_item.match(member) for member in members(value))
    return [re.sub(rb"\\(.)", rb"\1", match[1]) for match in found if match]


def group_tag(origin: bytes, group: bytes) -> bytes:
    """The tag of a cache group, which is its origin's own. Source: RFC 9875 §2.1"""
    return b"group:" + origin + b" " + group


def parse_purge_url(url: bytes) -> list[bytes]:
    """The tags that purge a URL: with all its queries when it has none, else what may answer that query.

    Raises BadPurge.
    """
    authority, path, query = _split(url)
    base = authority + unquote_to_bytes(path)
    return [b"url:" + base] if query is None else [b"url:" + base + b"?" + query, b"queries:" + base]


def parse_purge_prefix(url: bytes) -> bytes:
    """The tag that purges a path and all below it; a final slash makes no difference. Raises BadPurge."""
    authority, path, query = _split(url)
    if query is not None:
        raise BadPurge("A prefix has no query: the pages below a path are purged with all of theirs")
    plain = unquote_to_bytes(path)
    whole = plain if plain.endswith(b"/") else plain + b"/"
    if whole.count(b"/") - 1 > DEEPEST_PREFIX:
        raise BadPurge(f"A prefix has at most {DEEPEST_PREFIX} segments")
    return b"prefix:" + authority + whole


def _split(url: bytes) -> tuple[bytes, bytes, bytes | None]:
    scheme, separator, rest = url.partition(b"://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        raise BadPurge("Expected a whole URL, like https://example.org/path/")
    rest = rest.partition(b"#")[0]
    before, mark, query = rest.partition(b"?")
    authority, slash, path = before.partition(b"/")
    authority = authority.rpartition(b"@")[2].lower().removesuffix(_DEFAULT_PORTS[scheme]).removesuffix(b":")
    if not authority:
        raise BadPurge("The URL names no host")
    return authority, slash + path or b"/", query if mark else None


# What a render read from the database, and what a write changed there. Writers and readers of a table make
# the same bytes of the same table, column and value; what else two have in common only purges more.
#
#                                                       a write that purges it
#     db:TABLE                any row, any column       every one to the table
#     db:TABLE.+              which rows there are      a row inserted or deleted
#     db:TABLE.COLUMN~        a column of all rows      a row that stays changes in that column; a row that is
#                                                       deleted, for another may take its place at the commit
#     db:TABLE.COLUMN=VALUE   the rows with that value  one of them inserted, deleted, changed, by its values
#                                                       before and after
#     db:TABLE.COLUMN=VALUE~OTHER                       one of them changes in that other column
#     db:TABLE.COLUMN=VALUE~+                           one of them comes or goes, by a new value as well
#     db:TABLE.*              on every page with one of the five before: a write to rows that nobody looked at

RECORDED = b"recorded"
"""On every page of which it was recorded what it read: what to purge when the application becomes another."""

READ_ANYTHING = b"db:*"
"""On every page that read any table: what to purge after a write of which nobody knows what it wrote."""

READ_EVERYTHING = b"db:?"
"""On a page of which nobody knows which tables it read: every write purges it."""


def table_tag(table: bytes) -> bytes:
    """On a page that any row of a table may change, a new one included: every write to it purges it."""
    return b"db:" + table


def part_tag(table: bytes) -> bytes:
    """On every page that depends on a part of a table: what a write to rows that nobody looked at purges."""
    return b"db:" + table + b".*"


def existence_tag(table: bytes) -> bytes:
    """On a page that depends on which rows there are."""
    return b"db:" + table + b".+"


def column_tag(table: bytes, column: bytes) -> bytes:
    """On a page that a row may change by a change in this column, whichever row it is."""
    return b"db:" + table + b"." + column + b"~"


COMING_OR_GOING = b"+"
"""In the place of a column, in `row_tag`."""


def row_tag(table: bytes, column: bytes, value: bytes, other: bytes | None = None) -> bytes:
    """On a page that only the rows with this value in a column can change; with `other`, only by a change in
    that other column, and it has the tag for COMING_OR_GOING as well."""
    tag = b"db:" + table + b"." + column + b"=" + value
    return tag if other is None else tag + b"~" + other


def parent_tag(tag: bytes) -> bytes | None:
    """The tag of the table for that of some of its rows; None for any other tag."""
    column, equals, _ = tag.partition(b"=")
    table, dot, _ = column.rpartition(b".")
    return table if equals and dot and tag.startswith(b"db:") else None


def fold(tags: Collection[bytes], most: int) -> set[bytes] | None:
    """At most so many tags that are purged whenever one of these is; None when there are too many that are
    not the database's.

    The tables with most rows fold first: rows of a few objects stay precise beside a long list.
    """
    kept = set(tags)
    if len(kept) <= most:
        return kept
    rows: dict[bytes, list[bytes]] = {}
    for tag in kept:
        if (table := parent_tag(tag)) is not None:
            rows.setdefault(table, []).append(tag)
    for table in sorted(rows, key=lambda table: (-len(rows[table]), table)):
        kept.difference_update(rows[table])
        kept.add(table)
        if len(kept) <= most:
            return kept
    kept = {tag for tag in kept if not tag.startswith(b"db:")} | {READ_EVERYTHING, READ_ANYTHING}
    return kept if len(kept) <= most else None
