"""Prepares a process whose forks are to share its memory: each page that a fork writes to is copied for it alone."""

import ctypes
import gc
import sys

# CPython's own allocator has pools of places of one size, a multiple of 16 bytes up to 512.
_POOL_BYTES = (16 if sys.version_info >= (3, 10) else 4) << 10
_PLACES_BYTES = range(16, 513, 16)
_BYTES_HEADER = sys.getsizeof(b"")
_MAX_BYTES = 256 << 10  # of one size: more means that the allocator is another one
# The sizes that the C library is asked for: what is left of a hole is filled by the next.
_BLOCKS_BYTES = (16384, 8184, 4088, 2040, 1016, 504, 248, 120, 56, 24)
_MAX_BLOCKS = 20000


def share():
    """To be called once, when everything is loaded.

    A collection in a fork would write to all objects, so from here on there is none unless it is asked for.
    """
    gc.collect()
    gc.disable()
    # For good: also in a fork that unwinds its stack.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_fill_pools()))
    _fill_heap()
    _make_immortal()
    gc.freeze()


def _fill_pools():
    """Fill the places that are free between objects, so that new objects of a fork lie together on new pages.

    Returns what fills them.
    """
    kept = []
    for size in _PLACES_BYTES:
        pool = together = 0
        for _ in range(_MAX_BYTES // size):
            item = bytes(size - _BYTES_HEADER) if size > _BYTES_HEADER else complex(1, 1) if size > 16 else object()
            kept.append(item)
            together = together + 1 if id(item) // _POOL_BYTES == pool else 1
            pool = id(item) // _POOL_BYTES
            if together >= _POOL_BYTES // size - 4:
                break  # a pool all to ourselves: no other has room
    return kept


def _fill_heap():
    """The same for larger blocks, which are the C library's; for that of GNU only."""
    libc = ctypes.PyDLL(None)
    try:
        trim, sbrk, malloc = libc.malloc_trim, libc.sbrk, libc.malloc
    except AttributeError:
        return
    sbrk.restype = malloc.restype = ctypes.c_void_p
    trim(ctypes.c_size_t(0))
    end = sbrk(0)
    for size in _BLOCKS_BYTES:
        for _ in range(_MAX_BLOCKS):
            if not 0 < (malloc(ctypes.c_size_t(size)) or 0) < end:
                break  # behind all holes


def _make_immortal():
    """Using an object no longer writes to it.

    From Python 3.12 on an object whose count of references is that of None keeps it; before, None is counted too.
    """
    immortal = ctypes.c_uint32.from_address(id(None)).value
    if sys.byteorder != "little" or immortal < 1 << 30:
        return
    write = ctypes.c_uint32.from_address
    for container in gc.get_objects():
        write(id(container)).value = immortal
        for item in gc.get_referents(container):
            write(id(item)).value = immortal
