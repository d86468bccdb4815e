"""The state directory: what Uncork keeps on one machine for one site.

Lives here: making it, whether it is safe, its lock, and where everything in it is. Doesn't know: what the
files hold.

    .uncork/
      supervisor.lock     held by the one supervisor; its process id
      control.sock        where the supervisor answers (mode 0600)
      workers/0.sock …    where each worker takes misses from the others
      origin/1.sock …     where each generation of the origin listens
      static/             collected static files, when the site has no STATIC_ROOT of its own
      purge.clock, pages/ the purge clock and the stored responses
      pending/            what processes are about to purge
      outbox.lock         held by the process that looks after the outbox in the database
"""

import errno
import fcntl
import os
import pwd
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from uncork.edge.sockets import MOST_UNIX_PATH_BYTES, listen_unix

CONTROL_NAME = "control.sock"

T = TypeVar("T")


class StateDirError(Exception):
    """A state directory that can't be used, or that another supervisor uses. The message is for people."""


class StateDir:
    """The state directory, locked for as long as this object is open."""

    def __init__(self, path: Path, lock: int, sockets: Path, *, temporary: bool) -> None:
        self.path = path
        self._lock = lock
        self._sockets = sockets
        self._temporary = temporary

    @classmethod
    def open(cls, path: Path) -> "StateDir":
        """Make the directory where it is missing, and take its lock. Raises StateDirError."""
        make(path)
        try:
            lock = os.open(path / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StateDirError(f"can't open {error.filename}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(lock, 32, 0).decode().strip()
            os.close(lock)
            raise StateDirError(
                f"the state directory {path} is in use by another supervisor (process {holder})"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        longest = path / "workers" / "9999.sock"
        if len(os.fsencode(longest)) <= MOST_UNIX_PATH_BYTES:
            state = cls(path, lock, path, temporary=False)
        else:  # a Unix socket can't have so long a path
            state = cls(path, lock, Path(tempfile.mkdtemp(prefix="uncork-")), temporary=True)
        for name in ("workers", "origin"):
            try:
                (state._sockets / name).mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                os.close(lock)
                raise StateDirError(f"can't make {error.filename}: {error.strerror}") from None
        return state

    @property
    def static(self) -> Path:
        return self.path / "static"

    def worker_socket(self, index: int) -> str:
        return str(self._sockets / "workers" / f"{index}.sock")

    def origin_socket(self, generation: int) -> str:
        return str(self._sockets / "origin" / f"{generation}.sock")

    def listen_for_control(self) -> socket.socket:
        return at_control_socket(self.path, lambda path: listen_unix(path, 0o600))

    def close(self) -> None:
        for name in ("workers", "origin"):
            shutil.rmtree(self._sockets / name, ignore_errors=True)
        if self._temporary:
            shutil.rmtree(self._sockets, ignore_errors=True)
        (self.path / CONTROL_NAME).unlink(missing_ok=True)
        os.close(self._lock)


def look(path: Path) -> None:
    """Whether `make` would find or make a state directory there; nothing is made. Raises StateDirError."""
    if path.is_dir():
        make(path)
        return
    above = next(place for place in (path, *path.parents) if os.path.lexists(place))
    if above == path or not above.is_dir():
        error = errno.EEXIST if above == path else errno.ENOTDIR
    else:
        error = 0 if os.access(above, os.W_OK | os.X_OK) else errno.EACCES
    if error:
        raise StateDirError(f"can't make the state directory {path}: {os.strerror(error)}")


def make(path: Path) -> None:
    """Make a state directory, only for its owner: it holds pages that not everyone may read. One that is
    there must be safe. Raises StateDirError."""
    try:
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True)
            # It lies beside manage.py, and is nothing to commit.
            (path / ".gitignore").write_text("*\n")
    except OSError as error:
        raise StateDirError(f"can't make the state directory {path}: {error.strerror}") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise StateDirError(f"can't write to the state directory {path}")
    if (weak := weakness(path, path.stat(), os.geteuid())) is not None:
        raise StateDirError(f"the state directory {path} is not safe: {weak}")


def weakness(path: Path, status: os.stat_result, us: int) -> str | None:
    """How another user than us and root could write into a directory, and what helps; None when none could.

    A group may where the directory is root's and we are not: that is how the volumes of containers are
    given to who runs in them.
    """
    if status.st_uid not in (us, 0):
        return (
            f"the user {_name(status.st_uid)} owns it, and so could change what is served; run as that user, "
            f"or chown -R {_name(us)} {path}"
        )
    if status.st_mode & stat.S_IWOTH:
        who = "everybody"
    elif status.st_mode & stat.S_IWGRP and status.st_uid == us:
        who = "its group"
    else:
        return None
    return f"{who} may write to it, and so change what is served; chmod go-w {path}"


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def connect_to_control(path: Path) -> socket.socket:
    """A connection to the supervisor of that state directory. Raises StateDirError when none runs."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        at_control_socket(path, sock.connect)
    except PermissionError:
        sock.close()
        raise StateDirError(f"the control socket in {path} is another user's") from None
    except OSError:
        sock.close()
        raise StateDirError(f"no supervisor runs in {path}") from None
    return sock


def at_control_socket(directory: Path, use: Callable[[str], T]) -> T:
    """`use(path)` with a path of the control socket that is short enough however long the directory's is."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return use(f"/proc/self/fd/{fd}/{CONTROL_NAME}")
    finally:
        os.close(fd)
