"""How a purge travels."""
