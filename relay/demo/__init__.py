"""The main job for people to watch, and the services it brings along: PostgreSQL and a broker that
need no installation."""
