"""A site that nobody here wrote: what `wagtail start` makes, behind `uncork serve`, with no change to it."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from support.browser import Browser
from support.raw_client import RawClient
from support.uncork_process import REAL, Uncork, clean_environment

USER, PASSWORD = "editor", "a word that passes"


def run(*command: str, cwd: Path, **environment: str) -> None:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wagtail")
    wagtail = "from wagtail.bin.wagtail import main; main()"
    run(sys.executable, "-c", wagtail, "start", "mysite", cwd=directory)
    directory /= "mysite"
    run(sys.executable, "manage.py", "migrate", "--verbosity", "0", cwd=directory)
    run(
        *(sys.executable, "manage.py", "createsuperuser", "--noinput"),
        *("--username", USER, "--email", "editor@example.org"),
        cwd=directory,
        DJANGO_SUPERUSER_PASSWORD=PASSWORD,
    )
    return directory


@pytest.fixture(scope="module")
def before(project: Path) -> dict[str, float]:
    """The files of the project, before anything was served."""
    return files_of(project)


def files_of(project: Path) -> dict[str, float]:
    return {
        str(path.relative_to(project)): path.stat().st_mtime
        for path in project.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def site(project: Path, before: dict[str, float]) -> Iterator[Uncork]:
    with Uncork("serve", "--bind", "127.0.0.1:0", "--workers", "2", cwd=project, program=REAL) as uncork:
        yield uncork


@pytest.fixture
def browser(site: Uncork) -> Iterator[Browser]:
    browser = Browser(site.address)
    yield browser
    browser.close()


@pytest.fixture
def editor(browser: Browser) -> Browser:
    """Somebody who has logged in, by the form."""
    page = browser.get("/admin/")
    assert page.path.startswith("/admin/login/")
    form = page.form("username")
    page = browser.submit(page, form, form.filled(username=USER, password=PASSWORD))
    assert (page.status, page.path) == (200, "/admin/"), page.text[-500:]
    assert "sessionid" in browser.cookies
    return browser


def anonymous(site: Uncork, path: str, **fields: str) -> tuple[int, bytes]:
    with RawClient(site.address) as client:
        response = client.ask(path, host=site.address, **fields)
    return response.status, response.body


def picture(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (640, 480), colour).save(file, "PNG")
    return file.getvalue()


def publish(editor: Browser, title: str) -> None:
    page = editor.get("/admin/pages/3/edit/")
    form = page.form("action-publish")
    page = editor.submit(page, form, form.filled(**{"title": title, "action-publish": "action-publish"}))
    assert page.via == ["/admin/pages/3/edit/"], page.text[-500:]


def test_the_home_page_and_all_that_it_refers_to(browser: Browser) -> None:
    home = browser.get("/")
    assert home.status == 200
    assert "<title>" in home.text
    files = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', home.text))
    assert {"/static/css/mysite.css", "/static/js/mysite.js"} <= files
    for path in sorted(files):
        found = browser.get(path)
        assert found.status == 200, path
        assert found.headers["etag"] and found.headers["accept-ranges"] == "bytes", path
        assert "cache-status" not in found.headers, "a static file doesn't come from the origin"


def test_what_is_not_there(browser: Browser) -> None:
    assert browser.get("/no-such-page/").status == 404
    assert browser.get("/static/no-such-file.css").status == 404


def test_the_search_that_comes_with_it(browser: Browser) -> None:
    assert "Home" in browser.get("/search/?query=home").text or browser.get("/search/").status == 200


def test_a_wrong_password(browser: Browser) -> None:
    page = browser.get("/admin/login/")
    form = page.form("username")
    page = browser.submit(page, form, form.filled(username=USER, password="wrong"))
    assert "didn" in page.text and "sessionid" not in browser.cookies


def test_a_form_without_its_token_is_refused(browser: Browser) -> None:
    page = browser.get("/admin/login/")
    form = page.form("username")
    values = form.filled(username=USER, password=PASSWORD, csrfmiddlewaretoken=None)
    assert browser.submit(page, form, values).status == 403


def test_the_admin_and_its_static_files(editor: Browser) -> None:
    page = editor.get("/admin/")
    assert USER in page.text
    files = set(re.findall(r'(?:href|src)="(/static/[^"?]+)', page.text))
    assert len(files) > 10
    for path in sorted(files):
        assert editor.get(path).status == 200, path


def test_an_image_is_uploaded_and_its_rendition_is_sent(editor: Browser, site: Uncork) -> None:
    page = editor.get("/admin/images/add/")
    form = page.form("file")
    original = picture((200, 30, 30)) + os.urandom(3_000_000)  # large enough to be streamed
    page = editor.submit(
        page, form, form.filled(title="A red picture"), {"file": ("red.png", "image/png", original)}
    )
    assert page.via == ["/admin/images/add/"], page.text[-800:]
    listed = editor.get("/admin/images/").text
    assert "A red picture" in listed
    (rendition, *_) = re.findall(r'/media/images/red[^"]+\.png', listed)
    with RawClient(site.address) as client:
        found = client.ask(rendition, host=site.address)
        assert found.status == 200 and found["content-type"] == "image/png"
        assert "cache-status" not in found.fields  # the file itself, not what the origin makes of it
        assert Image.open(io.BytesIO(found.body)).getpixel((5, 5)) == (200, 30, 30)
        again = client.ask(rendition, host=site.address, if_none_match=found["etag"] or "")
        assert again.status == 304
        part = client.ask("/media/original_images/red.png", host=site.address, range="bytes=8-15")
        assert part.status == 206 and part.body == original[8:16]


def test_what_is_published_is_seen_at_once(editor: Browser, site: Uncork) -> None:
    for title in ("The first title", "The second title"):
        publish(editor, title)
        for _ in range(4):  # by all workers
            status, body = anonymous(site, "/")
            assert status == 200 and title.encode() in body


def test_a_page_and_the_listings_are_kept_until_it_is_published_again(editor: Browser, site: Uncork) -> None:
    """With no line of configuration: by what they read of the database."""

    def ask(path: str, **fields: str) -> tuple[str, bool]:
        with RawClient(site.address) as client:
            response = client.ask(path, host=site.address, **fields)
        assert response.status == 200
        return response.body.decode(), "; hit" in (response["cache-status"] or "")

    listing = "/search/?query=Kept"
    publish(editor, "Kept for the first")
    for path in ("/", listing):
        text, hit = ask(path)
        assert "Kept for the first" in text and not hit
        assert ask(path)[1] and ask(path, cookie="_ga=GA1.2.3; theme=dark")[1]
    publish(editor, "Kept for the second")
    for path in ("/", listing):
        text, hit = ask(path)
        assert "Kept for the second" in text and not hit
        assert ask(path)[1]


def test_what_an_editor_sees_is_for_nobody_else(editor: Browser, site: Uncork) -> None:
    seen = [
        "/admin/",
        "/admin/pages/3/edit/",
        "/admin/images/",
        "/admin/account/",
        "/admin/reports/site-history/",
    ]
    for path in seen * 2:
        page = editor.get(path)
        assert page.status == 200 and USER in page.text, path
        status, body = anonymous(site, path)
        assert status == 302 and USER.encode() not in body, path
        status, body = anonymous(site, path, cookie="sessionid=madeup")
        assert status == 302 and USER.encode() not in body, path
    # Wagtail's own bar for editors is on the public page for them only.
    publish(editor, "A page with a bar")
    assert b"wagtail-userbar" not in anonymous(site, "/")[1]


def test_logging_out(editor: Browser) -> None:
    session = editor.cookies["sessionid"]
    page = editor.get("/admin/images/add/")
    form = page.form("file")
    token = dict(form.values)["csrfmiddlewaretoken"]
    form.action, form.multipart = "/admin/logout/", False
    page = editor.submit(page, form, [("csrfmiddlewaretoken", token)])
    assert page.path.startswith("/admin/login/")
    assert editor.get("/admin/").path.startswith("/admin/login/")
    editor.cookies["sessionid"] = session  # the old session is worth nothing
    assert editor.get("/admin/").path.startswith("/admin/login/")


def test_the_project_is_as_it_was(project: Path, before: dict[str, float], site: Uncork) -> None:
    after = files_of(project)
    changed = {name for name in before if after.get(name) != before[name]} - {"db.sqlite3"}
    made = {name for name in after if name not in before and not name.startswith((".uncork/", "media/"))}
    assert (changed, made) == (set(), set())
