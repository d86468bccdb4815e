"""Django's own middleware: what each reads counts only for what a page made of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sites.models import Site as DjangoSite
from django.db import connection
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.template import engines
from django.test import override_settings
from django.urls import path
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext
from django.views.decorators.cache import cache_page
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import condition

from support.django_requests import AUTH, CSRF, MESSAGES, SESSIONS, Site

COMMON = "django.middleware.common.CommonMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"
USUAL = [
    "django.middleware.security.SecurityMiddleware",
    SESSIONS,
    COMMON,
    CSRF,
    AUTH,
    MESSAGES,
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TOKEN = "a" * 32
FLAT = {"flatpages/default.html": "{{ flatpage.content }}"}
FLAT_TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", FLAT)]},
    }
]


@pytest.fixture
def site(tmp_path: Path, sqlite: str) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.table.close()


def plain(request: Any) -> HttpResponse:
    return HttpResponse("the same for all")


def test_a_usual_site_has_pages_that_depend_on_nothing(site: Site) -> None:
    fields = {"Cookie": f"sessionid={'s' * 32}; csrftoken={TOKEN}; messages=x", "User-Agent": "tests"}
    for asgi in (False, True):
        answer = site.ask(plain, fields=fields, middleware=USUAL, asgi=asgi)
        assert (answer.inputs, answer.unshared) == (set(), None)
        assert "vary" not in answer.fields and not answer.cookies
        assert answer.fields["cache-control"] == "no-cache"
        assert answer.fields["uncork-cache-control"] == "max-age=600"


# Sessions


def test_a_session_that_is_used_makes_the_page_its_owners(site: Site) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(str(request.session.get("name")))

    anonymous = site.ask(view, middleware=USUAL)
    assert (anonymous.inputs, anonymous.unshared) == ({"cookie:sessionid"}, None)
    assert anonymous.fields["vary"] == "Cookie"
    owner = site.ask(view, fields={"Cookie": f"sessionid={'s' * 32}"}, middleware=USUAL)
    assert (owner.inputs, owner.unshared) == ({"cookie:sessionid"}, "session")
    assert owner.fields["cache-control"] == "private, no-cache"
    assert "uncork-cache-control" not in owner.fields


@pytest.mark.parametrize(
    "use",
    [
        lambda request: request.session.session_key,  # of which Django sees nothing
        lambda request: "name" in request.session,
        lambda request: str(request.user),
        lambda request: request.user.is_authenticated,
    ],
)
@pytest.mark.parametrize("asgi", [False, True], ids=["wsgi", "asgi"])
def test_every_use_of_a_session_counts(site: Site, use: Callable[[Any], Any], asgi: bool) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(str(use(request)))

    answer = site.ask(view, fields={"Cookie": f"sessionid={'s' * 32}"}, middleware=USUAL, asgi=asgi)
    assert (answer.inputs, answer.unshared) == ({"cookie:sessionid"}, "session")
    assert "cookie:sessionid" in site.ask(view, middleware=USUAL, asgi=asgi).inputs


def test_an_asynchronous_user_is_of_the_session(site: Site) -> None:
    async def view(request: Any) -> HttpResponse:
        return HttpResponse(str(await request.auser()))

    answer = site.ask(view, middleware=USUAL, asgi=True)
    assert (answer.inputs, answer.unshared) == ({"cookie:sessionid"}, None)


def test_a_user_who_is_logged_in(site: Site) -> None:
    user = User.objects.create_user("ada")
    session = SessionStore()
    session["_auth_user_id"] = str(user.pk)
    session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    session["_auth_user_hash"] = user.get_session_auth_hash()
    session.save()
    fields = {"Cookie": f"sessionid={session.session_key}"}
    answer = site.ask(lambda r: HttpResponse(r.user.username), fields=fields, middleware=USUAL)
    assert (answer.body, answer.unshared) == (b"ada", "session")
    assert site.ask(plain, fields=fields, middleware=USUAL).unshared is None


def test_a_session_that_begins_can_not_be_shared(site: Site) -> None:
    def view(request: Any) -> HttpResponse:
        request.session["name"] = "x"
        return HttpResponse()

    answer = site.ask(view, middleware=USUAL)
    assert answer.cookies and answer.inputs == {"cookie:sessionid"}
    assert answer.fields["cache-control"] == "private, no-cache"


def test_a_session_cookie_that_is_taken_away_is_no_matter_of_others(site: Site) -> None:
    answer = site.ask(plain, fields={"Cookie": "sessionid=short"}, middleware=USUAL)
    assert answer.cookies and answer.inputs == {"cookie:sessionid"}


def test_sessions_that_are_renewed_with_every_request(site: Site) -> None:
    answer = site.ask(plain, middleware=USUAL, SESSION_SAVE_EVERY_REQUEST=True)
    assert (answer.inputs, answer.unshared) == ({"cookie:sessionid"}, None)


def test_login_required_is_a_use_of_the_session(site: Site) -> None:
    answer = site.ask(
        plain,
        middleware=[*USUAL, "django.contrib.auth.middleware.LoginRequiredMiddleware"],
        LOGIN_URL="/login/",
    )
    assert (answer.status, answer.inputs, answer.unshared) == (302, {"cookie:sessionid", "query"}, None)


# CSRF


@pytest.mark.parametrize(
    "view",
    [
        lambda request: HttpResponse(get_token(request)),
        lambda request: HttpResponse(request.META.get("CSRF_COOKIE")),
        ensure_csrf_cookie(plain),
        lambda r: HttpResponse(engines["django"].from_string("{% csrf_token %}").render({}, r)),
    ],
)
@pytest.mark.parametrize("in_session", [False, True], ids=["cookie", "session"])
def test_a_token_is_one_visitors_own(site: Site, view: Callable[..., Any], in_session: bool) -> None:
    for fields in ({}, {"Cookie": f"csrftoken={TOKEN}; sessionid={'s' * 32}"}):
        answer = site.ask(view, fields=fields, middleware=USUAL, CSRF_USE_SESSIONS=in_session)
        assert answer.unshared == "csrf-token"
        assert answer.fields["cache-control"] == "private, no-cache"


def test_a_token_that_can_not_be_right_is_replaced_for_who_sent_it_alone(site: Site) -> None:
    answer = site.ask(plain, fields={"Cookie": "csrftoken=bad"}, middleware=USUAL)
    assert answer.cookies and (answer.inputs, answer.unshared) == ({"cookie:csrftoken"}, None)


def test_a_token_in_the_session_is_not_asked_for_on_every_page(site: Site) -> None:
    session = SessionStore()
    session["name"] = "x"
    session.save()
    for cookie in ("a=1", f"sessionid={session.session_key}"):
        answer = site.ask(plain, fields={"Cookie": cookie}, middleware=USUAL, CSRF_USE_SESSIONS=True)
        assert (answer.inputs, answer.unshared) == (set(), None)
        assert "vary" not in answer.fields


def test_a_view_that_reads_the_cookie_itself(site: Site) -> None:
    answer = site.ask(lambda r: HttpResponse(r.COOKIES.get("csrftoken")), middleware=USUAL)
    assert (answer.inputs, answer.unshared) == ({"cookie:csrftoken"}, None)


# Messages


def show(request: Any) -> HttpResponse:
    return HttpResponse(",".join(str(message) for message in messages.get_messages(request)))


def test_whether_there_are_messages_is_read_off_a_cookie(site: Site) -> None:
    answer = site.ask(show, middleware=USUAL)
    assert (answer.inputs, answer.unshared) == ({"cookie:messages"}, None)


def test_messages_that_are_shown_are_for_once(site: Site) -> None:
    def write(request: Any) -> HttpResponse:
        messages.info(request, "hello")
        return HttpResponse()

    written = site.ask(write, middleware=USUAL)
    assert written.cookies and "cookie:messages" in written.inputs
    cookie = written.cookies[0].partition(";")[0]
    shown = site.ask(show, fields={"Cookie": cookie}, middleware=USUAL)
    assert (shown.body, shown.unshared) == (b"hello", "messages")


def test_messages_in_the_session_are_a_use_of_it(site: Site) -> None:
    storage = "django.contrib.messages.storage.session.SessionStorage"
    assert site.ask(plain, middleware=USUAL, MESSAGE_STORAGE=storage).inputs == set()
    assert site.ask(show, middleware=USUAL, MESSAGE_STORAGE=storage).inputs == {"cookie:sessionid"}


# Languages


def language(request: Any) -> HttpResponse:
    return HttpResponse(gettext("Yes"))


def test_a_language_is_found_by_cookie_and_field(site: Site) -> None:
    answer = site.ask(language, fields={"Accept-Language": "de"}, middleware=[SESSIONS, LOCALE])
    assert (answer.body, answer.unshared) == (b"Ja", None)
    assert answer.inputs == {"cookie:django_language", "field:accept-language"}
    assert answer.fields["vary"] == "Accept-Language, Cookie"


def test_a_language_in_the_path_is_no_input(site: Site) -> None:
    from django.conf.urls.i18n import i18n_patterns

    patterns = tuple(i18n_patterns(path("page/", language)))
    answer = site.ask(patterns, "/de/page/", middleware=[LOCALE])
    assert (answer.body, answer.inputs) == (b"Ja", set())
    assert "vary" not in answer.fields
    away = site.ask(patterns, "/page/", {"Accept-Language": "de", "Cookie": "_ga=1"}, middleware=[LOCALE])
    assert (away.status, away.fields["location"]) == (302, "/de/page/")
    assert away.inputs == {"cookie:django_language", "field:accept-language", "query"}


# The others


def test_user_agents_that_are_refused_are_an_input(site: Site) -> None:
    import re

    fields = {"User-Agent": "tests"}
    assert site.ask(plain, fields=fields, middleware=[COMMON]).inputs == set()
    found = site.ask(plain, fields=fields, middleware=[COMMON], DISALLOWED_USER_AGENTS=[re.compile("bad")])
    assert found.inputs == {"field:user-agent"}


def test_a_slash_that_is_appended_keeps_the_query(site: Site) -> None:
    answer = site.ask(plain, "/page?a=1", middleware=[COMMON])
    assert (answer.status, answer.fields["location"], answer.inputs) == (301, "/page/?a=1", {"query"})
    assert site.ask(plain, "/none/?a=1", middleware=[COMMON]).inputs == set()


def test_a_www_that_is_prepended_keeps_the_query(site: Site) -> None:
    answer = site.ask(plain, "/page/?a=1", middleware=[COMMON], PREPEND_WWW=True)
    assert (answer.status, answer.inputs) == (301, {"query"})


def test_what_goes_into_a_mail_about_a_broken_link_is_not_in_the_page(site: Site) -> None:
    broken = "django.middleware.common.BrokenLinkEmailsMiddleware"
    fields = {"Referer": "http://example.org/other/", "User-Agent": "tests"}
    answer = site.ask(plain, "/none/?a=1", fields, middleware=[broken])
    assert (answer.status, answer.inputs, answer.unshared) == (404, set(), None)


def test_https_that_is_asked_for_keeps_the_query(site: Site) -> None:
    security = "django.middleware.security.SecurityMiddleware"
    answer = site.ask(plain, "/page/?a=1", middleware=[security], SECURE_SSL_REDIRECT=True)
    assert (answer.status, answer.inputs) == (301, {"query"})
    proxied = ("HTTP_X_FORWARDED_PROTO", "https")
    fields = {"X-Forwarded-Proto": "https"}
    answer = site.ask(
        plain,
        "/page/",
        fields,
        middleware=[security],
        SECURE_SSL_REDIRECT=True,
        SECURE_PROXY_SSL_HEADER=proxied,
    )
    assert (answer.status, answer.inputs) == (200, set())


def test_what_django_compresses_depends_on_the_codings(site: Site) -> None:
    gzip = "django.middleware.gzip.GZipMiddleware"
    answer = site.ask(
        lambda r: HttpResponse("x" * 1000), fields={"Accept-Encoding": "gzip"}, middleware=[gzip]
    )
    assert answer.fields["content-encoding"] == "gzip"
    assert answer.inputs == {"field:accept-encoding"} and answer.fields["vary"] == "Accept-Encoding"
    assert site.ask(plain, fields={"Accept-Encoding": "gzip"}, middleware=[gzip]).inputs == set()


@pytest.mark.parametrize("asgi", [False, True], ids=["wsgi", "asgi"])
def test_a_condition_is_no_input_and_a_304_tells_what_its_page_would(site: Site, asgi: bool) -> None:
    conditional = "django.middleware.http.ConditionalGetMiddleware"

    def view(request: Any) -> HttpResponse:
        return HttpResponse("x" + request.GET.get("q", ""))

    page = site.ask(view, middleware=[conditional], asgi=asgi)
    fields = {"If-None-Match": page.fields["etag"]}
    same = site.ask(view, fields=fields, middleware=[conditional], asgi=asgi)
    assert (page.status, same.status) == (200, 304)
    assert page.inputs == same.inputs == {"query:q"}
    assert same.fields["uncork-cache-control"] == page.fields["uncork-cache-control"] == "max-age=600"


def test_a_condition_of_the_view(site: Site) -> None:
    view = condition(etag_func=lambda request: '"1"')(plain)
    answer = site.ask(view, fields={"If-None-Match": '"1"'})
    assert (answer.status, answer.inputs, answer.unshared) == (304, set(), None)


def test_a_page_of_djangos_cache_depends_on_its_key(site: Site) -> None:
    view = cache_page(60)(plain)
    for _ in range(2):
        answer = site.ask(view, "/page/?a=1")
        assert (answer.inputs, answer.unshared) == ({"query"}, None)
        assert answer.fields["cache-control"] == "max-age=60"
    answer = site.ask(view, "/page/?a=2", {"Authorization": "Basic eA=="})
    assert answer.inputs == {"query", "field:authorization"}  # Django keeps it for this one


def test_a_site_by_its_host_is_in_the_key(site: Site) -> None:
    current = "django.contrib.sites.middleware.CurrentSiteMiddleware"
    DjangoSite.objects.get_or_create(pk=1, defaults={"domain": "example.org", "name": "x"})
    answer = site.ask(lambda r: HttpResponse(str(r.site.pk)), middleware=[current])
    assert (answer.body, answer.inputs, answer.unshared) == (b"1", set(), None)


def test_what_is_found_instead_of_a_404(site: Site) -> None:
    more = ["django.contrib.flatpages", "django.contrib.redirects"]
    fallbacks = [
        "django.contrib.redirects.middleware.RedirectFallbackMiddleware",
        "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
    ]
    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, *more]):
        from django.contrib.flatpages.models import FlatPage
        from django.contrib.redirects.models import Redirect

        with connection.schema_editor() as editor:
            editor.create_model(FlatPage)
            editor.create_model(Redirect)
        try:
            here = DjangoSite.objects.get(pk=1)
            Redirect.objects.create(site=here, old_path="/old/?a=1", new_path="/new/")
            for address, registered in (("/flat/", False), ("/inner/", True)):
                flat = FlatPage.objects.create(url=address, content="flat", registration_required=registered)
                flat.sites.add(here)

            def find(target: str) -> tuple[int, set[str]]:
                answer = site.ask(plain, target, middleware=[*USUAL, *fallbacks], TEMPLATES=FLAT_TEMPLATES)
                assert answer.unshared is None
                return answer.status, answer.inputs

            # The redirects come last on the way out, and are looked up by the whole query.
            assert find("/old/?a=1") == (301, {"query"})
            assert find("/flat/") == (200, set())
            assert find("/inner/") == (302, {"cookie:sessionid"})
            assert find("/none/?a=1") == (404, {"query"})
        finally:
            with connection.schema_editor() as editor:
                editor.delete_model(Redirect)
                editor.delete_model(FlatPage)


def test_a_user_of_the_server_is_not_the_visitors_matter(site: Site) -> None:
    remote = "django.contrib.auth.middleware.RemoteUserMiddleware"
    answer = site.ask(plain, middleware=[*USUAL, remote])
    assert answer.unshared == "client-address"


def test_the_debug_context_processor_asks_for_an_address_only_where_one_is_internal(site: Site) -> None:
    from django.template.context_processors import debug

    def view(request: Any) -> HttpResponse:
        return HttpResponse(str(debug(request)))

    assert site.ask(view, DEBUG=True).unshared is None
    assert site.ask(view, DEBUG=True, INTERNAL_IPS=["192.0.2.7"]).unshared == "client-address"


def test_who_may_see_the_name_of_a_view_is_no_matter_of_addresses_where_none_is_internal(site: Site) -> None:
    docs = [*USUAL, "django.contrib.admindocs.middleware.XViewMiddleware"]
    assert site.ask(plain, middleware=docs).inputs == set()
    head = site.ask(plain, method="HEAD", middleware=docs)
    assert (head.inputs, head.unshared) == ({"cookie:sessionid"}, None)
    head = site.ask(plain, method="HEAD", middleware=docs, INTERNAL_IPS=["192.0.2.7"])
    assert (head.fields["x-view"], head.unshared) == (f"{__name__}.plain", "client-address")


NONCES = [f"{__name__}.nonces"]
if django.VERSION >= (6, 0):
    NONCES.append("django.middleware.csp.ContentSecurityPolicyMiddleware")


def nonces(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """As the django-csp package has them."""

    def middleware(request: Any) -> Any:
        request.csp_nonce = SimpleLazyObject(lambda: request.__dict__.setdefault("_csp_nonce", "secret"))
        return get_response(request)

    return middleware


@pytest.mark.parametrize("middleware", NONCES)
def test_a_page_with_a_nonce_is_for_once(site: Site, middleware: str) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(str(getattr(request, "csp_nonce", None) or request._csp_nonce))

    policy = {"script-src": ["<CSP_NONCE_SENTINEL>"]}
    assert site.ask(view, middleware=[middleware], SECURE_CSP=policy).unshared == "nonce"
    assert site.ask(plain, middleware=[middleware], SECURE_CSP=policy).unshared is None


def test_no_middleware_of_djangos_was_forgotten() -> None:
    """Each one that this Django has is named in this file, or reads nothing of a request."""
    import pkgutil

    import django.contrib
    import django.middleware

    text = Path(__file__).read_text()
    found = {
        f"django.middleware.{module.name}" for module in pkgutil.iter_modules(django.middleware.__path__)
    }
    for module in pkgutil.iter_modules(django.contrib.__path__):
        if (Path(django.contrib.__path__[0]) / module.name / "middleware.py").exists():
            found.add(f"django.contrib.{module.name}.middleware")
    elsewhere = {
        "django.middleware.cache",  # cache_page, above
    }
    known = {name for name in found if name + "." in text or any(name + "." in used for used in USUAL)}
    known |= {name for name in found if name.rpartition(".")[0] + "." in (SESSIONS, AUTH, CSRF, MESSAGES)}
    assert (
        found - known - elsewhere - {use.rpartition(".")[0] for use in (SESSIONS, AUTH, CSRF, MESSAGES)}
        == set()
    )
    assert settings.configured
