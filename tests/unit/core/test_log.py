"""The server's own log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from lambent.core import log as server_log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    ours, everything = logging.getLogger("lambent"), logging.getLogger()
    before = [(logger, logger.level, logger.propagate, list(logger.handlers)) for logger in (ours, everything)]
    yield
    for logger, level, propagate, handlers in before:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers


def test_json_lines_where_nobody_watches() -> None:
    out = io.StringIO()
    server_log.configure(stream=out)
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("lambent.http").exception("it broke\nhere", extra={"fields": {"port": 4566, "odd": {1}}})
    (line,) = out.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("error", "lambent.http", "it broke\nhere")
    assert entry["port"] == 4566
    assert "ValueError: why" in entry["traceback"]
    assert entry["time"].endswith("Z")


def test_a_line_for_people_on_a_terminal() -> None:
    out = Terminal()
    server_log.configure(stream=out)
    logging.getLogger("lambent.http").info("forged\n12:00:00 error it", extra={"fields": {"port": 1}})
    (line,) = out.getvalue().splitlines()
    assert line[9:] == "info  http: forged\\n12:00:00 error it port=1"


def test_levels_and_libraries() -> None:
    out = io.StringIO()
    server_log.configure("warning", stream=out)
    server_log.configure("debug", stream=out)  # a second call replaces the first
    logging.getLogger("lambent.access").debug("GET /")
    logging.getLogger("somebody.else").info("chatter")
    logging.getLogger("somebody.else").warning("trouble")
    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == ["GET /", "trouble"]
    with pytest.raises(ValueError, match="Unknown level"):
        server_log.configure("loud")
