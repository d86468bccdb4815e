"""Rows, queries and writes of these models, by chance: small, and close enough to each other to matter.

A query is the text of an expression, so that one that fails can be told and run again.
"""

import uuid
from collections.abc import Callable
from random import Random
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import connections, models, transaction
from django.db.models import functions

from testsite import models as site
from testsite.models import (
    Comment,
    Event,
    Hall,
    Organisation,
    Part,
    Person,
    Profile,
    Report,
    Tag,
    Topic,
    Venue,
)

PEOPLE = [uuid.UUID(int=number) for number in range(1, 5)]
TOPICS = ["art", "bio", "chess"]
KEYS = [1, 2, 3, 4]
WORDS = ["a", "b", "c"]

# Columns that a filter may ask for, and what is in them.
COLUMNS: dict[str, dict[str, list[Any]]] = {
    "Organisation": {"id": KEYS, "name": WORDS, "code": WORDS, "country": ["de", "fr"], "rank": [0, 1]},
    "Topic": {"slug": TOPICS, "title": WORDS},
    "Person": {"id": PEOPLE, "name": WORDS, "mentor_id": PEOPLE},
    "Profile": {"id": KEYS, "person_id": PEOPLE, "biography": WORDS},
    "Event": {
        "id": KEYS,
        "title": WORDS,
        "organisation_id": KEYS,
        "venue_id": KEYS,
        "published": [True, False],
        "seats": [0, 1, 2],
    },
    "Part": {"id": KEYS, "event_id": KEYS, "person_id": PEOPLE, "role": WORDS},
    "Venue": {"id": KEYS, "name": WORDS, "city": ["bonn", "kiel"]},
    "Hall": {"venue_ptr_id": KEYS, "name": WORDS, "city": ["bonn", "kiel"], "capacity": [1, 2]},
    "Arena": {"hall_ptr_id": KEYS, "city": ["bonn", "kiel"], "capacity": [1, 2], "roofed": [True, False]},
    "Report": {"id": KEYS, "event_id": KEYS, "year": [2020, 2021], "text": WORDS},
    "Comment": {"id": KEYS, "event_id": KEYS, "object_pk": ["1", "2"], "text": WORDS},
    "Tag": {"id": KEYS, "label": WORDS, "object_id": KEYS},
    "Famous": {"id": PEOPLE, "name": WORDS},
    "Crowd": {"id": KEYS, "title": WORDS, "people": [0, 1, 2]},
}
# Relations to one, and to many.
ONE = {
    "Person": {"mentor": "Person", "profile": "Profile"},
    "Profile": {"person": "Person"},
    "Event": {"organisation": "Organisation", "venue": "Venue"},
    "Part": {"event": "Event", "person": "Person"},
    "Venue": {"hall": "Hall"},
    "Hall": {"arena": "Arena"},
    "Report": {"event": "Event"},
    "Comment": {"event": "Event"},
    "Famous": {"mentor": "Person", "profile": "Profile"},
}
MANY = {
    "Organisation": {"events": "Event"},
    "Topic": {"events": "Event", "people": "Person"},
    "Person": {"students": "Person", "topics": "Topic", "parts": "Part", "events": "Event"},
    "Event": {
        "topics": "Topic",
        "people": "Person",
        "parts": "Part",
        "reports": "Report",
        "comments": "Comment",
        "tags": "Tag",
    },
    "Venue": {"events": "Event"},
    "Hall": {"events": "Event"},
}
NAMES = {
    **{
        name: getattr(models, name)
        for name in ("Q", "F", "Count", "Max", "Min", "Exists", "Subquery", "OuterRef")
    },
    **{
        name: getattr(models, name)
        for name in ("Window", "Prefetch", "FilteredRelation", "Value", "Case", "When")
    },
    **{name: getattr(functions, name) for name in ("RowNumber", "Coalesce", "Lower")},
    "RawSQL": models.expressions.RawSQL,
    "UUID": uuid.UUID,
    **{name: getattr(site, name) for name in COLUMNS},
}


SHAPES = (
    *("anything", "anything", "looked_up", "looked_up"),
    *("dangling", "from_an_object", "multiplied", "shown_alone", "texts", "tied"),
)
"""Kinds of queries: methods below."""


class Chance:
    """Queries of such shapes, and writes, from one source of chance, for one database."""

    def __init__(self, seed: int, using: str, shapes: tuple[str, ...] = SHAPES) -> None:
        self.random = Random(seed)
        self.using = using
        self.shapes = shapes

    def one(self, *found: Any) -> Any:
        return self.random.choice(found)

    def often(self, share: float) -> bool:
        return self.random.random() < share

    # Rows

    def fill(self) -> None:
        """Some rows in each table."""
        make = self.make
        for key in (1, 2, 3):
            make(
                Organisation,
                id=key,
                name=self.one(*WORDS),
                code=WORDS[key - 1],
                **self.some("Organisation", "country", "rank"),
            )
        for slug in TOPICS[:2]:
            make(Topic, slug=slug, title=self.one(*WORDS))
        for number, key in enumerate(PEOPLE[:3]):
            make(Person, id=key, name=self.one(*WORDS), mentor_id=self.one(None, *PEOPLE[:number]))
        for key in range(1, self.one(1, 2, 3)):
            make(Profile, id=key, person_id=PEOPLE[key - 1], biography=self.one(*WORDS))
        make(Venue, id=1, **self.some("Venue", "name", "city"))
        make(Hall, id=2, **self.some("Hall", "name", "city", "capacity"))
        make(site.Arena, id=3, name="a", **self.some("Arena", "city", "capacity", "roofed"))
        for key in (1, 2, 3):
            event = make(
                Event,
                id=key,
                organisation_id=self.one(1, 2, 3),
                venue_id=self.one(None, 1, 2, 3),
                **self.some("Event", "title", "published", "seats"),
            )
            event.topics.add(*self.random.sample(TOPICS[:2], self.one(0, 1, 2)))
            for person in self.random.sample(PEOPLE[:3], self.one(0, 1, 2)):
                make(Part, event_id=key, person_id=person, role=self.one(*WORDS))
        kind = ContentType.objects.db_manager(self.using).get_for_model(Event)
        for key in (1, 2):
            make(Report, id=key, event_id=self.one(None, 1, 2, 4, 4), **self.some("Report", "year", "text"))
            make(
                Comment,
                id=key,
                content_type=kind,
                event_id=self.one(None, 1, 2),
                **self.some("Comment", "object_pk", "text"),
            )
            make(Tag, id=key, content_type=kind, object_id=self.one(1, 2, 3), label=self.one(*WORDS))
        Person.objects.using(self.using).get(id=PEOPLE[0]).topics.add("art")

    def make(self, model: Any, **values: Any) -> Any:
        return model.objects.using(self.using).create(**values)

    def some(self, model: str, *columns: str) -> dict[str, Any]:
        return {column: self.one(*COLUMNS[model][column]) for column in columns}

    # Queries

    def column(self, model: str, deep: int = 2, one: float = 0.6) -> tuple[str, list[Any]]:
        """The path of a column, and values for it."""
        to_one, to_many = ONE.get(model, {}), MANY.get(model, {})
        if deep and (to_one or to_many) and self.often(0.5):
            relations = to_one if to_one and (self.often(one) or not to_many) else to_many
            name = self.one(*relations)
            path, values = self.column(relations[name], deep - 1)
            return f"{name}__{path}", values
        name = self.one(*COLUMNS[model])
        return name, COLUMNS[model][name]

    def condition(self, model: str, deep: int = 2, column: Callable[..., Any] | None = None) -> str:
        """The arguments of a Q."""
        roll = self.random.random()
        if deep and roll < 0.12:
            return f"{self.q(model, deep - 1)} | {self.q(model, deep - 1)}"
        if deep and roll < 0.24:
            return f"~{self.q(model, deep - 1)}"
        if deep and roll < 0.36:
            return f"{self.q(model, deep - 1)} & {self.q(model, deep - 1)}"
        if roll < 0.42 and model in ONE:
            return f"{self.one(*ONE[model])}__isnull={self.often(0.5)}"
        if roll < 0.47 and model in MANY:
            relation = self.one(*MANY[model])
            return f"{relation}__in={self.inner(MANY[model][relation])}"
        if roll < 0.5 and model in ONE:
            relation = self.one(*ONE[model])
            return f"{relation}__in={self.inner(ONE[model][relation])}"
        path, values = self.column(model)
        if roll < 0.62:
            return f"{path}__in={self.random.sample(values, self.one(1, min(2, len(values))))}"
        if roll < 0.68:
            return f"{path}__gte={self.one(*values)!r}"
        return f"{path}={self.one(*values)!r}"

    def q(self, model: str, deep: int) -> str:
        return f"Q({self.condition(model, deep)})"

    def inner(self, model: str) -> str:
        return f"{self.manager(model)}.filter({self.condition(model, 1)})"

    def manager(self, model: str) -> str:
        return f"{model}._base_manager.using({self.using!r})"

    def outer(self, model: str) -> str | None:
        """A query that is tied to a row of this model."""
        ties = {
            "Event": [
                "Part:event=OuterRef('pk')",
                "Report:event_id=OuterRef('pk')",
                "Organisation:pk=OuterRef('organisation_id')",
            ],
            "Person": [
                "Part:person=OuterRef('pk')",
                "Profile:person=OuterRef('pk')",
                "Person:pk=OuterRef('mentor_id')",
            ],
            "Part": ["Event:pk=OuterRef('event_id')", "Event:organisation=OuterRef('event__organisation')"],
            "Organisation": ["Event:organisation=OuterRef('pk')", "Event:organisation__gte=OuterRef('pk')"],
            "Report": ["Event:pk=OuterRef('event_id')"],
        }
        if model not in ties:
            return None
        inner, _, tie = self.one(*ties[model]).partition(":")
        more = f".filter({self.condition(inner, 0)})" if self.often(0.4) else ""
        return f"{self.manager(inner)}.filter({tie}){more}"

    def annotation(self, model: str) -> str:
        path, _ = self.column(model)
        tied = self.outer(model)
        kinds = [f"Max({path!r})", f"F({path!r})", f"Window(RowNumber(), order_by=[{path!r}, 'pk'])"]
        kinds.append(f"Case(When({self.condition(model, 0)}, then=Value(1)), default=Value(2))")
        if model in MANY:
            kinds += [
                f"Count({self.one(*MANY[model])!r})",
                f"Count({self.one(*MANY[model])!r}, distinct=True)",
            ]
        if tied is not None:
            kinds += [f"Exists({tied})", f"Subquery({tied}.order_by('pk').values('pk')[:1])"] * 2
        return self.one(*kinds)

    def path_to_one(self, model: str, deep: int = 2) -> str:
        name = self.one(*ONE[model])
        model = ONE[model][name]
        return (
            f"{name}__{self.path_to_one(model, deep - 1)}"
            if deep and model in ONE and self.often(0.4)
            else name
        )

    def query(self) -> str:
        """The text of an expression: a query set, or what is made of one."""
        return str(getattr(self, self.one(*self.shapes))())

    def looked_up(self) -> str:
        """A table that is looked up for the rows of another, in all but what the other one asks for."""
        model = self.one(
            "Event", "Event", "Part", "Part", "Report", "Report", "Comment", "Person", "Hall", "Venue"
        )
        relation = self.path_to_one(model)
        other = self.behind(model, relation)
        name = self.one(*COLUMNS[other])
        path, value = f"{relation}__{name}", self.one(*COLUMNS[other][name])
        text = f"{self.manager(model)}.select_related({relation!r})"
        window = f"Window(RowNumber(), order_by=[{path!r}, 'pk'])"
        number = self.one("rank", "seats", "capacity", "year", "id")
        numbers = f"{self.manager('Organisation')}.filter(rank__gte=OuterRef('{relation}__{number}'))"
        return self.one(
            f"{text}.order_by({path!r}, 'pk')[:{self.one(1, 2)}]",
            f"{text}.order_by({path!r}, '-pk')[{self.one(0, 1)}:2]",
            f"{text}.order_by('-pk')[{self.one(0, 1)}:2]",
            f"{text}.annotate(n={window}).order_by('pk')[:1]",
            f"{text}.annotate(n={window}).order_by('-pk')[:1]",
            f"{text}.annotate(n={window})",
            f"{text}.annotate(n={window}).filter(n=1)",
            f"{text}.annotate(n=Max({path!r})).filter(n__isnull=False).order_by('-pk')[:2]",
            f"{text}.annotate(n=Count('pk')).filter(Q(n=2) | Q({path}={value!r}))",
            f"{text}.filter({relation}__isnull={self.often(0.3)})",
            f"{text}.filter({path}={value!r})",
            f"{text}.exclude({path}={value!r})",
            f"{text}.filter(Exists({numbers}))",
            f"{text}.filter(~Exists({numbers}))",
            f"{text}.order_by({path!r}, 'pk').distinct({path!r})",
            *[
                f"{text}.filter({relation}__{more}__{self.column(to, 0)[0]}__gte={self.one(*values)!r})"
                for more, to in ONE.get(other, {}).items()
                for values in COLUMNS[to].values()
            ],
        )

    def shown_alone(self) -> str:
        """Columns of a table that is looked up, with and without the one that leads to it."""
        model = self.one("Event", "Event", "Part", "Report", "Profile", "Comment", "Person", "Hall", "Venue")
        relation = self.path_to_one(model)
        path = f"{relation}__{self.one(*COLUMNS[self.behind(model, relation)])}"
        leads = [f"{name}_id" for name in ONE[model] if f"{name}_id" in COLUMNS[model]]
        text = self.manager(model)
        return self.one(
            f"{text}.values({self.one('pk', *leads)!r}, {path!r})",
            f"{text}.values({self.one('pk', *leads)!r}, {path!r}).distinct()",
            f"{text}.values({self.one('pk', *leads)!r}, {path!r}).order_by('pk')[:2]",
            f"{text}.values({path!r}, 'pk').annotate(n=Count('pk'))",
            f"{text}.values({path!r}).annotate(n=Count('pk')).values('n')",
            f"{text}.order_by({path!r}, 'pk').values_list('pk')",
            f"{self.manager('Person')}.values('name', 'profile__person')",
            f"{self.manager('Venue')}.values('city', 'hall__venue_ptr', 'hall__capacity')",
        )

    def dangling(self) -> str:
        """A key that may have no row."""
        relation = self.one("event", "event", "event__organisation", "event__venue")
        text = f"{self.manager('Report')}.select_related({relation!r})"
        return self.one(
            f"{text}.filter(event__isnull=False)",
            f"{text}.filter(event__isnull=False).order_by('-pk')[:{self.one(1, 2)}]",
            f"{text}.exclude({relation}__isnull=True)",
            f"{text}.order_by('-pk')[:1]",
            f"{self.manager('Report')}.filter(event__seats__gte=0).values('event__seats', 'pk', 'event')",
        )

    def texts(self) -> str:
        """Text with a query in it, in a query that has a constant."""
        model, table = self.one("Event", "Person"), self.one("event", "event", "report")
        text = f"{self.manager(model)}.filter(pk={self.one(*COLUMNS[model]['id'])!r})"
        inner = f"'SELECT {self.one('MAX', 'COUNT')}(id) FROM testsite_{table}', ()"
        return self.one(f"{text}.annotate(n=RawSQL({inner}))", f"{text}.filter(pk__gte=RawSQL({inner}))")

    def multiplied(self) -> str:
        """A table of which several rows go with each of another: they move a slice."""
        model, path = self.one(
            ("Organisation", "events__organisation"),
            ("Person", "parts__person"),
            ("Event", "parts__event"),
            ("Event", "reports__event"),
        )
        return f"{self.manager(model)}.values('pk', {path!r}).order_by('pk')[{self.one(0, 1, 1, 2)}:3]"

    def behind(self, model: str, path: str) -> str:
        for name in path.split("__"):
            model = ONE[model][name]
        return model

    def from_an_object(self) -> str:
        """What a relation of one object leads to: the table between holds the constant."""
        model, name, values = self.one(
            ("Person", "events", KEYS),
            ("Person", "parts__event", KEYS),
            ("Event", "people", PEOPLE),
            ("Event", "topics", TOPICS),
            ("Topic", "events", KEYS),
            ("Organisation", "events", KEYS),
            ("Organisation", "events__parts", KEYS),
            ("Venue", "events", KEYS),
        )
        text = f"{self.manager(model)}.filter({name}={self.one(*values)!r})"
        if self.often(0.3):
            text += f".filter({self.condition(model, 0)})"
        if model in ONE and self.often(0.5):
            text += f".select_related({self.path_to_one(model)!r})"
        if model in ONE and self.often(0.3):
            text += f".filter({self.one(*ONE[model])}__isnull={self.often(0.5)})"
        return text + self.one(
            "", "", ".count()", ".values('pk')", ".values_list('name', flat=True)", ".order_by('-pk')[:1]"
        )

    def tied(self) -> str:
        """A row, and a query within it that asks for another of its columns."""
        model, inner, column, outer = self.one(
            ("Event", "Part", "event", "pk"),
            ("Event", "Event", "organisation", "organisation_id"),
            ("Event", "Event", "venue", "venue_id"),
            ("Event", "Report", "event", "pk"),
            ("Event", "Hall", "venue_ptr", "venue_id"),
            ("Event", "Organisation", "pk", "organisation_id"),
            ("Part", "Event", "pk", "event_id"),
            ("Part", "Person", "pk", "person_id"),
            ("Part", "Part", "event", "event_id"),
            ("Part", "Profile", "person", "person_id"),
            ("Person", "Person", "mentor", "mentor_id"),
            ("Report", "Event", "pk", "event_id"),
        )
        within = f"{self.manager(inner)}.filter({column}=OuterRef({outer!r}))"
        if self.often(0.3):
            within += f".filter({self.condition(inner, 0)})"
        text = f"{self.manager(model)}.filter({self.one('pk', outer)}={self.one(*COLUMNS[model]['id'])!r})"
        if self.often(0.5):
            return f"{text}.annotate(n=Exists({within}))"
        return (
            f"{text}.annotate(n=Subquery({within}.order_by('-pk').values({self.one(*COLUMNS[inner])!r})[:1]))"
        )

    def anything(self) -> str:
        """A query of any shape."""
        model = self.one(*COLUMNS, "Event", "Event", "Part", "Person", "Report")
        text = self.manager(model)
        table = f"testsite_{model.lower()}"
        if self.often(0.04):
            text += f".annotate(raw=RawSQL('SELECT MAX(id) FROM {self.one(table, 'testsite_event')}', ()))"
        if self.often(0.75):
            text += f".filter({self.condition(model)})"
        if self.often(0.25):
            text += f".filter({self.condition(model)})"
        if self.often(0.12):
            text += f".exclude({self.condition(model)})"
        if self.often(0.25):
            text += f".annotate(n={self.annotation(model)})"
            if self.often(0.4):
                text += f".filter({self.one('n=1', 'n__gt=1', 'n__isnull=False', 'Q(n=1) | Q(pk=1)')})"
        if model in MANY and self.often(0.06):
            relation = self.one(*MANY[model])
            path, values = self.column(MANY[model][relation], 0)
            condition = f"Q({relation}__{path}={self.one(*values)!r})"
            text += f".annotate(r=FilteredRelation({relation!r}, condition={condition}))"
            text += f".values('pk', 'r__{self.column(MANY[model][relation], 0)[0]}')"
            return self.ended(text, model, plain=False)
        if model in ONE and self.often(0.5):
            paths = {self.path_to_one(model) for _ in range(self.one(1, 1, 2))}
            text += f".select_related({', '.join(map(repr, sorted(paths)))})"
        elif self.often(0.25):
            columns = sorted({self.column(model, 2, 0.8)[0] for _ in range(self.one(1, 2, 3))})
            text += f".values({', '.join(map(repr, columns))})"
            return self.ended(text, model, plain=False)
        return self.ended(text, model, plain=True)

    def ended(self, text: str, model: str, plain: bool) -> str:
        roll = self.random.random()
        if roll < 0.06:
            return f"{text}.count()"
        if roll < 0.1:
            return f"{text}.exists()"
        if roll < 0.14:
            return f"{text}.aggregate(m={self.one('Max', 'Min', 'Count')}({self.column(model)[0]!r}))"
        if roll < 0.18:
            other = self.inner(model)
            if plain:
                return f"{self.inner(model)}.{self.one('union', 'difference', 'intersection')}({other})"
        if roll < 0.28:
            text += ".distinct()"
        elif roll < 0.33 and self.using == "postgresql":
            column = self.column(model)[0]
            return f"{text}.order_by({column!r}, 'pk').distinct({column!r})"
        if plain and roll > 0.85 and model in MANY | ONE:
            relations = {**MANY.get(model, {}), **ONE.get(model, {})}
            relation = self.one(*relations)
            if self.often(0.5):
                text += f".prefetch_related({relation!r})"
            else:
                inner = self.inner(relations[relation]) + self.related(relations[relation])
                text += f".prefetch_related(Prefetch({relation!r}, {inner}))"
        if self.often(0.4):
            order = [self.one("", "-") + self.column(model, 2, 0.9)[0], "pk"]
            text += f".order_by({', '.join(map(repr, order))})"
            if self.often(0.6):
                start = self.one(0, 0, 1)
                text += f"[{start}:{start + self.one(1, 2)}]"
        elif plain and self.often(0.1):
            text += ".iterator()" if "prefetch" not in text else ""
        return text

    def related(self, model: str) -> str:
        return f".select_related({self.path_to_one(model)!r})" if model in ONE and self.often(0.4) else ""

    # Writes

    def write(self) -> "Write":
        """A write of one row that leaves the database whole, if it can be done at all."""
        model = self.one(*TABLES, Event, Event, Organisation, Part, Person, Report)
        kind = self.one("insert", "update", "update", "delete")
        columns = {field.column: field for field in model._meta.local_concrete_fields}
        values = {name: self.value(model, field) for name, field in columns.items()}
        key = model._meta.pk.column
        if kind == "update":
            name = self.one(*[name for name in columns if name != key] or [key])
            return Write(
                self.using, model, kind, self.key(model), {} if name == key else {name: values[name]}
            )
        return Write(self.using, model, kind, self.key(model), values if kind == "insert" else {})

    def key(self, model: Any) -> Any:
        return self.value(model, model._meta.pk)

    def value(self, model: Any, field: Any) -> Any:
        if field.null and self.often(0.3):
            return None
        known = COLUMNS.get(model.__name__, {}).get(field.attname)
        if known is not None:
            return self.one(*known)
        if field.remote_field is not None:
            if field.remote_field.model is ContentType:
                return ContentType.objects.db_manager(self.using).get_for_model(Event).pk
            return self.value(field.remote_field.model, field.target_field)
        return {"JSONField": "{}", "BooleanField": self.often(0.5)}.get(
            field.get_internal_type(), self.one(1, 2, 3)
        )


TABLES = [
    *[Organisation, Topic, Person, Profile, Event, Part, Venue, Hall, site.Arena, Report, Comment, Tag],
    *[Event.topics.through, Person.topics.through],
]


class Write:
    """One row of one table, written past the ORM, so that nothing else happens."""

    def __init__(self, using: str, model: Any, kind: str, key: Any, values: dict[str, Any]) -> None:
        self.using = using
        self.model = model
        self.kind = kind
        self.key = key
        self.values = values

    def __repr__(self) -> str:
        return f"{self.kind} {self.model._meta.db_table} {self.key!r} {self.values}"

    def run(self) -> bool:
        """Whether it did anything, and left no foreign key without its row. Within a transaction."""
        connection = connections[self.using]
        meta = self.model._meta
        quote = connection.ops.quote_name
        table, key = quote(meta.db_table), quote(meta.pk.column)
        values = [
            self._prepared(meta.get_field(self._name(name)), value) for name, value in self.values.items()
        ]
        names = [quote(name) for name in self.values]
        key_value = self._prepared(meta.pk, self.key)
        with connection.cursor() as cursor:
            if self.kind == "insert":
                values[names.index(key)] = key_value
                sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"
            elif self.kind == "delete":
                sql, values = f"DELETE FROM {table} WHERE {key} = %s", [key_value]
            elif not names:
                return False
            else:
                sql, values = f"UPDATE {table} SET {names[0]} = %s WHERE {key} = %s", [*values, key_value]
            cursor.execute(sql, values)
            if not cursor.rowcount:
                return False
        connection.check_constraints()
        return True

    def _name(self, column: str) -> str:
        return next(field.name for field in self.model._meta.local_concrete_fields if field.column == column)

    def _prepared(self, field: Any, value: Any) -> Any:
        if field.get_internal_type() == "JSONField":
            return value
        return field.get_db_prep_save(value, connections[self.using])

    def rows(self, columns: list[str]) -> list[tuple[Any, ...]]:
        """The row's values in these columns, as the driver has them."""
        connection = connections[self.using]
        meta = self.model._meta
        quote = connection.ops.quote_name
        with connection.cursor() as cursor:
            sql = f"SELECT {', '.join(map(quote, columns))} FROM {quote(meta.db_table)}"
            cursor.execute(f"{sql} WHERE {quote(meta.pk.column)} = %s", [self._prepared(meta.pk, self.key)])
            return list(cursor.fetchall())


def run(text: str) -> Any:
    """What a query gives, as plain values that can be compared; in any order where it asks for none."""
    found = eval(text, dict(NAMES))
    if isinstance(found, (int, dict)):
        return plain(found)
    rows = [plain(row) for row in found]
    ordered = (
        ".order_by(" in text.rpartition(")))")[2]
        or "[" in text[-6:]
        or '.distinct("' in text
        or ".distinct('" in text
    )
    return rows if ordered else sorted(rows, key=repr)


def plain(value: Any, within: tuple[int, ...] = ()) -> Any:
    """Objects as their values, with those of the objects that came with them."""
    if id(value) in within:
        return "again"
    within = (*within, id(value))
    if isinstance(value, models.Model):
        own = {name: plain(one) for name, one in vars(value).items() if not name.startswith("_")}
        related = {name: plain(one, within) for name, one in value._state.fields_cache.items()}
        many = {
            name: sorted((plain(one, within) for one in found), key=repr)
            for name, found in getattr(value, "_prefetched_objects_cache", {}).items()
        }
        return [type(value).__name__, own, related, many]
    if isinstance(value, dict):
        return {name: plain(one, within) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one, within) for one in value]
    return value


def attempt(using: str, action: Callable[[], Any]) -> Any:
    """What an action gives, or None if it can't be done; what it did is kept."""
    try:
        with transaction.atomic(using):
            return action()
    except Exception:
        return None
