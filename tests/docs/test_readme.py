"""The README's tour works when pasted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from lambent.testing.server import ServerProcess

README = Path(__file__).parents[2] / "README.md"


def tour() -> str:
    found = re.search(r"<!-- tour -->\n```bash\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None, "the README has lost its tour"
    return found[1]


def test_the_tour_works_when_pasted(tmp_path: Path) -> None:
    script = tour().replace("/tmp/tour", str(tmp_path / "tour"))
    assert "http://127.0.0.1:4566" in script
    with ServerProcess() as server:
        script = script.replace("http://127.0.0.1:4566", server.endpoint)
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),  # nobody's own AWS configuration
            "AWS_PAGER": "",
        }
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=README.parent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=110,
        )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert '"greeting": "Hello, Ada!"' in said
    assert "greeting Ada" in said, "the log's tail is missing"
    assert "REPORT RequestId" in said
    assert "throttled, as it should be" in said
    assert "Reason" in said or "TooManyRequestsException" in said
