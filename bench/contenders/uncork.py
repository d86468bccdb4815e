"""Uncork with everything on, as its users start it: files, cache, purge clock, supervisor and worker."""

import sys
from collections.abc import Sequence

import uncork
from bench.contenders.base import Contender, Setup
from bench.processes import Command


class Uncork(Contender):
    name = "uncork"
    title = "Uncork"

    def commands(self, setup: Setup) -> Sequence[Command]:
        argv = [sys.executable, "-m", "uncork", "serve", "--bind", f"127.0.0.1:{setup.port}"]
        argv += ["--workers", "1", "--origin", f"http://127.0.0.1:{setup.origin}"]
        argv += ["--static", f"/static/={setup.site / 'static'}"]
        argv += ["--state-dir", str(setup.directory / "state")]
        argv += ["--access-log", "off" if setup.log is None else str(setup.log)]
        return [Command(argv)]

    def version(self) -> str:
        return uncork.__version__
