from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections

from recorded import writes
from recorded.models import SUMMARY


class Command(BaseCommand):
    help = "Make the tables of both databases, and something in them."

    def handle(self, *args, **options):
        for alias in ("other", "default"):
            # The tables without migrations would come first, and refer to those of the others.
            for syncdb in (False, True):
                call_command("migrate", database=alias, run_syncdb=syncdb, verbosity=0)
            with connections[alias].cursor() as cursor:
                cursor.execute(SUMMARY)
        call_command("createcachetable", verbosity=0)
        writes.fill()
