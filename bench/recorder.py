"""What the recorder costs: CPU time and memory of a render, and what a write pays.

    python -m bench.recorder [--rounds 7] [--pages 60]

Lives here: pages of the example site made by its own WSGI application, with the recorder in the settings and
without, and saves in a transaction and out of one. Each contender is a process of its own; they take turns
within a round, on one core. Doesn't know: the edge, whose cost `bench.run` measures.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench.precision import SITE, set_up

# Of a page's kinds, the share that is listed by itself.
_KINDS = ("event", "person", "topic", "organisation", "list")
_SAVES = 200


def child(recorded: bool, directory: Path, pages: int) -> dict[str, Any]:
    """One measured process: microseconds of CPU for a page of each kind and for a save, KiB of memory."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "eventseer.settings",
        "EVENTSEER_DATA": str(directory),
        "EVENTSEER_HOSTS": "testserver",
        "EVENTSEER_DEBUG": "1",  # static files keep their names
        "UNCORK_STATE_DIR": str(directory / ".uncork"),
    }
    sys.path.insert(0, str(SITE))
    import django
    from django.conf import settings

    settings.DEBUG = False
    if not recorded:
        _take_out()
    django.setup()
    from django.core.wsgi import get_wsgi_application
    from django.db import transaction
    from django.test.client import RequestFactory

    from events.models import Comment, Event, Organisation, Person, Topic

    application = get_wsgi_application()
    factory = RequestFactory()
    mark = {}
    if recorded:
        from uncork.django.clock import clock_table

        table = clock_table()
        assert table is not None
        mark = {"HTTP_UNCORK_EDGE": table.name.decode()}

    def render(url: str) -> None:
        # What a browser sends, and a session that nobody is logged in by.
        environ = factory._base_environ(
            **{
                "PATH_INFO": url.partition("?")[0],
                "QUERY_STRING": url.partition("?")[2],
                "HTTP_HOST": "testserver",
                "HTTP_ACCEPT_LANGUAGE": "en-GB,en;q=0.5",
                "HTTP_COOKIE": "_ga=GA1.2.1; theme=dark",
                "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64)",
                **mark,
            }
        )
        answered: list[str] = []
        content = application(environ, lambda status, fields, info=None: answered.append(status))
        length = sum(len(part) for part in content)
        content.close()
        assert answered == ["200 OK"] and length, (url, answered)

    dice = random.Random(1)
    urls: dict[str, list[str]] = {}
    for kind, model in zip(_KINDS, (Event, Person, Topic, Organisation), strict=False):
        rows = list(model.objects.order_by("pk"))
        urls[kind] = [row.get_absolute_url() for row in dice.sample(rows, min(len(rows), pages // 5))]
    urls["list"] = ["/", "/events/", "/people/", "/topics/", "/organisations/", "/feeds/events.rss"]
    for url in [url for found in urls.values() for url in found]:  # templates, statements, memory
        render(url)
    times: dict[str, float] = {}
    for kind, found in urls.items():
        all_of_them = partial(_each, render, found)
        times[kind] = min(_cpu(all_of_them) for _ in range(3)) / len(found)
    event = Event.objects.first()
    assert event is not None

    def save() -> None:
        Comment(event=event, name="A visitor", text="A comment.").save()

    def save_together() -> None:
        with transaction.atomic():
            for _ in range(_SAVES):
                save()

    def change() -> None:
        with transaction.atomic():
            for comment in Comment.objects.filter(name="A visitor")[:_SAVES]:
                comment.text += "."
                comment.save()

    times["insert, alone"] = _cpu(lambda: [save() for _ in range(_SAVES)]) / _SAVES
    times["insert, in a transaction of 200"] = _cpu(save_together) / _SAVES
    times["update, in a transaction of 200"] = _cpu(change) / _SAVES
    return {"times": times, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def _take_out() -> None:
    """The site as it would be without Uncork: its settings have the recorder."""
    from django.conf import settings

    from uncork.django.names import APP, MIDDLEWARE

    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != APP]
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != MIDDLEWARE]


def _each(work: Callable[[str], None], of: list[str]) -> None:
    for one in of:
        work(one)


def _cpu(work: Callable[[], object]) -> float:
    """Microseconds."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e6


def measure(rounds: int, pages: int, core: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each round's figures, without the recorder and with it."""
    result = []
    with tempfile.TemporaryDirectory() as name:
        made = subprocess.run([sys.executable, "-m", "bench.recorder", "--set-up", name], check=False)
        made.check_returncode()
        for number in range(rounds):
            found = {}
            for recorded in (False, True) if number % 2 else (True, False):
                command = [sys.executable, "-m", "bench.recorder", "--child", name, "--pages", str(pages)]
                command = ["taskset", "-c", str(core), *command, *(["--recorded"] if recorded else [])]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
                found[recorded] = json.loads(done.stdout.splitlines()[-1])
            result.append((found[False], found[True]))
    return result


def table_of(rounds: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """As Markdown: medians, and ratios within the rounds."""
    lines = ["| | without | recorded | more | |", "| --- | ---: | ---: | ---: | ---: |"]
    for what in rounds[0][0]["times"]:
        without = median(before["times"][what] for before, _ in rounds)
        recorded = median(after["times"][what] for _, after in rounds)
        ratio = median(after["times"][what] / before["times"][what] for before, after in rounds)
        name = f"{what} page" if what in _KINDS else what
        lines.append(
            f"| {name} | {without:,.0f} µs | {recorded:,.0f} µs | {recorded - without:,.0f} µs |"
            f" {(ratio - 1) * 100:+.1f} % |"
        )
    memory = [median(each[part]["memory"] for each in rounds) / 1024 for part in (0, 1)]
    more = memory[1] - memory[0]
    lines.append(
        f"| memory of the process | {memory[0]:.1f} MiB | {memory[1]:.1f} MiB | {more:.1f} MiB |"
        f" {(memory[1] / memory[0] - 1) * 100:+.1f} % |"
    )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pages", type=int, default=60)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--set-up", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--recorded", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.set_up is not None:
        set_up(arguments.set_up)
    elif arguments.child is not None:
        print(json.dumps(child(arguments.recorded, arguments.child, arguments.pages)))
    else:
        print(table_of(measure(arguments.rounds, arguments.pages, arguments.core)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
