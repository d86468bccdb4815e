"""A project of which no line knows of Uncork: notes and authors, and pages that read them differently."""

import subprocess
import sys
from pathlib import Path

from support.django_project import make_project
from support.edge_client import Client, Reply
from support.uncork_process import Uncork, clean_environment, run_uncork

SETTINGS = """
ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS += ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
"""
MODELS = """
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=100)
    friends = models.ManyToManyField("self")


class Note(models.Model):
    text = models.CharField(max_length=100)
    mood = models.CharField(max_length=100, default="")
    author = models.ForeignKey(Author, models.CASCADE, null=True)

    def __str__(self):
        return f"note {self.text}"


class LongNote(Note):
    rest = models.TextField()
"""
URLS = """
from django.db import connection
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from uncork import depends_on

from mysite.models import LongNote, Note


def notes(request):
    theme = request.COOKIES.get("theme", "bright")
    words = Note.objects.only("text").order_by("text")[:10]
    return HttpResponse(f"{theme}: " + " ".join(note.text for note in words))


def note(request, pk):
    return HttpResponse(get_object_or_404(Note.objects.only("text"), pk=pk).text)


def long(request, pk):
    return HttpResponse(get_object_or_404(LongNote, pk=pk).rest)


def by(request, pk):
    return HttpResponse(" ".join(Note.objects.filter(author=pk).values_list("text", flat=True)))


def count(request):
    depends_on("weather")
    return HttpResponse(Note.objects.count())


def raw(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT text FROM mysite_note WHERE id = 1")
        return HttpResponse(cursor.fetchall()[0])


def hello(request):
    return HttpResponse(f"hello {request.user.get_username() or 'stranger'}")


def write(request, pk):
    Note.objects.filter(pk=pk).update(**request.GET.dict())
    return HttpResponse("written")


urlpatterns = [
    path("", notes),
    path("<int:pk>/", note),
    path("long/<int:pk>/", long),
    path("by/<int:pk>/", by),
    path("count/", count),
    path("raw/", raw),
    path("hello/", hello),
    path("write/<int:pk>/", write),
]
"""
DATA = """
from mysite.models import Author, LongNote, Note
ann, ben = [Author.objects.create(name=name) for name in ("Ann", "Ben")]
Note.objects.create(text="one", author=ann)
Note.objects.create(text="two", author=ben)
LongNote.objects.create(text="three", rest="and more", author=ann)
"""
SERVE = ("serve", "--bind", "127.0.0.1:0", "--workers", "2", "--origin-workers", "1")
PATHS = ("/", "/1/", "/2/", "/3/", "/long/3/", "/by/1/", "/by/2/", "/count/", "/raw/", "/hello/")


def manage(project: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=project,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def make_with_tables(directory: Path, models: str, urls: str) -> Path:
    """A project on disk with sessions, users, these models and URLs, and a database with its tables."""
    made = make_project(directory, SETTINGS)
    (made / "mysite" / "models.py").write_text(models)
    (made / "mysite" / "urls.py").write_text(urls)
    manage(made, "migrate", "--run-syncdb", "-v", "0")
    return made


def make_notes_project(directory: Path) -> Path:
    """The project on disk, with its data."""
    made = make_with_tables(directory, MODELS, URLS)
    manage(made, "shell", "-v", "0", "-c", DATA)
    return made


def ask(uncork: Uncork, path: str, *lines: str, method: str = "GET") -> Reply:
    with Client(uncork.address) as client:
        return client.ask(path, *lines, method=method, host=uncork.address)


def fill(uncork: Uncork) -> None:
    """Have each page stored."""
    for path in PATHS:
        assert ask(uncork, path).status == 200, path


def run(project: Path, *arguments: str) -> str:
    """What a command prints."""
    done = run_uncork(*arguments, cwd=project)
    assert done.returncode == 0, done.stderr
    return done.stdout
