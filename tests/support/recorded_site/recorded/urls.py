"""Where the pages are, and what the tests ask for beside them."""

import json
import os

from django.contrib import messages
from django.contrib.auth.views import LoginView
from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from recorded import writes
from recorded.data_pages import PAGES, keys_of
from recorded.list_pages import CONCURRENT
from recorded.visitor_pages import VISITS


def data(request, name, key):
    """A data page as a response."""
    lines = PAGES[name][1](request, key)
    return HttpResponse("\n".join([f"{name} {key}", *lines, ""]), content_type="text/plain")


@csrf_exempt
@require_POST
def write(request):
    return JsonResponse(writes.write(int(request.GET["seed"])))


@csrf_exempt
@require_POST
def say(request):
    messages.info(request, request.GET["text"])
    return HttpResponse("said")


@never_cache
def pages(request):
    """The target of every page there may be, and whether it can be asked for while somebody writes."""
    keys = keys_of()
    found = {
        f"/data/{name}/{key}/": name in CONCURRENT for name, (kind, _) in PAGES.items() for key in keys[kind]
    }
    found |= {f"/visit/{name}/{key}/": True for name, (kind, _) in VISITS.items() for key in keys[kind]}
    return HttpResponse(json.dumps(found), content_type="application/json")


@never_cache
def process(request):
    return HttpResponse(str(os.getpid()))


urlpatterns = [
    path("", process),
    path("write", write),
    path("say", say),
    path("pages", pages),
    path("login/", LoginView.as_view()),
    *[path(f"data/{name}/<key>/", data, {"name": name}) for name in PAGES],
    *[path(f"visit/{name}/<key>/", view) for name, (_, view) in VISITS.items()],
]
