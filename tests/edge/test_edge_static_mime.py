"""Content types, the same on every machine."""

import subprocess
import sys

import pytest

from uncork.edge.mime import content_type, is_compressible


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a.html", b"text/html; charset=utf-8"),
        (b"a.css", b"text/css; charset=utf-8"),
        (b"A.CSS", b"text/css; charset=utf-8"),
        (b"a.js", b"text/javascript; charset=utf-8"),
        (b"a.mjs", b"text/javascript; charset=utf-8"),
        (b"a.min.js", b"text/javascript; charset=utf-8"),
        (b"a.js.map", b"application/json"),
        (b"a.json", b"application/json"),
        (b"a.webmanifest", b"application/manifest+json"),
        (b"a.wasm", b"application/wasm"),
        (b"a.svg", b"image/svg+xml"),
        (b"a.xml", b"application/xml"),
        (b"a.txt", b"text/plain; charset=utf-8"),
        (b"a.csv", b"text/csv; charset=utf-8"),
        (b"a.png", b"image/png"),
        (b"a.jpg", b"image/jpeg"),
        (b"a.webp", b"image/webp"),
        (b"a.avif", b"image/avif"),
        (b"a.woff2", b"font/woff2"),
        (b"a.mp4", b"video/mp4"),
        (b"a.pdf", b"application/pdf"),
        (b"a.tar.gz", b"application/gzip"),
        (b"a.svgz", b"application/octet-stream"),  # it would need a Content-Encoding
        (b"a.tsv", b"text/tab-separated-values; charset=utf-8"),  # from Python's own table
        (b"a.unheard-of", b"application/octet-stream"),
        (b"html", b"application/octet-stream"),
        (b"a.", b"application/octet-stream"),
        (b".css", b"text/css; charset=utf-8"),
        ("ä.png".encode(), b"image/png"),
    ],
)
def test_content_type(name: bytes, expected: bytes) -> None:
    assert content_type(name) == expected


def test_the_tables_of_the_machine_are_not_asked() -> None:
    """Whatever somebody has registered in this process or in /etc/mime.types."""
    code = (
        "import mimetypes; mimetypes.add_type('x/y', '.css'); mimetypes.add_type('x/y', '.unheard');"
        "from uncork.edge.mime import content_type;"
        "print(content_type(b'a.css').decode(), content_type(b'a.unheard').decode())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["text/css;", "charset=utf-8", "application/octet-stream"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (b"text/css; charset=utf-8", True),
        (b"text/x-new", True),
        (b"application/json", True),
        (b"application/ld+json", True),
        (b"image/svg+xml", True),
        (b"application/wasm", True),
        (b"font/ttf", True),
        (b"Text/HTML", True),
        (b"font/woff2", False),
        (b"image/png", False),
        (b"application/zip", False),
        (b"application/octet-stream", False),
        (b"", False),
    ],
)
def test_what_is_worth_compressing(kind: bytes, expected: bool) -> None:
    assert is_compressible(kind) == expected
