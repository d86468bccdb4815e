"""Random writes to the site's data, each told by its seed.

No write begins while the file `rest` of the site is locked by somebody else, who wants the site at rest.
"""

import fcntl
import os
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction

from recorded.changes import CHANGES, MOST, insert, participations, topics
from recorded.made import FILES, USERS, Undone, Write
from recorded.models import Country


def write(seed: int) -> dict[str, Any]:
    """Do what the seed says."""
    with open(settings.BASE_DIR / "rest", "ab") as rest:
        try:
            fcntl.flock(rest, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return {"rows": {}, "what": "at rest"}
        made = Write(seed)
        change = made.dice.choice(CHANGES)
        what = change.__name__
        try:
            if made.dice.random() < 0.5:
                what += " in a transaction"
                with made.block():
                    change(made)
                    if made.dice.random() < 0.15:
                        raise Undone
            else:
                change(made)
        except Undone:
            what += " (undone)"
        except DatabaseError as error:
            # What came before it, without a transaction, is done all the same.
            what += f" ({type(error).__name__}: {str(error).splitlines()[0]})"
        return {"rows": made.rows, "what": what, "pid": os.getpid()}


def fill() -> None:
    """The first data, always the same but for dates."""
    for number in range(USERS):
        User.objects.create_user(f"user{number}", password="secret", first_name=f"first{number}")
    for number in range(FILES):
        (settings.BASE_DIR / f"file-{number}").write_text("first")
    seed = 0
    while any(model.objects.count() < most * 0.8 for model, most in MOST.items()):
        seed += 1
        made = Write(seed)
        try:
            with transaction.atomic():
                made.dice.choice((insert, topics, participations))(made)
        except (Undone, DatabaseError):
            pass
    for number in range(3):
        Country(code=f"o{number}", name=f"other{number}").save(using="other")
