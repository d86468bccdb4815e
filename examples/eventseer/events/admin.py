"""The editors' side. What is saved here is purged from the cache when the transaction commits."""

from typing import ClassVar

from django.contrib import admin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest

from events.models import Attachment, Comment, Event, Follow, Organisation, Person, Role, Topic

admin.site.site_header = "Eventseer"
admin.site.site_title = "Eventseer"
admin.site.index_title = "Editors' desk"


class ModelAdmin(admin.ModelAdmin):
    # Addresses that come without a scheme are https; Django 5.2 warns that its default will become this.
    formfield_overrides: ClassVar = {models.URLField: {"assume_scheme": "https"}}


class RoleInline(admin.TabularInline):
    model = Role
    extra = 1
    autocomplete_fields = ("person",)


class AttachmentInline(admin.TabularInline):
    model = Attachment
    extra = 0


@admin.register(Event)
class EventAdmin(ModelAdmin):
    list_display = ("name", "title", "kind", "starts", "deadline", "city", "country", "organisation")
    list_display_links = ("name", "title")
    list_filter = ("kind", "country")
    list_select_related = ("organisation",)
    list_per_page = 50
    date_hierarchy = "starts"
    search_fields = ("keywords",)
    show_full_result_count = False
    autocomplete_fields = ("organisation", "topics")
    inlines = (RoleInline, AttachmentInline)
    fieldsets = (
        (None, {"fields": (("acronym", "kind"), "title", "organisation", "topics", "website")}),
        ("Dates", {"fields": (("starts", "ends"), ("deadline", "notification"))}),
        ("Place", {"fields": (("city", "country"), "venue")}),
        ("Text", {"fields": ("description",)}),
    )

    @admin.display(ordering="acronym", description="event")
    def name(self, event: Event) -> str:
        return event.name

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Event]":
        return super().get_queryset(request).defer("description")


@admin.register(Person)
class PersonAdmin(ModelAdmin):
    list_display = ("family", "given", "position", "organisation", "topic", "events_count")
    list_display_links = ("family", "given")
    list_select_related = ("organisation", "topic")
    list_per_page = 50
    search_fields = ("family_key__startswith", "given_key__startswith")
    show_full_result_count = False
    autocomplete_fields = ("organisation", "topic")
    readonly_fields = ("events_count",)


@admin.register(Topic)
class TopicAdmin(ModelAdmin):
    list_display = ("name", "discipline", "events_count")
    list_filter = ("discipline",)
    search_fields = ("name",)
    readonly_fields = ("events_count",)


@admin.register(Organisation)
class OrganisationAdmin(ModelAdmin):
    list_display = ("name", "kind", "city", "country", "people_count", "events_count")
    list_filter = ("kind", "country")
    search_fields = ("name", "city")
    readonly_fields = ("people_count", "events_count")


@admin.register(Comment)
class CommentAdmin(ModelAdmin):
    list_display = ("name", "event", "created", "text")
    list_select_related = ("event",)
    date_hierarchy = "created"
    search_fields = ("name", "text")
    autocomplete_fields = ("event",)


@admin.register(Follow)
class FollowAdmin(ModelAdmin):
    list_display = ("user", "event", "created")
    list_select_related = ("user", "event")
    autocomplete_fields = ("user", "event")


@admin.register(Attachment)
class AttachmentAdmin(ModelAdmin):
    list_display = ("title", "event", "file", "size", "user", "created")
    list_select_related = ("event", "user")
    autocomplete_fields = ("event",)
