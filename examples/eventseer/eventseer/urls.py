"""The site's addresses: the events application, and Django's admin."""

from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("events.urls")),
    path("admin/", admin.site.urls),
    *static(
        settings.MEDIA_URL, document_root=settings.MEDIA_ROOT
    ),  # only while debugging; else the server does it
]
