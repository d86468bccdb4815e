"""Those of the site's other processes, which write: they name the recorder's app, for nobody adds it."""

from recorded.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "uncork.django"]  # noqa: F405
