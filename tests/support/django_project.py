"""A small Django project on disk, as `django-admin startproject` lays it out."""

from pathlib import Path

MANAGE = """\
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
"""

SETTINGS = """\
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "for tests"
DEBUG = False
ALLOWED_HOSTS = ["example.org"]
ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"
INSTALLED_APPS = ["django.contrib.staticfiles", "mysite"]
STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = BASE_DIR / "media"
"""

URLS = """\
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("a page of " + request.get_host()))]
"""

SERVER = """\
import os

from django.core.{kind} import get_{kind}_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = get_{kind}_application()
"""


def make_project(directory: Path, settings: str = "") -> Path:
    """Write the project; `settings` is added at the end of its settings."""
    site = directory / "mysite"
    (site / "static" / "mysite").mkdir(parents=True)
    (directory / "manage.py").write_text(MANAGE)
    (site / "__init__.py").touch()
    (site / "settings.py").write_text(SETTINGS + settings)
    (site / "urls.py").write_text(URLS)
    (site / "wsgi.py").write_text(SERVER.format(kind="wsgi"))
    (site / "asgi.py").write_text(SERVER.format(kind="asgi"))
    (site / "static" / "mysite" / "style.css").write_text("body { color: green }\n")
    return directory
