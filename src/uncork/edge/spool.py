"""Bytes that wait for a slow reader, so that who wrote them need not.

Lives here: a FIFO, in memory while it is small, then in a file without a name. Doesn't know: what the bytes
are, who waits for whom, and how many there may be (`extent` is for who does).
"""

import os
import tempfile
import time
from collections.abc import Callable
from typing import IO

# What is kept in memory; more is written to the file. Bytes.
MOST_IN_MEMORY = 256 * 1024
# What is read from the file at once. Bytes.
_PIECE = 256 * 1024
# How long nothing more is said of a disk that is full. Seconds.
_QUIET_SECONDS = 60.0


class Spool:
    """A FIFO of bytes. `directory` is where its file is, which nobody else can open: made when it is needed,
    with O_TMPFILE where the file system has that.

    What was put last is in memory, what was put before it in the file:

        taken | file ...................... | memory ............. put
              ^ _at                         ^ _end
    """

    __slots__ = ("_at", "_directory", "_end", "_file", "_memory", "_memory_bytes")

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._at = self._end = 0
        self._memory: list[bytes] = []
        self._memory_bytes = 0

    @property
    def extent(self) -> int:
        """Bytes that it takes, in the file and in memory. The file becomes no smaller before all of it was
        taken; 0 means empty."""
        return self._end + self._memory_bytes

    @property
    def in_memory(self) -> bool:
        """Whether there is nothing in the file, so that one `take` gives everything."""
        return not self._end

    def put(self, data: bytes) -> None:
        """Append. Raises OSError when the disk doesn't take it: then it is in memory, and nothing is lost."""
        if data:
            self._memory.append(data)
            self._memory_bytes += len(data)
            if self._memory_bytes > MOST_IN_MEMORY:
                self._write()

    def take(self) -> bytes:
        """The next bytes, as many as come at once; b"" when it is empty. Raises OSError."""
        if self._end:
            assert self._file is not None
            data = os.pread(self._file.fileno(), min(_PIECE, self._end - self._at), self._at)
            if not data:
                raise OSError("a spool's file has become shorter")
            self._at += len(data)
            if self._at == self._end:
                os.ftruncate(self._file.fileno(), 0)
                self._at = self._end = 0
            return data
        data = b"".join(self._memory)
        self._memory.clear()
        self._memory_bytes = 0
        return data

    def close(self) -> None:
        """Give up what is in it. Idempotent."""
        file, self._file = self._file, None
        self._at = self._end = 0
        self._memory.clear()
        self._memory_bytes = 0
        if file is not None:
            file.close()

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory, prefix="spool-", buffering=0)
        data = memoryview(b"".join(self._memory))
        try:
            while data:
                written = os.pwrite(self._file.fileno(), data, self._end)
                self._end += written
                data = data[written:]
        finally:
            self._memory = [bytes(data)] if data else []
            self._memory_bytes = len(data)


class Shortage:
    """Tells the operator that the disk takes no spools; not each time, for the log may be on it, too."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._quiet_until = 0.0

    def tell(self, url: bytes, what: str, error: OSError) -> None:
        """`what` there is no room for, at this URL."""
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_SECONDS
            self._report(f"{url.decode('latin-1')}: no room for {what}: {error.strerror}")
