"""`uncork serve` with a real Django project behind gunicorn, the real workers in front."""

import signal
from pathlib import Path

import pytest

from support.django_project import make_project
from support.edge_client import Client
from support.uncork_process import REAL, Uncork

SETTINGS = "ALLOWED_HOSTS = ['127.0.0.1']\n"


@pytest.mark.parametrize("application", [(), ("mysite.asgi:application",)], ids=["wsgi", "asgi"])
def test_a_project_is_served(tmp_path: Path, application: tuple[str, ...]) -> None:
    project = make_project(tmp_path, SETTINGS)
    with Uncork(
        *("serve", *application, "--bind", "127.0.0.1:0", "--workers", "1", "--origin-workers", "1"),
        cwd=project,
        program=REAL,
    ) as uncork:
        assert uncork.get() == f"a page of {uncork.address}"
        assert uncork.get("/static/mysite/style.css").startswith("body")
        assert any(line.startswith("origin: ") and "Booting worker" in line for line in uncork.lines)
        assert uncork.stop() == 0


def test_a_release_that_is_broken_does_not_replace_what_works(tmp_path: Path) -> None:
    project = make_project(tmp_path, SETTINGS)
    urls = project / "mysite" / "urls.py"
    works = urls.read_text()
    with Uncork(
        *("serve", "--bind", "127.0.0.1:0", "--workers", "1", "--origin-workers", "1"),
        cwd=project,
        program=REAL,
    ) as uncork:
        for fault, said in (
            ("syntax error here(", r"SyntaxError: .* \(mysite/urls.py, line \d+\)"),
            ("urlpatterns = [path('', lambda request: 1 / 0)]", "the new origin is up, but / answers 500"),
        ):
            urls.write_text(works + fault)
            uncork.send(signal.SIGHUP)
            uncork.wait_for(said)
            uncork.wait_for("uncork: not reloaded")
            uncork.wait_for("uncork: running as before: ")
            assert uncork.get() == f"a page of {uncork.address}"
        urls.write_text(works.replace("a page of", "another of"))
        uncork.send(signal.SIGHUP)
        uncork.wait_for("uncork: reloaded: ")
        assert uncork.get() == f"another of {uncork.address}"


def test_a_plain_health_check_is_answered(tmp_path: Path) -> None:
    """`GET / HTTP/1.0`, as some load balancers ask, of a site that knows its address."""
    project = make_project(tmp_path, SETTINGS)
    with Uncork(
        *("serve", "--bind", "127.0.0.1:0", "--workers", "1", "--origin-workers", "1"),
        cwd=project,
        program=REAL,
    ) as uncork:
        with Client(uncork.address) as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            assert client.reply().status == 200
        assert uncork.stop() == 0


def test_gunicorn_has_its_own_configuration_too(tmp_path: Path) -> None:
    """What Uncork gives on the command line wins over both, and of the two the environment."""
    project = make_project(tmp_path, SETTINGS)
    (project / "gunicorn.conf.py").write_text(
        "workers = 3\ntimeout = 7\nproc_name = 'from the file'\naccesslog = 'nowhere/at/all'\n"
        "def when_ready(server):\n"
        "    print('conf:', server.cfg.workers, server.cfg.timeout, server.cfg.proc_name, flush=True)\n"
    )
    with Uncork(
        *("serve", "--bind", "127.0.0.1:0", "--workers", "1", "--origin-workers", "1"),
        cwd=project,
        program=REAL,
        environment={"GUNICORN_CMD_ARGS": "--timeout 8 --access-logfile -"},
    ) as uncork:
        assert "origin: conf: 1 60 from the file" in uncork.lines
        uncork.get()
        uncork.wait_for('^origin: .*"GET / HTTP/1.1" 200')


def test_the_health_check_asks_for_a_host_that_the_site_knows(tmp_path: Path) -> None:
    project = make_project(tmp_path, "ALLOWED_HOSTS = ['.example.org']\n")
    with Uncork(
        *("serve", "--bind", "127.0.0.1:0", "--workers", "1", "--origin-workers", "1"),
        cwd=project,
        program=REAL,
    ) as uncork:
        assert uncork.stop() == 0
        assert not any("Invalid HTTP_HOST" in line for line in uncork.lines)
