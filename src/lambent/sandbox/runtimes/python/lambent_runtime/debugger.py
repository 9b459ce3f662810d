"""Waiting for debugpy's client before any of the function's code is loaded."""

import os


def wait(port):
    """Listen on this port of loopback and return when a debugger has attached and said what it wants to stop at."""
    package = os.environ.pop("_LAMBENT_DEBUGPY", "")
    debugpy = _load(package) if package else __import__("debugpy")
    # A process that the handler starts would ask the debugger to attach at an address that only exists in here.
    debugpy.configure(subProcess=False)
    debugpy.listen(("127.0.0.1", port))
    debugpy.wait_for_client()


def _load(package):
    """debugpy from its own folder, without making its neighbours importable."""
    import importlib.util
    import sys

    spec = importlib.util.spec_from_file_location(
        "debugpy", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["debugpy"] = module
    spec.loader.exec_module(module)
    return module
