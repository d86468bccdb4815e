"""Going through a disk store: its files, and the pages in them.

Lives here: what is there at the moment. Doesn't know: what for. Files may come and go meanwhile.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from uncork.pages.page import Page
from uncork.pages.pagefile import CorruptPage, Head, decode_head, head_length
from uncork.stores.disk import FIRST_READ
from uncork.stores.places import FAN_OUT


def pages(root: Path) -> Iterator[Page]:
    """Every page of the store, in no order; what is damaged is left out."""
    for name in FAN_OUT:
        for path, _ in files(root / name):
            try:
                head = read_head(path)
            except (CorruptPage, OSError):
                continue
            if head.page is not None:
                yield head.page


def files(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The files of one of the store's directories."""
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    yield entry.path, entry.stat(follow_symlinks=False)
                except OSError:  # it went meanwhile
                    pass
    except OSError:
        return


def read_head(path: str) -> Head:
    """The head of a file, which has the length that the head says. Raises CorruptPage, OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(fd, FIRST_READ, 0)
        if (length := head_length(data)) > len(data):
            data = os.pread(fd, length, 0)
        head = decode_head(data)
        if head.size != os.fstat(fd).st_size:
            raise CorruptPage(f"{path} is not of the length that it says")
        return head
    finally:
        os.close(fd)
