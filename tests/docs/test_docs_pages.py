"""The documentation: what is made from the source is up to date; links and names lead somewhere."""

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("examples/*/*.md")])

ROOMS = sorted(path.name for path in (ROOT / "src" / "uncork").iterdir() if (path / "__init__.py").exists())

_link = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_heading = re.compile(r"^#+ +(.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "_generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_made_from_the_source_is_up_to_date(generator: ModuleType) -> None:
    found = dict(generator.pages())
    assert {path.name for path in found} == {"cache.md", "recording-edge.md", "supported.md"}
    for path, page in found.items():
        assert path.read_text() == page, f"{path.name} is old: run make docs"


def test_citations_are_read_as_they_are_written(generator: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "topic.py").write_text(
        '"""Does it. Source: RFC 9110 §8.8.2.1, §8.8.3,\n    RFC 9111 §4 to §4.2 and more. RFC 1234 §5"""\n'
        "# One. Source: RFC 7932, RFC 9112 §6.3;\n# RFC 9110 §2 (a reason), §3\nx = 1  # RFC 9999 §9\n"
    )
    generator.SOURCE = tmp_path
    try:
        found = list(generator.citations())
    finally:
        generator.SOURCE = ROOT / "src" / "uncork"
    assert [(rfc, section) for rfc, section, module in found] == [
        ("9110", "8.8.2.1"),
        ("9110", "8.8.3"),
        ("9111", "4 to §4.2"),
        ("7932", ""),
        ("9112", "6.3"),
        ("9110", "2"),
        ("9110", "3"),
    ]
    assert {module for _, _, module in found} == {"room.topic"}


def anchors(page: str) -> set[str]:
    """As GitHub makes them of the headings, and those that are written out."""
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _heading.findall(page)}
    return made | set(re.findall(r'<a id="([^"]+)"></a>', page))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in _link.findall(path.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = path.parent / name if name else path
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text()), target


_name = re.compile(r"`((?:" + "|".join(ROOMS) + r")\.[\w.]+)`")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_of_the_code_are_real(path: Path) -> None:
    for name in _name.findall(path.read_text()):
        parts = f"uncork.{name}".split(".")
        found: object = importlib.import_module(".".join(parts[:3]))
        for part in parts[3:]:
            assert hasattr(found, part) or part in getattr(found, "__annotations__", {}), name
            found = getattr(found, part, None)
