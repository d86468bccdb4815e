"""Where everything is. An object's address carries its number, and a name that readers can read."""

from django.contrib.auth import views as auth
from django.contrib.sitemaps import views as sitemaps
from django.templatetags.static import static
from django.urls import path, re_path
from django.views.generic import RedirectView

from events import feeds
from events.sitemaps import SITEMAPS
from events.views import browsing, formats, taking_part

_INDEXED = {"sitemaps": SITEMAPS, "sitemap_url_name": "sitemap"}


class Favicon(RedirectView):
    def get_redirect_url(self) -> str:
        return static("eventseer/favicon.svg")


urlpatterns = [
    path("", browsing.home, name="home"),
    path("search/", browsing.search, name="search"),
    path("events/", browsing.event_list, name="events"),
    path("events/<int:pk>-<slug:slug>/", browsing.event, name="event"),
    path("events/<int:pk>-<slug:slug>/banner.svg", formats.event_image, name="event-image"),
    path("events/<int:pk>-<slug:slug>/event.ics", formats.event_ical, name="event-ical"),
    path("events/<int:pk>-<slug:slug>/comment/", taking_part.comment, name="comment"),
    path("events/<int:pk>-<slug:slug>/attach/", taking_part.attach, name="attach"),
    path("events/<int:pk>-<slug:slug>/follow/", taking_part.follow, name="follow"),
    path("people/", browsing.people, name="people"),
    re_path(r"^people/(?P<start>[a-z]{1,2}|other)/$", browsing.people_by_letter, name="people-by-letter"),
    path("people/<int:pk>-<slug:slug>/", browsing.person, name="person"),
    path("people/<int:pk>-<slug:slug>/portrait.svg", formats.person_image, name="person-image"),
    path("topics/", browsing.topic_list, name="topics"),
    path("topics/<int:pk>-<slug:slug>/", browsing.topic, name="topic"),
    path("topics/<int:pk>-<slug:slug>/feed.rss", feeds.TopicFeed(), name="topic-rss"),
    path("topics/<int:pk>-<slug:slug>/feed.atom", feeds.TopicFeedAtom(), name="topic-atom"),
    path("organisations/", browsing.organisation_list, name="organisations"),
    path("organisations/<int:pk>-<slug:slug>/", browsing.organisation, name="organisation"),
    path("api/events/<int:pk>.json", formats.event_json, name="event-json"),
    path("feeds/events.rss", feeds.NewestEvents(), name="rss"),
    path("feeds/events.atom", feeds.NewestEventsAtom(), name="atom"),
    path("sitemap.xml", sitemaps.index, _INDEXED, name="sitemap-index"),
    path("sitemap-<slug:section>.xml", sitemaps.sitemap, {"sitemaps": SITEMAPS}, name="sitemap"),
    path("robots.txt", formats.robots, name="robots"),
    path("favicon.ico", Favicon.as_view()),
    path("me/", taking_part.me, name="me"),
    path("me/csrf/", taking_part.csrf, name="csrf"),
    path("calendar/", taking_part.calendar, name="calendar"),
    path("calendar.ics", taking_part.calendar_ical, name="calendar-ical"),
    path("sign-up/", taking_part.sign_up, name="sign-up"),
    path("login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
]
