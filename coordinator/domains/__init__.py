"""The three domains that a run's completion touches, with tables of their own."""
