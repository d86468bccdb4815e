"""The control socket: how another process of the same user asks the supervisor, and is answered.

Lives here: one JSON object a line each way, both ends, and the sum of the workers' counters.
Doesn't know: what a supervisor is made of.

    → {"command": "status"}                     ← {"ok": true, "status": {…}}
    → {"command": "marks", "keys": ["KEY", …]}  ← {"ok": true, "marks": [{"KEY": {…}}, …]}
    → anything else                             ← {"ok": false, "error": "…"}
"""

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from uncork.edge.statedir import StateDirError, connect_to_control
from uncork.pages.keys import KEY_SIZE

# A command is one short line; a reply waits for the slowest worker.
MOST_COMMAND_BYTES = 65536
ASK_SECONDS = 10.0
REPLY_SECONDS = 10.0

Reply = dict[str, Any]


class ControlServer:
    """Answers on a listening socket, which it takes over."""

    def __init__(self, sock: socket.socket, commands: dict[str, Callable[[Reply], Awaitable[Reply]]]) -> None:
        self._sock = sock
        self._commands = commands
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, sock=self._sock, limit=MOST_COMMAND_BYTES)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        else:
            self._sock.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await asyncio.wait_for(reader.readline(), ASK_SECONDS):
                reply = await self._answer(line)
                writer.write(json.dumps(reply, separators=(",", ":")).encode() + b"\n")
                await writer.drain()
        except (OSError, TimeoutError, ValueError):  # gone, silent, or a line without end
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Reply:
        try:
            asked = json.loads(line)
            command = self._commands[asked["command"]]
        except (ValueError, TypeError, KeyError):
            return {"ok": False, "error": f"say one of {', '.join(sorted(self._commands))}"}
        return {"ok": True, **await command(asked)}


def is_key(value: object) -> bool:
    """Whether it is a key of the store, in hexadecimal."""
    return isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{2 * KEY_SIZE}}}", value) is not None


def ask_supervisor(state_dir: Path, command: str, **more: Any) -> Reply:
    """The reply of the supervisor that runs in that state directory. Raises StateDirError for none."""
    with connect_to_control(state_dir) as sock:
        sock.settimeout(REPLY_SECONDS)
        try:
            sock.sendall(json.dumps({"command": command, **more}).encode() + b"\n")
            line = sock.makefile("rb").readline()
        except OSError as error:
            raise StateDirError(f"the supervisor in {state_dir} doesn't answer: {error}") from None
    if not line:
        raise StateDirError(f"the supervisor in {state_dir} hung up")
    reply = json.loads(line)
    assert isinstance(reply, dict)
    if not reply["ok"]:
        raise StateDirError(f"the supervisor in {state_dir} answers: {reply['error']}")
    return reply


def total(snapshots: Iterable[dict[str, Any] | None]) -> dict[str, Any]:
    """The numbers of all snapshots added up, name by name, inner objects likewise; the rest is left out."""
    summed: dict[str, Any] = {}
    for snapshot in snapshots:
        for name, value in (snapshot or {}).items():
            if isinstance(value, dict):
                known = summed.get(name)
                summed[name] = total([known if isinstance(known, dict) else None, value])
            elif isinstance(value, int | float) and not isinstance(value, bool):
                known = summed.get(name, 0)
                summed[name] = known + value if isinstance(known, int | float) else value
    return summed
