"""From names to open files, and never to one outside the roots.

Lives here: how a path is walked, symbolic links by policy, what an error of the file system means.
Doesn't know: URLs, requests, and what is done with a file.

What decides is what was opened, never what a path said a moment before: a directory is entered one name
at a time from the root's descriptor without following a link (`O_NOFOLLOW`), so whoever swaps a directory
for a link between two steps gains an error. A link is opened as a mere place (`O_PATH`: nothing is read,
no device or FIFO wakes up), the kernel says where that place is, and only then are its bytes opened
through the descriptor itself. realpath() followed by open() would leave a gap between the two.
"""

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from enum import Enum


class Symlinks(Enum):
    """Which symbolic links below a root are followed; its own path is the operator's, and may hold any.

    INSIDE: those that end inside one of the roots. It needs /proc: without it, it is NEVER.
    """

    NEVER = "never"
    INSIDE = "inside"
    ALWAYS = "always"


class Failure(Enum):
    """What an error of the file system means for whoever asked for a file."""

    MISSING = "missing"
    FORBIDDEN = "forbidden"
    TROUBLE = "trouble"


_MISSING = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,  # a link that isn't followed, too
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.EISDIR,
        errno.ENXIO,  # a socket, or a device without a driver
        errno.ENODEV,
    }
)
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})

_PLACE = os.O_PATH | os.O_CLOEXEC
_DIRECTORY = _PLACE | os.O_DIRECTORY
# Non-blocking: without it, opening a FIFO would wait for somebody to write to it.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def failure(error: OSError) -> Failure:
    """MISSING may be answered with 404, FORBIDDEN with 403; TROUBLE is the server's own (no descriptors
    left, a broken disk)."""
    if error.errno in _MISSING:
        return Failure.MISSING
    return Failure.FORBIDDEN if error.errno in _FORBIDDEN else Failure.TROUBLE


class Tree:
    """The files below one root: `Tree(b"/srv/site/static")`.

    The root is looked up anew each time, so that a root which is a link (`current -> releases/42`) may be
    switched while running. `others` are further roots in which a link may end.
    """

    __slots__ = ("_roots", "_symlinks", "root")

    def __init__(
        self, root: bytes, symlinks: Symlinks = Symlinks.INSIDE, others: Iterable[bytes] = ()
    ) -> None:
        self.root = os.path.abspath(root)
        self._symlinks = symlinks
        self._roots = (self.root, *(os.path.abspath(other) for other in others))

    def enter(self, names: Sequence[bytes]) -> "Directory":
        """Open the directory of these names; raises OSError. The caller closes it.

        The names are single, not empty and neither `.` nor `..`: this is checked, for it is what keeps
        the walk from going upward.
        """
        path = self.root
        for name in names:
            path += b"/" + _checked(name)
        if self._symlinks is Symlinks.ALWAYS:
            return Directory(self, path, os.open(path, _DIRECTORY))
        try:
            return Directory(self, path, self._walk(names))
        except OSError as error:
            # O_PATH with O_DIRECTORY calls a link "not a directory".
            if error.errno != errno.ENOTDIR or self._symlinks is Symlinks.NEVER:
                raise
        fd = self._follow(path)
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            os.close(fd)
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return Directory(self, path, fd)

    def _walk(self, names: Sequence[bytes]) -> int:
        fd = os.open(self.root, _DIRECTORY)
        for name in names:
            try:
                inner = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            finally:
                os.close(fd)
            fd = inner
        return fd

    def _follow(self, path: bytes) -> int:
        """The place where a path with links ends, when that is inside a root; raises OSError."""
        fd = os.open(path, _PLACE)
        try:
            place = _location(fd)
            for root in self._roots:
                if _is_inside(place, root):
                    return fd
            raise OSError(errno.ELOOP, "a symbolic link leads out of the roots", path)
        except BaseException:
            os.close(fd)
            raise

    def _open(self, directory: "Directory", name: bytes) -> int:
        if self._symlinks is Symlinks.ALWAYS:
            return os.open(_checked(name), _FILE, dir_fd=directory.fd)
        try:
            return os.open(_checked(name), _FILE | os.O_NOFOLLOW, dir_fd=directory.fd)
        except OSError as error:
            if error.errno != errno.ELOOP or self._symlinks is Symlinks.NEVER:
                raise
        place = self._follow(directory.path + b"/" + name)
        try:
            if stat.S_ISLNK(os.fstat(place).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
            return os.open(b"/proc/self/fd/%d" % place, _FILE)
        finally:
            os.close(place)


class Directory:
    """An open directory below a root. `fd` is a place only (`O_PATH`): good for `open` and fstat.

    `path` is how it was asked for, with links: for looking again, not for opening.
    """

    __slots__ = ("_tree", "fd", "path")

    def __init__(self, tree: Tree, path: bytes, fd: int) -> None:
        self._tree = tree
        self.path = path
        self.fd = fd

    def open(self, name: bytes) -> int:
        """A descriptor for reading what has this name, links by policy; raises OSError. It may be anything
        that a file system holds: ask fstat. It is non-blocking, which regular files don't mind."""
        return self._tree._open(self, name)

    def close(self) -> None:
        os.close(self.fd)

    def __enter__(self) -> "Directory":
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self.fd)


def _checked(name: bytes) -> bytes:
    if not name or name in (b".", b"..") or b"/" in name or b"\0" in name:
        raise OSError(errno.EINVAL, "not the name of a file", name)
    return name


def _location(fd: int) -> bytes:
    """Where the kernel says that an open file is. A file that was removed since has " (deleted)" appended."""
    return os.readlink(b"/proc/self/fd/%d" % fd)


def _is_inside(place: bytes, root: bytes) -> bool:
    try:
        fd = os.open(root, _DIRECTORY)
    except OSError:
        return False
    try:
        base = _location(fd)
    finally:
        os.close(fd)
    return place == base or place.startswith(base.rstrip(b"/") + b"/")
