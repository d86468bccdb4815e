"""An application with the recorder in its settings, though nobody wrote it there.

Lives here: what `uncork serve` has gunicorn load. Doesn't know: what the app and the middleware do.

The app is added to INSTALLED_APPS, and the middleware in front of MIDDLEWARE, whenever settings are read or
configured in this process: so it is the same whether a project's wsgi.py, its asgi.py or something of its own
sets Django up. What the settings have themselves stays where it is.
"""

from collections.abc import Sequence
from typing import Any

from uncork.django.names import APP, MIDDLEWARE


def application(name: str) -> Any:
    """The application called that, `mysite.wsgi:application`, as gunicorn would find it."""
    from gunicorn.util import import_app

    inject()
    return import_app(name)


def inject() -> None:
    """See to it that settings which are made from now on have the recorder."""
    from django.conf import LazySettings, Settings

    read, configured = Settings.__init__, LazySettings.configure

    def __init__(self: Any, module: str) -> None:
        read(self, module)
        add_to(self)

    def configure(self: Any, *arguments: Any, **values: Any) -> None:
        configured(self, *arguments, **values)
        add_to(self._wrapped)

    Settings.__init__ = __init__
    LazySettings.configure = configure


def add_to(settings: Any) -> None:
    """Add what is missing."""
    if not has_app(settings.INSTALLED_APPS):
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, APP]
    if MIDDLEWARE not in settings.MIDDLEWARE:
        settings.MIDDLEWARE = [MIDDLEWARE, *settings.MIDDLEWARE]


def has_app(installed: Sequence[str]) -> bool:
    """Whether the app is among them, by its name or by its configuration's."""
    return any(app == APP or app.startswith(APP + ".") for app in installed)


def is_complete(settings: Any) -> bool:
    """Whether settings have the recorder by themselves."""
    return has_app(settings.INSTALLED_APPS) and MIDDLEWARE in settings.MIDDLEWARE
