"""The program from outside: what it prints, and what it exits with."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from support.django_project import make_project
from support.uncork_process import Uncork, run_uncork
from uncork.pages.clock import Verdict
from uncork.pages.tags import tag_slot, url_tags
from uncork.purging.table import ClockTable

ORIGIN = ("--origin", "http://127.0.0.1:1")


def refused(found: object) -> str:
    """What a command said that refused its input: in lines that begin with its name, and status 2."""
    assert found.returncode == 2, found  # type: ignore[attr-defined]
    said: str = found.stderr  # type: ignore[attr-defined]
    assert said and all(line.startswith("uncork: ") for line in said.splitlines()), said
    return said


# Bad input: one clear message and status 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve"], "There is no manage.py in this directory"),
        (
            ["serve", "mysite/wsgi.py"],
            "uncork: APP: 'mysite/wsgi.py' is not MODULE:NAME, like 'mysite.wsgi:app",
        ),
        (["serve", "mysite.wsgi:"], "uncork: APP: 'mysite.wsgi:' is not MODULE:NAME"),
        (
            ["serve", "mysite.wsgi"],
            "there is no module 'mysite' for the application 'mysite.wsgi:application'",
        ),
        (["serve", "mysite.wsgi:application"], "there is no module 'mysite' for the application"),
        (["serve", *ORIGIN, "--bind", "https://:443"], "--bind: 'https://:443': https comes later"),
        (["serve", *ORIGIN, "--bind", "8000"], "--bind: '8000' is not an address"),
        (["serve", *ORIGIN, "--static", "/s/=missing"], "the files of /s/: No such file or directory"),
        (["serve", *ORIGIN, "--workers", "none"], "--workers: 'none' is not a whole number"),
        (["serve", *ORIGIN, "--wrokers", "2"], "--workers"),
        (["serve", *ORIGIN, "--config", "missing.toml"], "there is no file missing.toml"),
        (["serve", *ORIGIN, "--state-dir", "/proc/uncork"], "can't make the state directory /proc/uncork"),
        (
            ["serve", *ORIGIN, "--state-dir", "/dev/null"],
            "can't make the state directory /dev/null: File exists",
        ),
        (
            ["serve", *ORIGIN, "--state-dir", "/dev/null/a"],
            "the state directory /dev/null/a: Not a directory",
        ),
        (["serve", *ORIGIN, "--check", "--state-dir", "/dev/null"], "state directory /dev/null: File exists"),
        (
            ["serve", *ORIGIN, "--check", "--state-dir", "/dev/null/a"],
            "directory /dev/null/a: Not a directory",
        ),
        (["serve", *ORIGIN, "--access-log", "no/a.log"], "no/a.log: No such file or directory"),
        (["serve", *ORIGIN, "--access-log", "."], "can't write the access log"),
        (["serve", *ORIGIN, "--access-log", "/dev/null/a"], "the access log /dev/null/a: Not a directory"),
        (["serve", *ORIGIN, "--access-log", "no/a.log", "--check"], "no/a.log: No such file or directory"),
        (
            ["serve", *ORIGIN, "--internal-files", "/p/=missing"],
            "the files of /p/: No such file or directory",
        ),
        (["static", ".", "--access-log", "no/a.log"], "no/a.log: No such file or directory"),
        (["serve", "--origin", "https://h"], "origins over TLS are not supported yet"),
        (["serve", "--origin-cmd", "no-such-command {socket}"], "there is no command 'no-such-command'"),
        (["static", "missing"], "the files of /: No such file or directory"),
        (["static"], "Missing argument 'DIR'"),
        (["purge"], "say what to purge"),
        (["purge", "--all"], "there is no state directory"),
        (["purge", "--url", "/a"], "Expected a whole URL"),
        (["purge", "--prefix", "http://h/?q"], "A prefix has no query"),
        (["purge", "--url", "http://h/a/*"], "for everything below, say --prefix http://h/a/\n"),
        (["purge", "--prefix", "http://h/a/*"], "for everything below, say --prefix http://h/a/\n"),
        (["purge", "--url", "http://h/a*?q"], "for everything below, say --prefix http://h/a\n"),
        (["status"], "there is no state directory"),
        (["status", "--state-dir", "."], "no supervisor runs in"),
        (["serv"], "No such command 'serv'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in refused(run_uncork(*arguments, cwd=tmp_path))


def test_a_wrong_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "uncork.toml").write_text("[server]\nworkers = 2\n[cash]\n")
    assert refused(run_uncork("serve", *ORIGIN, cwd=tmp_path)) == (
        f"uncork: {tmp_path}/uncork.toml, line 3: there is no table 'cash'; did you mean 'cache'?\n"
    )


def test_the_version(tmp_path: Path) -> None:
    assert run_uncork("--version", cwd=tmp_path).stdout.startswith("uncork 0.")


def test_without_a_command_it_tells_its_help(tmp_path: Path) -> None:
    found = run_uncork(cwd=tmp_path)
    assert found.returncode == 2 and found.stdout == ""
    assert found.stderr == run_uncork("--help", cwd=tmp_path).stdout
    assert found.stderr.startswith("Usage: uncork ")


# --check


def test_check_warns(tmp_path: Path) -> None:
    make_project(tmp_path, "ALLOWED_HOSTS = []\n")
    found = run_uncork("serve", "--check", "--bind", "127.0.0.1:0", cwd=tmp_path)
    assert found.returncode == 0
    assert found.stderr.startswith("uncork: warning: ALLOWED_HOSTS is empty")


def test_check_changes_nothing(tmp_path: Path) -> None:
    arguments = ("--bind", f"unix:{tmp_path}/u.sock", "--access-log", "a.log")
    assert run_uncork("serve", *ORIGIN, "--check", *arguments, cwd=tmp_path).returncode == 0
    nested = tmp_path / "a" / "b"
    found = run_uncork("serve", *ORIGIN, "--check", *arguments, "--state-dir", str(nested), cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert os.listdir(tmp_path) == []


def test_check_finds_everything_in_order(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    found = run_uncork("serve", "--check", "--bind", "127.0.0.1:0", cwd=project)
    assert found.returncode == 0, found.stderr
    assert found.stderr.endswith("uncork: everything is in order\n")
    assert not (project / ".uncork" / "static").exists()


def test_check_finds_what_is_wrong(tmp_path: Path) -> None:
    make_project(tmp_path)
    assert "no module 'mysite.wsgy'" in refused(
        run_uncork("serve", "mysite.wsgy:application", "--check", cwd=tmp_path)
    )
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        assert f"can't listen on {address}" in refused(
            run_uncork("serve", "--check", "--bind", address, cwd=tmp_path)
        )


def test_check_beside_a_running_supervisor(tmp_path: Path) -> None:
    with Uncork("serve", *ORIGIN, "--bind", "127.0.0.1:0", cwd=tmp_path) as uncork:
        found = run_uncork("serve", *ORIGIN, "--check", "--bind", uncork.address, cwd=tmp_path)
        assert found.returncode == 0, found.stderr


# purge


def verdicts(state_dir: Path, stamp: int, *tags: bytes) -> list[Verdict]:
    table = ClockTable(state_dir)
    try:
        slots = table.clock.slots
        return [table.clock.verdict(stamp, (0, tag_slot(tag, slots))) for tag in tags]
    finally:
        table.close()


def stamp_of(state_dir: Path) -> int:
    table = ClockTable(state_dir)
    try:
        return table.clock.stamp()
    finally:
        table.close()


def occupied(tmp_path: Path, name: str) -> str:
    """A state directory in which there is something else by the name of what is to be made there."""
    state_dir = tmp_path / ".uncork"
    state_dir.mkdir()
    if name == "supervisor.lock":
        (state_dir / name).mkdir()
    else:
        (state_dir / name).touch()
    return str(state_dir / name)


@pytest.mark.parametrize("name", ["supervisor.lock", "workers", "origin"])
def test_a_state_directory_that_is_no_such_thing(tmp_path: Path, name: str) -> None:
    place = occupied(tmp_path, name)
    assert place in refused(run_uncork("serve", *ORIGIN, "--bind", "127.0.0.1:0", cwd=tmp_path))


def test_no_place_for_static_files(tmp_path: Path) -> None:
    place = occupied(make_project(tmp_path), "static")
    said = refused(run_uncork("serve", "--bind", "127.0.0.1:0", cwd=tmp_path))
    assert f"can't make {place}: File exists" in said


def test_what_a_worker_can_not_use_is_said_in_a_line(tmp_path: Path) -> None:
    place = occupied(tmp_path, "pages")
    found = run_uncork("serve", *ORIGIN, "--bind", "127.0.0.1:0", "--workers", "1", cwd=tmp_path)
    assert found.returncode == 2
    assert f"worker 0: can't start: [Errno 20] Not a directory: '{place}" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("soft", [False, True])
def test_purge_works_without_a_supervisor(tmp_path: Path, soft: bool) -> None:
    state_dir = tmp_path / ".uncork"
    state_dir.mkdir()
    before = stamp_of(state_dir)
    page, other = url_tags(b"h", b"/a/b", None), url_tags(b"h", b"/c", None)
    arguments = ["--url", "http://h/a/b", "--prefix", "https://h/d/", "--tag", "t1", "--tag", "t2"]
    found = run_uncork("purge", *arguments, *(["--soft"] if soft else []), cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    how = "purged softly" if soft else "purged"
    assert found.stdout.splitlines() == [
        f"{how}: url http://h/a/b",
        f"{how}: prefix https://h/d/",
        f"{how}: tag t1",
        f"{how}: tag t2",
    ]
    bad = Verdict.SOFT if soft else Verdict.PURGED
    assert verdicts(state_dir, before, page[0], b"prefix:h/d/", b"t1", b"t2") == [bad] * 4
    assert verdicts(state_dir, before, other[0], b"t3") == [Verdict.VALID] * 2


def test_purge_everything(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    before = stamp_of(state_dir)
    found = run_uncork("purge", "--all", cwd=tmp_path, UNCORK_STATE_DIR=str(state_dir))
    assert found.stdout == "purged: everything\n"
    assert verdicts(state_dir, before, b"any") == [Verdict.PURGED]


def test_purge_finds_the_state_directory_as_serve_does(tmp_path: Path) -> None:
    (tmp_path / "uncork.toml").write_text('[server]\nstate-dir = "elsewhere"\n')
    assert "there is no state directory" in refused(run_uncork("purge", "--all", cwd=tmp_path))
    (tmp_path / "elsewhere").mkdir()
    assert run_uncork("purge", "--all", cwd=tmp_path).returncode == 0
    assert (tmp_path / "elsewhere" / "purge.clock").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server\n", "not TOML"),
        ("[serve]\nworkers = 1\n", "there is no table 'serve'; did you mean 'server'?"),
        ("[server]\nstate-dir = 5\n", "5 is not a text"),
    ],
)
def test_a_broken_file_does_not_stop_a_purge(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "uncork.toml").write_text(text)
    (tmp_path / ".uncork").mkdir()
    assert said in refused(run_uncork("purge", "--all", cwd=tmp_path))  # nobody served from there
    before = stamp_of(tmp_path / ".uncork")
    found = run_uncork("purge", "--all", cwd=tmp_path)
    assert found.returncode == 0 and found.stdout == "purged: everything\n"
    first, *_, last = found.stderr.splitlines()
    assert first.startswith("uncork: warning: ") and said in first
    assert last == f"uncork: warning: going on with the state directory {tmp_path}/.uncork"
    assert verdicts(tmp_path / ".uncork", before, b"any") == [Verdict.PURGED]
    assert said in refused(run_uncork("serve", *ORIGIN, "--check", cwd=tmp_path))


def test_a_broken_file_does_not_change_where_is_purged(tmp_path: Path) -> None:
    for name in (".uncork", "named", "other"):
        (tmp_path / name).mkdir()
        stamp_of(tmp_path / name)
    (tmp_path / "uncork.toml").write_text("[server]\nstate-dir = 'named'\nworkers = 'many'\n")
    assert f"{tmp_path}/named" in run_uncork("purge", "--all", cwd=tmp_path).stderr
    found = run_uncork("purge", "--all", "--state-dir", "other", cwd=tmp_path)
    assert found.returncode == 0 and f"{tmp_path}/other" in found.stderr
    assert "'' is not a text" in refused(run_uncork("purge", "--all", "--state-dir", "", cwd=tmp_path))


def test_a_broken_file_does_not_stop_a_look(tmp_path: Path) -> None:
    with Uncork("serve", *ORIGIN, "--bind", "127.0.0.1:0", "--workers", "1", cwd=tmp_path) as uncork:
        (tmp_path / "uncork.toml").write_text("[server\n")
        found = run_uncork("status", cwd=tmp_path)
        assert found.returncode == 0 and "warning: " in found.stderr
        assert f"process {uncork.process.pid}: running" in found.stdout


def test_nothing_is_purged_when_a_part_can_not_be_read(tmp_path: Path) -> None:
    state_dir = tmp_path / ".uncork"
    state_dir.mkdir()
    before = stamp_of(state_dir)
    refused(run_uncork("purge", "--tag", "t", "--url", "nonsense", cwd=tmp_path))
    assert verdicts(state_dir, before, b"t") == [Verdict.VALID]


# status


def test_status(tmp_path: Path) -> None:
    with Uncork("serve", *ORIGIN, "--bind", "127.0.0.1:0", "--workers", "2", cwd=tmp_path) as uncork:
        uncork.get()
        found = run_uncork("status", cwd=tmp_path)
        assert found.returncode == 0, found.stderr
        assert f"process {uncork.process.pid}: running" in found.stdout
        assert f"listening: {uncork.address}" in found.stdout
        assert "origin:    http://127.0.0.1:1" in found.stdout
        assert "clock:" in found.stdout and "1,048,576 slots" in found.stdout
        assert "requests" in found.stdout
        status = json.loads(run_uncork("status", "--json", cwd=tmp_path).stdout)
        assert status["totals"]["requests"] == 1
        assert status["clock"]["counter"] > 0
        run_uncork("purge", "--all", cwd=tmp_path)
        assert uncork.status(tmp_path / ".uncork")["clock"]["counter"] == status["clock"]["counter"] + 1


# static


def test_static_leaves_nothing_behind(tmp_path: Path) -> None:
    with Uncork("static", str(tmp_path), "--bind", "127.0.0.1:0", cwd=tmp_path) as uncork:
        assert uncork.get().split()[3:] == []  # no origin
        uncork.send(signal.SIGHUP)
        uncork.wait_for("reloaded")
        assert uncork.stop() == 0
    assert os.listdir(tmp_path) == []


def test_static_is_seen_in_its_state_directory(tmp_path: Path) -> None:
    arguments = ("static", ".", "--bind", "127.0.0.1:0", "--state-dir", "state", "--workers", "1")
    with Uncork(*arguments, cwd=tmp_path) as uncork:
        found = run_uncork("status", "--state-dir", "state", cwd=tmp_path)
        assert found.returncode == 0 and f"process {uncork.process.pid}: running" in found.stdout


def test_static_has_no_option_of_an_origin(tmp_path: Path) -> None:
    assert "No such option" in refused(run_uncork("static", ".", *ORIGIN, cwd=tmp_path))
