"""A disk that is full: refused with AWS's error, nothing half done, and all well once there is room again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambent.testing.server import ServerProcess
from tests.api.lambda_functions import create_function, package

CODE = {"ZipFile": package({"handler.py": "def handler(event, context):\n    return event\n"})}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB; tests skip where it cannot be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    filler = place / "filler"
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filler


def refused(call: Callable[..., Any], **parameters: Any) -> None:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    response = error.value.response
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (500, "ServiceException")


def test_a_full_disk(small_disk: Path) -> None:
    with ServerProcess(data=small_disk / "data") as server:
        api = server.client("lambda")
        create_function(api, "kept", Code=CODE)
        api.invoke(FunctionName="kept", Payload=b"1")
        big = package({"handler.py": "def handler(event, context):\n    return event\n", "f": os.urandom(10_000_000)})
        refused(api.create_function, FunctionName="big", **_settings(big))
        filler = fill(small_disk)
        other = package({"handler.py": "def handler(event, context):\n    return 2\n"})
        refused(api.create_function, FunctionName="other", **_settings(other))
        refused(api.update_function_configuration, FunctionName="kept", Description="d" * 200)
        # What needs no disk goes on.
        assert api.get_function_configuration(FunctionName="kept")["Description"] == ""
        assert api.invoke(FunctionName="kept", Payload=b"1")["Payload"].read() == b"1"
        filler.unlink()
        create_function(api, "other", Code={"ZipFile": other})
        assert api.invoke(FunctionName="other")["Payload"].read() == b"2"
        assert {found["FunctionName"] for found in api.list_functions()["Functions"]} == {"kept", "other"}
        server.stop()
        assert "Traceback" not in server.output
        assert "No space left on device" in server.output


def _settings(code: bytes) -> dict[str, Any]:
    return {
        "Runtime": "python3.13",
        "Role": "arn:aws:iam::000000000000:role/r",
        "Handler": "handler.handler",
        "Code": {"ZipFile": code},
    }
