"""What the last purges were of: for people who ask why a page was taken back.

Lives here: a file of the last purges, each in the place that its counter says. Doesn't know: who reads it.

    record n, 256 bytes, at 256 · (counter mod 4096)

    | at | bytes | |
    |  0 |  8    | counter: the purge clock's value after the purge
    |  8 |  8    | when, in microseconds since the epoch
    | 16 |  1    | 1: softly
    | 17 |  2    | length of the text
    | 19 |  …    | what was purged: tags, with spaces between, cut where the record ends

The purge clock holds, for each slot, the counter of its last purge: that finds the record. It is written
under the clock's lock, after the purge; nothing depends on it, so a failure is passed over.
"""

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import time_ns

FILE_NAME = "purge.history"
RECORDS = 4096
RECORD_BYTES = 256

_head = struct.Struct("<QQBH")
_LONGEST = RECORD_BYTES - _head.size


@dataclass(frozen=True, slots=True)
class Purge:
    """`at` is in seconds since the epoch. `whole`: `what` is all that was purged, and not cut."""

    counter: int
    at: float
    soft: bool
    what: str
    whole: bool


class History:
    """The file in a state directory; opened at the first use."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME
        self._fd = -1

    def add(self, counter: int, what: Iterable[bytes], soft: bool) -> None:
        """A purge was made."""
        text = b" ".join(what)[:_LONGEST]
        record = _head.pack(counter, time_ns() // 1000, soft, len(text)) + text
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._fd, record, counter % RECORDS * RECORD_BYTES)
        except OSError:
            pass

    def find(self, counter: int) -> Purge | None:
        """The purge that made the clock say that; None when so many were made since that it is forgotten."""
        try:
            with open(self._path, "rb") as file:
                data = os.pread(file.fileno(), RECORD_BYTES, counter % RECORDS * RECORD_BYTES)
        except OSError:
            return None
        if len(data) < _head.size:
            return None
        found, at, soft, length = _head.unpack_from(data)
        if found != counter:
            return None
        text = data[_head.size : _head.size + length]
        return Purge(counter, at / 1e6, bool(soft), text.decode(errors="replace"), length < _LONGEST)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    __del__ = close
