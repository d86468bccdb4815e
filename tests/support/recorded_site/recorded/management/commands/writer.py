import json
import sys

from django.core.cache import caches
from django.core.management.base import BaseCommand

from recorded import writes
from recorded.made import FILES
from uncork import purge


class Command(BaseCommand):
    help = """Write what is asked for, a seed on each line of standard input; answer with what was written.
    The line `forget` empties the cache that all processes share; `files` purges what depends on the files."""

    def handle(self, *args, **options):
        print("ready", flush=True)
        for line in sys.stdin:
            if line.strip() == "forget":
                caches["shared"].clear()
                print("{}", flush=True)
            elif line.strip() == "files":
                purge(*[f"file-{number}" for number in range(FILES)])
                print("{}", flush=True)
            else:
                print(json.dumps(writes.write(int(line))), flush=True)
