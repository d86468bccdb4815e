"""What is served: files of four sizes and the origin's pages, 200 URLs of each.

Lives here: the content, its names on disk and in URLs. Doesn't know: who serves it.
"""

import os
import random
from pathlib import Path

URLS = 200
"""As many URLs as are asked for in rotation, in every workload."""

SIZES = {"1k": 1024, "10k": 10 * 1024, "100k": 100 * 1024, "10m": 10 * 1024 * 1024}
PAGE_SIZE = SIZES["10k"]

# 200 times 10 MiB would fill the page cache of a small machine for no gain: the 200 names are links to these.
_LARGE_BODIES = 4


def static_path(size: str, number: int) -> str:
    return f"/static/{size}/{number:03}.css"


def page_path(number: int) -> str:
    """A page that the origin allows caches to keep for an hour."""
    return f"/pages/{number:03}.html"


def pass_path(number: int) -> str:
    """A page that the origin forbids to be stored."""
    return f"/pass/{number:03}.html"


def build(root: Path) -> None:
    """Write the site under `root`, readable by everyone.

    The bytes are random so that no contender gains by compressing what the others send as it is. The
    times of modification differ, so that every URL has its own validator.
    """
    noise = random.Random(9110)
    for number in range(URLS):
        for size in ("1k", "10k", "100k"):
            _write(root, static_path(size, number), noise.randbytes(SIZES[size]), number)
        page = noise.randbytes(PAGE_SIZE)
        _write(root, page_path(number), page, number)
        _write(root, pass_path(number), page, number)
        if number < _LARGE_BODIES:
            _write(root, static_path("10m", number), noise.randbytes(SIZES["10m"]), number)
        else:
            original = root / static_path("10m", number % _LARGE_BODIES)[1:]
            os.link(original, root / static_path("10m", number)[1:])


def _write(root: Path, url_path: str, content: bytes, number: int) -> None:
    file = root / url_path[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    modified = 1_700_000_000 + 60 * number
    os.utime(file, (modified, modified))
