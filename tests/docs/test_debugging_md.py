"""The launch.json of docs/debugging.md is what editors take, and says what the server does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from typer.testing import CliRunner

from lambent.cli.app import commands
from lambent.sandbox.debugging import HOST, USUAL_PORTS

PAGE = (Path(__file__).parents[2] / "docs" / "debugging.md").read_text()


def test_launch_json() -> None:
    found = re.search(r"<!-- launch.json -->\n```json\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    python, node = json.loads(found[1])["configurations"]
    assert python["connect"] == {"host": HOST, "port": USUAL_PORTS["debugpy"]}
    assert (node["address"], node["port"]) == (HOST, USUAL_PORTS["inspector"])
    assert python["pathMappings"][0]["remoteRoot"] == node["remoteRoot"] == "/var/task"


def test_the_commands_exist() -> None:
    said = CliRunner().invoke(commands(), ["debug", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    assert "--on" in said
    assert "--off" in said
    said = CliRunner().invoke(commands(), ["invoke", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    assert "--debug" in said
    assert "--port" in said
