"""`uncork what-if`: which stored pages a change of a row would purge.

Lives here: the command; the store is gone through for pages that have one of the tags. Doesn't know: which
tags a change has, which the project is asked (`uncork.django.whatif`).
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from uncork.cli.arguments import options_named, with_options
from uncork.cli.purge import find_state_dir, open_clock
from uncork.cli.site import find_project, what_if_of
from uncork.cli.tagwords import in_words, precision, text
from uncork.edge.plan import BadConfiguration
from uncork.pages.clock import PurgeClock, Verdict
from uncork.pages.page import Page
from uncork.pages.tags import tag_slot
from uncork.stores.listing import pages


@click.command(
    "what-if",
    epilog="""\b
Examples:
  uncork what-if events.Event 42            all its columns change
  uncork what-if events.Event 42 title      only this one does""",
)
@click.argument("model")
@click.argument("pk")
@click.argument("columns", nargs=-1, metavar="[COLUMN]...")
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@with_options(options_named("state_dir"))
@click.option(
    "--config", metavar="FILE", help="The configuration file.  [default: uncork.toml beside manage.py]"
)
def what_if(
    model: str, pk: str, columns: tuple[str, ...], as_json: bool, state_dir: str | None, config: str | None
) -> int:
    """Show which stored pages a change of a row would purge, and by which tag. Nothing is changed.

    MODEL is like app.Model, PK the row's primary key, COLUMN a column or field that changes (default: all).
    """
    path = find_state_dir(state_dir, config)
    if not (path / "pages").is_dir():
        raise BadConfiguration(f"there are no pages in {path}")
    asked = what_if_of(find_project(Path.cwd()), path, [model, pk, *columns])
    tags = [tag.encode("latin-1") for tag in asked.pop("tags")]
    table = open_clock(path)
    try:
        found = {**asked, **would_be_purged(pages(path / "pages"), table.clock, tags)}
    finally:
        table.close(clean=False)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(told(found)))
    return 0


def would_be_purged(stored: Iterable[Page], clock: PurgeClock, tags: Iterable[bytes]) -> dict[str, Any]:
    """The pages that a purge of these tags takes back, by URL.

    Keys: tags, valid (how many stored pages are, now), pages: url, inputs (what selects this one of the URL's
    pages), tags (that it has, the most telling first).
    """
    tags = sorted(tags, key=lambda tag: (precision(tag), tag))
    slots: dict[int, list[bytes]] = {}
    for tag in tags:
        slots.setdefault(tag_slot(tag, clock.slots), []).append(tag)
    valid = 0
    found = []
    for page in stored:
        if clock.verdict(page.stamp, page.slots) is Verdict.PURGED:
            continue
        valid += 1
        hit = {tag for slot in page.slots for tag in slots.get(slot, ())}
        if hit:
            found.append(
                {
                    "url": text(page.url),
                    "inputs": {text(name): text(value) for name, value in page.inputs if value is not None},
                    "tags": [text(tag) for tag in tags if tag in hit],
                }
            )
    found.sort(key=lambda page: (str(page["url"]), sorted(page["inputs"].items())))  # type: ignore[attr-defined]
    return {"tags": [text(tag) for tag in tags], "valid": valid, "pages": found}


def told(found: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    purged = len(found["pages"])
    yield f"row:     {found['row']}"
    yield f"changes: {', '.join(found['columns']) or 'nothing'}"
    if found["unknown"]:
        yield f"         and pages that show rows by the new value of {' or '.join(found['unknown'])}"
    yield f"purges:  {purged:,} of {found['valid']:,} stored pages"
    for page in found["pages"]:
        inputs = "".join([f"  {name} {value!r}" for name, value in page["inputs"].items()])
        yield f"  {page['url']}{inputs}"
        yield f"      {in_words(page['tags'][0].encode())}"
