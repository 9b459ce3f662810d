"""A server that verifies signatures, from outside and from inside a function."""

from __future__ import annotations

import datetime
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lambent.testing.server import ServerProcess
from tests.api.lambda_functions import create_function, package

ACCOUNT = "111122223333"
# Signs with nothing but the standard library, as a function without any SDK would.
CALLER = """
import datetime, hashlib, hmac, os, urllib.error, urllib.parse, urllib.request
def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
def handler(event, context):
    if event == "who":
        return {name: os.environ["AWS_" + name] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")}
    endpoint, region = os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_REGION"]
    body = "Action=GetCallerIdentity&Version=2011-06-15"
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": urllib.parse.urlsplit(endpoint).netloc, "x-amz-date": now,
               "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"]}
    names = ";".join(sorted(headers))
    canonical = "\\n".join(["POST", "/", "", *(f"{n}:{headers[n]}" for n in sorted(headers)), "", names,
                           hashlib.sha256(body.encode()).hexdigest()])
    scope = f"{now[:8]}/{region}/sts/aws4_request"
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope.split("/"):
        key = sign(key, part)
    to_sign = "\\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
                                f"SignedHeaders={names}, Signature={sign(key, to_sign).hex()}")
    headers["accept"] = "application/json"
    with urllib.request.urlopen(urllib.request.Request(endpoint + "/", body.encode(), headers)) as answer:
        return answer.read().decode()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    keys = tmp_path_factory.mktemp("auth") / "keys"
    keys.write_text(f"AKIAGOOD right {ACCOUNT} arn:aws:iam::{ACCOUNT}:user/ann\n")
    keys.chmod(0o600)
    with ServerProcess("--auth", str(keys)) as running:
        yield running


def client(
    server: ServerProcess, service: str, key: str = "AKIAGOOD", secret: str = "right", token: str | None = None
) -> Any:
    return boto3.session.Session().client(
        service,
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def code_of(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    code: str = error.value.response["Error"]["Code"]
    return code


def status_of(request: str | urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_the_right_key_and_the_wrong_ones(server: ServerProcess) -> None:
    assert client(server, "sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/ann"
    assert client(server, "lambda").list_functions()["Functions"] == []
    assert code_of(client(server, "sts", secret="wrong").get_caller_identity) == "SignatureDoesNotMatch"
    assert code_of(client(server, "lambda", secret="wrong").list_functions) == "InvalidSignatureException"
    assert code_of(client(server, "sts", key="AKIAOTHER").get_caller_identity) == "InvalidClientTokenId"
    assert code_of(client(server, "sts", token="made-up").get_caller_identity) == "InvalidClientTokenId"


@pytest.mark.parametrize("off_by_s", [-3600, 3600])
def test_clocks_that_disagree(server: ServerProcess, monkeypatch: pytest.MonkeyPatch, off_by_s: int) -> None:
    off = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=off_by_s)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: off.replace(tzinfo=None))
    assert code_of(client(server, "sts").get_caller_identity) == "SignatureDoesNotMatch"


def test_presigned(server: ServerProcess) -> None:
    sts = client(server, "sts")
    url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    with urllib.request.urlopen(url) as answer:
        assert ACCOUNT in answer.read().decode()
    for changed in (url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"), url + "&More=1"):
        assert status_of(changed) == 403


def test_a_function_calls_back_with_its_own_credentials_until_its_end(server: ServerProcess) -> None:
    api = client(server, "lambda")
    create_function(
        api, "caller", Code={"ZipFile": package({"handler.py": CALLER})}, Role=f"arn:aws:iam::{ACCOUNT}:role/r"
    )
    answer = api.invoke(FunctionName="caller")
    payload = answer["Payload"].read().decode()
    assert "FunctionError" not in answer, payload
    assert f"arn:aws:sts::{ACCOUNT}:assumed-role/r/caller" in payload

    own = json.loads(api.invoke(FunctionName="caller", Payload=b'"who"')["Payload"].read())
    stolen = client(server, "sts", own["ACCESS_KEY_ID"], own["SECRET_ACCESS_KEY"], own["SESSION_TOKEN"])
    assert stolen.get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/r/caller"
    api.delete_function(FunctionName="caller")
    for _ in range(200):
        try:
            stolen.get_caller_identity()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidClientTokenId"  # noqa: PT017
            return
    pytest.fail("the credentials of an environment that has ended are still good")


def test_nothing_needs_no_signature_but_health(server: ServerProcess, tmp_path: Path) -> None:
    with urllib.request.urlopen(f"{server.endpoint}/_lambent/health") as answer:
        assert answer.status == 200
    for path in ("/_lambent/status", "/2015-03-31/functions", "/_lambent/logs?function=f"):
        assert status_of(urllib.request.Request(server.endpoint + path, headers={"x-lambent": "1"})) == 403
