"""How a purge travels: the table in memory that all processes of a machine share."""
