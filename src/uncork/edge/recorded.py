"""What a response says to the store: whether it may be stored, what selects it, and when it is purged.

Lives here: the record of a render beside what HTTP says by itself (freshness, `Vary`, tags). Pure.
Doesn't know: the store, and how a response is fetched (`fetching`).

Without a record nobody knows what a render read: then the whole query and the fields that `Vary` names select
the page. With one, that is known, and `Vary` has a say only where it names more.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from uncork.caching.directives import TARGETS
from uncork.caching.freshness import Freshness
from uncork.caching.storable import CacheOptions, NotStorable, plan_storing, storable_fields
from uncork.caching.vary import vary_names
from uncork.edge.internal import names_a_file
from uncork.edge.rewriting import reaches_origin
from uncork.pages.keys import WHOLE_COOKIE, WHOLE_QUERY, union
from uncork.pages.record import RECORD, RECORD_FIELDS, Record, Unshared, parse_record
from uncork.pages.tags import RECORDED, response_tags, tag_slots, url_tags
from uncork.purging.table import ClockTable
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request, Response

# What HTTP forbids to store, or the render.
Hindrance = NotStorable | Unshared

_BY_NAME: dict[str, Hindrance] = {one.value: one for one in (*NotStorable, *Unshared)}
_FIELD = b"field:"
_COOKIE = b"cookie:"
# Proxies write it for each client, and no key has it.
_CLIENT = b"field:x-forwarded-for"


@dataclass(frozen=True, slots=True)
class Reading:
    """A response, read for the store.

    `fields` are those to store: neither the connection's nor the record's. `plan` is the freshness to store
    it with; where it can't be, `hindrance` says why (None: it names a file to be sent). `names` are the
    inputs that select it, and `record` what it says of its render.
    """

    fields: Fields
    plan: Freshness | None
    hindrance: Hindrance | None
    names: tuple[bytes, ...]
    record: Record | None

    def slots(self, request: Request, names: Iterable[bytes], slots: int) -> tuple[int, ...]:
        """Where the tags of the page stand in a clock of so many slots: those of its URL, those that the
        response names, and those of its record. `names` are all inputs that select the page."""
        origin = request.scheme + b"://" + request.authority
        tags = url_tags(request.authority, request.path, request.query, alone=WHOLE_QUERY in names)
        tags += response_tags(self.fields, origin)
        if self.record is None:
            return tag_slots(tags, slots)
        return tuple(sorted({*tag_slots([*tags, RECORDED], slots), *self.record.slots}))


def hindrance(name: str) -> Hindrance | None:
    """The one that is told so; None for the empty name."""
    return _BY_NAME.get(name)


def read_response(
    request: Request,
    response: Response,
    table: ClockTable,
    requested_at: float,
    received_at: float,
    options: CacheOptions,
) -> Reading:
    """Read a response to a GET with these fields. Times are in seconds since the epoch.

    The lifetime that is for us alone goes with the record: of a render whose record can't be understood, all
    is as HTTP has it for everyone.
    """
    fields = response.fields
    record = None
    if RECORD in fields:
        record = parse_record(fields, table.name, table.clock.slots)
        fields = fields.without(*RECORD_FIELDS, *(() if record is not None else TARGETS[:1]))
    varying = [_FIELD + name for name in vary_names(fields) or () if reaches_origin(name)]
    if record is None:
        names = union((), (WHOLE_QUERY, *varying))
    else:
        read = [name for name in record.inputs if not name.startswith(_FIELD) or _reaches(name)]
        if any(name.startswith(_COOKIE) for name in read):  # it says which ones
            varying = [name for name in varying if name != WHOLE_COOKIE]
        names = union(read, varying)
    plan: Freshness | Hindrance | None
    if names_a_file(fields):
        plan = None
    elif record is not None and record.unshared is not None:
        plan = record.unshared
    elif record is not None and _CLIENT in record.inputs:
        plan = Unshared.CLIENT_ADDRESS
    else:
        plan = plan_storing(request, Response(response.status, fields), requested_at, received_at, options)
    kept = storable_fields(fields)
    if isinstance(plan, Freshness):
        return Reading(kept, plan, None, names, record)
    return Reading(kept, None, plan, names, record)


def _reaches(name: bytes) -> bool:
    """Whether the origin sees the field of an input as the client sent it. What we make of it ourselves is in
    every key, or the same for all."""
    return reaches_origin(name[len(_FIELD) :])
