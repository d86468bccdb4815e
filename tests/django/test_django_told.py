"""What the middleware tells who explains a page, and that it tells nobody else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from testsite.models import Topic

from support.django_requests import Answer, Site
from uncork.pages.tags import READ_ANYTHING, tag_slots
from uncork.pages.told import Told, parse_told
from uncork.semantics.fields import Fields

ASGI = pytest.mark.parametrize("asgi", [False, True], ids=["wsgi", "asgi"])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.table.close()


def told(answer: Answer) -> Told:
    return parse_told(Fields([(name.encode(), value.encode()) for name, value in answer.fields.items()]))


def explaining(site: Site) -> dict[str, str]:
    return {"Uncork-Explain": site.clock.decode()}


def page(request: Any) -> HttpResponse:
    return HttpResponse(request.COOKIES.get("a", "nobody") + request.META.get("REMOTE_ADDR", ""))


@ASGI
def test_inputs_and_reasons_have_their_places(site: Site, asgi: bool) -> None:
    answer = site.ask(page, fields=explaining(site), asgi=asgi)
    here = f"{__file__}:{page.__code__.co_firstlineno + 1}"
    found = told(answer)
    assert found.places == {b"cookie:a": here}
    assert found.reasons == {"client-address": here}
    assert found.tags == () and answer.unshared == "client-address"


@ASGI
def test_who_does_not_ask_is_told_nothing(site: Site, asgi: bool) -> None:
    asked = (
        ({}, True),
        ({"Uncork-Explain": "0" * 16}, True),
        ({"Uncork-Explain": ""}, True),
        (explaining(site), False),
        (explaining(site) | {"Uncork-Edge": "0" * 16}, False),
    )
    for fields, edge in asked:
        assert told(site.ask(page, fields=fields, edge=edge, asgi=asgi)) == Told()


@ASGI
def test_the_question_is_no_part_of_the_request(site: Site, asgi: bool) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(str([name for name in request.META if "UNCORK" in str(name)]))

    assert site.ask(view, fields=explaining(site), asgi=asgi).body == b"[]"


def test_a_stream_that_has_no_record_is_told_of(site: Site) -> None:
    def view(request: Any) -> StreamingHttpResponse:
        said = {"Cache-Control": f"public, max-age={request.GET.get('age', 60)}"}
        return StreamingHttpResponse(["x"], headers=said)

    answer = site.ask(view, fields=explaining(site))
    assert answer.record is None and [*told(answer).places] == [b"query:age"]


def test_tags_are_those_of_the_record(site: Site, database: str) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(str(list(Topic.objects.using(database))))

    answer = site.ask(view, fields=explaining(site))
    found = told(answer)
    assert READ_ANYTHING in found.tags and answer.record is not None
    assert answer.record.slots == tag_slots(found.tags, site.slots)
