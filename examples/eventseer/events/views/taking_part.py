"""Pages for one visitor, never cached: comments, uploads, the calendar, and who is logged in."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from events.forms import AttachmentForm, CommentForm, FollowForm, SignUpForm
from events.ical import calendar as ical_calendar
from events.models import Event, Follow
from events.views.browsing import get_or_404


def _event(pk: int) -> Any:
    return get_or_404(Event.objects.select_related("organisation"), pk)


@never_cache
@require_GET
def me(request: HttpRequest) -> JsonResponse:
    """Who is logged in, for the header of pages that are the same for everybody."""
    user = request.user
    if not user.is_authenticated:
        return JsonResponse({"name": None})
    return JsonResponse({"name": user.get_full_name() or user.get_username(), "staff": user.is_staff})


@never_cache
@require_GET
def csrf(request: HttpRequest) -> JsonResponse:
    """A token for a form on a page that is the same for everybody."""
    return JsonResponse({"token": get_token(request)})


@never_cache
def comment(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    event = _event(pk)
    user = request.user if request.user.is_authenticated else None
    form = CommentForm(request.POST or None, user=user)
    if request.method == "POST" and form.is_valid():
        form.instance.event = event
        return redirect(form.save())
    return render(request, "events/comment.html", {"event": event, "form": form})


@never_cache
@login_required
def attach(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    event = _event(pk)
    form = AttachmentForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        form.instance.event, form.instance.user = event, request.user
        form.save()
        return redirect(f"{event.get_absolute_url()}#attachments")
    return render(request, "events/attach.html", {"event": event, "form": form})


@never_cache
@login_required
def follow(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    event = _event(pk)
    known = Follow.objects.filter(user=request.user, event=event).first()
    form = FollowForm(request.POST or None, instance=known or Follow(user=request.user, event=event))
    if request.method == "POST" and "remove" in request.POST:
        Follow.objects.filter(user=request.user, event=event).delete()
        messages.info(request, f"{event.name} is no longer in your calendar.")
        return redirect("calendar")
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, f"{event.name} is in your calendar.")
        return redirect("calendar")
    return render(request, "events/follow.html", {"event": event, "form": form, "known": known})


def _followed(request: HttpRequest) -> Any:
    follows = Follow.objects.filter(user=request.user).select_related("event__organisation")
    return follows.order_by("event__starts")


@never_cache
@login_required
def calendar(request: HttpRequest) -> HttpResponse:
    follows = list(_followed(request))
    today = timezone.localdate()
    dates = [
        (follow.event.deadline, "Submission deadline", follow) for follow in follows if follow.event.deadline
    ]
    dates += [
        (follow.event.notification, "Notification", follow) for follow in follows if follow.event.notification
    ]
    dates += [(follow.event.starts, "Begins", follow) for follow in follows]
    ahead = sorted((row for row in dates if row[0] >= today), key=lambda row: (row[0], row[2].pk))
    return render(request, "events/calendar.html", {"follows": follows, "ahead": ahead})


@never_cache
@login_required
def calendar_ical(request: HttpRequest) -> HttpResponse:
    site = f"{request.scheme}://{request.get_host()}"
    content = ical_calendar([follow.event for follow in _followed(request)], request.get_host(), site)
    return HttpResponse(content, content_type="text/calendar; charset=utf-8")


@never_cache
def sign_up(request: HttpRequest) -> HttpResponse:
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            login(request, form.save())
        messages.success(request, "Welcome! Add events to your calendar with the button on their pages.")
        return redirect("calendar")
    return render(request, "registration/sign_up.html", {"form": form})
