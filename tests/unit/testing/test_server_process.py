"""The process around a server: what tests of everything else rely on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from lambent.testing.server import ServerFailed, ServerProcess


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_is_started_stopped_killed_and_started_again(tmp_path: Path) -> None:
    server = ServerProcess("--log-level", "error", data=tmp_path / "data")
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.endpoint
    with server:
        first, endpoint = server.pid, server.endpoint
        assert server.running
        assert f"ready {endpoint} (isolation: process, data: {tmp_path / 'data'})\n" == server.output
        assert server.client("sts").get_caller_identity()["Account"] == "000000000000"
        assert server.stop() == 0
        assert not is_running(first)
        assert server.stop() is None
        server.start()
        server.kill()
        assert not server.running
        server.restart()
        assert server.running
        server.signal(signal.SIGINT)
        assert server.wait() == 0
    assert (tmp_path / "data").is_dir()


def test_a_temporary_data_directory_goes_with_its_server() -> None:
    with ServerProcess() as server:
        data = server.data
        assert data.is_dir()
    assert not data.parent.exists()


def test_a_server_that_does_not_start_says_why() -> None:
    server = ServerProcess("--host", "0.0.0.0")
    with pytest.raises(ServerFailed, match="give --auth FILE"):
        server.start()
    assert not server.running
    server.close()


def test_a_second_server_on_the_same_data_is_refused_in_one_line(tmp_path: Path) -> None:
    with ServerProcess("--log-level", "error", data=tmp_path / "data"):
        second = ServerProcess("--log-level", "error", data=tmp_path / "data")
        with pytest.raises(ServerFailed):
            second.start()
        assert second.output.startswith("lambent: ")
        assert second.output.count("\n") == 1
        assert second.wait() == 1
        second.close()


def test_a_port_that_is_taken_is_one_line() -> None:
    with ServerProcess() as first:
        second = ServerProcess("--port", first.endpoint.rpartition(":")[2], "--log-level", "error")
        with pytest.raises(ServerFailed):
            second.start()
        second.close()
        assert second.output.startswith("lambent: ")
        assert second.output.count("\n") == 1
