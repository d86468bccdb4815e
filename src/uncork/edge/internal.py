"""Files that only the origin may name: X-Accel-Redirect and X-Sendfile.

Lives here: from the value of such a field to the file, and which fields of the origin's response stay.
Doesn't know: who may see a file. The origin decided that when it named it; so dot files are sent, and
nothing here is a FileAnswer: the next request is the origin's to decide again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes

from uncork.edge.answers import Answer
from uncork.edge.files import Loaded, Opened
from uncork.edge.mime import content_type
from uncork.edge.representation import Representation, answer
from uncork.edge.resolve import Symlinks, Tree
from uncork.edge.static import answer_to_failure, mounted
from uncork.semantics.dates import parse_date
from uncork.semantics.etags import parse_etag
from uncork.semantics.fields import Field, Fields
from uncork.semantics.messages import HOP_BY_HOP, Request
from uncork.semantics.targets import decode_path

# The fields that name a file, as nginx and Apache know them; the first wins.
NAMING = (b"x-accel-redirect", b"x-sendfile")

# What the origin's response said of its own content and connection, and not of the file.
# Of the rest nginx keeps six fields; here all stay, for a policy (CSP, say) is meant for the file.
_NOT_KEPT = HOP_BY_HOP | {
    b"accept-ranges",
    b"content-digest",
    b"content-length",
    b"content-md5",
    b"content-range",
    b"date",
    b"digest",
    b"etag",
    b"last-modified",
    b"repr-digest",
    b"x-sendfile",
}


@dataclass(frozen=True, slots=True)
class InternalOptions:
    """`prefixes` are pairs of an internal URL prefix and a directory: `((b"/protected/", "/srv/files"),)`.

    X-Accel-Redirect names a URL below a prefix, X-Sendfile an absolute path inside a directory.
    `small` is up to how many bytes content is read to memory.
    """

    prefixes: tuple[tuple[bytes, str], ...]
    symlinks: Symlinks = Symlinks.INSIDE
    small: int = 64 * 1024


def names_a_file(fields: Fields) -> bool:
    """Whether a response of the origin asks for a file to be sent in its stead."""
    return NAMING[0] in fields or NAMING[1] in fields


class InternalFiles:
    """All directories whose files the origin may name."""

    def __init__(self, options: InternalOptions) -> None:
        self._small = options.small
        self._mounts = mounted(options.prefixes, options.symlinks)

    def respond(self, request: Request, origin_fields: Fields, now: float) -> Answer | None:
        """The answer from the file that the origin's response names, None when there is none.

        The response has one of `NAMING`. Its fields stay but for those about its content; its Content-Type
        and validators win over those of the file. A file named in the answer to a POST is sent whole.
        Precompressed siblings are not looked for. `now` is in seconds since the epoch.
        """
        if request.method not in (b"GET", b"HEAD"):
            # As nginx does. Conditions and ranges were about another representation.
            request = replace(request, method=b"GET", fields=Fields())
        found = self._find(origin_fields)
        if found is None:
            return None
        tree, names = found
        try:
            with tree.enter(names[:-1]) as directory, Opened(directory.open(names[-1])) as file:
                if not file.is_file:
                    return None
                loaded = file.load(self._small, now)
        except OSError as error:
            return answer_to_failure(error)
        return answer(request, _representation(names[-1], loaded, origin_fields, now), now)

    def _find(self, origin_fields: Fields) -> tuple[Tree, list[bytes]] | None:
        for naming, find in zip(NAMING, (self._by_url, self._by_path), strict=True):
            if lines := origin_fields.getall(naming):
                return find(lines[0])
        return None

    def _by_url(self, location: bytes) -> tuple[Tree, list[bytes]] | None:
        path = location.partition(b"?")[0]
        for mount in self._mounts:
            if path.startswith(mount.prefix):
                names = decode_path(path[len(mount.prefix) - 1 :])
                return (mount.tree, [name.encode() for name in names]) if names and names[-1] else None
        return None

    def _by_path(self, location: bytes) -> tuple[Tree, list[bytes]] | None:
        # Percent-decoded as Apache's mod_xsendfile and lighttpd do; a lone % stands for itself.
        path = unquote_to_bytes(location)
        for mount in self._mounts:
            below = mount.tree.root.rstrip(b"/") + b"/"
            if path.startswith(below):
                names = [name for name in path[len(below) :].split(b"/") if name not in (b"", b".")]
                return (mount.tree, names) if names and not path.endswith(b"/") else None
        return None


def _representation(name: bytes, loaded: Loaded, origin_fields: Fields, now: float) -> Representation:
    given_etag = parse_etag(origin_fields.get(b"etag") or b"")
    given_date = parse_date(origin_fields.get(b"last-modified") or b"", now)
    return Representation(
        tuple(_fields(name, origin_fields)),
        loaded.content,
        loaded.etag if given_etag is None else given_etag,
        loaded.last_modified if given_date is None else given_date,
    )


def _fields(name: bytes, origin_fields: Fields) -> Iterator[Field]:
    for field in origin_fields:
        if field[0] not in _NOT_KEPT and not field[0].startswith(b"x-accel-"):
            yield field
    if b"content-type" not in origin_fields:
        yield b"content-type", content_type(name)
    if b"x-content-type-options" not in origin_fields:
        yield b"x-content-type-options", b"nosniff"
