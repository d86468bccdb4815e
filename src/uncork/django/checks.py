"""What `manage.py check` says of the recorder.

Lives here: settings that can't be, and what keeps pages from being cached. Doesn't know: what uses them.
"""

import os
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from uncork.django.clock import state_directory
from uncork.django.names import MIDDLEWARE
from uncork.django.options import read_options


def install() -> None:
    """Have `manage.py check` ask here."""
    register(check_settings)


def check_settings(**_: Any) -> Iterable[CheckMessage]:
    """uncork.E001 to E002, uncork.W001 to W003."""
    try:
        read_options(getattr(settings, "UNCORK", None) or {})
    except ImproperlyConfigured as error:
        yield Error(str(error), id="uncork.E001")
        return
    if MIDDLEWARE not in settings.MIDDLEWARE:
        yield Warning(
            "What pages read is not recorded.",
            hint=f"Put {MIDDLEWARE!r} first in MIDDLEWARE.",
            id="uncork.W001",
        )
    elif settings.MIDDLEWARE[0] != MIDDLEWARE:
        yield Error(
            f"{MIDDLEWARE!r} is not the first in MIDDLEWARE.",
            hint="What the middleware before it reads is not recorded: put it first.",
            id="uncork.E002",
        )
    place = state_directory()
    if not place.is_dir():
        yield Warning(
            f"There is no state directory {place}.",
            hint="Until there is one, no page is cached, and what this process writes takes no page back."
            " uncork serve makes it; UNCORK_STATE_DIR or settings.UNCORK['state_dir'] names another one.",
            id="uncork.W002",
        )
    elif not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        yield Warning(
            f"The state directory {place} can't be written to by this user.",
            hint="No page is cached, and what this process writes takes no page back. Run it as the user that"
            " uncork serve runs as.",
            id="uncork.W003",
        )
