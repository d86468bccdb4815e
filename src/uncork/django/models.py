"""The tables of Uncork's own, of which a site needs none."""

from django.db import models


class Outbox(models.Model):
    """What a transaction has still to purge that was committed by a process without a purge clock.

    Written and emptied by `outbox`, past the ORM: no page reads it.
    """

    id = models.BigAutoField(primary_key=True)
    tags = models.BinaryField()

    class Meta:
        default_permissions = ()
