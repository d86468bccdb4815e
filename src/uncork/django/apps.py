"""The Django app: what is put in place when a project starts."""

from django.apps import AppConfig

from uncork.django.names import APP


class UncorkConfig(AppConfig):
    name = APP
    label = "uncork"
    verbose_name = "Uncork"

    def ready(self) -> None:
        from uncork.django import caches, checks, queries, transactions, writes

        checks.install()
        caches.install()
        queries.install()
        transactions.install()
        writes.install()
