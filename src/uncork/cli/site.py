"""The Django project that is served: where it is, and what it says of itself.

Lives here: finding manage.py, and asking the project in a process of its own.
Doesn't know: Django, which is imported in that process only, and what is done with the answers.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from uncork.edge.plan import BadConfiguration

# Seconds: importing a large project; collecting some ten thousand files.
DESCRIBE_SECONDS = 60.0
COLLECT_SECONDS = 180.0

SETTINGS_VARIABLE = "DJANGO_SETTINGS_MODULE"
STATE_DIR_VARIABLE = "UNCORK_STATE_DIR"

# os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings"), or os.environ["…"] = "…"
settings_in_manage_py = re.compile(rf"""{SETTINGS_VARIABLE}["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']""")


@dataclass(frozen=True, slots=True)
class Project:
    """`directory` is where manage.py is, or the working directory where there is none."""

    directory: Path
    settings: str | None


@dataclass(frozen=True, slots=True)
class Site:
    """What the project says of itself: see `uncork.django.describe`."""

    application: str
    asgi: bool
    django: bool
    records: bool = False
    debug: bool = False
    hosts: tuple[str, ...] = ()
    static_url: str | None = None
    static_root: str | None = None
    finders: bool = False
    manifest: bool = False
    media_url: str | None = None
    media_root: str | None = None

    @property
    def host(self) -> str:
        """A host name that the site answers to."""
        names = [host.lstrip(".") for host in self.hosts if host.strip(".*")]
        return names[0] if names else "localhost"


def find_project(directory: Path, environment: Mapping[str, str] = os.environ) -> Project:
    """The project whose manage.py is in the directory or the one above."""
    for place in (directory, directory.parent):
        manage = place / "manage.py"
        if manage.is_file():
            found = settings_in_manage_py.search(manage.read_text(errors="replace"))
            return Project(place, environment.get(SETTINGS_VARIABLE) or (found[1] if found else None))
    return Project(directory, environment.get(SETTINGS_VARIABLE))


def describe(project: Project, application: str | None) -> Site:
    """Ask the project. Raises BadConfiguration with what it says when it can't be imported."""
    if application is None and project.settings is None:
        raise BadConfiguration(
            "what is to be served? There is no manage.py in this directory or the one above that names the"
            " settings.\nSay an application (uncork serve mysite.wsgi:application), --origin or --origin-cmd:"
            " see uncork serve --help"
        )
    arguments = [application] if application is not None else []
    found = _ask(project, "uncork.django.describe", arguments, DESCRIBE_SECONDS)
    return Site(**{**found, "hosts": tuple(found.get("hosts", ()))})


def state_dir_of_settings(project: Project) -> Path | None:
    """What `settings.UNCORK` says of the state directory; None where it says nothing, or can't be asked: that
    is complained about where more of the project is needed."""
    if project.settings is None:
        return None
    try:
        found = _ask(project, "uncork.django.statedir", [], DESCRIBE_SECONDS)["state_dir"]
    except BadConfiguration:
        return None
    return None if found is None else Path(found)


def collect(project: Project, directory: Path) -> None:
    """Collect the project's static files into the directory. Raises BadConfiguration."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _ask(project, "uncork.django.collect", [str(directory)], COLLECT_SECONDS)
    except BadConfiguration as problem:
        raise BadConfiguration(f"collecting the static files: {problem}") from None
    except OSError as error:
        raise BadConfiguration(f"can't make {error.filename}: {error.strerror}") from None


def what_if_of(project: Project, state_dir: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """What a change of a row would purge: see `uncork.django.whatif`. Raises BadConfiguration."""
    if project.settings is None:
        raise BadConfiguration(
            "whose row? There is no manage.py in this directory or the one above that names the settings"
        )
    # The clock of this very directory has to be there: else nobody looks at rows.
    environment = {STATE_DIR_VARIABLE: str(state_dir.absolute())}
    return _ask(project, "uncork.django.whatif", arguments, DESCRIBE_SECONDS, environment)


def environment_of(project: Project) -> dict[str, str]:
    """What the project's processes find in their environment beside ours."""
    return {SETTINGS_VARIABLE: project.settings} if project.settings is not None else {}


def _ask(
    project: Project,
    module: str,
    arguments: Sequence[str],
    seconds: float,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe:
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, *arguments],
                cwd=project.directory,
                env={
                    **os.environ,
                    **environment_of(project),
                    **environment,
                    "UNCORK_ANSWER_FD": str(writing),
                },
                pass_fds=[writing],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        finally:
            os.close(writing)
        with process:
            try:
                _, said = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                raise BadConfiguration(f"the project took more than {seconds:g} s to be imported") from None
            answered = pipe.read() if process.returncode == 0 else b""
    if not answered:
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        raise BadConfiguration(
            f"the project can't be imported: {''.join(last) or f'status {process.returncode}'}"
        )
    reply = json.loads(answered)
    assert isinstance(reply, dict)
    if "error" in reply:
        raise BadConfiguration(str(reply["error"]))
    return reply
