"""What a terminal shows of requests, where nobody asked for a log."""

import os
import pty
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.edge_client import Client
from support.uncork_process import REAL, clean_environment
from support.web_origin import WebOrigin, reply


@contextmanager
def on_a_terminal(directory: Path, *arguments: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """`uncork serve` with a terminal as its standard output: its address, and what reads a line there."""
    ours, theirs = pty.openpty()
    with (
        subprocess.Popen(
            [*REAL, "serve", "--bind", "127.0.0.1:0", "--workers", "1", *arguments],
            cwd=directory,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        open(ours, encoding="utf-8", errors="replace") as terminal,
    ):
        os.close(theirs)
        assert process.stderr is not None
        try:
            found = None
            while found is None:
                found = re.search(r"ready: (?:http://)?([^ ,]+)", process.stderr.readline())
            yield found[1], lambda: terminal.readline().rstrip("\n")
        finally:
            process.terminate()
            process.communicate(timeout=30)


def test_what_a_page_cost_and_that_it_does_no_more(tmp_path: Path, origin: WebOrigin) -> None:
    path = origin.new(reply(b"x", "Cache-Control: max-age=600"))
    private = origin.new(reply(b"x", "Cache-Control: private"))
    with on_a_terminal(tmp_path, "--origin", origin.url) as (address, line), Client(address) as client:
        client.ask(path)
        assert re.fullmatch(rf"MISS (< )?[\d.]+ ms {path}", missed := line())
        for _ in range(3):
            client.ask(path)
        assert re.fullmatch(rf"{re.escape(missed)} → HIT (< )?[\d.]+ ms", line())
        client.ask(path, method="POST")
        assert re.fullmatch(rf"PASS (< )?[\d.]+ ms POST {path} \(pass-method\)", line())
        client.ask(private)
        assert re.fullmatch(rf"PASS (< )?[\d.]+ ms {private} \(.+\)", line())
        client.ask("/nowhere")
        assert re.fullmatch(r"PASS (< )?[\d.]+ ms /nowhere 404 \(.+\)", line())


def test_another_log_takes_its_place(tmp_path: Path, origin: WebOrigin) -> None:
    path = origin.new(reply(b"x", "Cache-Control: max-age=600"))
    arguments = ("--origin", origin.url, "--access-log", "-")
    with on_a_terminal(tmp_path, *arguments) as (address, line), Client(address) as client:
        client.ask(path)
        assert f'"GET {path} HTTP/1.1" 200' in line()
