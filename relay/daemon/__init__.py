"""The daemon: carries out what the core decides."""
