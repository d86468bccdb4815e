"""The one Django project of these tests: its settings, and its databases.

`default` and `other` are SQLite files, `postgresql` a server that is started when the first test asks for it.
A test takes the fixture `database` to run on both kinds, or `sqlite` or `postgresql` for one: each is an
alias whose tables are there and empty; what is committed there is.
"""

import atexit
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections

from support import postgres
from support.purged import Purged, watching

sys.path.insert(0, str(Path(__file__).parent / "site"))

_files = Path(tempfile.mkdtemp(prefix="uncork-django-"))
atexit.register(shutil.rmtree, _files, ignore_errors=True)
_server = postgres.Postgres()
atexit.register(_server.stop)


def _sqlite(name: str) -> dict[str, object]:
    options = {"timeout": 20, "init_command": "PRAGMA synchronous = OFF"}
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(_files / name), "OPTIONS": options}


settings.configure(
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="testsite.urls",
    BASE_DIR=_files,
    USE_TZ=True,
    SITE_ID=1,
    # What is written before and after a test leaves nothing there.
    UNCORK={"outbox": False},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": _sqlite("default.sqlite3"),
        "other": _sqlite("other.sqlite3"),
        "postgresql": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": postgres.DATABASE,
            "USER": postgres.USER,
            "HOST": _server.socket_dir,
        },
    },
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.sites",
        "testsite",
        "writesite",
        "uncork.django",
    ],
    # Without migrations all tables are made at once, whichever refers to which.
    MIGRATION_MODULES=dict.fromkeys(["contenttypes", "auth", "sessions", "sites"]),
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ],
                "loaders": [("django.template.loaders.locmem.Loader", {})],
            },
        }
    ],
)
django.setup()

_made: set[str] = set()
_KEPT = {"django_content_type", "auth_permission", "django_migrations", "django_site"}


def _tables(alias: str) -> None:
    """Make the tables of a database, once."""
    if alias in _made:
        return
    if alias == "postgresql":
        _server.start()
    from testsite.models import CROWD

    call_command("migrate", run_syncdb=True, verbosity=0, database=alias)
    with connections[alias].cursor() as cursor:
        cursor.execute(CROWD)
    _made.add(alias)


def _empty(alias: str) -> None:
    connection = connections[alias]
    connection.close()
    with connection.cursor() as cursor:
        deletes = [
            f"DELETE FROM {connection.ops.quote_name(info.name)}"
            for info in connection.introspection.get_table_list(cursor)
            if info.type == "t" and info.name not in _KEPT
        ]
        if connection.vendor == "sqlite":
            script = ["PRAGMA foreign_keys = OFF", "BEGIN", *deletes, "COMMIT", "PRAGMA foreign_keys = ON"]
            cursor.executescript(";".join(script))
        else:
            cursor.execute(";".join(["SET session_replication_role = replica", *deletes]))
            cursor.execute("SET session_replication_role = DEFAULT")


def _prepared(alias: str) -> Iterator[str]:
    _tables(alias)
    _empty(alias)
    yield alias
    connections[alias].close()


@pytest.fixture
def sqlite() -> Iterator[str]:
    yield from _prepared("default")


@pytest.fixture
def other() -> Iterator[str]:
    """A second SQLite database with the same tables."""
    yield from _prepared("other")


@pytest.fixture
def postgresql() -> Iterator[str]:
    yield from _prepared("postgresql")


@pytest.fixture
def purged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Purged]:
    """What the process purges in a clock of the test's own. To be taken after the database."""
    with watching(tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture(params=["default", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from _prepared(request.param)
