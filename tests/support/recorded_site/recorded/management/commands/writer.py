import json
import sys

from django.core.cache import caches
from django.core.management.base import BaseCommand

from recorded import writes


class Command(BaseCommand):
    help = """Write what is asked for, a seed on each line of standard input; answer with what was written.
    The line `forget` empties the cache that all processes share."""

    def handle(self, *args, **options):
        print("ready", flush=True)
        for line in sys.stdin:
            if line.strip() == "forget":
                caches["shared"].clear()
                print("{}", flush=True)
            else:
                print(json.dumps(writes.write(int(line))), flush=True)
