"""What a render read, as `uncork explain` tells it, and which purge was a page's last.

Lives here: the two parts of an explanation for which names of tags are needed. Doesn't know: how a render is
had (`fresh`), and what is stored.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from uncork.cli.fresh import Fresh
from uncork.cli.tagwords import by_table, in_words, precision, text, told_by_table
from uncork.pages.clock import EVERYTHING
from uncork.pages.told import FALLBACKS, PLACES, TAGS
from uncork.purging.table import ClockTable

_SHOWN = 4
"""So many tags of a purge are named to people."""


def reads_of(fresh: Fresh) -> dict[str, Any]:
    """What a fresh render read.

    Keys: status, unshared (why it can't be shared, or None), data (`by_table`), inputs with their places,
    reasons with theirs, fallbacks, left (what had no room).
    """
    told, record = fresh.told, fresh.record
    return {
        "status": fresh.status,
        "unshared": None if record.unshared is None else record.unshared.value,
        "data": by_table(told.tags),
        "inputs": [{"name": text(name), "place": told.places.get(name) or None} for name in record.inputs],
        "reasons": [{"reason": reason, "place": place or None} for reason, place in told.reasons.items()],
        "fallbacks": [{"what": what, "times": times} for what, times in told.fallbacks.items()],
        "left": {
            key: told.left[name]
            for key, name in (("tags", TAGS), ("places", PLACES), ("fallbacks", FALLBACKS))
            if name in told.left
        },
    }


def told_reads(reads: Mapping[str, Any]) -> Iterator[str]:
    """The same in lines for people."""
    yield f"read now:   by a fresh render, status {reads['status']}"
    data = [*told_by_table(reads["data"])]
    inputs = [(one["name"], nearby(one["place"])) for one in reads["inputs"]]
    width = max((len(name) for name, _ in (*data, *inputs)), default=0)
    for name, said in (*data, *inputs):
        yield f"  {name:{width}}  {said}"
    if not data and not inputs:
        yield "  nothing of the request, and nothing of the data"
    for what, left in reads["left"].items():
        yield f"  and {left} more {what}"
    for one in reads["reasons"]:
        counts = one["reason"] == reads["unshared"]
        yield f"not shared: {one['reason']}, read at {nearby(one['place'])}" + ("" if counts else ", too")
    for one in reads["fallbacks"]:
        yield f"coarser:    {one['what']} ({one['times']} ×)"


def last_purge(
    table: ClockTable, slots: Iterable[int], names: Mapping[int, Iterable[bytes]]
) -> dict[str, Any] | None:
    """The last purge of a page with these slots, whether it was made before or after. `names`: the tags that
    are known to stand in them.

    Keys: counter, at (seconds since the epoch), soft, of (the page's tags that it was of, as far as they are
    known, the most telling first; of a purge of many tags, also such as only share a slot with one), what
    (all that it was of, as far as it is remembered). None when it is not remembered, or there was none.
    """
    clock = table.clock
    last = {slot: clock.last_purge(slot) for slot in (EVERYTHING, *slots) if slot < clock.slots}
    counter = max(last.values())
    purge = table.history.find(counter)
    if purge is None:
        return None
    hit = [tag for slot, at in last.items() if at == counter for tag in names.get(slot, ())]
    said = f" {purge.what} "
    named = {tag for tag in hit if f" {text(tag)} " in said}
    if purge.whole and named:
        hit = [*named]  # what else stands in these slots was not meant
    hit.sort(key=lambda tag: (tag not in named, precision(tag), tag))
    return {
        "counter": counter,
        "at": purge.at,
        "soft": purge.soft,
        "of": [text(tag) for tag in hit],
        "what": purge.what,
    }


def told_last_purge(purge: Mapping[str, Any], now: float, valid: bool) -> Iterator[str]:
    """The same for people."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(purge["at"]))
    how = ", softly" if purge["soft"] else ""
    before = ", before it was made" if valid else ""
    yield f"last purge: {when}, {duration(now - purge['at'])} ago{how}{before}; of"
    tags = purge["of"] or purge["what"].split(" ")
    yield from [f"  {in_words(tag.encode())}" for tag in tags[:_SHOWN]]
    if len(tags) > _SHOWN:
        yield f"  and {len(tags) - _SHOWN} more tags"


def duration(seconds: float) -> str:
    """`12 s`, `5 min`, `3 h`, `2 d`."""
    whole = max(int(seconds), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def nearby(place: str | None) -> str:
    """A place in the code, from here where it is below."""
    if not place:
        return "an unknown place"
    path = Path(place)
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else place
