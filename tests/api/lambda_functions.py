"""Functions for API tests: made, waited for, and with the packages that they need."""

from __future__ import annotations

import io
import random
import zipfile
from typing import Any

ROLE = "arn:aws:iam::000000000000:role/test"
ECHO = "def handler(event, context):\n    return event\n"


def package(files: dict[str, str] | None = None) -> bytes:
    """A deployment package; by default one whose handler `handler.handler` answers with its event."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (files or {"handler.py": ECHO}).items():
            archive.writestr(zipfile.ZipInfo(name), text)  # a fixed date: the same bytes each time
    return buffer.getvalue()


def create_function(client: Any, name: str, **settings: Any) -> Any:
    """Create a function and wait until it is active; CreateFunction's answer."""
    created = client.create_function(
        **{
            "FunctionName": name,
            "Runtime": "python3.13",
            "Role": ROLE,
            "Handler": "handler.handler",
            "Code": {"ZipFile": package()},
        }
        | settings
    )
    wait_active(client, name)
    return created


def wait_active(client: Any, name: str) -> None:
    """Wait until neither a create nor an update of the function is under way."""
    fast = {"Delay": 0.05, "MaxAttempts": 400}
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=fast)
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=fast)


def own_account() -> str:
    """An access key that is an account of the test's own, for limits that count a whole account."""
    return f"{random.randrange(10**11, 10**12)}"
