"""The debug routes refuse what would let strangers run code."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from lambent.core.clock import SystemClock
from lambent.core.config import ServerConfig
from lambent.core.errors import ValidationError
from lambent.debug_api import DebugApi
from lambent.server.internal_routes import InternalRequest


def api(host: str) -> DebugApi:
    nobody = cast(Any, None)
    config = ServerConfig(data=Path("/nowhere"), host=host)
    return DebugApi(config=config, invoker=nobody, debugging=nobody, clock=SystemClock())


def request(**body: Any) -> InternalRequest:
    text = msgspec.json.encode({"function": "f", **body})
    return InternalRequest(incoming=cast(Any, None), request_id="r", rest="", body=text)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.com"])
async def test_only_on_loopback(host: str) -> None:
    for handler in (api(host).invoke, api(host).switch):
        with pytest.raises(ValidationError, match=f"this server listens on {host}"):
            await handler(request())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
@pytest.mark.parametrize("body", [{"port": 70_000}, {"port": "x"}, {"function": None}, {"payload": "?"}])
async def test_nonsense(host: str, body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"port|body"):
        await api(host).invoke(request(**body))
