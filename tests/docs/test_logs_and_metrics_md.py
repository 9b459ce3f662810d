"""Every snippet of docs/logs-and-metrics.md runs as it stands, with nothing but the endpoint in its environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lambent.testing.server import ServerProcess

PAGE = Path(__file__).parents[2] / "docs" / "logs-and-metrics.md"
SNIPPETS: dict[str, str] = dict(
    re.findall(r"<!-- snippet: (\S+) -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
)


def test_no_snippet_escapes() -> None:
    assert len(SNIPPETS) == PAGE.read_text().count("```python") == 2


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_runs(name: str) -> None:
    with ServerProcess() as server:
        variables = {
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        ran = subprocess.run(
            [sys.executable, "-c", SNIPPETS[name]],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
