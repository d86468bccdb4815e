"""Settings of the example site. Everything that differs between machines comes from the environment:

EVENTSEER_DATA        where the database, uploads, static files and Uncork's state are (default: here)
DATABASE_URL          postgres://user:password@host:port/name (default: SQLite in EVENTSEER_DATA)
EVENTSEER_HOSTS       host names that are answered, with commas between (default: this machine's own)
EVENTSEER_SECRET_KEY  needed wherever anybody else can reach the site
EVENTSEER_DEBUG       1 for Django's own error pages
UNCORK_STATE_DIR      the state directory of `uncork serve` (default: .uncork in EVENTSEER_DATA)
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("EVENTSEER_DATA", BASE_DIR))
UNCORK_STATE_DIR = Path(os.environ.get("UNCORK_STATE_DIR", DATA_DIR / ".uncork"))

DEBUG = os.environ.get("EVENTSEER_DEBUG") == "1"
SECRET_KEY = os.environ.get(
    "EVENTSEER_SECRET_KEY", "for-a-demonstration-on-one's-own-machine-and-nowhere-else"
)
ALLOWED_HOSTS = os.environ.get("EVENTSEER_HOSTS", ".localhost,127.0.0.1,[::1]").split(",")

# `uncork serve` would put Uncork's app and middleware in by itself, for the site that it starts. Here they
# are for all other processes as well: what `manage.py seed`, the shell and the like write is purged, too.
INSTALLED_APPS = [
    "uncork.django",
    "events",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.sitemaps",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "uncork.django.middleware.UncorkMiddleware",  # first: it sees what all others read
    "django.middleware.security.SecurityMiddleware",
    "events.middleware.signed_in_marker",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "eventseer.urls"
WSGI_APPLICATION = "eventseer.wsgi.application"
ASGI_APPLICATION = "eventseer.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def _database(url: str) -> dict[str, object]:
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "db.sqlite3",
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                # A writer takes its lock when it begins, so that it waits its turn instead of failing half-
                # way.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                "PRAGMA cache_size=-32768; PRAGMA mmap_size=1073741824; PRAGMA temp_store=MEMORY;",
            },
        }
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": None,
    }


DATABASES = {"default": _database(os.environ.get("DATABASE_URL", ""))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

UNCORK = {
    "state_dir": UNCORK_STATE_DIR,
    # Seconds. Pages say "three days left", and no write tells that a day is over: an hour late will do.
    "max_age": 3600,
}

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "staticfiles"
MEDIA_URL = "/media/"
MEDIA_ROOT = DATA_DIR / "media"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # Names with a hash of their content: whoever has such a file never has to ask for it again.
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage."
        + ("StaticFilesStorage" if DEBUG else "ManifestStaticFilesStorage")
    },
}

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "calendar"
LOGOUT_REDIRECT_URL = "home"
# `make run` offers demo/demo; a site that means it puts Django's validators here.
AUTH_PASSWORD_VALIDATORS: list[dict[str, str]] = []
SESSION_COOKIE_HTTPONLY = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django": {"handlers": ["console"], "level": "WARNING"}},
}
