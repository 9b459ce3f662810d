"""SnapStart of published Python versions with boto3, in a server without sandboxes."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.lambda_functions import ROLE, package, wait_active

Unique = Callable[[str], str]
ON = {"ApplyOn": "PublishedVersions"}
SOURCE = """
import time, uuid
time.sleep(1.5)
INIT = uuid.uuid4().hex
def handler(event, context):
    return INIT
"""


@pytest.fixture
def client(aws: Callable[..., Any]) -> Any:
    return aws("lambda")


def create(client: Any, name: str, source: str, **settings: Any) -> None:
    values = {"Runtime": "python3.13", "SnapStart": ON} | settings
    code = {"ZipFile": package({"handler.py": source})}
    client.create_function(FunctionName=name, Role=ROLE, Handler="handler.handler", Code=code, **values)
    wait_active(client, name)


def error_of(call: Callable[..., Any], /, **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def ask(client: Any, name: str, qualifier: str) -> tuple[Any, str]:
    answer = client.invoke(FunctionName=name, Qualifier=qualifier, LogType="Tail")
    return json.load(answer["Payload"]), base64.b64decode(answer["LogResult"]).decode()


def test_a_version_is_initialised_when_it_is_published(client: Any, unique: Unique) -> None:
    name = unique("snap")
    create(client, name, SOURCE)
    latest = client.get_function_configuration(FunctionName=name)
    assert latest["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    published = client.publish_version(FunctionName=name)
    assert published["State"] == "Pending"
    assert published["StateReasonCode"] == "Creating"
    assert published["SnapStart"]["OptimizationStatus"] == "Off"
    code, message = error_of(client.invoke, FunctionName=name, Qualifier="1")
    assert code == "SnapStartNotReadyException"
    assert "once your function state becomes ACTIVE" in message
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig={"Delay": 1})
    version = client.get_function_configuration(FunctionName=name, Qualifier="1")
    assert version["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}

    begun_s = time.monotonic()
    first, log = ask(client, name, "1")
    assert time.monotonic() - begun_s < 1.5  # the init was not run again
    assert "\tRestore Duration: " in log
    client.update_function_configuration(FunctionName=name, Description="another")
    wait_active(client, name)
    assert ask(client, name, "1")[0] == first
    assert client.publish_version(FunctionName=name)["Version"] == "1"  # no change but the description
    client.delete_function(FunctionName=name)


def test_a_failing_init_fails_the_version(client: Any, unique: Unique) -> None:
    name = unique("snap")
    create(client, name, "raise RuntimeError('no model')\n")
    client.publish_version(FunctionName=name)
    until_s = time.monotonic() + 60
    while (version := client.get_function_configuration(FunctionName=name, Qualifier="1"))["State"] == "Pending":
        assert time.monotonic() < until_s
        time.sleep(0.05)
    assert version["State"] == "Failed"
    assert version["StateReasonCode"] == "FunctionError.RuntimeInitError"
    assert "no model" in version["StateReason"]
    assert error_of(client.invoke, FunctionName=name, Qualifier="1")[0] == "ResourceConflictException"


def test_a_failing_hook_is_a_snapstart_exception(client: Any, unique: Unique) -> None:
    name = unique("snap")
    source = "import snapshot_restore_py as h\nh.register_after_restore(lambda: 1 / 0)\ndef handler(e, c): pass\n"
    create(client, name, source)
    client.publish_version(FunctionName=name)
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig={"Delay": 1})
    code, message = error_of(client.invoke, FunctionName=name, Qualifier="1")
    assert code == "SnapStartException"
    assert message.startswith("The afterRestore() runtime hook encountered an error.")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"Runtime": "python3.11"}, "python3.11 is not supported for SnapStart enabled functions."),
        ({"Runtime": "nodejs22.x"}, "nodejs22.x is not supported for SnapStart enabled functions."),
        ({"EphemeralStorage": {"Size": 513}}, "Ephemeral storage of more than 512 MB"),
    ],
)
def test_what_snapstart_does_not_go_with(client: Any, unique: Unique, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words) as caught:
        create(client, unique("snap"), SOURCE, **settings)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"


def test_no_provisioned_concurrency_with_snapstart(client: Any, unique: Unique) -> None:
    name = unique("snap")
    create(client, name, "def handler(e, c): pass\n")
    client.publish_version(FunctionName=name)
    code, _ = error_of(
        client.put_provisioned_concurrency_config,
        FunctionName=name,
        Qualifier="1",
        ProvisionedConcurrentExecutions=1,
    )
    assert code == "InvalidParameterValueException"
