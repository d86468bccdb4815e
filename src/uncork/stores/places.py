"""The directories of a disk store, and who is using them.

Lives here: where files stand, the directory of each process for what it is writing, and the remains of
processes that died.
Doesn't know: what is in the files.

    ROOT/ab/cdef…          the file at the key whose hexadecimal form is abcdef…
    ROOT/tmp/lock          held while somebody begins to use the store
    ROOT/tmp/PID-TIME/     one for each process: what it is writing, and a lock that ends with the process
"""

import fcntl
import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from time import time_ns
from typing import TypeVar

T = TypeVar("T")

TEMPORARY = "tmp"
FAN_OUT = tuple(f"{number:02x}" for number in range(256))
"""The directories that hold pages: of 600,000, each has 2,300."""


class Places:
    """The places under `root`, made when they aren't there. Raises OSError when they can't be.

    Takes the same time however many pages there are.
    """

    def __init__(self, root: Path) -> None:
        self.prefix = os.path.join(os.path.abspath(root), "")
        self._serial = count()
        self._home = f"{self.prefix}{TEMPORARY}/{os.getpid()}-{time_ns()}"
        self._lock = -1
        self._make()

    def path_of(self, key: bytes) -> str:
        """The file at this key, whether it is there or not."""
        name = key.hex()
        return f"{self.prefix}{name[:2]}/{name[2:]}"

    def temporary_path(self) -> str:
        """A new name, on the file system of the pages."""
        return f"{self._home}/{os.getpid()}-{next(self._serial)}"

    def retried(self, action: Callable[[], T]) -> T:
        """Run it, once more when somebody has removed the directories meanwhile."""
        try:
            return action()
        except FileNotFoundError:
            self._make()
            return action()

    def close(self) -> None:
        shutil.rmtree(self._home, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _make(self) -> None:
        for name in FAN_OUT:
            os.makedirs(self.prefix + name, mode=0o700, exist_ok=True)
        os.makedirs(self.prefix + TEMPORARY, mode=0o700, exist_ok=True)
        # Nobody begins while another one looks for what is left of the dead.
        beginning = os.open(f"{self.prefix}{TEMPORARY}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(beginning, fcntl.LOCK_EX)
            self._remove_homes_of_the_dead()
            os.makedirs(self._home, mode=0o700, exist_ok=True)
            if self._lock < 0 or not os.fstat(self._lock).st_nlink:
                lock = os.open(f"{self._home}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                if self._lock >= 0:
                    os.close(self._lock)
                self._lock = lock
                fcntl.flock(lock, fcntl.LOCK_EX)
        finally:
            os.close(beginning)

    def _remove_homes_of_the_dead(self) -> None:
        with os.scandir(self.prefix + TEMPORARY) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False) or entry.path == self._home:
                    continue
                try:
                    lock = os.open(f"{entry.path}/lock", os.O_RDWR | os.O_CLOEXEC)
                except OSError:
                    shutil.rmtree(entry.path, ignore_errors=True)
                    continue
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(entry.path, ignore_errors=True)
                except BlockingIOError:  # its process lives
                    pass
                finally:
                    os.close(lock)
