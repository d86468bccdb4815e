"""Static files as the finders find them, in one directory. Run as `python -m uncork.django.collect DIR`.

Lives here: `collectstatic` into a directory that is not the project's. Doesn't know: when that is due.
"""

# mypy: disable-error-code="import-untyped"

from collections.abc import Mapping
from typing import Any

from uncork.django.answers import Refused, answer, in_words


def collect(arguments: list[str]) -> Mapping[str, Any]:
    """Collect into the directory named by the only argument, and leave what is there and unchanged."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    try:
        settings.STATIC_ROOT = arguments[0]
        if settings.DEBUG:  # pages name the files as they are, and hashing them all takes its time
            plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
            settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
        django.setup()
        call_command("collectstatic", interactive=False, verbosity=0)
    except Exception as error:
        raise Refused(in_words(error)) from None
    return {}


if __name__ == "__main__":
    answer(collect)
