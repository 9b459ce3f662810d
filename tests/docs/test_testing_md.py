"""Every snippet of docs/testing.md runs, in a pytest of its own, as a user's would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
SNIPPET = re.compile(r"<!-- snippet: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
SNIPPETS: dict[str, str] = dict(SNIPPET.findall(PAGE.read_text()))


def test_no_snippet_escapes() -> None:
    assert len(SNIPPETS) == PAGE.read_text().count("```python") == 3


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_runs(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(SNIPPETS[name])
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
