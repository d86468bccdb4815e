"""The purge clock of this process: the one that the edge in front of the project reads.

Lives here: where a process of the project finds the state directory, whichever it is, and its one ClockTable.
Doesn't know: what is purged, and when.

The state directory is named by the environment (`uncork serve` tells its origin so), by
`settings.UNCORK["state_dir"]`, by `uncork.toml` beside manage.py, or is `.uncork` there. It is never made
here: only `uncork serve` knows that it is wanted.
"""

import logging
import os
import sys
import threading
import tomllib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from uncork.django.options import options
from uncork.pages.clock import INODE
from uncork.purging.pending import settle
from uncork.purging.table import ClockTable

STATE_DIR_VARIABLE = "UNCORK_STATE_DIR"
CONFIG_VARIABLE = "UNCORK_CONFIG"
_CONFIG_NAME = "uncork.toml"
_STATE_DIR_NAME = ".uncork"

# Seconds between two looks at whether the file is still the one that everybody has.
_REFRESH_SECONDS = 1.0

_log = logging.getLogger("uncork")
_lock = threading.Lock()
_table: ClockTable | None = None
_due = 0.0
_warned = False


def clock_table() -> ClockTable | None:
    """The purge clock, opened at the first call; None as long as there is none, with one warning.

    A directory that is made later is found by the next call: a process may run before `uncork serve` does.
    Safe in all threads, and in forks.
    """
    table = _table
    if table is not None and monotonic() < _due:
        return table
    with _lock:
        return _look()


def state_directory() -> Path:
    """Where the state directory of this project is, or would be."""
    if named := os.environ.get(STATE_DIR_VARIABLE):
        return Path(named).absolute()
    if (of_settings := options().state_dir) is not None:
        return of_settings
    place = project_directory()
    config = Path(os.environ.get(CONFIG_VARIABLE) or place / _CONFIG_NAME)
    return _configured(config) or place / _STATE_DIR_NAME


def project_directory() -> Path:
    """Where manage.py is; of a project that has none, its BASE_DIR, or where its settings are."""
    places = list(_project_directories())
    return next((place for place in places if (place / "manage.py").is_file()), places[0])


def _project_directories() -> Iterable[Path]:
    if base := getattr(settings, "BASE_DIR", None):
        yield Path(base).absolute()
    if Path(sys.argv[0]).name == "manage.py":
        yield Path(sys.argv[0]).absolute().parent
    root = str(getattr(settings, "SETTINGS_MODULE", None) or "").partition(".")[0]
    spec = find_spec(root) if root else None
    if spec is not None and spec.origin:
        place = Path(spec.origin).absolute().parent
        yield place.parent if spec.submodule_search_locations else place
    yield Path.cwd()


def _configured(config: Path) -> Path | None:
    """What a configuration file says. One that can't be read is `uncork serve`'s to complain about."""
    try:
        tree: dict[str, Any] = tomllib.loads(config.read_text())
        named = tree["server"]["state-dir"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return config.absolute().parent / named if isinstance(named, str) else None


def _look() -> ClockTable | None:
    global _table, _due
    if _table is not None:
        if monotonic() < _due:
            return _table
        if _is_still_there(_table):
            _due = monotonic() + _REFRESH_SECONDS
            return _table
        _table = None  # not closed: another thread may be using it
    place = state_directory()
    if not place.is_dir():
        _warn(f"there is no state directory {place}")
        return None
    try:
        _table = ClockTable(place)
    except OSError as error:
        _warn(f"can't open {error.filename or place}: {error.strerror}")
        return None
    _due = monotonic() + _REFRESH_SECONDS
    try:
        settle(place, _table)
    except OSError as error:
        _log.error("Stale pages may be served: what dead processes had to purge is unknown: %s", error)
    return _table


def _is_still_there(table: ClockTable) -> bool:
    """Whether the file is the one that others find at its path; a deleted one is made anew in its place."""
    try:
        table.refresh()
        return os.stat(table.path).st_ino == table.clock.words[INODE]
    except OSError:
        return False


def _warn(why: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        _log.warning(
            "No purge clock: %s. This process does not record its pages, and its writes take no page back. "
            "Start uncork serve, or name its state directory in %s or settings.UNCORK['state_dir'].",
            why,
            STATE_DIR_VARIABLE,
        )


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


def _on_setting(*, setting: str, **_: Any) -> None:
    """A test says otherwise where the state directory is."""
    global _table, _warned
    if setting == "UNCORK":
        with _lock:
            _table, _warned = None, False


os.register_at_fork(after_in_child=_after_fork)
setting_changed.connect(_on_setting)
