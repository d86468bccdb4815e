"""The page: a stored response without its body.

Lives here: what is known of a stored response.
Doesn't know: how it is written down, where its body is, and whether it may be used.
"""

from dataclasses import dataclass

from uncork.caching.freshness import Freshness
from uncork.pages.keys import Input
from uncork.semantics.fields import Fields


@dataclass(frozen=True, slots=True)
class Page:
    """A stored response.

    `url` is that of the request which made it, with its query. `fields` are the origin's, without those
    of one connection. `stamp` is the purge clock's value read before the response was asked for, and
    `slots` are where its tags stand in that clock. `inputs` are the names and values that selected it,
    sorted by name: it answers only requests that have the same. Validators are in `fields`.
    """

    url: bytes
    status: int
    fields: Fields
    freshness: Freshness
    stamp: int
    slots: tuple[int, ...]
    inputs: tuple[Input, ...] = ()
