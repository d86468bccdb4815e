"""What a project is: its application, and where its files are. Run as `python -m uncork.django.describe`.

Lives here: reading the settings, importing the application and its URLs. Doesn't know: what is done with it.
"""

# mypy: disable-error-code="import-untyped"

import importlib
import inspect
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from uncork.django.answers import Refused, answer, in_words
from uncork.django.injected import is_complete

_PLAIN_STORAGE = "django.contrib.staticfiles.storage.StaticFilesStorage"


def describe(arguments: list[str]) -> Mapping[str, Any]:
    """`arguments`: `MODULE:NAME`, or nothing for the application that the settings name.

    Keys: application, asgi, django (whether there are settings), and then records (whether they name the
    recorder), debug, hosts, static_url,
    static_root, finders, manifest, media_url, media_root. A URL or root is None where nothing is to be
    served from it.
    """
    application = arguments[0] if arguments else _application_of_settings()
    found = _load(application)
    kind = {"application": application, "asgi": _is_asgi(found)}
    try:
        from django.conf import settings
    except ImportError:
        return {**kind, "django": False}
    if not settings.configured:
        return {**kind, "django": False}
    _load_urls(settings)
    try:
        return {**kind, "django": True, **_of_settings(settings)}
    except Exception as error:
        raise Refused(f"the settings say what can't be: {in_words(error)}") from None


def _application_of_settings() -> str:
    module = os.environ["DJANGO_SETTINGS_MODULE"]
    try:
        from django.conf import settings
        from django.core.exceptions import ImproperlyConfigured
    except ImportError:
        raise Refused("Django is not installed in this Python environment") from None
    try:
        wsgi, asgi = settings.WSGI_APPLICATION, getattr(settings, "ASGI_APPLICATION", None)
    except ImproperlyConfigured as error:
        raise Refused(f"the settings of {module} are refused: {error}") from None
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(error.name + ".")):
            raise Refused(f"there is no settings module {module!r} (from DJANGO_SETTINGS_MODULE)") from None
        raise Refused(f"importing the settings {module!r}: {in_words(error)}") from None
    except Exception as error:
        raise Refused(f"importing the settings {module!r}: {in_words(error)}") from None
    dotted = wsgi or asgi or f"{module.partition('.')[0]}.wsgi.application"
    name, _, attribute = dotted.rpartition(".")
    return f"{name}:{attribute}"


def _load(application: str) -> Any:
    name, _, attribute = application.partition(":")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise Refused(f"there is no module {error.name!r} for the application {application!r}") from None
        raise Refused(f"importing the application {application!r}: {in_words(error)}") from None
    except Exception as error:
        raise Refused(f"importing the application {application!r}: {in_words(error)}") from None
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        offered = [known for known in ("application", "app") if callable(getattr(module, known, None))]
        meant = f"; did you mean '{name}:{offered[0]}'?" if offered else ""
        raise Refused(f"the module {name!r} has no application {attribute!r}{meant}")
    return found


def _load_urls(settings: Any) -> None:
    """Import what the first request would: with a URLconf that can't be, every answer is a 500."""
    from django.apps import apps
    from django.urls import get_resolver

    root = getattr(settings, "ROOT_URLCONF", None)
    if root is None or not apps.ready:  # the settings are there, and the application makes no use of them
        return
    resolvers = [get_resolver()]
    try:
        while resolvers:
            resolvers += [found for found in resolvers.pop().url_patterns if hasattr(found, "url_patterns")]
    except Exception as error:
        raise Refused(f"importing the URLs {root!r}: {in_words(error)}") from None


def _is_asgi(application: Any) -> bool:
    call = application if inspect.isroutine(application) else getattr(application, "__call__", application)  # noqa: B004
    return inspect.iscoroutinefunction(application) or inspect.iscoroutinefunction(call)


def _of_settings(settings: Any) -> dict[str, Any]:
    finders = "django.contrib.staticfiles" in settings.INSTALLED_APPS
    local, manifest = _static_storage(settings) if finders else (True, False)
    return {
        "records": is_complete(settings),
        "debug": bool(settings.DEBUG),
        "hosts": [str(host) for host in settings.ALLOWED_HOSTS],
        "static_url": _prefix(settings.STATIC_URL) if local else None,
        "static_root": str(settings.STATIC_ROOT) if settings.STATIC_ROOT else None,
        "finders": finders,
        "manifest": manifest and not settings.DEBUG,
        "media_url": _prefix(settings.MEDIA_URL),
        "media_root": str(settings.MEDIA_ROOT) if settings.MEDIA_ROOT else None,
    }


def _static_storage(settings: Any) -> tuple[bool, bool]:
    """Whether static files are kept on this machine, and whether their names come from a manifest.

    The class tells it: an object of it may want its manifest at once.
    """
    from django.contrib.staticfiles.storage import ManifestFilesMixin, StaticFilesStorage
    from django.utils.module_loading import import_string

    kind = import_string(settings.STORAGES.get("staticfiles", {}).get("BACKEND", _PLAIN_STORAGE))
    return issubclass(kind, StaticFilesStorage), issubclass(kind, ManifestFilesMixin)


def _prefix(url: str | None) -> str | None:
    """The path of a URL of files, when it is one of this site and not all of it."""
    if not url:
        return None
    parts = urlsplit(url)
    return parts.path if not parts.netloc and parts.path.strip("/") and parts.path[0] == "/" else None


if __name__ == "__main__":
    answer(describe)
