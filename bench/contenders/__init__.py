"""One file per contender: its configuration, how it is started, and what it doesn't serve."""
