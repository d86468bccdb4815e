"""Which stored response answers a request: primary keys, inputs, variant keys.

Lives here: how an input is read off a request, and what is hashed.
Doesn't know: where pages are kept, and who said which inputs a render read.

An input is named by bytes:

    query           the whole query string
    query:NAME      the parameters of that name, NAME percent-decoded
    cookie:NAME     the cookies of that name
    field:NAME      a request field, its lower-case name; its value is normalised as for `Vary`, and that of
                    Accept-Encoding to the known codings: an origin may be asked for no others

Its value is what the request has of it, or None when it has nothing: absent is not empty. Values are
compared and hashed, never interpreted: where two spellings could mean the same they are two values, and
where one spelling could be read as this input by any parser it is part of the value. So a page is never
found for a request that differs in what its render read.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import quote_from_bytes, unquote_to_bytes

from uncork.caching.vary import normalise
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request
from uncork.semantics.negotiation import normalised_codings

Input = tuple[bytes, bytes | None]

KEY_SIZE = 16
"""Bytes of a key."""

MOST_NAMES_OF_A_KIND = 32
"""Above so many parameters or cookies, a primary key's inputs fold to the whole query or `Cookie` field."""

WHOLE_QUERY = b"query"
WHOLE_COOKIE = b"field:cookie"
_PARAMETER = b"query:"
_COOKIE = b"cookie:"
_FIELD = b"field:"

# What parsers strip from the name of a cookie, or may take for white space in one of several charsets.
_UNSURE = bytes(range(0x21)) + bytes(range(0x7F, 0x100))


class UnknownInput(ValueError):
    """The name of an input that this version cannot read off a request."""


def primary_key(scheme: bytes, authority: bytes, path: bytes) -> bytes:
    """The key of a URL without its query: KEY_SIZE bytes. Source: RFC 9111 §2"""
    return blake2b(
        b"%d:%s%d:%s%d:%s" % (len(scheme), scheme, len(authority), authority, len(path), path),
        digest_size=KEY_SIZE,
        person=b"primary",
    ).digest()


def variant_key(primary: bytes, inputs: Iterable[Input]) -> bytes:
    """The key of one variant; the primary key itself when every input is absent.

    Absent inputs are not part of it: a page keeps its key when more names become known. Source: RFC 9111 §4.1
    """
    present = sorted((name, value) for name, value in inputs if value is not None)
    if not present:
        return primary
    parts = [primary]
    parts += [b"%d:%s%d:%s" % (len(name), name, len(value), value) for name, value in present]
    return blake2b(b"".join(parts), digest_size=KEY_SIZE, person=b"variant").digest()


def select(names: Iterable[bytes], request: Request) -> tuple[Input, ...]:
    """What a request has of these inputs, in their order. Raises UnknownInput."""
    return select_from(names, request.query, request.fields)


def select_from(names: Iterable[bytes], query: bytes | None, fields: Fields) -> tuple[Input, ...]:
    """The same for a request with that query and these fields."""
    return tuple([(name, _value(name, query, fields)) for name in names])


def cookie_needles(names: Iterable[bytes]) -> tuple[bytes, ...] | None:
    """For `with_cookies`: what tells of the cookies among these inputs; None where it can't be told so."""
    needles = []
    for name in names:
        if name == WHOLE_COOKIE:
            return None
        if name.startswith(_COOKIE):
            if (needle := _needle(_sure(name[len(_COOKIE) :]))) is None:
                return None
            needles.append(needle)
    return tuple(needles)


def with_cookies(
    selected: tuple[Input, ...], needles: tuple[bytes, ...], cookies: bytes
) -> tuple[Input, ...]:
    """What a request has of inputs when it has one `Cookie` line with that value. `selected` is what it has
    without that line: the same object where none of the cookies is there, which is known soonest."""
    squeezed = b";" + cookies.translate(None, _UNSURE)
    for needle in needles:
        if needle in squeezed:
            break
    else:
        return selected
    return tuple(
        [
            (name, _pairs(name[len(_COOKIE) :], cookies)) if name.startswith(_COOKIE) else (name, value)
            for name, value in selected
        ]
    )


def fields_read(names: Iterable[bytes]) -> frozenset[bytes]:
    """The request fields that these inputs are read off: of all others, `select` knows nothing."""
    found = {name[len(_FIELD) :] for name in names if name.startswith(_FIELD)}
    return frozenset(found | {b"cookie" for name in names if name.startswith(_COOKIE)})


def in_target(name: bytes) -> bool:
    """Whether an input is part of the request target."""
    return name == WHOLE_QUERY or name.startswith(_PARAMETER)


def matches(inputs: Sequence[Input], request: Request) -> bool:
    """Whether a page that was selected by these inputs answers the request. Source: RFC 9111 §4.1"""
    try:
        return all(_value(name, request.query, request.fields) == value for name, value in inputs)
    except UnknownInput:
        return False


def known_input(name: bytes) -> bool:
    """Whether this version can read an input of that name off a request."""
    return name == WHOLE_QUERY or name.startswith((_PARAMETER, _COOKIE, _FIELD))


def union(known: Iterable[bytes], new: Iterable[bytes]) -> tuple[bytes, ...]:
    """All names of both, sorted, without those that another one covers.

    Too many of a kind fold to the whole of it: a superset splits finer, which is sound.
    """
    names = {*known, *new}
    for whole, part in ((WHOLE_QUERY, _PARAMETER), (WHOLE_COOKIE, _COOKIE)):
        parts = {name for name in names if name.startswith(part)}
        if len(parts) > MOST_NAMES_OF_A_KIND:
            names.add(whole)
        if whole in names:
            names -= parts
    return tuple(sorted(names))


def format_inputs(names: Iterable[bytes]) -> bytes:
    """Names as the value of a field: percent-encoded where needed, separated by spaces."""
    return b" ".join([_quoted(name) for name in names])


@lru_cache(1024)
def _quoted(name: bytes) -> bytes:
    return quote_from_bytes(name, safe=":!$&'()*+,;=@/?").encode()


def parse_inputs(value: bytes | None) -> tuple[bytes, ...]:
    """The names in such a value. Raises UnknownInput: who can't read an input must not store the page."""
    names = tuple([unquote_to_bytes(part) for part in (value or b"").split()])
    for name in names:
        if not known_input(name):
            raise UnknownInput(name.decode(errors="replace"))
    return names


def _value(name: bytes, query: bytes | None, fields: Fields) -> bytes | None:
    if name.startswith(_PARAMETER):
        return _parameters(name[len(_PARAMETER) :], query)
    if name.startswith(_COOKIE):
        return _cookies(name[len(_COOKIE) :], fields)
    if name.startswith(_FIELD):
        field = name[len(_FIELD) :]
        value = fields.get(field)
        if field == b"accept-encoding" and value is not None:
            return b",".join(normalised_codings(value))
        if field == b"cookie" and len(lines := fields.getall(field)) > 1:
            return b"\n".join(lines)  # nobody knows how the application joins them
        return normalise(field, value)
    if name == WHOLE_QUERY:
        return query
    raise UnknownInput(name.decode(errors="replace"))


def _parameters(name: bytes, query: bytes | None) -> bytes | None:
    """The pairs of that name as they stand, in order, with their `&`.

    The names are compared without what is not ASCII: charsets disagree on it. And one such byte anywhere can
    decide the charset of all, so then the whole query is the value.
    """
    if not query:
        return None
    if not query.isascii():
        return query
    wanted = _sure(name)
    found = [
        pair
        for pair in query.split(b"&")
        if pair and _sure(unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" "))) == wanted
    ]
    return b"&".join(found) if found else None


def _cookies(name: bytes, fields: Fields) -> bytes | None:
    """The pairs of that name as they stand, in order, with their `;`. Source: RFC 6265 §5.4

    Of several lines nobody knows how the application joins them: then all of them are the value.
    """
    value = fields.get(b"cookie")
    if value and b", " in value and len(lines := fields.getall(b"cookie")) > 1:
        return b"\n".join(lines)
    return _pairs(name, value) if value else None


def _pairs(name: bytes, value: bytes) -> bytes | None:
    wanted = _sure(name)
    needle = _needle(wanted)
    if needle is None:
        found = [pair for pair in value.split(b";") if pair and _cookie_name(pair) == wanted]
    elif needle in b";" + _sure(value):
        start = needle[1:]
        found = [pair for pair in value.split(b";") if _sure(pair).startswith(start)]
    else:
        return None
    return b";".join([pair.strip(b" \t") for pair in found]) if found else None


def _cookie_name(pair: bytes) -> bytes:
    """The sure name in a pair; empty where there is no `=`."""
    name, equals, _ = pair.partition(b"=")
    return _sure(name) if equals else b""


def _needle(wanted: bytes) -> bytes | None:
    """How each pair begins that has this sure name, with a `;` before it; None where another one may, too."""
    return None if not wanted or b"=" in wanted or b";" in wanted else b";" + wanted + b"="


def _sure(name: bytes) -> bytes:
    return name.translate(None, _UNSURE)
