"""The tables of Uncork's own, of which a site needs none."""
