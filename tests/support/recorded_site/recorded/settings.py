"""The site's settings, as those of a site that never heard of Uncork.

`RECORDED_DIR` is where its files are. `RECORDED_PG` names the directory of a PostgreSQL's socket and its
database, separated by a colon; without it, all is on SQLite.
"""

import os
from pathlib import Path
from typing import Any

BASE_DIR = Path(os.environ["RECORDED_DIR"])
SECRET_KEY = "for tests"
DEBUG = False
ALLOWED_HOSTS = ["example.org", "other.example"]
ROOT_URLCONF = "recorded.urls"
WSGI_APPLICATION = "recorded.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "recorded",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]


def _sqlite(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / name,
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF",
        },
    }


def _default() -> dict[str, Any]:
    host, _, name = os.environ.get("RECORDED_PG", "").rpartition(":")
    if not host:
        return _sqlite("site.sqlite")
    return {"ENGINE": "django.db.backends.postgresql", "HOST": host, "NAME": name, "USER": "uncork"}


DATABASES = {"default": _default(), "other": _sqlite("other.sqlite")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "shared": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "recorded_cache",
        "TIMEOUT": 3000,
    },
}
# The cheapest there is: the tests log many people in.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGIN_REDIRECT_URL = "/"
USE_TZ = True
