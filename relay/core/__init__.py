"""What the relay decides. No I/O, no clock, no logging.

The same code runs in the daemon and in the simulation.
"""
