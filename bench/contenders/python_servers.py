"""gunicorn with WhiteNoise, and granian with its static mount: files from the application's own process.

Neither is a cache or a proxy. Both are started from the interpreter that runs the benchmark.
"""

import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.contenders.base import Contender, Missing, Setup
from bench.processes import Command
from bench.workloads import Kind, Workload

_ROOT = str(Path(__file__).resolve().parents[2])
_LACKS = {Kind.CACHED: "has no cache", Kind.PASSED: "is not a proxy"}


def _version(*distributions: str) -> str:
    told = []
    for name in distributions:
        try:
            told.append(importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            raise Missing(f"{name} is not installed: pip install -r bench/requirements.txt") from None
    return " + ".join(told)


class GunicornWhiteNoise(Contender):
    name = "whitenoise"
    title = "gunicorn + WhiteNoise"
    lacks = _LACKS

    def commands(self, setup: Setup) -> Sequence[Command]:
        argv = [sys.executable, "-m", "gunicorn", "bench.contenders.application:files()", "--chdir", _ROOT]
        argv += ["--bind", f"127.0.0.1:{setup.port}", "--workers", "1", "--worker-class", "gthread"]
        argv += ["--threads", "4", "--worker-connections", "8000", "--keep-alive", "3600"]
        argv += ["--log-level", "warning", "--worker-tmp-dir", str(setup.directory), "--no-control-socket"]
        if setup.log is not None:
            argv += ["--access-logfile", str(setup.log)]
        return [Command(argv, {"BENCH_STATIC": str(setup.site / "static")})]

    def version(self) -> str:
        return _version("gunicorn", "whitenoise")


class Granian(Contender):
    name = "granian"
    title = "granian"
    lacks = _LACKS

    def absence(self, workload: Workload) -> str | None:
        return super().absence(workload) or ("has no log of its files" if workload.log else None)

    def commands(self, setup: Setup) -> Sequence[Command]:
        argv = [sys.executable, "-m", "granian", "bench.contenders.application:plain", "--working-dir", _ROOT]
        argv += ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(setup.port), "--http", "1"]
        argv += ["--workers", "1", "--runtime-threads", "1", "--blocking-threads", "1", "--backlog", "8192"]
        argv += ["--backpressure", "8192", "--static-path-route", "/static"]
        argv += ["--static-path-mount", str(setup.site / "static")]
        return [Command([*argv, "--no-log"])]

    def version(self) -> str:
        return _version("granian")
