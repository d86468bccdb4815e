"""What systemd and a service say to each other: inherited sockets and notifications.

Lives here: the two protocols, by hand. Doesn't know: when the service is ready, or who accepts.
Source: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)
"""

import os
import socket
import time
from collections.abc import Mapping

FIRST_FD = 3

# A child that found these would take sockets, or speak, in its parent's name.
VARIABLES = (
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
)


class BadActivation(ValueError):
    """A socket was inherited that can't be used. The message is for people."""


def inherited_sockets(environment: Mapping[str, str] = os.environ) -> list[socket.socket]:
    """The listening sockets that this process was started with; none when it wasn't by socket activation."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    sockets = []
    for fd in range(FIRST_FD, FIRST_FD + int(environment.get("LISTEN_FDS", "0"))):
        os.set_inheritable(fd, False)
        try:
            sock = socket.socket(fileno=fd)
        except OSError:
            raise BadActivation(f"the inherited descriptor {fd} is not a socket") from None
        if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise BadActivation(f"the inherited descriptor {fd} is not a listening stream socket (Accept=no)")
        sockets.append(sock)
    return sockets


class Notifier:
    """Tells the service manager how it goes; without one, every call does nothing."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # the abstract namespace
            self._address = "\0" + self._address[1:]
        interval = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        # Half of what is allowed, in seconds, as sd_watchdog_enabled(3) advises; None when none is asked for.
        self.watchdog_seconds = int(interval) / 2e6 if interval.isdigit() and int(interval) and ours else None

    def ready(self, status: str) -> None:
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloading")

    def stopping(self) -> None:
        self._send("STOPPING=1", "STATUS=finishing open requests")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            try:
                sock.sendto("\n".join(lines).encode(), self._address)
            except OSError:  # a service manager that doesn't listen is no reason to stop serving
                pass
