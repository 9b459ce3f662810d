"""The AWS CLI and the JavaScript SDK against SQS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lambent.sandbox import node_interpreters
from lambent.testing.server import ServerProcess

pytest.importorskip("lambent.sqs.engine", reason="SQS has no message engine yet")
Unique = Callable[[str], str]
SDK = "@aws-sdk/client-sqs@3.1169.0"
_bundled = node_interpreters.bundled_node()
assert _bundled is not None
NODE = _bundled[0]
SCRIPT = Path(__file__).with_name("sqs_sdk.mjs")
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def test_the_aws_cli(server: ServerProcess, unique: Unique, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("aws")
    if not program.exists():
        pytest.skip("the AWS CLI is not installed")

    def aws(*arguments: str) -> Any:
        result = subprocess.run(
            [str(program), "--endpoint-url", server.endpoint, "--output", "json", "sqs", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **CREDENTIALS, "AWS_CONFIG_FILE": str(tmp_path / "none")},
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout) if result.stdout.strip() else {}

    name = unique("q")
    url = aws("create-queue", "--queue-name", name, "--tags", "a=b")["QueueUrl"]
    sent = aws("send-message", "--queue-url", url, "--message-body", "from the shell")
    got = aws("receive-message", "--queue-url", url, "--wait-time-seconds", "2", "--attribute-names", "All")
    [message] = got["Messages"]
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "from the shell")
    aws("delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    assert aws("get-queue-attributes", "--queue-url", url, "--attribute-names", "ApproximateNumberOfMessages") == {
        "Attributes": {"ApproximateNumberOfMessages": "0"}
    }
    aws("delete-queue", "--queue-url", url)


@pytest.fixture(scope="session")
def sdk() -> Path:
    """A folder with the JavaScript SDK, which the npm of the Node.js that ships puts there once."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lambent-tests" / SDK.replace("/", "-")
    if (folder / "installed").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    npm = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ("--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts")
    try:
        subprocess.run([str(NODE), str(npm), "install", *options, SDK], check=True, capture_output=True, timeout=240)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"npm cannot install {SDK}: {error}")
    (folder / "installed").touch()
    return folder


def test_the_javascript_sdk(server: ServerProcess, sdk: Path, unique: Unique) -> None:
    """`sqs_sdk.mjs` walks through all 23 operations and checks every answer."""
    script = sdk / "sqs_sdk.mjs"
    if not script.exists() or script.read_text() != SCRIPT.read_text():
        script.write_text(SCRIPT.read_text())  # beside node_modules, where Node looks for the SDK
    result = subprocess.run(
        [str(NODE), str(script), server.endpoint, unique("js")],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **CREDENTIALS},
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {"operations": 23}
