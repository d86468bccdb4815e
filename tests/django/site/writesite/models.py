"""Tables that the database has a say in: generated columns, defaults, keys of several columns, cascades."""

import django
from django.db import models
from django.db.models.functions import Lower, Now


class Generated(models.Model):
    name = models.CharField(max_length=40)
    lower = models.GeneratedField(
        expression=Lower("name"), output_field=models.CharField(max_length=40), db_persist=True, db_index=True
    )
    kind = models.CharField(max_length=10, db_default="plain", db_index=True)
    made = models.DateTimeField(db_default=Now())


class Pair(models.Model):
    pk = models.CompositePrimaryKey("left", "right")
    left = models.IntegerField()
    right = models.IntegerField()
    note = models.CharField(max_length=40, default="")


if django.VERSION >= (6, 1):

    class Owner(models.Model):
        name = models.CharField(max_length=40)

    class Owned(models.Model):
        owner = models.ForeignKey(Owner, models.DB_CASCADE)

    class Kept(models.Model):
        owned = models.ForeignKey(Owned, models.DB_SET_NULL, null=True)
