"""Pages of long lists, by `?page=`."""

from typing import Any

from django.core.paginator import InvalidPage, Page, Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest


def page_of(request: HttpRequest, rows: QuerySet[Any], size: int) -> Page:
    """The wanted page, with `page.around`, the numbers to offer; Http404 for a page that isn't there."""
    paginator = Paginator(rows, size)
    try:
        page = paginator.page(request.GET.get("page", 1))
    except InvalidPage as error:
        raise Http404(str(error)) from None
    page.around = paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1)
    return page


def number(request: HttpRequest, name: str) -> int | None:
    """A query parameter that is a number; None when it is absent or anything else."""
    value = request.GET.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
