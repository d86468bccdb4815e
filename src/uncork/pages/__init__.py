"""What the application's process and the edge share: keys, pages, their bytes, tags, the purge clock."""
