"""`manage.py tour`: where to look, and what to try with a site behind Uncork."""

import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from events.models import Event

_TOUR = r"""
  Look          {site}/
                {site}{page}
                {site}/admin/          admin / admin  (for this machine only)
                {site}/login/          demo / demo, with a calendar of their own
                and at this terminal: each page as a MISS or a HIT, each change with the pages that it purged

  A miss        curl -sD- -o /dev/null {site}{page} | grep -i cache-status
  Then a hit    the same once more
  Purge it      {uncork} purge --state-dir {state} --url {site}{page}
  Or save it    {site}/admin/events/event/{pk}/change/
  A miss again  the same curl
  How it is     {uncork} status --state-dir {state}
  Kill the site kill -9 $({uncork} status --state-dir {state} | sed -n 's/^origin.*process \([0-9]*\).*/\1/p')
  A hit still   the same curl, at once: what is stored is served while the site starts again
"""


class Command(BaseCommand):
    help = "Say where to look and what to try."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--bind", default="127.0.0.1:8000", help="where `uncork serve` listens (default: %(default)s)"
        )
        parser.add_argument(
            "--from", dest="base", type=Path, default=Path(), help="where the commands will be typed"
        )

    def handle(self, *args: Any, bind: str, base: Path, **options: Any) -> None:
        event = Event.objects.open(timezone.localdate()).first() or Event.objects.first()
        if event is None:
            self.stdout.write("There is no data yet: manage.py seed")
            return
        host = bind.removeprefix("http://")
        for anywhere in ("0.0.0.0:", "[::]:", ":"):
            if host.startswith(anywhere):
                host = f"localhost:{host.removeprefix(anywhere)}"
        self.stdout.write(
            _TOUR.format(
                site=f"http://{host}",
                page=event.get_absolute_url(),
                pk=event.pk,
                uncork=_relative(Path(sys.executable).with_name("uncork"), base),
                state=_relative(settings.UNCORK_STATE_DIR, base),
            )
        )


def _relative(path: Path, base: Path) -> str:
    relative = os.path.relpath(path, base.resolve())
    return str(path) if relative.startswith("..") else relative
