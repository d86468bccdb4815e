"""The page file: a stored response as bytes.

Lives here: the layout, which docs/page-file.md draws, and the checks that a file is whole.
Doesn't know: where the file is, and how it came to be read.

    0     8  magic            "UNCORK" CR LF
    8     2  version          1
    10    1  kind             1 page, 2 signpost
    11    1  codings          a bit for each body that is there: 1 identity, 2 br, 4 gzip, 8 zstd
    12    4  head length      bytes, header and strings
    16    4  checksum         CRC-32 of the head without these four bytes
    20    2  status
    22    2  S                number of slots
    24    8  stamp
    32    2  F                number of field lines
    34    2  I                number of inputs
    36    2  N                number of names
    38    2  zero
    40   32  body lengths     4 x 8 bytes, in the order of the bits; zero for a body that is not there
    72   64  body digests     4 x BLAKE2b of 16 bytes; zero for a body that is not there
    136  32  freshness        as `caching.freshness` draws it; zero in a signpost
    168      slots            S x 4
             string lengths   (1 + 2F + 2I + N) x 4; 2**32 - 1 is an absent value, and only inputs have them
             strings          URL, then F x (name, value), I x (name, value), N x name
             bodies           those that are there, in the order of the bits

All numbers are little-endian and unsigned. The file ends where the last body does.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from zlib import crc32

from uncork.caching.freshness import FRESHNESS_SIZE, Freshness
from uncork.pages.keys import Input
from uncork.pages.page import Page
from uncork.semantics.fields import Field, Fields

MAGIC = b"UNCORK\r\n"
VERSION = 1
CODINGS = (b"", b"br", b"gzip", b"zstd")
"""The bodies that a page can have, b"" for the identity, in the order in which they stand."""

DIGEST_SIZE = 16
MOST_HEAD = 1 << 20
"""Bytes. A head that is longer is not written, and not believed."""

_HEADER = struct.Struct("<8sHBBIIHHQHHHH4Q64s32s")
HEADER_SIZE = _HEADER.size
_ABSENT = 2**32 - 1
_NO_DIGEST = bytes(DIGEST_SIZE)


class CorruptPage(ValueError):
    """These bytes are no whole page file: treat it as absent, and remove it."""


class TooLarge(ValueError):
    """What describes this page does not fit a page file: don't store it."""


class Kind(IntEnum):
    """What a page file holds."""

    PAGE = 1
    SIGNPOST = 2  # no page: only the names of the inputs which its variants depend on


@dataclass(slots=True)
class Head:
    """A page file without its bodies.

    `page` is None in a signpost. `names` are all input names ever seen for the primary key: they mean
    something only in the file at that key. `bodies` maps a coding to the offset and length of that body,
    in bytes; `digests` to its digest. `size` is the length of the whole file.
    """

    page: Page | None
    names: tuple[bytes, ...]
    bodies: dict[bytes, tuple[int, int]]
    digests: dict[bytes, bytes]
    size: int


def digest(body: bytes) -> bytes:
    """The digest of a body, DIGEST_SIZE bytes: for a strong validator, too."""
    return blake2b(body, digest_size=DIGEST_SIZE).digest()


def encode_head(
    page: Page | None, names: Iterable[bytes], bodies: Mapping[bytes, tuple[int, bytes]] | None = None
) -> bytes:
    """The head of a page file, or of a signpost when there is no page; the bodies follow it.

    `bodies` maps a coding to the length and digest of that body. The head's length does not depend on it:
    a body can be written behind a head that is not known yet. Raises TooLarge.
    """
    strings: list[bytes | None] = [b""]
    slots: tuple[int, ...] = ()
    status = stamp = fields = inputs = 0
    freshness = bytes(FRESHNESS_SIZE)
    if page is not None:
        strings[0] = page.url
        for line in page.fields:
            strings += line
        for selected in page.inputs:
            strings += selected
        slots, status, stamp = page.slots, page.status, page.stamp
        fields, inputs = len(page.fields), len(page.inputs)
        freshness = page.freshness.to_bytes()
    listed = tuple(names)
    strings += listed
    lengths, digests, codings = [0, 0, 0, 0], [_NO_DIGEST] * 4, 0
    for at, coding in enumerate(CODINGS):
        if bodies is not None and coding in bodies:
            codings |= 1 << at
            lengths[at], digests[at] = bodies[coding]
    length = HEADER_SIZE + 4 * (len(slots) + len(strings)) + sum(len(part) for part in strings if part)
    if length > MOST_HEAD or max(len(slots), fields, inputs, len(listed)) > 0xFFFF:
        raise TooLarge(f"{length} bytes of head, {len(slots)} slots, {fields} field lines, {inputs} inputs")

    def pack(checksum: int) -> bytes:
        kind = Kind.SIGNPOST if page is None else Kind.PAGE
        return _HEADER.pack(
            *(MAGIC, VERSION, kind, codings, length, checksum, status, len(slots), stamp),
            *(fields, inputs, len(listed), 0, *lengths, b"".join(digests), freshness),
        )

    tail = struct.pack(
        f"<{len(slots)}I{len(strings)}I",
        *slots,
        *(_ABSENT if part is None else len(part) for part in strings),
    ) + b"".join([part for part in strings if part])
    return pack(_checksum(pack(0) + tail)) + tail


def head_length(data: bytes) -> int:
    """How many bytes of the file are its head. `data` is its beginning. Raises CorruptPage."""
    if len(data) < HEADER_SIZE or not data.startswith(MAGIC):
        raise CorruptPage("no page file")
    length = int.from_bytes(data[12:16], "little")
    if not HEADER_SIZE < length <= MOST_HEAD:
        raise CorruptPage(f"a head of {length} bytes")
    return length


def decode_head(data: bytes) -> Head:
    """The inverse of encode_head; what follows the head in `data` is not looked at. Raises CorruptPage."""
    length = head_length(data)
    if len(data) < length:
        raise CorruptPage(f"{len(data)} bytes of a head of {length}")
    _, version, kind, codings, _, checksum, status, slot_count, stamp, *counts = _HEADER.unpack_from(data)
    field_count, input_count, name_count, _, *lengths, digests, freshness = counts
    if version != VERSION:
        raise CorruptPage(f"version {version}")
    if checksum != _checksum(data[:length]):
        raise CorruptPage("the checksum differs")
    # From here on the bytes are what encode_head made, unless its bytes were forged: still no other error.
    string_count = 1 + 2 * (field_count + input_count) + name_count
    try:
        numbers = struct.unpack_from(f"<{slot_count + string_count}I", data, HEADER_SIZE)
        at = HEADER_SIZE + 4 * (slot_count + string_count)
        strings: list[bytes | None] = []
        for size in numbers[slot_count:]:
            if size == _ABSENT:
                strings.append(None)
            else:
                strings.append(data[at : at + size])
                at += size
        if at != length:
            raise CorruptPage("strings that do not end with the head")
        page = None
        inputs_at, names_at = 1 + 2 * field_count, string_count - name_count
        if kind == Kind.PAGE:
            page = Page(
                url=_present(strings[0]),
                status=status,
                fields=Fields(_fields(strings[1:inputs_at])),
                freshness=Freshness.from_bytes(freshness),
                stamp=stamp,
                slots=numbers[:slot_count],
                inputs=_inputs(strings[inputs_at:names_at]) if input_count else (),
            )
        elif kind != Kind.SIGNPOST:
            raise CorruptPage(f"kind {kind}")
        names = tuple([_present(name) for name in strings[names_at:]])
    except (struct.error, ValueError) as error:
        raise CorruptPage(str(error)) from error
    bodies, sums = {}, {}
    offset = length
    for at, size in enumerate(lengths):
        if codings >> at & 1:
            bodies[CODINGS[at]] = (offset, size)
            sums[CODINGS[at]] = digests[DIGEST_SIZE * at : DIGEST_SIZE * (at + 1)]
            offset += size
    return Head(page, names, bodies, sums, offset)


def _checksum(head: bytes) -> int:
    return crc32(head[20:], crc32(head[:16]))


def _present(part: bytes | None) -> bytes:
    if part is None:
        raise CorruptPage("an absent string")
    return part


def _fields(strings: list[bytes | None]) -> Iterable[Field]:
    if None in strings:
        raise CorruptPage("an absent field value")
    return zip(strings[::2], strings[1::2], strict=True)  # type: ignore[arg-type]


def _inputs(strings: list[bytes | None]) -> tuple[Input, ...]:
    return tuple((_present(name), value) for name, value in zip(strings[::2], strings[1::2], strict=True))
