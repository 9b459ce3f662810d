"""The pytest plugin of Lambent: servers as fixtures.

It is loaded in every pytest run of its users, so it imports nothing until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lambent.testing.server import ServerProcess, ThreadedServer


@pytest.fixture(scope="session")
def lambent_server() -> Iterator[ServerProcess]:
    """A real server process for the whole session, on a free port with data of its own: `.endpoint`, `.client()`."""
    from lambent.testing.server import ServerProcess

    with ServerProcess() as server:
        yield server


@pytest.fixture
def lambent() -> Iterator[ThreadedServer]:
    """A fresh server on virtual time for one test: `.endpoint`, `.client()`, `.clock.advance(s)`."""
    from lambent.testing.server import ThreadedServer

    with ThreadedServer() as server:
        yield server
