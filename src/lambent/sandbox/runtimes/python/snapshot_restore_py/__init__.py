"""Runtime hooks of SnapStart, as AWS's Python runtimes bring them (AWS documentation, "Runtime hooks for Python").

Whatever is registered while the function's module is imported runs around the snapshot of a published version:
before it in the reverse order of registration, after a restore in the order of registration.
"""

_before_snapshot = []
_after_restore = []


def register_before_snapshot(func, *args, **kwargs):
    """Call `func(*args, **kwargs)` before the snapshot is taken. Returns `func`, so it works as a decorator."""
    return _register(_before_snapshot, func, args, kwargs)


def register_after_restore(func, *args, **kwargs):
    """Call `func(*args, **kwargs)` in each environment that is restored. Returns `func`, so it works as a decorator."""
    return _register(_after_restore, func, args, kwargs)


def get_before_snapshot():
    """What is registered, as (func, args, kwargs), in the order of registration."""
    return _before_snapshot


def get_after_restore():
    """What is registered, as (func, args, kwargs), in the order of registration."""
    return _after_restore


def _register(registry, func, args, kwargs):
    if not callable(func):
        raise TypeError("a runtime hook must be callable, and %r is not" % (func,))
    registry.append((func, args, kwargs))
    return func
