"""Where a process of a project finds the purge clock, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.django_project import make_project
from uncork.purging.table import ClockTable

ASK = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
sys.path.insert(0, {project!r})
from uncork.django.clock import clock_table, state_directory
"""

SAY = """
table = clock_table()
print(state_directory())
print(table.name.decode() if table else None)
"""


def ask(project: Path, code: str = SAY, cwd: Path | None = None, **environment: str) -> tuple[list[str], str]:
    """The lines that a process of the project prints, and what it says on standard error."""
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith(("UNCORK_", "DJANGO_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK.format(project=str(project)) + code],
        cwd=cwd or project,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def make_clock(directory: Path) -> str:
    directory.mkdir(parents=True)
    table = ClockTable(directory, slots=64)
    try:
        return table.name.decode()
    finally:
        table.close()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    place = tmp_path / "elsewhere"
    place.mkdir()
    return place


def test_it_is_beside_manage_py(tmp_path: Path, elsewhere: Path) -> None:
    project = make_project(tmp_path / "project")
    name = make_clock(project / ".uncork")
    assert ask(project, cwd=elsewhere) == ([str(project / ".uncork"), name], "")


@pytest.mark.parametrize("base", ["", "del BASE_DIR\n", "BASE_DIR = BASE_DIR / 'mysite'\n"])
def test_it_is_beside_manage_py_whatever_base_dir_is(tmp_path: Path, elsewhere: Path, base: str) -> None:
    project = make_project(tmp_path / "project", base)
    assert ask(project, cwd=elsewhere)[0] == [str(project / ".uncork"), "None"]


def test_the_environment_wins_over_the_settings_and_they_over_the_file(
    tmp_path: Path, elsewhere: Path
) -> None:
    project = make_project(tmp_path / "project", f"UNCORK = {{'state_dir': {str(elsewhere)!r}}}\n")
    (project / "uncork.toml").write_text('[server]\nstate-dir = "of-the-file"\n')
    assert ask(project)[0][0] == str(elsewhere)
    assert ask(project, UNCORK_STATE_DIR=str(tmp_path))[0][0] == str(tmp_path)


CONFIGURED = """
from uncork.django.clock import project_directory
for text in (
    '[server]\\nstate-dir = "of-the-file"\\n',
    '[server]\\nstate-dir = "/srv/state"\\n',
    "[server]\\nworkers = 2\\n",
    "server = 3\\n",
    "[server\\n",
):
    (project_directory() / "uncork.toml").write_text(text)
    print(os.path.relpath(state_directory(), project_directory()) if "srv" not in text else state_directory())
"""


def test_the_configuration_file_names_it(tmp_path: Path, elsewhere: Path) -> None:
    project = make_project(tmp_path / "project")
    expected = ["of-the-file", "/srv/state", ".uncork", ".uncork", ".uncork"]
    assert ask(project, CONFIGURED, cwd=elsewhere)[0] == expected


def test_a_directory_that_is_missing_is_said_once_and_never_made(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    lines, said = ask(project, "print(clock_table(), clock_table())")
    assert lines == ["None None"]
    assert said.count("No purge clock") == 1 and str(project / ".uncork") in said
    assert not (project / ".uncork").exists()


def test_a_clock_that_can_not_be_opened_is_said_once(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (project / ".uncork" / "purge.clock").mkdir(parents=True)
    lines, said = ask(project, "print(clock_table(), clock_table())")
    assert lines == ["None None"] and said.count("Is a directory") == 1


def test_a_directory_that_is_made_later_is_found(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    code = (
        "print(clock_table())\nos.mkdir(state_directory())\nprint(clock_table().name == clock_table().name)"
    )
    assert ask(project, code)[0] == ["None", "True"]


def test_one_that_takes_its_place_is_found_within_a_second(
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path / "project")
    (project / ".uncork").mkdir()
    code = """
import shutil, time
names = [clock_table().name]
def change():
    end = time.monotonic() + 5
    while clock_table().name == names[-1] and time.monotonic() < end:
        time.sleep(0.02)
    names.append(clock_table().name)
os.unlink(state_directory() / "purge.clock")
change()
os.rename(state_directory(), "moved")
os.mkdir(state_directory())
change()
shutil.rmtree(state_directory())
os.mkdir(state_directory())
change()
print(len(set(names)))
"""
    assert ask(project, code)[0] == ["4"]


def test_a_fork_has_the_same_clock(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (project / ".uncork").mkdir()
    code = """
table = clock_table()
pid = os.fork()
if not pid:
    os._exit(clock_table().purge([b"a"]) % 7 == 8)
os.waitpid(pid, 0)
print(clock_table().clock.stamp() - table.clock.stamp(), clock_table() is table)
"""
    assert ask(project, code)[0] == ["0 True"]
