"""The listening sockets: opened once by the supervisor, shared out to generations of workers.

Lives here: what an address to bind may be, opening, sharing out, and the plain words when it fails.
Doesn't know: who accepts, and what is spoken on a connection.

A TCP address gets one SO_REUSEPORT socket for each worker, so that the kernel spreads the connections. No
socket is closed while its address is configured, not even when there are fewer workers than before: the
connections in a closed socket's queue would be reset. The sockets left over are shared out instead. The
queue of a worker that died waits in the kernel until its replacement accepts.
"""

import errno
import os
import re
import socket
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uncork.edge.setup import Kind, Listener

# A socket that clients connect to: the proxy in front is another user. As in nginx, its directory says who.
_ANYBODY = 0o666
# Connections that wait to be accepted, in one socket; the kernel lowers it to net.core.somaxconn.
BACKLOG = 4096

# What fits into sun_path, its final zero excluded. Source: unix(7)
MOST_UNIX_PATH_BYTES = 107

host_and_port = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]+)")


class BadAddress(ValueError):
    """An address to bind that can't be read. The message is for people."""


class CannotListen(Exception):
    """An address that can't be listened on: in use, not of this machine, not allowed."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """`host` is "" for every address of the machine."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


def parse_address(text: str) -> Address:
    """`HOST:PORT`, `:PORT`, `[::1]:PORT`, each with or without `http://`, or `unix:PATH`."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme == "https":
        raise BadAddress(
            f"{text!r}: https comes later; for now bind http:// behind something that speaks TLS"
        )
    if separator and scheme != "http":
        raise BadAddress(f"{text!r}: {scheme}:// is not served here; say HOST:PORT, or unix:PATH")
    if not separator and text.startswith("unix:"):
        path = os.path.abspath(text.removeprefix("unix:"))
        if text == "unix:":
            raise BadAddress(f"{text!r}: the path of the socket is missing: unix:PATH")
        if len(os.fsencode(path)) > MOST_UNIX_PATH_BYTES:
            raise BadAddress(f"{text!r}: the path of a Unix socket has at most {MOST_UNIX_PATH_BYTES} bytes")
        return UnixAddress(path)
    found = host_and_port.fullmatch((rest if separator else text).removesuffix("/"))
    if found is None:
        raise BadAddress(f"{text!r} is not an address: say HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH")
    port = int(found["port"])
    if port > 65535:
        raise BadAddress(f"{text!r}: ports go up to 65535")
    return TcpAddress(found["ipv6"] if found["ipv6"] is not None else found["host"], port)


@dataclass(slots=True)
class _Group:
    """The sockets of one bound address; for TCP as many as there ever were workers."""

    kind: Kind
    address: str
    sockets: list[socket.socket]
    sockaddr: Any = None
    inode: tuple[int, int] | None = None

    def share(self, index: int, count: int) -> list[socket.socket]:
        if self.sockaddr is None:
            return self.sockets
        return self.sockets[index::count]


class ListeningSockets:
    """All that the supervisor holds open. Every worker uses the `inherited` ones (socket activation)."""

    def __init__(self, inherited: Sequence[socket.socket] = ()) -> None:
        self._groups: dict[Address, list[_Group]] = {}
        self._inherited = [_inherited_group(sock) for sock in inherited]

    def open(self, addresses: Iterable[Address], count: int) -> None:
        """Listen on these addresses, for `count` workers; sockets that are open already stay as they are.

        All or nothing: raises CannotListen with nothing left open that wasn't before.
        """
        opened: dict[Address, list[_Group]] = {}
        try:
            for address in dict.fromkeys(addresses):
                if address not in self._groups:
                    opened[address] = _open(address)
        except CannotListen:
            _close(group for groups in opened.values() for group in groups)
            raise
        self._groups.update(opened)
        for groups in self._groups.values():
            for group in groups:
                while group.sockaddr is not None and len(group.sockets) < count:
                    group.sockets.append(_listen_tcp(group.sockaddr))

    def share(self, addresses: Iterable[Address], index: int, count: int) -> tuple[Listener, ...]:
        """What worker `index` of `count` listens on. Each socket has a worker, and each worker a socket."""
        groups = [group for address in dict.fromkeys(addresses) for group in self._groups[address]]
        return tuple(
            Listener(sock.fileno(), group.kind, group.address)
            for group in [*self._inherited, *groups]
            for sock in group.share(index, count)
        )

    def names(self) -> list[str]:
        """The addresses as bound: a port 0 is the port that the kernel gave."""
        groups = [group for groups in self._groups.values() for group in groups]
        return [group.address for group in [*self._inherited, *groups]]

    def keep_only(self, addresses: Iterable[Address]) -> None:
        """Close the sockets of every other address."""
        kept = set(addresses)
        for address in [known for known in self._groups if known not in kept]:
            _close(self._groups.pop(address))

    def close(self) -> None:
        self.keep_only(())
        _close(self._inherited)
        self._inherited.clear()


def listen_unix(path: str, mode: int) -> socket.socket:
    """A listening Unix socket at `path`; one that a dead process left there is replaced.

    `mode` are the permissions of the socket file: who may write may connect.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        _remove_dead(path)
        sock.bind(path)
        os.chmod(path, mode)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotListen(f"can't listen on unix:{path}: {_in_words(error)}") from None
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_dead(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise CannotListen(f"can't listen on unix:{path}: there is something else at this path")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:  # its queue is full, so somebody listens
            pass
    raise CannotListen(f"can't listen on unix:{path}: another process listens there already")


def _open(address: Address) -> list[_Group]:
    if isinstance(address, UnixAddress):
        sock = listen_unix(address.path, _ANYBODY)
        status = os.stat(address.path)
        return [_Group(Kind.UNIX, str(address), [sock], inode=(status.st_dev, status.st_ino))]
    groups: list[_Group] = []
    missing: OSError | None = None
    for family, sockaddr in _resolve(address):
        try:
            # With SO_REUSEPORT alone a second server of the same user would share the port unnoticed.
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                _prepare(probe, sockaddr)
                probe.bind(sockaddr[:2])
            sock = _listen_tcp((family, *sockaddr))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL and (groups or address.host == "localhost"):
                missing = error
                continue
            _close(groups)
            raise CannotListen(f"can't listen on {address}: {_in_words(error)}") from None
        bound = (family, *sock.getsockname()[:2], sockaddr[2])
        groups.append(_Group(Kind.TCP, _name(sock), [sock], sockaddr=bound))
    if not groups and missing is not None:
        raise CannotListen(f"can't listen on {address}: {_in_words(missing)}")
    return groups


def _resolve(address: TcpAddress) -> list[tuple[int, tuple[str, int, bool]]]:
    """The families and (host, port, whether IPv4 is taken too) to bind."""
    if address.host == "":
        if _has_ipv6():
            return [(socket.AF_INET6, ("::", address.port, True))]
        return [(socket.AF_INET, ("0.0.0.0", address.port, False))]
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError):
        raise CannotListen(f"can't listen on {address}: there is no host {address.host!r}") from None
    return [(family, (str(name[0]), address.port, False)) for family, _, _, _, name in found]


def _has_ipv6() -> bool:
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _prepare(sock: socket.socket, sockaddr: tuple[str, int, bool]) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if sockaddr[2] else 1)


def _tune(sock: socket.socket) -> None:
    # On Linux the accepted sockets inherit it: one system call less for each connection.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # In HTTP the client speaks first: to be woken before it has would cost a read in vain and a place in
    # epoll. Who says nothing is accepted after this time all the same. Seconds. Apache's default as well.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)


def _listen_tcp(address: tuple[int, str, int, bool]) -> socket.socket:
    family, *sockaddr = address
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        _prepare(sock, (address[1], address[2], address[3]))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _tune(sock)
        sock.bind((sockaddr[0], sockaddr[1]))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _inherited_group(sock: socket.socket) -> _Group:
    sock.setblocking(False)
    if sock.family == socket.AF_UNIX:
        return _Group(Kind.UNIX, _name(sock), [sock])
    _tune(sock)
    return _Group(Kind.TCP, _name(sock), [sock])


def _name(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(name)}"
    return str(TcpAddress(name[0], name[1]))


def _close(groups: Iterable[_Group]) -> None:
    for group in groups:
        for sock in group.sockets:
            sock.close()
        if group.inode is not None:
            path = Path(group.address.removeprefix("unix:"))
            try:
                status = path.stat()
                if (status.st_dev, status.st_ino) == group.inode:
                    path.unlink()
            except OSError:  # gone already, or no longer ours to remove
                pass


def _in_words(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "another process listens there already"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address"
        case errno.EACCES | errno.EPERM:
            return "not allowed (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
        case errno.ENOENT:
            return "there is no such directory"
    return error.strerror or str(error)
