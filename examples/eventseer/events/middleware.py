"""Tells the browser's script whether somebody is logged in."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

MARKER = "signed_in"


def signed_in_marker(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """A cookie that comes and goes with the session's own, which scripts can't read.

    Pages are the same for everybody, so the script asks `/me/` for the name in the header. This cookie
    spares everybody who is not logged in that request. It proves nothing and no view reads it.
    """

    def mark(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        session = response.cookies.get(settings.SESSION_COOKIE_NAME)
        if session is not None and session.value:
            response.set_cookie(MARKER, "1", max_age=session["max-age"] or None, samesite="Lax")
        elif session is not None:
            response.delete_cookie(MARKER, samesite="Lax")
        return response

    return mark
