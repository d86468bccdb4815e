"""What every contender says of itself, and what it is given to start with.

Lives here: the interface between the runner and the contenders. Doesn't know: any of them.
"""

import os
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from bench.processes import Command
from bench.workloads import Kind, Workload

# Where Debian puts daemons; not on everyone's PATH.
_SEARCH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin"


class Missing(Exception):
    """A program is not installed; the message says where to have it from."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a contender is started with."""

    directory: Path
    """Its own, empty, readable and passable by everyone: configuration, cache, sockets."""
    site: Path
    """The root of the static files: the URL path `/static/…` is the file `site/static/…`."""
    port: int
    """To listen on, at 127.0.0.1."""
    origin: int
    """The port of the origin at 127.0.0.1."""
    log: Path | None
    """Where the access log goes, in the combined format; None for no access log."""


class Contender(ABC):
    name: str
    """As `--only` takes it."""
    title: str
    own_program: bool = True
    """False for a second configuration of a program that is listed already."""
    lacks: Mapping[Kind, str] = MappingProxyType({})
    """Why it takes no part in a kind of workload."""

    def absence(self, workload: Workload) -> str | None:
        """Why it takes no part in `workload`; None if it does."""
        return self.lacks.get(workload.kind)

    @abstractmethod
    def commands(self, setup: Setup) -> Sequence[Command]:
        """Write the configuration, and say what to start. Raises `Missing`."""

    @abstractmethod
    def version(self) -> str:
        """As the program itself tells it. Raises `Missing`."""


def program(name: str, package: str) -> str:
    """The path of an executable. Raises `Missing` with the package that holds it."""
    path = shutil.which(name, path=_SEARCH)
    if path is None:
        raise Missing(f"{name} is not installed: {package}")
    return path


def told_version(argv: Sequence[str], pattern: str) -> str:
    """What `argv` prints of its version: the first group of `pattern`, or "unknown"."""
    told = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    found = re.search(pattern, told.stdout + told.stderr)
    return found.group(1) if found else "unknown"


def as_root() -> bool:
    return os.geteuid() == 0
