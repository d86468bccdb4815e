"""Addresses to bind, and the sockets that come of them."""

import os
import select
import socket
from pathlib import Path

import pytest

from uncork.edge.setup import Kind
from uncork.edge.sockets import (
    BadAddress,
    CannotListen,
    ListeningSockets,
    TcpAddress,
    UnixAddress,
    listen_unix,
    parse_address,
)

LOCAL = TcpAddress("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", TcpAddress("127.0.0.1", 8000)),
        ("http://127.0.0.1:8000", TcpAddress("127.0.0.1", 8000)),
        ("http://127.0.0.1:8000/", TcpAddress("127.0.0.1", 8000)),
        (":80", TcpAddress("", 80)),
        ("[::1]:80", TcpAddress("::1", 80)),
        ("localhost:0", TcpAddress("localhost", 0)),
        ("unix:/run/u.sock", UnixAddress("/run/u.sock")),
    ],
)
def test_addresses(text: str, address: object) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://:443", "comes later"),
        ("ftp://h:1", "not served"),
        ("8000", "HOST:PORT"),
        ("h", "HOST:PORT"),
        ("::1:80", "HOST:PORT"),
        ("h:65536", "65535"),
        ("unix:", "missing"),
        ("unix:/" + "a" * 107, "107 bytes"),
    ],
)
def test_what_is_no_address(text: str, said: str) -> None:
    with pytest.raises(BadAddress, match=said):
        parse_address(text)


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def test_one_socket_for_each_worker_on_one_port() -> None:
    sockets = ListeningSockets()
    sockets.open([LOCAL], 3)
    try:
        shares = [sockets.share([LOCAL], index, 3) for index in range(3)]
        assert [len(share) for share in shares] == [1, 1, 1]
        assert len({listener.fd for share in shares for listener in share}) == 3
        assert {listener.address for share in shares for listener in share} == set(sockets.names())
        for (listener,) in shares:
            assert listener.kind is Kind.TCP
            assert not os.get_blocking(listener.fd)
        accepted = 0
        clients = [connect(sockets.names()[0]) for _ in range(30)]
        for client in clients:
            client.sendall(b"G")
        for (listener,) in shares:
            with socket.socket(fileno=os.dup(listener.fd)) as sock:
                while True:
                    try:
                        connection, _ = sock.accept()
                    except BlockingIOError:
                        break
                    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                    connection.close()
                    accepted += 1
        assert accepted == len(clients)
        for client in clients:
            client.close()
    finally:
        sockets.close()


def test_who_connects_and_says_nothing_is_accepted_a_little_later() -> None:
    sockets = ListeningSockets()
    sockets.open([LOCAL], 1)
    try:
        [listener] = sockets.share([LOCAL], 0, 1)
        with connect(sockets.names()[0]), socket.socket(fileno=os.dup(listener.fd)) as sock:
            assert select.select([sock], [], [], 20)[0]
            sock.accept()[0].close()
    finally:
        sockets.close()


def test_fewer_and_more_workers_leave_no_socket_without_one() -> None:
    sockets = ListeningSockets()
    try:
        sockets.open([LOCAL], 2)
        before = {fd for index in range(2) for fd in [sockets.share([LOCAL], index, 2)[0].fd]}
        sockets.open([LOCAL], 5)
        five = [listener.fd for index in range(5) for listener in sockets.share([LOCAL], index, 5)]
        assert len(set(five)) == 5 and before < set(five)
        sockets.open([LOCAL], 2)
        two = [[listener.fd for listener in sockets.share([LOCAL], index, 2)] for index in range(2)]
        assert [len(share) for share in two] == [3, 2]
        assert {*two[0], *two[1]} == set(five)
    finally:
        sockets.close()


def test_a_port_of_another_process_is_refused_even_one_that_would_share() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        sockets = ListeningSockets()
        with pytest.raises(CannotListen, match=rf"127.0.0.1:{port}: another process"):
            sockets.open([LOCAL, TcpAddress("127.0.0.1", port)], 1)
        assert sockets.names() == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (TcpAddress("192.0.2.1", 0), "no such address"),
        (TcpAddress("host.invalid", 0), "no host 'host.invalid'"),
        (UnixAddress("/nonexistent/u.sock"), "no such directory"),
    ],
)
def test_what_can_not_be_listened_on(address: TcpAddress | UnixAddress, said: str) -> None:
    with pytest.raises(CannotListen, match=said):
        ListeningSockets().open([address], 1)


def test_a_unix_socket_is_shared_and_removed_at_the_end(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "u.sock"))
    sockets = ListeningSockets()
    sockets.open([address], 2)
    assert sockets.share([address], 0, 2) == sockets.share([address], 1, 2)
    assert os.stat(address.path).st_mode & 0o777 == 0o666  # the proxy in front is another user
    sockets.close()
    assert not os.path.exists(address.path)


def test_a_dead_unix_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "u.sock")
    listen_unix(path, 0o600).close()
    assert os.path.exists(path)
    with listen_unix(path, 0o600):
        assert os.stat(path).st_mode & 0o777 == 0o600
        with pytest.raises(CannotListen, match="another process"):
            listen_unix(path, 0o600)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(CannotListen, match="something else"):
        listen_unix(str(tmp_path / "file"), 0o600)
    assert (tmp_path / "file").read_text() == "precious"


def test_keep_only() -> None:
    other = TcpAddress("localhost", 0)
    sockets = ListeningSockets()
    sockets.open([LOCAL, other], 1)
    kept = sockets.share([LOCAL], 0, 1)
    sockets.keep_only([LOCAL])
    try:
        assert sockets.names() == [kept[0].address]
        os.fstat(kept[0].fd)
    finally:
        sockets.close()


def test_inherited_sockets_are_used_by_every_worker() -> None:
    inherited = socket.create_server(("127.0.0.1", 0))
    sockets = ListeningSockets([inherited])
    assert sockets.share([], 0, 2) == sockets.share([], 1, 2)
    assert not inherited.getblocking()
    sockets.close()
