"""What a Django project says of itself, and the plan that is made of it."""

import dataclasses
import sys
from pathlib import Path

import pytest

from support.django_project import make_project
from support.uncork_process import clean_environment
from uncork.cli.options import Options, RequestBuffering
from uncork.cli.planning import plan_site
from uncork.cli.site import Project, Site, describe, find_project
from uncork.edge.plan import BadConfiguration, Plan
from uncork.edge.setup import Mount


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    monkeypatch.setattr("os.environ", clean_environment())


def plan(directory: Path, **options: object) -> tuple[Plan, list[str]]:
    """The plan, and what was said on the way, but for what is said of the recorder each time."""
    made, notes = plan_and_notes(directory, **options)
    return made, [note for note in notes if not note.startswith(RECORDED)]


def plan_and_notes(directory: Path, **options: object) -> tuple[Plan, list[str]]:
    notes: list[str] = []
    chosen = dataclasses.replace(Options(), **options)  # type: ignore[arg-type]
    return plan_site(chosen, find_project(directory, {}), notes.append), notes


RECORDED = "pages are shared and purged by what they read"
TWO_LINES = """
INSTALLED_APPS += ["uncork.django"]
MIDDLEWARE = ["uncork.django.middleware.UncorkMiddleware"]
"""


def test_the_recorder_is_put_in_where_the_settings_have_it_not(tmp_path: Path) -> None:
    def said(**options: object) -> tuple[bool, str]:
        made, notes = plan_and_notes(tmp_path, **options)
        assert made.origin is not None
        (note,) = [note for note in notes if "what pages read" in note or RECORDED in note] or [""]
        return "uncork.django.injected:application('mysite.wsgi:application')" in made.origin.command, note

    project = make_project(tmp_path)
    injected, note = said()
    assert injected and note.startswith(RECORDED) and "--no-inject" in note
    assert said(inject=False) == (False, "")
    command = ("daphne", "-u", "{socket}", "mysite.asgi:application")
    assert "is not recorded: for an origin of --origin-cmd" in said(origin_cmd=command)[1]
    settings = project / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + TWO_LINES)
    assert said() == (False, f"{RECORDED}: the recorder is in the settings")


def test_the_project_is_found_here_and_above(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    expected = Project(project, "mysite.settings")
    assert find_project(project, {}) == expected
    assert find_project(project / "mysite", {}) == expected
    assert find_project(project / "mysite" / "static", {}).settings is None
    assert find_project(project, {"DJANGO_SETTINGS_MODULE": "other"}).settings == "other"


@pytest.mark.parametrize(
    "line",
    [
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.b')",
        'os.environ["DJANGO_SETTINGS_MODULE"] = "a.b"',
        'os.environ.setdefault(\n    "DJANGO_SETTINGS_MODULE",\n    "a.b",\n)',
    ],
)
def test_settings_named_in_manage_py(tmp_path: Path, line: str) -> None:
    (tmp_path / "manage.py").write_text(line)
    assert find_project(tmp_path, {}).settings == "a.b"


def test_what_a_project_says(tmp_path: Path) -> None:
    assert describe(find_project(make_project(tmp_path), {}), None) == Site(
        application="mysite.wsgi:application",
        asgi=False,
        django=True,
        hosts=("example.org",),
        static_url="/static/",
        finders=True,
        media_url="/media/",
        media_root=str(tmp_path / "media"),
    )


def test_an_application_that_was_named(tmp_path: Path) -> None:
    site = describe(find_project(make_project(tmp_path), {}), "mysite.asgi:application")
    assert site.asgi and site.django


@pytest.mark.parametrize(
    ("code", "asgi"),
    [
        ("def app(environ, start_response): pass", False),
        ("async def app(scope, receive, send): pass", True),
        ("class A:\n    async def __call__(self, *_): pass\napp = A()", True),
        ("class A:\n    def __call__(self, *_): pass\napp = A()", False),
    ],
)
def test_an_application_without_django(tmp_path: Path, code: str, asgi: bool) -> None:
    (tmp_path / "small.py").write_text(code)
    assert describe(Project(tmp_path, None), "small:app") == Site("small:app", asgi, django=False)


@pytest.mark.parametrize(
    ("application", "said"),
    [
        ("mysite.wsgy:application", "there is no module 'mysite.wsgy' for the application"),
        ("other.wsgi:application", "there is no module 'other' for the application"),
        (
            "mysite.wsgi:app",
            "the module 'mysite.wsgi' has no application 'app'; did you mean 'mysite.wsgi:application'?",
        ),
        ("mysite.broken:app", r"ZeroDivisionError: division by zero \(mysite/broken.py, line 2\)"),
        ("mysite.lacking:app", r"ModuleNotFoundError: No module named 'missing_module' \(mysite/lacking.py"),
        ("mysite.slip:app", r"SyntaxError: invalid syntax \(mysite/slip.py, line 1\)$"),
        ("mysite.leaves:app", "the project can't be imported: I leave"),
    ],
)
def test_a_wrong_application(tmp_path: Path, application: str, said: str) -> None:
    project = make_project(tmp_path)
    (project / "mysite" / "broken.py").write_text("\n1 / 0\n")
    (project / "mysite" / "lacking.py").write_text("import missing_module\n")
    (project / "mysite" / "slip.py").write_text("def (:\n")
    (project / "mysite" / "leaves.py").write_text("import sys\nsys.exit('I leave')\n")
    with pytest.raises(BadConfiguration, match=said):
        describe(find_project(project, {}), application)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            "raise KeyError('SECRET')",
            r"importing the settings 'mysite.settings': KeyError: 'SECRET' \(mysite/",
        ),
        (
            "X = dict(",
            r"importing the settings 'mysite.settings': SyntaxError: '\(' was never closed"
            r" \(mysite/settings.py, line \d+\)$",
        ),
        ("import not_installed", "No module named 'not_installed'"),
        ("INSTALLED_APPS = ['no_such_app']", "No module named 'no_such_app'"),
        ("WSGI_APPLICATION = 'mysite.nowhere.application'", "there is no module 'mysite.nowhere'"),
    ],
)
def test_settings_that_can_not_be_imported(tmp_path: Path, settings: str, said: str) -> None:
    with pytest.raises(BadConfiguration, match=said):
        describe(find_project(make_project(tmp_path, settings), {}), None)


@pytest.mark.parametrize(
    ("included", "said"),
    [
        (
            "syntax error here(",
            r"importing the URLs 'mysite.urls': SyntaxError: .* \(mysite/more.py, line 1\)$",
        ),
        ("\n1 / 0", r"ZeroDivisionError: division by zero \(mysite/more.py, line 2\)$"),
        ("import missing_module", r"No module named 'missing_module' \(mysite/more.py, line 1\)$"),
        ("urls = []", "'mysite.more' .*does not appear to have any patterns in it"),
    ],
)
def test_urls_that_can_not_be_imported(tmp_path: Path, included: str, said: str) -> None:
    project = make_project(tmp_path)
    (project / "mysite" / "urls.py").write_text(
        "from django.urls import include, path\nurlpatterns = [path('a/', include('mysite.more'))]\n"
    )
    (project / "mysite" / "more.py").write_text(included)
    with pytest.raises(BadConfiguration, match=said):
        describe(find_project(project, {}), None)


def test_settings_without_urls(tmp_path: Path) -> None:
    """An application that only reads settings, and one that is all of a site without a ROOT_URLCONF."""
    project = make_project(tmp_path, "del ROOT_URLCONF\nWSGI_APPLICATION = 'mysite.app.app'\n")
    code = "from django.conf import settings\nassert settings.STATIC_URL\ndef app(environ, start): pass\n"
    (project / "mysite" / "app.py").write_text(code)
    assert describe(find_project(project, {}), None).django
    (project / "mysite" / "app.py").write_text("import django\ndjango.setup()\n" + code)
    assert describe(find_project(project, {}), None).django


def test_missing_settings(tmp_path: Path) -> None:
    project = Project(make_project(tmp_path), "mysite.production")
    with pytest.raises(BadConfiguration, match=r"no settings module 'mysite\.production'"):
        describe(project, None)


def test_nothing_to_serve(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"There is no manage\.py"):
        plan(tmp_path)


def test_gunicorn_is_the_origin(tmp_path: Path) -> None:
    made, _ = plan(make_project(tmp_path), origin_workers=3, origin_threads=2)
    assert made.origin is not None
    command = " ".join(made.origin.command)
    application = "uncork.django.injected:application('mysite.wsgi:application')"
    assert command.startswith(f"{sys.executable} -m gunicorn {application} --bind unix:{{socket}} ")
    assert "--workers 3" in command and "--worker-class gthread" in command and "--threads 2" in command
    assert "--no-control-socket" in command
    assert "--timeout 60 " in command
    assert made.origin.host == "example.org"
    assert made.origin.directory == str(tmp_path)
    assert made.origin.environment == {
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "UNCORK_STATE_DIR": str(tmp_path / ".uncork"),
    }
    for seconds, said in ((0.5, "--timeout 30 "), (90.5, "--timeout 91 ")):
        made, _ = plan(tmp_path, origin_timeout=seconds)
        assert made.origin is not None and said in " ".join(made.origin.command)
    made, _ = plan(tmp_path, app="mysite.asgi:application")
    assert made.origin is not None
    assert "--worker-class asgi" in " ".join(made.origin.command)
    assert "--threads" not in made.origin.command


# Static files: what Django's settings say


def test_static_files_are_collected_when_nobody_did(tmp_path: Path) -> None:
    made, notes = plan(make_project(tmp_path))
    copy = tmp_path / ".uncork" / "static"
    assert made.template.static == (
        Mount("/static/", str(copy)),
        Mount("/media/", str(tmp_path / "media")),
    )
    assert (copy / "mysite" / "style.css").read_text().startswith("body")
    assert notes == [
        f"STATIC_ROOT is not set: the static files that the finders find are collected to {copy}"
    ]


def test_a_filled_static_root_is_served(tmp_path: Path) -> None:
    project = make_project(tmp_path, "STATIC_ROOT = BASE_DIR / 'collected'\n")
    (project / "collected").mkdir()
    (project / "collected" / "a.css").touch()
    made, notes = plan(project)
    assert made.template.static[0] == Mount("/static/", str(project / "collected"))
    assert notes == []


def test_an_empty_static_root_is_not(tmp_path: Path) -> None:
    project = make_project(tmp_path, "STATIC_ROOT = BASE_DIR / 'collected'\n")
    (project / "collected").mkdir()
    made, notes = plan(project)
    assert made.template.static[0].directory == str(project / ".uncork" / "static")
    assert list((project / "collected").iterdir()) == []
    assert notes[0].startswith("STATIC_ROOT is empty: ")


def test_with_debug_what_was_collected_may_be_old(tmp_path: Path) -> None:
    project = make_project(tmp_path, "DEBUG = True\nSTATIC_ROOT = BASE_DIR / 'collected'\n")
    (project / "collected").mkdir()
    (project / "collected" / "old.css").touch()
    made, notes = plan(project)
    assert made.template.static[0].directory == str(project / ".uncork" / "static")
    assert notes[0].startswith("DEBUG is on: the static files")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("DEBUG = True\n", ["warning: DEBUG is on: a page that fails shows its code"]),
        ("DEBUG = True\nALLOWED_HOSTS = []\n", ["warning: DEBUG is on"]),
        (
            "ALLOWED_HOSTS = []\n",
            ["warning: ALLOWED_HOSTS is empty and DEBUG is off: Django refuses every host"],
        ),
        ("ALLOWED_HOSTS = ['*']\n", []),
    ],
)
def test_settings_that_are_rarely_meant(tmp_path: Path, settings: str, said: list[str]) -> None:
    _, notes = plan(make_project(tmp_path, settings))
    warnings = [note for note in notes if note.startswith("warning: ")]
    assert [note[: len(words)] for note, words in zip(warnings, said, strict=True)] == said
    _, notes = plan(tmp_path, origin=("http://127.0.0.1:9000",))  # which may run with other settings
    assert not any(note.startswith("warning: ") for note in notes)


def test_a_manifest_that_is_missing_is_told(tmp_path: Path) -> None:
    storage = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    made, notes = plan(make_project(tmp_path, f"STORAGES = {{'staticfiles': {{'BACKEND': '{storage}'}}}}\n"))
    copy = Path(made.template.static[0].directory)
    assert (copy / "staticfiles.json").exists()
    assert "run manage.py collectstatic" in notes[-1]


@pytest.mark.parametrize(
    "settings",
    [
        "STATIC_URL = 'https://cdn.example.org/static/'\nMEDIA_URL = 'https://cdn.example.org/media/'\n",
        "STATIC_URL = '/'\nMEDIA_ROOT = ''\n",
        "MEDIA_ROOT = ''\n"
        "STORAGES = {'staticfiles': {'BACKEND': 'django.core.files.storage.InMemoryStorage'}}\n",
    ],
    ids=["elsewhere", "everything", "remote storage"],
)
def test_files_that_are_not_ours_to_serve(tmp_path: Path, settings: str) -> None:
    made, notes = plan(make_project(tmp_path, settings))
    assert made.template.static == ()
    assert notes == []


def test_static_files_that_were_named_are_all(tmp_path: Path) -> None:
    mount = Mount("/a/", str(tmp_path))
    made, _ = plan(make_project(tmp_path), static=(mount,))
    assert made.template.static == (mount,)


def test_an_unreadable_static_root(tmp_path: Path) -> None:
    missing = Mount("/a/", str(tmp_path / "missing"))
    with pytest.raises(BadConfiguration, match=r"can't read .*/missing, the files of /a/: No such file"):
        plan(make_project(tmp_path), static=(missing,))
    project = make_project(tmp_path / "other", "STATIC_ROOT = BASE_DIR / 'manage.py'\n")
    with pytest.raises(BadConfiguration, match=r"manage.py, the files of /static/: Not a directory"):
        (project / "manage.py").touch()
        plan(project, static=(Mount("/static/", str(project / "manage.py")),))


def test_an_origin_that_runs_already(tmp_path: Path) -> None:
    made, _ = plan(make_project(tmp_path), origin=("http://127.0.0.1:9000",))
    assert made.origin is None
    assert made.template.origins == ("http://127.0.0.1:9000",)
    assert made.template.static[0].prefix == "/static/"  # the project still tells where its files are


def test_an_origin_without_a_project(tmp_path: Path) -> None:
    made, notes = plan(tmp_path, origin=("http://127.0.0.1:9000",))
    assert made.template.static == () and notes == []


def test_two_origins(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="an application and --origin can't be had together"):
        plan(tmp_path, origin=("http://127.0.0.1:9000",), app="a:b")


@pytest.mark.parametrize(
    ("options", "auto"),
    [
        ({"app": "mysite.wsgi:application"}, True),
        ({"app": "mysite.asgi:application"}, False),
        ({"origin": ("http://127.0.0.1:1",)}, True),
        ({"origin_cmd": ("true", "{socket}")}, True),
    ],
)
def test_requests_are_buffered_where_a_thread_would_wait(
    tmp_path: Path, options: dict[str, object], auto: bool
) -> None:
    """Of an origin that we don't start it isn't known whether one would."""
    project = make_project(tmp_path)
    for said in RequestBuffering:
        found, _ = plan(project, request_buffering=said, **options)
        expected = auto if said is RequestBuffering.AUTO else said is RequestBuffering.ON
        assert found.template.buffers.requests is expected
