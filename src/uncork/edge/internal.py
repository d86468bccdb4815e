"""Files that only the origin may name: X-Accel-Redirect and X-Sendfile.

Lives here: from the value of such a field to the file or the reason why it can't be sent, and which fields of
the origin's response stay.
Doesn't know: who may see a file. The origin decided that when it named it; so dot files are sent, and
nothing here is a FileAnswer: the next request is the origin's to decide again.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes

from uncork.edge.answers import Answer
from uncork.edge.errorpages import error_answer
from uncork.edge.files import Loaded, Opened
from uncork.edge.mime import content_type
from uncork.edge.representation import Representation, answer
from uncork.edge.resolve import Symlinks, Tree
from uncork.edge.static import FileReason, answer_to_failure, mounted
from uncork.semantics.dates import parse_date
from uncork.semantics.etags import parse_etag
from uncork.semantics.fields import Field, Fields, spelled
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


class CannotSend(Exception):
    """What the origin names can't be sent. The message is for the operator, `answer` for the client: it
    doesn't tell the name."""

    def __init__(self, why: str, answer: Answer) -> None:
        super().__init__(why)
        self.answer = answer


class InternalFiles:
    """All directories whose files the origin may name."""

    def __init__(self, options: InternalOptions) -> None:
        self._small = options.small
        self._mounts = mounted(options.prefixes, options.symlinks)

    def respond(self, request: Request, origin_fields: Fields, kept: Fields, now: float) -> Answer:
        """The answer from the file that the origin's response names. Raises CannotSend; 404 as nginx does.

        The response has one of `NAMING`. `kept` are those of its fields that are for the client: they stay
        but for those about its content; its Content-Type and validators win over those of the file. A file
        named in the answer to a POST is sent whole. Precompressed siblings are not looked for. `now` is in
        seconds since the epoch.
        """
        if request.method not in (b"GET", b"HEAD"):
            # As nginx does. Conditions and ranges were about another representation.
            request = replace(request, method=b"GET", fields=Fields())
        naming = NAMING[0] if NAMING[0] in origin_fields else NAMING[1]
        location = origin_fields.getall(naming)[0]
        try:
            name, loaded = self._load(naming, location, now)
        except OSError as error:
            named = f"{location.decode('utf-8', 'backslashreplace')!r}"
            raise CannotSend(
                f"can't send {named}, which the origin names by {spelled(naming).decode()}: {error.strerror}",
                answer_to_failure(error) or error_answer(404, FileReason.MISSING),
            ) from None
        return answer(request, _representation(name, loaded, kept, now), now)

    def _load(self, naming: bytes, location: bytes, now: float) -> tuple[bytes, Loaded]:
        """A file and its own name. Raises OSError."""
        tree, names = self._by_url(location) if naming == NAMING[0] else self._by_path(location)
        if not names or not names[-1]:
            raise OSError(errno.EINVAL, "not the name of a file")
        with tree.enter(names[:-1]) as directory, Opened(directory.open(names[-1])) as file:
            if not file.is_file:
                raise OSError(errno.EINVAL, "it is no regular file")
            return names[-1], file.load(self._small, now)

    def _by_url(self, location: bytes) -> tuple[Tree, list[bytes]]:
        path = location.partition(b"?")[0]
        for mount in self._mounts:
            if path.startswith(mount.prefix):
                names = decode_path(path[len(mount.prefix) - 1 :]) or []
                return mount.tree, [name.encode() for name in names]
        raise OSError(errno.ENOENT, "it is in none of the internal-files")

    def _by_path(self, location: bytes) -> tuple[Tree, list[bytes]]:
        # Percent-decoded as Apache's mod_xsendfile and lighttpd do; a lone % stands for itself.
        path = unquote_to_bytes(location)
        for mount in self._mounts:
            below = mount.tree.root.rstrip(b"/") + b"/"
            if path.startswith(below):
                names = path[len(below) :].split(b"/")
                return mount.tree, [*(name for name in names[:-1] if name not in (b"", b".")), names[-1]]
        raise OSError(errno.ENOENT, "it is in none of the internal-files")


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
