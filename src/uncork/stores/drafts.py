"""Files on their way into a disk store, and whether it takes any.

Lives here: the temporary file, its renaming, and what an error of writing means.
Doesn't know: what is in the file.
"""

import os
from errno import ENODATA
from time import monotonic

from uncork.stores.contract import Statistics, StoreFull
from uncork.stores.places import Places


class Intake:
    """Whether the store takes files. After an error it takes none for `retry_after` seconds."""

    def __init__(self, counters: Statistics, retry_after: float) -> None:
        self._counters = counters
        self._retry_after = retry_after
        self._full_until = 0.0

    def check(self) -> None:
        """Raises StoreFull when an error is not long ago."""
        if self._full_until and monotonic() < self._full_until:
            self._counters.refused += 1
            raise StoreFull(self._counters.last_refusal, first=False)

    def refused(self, error: OSError) -> StoreFull:
        """Whatever the system says, the page can't be stored; the exception to raise."""
        first = not self._full_until
        self._full_until = monotonic() + self._retry_after
        self._counters.refused += 1
        self._counters.last_refusal = error.strerror or str(error)
        return StoreFull(self._counters.last_refusal, first)

    def accepted(self, size: int) -> None:
        self._full_until = 0.0
        self._counters.written += 1
        self._counters.written_bytes += size


class Draft:
    """A file on its way: a hole for the head, the bodies, then the head, then its name.

    Every method raises StoreFull, and the temporary file is then gone. `fd` is -1 when it was published or
    discarded; `size` is in bytes.
    """

    def __init__(self, places: Places, intake: Intake, head_size: int) -> None:
        intake.check()
        self._places = places
        self._intake = intake
        self._path = places.temporary_path()
        self.fd = -1
        self.size = head_size
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self.fd = places.retried(lambda: os.open(self._path, flags, 0o600))
            os.lseek(self.fd, head_size, os.SEEK_SET)
        except OSError as error:
            raise self._failed(error) from error

    def append(self, chunk: bytes) -> None:
        try:
            written = os.write(self.fd, chunk)
            while written < len(chunk):
                written += os.write(self.fd, memoryview(chunk)[written:])
        except OSError as error:
            raise self._failed(error) from error
        self.size += len(chunk)

    def append_from(self, fd: int, offset: int, length: int) -> None:
        """Copy a part of another file."""
        end = offset + length
        try:
            while offset < end:
                sent = os.sendfile(self.fd, fd, offset, end - offset)
                if not sent:
                    raise OSError(ENODATA, "The file that was copied is cut off")
                offset += sent
        except OSError as error:
            raise self._failed(error) from error
        self.size += length

    def publish(self, key: bytes, head: bytes) -> int:
        """Give the file its name, in place of what has it; the descriptor, which is now the caller's."""
        try:
            if os.pwrite(self.fd, head, 0) != len(head):
                raise OSError("A write fell short")
            self._places.retried(lambda: os.rename(self._path, self._places.path_of(key)))
        except OSError as error:
            raise self._failed(error) from error
        self._intake.accepted(self.size)
        fd, self.fd = self.fd, -1
        return fd

    def discard(self) -> None:
        """Forget it; nothing happens when it was published."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            try:
                os.unlink(self._path)
            except OSError:
                pass

    def _failed(self, error: OSError) -> StoreFull:
        self.discard()
        return self._intake.refused(error)
