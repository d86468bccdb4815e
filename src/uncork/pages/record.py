"""What a render read, as the application tells the edge in fields of its response.

Lives here: the record, its four fields, and why a page can't be shared. Doesn't know: how anything is
recorded, and what the edge makes of it.

    Uncork-Record: 1 CLOCK          the format, and the purge clock in which the slots stand
    Uncork-Inputs: NAME ...         what the render read of the request, as in `pages.keys`
    Uncork-Slots: SLOT ...          where its tags stand in that clock, in base 10
    Uncork-Unshared: REASON         that the page is for this one request, and why

They are of worth only to an edge that has the very clock: to any other, the origin is a stranger.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from uncork.pages.keys import UnknownInput, format_inputs, parse_inputs
from uncork.pages.tags import fold, tag_slots
from uncork.semantics.fields import Field, Fields

RECORD = b"uncork-record"
INPUTS = b"uncork-inputs"
SLOTS = b"uncork-slots"
UNSHARED = b"uncork-unshared"

RECORD_FIELDS = (RECORD, INPUTS, SLOTS, UNSHARED)

MOST_TAGS = 512
"""Above so many, rows fold to their tables. 512 slots of seven digits are 4 KiB of a response's head."""

_FORMAT = b"1"


class Unshared(Enum):
    """Why a page can't be shared. The value is what `Cache-Status`, logs and `uncork explain` say of it."""

    SESSION = "session"  # it read a session, or the user of one
    CSRF = "csrf-token"  # it holds a token that is one visitor's own
    NONCE = "nonce"  # it holds a number that must not be used twice
    MESSAGES = "messages"  # it showed what was meant for one visitor, once
    CLIENT_ADDRESS = "client-address"
    WHOLE_REQUEST = "whole-request"  # it went through all that the server knows of the request
    NEVER = "never"  # the view is marked so
    WROTE = "wrote"  # it did something besides, which would not be done for who gets the stored page
    STREAMED = "streamed"  # what it read was not known when its head was sent
    TOO_MANY_TAGS = "too-many-tags"
    NOT_RECORDED = "not-recorded"  # something kept the recorder from its work


@dataclass(frozen=True, slots=True)
class Record:
    """What a render read: names of inputs, and slots of tags in the purge clock called `clock`."""

    clock: bytes
    inputs: tuple[bytes, ...]
    slots: tuple[int, ...]
    unshared: Unshared | None


def record_of(
    clock: bytes, slots: int, inputs: Collection[bytes], tags: Collection[bytes], unshared: Unshared | None
) -> Record:
    """The record of a render that read these inputs and has these tags. `slots`: the size of the clock."""
    folded = fold(tags, MOST_TAGS)
    if folded is None:
        folded, unshared = set(), unshared or Unshared.TOO_MANY_TAGS
    return Record(clock, tuple(sorted(inputs)), tag_slots(folded, slots), unshared)


def format_record(record: Record) -> list[Field]:
    """The fields of a response. A name that no field can hold is percent-encoded in it."""
    fields = [(RECORD, _FORMAT + b" " + record.clock)]
    if record.inputs:
        fields.append((INPUTS, format_inputs(record.inputs)))
    if record.slots:
        fields.append((SLOTS, b" ".join(b"%d" % slot for slot in record.slots)))
    if record.unshared is not None:
        fields.append((UNSHARED, record.unshared.value.encode()))
    return fields


def parse_record(fields: Fields, clock: bytes, slots: int) -> Record | None:
    """The record in a response's fields, for who has the purge clock of that name and size.

    None: there is none, it is of another clock, or of a version that says what can't be understood here.
    Then nothing is known of what the render read.
    """
    if fields.get(RECORD) != _FORMAT + b" " + clock:
        return None
    unshared = fields.get(UNSHARED)
    try:
        inputs = parse_inputs(fields.get(INPUTS))
        found = tuple(sorted({int(part) for part in (fields.get(SLOTS) or b"").split()}))
        why = None if unshared is None else Unshared(unshared.decode("ascii"))
    except (UnknownInput, ValueError):
        return None
    if any(not 0 < slot < slots for slot in found):
        return None
    return Record(clock, inputs, found, why)
