"""What API tests share: one real server, clients of it, and names that no other test uses."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lambent.testing.server import ServerProcess


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A real server process, one for each test worker."""
    with ServerProcess() as process:
        yield process


@pytest.fixture(scope="session")
def aws(server: ServerProcess) -> Callable[..., Any]:
    """`aws("lambda")` is a boto3 client of the server: us-east-1, dummy credentials, no retries.

    Options as in `testing.clients.client`: `region`, `access_key` (twelve digits choose an account), botocore settings.
    """
    clients: dict[str, Any] = {}

    def client(service: str, **options: Any) -> Any:
        key = f"{service} {sorted(options.items())}"
        if key not in clients:
            clients[key] = server.client(service, **options)
        return clients[key]

    return client


@pytest.fixture
def unique() -> Callable[[str], str]:
    """`unique("f")` is a name that starts with `f` and that no other test has."""
    return lambda prefix="t": f"{prefix}-{uuid.uuid4().hex[:10]}"
