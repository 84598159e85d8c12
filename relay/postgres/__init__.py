"""The relay's side of PostgreSQL: one file a part of the ports."""
