"""Finding the page that answers a request, and the key for a new one.

Lives here: the two steps from a URL to a variant.
Doesn't know: whether the page may be used, and how the store keeps it.

The file at the primary key holds the page whose inputs are all absent, or a signpost; either way it carries
the names of all inputs that pages of this URL ever depended on. The request's values of these give the
variant's key. Whatever is found there is still compared by its own inputs.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from uncork.pages.keys import Input, UnknownInput, matches, primary_key, select, union, variant_key
from uncork.semantics.messages import Request
from uncork.stores.contract import Store, StoredPage


@dataclass(slots=True)
class Found:
    """What a store has for a request. `stored` is None on a miss; whoever got it closes it.

    `names` are all input names known of the primary key, `inputs` the request's values of them, and `key`
    is where the page is or would be. `known`: something is at the primary key, so that `names` are what
    selects among the pages of the URL; else nobody knows that yet.
    """

    primary: bytes
    names: tuple[bytes, ...]
    inputs: tuple[Input, ...]
    key: bytes
    stored: StoredPage | None
    known: bool = True


def find(store: Store, request: Request) -> Found:
    """The page that was stored for the same inputs as this request has. Source: RFC 9111 §4, §4.1"""
    primary = primary_key(request.scheme, request.authority, request.path)
    entry = store.lookup(primary)
    if entry is None:
        return Found(primary, (), (), primary, None, known=False)
    names = entry.names
    try:
        inputs = select(names, request)
        key = variant_key(primary, inputs)
    except UnknownInput:  # written by a newer version: all that is here was selected by what we can't read
        if isinstance(entry, StoredPage):
            entry.close()
        return Found(primary, (), (), primary, None, known=False)
    if key != primary:
        if isinstance(entry, StoredPage):
            entry.close()
        entry = store.lookup(key)
    if not isinstance(entry, StoredPage):
        return Found(primary, names, inputs, key, None)
    if entry.page.inputs != inputs and not matches(entry.page.inputs, request):
        entry.close()
        return Found(primary, names, inputs, key, None)
    return Found(primary, names, inputs, key, entry)


def place(store: Store, request: Request, primary: bytes, names: Iterable[bytes]) -> Found:
    """Where to store a page whose render read these inputs: `key`, `inputs` for the page, and `names`.

    `names` are for `create`, when `key` is the primary key: the page itself carries them. For any other key
    they are recorded here, so that who finds the URL finds the variant. Raises StoreFull, TooLarge,
    UnknownInput.
    """
    entry = store.lookup(primary)
    known = () if entry is None else entry.names
    if isinstance(entry, StoredPage):
        entry.close()
    wanted = union(known, names)
    inputs = select(wanted, request)
    key = variant_key(primary, inputs)
    if key != primary and wanted != known:
        store.record(primary, wanted)
    return Found(primary, wanted, inputs, key, None)


def learn(store: Store, request: Request, found: Found, names: Iterable[bytes]) -> Found:
    """Where the page of a request would be, once it is known that a render of its URL read these inputs.

    Nothing is stored of that render; who finds the URL from now on knows them. Raises StoreFull, TooLarge,
    UnknownInput.
    """
    wanted = union(found.names, names)
    if wanted != found.names:
        wanted = store.record(found.primary, wanted)
    inputs = select(wanted, request)
    known = found.known or bool(wanted)
    return Found(found.primary, wanted, inputs, variant_key(found.primary, inputs), None, known)
