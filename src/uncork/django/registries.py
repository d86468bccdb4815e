"""What Django keeps of the database in the process: content types, and the current site.

Lives here: each use of them counts as a read of their rows. Doesn't know: other memories (`caches`).
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.apps import apps
from django.conf import settings

from uncork.django.recording import current


def install() -> None:
    """Put the hooks into the managers of the applications that are installed."""
    if apps.is_installed("django.contrib.contenttypes"):
        from django.contrib.contenttypes.models import ContentTypeManager

        for name in ("get_by_natural_key", "get_for_model", "get_for_models", "get_for_id"):
            setattr(ContentTypeManager, name, _read(getattr(ContentTypeManager, name)))
    if apps.is_installed("django.contrib.sites"):
        from django.contrib.sites.models import SiteManager

        SiteManager.get_current = _read_site(SiteManager.get_current)


def _read(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def read(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        recordings = current()
        if recordings:
            meta = self.model._meta
            found = result.values() if isinstance(result, dict) else (result,)
            keys = [b"%d" % one.pk for one in found]
            for recording in recordings:
                recording.read_rows(meta.db_table, meta.pk.column, keys)
        return result

    return read


def _read_site(original: Callable[..., Any]) -> Callable[..., Any]:
    """By its key when the settings have that; else it is looked for by its name, ignoring case."""
    by_key = _read(original)

    @wraps(original)
    def get_current(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(settings, "SITE_ID", ""):
            return by_key(self, *args, **kwargs)
        for recording in current():
            recording.read_table(self.model._meta.db_table)
        return original(self, *args, **kwargs)

    return get_current
