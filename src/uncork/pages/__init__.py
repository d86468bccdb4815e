"""The waist: keys, pages, their bytes on disk, tags and the purge clock, without I/O."""
