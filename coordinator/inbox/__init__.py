"""A consumer's memory of the events it has taken."""
