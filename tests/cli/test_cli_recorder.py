"""`uncork serve` for a project of which no line knows of Uncork: keys, sharing purges by what pages read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.notes_project import SERVE, ask, make_with_tables, manage
from support.uncork_process import REAL, Uncork, run_uncork

MODELS = """
from django.db import models


class Note(models.Model):
    text = models.CharField(max_length=100)
"""
URLS = """
from django.contrib.auth.models import User
from django.contrib.auth import login
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path

from mysite.models import Note


def notes(request):
    order = "-text" if request.GET.get("order") == "z" else "text"
    return HttpResponse(" ".join(note.text for note in Note.objects.order_by(order)))


def note(request, pk):
    return HttpResponse(get_object_or_404(Note, pk=pk).text)


def hello(request):
    return HttpResponse(f"hello {request.user.get_username() or 'stranger'}")


def write(request, pk, text):
    Note.objects.update_or_create(pk=pk, defaults={"text": text})
    return HttpResponse("written")


def visit(request):
    Note.objects.create(text="visit")
    return HttpResponse("thanks")


def log_in(request):
    login(request, User.objects.get_or_create(username="ann")[0])
    return HttpResponse("welcome")


urlpatterns = [
    path("", notes),
    path("<int:pk>/", note),
    path("hello/", hello),
    path("write/<int:pk>/<text>/", write),
    path("log-in/", log_in),
    path("visit/", visit),
]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_with_tables(tmp_path, MODELS, URLS)


@pytest.fixture(params=[(), ("mysite.asgi:application",)], ids=["wsgi", "asgi"])
def served(request: pytest.FixtureRequest, project: Path) -> Iterator[Uncork]:
    with Uncork(*SERVE, *request.param, cwd=project, program=REAL) as uncork:
        yield uncork
        assert uncork.stop() == 0


def texts(uncork: Uncork, path: str, *lines: str) -> tuple[str, bool]:
    found = ask(uncork, path, *lines)
    assert found.status in (200, 404), found
    return found.body.decode(), found.hit


def test_pages_are_shared_and_purged_by_what_they_read(served: Uncork) -> None:
    assert any("the recorder was put into the application" in line for line in served.lines)
    assert ask(served, "/1/").status == 404
    assert ask(served, "/write/1/one/", method="POST").status == 200
    assert texts(served, "/1/") == ("one", False)
    assert texts(served, "/1/", "Cookie: _ga=1; theme=dark") == ("one", True)
    assert texts(served, "/1/?utm_source=mail") == ("one", True)
    assert texts(served, "/") == ("one", False)
    ask(served, "/write/2/two/", method="POST")
    assert texts(served, "/1/") == ("one", True)  # it read another row
    assert texts(served, "/") == ("one two", False)
    assert texts(served, "/?order=z&utm_source=mail") == ("two one", False)
    assert texts(served, "/?order=z&gclid=7") == ("two one", True)
    assert texts(served, "/") == ("one two", True)
    ask(served, "/write/1/uno/", method="POST")
    assert texts(served, "/1/") == ("uno", False)
    assert texts(served, "/2/") == ("two", False)
    assert texts(served, "/") == ("two uno", False)


def test_what_a_visitor_is_told_about_a_page(served: Uncork) -> None:
    """Its data may change at any time: browsers ask each time, and it costs a 304."""
    ask(served, "/write/1/one/", method="POST")
    first = ask(served, "/1/")
    assert first["cache-control"] == "no-cache" and first["vary"] == "Accept-Encoding"
    etag = ask(served, "/1/")["etag"]
    assert etag is not None and not etag.startswith("W/")
    assert ask(served, "/1/", f"If-None-Match: {etag}").status == 304
    ask(served, "/write/1/two/", method="POST")
    assert ask(served, "/1/", f"If-None-Match: {etag}").status == 200
    for name in ("uncork-record", "uncork-inputs", "uncork-slots", "uncork-cache-control"):
        assert first[name] is None


def test_who_is_logged_in_gets_a_page_of_their_own(served: Uncork) -> None:
    cookie = ask(served, "/log-in/", method="POST")["set-cookie"]
    assert cookie is not None
    ann = f"Cookie: {cookie.partition(';')[0]}"
    assert texts(served, "/hello/", ann) == ("hello ann", False)
    assert texts(served, "/hello/") == ("hello stranger", False)
    assert texts(served, "/hello/", "Cookie: _ga=1") == ("hello stranger", True)
    assert texts(served, "/hello/", ann) == ("hello ann", False)
    found = ask(served, "/hello/")
    assert "Cookie" in (found["vary"] or "")
    # What is the same for all, she gets from the cache like everyone.
    ask(served, "/write/1/one/", method="POST")
    assert texts(served, "/1/") == ("one", False)
    assert texts(served, "/1/", ann) == ("one", True)


def test_another_process_of_the_project_purges_too(project: Path) -> None:
    """One that has the app in its settings; these two lines are for everybody."""
    settings = project / "mysite" / "settings.py"
    settings.write_text(
        settings.read_text()
        + 'INSTALLED_APPS += ["uncork.django"]\n'
        + 'MIDDLEWARE.insert(0, "uncork.django.middleware.UncorkMiddleware")\n'
    )
    with Uncork(*SERVE, cwd=project, program=REAL) as uncork:
        assert any("the recorder is in the settings" in line for line in uncork.lines)
        ask(uncork, "/write/1/one/", method="POST")
        assert texts(uncork, "/1/") == ("one", False)
        assert texts(uncork, "/1/") == ("one", True)
        code = "from mysite.models import Note; Note.objects.filter(pk=1).update(text='shell')"
        manage(project, "shell", "-v", "0", "-c", code)
        assert texts(uncork, "/1/") == ("shell", False)


def test_the_settings_say_where_the_state_directory_is(project: Path) -> None:
    settings = project / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + 'UNCORK = {"state_dir": BASE_DIR / "elsewhere"}\n')
    with Uncork(*SERVE, cwd=project, program=REAL) as uncork:
        ask(uncork, "/write/1/one/", method="POST")
        assert texts(uncork, "/1/") == ("one", False)
        assert texts(uncork, "/1/") == ("one", True)
        url = f"http://{uncork.address}/1/"
        done = run_uncork("purge", "--url", url, cwd=project)
        assert done.returncode == 0, done.stderr
        assert texts(uncork, "/1/") == ("one", False)
    assert (project / "elsewhere" / "pages").is_dir() and not (project / ".uncork").exists()


def test_the_terminal_tells_what_a_write_took_back(project: Path) -> None:
    with Uncork(*SERVE, "--access-log-format", "brief", cwd=project, program=REAL) as uncork:
        ask(uncork, "/write/1/one/", method="POST")
        for path in ("/1/", "/", "/?order=z"):
            assert texts(uncork, path) == ("one", False)
        ask(uncork, "/write/1/two/", method="POST")
        uncork.wait_for(r"origin: mysite_note 1 changed → 3 pages purged")
        assert texts(uncork, "/1/") == ("two", False)
        ask(uncork, "/write/1/three/", method="POST")
        uncork.wait_for(r"origin: mysite_note 1 changed → 1 page purged")


def test_recorded_pages_go_with_the_recorder(project: Path) -> None:
    """Nobody would take them back any more."""
    with Uncork(*SERVE, cwd=project, program=REAL) as uncork:
        ask(uncork, "/write/1/one/", method="POST")
        url = f"http://{uncork.address}/1/"
        assert texts(uncork, "/1/") == ("one", False)
        assert texts(uncork, "/1/") == ("one", True)
    port = url.split(":")[2].split("/")[0]
    again = ("serve", "--bind", f"127.0.0.1:{port}", *SERVE[3:])
    with Uncork(*again, cwd=project, program=REAL) as uncork:
        assert texts(uncork, "/1/") == ("one", True)
    with Uncork(*again, "--no-inject", cwd=project, program=REAL) as uncork:
        assert any("is not recorded any more" in line for line in uncork.lines)
        assert texts(uncork, "/1/") == ("one", False)
    with Uncork(*again, "--no-inject", cwd=project, program=REAL) as uncork:
        assert not any("every stored page was purged" in line for line in uncork.lines)


def test_what_does_something_besides_is_done_each_time(served: Uncork) -> None:
    for _ in range(3):
        assert texts(served, "/visit/") == ("thanks", False)
    assert texts(served, "/")[0] == "visit visit visit"


def test_without_the_recorder_nothing_is_kept_by_surprise(project: Path) -> None:
    with Uncork(*SERVE, "--no-inject", cwd=project, program=REAL) as uncork:
        ask(uncork, "/write/1/one/", method="POST")
        assert [texts(uncork, "/1/") for _ in range(3)] == [("one", False)] * 3
