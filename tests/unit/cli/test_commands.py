from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lambent import __version__
from lambent.core.errors import UserFacingError
from lambent.sandbox.isolation import probe
from tests.unit.cli.conftest import FakeServer, Lambent


def unused_endpoint() -> str:
    return "http://127.0.0.1:9"  # discard: nobody listens


def test_requests_are_signed_and_carry_the_proof_header(fake: FakeServer, lambent_cli: Lambent) -> None:
    fake.answers({"profile": "default"})
    assert lambent_cli("status", "--endpoint", fake.endpoint).code == 0
    (request,) = fake.seen
    assert (request.method, request.target) == ("GET", "/_lambent/status")
    assert request.headers["x-lambent"] == "cli"
    scope = request.headers["authorization"]
    assert "Credential=lambent/" in scope
    assert "/us-east-1/lambent/aws4_request" in scope


def test_the_users_own_credentials_and_region_are_used(
    fake: FakeServer, lambent_cli: Lambent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "111122223333")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", fake.endpoint)
    assert lambent_cli("status").code == 0
    assert "Credential=111122223333/" in fake.seen[0].headers["authorization"]
    assert "/eu-west-1/lambent/" in fake.seen[0].headers["authorization"]


@pytest.mark.parametrize(
    "command",
    [["status"], ["runtimes"], ["logs", "f"], ["backup", "x"], ["invoke", "f"]],
    ids=lambda command: str(command[0]),
)
def test_without_a_server_one_line_says_what_to_do(command: list[str], lambent_cli: Lambent) -> None:
    ran = lambent_cli(*command, "--endpoint", unused_endpoint())
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"lambent: no server answers at {unused_endpoint()}; "
        "start one with `lambent up`, or name another with --endpoint\n"
    )


@pytest.mark.parametrize("endpoint", ["ftp://x", "http://", "http://h:port"])
def test_what_is_no_endpoint(endpoint: str, lambent_cli: Lambent) -> None:
    ran = lambent_cli("status", "--endpoint", endpoint)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "is no endpoint" in ran.err


def test_a_refusal_is_one_line(fake: FakeServer, lambent_cli: Lambent) -> None:
    fake.status = 403
    fake.answers({"__type": "x#LambentRefusedException", "message": "Not\nyou."})
    ran = lambent_cli("status", "--endpoint", fake.endpoint)
    assert (ran.code, ran.err) == (1, "lambent: LambentRefusedException: Not you.\n")
    fake.body = b"<html>"
    assert lambent_cli("status", "--endpoint", fake.endpoint).err == "lambent: the server answered 403\n"


def test_an_aws_profile_that_does_not_exist(
    fake: FakeServer, lambent_cli: Lambent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    ran = lambent_cli("status", "--endpoint", fake.endpoint)
    assert ran.code == 1
    assert "nobody" in ran.err


def test_invoke_prints_the_answer(fake: FakeServer, lambent_cli: Lambent) -> None:
    fake.body = b'{"ok": true}'
    ran = lambent_cli(
        "invoke", "f", "--payload", '{"a": 1}', "--qualifier", "live", "--endpoint", fake.endpoint
    )  # fmt: skip
    assert (ran.code, ran.out, ran.err) == (0, '{"ok": true}\n', "")
    assert fake.seen[0].target == "/2015-03-31/functions/f/invocations?Qualifier=live"
    assert fake.seen[0].body == b'{"a": 1}'
    assert "x-amz-log-type" not in fake.seen[0].headers


def test_invoke_reads_files_and_standard_input(
    fake: FakeServer, lambent_cli: Lambent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "event.json").write_text('"file"')
    lambent_cli("invoke", "f", "--payload", f"@{tmp_path / 'event.json'}", "--endpoint", fake.endpoint)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'"stdin"')))
    lambent_cli("invoke", "f", "--payload", "-", "--endpoint", fake.endpoint)
    lambent_cli("invoke", "f", "--endpoint", fake.endpoint)
    assert [request.body for request in fake.seen] == [b'"file"', b'"stdin"', b"{}"]
    ran = lambent_cli("invoke", "f", "--payload", "@/nowhere", "--endpoint", fake.endpoint)
    assert (ran.code, ran.err) == (1, "lambent: cannot read the payload /nowhere: No such file or directory\n")


def test_a_failed_function_goes_to_standard_error(fake: FakeServer, lambent_cli: Lambent) -> None:
    fake.headers = {"X-Amz-Function-Error": "Unhandled", "X-Amz-Log-Result": base64.b64encode(b"START\nEND\n").decode()}
    fake.body = b'{"errorMessage": "no"}'
    ran = lambent_cli("invoke", "f", "--log", "--endpoint", fake.endpoint)
    assert (ran.code, ran.out, ran.err) == (1, "", 'START\nEND\n{"errorMessage": "no"}\n')
    assert fake.seen[0].headers["x-amz-log-type"] == "Tail"


def test_an_error_of_the_service_is_one_line(fake: FakeServer, lambent_cli: Lambent) -> None:
    fake.status = 404
    fake.headers = {"x-amzn-ErrorType": "ResourceNotFoundException"}
    fake.answers({"Type": "User", "Message": "Function not found: arn"})
    ran = lambent_cli("invoke", "f", "--endpoint", fake.endpoint)
    assert (ran.code, ran.err) == (1, "lambent: ResourceNotFoundException: Function not found: arn\n")
    assert len(fake.seen) == 1


def test_logs_are_lines_with_their_time(fake: FakeServer, lambent_cli: Lambent) -> None:
    events = [{"timestamp_ms": 1_767_225_600_007, "stream": "s", "message": "one\n"},
              {"timestamp_ms": 1_767_225_601_000, "stream": "s", "message": "two"}]  # fmt: skip
    fake.body = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    ran = lambent_cli("logs", "f", "--follow", "--since", "2h", "--endpoint", fake.endpoint)
    assert ran.out == "2026-01-01T00:00:00.007Z one\n2026-01-01T00:00:01.000Z two\n"
    path, _, query = fake.seen[0].target.partition("?")
    assert path == "/_lambent/logs"
    assert query.startswith("function=f&since_ms=")
    assert query.endswith("&account=000000000000&region=us-east-1&follow=1")


def test_a_span_that_is_none_is_misuse(lambent_cli: Lambent) -> None:
    assert lambent_cli("logs", "f", "--since", "soon").code == 2


def test_runtimes(fake: FakeServer, lambent_cli: Lambent) -> None:
    fake.answers(
        [
            {"runtime": "python3.13", "path": "/usr/bin/python3.13", "version": "3.13.1", "exact": True, "note": ""},
            {"runtime": "java21", "path": None, "version": None, "exact": False, "note": "not supported yet"},
        ]
    )
    ran = lambent_cli("runtimes", "--endpoint", fake.endpoint)
    assert ran.out.splitlines() == [
        "runtime     interpreter          version  exact  note",
        "python3.13  /usr/bin/python3.13  3.13.1   yes",
        "java21                                    no     not supported yet",
    ]


def test_status_is_readable_or_json(fake: FakeServer, lambent_cli: Lambent) -> None:
    answer: dict[str, Any] = {
        "profile": "default",
        "host": {"memory_bytes": 3 * 1024**3 // 2, "longest_start_ms": 12345.678, "limits": []},
        "functions": [{"function_arn": "arn:f", "environments": {"idle": 2, "busy": 0}}],
    }
    fake.answers(answer)
    assert lambent_cli("status", "--endpoint", fake.endpoint).out.splitlines() == [
        "profile  default",
        "host:",
        "  memory         1.5 GiB",
        "  longest start  12,345.68 ms",
        "  limits:",
        "    (none)",
        "functions:",
        "  function arn  environments",
        "  arn:f         idle 2",
    ]
    assert json.loads(lambent_cli("status", "--json", "--endpoint", fake.endpoint).out) == answer


def test_backup_names_the_folder_absolutely(
    fake: FakeServer, lambent_cli: Lambent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    fake.body = b""
    ran = lambent_cli("backup", "copy", "--endpoint", fake.endpoint)
    assert (ran.code, ran.out) == (0, f"copied to {tmp_path / 'copy'}\n")
    assert fake.seen[0].method == "POST"
    assert json.loads(fake.seen[0].body) == {"target": str(tmp_path / "copy")}
    assert fake.seen[0].headers["x-lambent"] == "cli"


def test_version(lambent_cli: Lambent) -> None:
    assert lambent_cli("version").out.startswith(f"lambent {__version__} (Python ")


def test_misuse_exits_with_2(lambent_cli: Lambent) -> None:
    assert lambent_cli("no-such-command").code == 2
    assert lambent_cli("invoke").code == 2
    assert lambent_cli("up", "--port", "99999").code == 2


def test_where_no_sandbox_works_the_server_refuses_in_one_line(
    lambent_cli: Lambent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lack = probe.Lack(what="the moon is full", fix="wait a week")
    monkeypatch.setattr(probe, "_obvious_lack", lambda: lack)
    ran = lambent_cli("up", "--isolation", "sandbox", "--data", str(tmp_path))
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "the moon is full; wait a week" in ran.err
    assert "--isolation process" in ran.err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['lambent', '--help']\n"
        "from lambent.cli import app\n"
        "app.run(['--help'])\n"
        "heavy = {'botocore', 'uvicorn', 'uvloop', 'msgspec', 'lambent.platform'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_an_error_for_the_user_is_one_line_wherever_it_comes_from(
    lambent_cli: Lambent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise UserFacingError("the disk is full; make room")

    monkeypatch.setattr("lambent.cli.version.platform.python_version", fails)
    ran = lambent_cli("version")
    assert (ran.code, ran.err) == (1, "lambent: the disk is full; make room\n")
