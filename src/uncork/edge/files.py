"""A regular file as content with validators, and whether it is still the same.

Lives here: reading small files whole, holding large ones open, ETag and Last-Modified of either.
Doesn't know: how a file was found, and requests.

What is sent, its length and its validators are those of one descriptor, never of a name looked at
before. Small content is named by its hash: the tag is the same on every machine of a fleet, survives a
deploy that only touches files, and holds even if a file is written twice within one tick of the file
system's clock. Large content is named by its size and times. The change time is among them: unlike the
modification time nobody can set it back, so two builds that stamp all their files with the same
date (SOURCE_DATE_EPOCH) differ. The price is a tag of its own on each machine for large files.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import NamedTuple

from uncork.edge.answers import FilePart, OpenFile

# A file modified less than this before now may be in the middle of being written, and may change again
# without a change of its times: file systems keep them in steps of up to 10 ms, FAT of 2 s, and the
# caller's clock may be a second old. Seconds.
SETTLING = 2.0


class State(NamedTuple):
    """What differs when a file was written to or replaced."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int


def state_of(status: os.stat_result) -> State:
    return State(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def is_settled(state: State, now: float) -> bool:
    """Whether the last modification is long enough ago, by `SETTLING`, to be told from the next.

    A date in the future was set by hand, and the file wasn't written then.
    """
    return abs(now - state.mtime_ns / 1e9) >= SETTLING


@dataclass(frozen=True, slots=True)
class Loaded:
    """The content of a file. `content` is a hold on the file when it is a FilePart.

    `etag` is strong, or None for a large file that isn't settled; `last_modified` is in seconds since the
    epoch, or None as long as the second it names isn't over. Source: RFC 9110 §8.8.2.1, §8.8.2.2, §8.8.3
    """

    content: bytes | FilePart
    state: State
    etag: bytes | None
    last_modified: int | None
    steady: bool  # settled, and not changed while it was read


class Opened:
    """What a descriptor is open for, closed at the end of the block unless its content went on.

    `status` is that of the moment it was opened.
    """

    __slots__ = ("_fd", "status")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        try:
            self.status = os.fstat(fd)
        except BaseException:
            os.close(fd)
            raise

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *exc: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    def load(self, small: int, now: float) -> Loaded:
        """The content of a regular file: up to `small` bytes are read, more stay in the file. Once only.

        A file that changes while it is read is read once more. After that it is what was read, which is
        as long as it is and tagged by its hash in any case.
        """
        status = self.status
        for _ in range(2):
            if status.st_size > small:
                file = OpenFile(self._fd)
                if file.size == status.st_size and file.mtime_ns == status.st_mtime_ns:
                    self._fd = -1
                    return _large(file, status, now)
                status = os.fstat(self._fd)
                continue
            content = os.pread(self._fd, status.st_size, 0)
            after = os.fstat(self._fd)
            if len(content) == status.st_size and state_of(after) == state_of(status):
                return _small(content, status, now)
            status = after
        # It grows or shrinks all the time: a log, or an upload under way.
        content = os.pread(self._fd, status.st_size, 0)
        return Loaded(content, state_of(status), _tag_of_content(content), None, False)


def _small(content: bytes, status: os.stat_result, now: float) -> Loaded:
    state = state_of(status)
    return Loaded(
        content, state, _tag_of_content(content), _last_modified(status, now), is_settled(state, now)
    )


def _large(file: OpenFile, status: os.stat_result, now: float) -> Loaded:
    state = state_of(status)
    settled = is_settled(state, now)
    etag = b'"%x-%x-%x"' % (status.st_size, status.st_mtime_ns, status.st_ctime_ns) if settled else None
    content = FilePart(file, 0, status.st_size)
    return Loaded(content, state, etag, _last_modified(status, now), settled)


def _tag_of_content(content: bytes) -> bytes:
    # Processors since 2017 have instructions for SHA-256: it is faster here than BLAKE2 and MD5.
    return b'"%s"' % hashlib.sha256(content).hexdigest()[:32].encode()


def _last_modified(status: os.stat_result, now: float) -> int | None:
    """Not before the second is over, because a second change in it would have the same date; nor is
    a date in the future ever sent. Source: RFC 9110 §8.8.2.1"""
    modified = status.st_mtime_ns // 1_000_000_000
    return modified if modified + 1 <= now else None


@dataclass(frozen=True, slots=True)
class Watched:
    """The files and directories on which an answer depends, as they were.

    `steady` is false when one of them had changed so recently that another change might not show.
    """

    steady: bool
    states: tuple[tuple[bytes, State], ...]

    def unchanged(self) -> bool:
        """Whether the answer still holds: one stat for a file, three for one with precompressed siblings."""
        if not self.steady:
            return False
        try:
            for path, state in self.states:
                if state_of(os.stat(path)) != state:
                    return False
        except OSError:
            return False
        return True


NOT_WATCHED = Watched(False, ())
