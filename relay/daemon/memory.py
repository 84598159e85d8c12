"""The process's memory, set for a load that passes through and never stays.

Pages are made in one thread and freed in another, 20 million small blocks a minute. With glibc's
default of an arena for each thread that costs a third of the whole process's time and varies from
run to run: handing an event over took 4.1 to 5.6 us, and takes 2.6 to 2.8 us with a single arena.
Rows and headers hold no cycles, so looking for some after every 700 of them is wasted as well.
"""

from __future__ import annotations

import ctypes
import gc

__all__ = ["prepare"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MALLOC = {
    _M_ARENA_MAX: 1,
    # Freed pages are used again for the next ones rather than given back and faulted in anew.
    _M_TRIM_THRESHOLD: 64 * 1024 * 1024,
    _M_MMAP_THRESHOLD: 32 * 1024 * 1024,
}
_GC_THRESHOLD = 100_000


def prepare() -> None:
    """Call before the first thread is started; does nothing where the C library is not glibc."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _MALLOC.items():
            mallopt(option, value)
