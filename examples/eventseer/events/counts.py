"""Keeps the counts that lists show beside topics, organisations and people.

A list of 400 topics with the number of events of each would count 25,000 rows; so each topic keeps its
number. `seed` writes in bulk and sets the numbers itself.
"""

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, IntegerField, Model, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save

from events.models import Event, Organisation, Person, Role, Topic


def _count(model: type[Model], pks: Iterable[int | None], field: str, relation: str) -> None:
    wanted = {pk for pk in pks if pk is not None}
    if wanted:
        counted = (
            model.objects.filter(pk=OuterRef("pk")).values("pk").annotate(n=Count(relation, distinct=True))
        )
        number = Coalesce(Subquery(counted.values("n"), output_field=IntegerField()), 0)
        model.objects.filter(pk__in=wanted).update(**{field: number})


def _before_save(sender: type[Event | Person], instance: Event | Person, **_: Any) -> None:
    old = (
        sender.objects.filter(pk=instance.pk).values_list("organisation_id", flat=True) if instance.pk else ()
    )
    instance._organisations = {*old, instance.organisation_id}


def _after_save(sender: type[Event | Person], instance: Event | Person, **_: Any) -> None:
    field = "events" if isinstance(instance, Event) else "people"
    _count(Organisation, instance._organisations, f"{field}_count", field)


def _before_delete(instance: Event | Person, **_: Any) -> None:
    instance._organisations = {instance.organisation_id}
    if isinstance(instance, Event):
        instance._topics = set(instance.topics.values_list("pk", flat=True))


def _after_delete(sender: type[Event | Person], instance: Event | Person, **_: Any) -> None:
    _after_save(sender, instance)
    _count(Topic, instance.__dict__.get("_topics", ()), "events_count", "events")


def _role_changed(instance: Role, **_: Any) -> None:
    _count(Person, (instance.person_id,), "events_count", "events")


def _topics_changed(
    instance: Event | Topic, action: str, reverse: bool, pk_set: set[int] | None, **_: Any
) -> None:
    if action == "pre_clear" and not reverse:
        instance._topics = set(instance.topics.values_list("pk", flat=True))
    elif action == "post_clear" and not reverse:
        _count(Topic, instance._topics, "events_count", "events")
    elif action.startswith("post_"):
        _count(Topic, {instance.pk} if reverse else (pk_set or ()), "events_count", "events")


def connect() -> None:
    """Listen to the models. Called once, by the application's `ready`."""
    for model in (Event, Person):
        pre_save.connect(_before_save, model)
        post_save.connect(_after_save, model)
        pre_delete.connect(_before_delete, model)
        post_delete.connect(_after_delete, model)
    for signal in (post_save, post_delete):
        signal.connect(_role_changed, Role)
    m2m_changed.connect(_topics_changed, Event.topics.through)
