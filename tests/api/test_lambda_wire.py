"""Lambda over plain HTTP: exact bodies and headers, requests as tools other than boto3 send them, hostile packages."""

from __future__ import annotations

import base64
import io
import json
import stat
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lambent.testing.server import ServerProcess
from tests.api.lambda_functions import ECHO, ROLE, create_function, package, wait_active

Unique = Callable[[str], str]
FUNCTIONS = "/2015-03-31/functions"
ARN = "arn:aws:lambda:us-east-1:000000000000:function"
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, "
    f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}",
    "X-Amz-Date": "20260101T000000Z",
}
Answer = tuple[int, Mapping[str, str], Any]


def ask(server: ServerProcess, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Status, headers (lower case) and decoded body. `body` is sent as JSON unless it is bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(server.endpoint + path, data, SIGNED | headers, method=method)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, _lower(response.headers), json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _lower(error.headers), json.loads(error.read() or b"null")


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def least(name: str, zipped: bytes | None = None) -> dict[str, Any]:
    return {
        "FunctionName": name,
        "Runtime": "python3.13",
        "Role": ROLE,
        "Handler": "handler.handler",
        "Code": {"ZipFile": base64.b64encode(package() if zipped is None else zipped).decode()},
    }


@pytest.fixture(scope="module")
def name(aws: Callable[..., Any]) -> str:
    create_function(aws("lambda"), "wire", Publish=True)
    aws("lambda").create_alias(FunctionName="wire", Name="live", FunctionVersion="1")
    return "wire"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "answer"),
    [
        (
            "POST",
            "",
            {"Timeout": "3"},
            400,
            "SerializationException",
            "STRING_VALUE can not be converted to an Integer",
        ),
        ("POST", "", [], 400, "SerializationException", "Start of list found where not expected"),
        (
            "DELETE",
            "/wire?Qualifier=1",
            None,
            409,
            "ResourceConflictException",
            "Unable to delete version because the following aliases reference it: [live]",
        ),
        (
            "POST",
            "/wire/aliases",
            {"Name": "x", "FunctionVersion": "$LATEST", "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
            400,
            "InvalidParameterValueException",
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
    ],
)
def test_bodies_of_errors(
    server: ServerProcess, name: str, method: str, path: str, body: Any, status: int, code: str, answer: str
) -> None:
    got, headers, content = ask(server, method, FUNCTIONS + path, body)
    assert (got, headers["x-amzn-errortype"]) == (status, code)
    assert headers["x-amzn-requestid"]
    if code == "ResourceConflictException":
        assert content == {"Type": "User", "message": answer}
    else:
        assert content == {"Message" if code == "SerializationException" else "message": answer}


@pytest.mark.parametrize(
    "reference",
    [
        "wire",
        "function:wire",
        "000000000000:function:wire",
        f"{ARN}:wire",
        "us-east-1:000000000000:function:wire",
    ],
)
@pytest.mark.parametrize("quote", [urllib.parse.quote, lambda text: urllib.parse.quote(text, safe="")])
def test_every_form_of_a_name(server: ServerProcess, name: str, reference: str, quote: Callable[[str], str]) -> None:
    for slash in ("", "/"):
        status, _, content = ask(server, "GET", f"{FUNCTIONS}/{quote(reference)}/configuration{slash}")
        assert (status, content["FunctionArn"]) == (200, f"{ARN}:wire")
        qualified = urllib.parse.quote(f"{reference}:live", safe="")
        status, _, content = ask(server, "GET", f"{FUNCTIONS}/{qualified}{slash}")
        assert (status, content["Configuration"]["FunctionArn"]) == (200, f"{ARN}:wire:live")
        assert content["Configuration"]["Version"] == "1"


def test_a_create_and_update_as_terraform_sends_them(
    server: ServerProcess, aws: Callable[..., Any], unique: Unique
) -> None:
    name = unique("terraform")
    body = least(name) | {
        "Architectures": ["arm64"],
        "Description": "",
        "EphemeralStorage": {"Size": 512},
        "Environment": {"Variables": {"KEY": "value"}},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
        "MemorySize": 128,
        "PackageType": "Zip",
        "Publish": False,
        "SnapStart": {"ApplyOn": "None"},
        "Tags": {"team": "a"},
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
        "VpcConfig": {"SecurityGroupIds": [], "SubnetIds": []},
    }
    status, _, created = ask(server, "POST", FUNCTIONS, body)
    assert (status, created["State"], "LastUpdateStatus" in created, "VpcConfig" in created) == (
        201,
        "Pending",
        False,
        False,
    )
    wait_active(aws("lambda"), name)
    _, _, found = ask(server, "GET", f"{FUNCTIONS}/{name}")
    assert (found["Tags"], found["Configuration"]["LastUpdateStatus"]) == ({"team": "a"}, "Successful")
    status, _, content = ask(server, "GET", f"/2020-06-30/functions/{name}/code-signing-config")
    assert (status, content) == (200, {"CodeSigningConfigArn": "", "FunctionName": name})
    status, _, content = ask(server, "GET", f"{FUNCTIONS}/{name}/versions?MaxItems=10000")
    assert [version["FunctionArn"] for version in content["Versions"]] == [f"{ARN}:{name}:$LATEST"]
    status, _, content = ask(
        server,
        "PUT",
        f"{FUNCTIONS}/{name}/configuration",
        {
            "DeadLetterConfig": {"TargetArn": ""},
            "Environment": {"Variables": {}},
            "FileSystemConfigs": [],
            "ImageConfig": {},
            "KMSKeyArn": "",
            "Layers": [],
            "VpcConfig": {"Ipv6AllowedForDualStack": False, "SecurityGroupIds": [], "SubnetIds": []},
        },
    )
    assert (status, content["LastUpdateStatus"], content["Environment"]) == (200, "InProgress", {"Variables": {}})


def test_nulls_are_absent_as_in_what_cloudformation_sends(server: ServerProcess, unique: Unique) -> None:
    nothing = dict.fromkeys(
        (
            "CapacityProviderConfig",
            "CodeSigningConfigArn",
            "DeadLetterConfig",
            "DurableConfig",
            "Environment",
            "ImageConfig",
            "KMSKeyArn",
            "PublishTo",
            "RuntimeConfig",
            "TenancyConfig",
            "VpcConfig",
        )
    )
    status, _, created = ask(server, "POST", FUNCTIONS, least(unique("cfn")) | nothing)
    assert (status, "Environment" in created) == (201, False)


def zipped(*entries: tuple[str, bytes, int]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in (("handler.py", ECHO.encode(), 0o100644), *entries):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr, info.compress_type = 3, mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()


def encrypted() -> bytes:
    archive = bytearray(zipped())
    archive[archive.index(b"PK\3\4") + 6] |= 1
    archive[archive.index(b"PK\1\2") + 8] |= 1
    return bytes(archive)


@pytest.mark.parametrize(
    "archive",
    [
        zipped(("../escape", b"x", 0o100644)),
        zipped(("a/../../escape", b"x", 0o100644)),
        zipped((f"{tempfile.gettempdir()}/escape-lambent", b"x", 0o100644)),
        zipped(("..\\escape", b"x", 0o100644)),
        zipped(("link", b"/etc/passwd", 0o120777)),
        zipped(("link", b"../../escape", 0o120777)),
        zipped(("out", b"..", 0o120777), ("out/escape", b"x", 0o100644)),
        zipped(("device", b"", stat.S_IFCHR | 0o666)),
        zipped(("pipe", b"", stat.S_IFIFO | 0o666)),
        zipped()[:-30],
        encrypted(),
        b"not a zip",
    ],
    ids=[
        *("up", "up later", "absolute", "backslash", "absolute link", "link up", "through link"),
        *("device", "pipe", "cut", "encrypted", "no zip"),
    ],
)
def test_a_hostile_package_leaves_nothing(server: ServerProcess, name: str, unique: Unique, archive: bytes) -> None:
    before = kept(server)
    status, headers, content = ask(server, "POST", FUNCTIONS, least(unique("hostile"), archive))
    assert (status, headers["x-amzn-errortype"], content) == (
        400,
        "InvalidParameterValueException",
        {
            "Type": "User",
            "message": "Could not unzip uploaded file. Please check your file, then try to upload again.",
        },
    )
    assert kept(server) == before


def kept(server: ServerProcess) -> set[Path]:
    """Packages and unpacked folders on disk, and anything that escaped beside them."""
    packages = {path for path in (server.data / "blobs").rglob("*") if not path.is_dir()}
    escaped = {
        *server.data.glob("escape*"),
        *server.data.parent.glob("escape*"),
        *Path(tempfile.gettempdir()).glob("escape-lambent"),
    }
    return packages | escaped | set((server.data / "code").rglob("*"))


def test_a_bomb_is_refused_by_what_it_holds(server: ServerProcess, name: str, unique: Unique) -> None:
    before = kept(server)
    archive = zipped(("bomb", bytes(262_144_000), 0o100644))
    status, _, content = ask(server, "POST", FUNCTIONS, least(unique("bomb"), archive))
    assert (status, content["message"]) == (400, "Unzipped size must be smaller than 262144000 bytes")
    assert kept(server) == before


def test_modes_and_links_inside_are_kept_but_not_setuid(
    server: ServerProcess, aws: Callable[..., Any], unique: Unique
) -> None:
    client, name = aws("lambda"), unique("modes")
    program = (
        b"import os\ndef handler(e, c):\n    return {n: oct(os.lstat(n).st_mode) for n in sorted(os.listdir('.'))}\n"
    )
    archive = zipped(
        ("modes.py", program, 0o100600),
        ("setuid", b"x", 0o104755),
        ("folder/", b"", 0o40777),
        ("link", b"folder", 0o120777),
    )
    create_function(client, name, Handler="modes.handler", Code={"ZipFile": archive})
    assert json.loads(client.invoke(FunctionName=name)["Payload"].read()) == {
        "folder": "0o40755",
        "handler.py": "0o100644",
        "link": "0o120777",
        "modes.py": "0o100644",
        "setuid": "0o100755",
    }
