"""A browser without a screen: cookies, redirects, and forms filled in as they stand in the page."""

import gzip
import http.client
import secrets
import urllib.parse
from dataclasses import dataclass, field
from html.parser import HTMLParser

import brotli

SECONDS = 60.0

File = tuple[str, str, bytes]  # its name, its content type, its content


@dataclass
class Form:
    """The controls of a form that would be sent, by name; an `action` of "" is the page itself."""

    action: str = ""
    method: str = "get"
    multipart: bool = False
    values: list[tuple[str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    buttons: list[str] = field(default_factory=list)

    def filled(self, **changes: str | None) -> list[tuple[str, str]]:
        """Its values with these in their place; None takes one out."""
        kept = [(name, value) for name, value in self.values if name not in changes]
        return kept + [(name, value) for name, value in changes.items() if value is not None]


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None
        self._text: tuple[str, list[str]] | None = None
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            self._open = Form(
                given.get("action", ""),
                given.get("method", "get").lower(),
                given.get("enctype") == "multipart/form-data",
            )
            self.forms.append(self._open)
        form = self._open
        if form is None or not name:
            if tag == "option" and form is not None and self._select and "selected" in given:
                form.values.append((self._select, given.get("value", "")))
            return
        kind = given.get("type", "text").lower()
        if tag == "input" and kind == "file":
            form.files.append(name)
        elif (tag == "input" and kind in ("submit", "button", "image")) or tag == "button":
            form.buttons.append(name)
        elif tag == "input" and (kind not in ("checkbox", "radio") or "checked" in given):
            form.values.append((name, given.get("value", "")))
        elif tag == "textarea":
            self._text = (name, [])
        elif tag == "select":
            self._select = name

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text[1].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._text is not None and self._open is not None:
            self._open.values.append((self._text[0], "".join(self._text[1]).removeprefix("\n")))
            self._text = None


@dataclass
class Page:
    """`path` is where the last redirect led; `via` the paths before."""

    path: str
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    via: list[str]

    @property
    def text(self) -> str:
        match self.headers["content-encoding"]:
            case "br":
                return brotli.decompress(self.body).decode()
            case "gzip":
                return gzip.decompress(self.body).decode()
        return self.body.decode()

    def form(self, holding: str) -> Form:
        """The form that has a control of that name."""
        parser = _Forms()
        parser.feed(self.text)
        for form in parser.forms:
            if holding in [*(name for name, _ in form.values), *form.files, *form.buttons]:
                return form
        raise AssertionError(f"no form with {holding!r} at {self.path}")


class Browser:
    """Its cookies are for one site, so their paths and domains are not looked at."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=SECONDS)
        self._host = address
        self.cookies: dict[str, str] = {}

    def get(self, target: str, **headers: str) -> Page:
        return self._ask("GET", target, None, headers)

    def submit(
        self,
        page: Page,
        form: Form,
        values: list[tuple[str, str]],
        files: dict[str, File] | None = None,
        **headers: str,
    ) -> Page:
        """Send a form that stood in that page."""
        target = urllib.parse.urljoin(page.path, form.action or page.path)
        headers |= {"referer": f"http://{self._host}{page.path}", "origin": f"http://{self._host}"}
        if form.multipart or files:
            boundary = secrets.token_hex(16)
            headers["content-type"] = f"multipart/form-data; boundary={boundary}"
            content = _multipart(boundary, values, files or {})
        else:
            headers["content-type"] = "application/x-www-form-urlencoded"
            content = urllib.parse.urlencode(values).encode()
        return self._ask(form.method.upper(), target, content, headers)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, target: str, content: bytes | None, headers: dict[str, str]) -> Page:
        via: list[str] = []
        while True:
            sent = {"Accept-Encoding": "gzip, br", **{k.replace("_", "-"): v for k, v in headers.items()}}
            if self.cookies:
                sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            self._connection.request(method, target, content, sent)
            response = self._connection.getresponse()
            body = response.read()
            self._keep_cookies(response.headers)
            location = response.headers.get("location")
            if response.status not in (301, 302, 303) or location is None:
                return Page(target, response.status, response.headers, body, via)
            assert len(via) < 10, via
            via.append(target)
            parts = urllib.parse.urlsplit(urllib.parse.urljoin(target, location))
            target = urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))
            method, content = "GET", None
            headers = {name: value for name, value in headers.items() if name != "content-type"}

    def _keep_cookies(self, headers: http.client.HTTPMessage) -> None:
        for line in headers.get_all("set-cookie") or []:
            pair, *attributes = line.split(";")
            name, _, value = pair.strip().partition("=")
            gone = any(part.strip().lower() == "max-age=0" for part in attributes)
            if gone:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value


def _multipart(boundary: str, values: list[tuple[str, str]], files: dict[str, File]) -> bytes:
    parts = []
    for name, value in values:
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        )
    for name, (filename, kind, content) in files.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
        parts.append(f"{head}Content-Type: {kind}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode()
