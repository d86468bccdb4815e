"""Static files and uploads: a URL below a prefix becomes the answer from a file.

Lives here: which directory a URL is in, which file and which coding of it, how long it may be cached.
Doesn't know: how a directory is walked safely (resolve), conditions and ranges (representation), and
what becomes of a URL that no file is found for: that is the caller's.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from uncork.edge.answers import Answer
from uncork.edge.files import NOT_WATCHED, Loaded, Opened, State, Watched, is_settled, state_of
from uncork.edge.mime import content_type, is_compressible
from uncork.edge.representation import Representation, answer
from uncork.edge.resolve import Directory, Failure, Symlinks, Tree, failure
from uncork.semantics.etags import with_coding
from uncork.semantics.fields import Field, Fields
from uncork.semantics.messages import Request
from uncork.semantics.negotiation import preferred_coding
from uncork.semantics.targets import decode_path


class FileReason(Enum):
    """Why there is an answer that isn't the file's content."""

    DIRECTORY = "directory"  # redirected to the URL with the slash
    METHOD = "method-not-allowed"
    MISSING = "file-missing"  # of those that the origin names
    FORBIDDEN = "file-forbidden"  # the server's user may not read it
    UNREADABLE = "file-unreadable"  # no descriptors left, a broken disk


class HashedBy(Enum):
    """Who puts a hash of the content into names, so that a file of that name never changes."""

    DJANGO = "django"
    VITE = "vite"


HASHED_NAMES = {
    # `app.55e7cbb9ba48.css`, the first 12 digits of the MD5 of the content, as ManifestStaticFilesStorage
    # writes. Not all of them decimal: `export.202611240700.csv` is a time stamp.
    HashedBy.DJANGO: re.compile(rb"\.(?=[0-9]*[a-f])[0-9a-f]{12}(?:\.[^.]+)?$"),
    # `index-BfX3kd9a.js`, as Vite and Rollup write. Not a default: `my-Document.pdf` looks like it too.
    HashedBy.VITE: re.compile(rb"[-.](?=[a-z_-]*[A-Z0-9])[A-Za-z0-9_-]{8}\.[a-z0-9]+(?:\.map)?$"),
}

# The best first. Source: RFC 7932, RFC 8878, RFC 1952
_ENDINGS = {b"br": b".br", b"zstd": b".zst", b"gzip": b".gz"}

_ALLOW = (b"allow", b"GET, HEAD")
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_VARY = (b"vary", b"accept-encoding")
_IMMUTABLE = (b"cache-control", b"public, max-age=31536000, immutable")  # Source: RFC 8246 §2
_ASK_AGAIN = b"public, max-age=0, must-revalidate"
_WELL_KNOWN = b".well-known"  # Source: RFC 8615 §3


@dataclass(frozen=True, slots=True)
class StaticOptions:
    """`prefixes` are pairs of a URL prefix and a directory: `((b"/static/", "/srv/site/static"),)`.

    `dot_files` serves names that begin with a dot; without it only those in `/.well-known/` are.
    The policies for dot files and hashed names look at the URL; `symlinks` says which links below the
    roots are followed. `index` stands for its directory; None for no such thing. Whose name was
    `hashed_by` one of these is immutable. `max_age` of others is in seconds; 0 has clients ask again each
    time, None leaves the field out. `precompressed` sends `a.css.br`, `.zst` or `.gz` for `a.css`. `small` is
    up to how many bytes content is read to memory.
    """

    prefixes: tuple[tuple[bytes, str], ...]
    symlinks: Symlinks = Symlinks.INSIDE
    dot_files: bool = False
    index: bytes | None = b"index.html"
    hashed_by: tuple[HashedBy, ...] = (HashedBy.DJANGO,)
    max_age: int | None = 0
    precompressed: bool = True
    small: int = 64 * 1024


@dataclass(slots=True)
class FileAnswer(Answer):
    """A plain 200 to GET: it may be sent again, to requests with an equal Accept-Encoding if it has Vary,
    for as long as its files are unchanged."""

    watched: Watched = NOT_WATCHED


@dataclass(frozen=True, slots=True)
class MountedTree:
    """A tree and the URL prefix it is found under, which ends in a slash."""

    prefix: bytes
    tree: Tree


class StaticSite:
    """All static prefixes of a site."""

    def __init__(self, options: StaticOptions) -> None:
        self._options = options
        self._mounts = mounted(options.prefixes, options.symlinks)
        self._prefixes = tuple(mount.prefix for mount in self._mounts)
        self._cache_control: tuple[Field, ...] = ()
        if options.max_age is not None:
            value = b"public, max-age=%d" % options.max_age if options.max_age else _ASK_AGAIN
            self._cache_control = ((b"cache-control", value),)

    def find(self, path: bytes) -> MountedTree | None:
        """The tree for a path as it was sent: of several prefixes that fit, the longest."""
        if not path.startswith(self._prefixes):
            return None
        return next(mount for mount in self._mounts if path.startswith(mount.prefix))

    def respond(self, mount: MountedTree, request: Request, now: float) -> Answer | None:
        """The answer from the file that `request.path` names below the mount, or None when there is none.

        `now` is in seconds since the epoch. It is a FileAnswer when it may be sent again.
        Source: RFC 9110 §9.3.1, §9.3.2, §15.5.6
        """
        names = self._names(mount, request.path)
        if names is None:
            return None
        try:
            with mount.tree.enter(names[:-1]) as directory, Opened(directory.open(names[-1])) as file:
                if file.is_file:
                    if request.method not in (b"GET", b"HEAD"):
                        return Answer(405, FileReason.METHOD, Fields((_ALLOW,)))
                    return self._answer(request, directory, names[-1], file, now)
            return self._redirect(mount, request, names) if file.is_directory else None
        except OSError as error:
            return answer_to_failure(error)

    def _names(self, mount: MountedTree, path: bytes) -> list[bytes] | None:
        """The names of the file below the root; None when no file may have them."""
        decoded = decode_path(path[len(mount.prefix) - 1 :])
        if decoded is None:
            return None
        names = [name.encode() for name in decoded]
        if not names[-1]:
            if self._options.index is None:
                return None
            names[-1] = self._options.index
        if not self._options.dot_files:
            well_known = mount.prefix == b"/" and names[0] == _WELL_KNOWN
            if any(name.startswith(b".") for name in (names[1:] if well_known else names)):
                return None
        return names

    def _answer(
        self, request: Request, directory: Directory, name: bytes, file: Opened, now: float
    ) -> Answer:
        kind = content_type(name)
        fields = [(b"content-type", kind), _NOSNIFF]
        seen = [(directory.path + b"/" + name, state_of(file.status))]
        coded = None
        if self._options.precompressed and is_compressible(kind):
            fields.append(_VARY)
            if accepted := request.fields.get(b"accept-encoding"):
                # A directory changes when a name in it appears or vanishes.
                seen.append((directory.path, state_of(os.fstat(directory.fd))))
                coded = self._coded(directory, name, accepted, now, seen)
        if coded is None:
            loaded = file.load(self._options.small, now)
            etag = loaded.etag
            seen[0] = (seen[0][0], loaded.state)
        else:
            coding, loaded = coded
            fields.append((b"content-encoding", coding))
            etag = None if loaded.etag is None else with_coding(loaded.etag, coding)
        fields += self._caching(name, loaded.steady and is_settled(seen[0][1], now))
        made = answer(request, Representation(tuple(fields), loaded.content, etag, loaded.last_modified), now)
        if made.status != 200 or request.method != b"GET":
            return made
        steady = loaded.steady and all(is_settled(state, now) for _, state in seen)
        return FileAnswer(200, made.reason, made.fields, made.body, Watched(steady, tuple(seen)))

    def _coded(
        self,
        directory: Directory,
        name: bytes,
        accepted: bytes,
        now: float,
        seen: list[tuple[bytes, State]],
    ) -> tuple[bytes, Loaded] | None:
        """The file in the coding that the client likes best of those that are there.

        `seen` begins with the file itself, and the siblings that were looked at are added. One that is older
        than the file was made from what that was before. One that isn't settled may not be written to its
        end: a browser would keep half a file for a year.
        """
        left = list(_ENDINGS)
        while (coding := preferred_coding(accepted, left)) is not None:
            left.remove(coding)
            try:
                with Opened(directory.open(name + _ENDINGS[coding])) as sibling:
                    if not sibling.is_file:
                        continue
                    state = state_of(sibling.status)
                    seen.append((seen[0][0] + _ENDINGS[coding], state))
                    if state.mtime_ns >= seen[0][1].mtime_ns and is_settled(state, now):
                        return coding, sibling.load(self._options.small, now)
            except OSError:
                continue  # what can't be had in one coding can be had in another
        return None

    def _caching(self, name: bytes, steady: bool) -> tuple[Field, ...]:
        if steady and any(HASHED_NAMES[by].search(name) is not None for by in self._options.hashed_by):
            return (_IMMUTABLE,)
        return self._cache_control

    def _redirect(self, mount: MountedTree, request: Request, names: Sequence[bytes]) -> Answer | None:
        """For a directory that has an index file: to its URL with the slash. Raises OSError."""
        if self._options.index is None or request.path.endswith(b"/"):
            return None
        with mount.tree.enter(names) as directory, Opened(directory.open(self._options.index)) as file:
            if not file.is_file:
                return None
        if request.method not in (b"GET", b"HEAD"):
            return Answer(405, FileReason.METHOD, Fields((_ALLOW,)))
        # `//host/` and `/\\host/` would be another site's. Source: RFC 3986 §4.2
        location = b"/" + request.path.lstrip(b"/").replace(b"\\", b"%5C") + b"/"
        if request.query is not None:
            location += b"?" + request.query
        return Answer(301, FileReason.DIRECTORY, Fields(((b"location", location), *self._cache_control)))


def mounted(prefixes: Sequence[tuple[bytes, str]], symlinks: Symlinks) -> list[MountedTree]:
    """The trees for prefixes and directories, the longest prefix first. A link may end in any of them."""
    roots = [os.fsencode(directory) for _, directory in prefixes]
    mounts = [
        MountedTree(_with_slash(prefix), Tree(root, symlinks, roots))
        for (prefix, _), root in zip(prefixes, roots, strict=True)
    ]
    return sorted(mounts, key=lambda mount: len(mount.prefix), reverse=True)


def answer_to_failure(error: OSError) -> Answer | None:
    """None where there is no such file."""
    kind = failure(error)
    if kind is Failure.MISSING:
        return None
    if kind is Failure.FORBIDDEN:
        return Answer(403, FileReason.FORBIDDEN)
    return Answer(503, FileReason.UNREADABLE, Fields(((b"cache-control", b"no-store"),)))


def check(options: StaticOptions) -> list[str]:
    """What is wrong with the prefixes and directories, a sentence for each, for people to read."""
    wrong = []
    known: dict[bytes, str] = {}
    for prefix, directory in options.prefixes:
        option = f"--static {os.fsdecode(prefix)}={directory}"
        if not prefix.startswith(b"/"):
            wrong.append(f"{option}: the URL prefix must start with a slash")
        other = known.setdefault(_with_slash(prefix), directory)
        if other != directory:
            wrong.append(f"{option}: the URL prefix already stands for {other}")
        try:
            os.stat(os.path.join(directory, "."))  # the dot needs the right to enter it
        except OSError as error:
            wrong.append(f"{option}: {error.strerror}")
    return wrong


def _with_slash(prefix: bytes) -> bytes:
    return prefix if prefix.endswith(b"/") else prefix + b"/"
