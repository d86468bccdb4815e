"""What a response says of its own freshness and selection, completed by what its render read.

Lives here: `Cache-Control`, `Uncork-Cache-Control` and `Vary`, from what the view said and what was recorded.
Doesn't know: requests, recordings and the record's own fields.

Browsers and caches behind us can't be reached by a purge, so unless the view says otherwise they ask each
time, and the edge alone is told for how long the page is good. A view's own word wins where it is the more
careful.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from uncork.caching.directives import Directives, response_directives
from uncork.semantics.dates import parse_date
from uncork.semantics.fields import Fields, names, spelled

CACHE_CONTROL = "Cache-Control"
FOR_THE_EDGE = "Uncork-Cache-Control"

_OF_FRESHNESS = (CACHE_CONTROL, FOR_THE_EDGE, "CDN-Cache-Control", "Expires")

# What may be shared when the view is silent: what is heuristically cacheable, and redirects that the record
# vouches for. A 304 renews one of these. Source: RFC 9110 §15.1
SHARED_STATUSES = frozenset({200, 203, 204, 300, 301, 302, 304, 307, 308, 404, 410})

_CARRIED = {
    "public": "public",
    "must_revalidate": "must-revalidate",
    "proxy_revalidate": "proxy-revalidate",
    "must_understand": "must-understand",
    "no_transform": "no-transform",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What the view said. `lifetime` is in seconds, None where it said nothing of the kind."""

    anything: bool
    careful: bool
    """It forbids to share, or to use without asking."""
    lifetime: int | None
    directives: Directives


_NOTHING = Said(False, False, None, Directives())


def what_is_said(headers: Mapping[str, str], now: float) -> Said:
    """`now`: seconds since the epoch, for `Expires`."""
    given = [name for name in _OF_FRESHNESS if name in headers]
    if not given:
        return _NOTHING
    fields = Fields([(name.lower().encode(), headers[name].encode("latin-1")) for name in given])
    directives, targeted = response_directives(fields)
    lifetime = directives.max_age if directives.s_maxage is None else directives.s_maxage
    if lifetime is None and not targeted and (expires := fields.get(b"expires")) is not None:
        date = parse_date(expires, now)
        lifetime = 0 if date is None else max(0, date - int(now))
    careful = directives.no_store or directives.private or directives.no_cache or lifetime == 0
    return Said(True, careful, lifetime, directives)


def freshness_fields(
    said: Said, status: int, private: bool, default: float, allowed: float | None, bound: float | None
) -> dict[str, str]:
    """The fields of freshness to set.

    `private`: the response is for one client. `default`: seconds for a page whose view is silent; `allowed`:
    what its decorator says; `bound`: the longest that what it read may be good for.
    """
    if private:
        return {} if said.anything else {CACHE_CONTROL: "private, no-cache"}
    if said.careful:
        return {}
    if said.lifetime is not None:
        limit = min((seconds for seconds in (allowed, bound) if seconds is not None), default=None)
        if limit is None or limit >= said.lifetime:
            return {}
        return {FOR_THE_EDGE: _for_the_edge(limit, said.directives, bounded=True)}
    if status not in SHARED_STATUSES:
        return {}
    seconds = default if allowed is None else allowed
    if bound is not None:
        seconds = min(seconds, bound)
    made = {FOR_THE_EDGE: _for_the_edge(seconds, said.directives, bounded=False)}
    if not said.anything:
        made[CACHE_CONTROL] = "no-cache"
    return made


def _for_the_edge(seconds: float, directives: Directives, *, bounded: bool) -> str:
    """It outweighs `Cache-Control` as a whole, so what that says beside a time is said again.

    Source: RFC 9213 §2.2
    """
    if seconds < 1:
        return "no-store"
    parts = [f"max-age={int(seconds)}"]
    parts += [spelling for name, spelling in _CARRIED.items() if getattr(directives, name)]
    if bounded and directives.s_maxage is not None and not directives.must_revalidate:
        # It lets responses to requests with Authorization be shared. Source: RFC 9111 §3.5, §5.2.2.10
        parts.append("must-revalidate")
    for name, given in (
        ("stale-while-revalidate", directives.stale_while_revalidate),
        ("stale-if-error", directives.stale_if_error),
    ):
        if bounded or given is not None:
            parts.append(f"{name}={0 if bounded else given}")
    return ", ".join(parts)


def merged_vary(given: str | None, cookies: bool, fields: Collection[str], unused_cookie: bool) -> str | None:
    """`Vary` with what was read, in the order in which it was given; None for none.

    `unused_cookie`: the `Cookie` in it is Django's, for a session or token that nobody made use of.
    """
    known = [name.strip() for name in (given or "").split(",") if name.strip()]
    if "*" in known:
        return "*"
    if unused_cookie and not cookies:
        known = [name for name in known if name.lower() != "cookie"]
    wanted = [*(["cookie"] if cookies else []), *sorted(fields)]
    have = {name.lower() for name in known}
    missing = [name for name in dict.fromkeys(wanted) if name not in have]
    known += [spelled(name.encode("latin-1")).decode("latin-1") for name in missing]
    return ", ".join(known) or None


def forgotten(given: str, fields: Collection[str]) -> list[str]:
    """Request fields that were read and aren't in a `Vary` that the view made."""
    have = {name.decode("latin-1") for name in names(given.encode("latin-1"))}
    return [] if "*" in have else sorted(set(fields) - have)
